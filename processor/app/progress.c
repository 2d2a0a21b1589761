#include "app/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EVERY_MS_TERMINAL = 500, EVERY_MS_PLAIN = 10000, BAR_LEN = 20 };

void pql_progress_init(struct pql_progress *progress, const char *what, const char *unit, uint64_t total,
                       int64_t now_ms)
{
    *progress = (struct pql_progress){
        .what = what, .unit = unit, .total = total, .begun_ms = now_ms, .shown_ms = now_ms};
    progress->is_terminal = isatty(STDERR_FILENO) == 1;
}

const char *pql_count_text(uint64_t count, char out[PQL_COUNT_TEXT_MAX])
{
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), used = 0;
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

static void duration_text(double seconds, char out[32])
{
    unsigned long whole = (unsigned long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(out, 32, "%lu h %02lu min", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        snprintf(out, 32, "%lu min %02lu s", whole / 60, whole % 60);
    else
        snprintf(out, 32, "%lu s", whole);
}

/* "[####      ] " */
static void draw_bar(double share, char out[BAR_LEN + 4])
{
    for (int i = 0; i < BAR_LEN; i++) out[1 + i] = (i + 1) <= share * BAR_LEN ? '#' : ' ';
    out[0] = '[';
    memcpy(out + 1 + BAR_LEN, "] ", 3);
}

void pql_progress_show(struct pql_progress *progress, uint64_t count, uint64_t done, int64_t now_ms)
{
    if (now_ms - progress->shown_ms < (progress->is_terminal ? EVERY_MS_TERMINAL : EVERY_MS_PLAIN)) return;
    progress->shown_ms = now_ms;
    double seconds = (double)(now_ms - progress->begun_ms) / 1000;
    char number[PQL_COUNT_TEXT_MAX], rate[PQL_COUNT_TEXT_MAX], left[80] = "", bar[BAR_LEN + 4] = "";
    if (progress->total && done) {
        char time[32];
        double share = (double)done / (double)progress->total;
        duration_text(share < 1 ? seconds / share - seconds : 0, time);
        snprintf(left, sizeof left, ", %.0f %%, %s left", share * 100, time);
        if (progress->is_terminal) draw_bar(share, bar);
    }
    fprintf(stderr, "%s%s: %s%s %s, %s/s%s%s", progress->is_terminal ? "\r\033[K" : "", progress->what, bar,
            pql_count_text(count, number), progress->unit,
            pql_count_text((uint64_t)((double)count / seconds), rate), left,
            progress->is_terminal ? "" : "\n");
    progress->has_line = progress->is_terminal;
}

void pql_progress_clear(struct pql_progress *progress)
{
    if (progress->has_line) fputs("\r\033[K", stderr);
    progress->has_line = false;
}
