#include "app/report.h"
#include "app/workbench_reports.h"

#include "base/date.h"
#include "core/wire/rfc3339.h"

#include <inttypes.h>
#include <stdlib.h>

enum { EXAMPLES_MAX = 5 };

enum side { BOTH, ONLY_OLD, ONLY_NEW, SIDES };

/* A person that entered, and when first, by either. */
struct entrant {
    struct pql_slice account, user, reason;
    int64_t old_ms, new_ms; /* PQL_NO_TIME: never */
};

struct comparison {
    struct entrant *items[SIDES];
    size_t count[SIDES], capacity[SIDES];
    uint64_t entries[2]; /* records of the old and of the new one */
};

static int by_person(const void *a, const void *b)
{
    const struct entrant *x = a, *y = b;
    int order = pql_slice_cmp(x->account, y->account);
    return order ? order : pql_slice_cmp(x->user, y->user);
}

static void add(struct comparison *comparison, enum side side, const struct entrant *entrant)
{
    struct entrant **items = &comparison->items[side];
    size_t *count = &comparison->count[side];
    *items = pql_xgrow(*items, &comparison->capacity[side], *count + 1, sizeof **items);
    (*items)[(*count)++] = *entrant;
}

static struct entrant entrant_of(const struct pql_person *person, const struct pql_case *of)
{
    return (struct entrant){person->account, person->user, of->reason, PQL_NO_TIME, PQL_NO_TIME};
}

/* Everybody that entered by the new one, then who did by the old one only. */
static struct comparison compare(const struct pql_workbench *now, size_t i, const struct pql_workbench *old,
                                 size_t k)
{
    struct comparison comparison = {.entries = {old->tallies[k].entered, now->tallies[i].entered}};
    for (size_t p = 0; p < now->people_capacity; p++) {
        const struct pql_person *person = now->people[p];
        const struct pql_case *of = pql_case_of(person, i);
        if (!of) continue;
        const struct pql_case *before =
            pql_case_of(pql_workbench_find(old, person->account, person->user), k);
        struct entrant entrant = entrant_of(person, of);
        entrant.new_ms = of->entries->at_ms;
        if (before) entrant.old_ms = before->entries->at_ms;
        add(&comparison, before ? BOTH : ONLY_NEW, &entrant);
    }
    for (size_t p = 0; p < old->people_capacity; p++) {
        const struct pql_person *person = old->people[p];
        const struct pql_case *of = pql_case_of(person, k);
        if (!of || pql_case_of(pql_workbench_find(now, person->account, person->user), i)) continue;
        struct entrant entrant = entrant_of(person, of);
        entrant.old_ms = of->entries->at_ms;
        add(&comparison, ONLY_OLD, &entrant);
    }
    for (int side = 0; side < SIDES; side++)
        if (comparison.count[side])
            qsort(comparison.items[side], comparison.count[side], sizeof(struct entrant), by_person);
    return comparison;
}

/* --- words --- */

static void put_time(struct pql_buf *out, int64_t ms)
{
    char text[PQL_TIME_TEXT_MAX];
    pql_buf_printf(out, "%.*s", (int)pql_time_text(ms, text), text);
}

static void put_examples(struct pql_buf *out, const struct comparison *comparison, enum side side,
                         const char *name)
{
    char number[PQL_COUNT_TEXT_MAX];
    pql_buf_printf(out, "  only by %s: %s\n", name, pql_count_text(comparison->count[side], number));
    for (size_t i = 0; i < comparison->count[side] && i < EXAMPLES_MAX; i++) {
        const struct entrant *entrant = &comparison->items[side][i];
        pql_buf_printf(out, "    %.*s%s%.*s  ", PQL_SLICE_ARG(entrant->account),
                       entrant->user.len ? "  " : "", PQL_SLICE_ARG(entrant->user));
        put_time(out, side == ONLY_OLD ? entrant->old_ms : entrant->new_ms);
        pql_buf_printf(out, "  %.*s\n", PQL_SLICE_ARG(entrant->reason));
    }
    if (comparison->count[side] > EXAMPLES_MAX)
        pql_buf_printf(out, "    and %s more\n",
                       pql_count_text(comparison->count[side] - EXAMPLES_MAX, number));
}

/* How many of those who entered by both did so at another time. */
static void count_moved(const struct comparison *comparison, uint64_t *earlier, uint64_t *later)
{
    *earlier = *later = 0;
    for (size_t i = 0; i < comparison->count[BOTH]; i++) {
        const struct entrant *entrant = &comparison->items[BOTH][i];
        *earlier += entrant->new_ms < entrant->old_ms;
        *later += entrant->new_ms > entrant->old_ms;
    }
}

