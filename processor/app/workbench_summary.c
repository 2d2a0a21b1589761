#include "app/report.h"
#include "app/workbench_reports.h"

#include "base/date.h"
#include "core/wire/rfc3339.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { RATE_MIN_PERCENT = 5, RATE_MAX_PERCENT = 15, DATE_LEN = 10 };

/* Those who signed up in one week, which begins on a Monday (UTC). */
struct week {
    int64_t number;
    uint64_t sign_ups, qualified;
};

struct sum {
    uint64_t seen, sign_ups, qualified; /* qualified: of the sign-ups */
    uint64_t *tiers, *segments;         /* of the sign-ups, by word */
    struct week *weeks;                 /* ascending */
    size_t weeks_count, weeks_capacity;
};

struct summary {
    const struct pql_replay *replay;
    bool has_sign_ups[2]; /* by subject: somebody signed up; else the first event of each counts */
    struct sum *sums;     /* by definition */
    size_t count;
};

static enum pql_subject subject_of(const struct pql_seen *known)
{
    return known->user.len ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT;
}

static struct week *week_of(struct sum *sum, int64_t start_ms)
{
    int64_t number = pql_floor_div(pql_floor_div(start_ms, PQL_DAY_MS) + 3, 7);
    size_t at = sum->weeks_count;
    while (at && sum->weeks[at - 1].number > number) at--;
    if (at && sum->weeks[at - 1].number == number) return &sum->weeks[at - 1];
    sum->weeks = pql_xgrow(sum->weeks, &sum->weeks_capacity, sum->weeks_count + 1, sizeof *sum->weeks);
    memmove(&sum->weeks[at + 1], &sum->weeks[at], (sum->weeks_count++ - at) * sizeof *sum->weeks);
    sum->weeks[at] = (struct week){.number = number};
    return &sum->weeks[at];
}

static void note_sign_ups(void *context, const struct pql_seen *known)
{
    struct summary *summary = context;
    summary->has_sign_ups[subject_of(known)] |= known->signed_up;
}

static void count_case(struct sum *sum, struct week *week, const struct pql_case *of)
{
    sum->qualified++;
    week->qualified++;
    if (of->tier != PQL_WORD_NONE) sum->tiers[of->tier]++;
    if (of->segment != PQL_WORD_NONE) sum->segments[of->segment]++;
}

static void count(void *context, const struct pql_seen *known)
{
    struct summary *summary = context;
    const struct pql_workbench *bench = &summary->replay->bench;
    enum pql_subject subject = subject_of(known);
    bool signed_up = known->signed_up || (!summary->has_sign_ups[subject] && known->start_ms != PQL_NO_TIME);
    const struct pql_person *person = pql_workbench_find(bench, known->account, known->user);
    for (size_t i = 0; i < summary->count; i++) {
        if (pql_program_definition(bench->program, i)->subject != subject) continue;
        struct sum *sum = &summary->sums[i];
        sum->seen++;
        if (!signed_up) continue;
        struct week *week = week_of(sum, known->start_ms);
        const struct pql_case *of = pql_case_of(person, i);
        sum->sign_ups++;
        week->sign_ups++;
        if (of) count_case(sum, week, of);
    }
}

/* --- words --- */

static void warn(const struct sum *sum, struct pql_buf *out)
{
    char rate[PQL_PERCENT_TEXT_MAX];
    if (!sum->sign_ups) return;
    pql_percent_text(sum->qualified, sum->sign_ups, rate);
    if (sum->qualified == sum->sign_ups)
        pql_buf_text(out, "everybody who signed up qualifies: the bar tells nobody apart");
    else if (sum->qualified * 100 > sum->sign_ups * RATE_MAX_PERCENT)
        pql_buf_printf(out,
                       "%s of sign-ups qualify, more than %d %%: the bar is low, most of them will not buy",
                       rate, RATE_MAX_PERCENT);
    else if (sum->qualified * 100 < sum->sign_ups * RATE_MIN_PERCENT)
        pql_buf_printf(out, "%s of sign-ups qualify, fewer than %d %%: the bar may be too high", rate,
                       RATE_MIN_PERCENT);
}

static void put_date(struct pql_buf *out, int64_t week)
{
    char text[PQL_TIME_TEXT_MAX];
    pql_time_text((week * 7 - 3) * PQL_DAY_MS, text);
    pql_buf_put(out, text, DATE_LEN);
}

