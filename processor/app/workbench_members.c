#include "app/report.h"
#include "app/workbench_reports.h"

#include "core/wire/rfc3339.h"

#include <stdlib.h>

struct pql_members {
    const struct pql_replay *replay;
    bool as_json;
    size_t definitions_count;
    struct pql_buf *lines; /* by definition */
    size_t *counts;
};

struct pql_members *pql_members_new(const struct pql_replay *replay, bool as_json)
{
    struct pql_members *members = pql_xcalloc(1, sizeof *members);
    size_t count = pql_program_definitions_count(replay->setup.program);
    members->replay = replay;
    members->as_json = as_json;
    members->definitions_count = count;
    members->lines = pql_xcalloc(count, sizeof *members->lines);
    members->counts = pql_xcalloc(count, sizeof *members->counts);
    return members;
}

static void put_time(struct pql_buf *out, const char *words, int64_t ms)
{
    char text[PQL_TIME_TEXT_MAX];
    if (ms != PQL_NO_TIME) pql_buf_printf(out, "%s%.*s", words, (int)pql_time_text(ms, text), text);
}

static void put_line(struct pql_buf *out, const struct pql_record *record)
{
    char score[PQL_DECIMAL_TEXT_MAX];
    pql_buf_printf(out, "  %.*s%s%.*s", PQL_SLICE_ARG(record->account_id), record->user_id.len ? "  " : "",
                   PQL_SLICE_ARG(record->user_id));
    if (record->tier.len) pql_buf_printf(out, "  %.*s", PQL_SLICE_ARG(record->tier));
    if (record->has_score)
        pql_buf_printf(out, "  score %.*s", (int)pql_decimal_text(record->score, score), score);
    put_time(out, "  since ", record->qualified_at);
    put_time(out, "  until ", record->expires_at);
    pql_buf_printf(out, "\n      %.*s\n", PQL_SLICE_ARG(record->reason_text));
}

void pql_members_take(void *context, const struct pql_record *record)
{
    struct pql_members *members = context;
    size_t definition = pql_workbench_definition(&members->replay->bench, record->definition);
    struct pql_buf *out = &members->lines[definition];
    members->counts[definition]++;
    if (!members->as_json) {
        put_line(out, record);
        return;
    }
    pql_encode_record(members->replay->encoder, record, pql_wall_ms(), out);
    pql_buf_text(out, "\n");
}

static void put_definition(const struct pql_members *members, size_t i, struct pql_buf *out)
{
    const struct pql_definition_conf *conf = pql_program_definition(members->replay->setup.program, i);
    static const char *const nouns[][2] = {{"user", "users"}, {"account", "accounts"}};
    char number[PQL_COUNT_TEXT_MAX];
    if (!members->as_json)
        pql_buf_printf(out, "%.*s, version %d%s: %s %s\n", PQL_SLICE_ARG(conf->name), conf->version,
                       conf->mode == PQL_MODE_SHADOW ? ", in shadow mode" : "",
                       pql_count_text(members->counts[i], number),
                       nouns[conf->subject][members->counts[i] != 1]);
    pql_buf_put(out, members->lines[i].ptr, members->lines[i].len);
}

void pql_members_report(struct pql_members *members, struct pql_buf *out)
{
    if (!members->as_json) put_time(out, "qualified at ", members->replay->until_ms);
    if (!members->as_json) pql_buf_text(out, "\n");
    for (size_t i = 0; i < members->definitions_count; i++) put_definition(members, i, out);
}

void pql_members_free(struct pql_members *members)
{
    if (!members) return;
    for (size_t i = 0; i < members->definitions_count; i++) pql_buf_deinit(&members->lines[i]);
    free(members->lines);
    free(members->counts);
    free(members);
}