static void put_comparison(struct pql_buf *out, const struct pql_definition_conf *conf,
                           const struct comparison *comparison, const char *now_name, const char *old_name)
{
    char a[PQL_COUNT_TEXT_MAX], b[PQL_COUNT_TEXT_MAX], c[PQL_COUNT_TEXT_MAX];
    uint64_t earlier, later;
    count_moved(comparison, &earlier, &later);
    pql_buf_printf(out, "%.*s\n  by both: %s", PQL_SLICE_ARG(conf->name),
                   pql_count_text(comparison->count[BOTH], a));
    if (earlier || later)
        pql_buf_printf(out, ", of these %s earlier and %s later by %s", pql_count_text(earlier, b),
                       pql_count_text(later, c), now_name);
    pql_buf_text(out, "\n");
    put_examples(out, comparison, ONLY_OLD, old_name);
    put_examples(out, comparison, ONLY_NEW, now_name);
    if (comparison->entries[1] >= 2 * comparison->entries[0] && comparison->entries[0])
        pql_buf_printf(out, "  warning: entries double: %s instead of %s\n",
                       pql_count_text(comparison->entries[1], a), pql_count_text(comparison->entries[0], b));
}

/* --- JSON --- */

static void json_side(struct pql_buf *out, const struct comparison *comparison, enum side side,
                      const char *name)
{
    pql_report_open(out, name, '[');
    for (size_t i = 0; i < comparison->count[side]; i++) {
        const struct entrant *entrant = &comparison->items[side][i];
        pql_report_open(out, NULL, '{');
        pql_report_text(out, "account_id", entrant->account);
        if (entrant->user.len) pql_report_text(out, "user_id", entrant->user);
        if (entrant->old_ms != PQL_NO_TIME) pql_report_time(out, "old_at", entrant->old_ms);
        if (entrant->new_ms != PQL_NO_TIME) pql_report_time(out, "new_at", entrant->new_ms);
        pql_report_text(out, "reason_text", entrant->reason);
        pql_report_close(out, '}');
    }
    pql_report_close(out, ']');
}

static void json_comparison(struct pql_buf *out, const struct pql_definition_conf *conf,
                            const struct comparison *comparison)
{
    pql_report_open(out, NULL, '{');
    pql_report_text(out, "definition", conf->name);
    pql_report_text(out, "subject", pql_slice_of(pql_subject_names[conf->subject]));
    pql_report_count(out, "old_entries", comparison->entries[0]);
    pql_report_count(out, "new_entries", comparison->entries[1]);
    pql_report_flag(out, "entries_double",
                    comparison->entries[0] && comparison->entries[1] >= 2 * comparison->entries[0]);
    json_side(out, comparison, BOTH, "both");
    json_side(out, comparison, ONLY_OLD, "only_old");
    json_side(out, comparison, ONLY_NEW, "only_new");
    pql_report_close(out, '}');
}

/* --- both --- */

static void report_missing(const struct pql_workbench *in, const struct pql_workbench *missing_in,
                           const char *name, const char *key, bool as_json, struct pql_buf *out)
{
    if (as_json) pql_report_open(out, key, '[');
    for (size_t i = 0; i < pql_program_definitions_count(in->program); i++) {
        struct pql_slice definition = pql_program_definition(in->program, i)->name;
        if (pql_workbench_definition(missing_in, definition) <
            pql_program_definitions_count(missing_in->program))
            continue;
        if (as_json)
            pql_report_text(out, NULL, definition);
        else
            pql_buf_printf(out, "%.*s: only in %s\n", PQL_SLICE_ARG(definition), name);
    }
    if (as_json) pql_report_close(out, ']');
}

void pql_report_against(const struct pql_replay *now, const char *now_name, const struct pql_replay *old,
                        const char *old_name, bool as_json, struct pql_buf *out)
{
    size_t old_count = pql_program_definitions_count(old->bench.program);
    if (as_json) {
        pql_report_open(out, NULL, '{');
        pql_report_open(out, "definitions", '[');
    }
    for (size_t i = 0; i < pql_program_definitions_count(now->bench.program); i++) {
        const struct pql_definition_conf *conf = pql_program_definition(now->bench.program, i);
        size_t k = pql_workbench_definition(&old->bench, conf->name);
        if (k == old_count) continue;
        struct comparison comparison = compare(&now->bench, i, &old->bench, k);
        if (as_json)
            json_comparison(out, conf, &comparison);
        else
            put_comparison(out, conf, &comparison, now_name, old_name);
        for (int side = 0; side < SIDES; side++) free(comparison.items[side]);
    }
    if (as_json) pql_report_close(out, ']');
    report_missing(&old->bench, &now->bench, old_name, "definitions_only_old", as_json, out);
    report_missing(&now->bench, &old->bench, now_name, "definitions_only_new", as_json, out);
    if (as_json) pql_report_close(out, '}');
    if (as_json) pql_buf_text(out, "\n");
}