static void put_words(struct pql_buf *out, const char *what, const struct pql_words *words,
                      const uint64_t *counts, uint64_t sign_ups)
{
    char number[PQL_COUNT_TEXT_MAX], rate[PQL_PERCENT_TEXT_MAX];
    for (size_t i = 0; i < words->count; i++)
        pql_buf_printf(out, "  %s %.*s: %s qualified, %s of sign-ups\n", what, PQL_SLICE_ARG(words->items[i]),
                       pql_count_text(counts[i], number), pql_percent_text(counts[i], sign_ups, rate));
}

static void put_tables(struct pql_buf *out, const struct sum *sum, const struct pql_definition_tally *tally)
{
    char rate[PQL_PERCENT_TEXT_MAX];
    put_words(out, "tier", &tally->tiers, sum->tiers, sum->sign_ups);
    put_words(out, "segment", &tally->segments, sum->segments, sum->sign_ups);
    if (sum->weeks_count) pql_buf_text(out, "  week of      sign-ups   qualified      rate\n");
    for (size_t i = 0; i < sum->weeks_count; i++) {
        const struct week *week = &sum->weeks[i];
        pql_buf_text(out, "  ");
        put_date(out, week->number);
        pql_buf_printf(out, "  %9" PRIu64 "   %9" PRIu64 "  %8s\n", week->sign_ups, week->qualified,
                       pql_percent_text(week->qualified, week->sign_ups, rate));
    }
}

static void put_definition(struct pql_buf *out, const struct summary *summary, size_t i, bool is_brief)
{
    const struct pql_workbench *bench = &summary->replay->bench;
    const struct pql_definition_conf *conf = pql_program_definition(bench->program, i);
    const struct pql_definition_tally *tally = &bench->tallies[i];
    const struct sum *sum = &summary->sums[i];
    char a[PQL_COUNT_TEXT_MAX], b[PQL_COUNT_TEXT_MAX], rate[PQL_PERCENT_TEXT_MAX];
    pql_buf_printf(out, "%.*s, version %d: %s %s seen, ", PQL_SLICE_ARG(conf->name), conf->version,
                   pql_count_text(sum->seen, a), conf->subject == PQL_SUBJECT_USER ? "users" : "accounts");
    if (summary->has_sign_ups[conf->subject])
        pql_buf_printf(out, "%s signed up, ", pql_count_text(sum->sign_ups, a));
    pql_buf_printf(out, "%s qualified (%s", pql_count_text(tally->ever, b),
                   pql_percent_text(sum->qualified, sum->sign_ups, rate));
    pql_buf_printf(out, "%s)", summary->has_sign_ups[conf->subject] ? " of sign-ups" : "");
    pql_buf_printf(out, ", %s qualified at the end; %s entries",
                   pql_count_text(tally->entered - tally->left, a), pql_count_text(tally->entered, b));
    if (tally->converted)
        pql_buf_printf(out, ", %s converted after %.1f days", pql_count_text(tally->converted, a),
                       tally->days / (double)tally->converted);
    if (tally->unforeseen)
        pql_buf_printf(out, ", %s converted unqualified", pql_count_text(tally->unforeseen, a));
    pql_buf_text(out, "\n");
    struct pql_buf warning = {0};
    warn(sum, &warning);
    if (warning.len) pql_buf_printf(out, "  warning: %.*s\n", (int)warning.len, warning.ptr);
    pql_buf_deinit(&warning);
    if (!is_brief) put_tables(out, sum, tally);
}

/* --- JSON --- */

static void json_words(struct pql_buf *out, const char *name, const struct pql_words *words,
                       const uint64_t *counts, uint64_t sign_ups)
{
    pql_report_open(out, name, '[');
    for (size_t i = 0; i < words->count; i++) {
        pql_report_open(out, NULL, '{');
        pql_report_text(out, "name", words->items[i]);
        pql_report_count(out, "qualified", counts[i]);
        pql_report_number(out, "rate", pql_ratio(counts[i], sign_ups), 6);
        pql_report_close(out, '}');
    }
    pql_report_close(out, ']');
}

static void json_weeks(struct pql_buf *out, const struct sum *sum)
{
    pql_report_open(out, "weeks", '[');
    for (size_t i = 0; i < sum->weeks_count; i++) {
        struct pql_buf date = {0};
        put_date(&date, sum->weeks[i].number);
        pql_report_open(out, NULL, '{');
        pql_report_text(out, "week_of", (struct pql_slice){date.ptr, date.len});
        pql_report_count(out, "sign_ups", sum->weeks[i].sign_ups);
        pql_report_count(out, "qualified", sum->weeks[i].qualified);
        pql_report_number(out, "rate", pql_ratio(sum->weeks[i].qualified, sum->weeks[i].sign_ups), 6);
        pql_report_close(out, '}');
        pql_buf_deinit(&date);
    }
    pql_report_close(out, ']');
}

static void json_definition(struct pql_buf *out, const struct summary *summary, size_t i)
{
    const struct pql_workbench *bench = &summary->replay->bench;
    const struct pql_definition_conf *conf = pql_program_definition(bench->program, i);
    const struct pql_definition_tally *tally = &bench->tallies[i];
    const struct sum *sum = &summary->sums[i];
    struct pql_buf warning = {0};
    warn(sum, &warning);
    pql_report_open(out, NULL, '{');
    pql_report_text(out, "definition", conf->name);
    pql_report_count(out, "version", (uint64_t)conf->version);
    pql_report_text(out, "subject", pql_slice_of(pql_subject_names[conf->subject]));
    pql_report_count(out, "seen", sum->seen);
    pql_report_count(out, "sign_ups", sum->sign_ups);
    pql_report_flag(out, "sign_ups_are_known", summary->has_sign_ups[conf->subject]);
    pql_report_count(out, "qualified", tally->ever);
    pql_report_count(out, "qualified_of_sign_ups", sum->qualified);
    pql_report_number(out, "rate", pql_ratio(sum->qualified, sum->sign_ups), 6);
    pql_report_count(out, "members", tally->entered - tally->left);
    pql_report_count(out, "entered", tally->entered);
    pql_report_count(out, "left", tally->left);
    pql_report_count(out, "converted", tally->converted);
    pql_report_count(out, "converted_unqualified", tally->unforeseen);
    pql_report_number(out, "mean_days_to_convert",
                      tally->converted ? tally->days / (double)tally->converted : NAN, 3);
    json_words(out, "tiers", &tally->tiers, sum->tiers, sum->sign_ups);
    json_words(out, "segments", &tally->segments, sum->segments, sum->sign_ups);
    json_weeks(out, sum);
    pql_report_open(out, "warnings", '[');
    if (warning.len) pql_report_text(out, NULL, (struct pql_slice){warning.ptr, warning.len});
    pql_report_close(out, ']');
    pql_report_close(out, '}');
    pql_buf_deinit(&warning);
}

/* --- both --- */

static void add_up(struct summary *summary, const struct pql_replay *replay)
{
    const struct pql_workbench *bench = &replay->bench;
    *summary = (struct summary){.replay = replay, .count = pql_program_definitions_count(bench->program)};
    summary->sums = pql_xcalloc(summary->count, sizeof *summary->sums);
    for (size_t i = 0; i < summary->count; i++) {
        const struct pql_definition_tally *tally = &bench->tallies[i];
        summary->sums[i].tiers = pql_xcalloc(tally->tiers.count + 1, sizeof(uint64_t));
        summary->sums[i].segments = pql_xcalloc(tally->segments.count + 1, sizeof(uint64_t));
    }
    pql_replay_each(replay, note_sign_ups, summary);
    pql_replay_each(replay, count, summary);
}

void pql_report_summary(const struct pql_replay *replay, bool is_brief, bool as_json, struct pql_buf *out)
{
    struct summary summary;
    add_up(&summary, replay);
    if (as_json) {
        pql_report_open(out, NULL, '{');
        pql_report_count(out, "events", replay->events);
        pql_report_count(out, "refused", replay->refused_total);
        pql_report_open(out, "definitions", '[');
    }
    for (size_t i = 0; i < summary.count; i++)
        if (as_json)
            json_definition(out, &summary, i);
        else
            put_definition(out, &summary, i, is_brief);
    if (as_json) {
        pql_report_close(out, ']');
        pql_report_close(out, '}');
        pql_buf_text(out, "\n");
    }
    for (size_t i = 0; i < summary.count; i++) {
        free(summary.sums[i].tiers);
        free(summary.sums[i].segments);
        free(summary.sums[i].weeks);
    }
    free(summary.sums);
}
