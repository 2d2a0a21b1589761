#include "app/report.h"
#include "app/workbench_reports.h"

#include "base/date.h"
#include "core/wire/rfc3339.h"

#include <inttypes.h>
#include <stdlib.h>

enum { EXAMPLES_MAX = 5 };

/* One person whose conversion was foreseen or overlooked. */
struct finding {
    struct pql_slice account, user;
    int64_t qualified_ms; /* PQL_NO_TIME: never */
    int64_t converted_ms;
};

struct findings {
    struct finding *items;
    size_t count, capacity;
};

/* Of one definition. Foreseen: qualified, and converted after that within the horizon. */
struct verdict {
    uint64_t n, converted, tp, fp, fn, tn;
    uint64_t later;      /* of fp: converted, but after the horizon */
    uint64_t open;       /* of fp: the horizon ends after the data */
    struct findings tps; /* foreseen */
    struct findings fns; /* overlooked */
};

struct judgement {
    const struct pql_replay *replay;
    const struct pql_outcomes_conf *conf;
    struct verdict *verdicts; /* by definition */
    size_t count;
    int64_t seen_ms;
};

static void add_finding(struct findings *findings, const struct pql_seen *of, int64_t qualified_ms,
                        int64_t converted_ms)
{
    findings->items =
        pql_xgrow(findings->items, &findings->capacity, findings->count + 1, sizeof *findings->items);
    findings->items[findings->count++] = (struct finding){of->account, of->user, qualified_ms, converted_ms};
}

static bool converts(const struct pql_definition_conf *conf, struct pql_slice name)
{
    const struct pql_path_list *names = &conf->outcomes[PQL_OUTCOME_CONVERTS];
    for (size_t i = 0; i < names->count; i++)
        if (pql_slice_eq(name, names->paths[i].text)) return true;
    return false;
}

static int64_t conversion_of(const struct judgement *judgement, size_t definition, const struct pql_seen *of)
{
    const struct pql_workbench *bench = &judgement->replay->bench;
    const struct pql_definition_conf *conf = pql_program_definition(bench->program, definition);
    int64_t first = PQL_NO_TIME;
    for (uint32_t i = 0; i < judgement->conf->outcomes_count; i++) {
        if (judgement->conf->by_convert_on && !converts(conf, bench->marks[i].name)) continue;
        int64_t at_ms = pql_workbench_marked(bench, of->account, of->user, i);
        if (at_ms != PQL_NO_TIME && (first == PQL_NO_TIME || at_ms < first)) first = at_ms;
    }
    return first;
}

static void judge_qualified(struct verdict *verdict, const struct judgement *judgement,
                            const struct pql_case *found, const struct pql_seen *of, int64_t converted_ms)
{
    const struct pql_entry *entry = found->entries;
    int64_t horizon_ms = judgement->conf->horizon_ms;
    if (converted_ms == PQL_NO_TIME) {
        verdict->fp++;
        verdict->open += found->newest->at_ms + horizon_ms > judgement->seen_ms;
        return;
    }
    while (entry && entry->at_ms < converted_ms && entry->at_ms + horizon_ms < converted_ms)
        entry = entry->next;
    if (entry && entry->at_ms < converted_ms) {
        verdict->tp++;
        add_finding(&verdict->tps, of, entry->at_ms, converted_ms);
    } else {
        verdict->fp++;
        verdict->later++;
    }
}

static void judge(struct judgement *judgement, size_t definition, const struct pql_seen *of,
                  int64_t converted_ms)
{
    const struct pql_workbench *bench = &judgement->replay->bench;
    struct verdict *verdict = &judgement->verdicts[definition];
    const struct pql_case *found = pql_case_of(pql_workbench_find(bench, of->account, of->user), definition);
    verdict->n++;
    verdict->converted += converted_ms != PQL_NO_TIME;
    if (found && (converted_ms == PQL_NO_TIME || found->entries->at_ms < converted_ms)) {
        judge_qualified(verdict, judgement, found, of, converted_ms);
    } else if (converted_ms == PQL_NO_TIME) {
        verdict->tn++;
    } else {
        verdict->fn++;
        add_finding(&verdict->fns, of, found ? found->entries->at_ms : PQL_NO_TIME, converted_ms);
    }
}

/* Not what is judged by, nor what has no conversions of its own. */
static bool is_judged(const struct judgement *judgement, const struct pql_definition_conf *conf)
{
    const struct pql_workbench *bench = &judgement->replay->bench;
    for (size_t i = 0; i < bench->marks_count; i++)
        if (bench->marks[i].is_definition && pql_slice_eq(bench->marks[i].name, conf->name)) return false;
    return !judgement->conf->by_convert_on || conf->outcomes[PQL_OUTCOME_CONVERTS].count;
}

static void judge_all(void *context, const struct pql_seen *of)
{
    struct judgement *judgement = context;
    const struct pql_workbench *bench = &judgement->replay->bench;
    enum pql_subject subject = of->user.len ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT;
    uint32_t among = (uint32_t)judgement->conf->outcomes_count;
    if (judgement->conf->among && pql_workbench_marked(bench, of->account, of->user, among) == PQL_NO_TIME)
        return;
    for (size_t i = 0; i < judgement->count; i++) {
        const struct pql_definition_conf *conf = pql_program_definition(bench->program, i);
        if (conf->subject == subject && is_judged(judgement, conf))
            judge(judgement, i, of, conversion_of(judgement, i, of));
    }
}

/* --- days to convert --- */

static int by_days(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    int64_t dx = x->converted_ms - x->qualified_ms, dy = y->converted_ms - y->qualified_ms;
    return (dx > dy) - (dx < dy);
}

static double days_of(const struct finding *finding)
{
    return (double)(finding->converted_ms - finding->qualified_ms) / PQL_DAY_MS;
}

/* Of findings in order of days: between the two nearest where none stands there. */
static double quantile(const struct findings *sorted, double share)
{
    double place = share * (double)(sorted->count - 1);
    size_t below = (size_t)place;
    double low = days_of(&sorted->items[below]);
    if (below + 1 == sorted->count) return low;
    return low + (place - (double)below) * (days_of(&sorted->items[below + 1]) - low);
}

/* --- words --- */

static void put_person(struct pql_buf *out, const struct finding *finding)
{
    char text[PQL_TIME_TEXT_MAX];
    pql_buf_printf(out, "%.*s%s%.*s", PQL_SLICE_ARG(finding->account), finding->user.len ? "/" : "",
                   PQL_SLICE_ARG(finding->user));
    text[pql_time_text(finding->converted_ms, text)] = 0;
    pql_buf_printf(out, " on %.10s", text);
}

static void put_overlooked(struct pql_buf *out, const struct findings *fns)
{
    if (!fns->count) return;
    pql_buf_text(out, "  converted unqualified: ");
    for (size_t i = 0; i < fns->count && i < EXAMPLES_MAX; i++) {
        if (i) pql_buf_text(out, ", ");
        put_person(out, &fns->items[i]);
        if (fns->items[i].qualified_ms != PQL_NO_TIME) pql_buf_text(out, " (qualified later)");
    }
    if (fns->count > EXAMPLES_MAX) pql_buf_printf(out, " and %zu more", fns->count - EXAMPLES_MAX);
    pql_buf_text(out, "\n");
}

static void put_matrix(struct pql_buf *out, const struct verdict *v)
{
    char percent[PQL_PERCENT_TEXT_MAX];
    uint64_t qualified = v->tp + v->fp;
    pql_buf_printf(out, "                       converted         not\n");
    pql_buf_printf(out, "  qualified before  %12" PRIu64 "%12" PRIu64 "   precision %s", v->tp, v->fp,
                   pql_percent_text(v->tp, qualified, percent));
    if (qualified && v->converted)
        pql_buf_printf(out, ", %.2f times the base rate",
                       pql_ratio(v->tp, qualified) / pql_ratio(v->converted, v->n));
    pql_buf_printf(out, "\n  not               %12" PRIu64 "%12" PRIu64 "   recall %s\n", v->fn, v->tn,
                   pql_percent_text(v->tp, v->tp + v->fn, percent));
}

static void put_verdict(struct pql_buf *out, const struct judgement *judgement, size_t i)
{
    const struct pql_definition_conf *conf = pql_program_definition(judgement->replay->bench.program, i);
    struct verdict *v = &judgement->verdicts[i];
    char a[PQL_COUNT_TEXT_MAX], b[PQL_COUNT_TEXT_MAX], percent[PQL_PERCENT_TEXT_MAX];
    pql_buf_printf(out, "%.*s, version %d: %s %s, %s converted (base rate %s)\n", PQL_SLICE_ARG(conf->name),
                   conf->version, pql_count_text(v->n, a),
                   conf->subject == PQL_SUBJECT_USER ? "users" : "accounts", pql_count_text(v->converted, b),
                   pql_percent_text(v->converted, v->n, percent));
    put_matrix(out, v);
    if (v->tps.count)
        pql_buf_printf(out, "  days to convert: median %.1f, quartiles %.1f and %.1f\n",
                       quantile(&v->tps, 0.5), quantile(&v->tps, 0.25), quantile(&v->tps, 0.75));
    if (v->later)
        pql_buf_printf(out, "  %s converted later than the horizon: counted as not converted\n",
                       pql_count_text(v->later, a));
    if (v->open)
        pql_buf_printf(out, "  %s of those not converted have a horizon that ends after the data\n",
                       pql_count_text(v->open, a));
    put_overlooked(out, &v->fns);
}

static void put_title(struct pql_buf *out, const struct judgement *judgement)
{
    const struct pql_outcomes_conf *conf = judgement->conf;
    struct pql_arena arena;
    pql_arena_init(&arena);
    pql_buf_text(out, "outcomes: ");
    for (size_t i = 0; i < conf->outcomes_count; i++)
        pql_buf_printf(out, "%s%.*s", i ? ", " : "", PQL_SLICE_ARG(conf->marks[i].name));
    pql_buf_printf(out, " within %.*s of qualifying",
                   PQL_SLICE_ARG(pql_duration_text(conf->horizon_ms, &arena)));
    if (conf->among)
        pql_buf_printf(out, ", among those who entered %.*s",
                       PQL_SLICE_ARG(conf->marks[conf->outcomes_count].name));
    pql_buf_text(out, "\n");
    pql_arena_deinit(&arena);
}

/* --- JSON --- */

static void json_findings(struct pql_buf *out, const char *name, const struct findings *findings)
{
    pql_report_open(out, name, '[');
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        pql_report_open(out, NULL, '{');
        pql_report_text(out, "account_id", finding->account);
        if (finding->user.len) pql_report_text(out, "user_id", finding->user);
        pql_report_time(out, "qualified_at", finding->qualified_ms);
        pql_report_time(out, "converted_at", finding->converted_ms);
        pql_report_close(out, '}');
    }
    pql_report_close(out, ']');
}

static void json_days(struct pql_buf *out, const struct findings *tps)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"lower_quartile", 0.25}, {"median", 0.5}, {"upper_quartile", 0.75}};
    if (!tps->count) return;
    pql_report_open(out, "days_to_convert", '{');
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        pql_report_number(out, quantiles[i].name, quantile(tps, quantiles[i].share), 3);
    pql_report_close(out, '}');
}

static void json_verdict(struct pql_buf *out, const struct judgement *judgement, size_t i)
{
    const struct pql_definition_conf *conf = pql_program_definition(judgement->replay->bench.program, i);
    const struct verdict *v = &judgement->verdicts[i];
    double precision = pql_ratio(v->tp, v->tp + v->fp), base_rate = pql_ratio(v->converted, v->n);
    pql_report_open(out, NULL, '{');
    pql_report_text(out, "definition", conf->name);
    pql_report_count(out, "version", (uint64_t)conf->version);
    pql_report_text(out, "subject", pql_slice_of(pql_subject_names[conf->subject]));
    pql_report_count(out, "n", v->n);
    pql_report_count(out, "converted", v->converted);
    pql_report_count(out, "tp", v->tp);
    pql_report_count(out, "fp", v->fp);
    pql_report_count(out, "fn", v->fn);
    pql_report_count(out, "tn", v->tn);
    pql_report_number(out, "base_rate", base_rate, 6);
    pql_report_number(out, "precision", precision, 6);
    pql_report_number(out, "recall", pql_ratio(v->tp, v->tp + v->fn), 6);
    pql_report_number(out, "lift", precision / base_rate, 6);
    json_days(out, &v->tps);
    pql_report_count(out, "converted_after_horizon", v->later);
    pql_report_count(out, "horizon_beyond_data", v->open);
    json_findings(out, "true_positives", &v->tps);
    json_findings(out, "false_negatives", &v->fns);
    pql_report_close(out, '}');
}

static void json_title(struct pql_buf *out, const struct judgement *judgement)
{
    const struct pql_outcomes_conf *conf = judgement->conf;
    pql_report_open(out, "outcomes", '[');
    for (size_t i = 0; i < conf->outcomes_count; i++) pql_report_text(out, NULL, conf->marks[i].name);
    pql_report_close(out, ']');
    pql_report_number(out, "horizon_days", (double)conf->horizon_ms / PQL_DAY_MS, 3);
    if (conf->among) pql_report_text(out, "among", conf->marks[conf->outcomes_count].name);
    pql_report_open(out, "definitions", '[');
}

/* --- both --- */

/* A name that no event had is most likely a slip. */
static void warn_unseen(const struct pql_workbench *bench, const struct pql_outcomes_conf *conf)
{
    const char **names = pql_xcalloc(bench->events.count + 1, sizeof *names);
    for (size_t i = 0; i < bench->events.count; i++) names[i] = bench->events.items[i].ptr;
    for (size_t i = 0; i < conf->outcomes_count; i++) {
        bool is_seen = conf->marks[i].is_definition;
        for (size_t k = 0; k < bench->events.count && !is_seen; k++)
            is_seen = pql_slice_eq(bench->events.items[k], conf->marks[i].name);
        if (is_seen) continue;
        const char *nearest = pql_nearest(conf->marks[i].name, names, bench->events.count);
        fprintf(stderr, "warning: no event '%.*s' in the data", PQL_SLICE_ARG(conf->marks[i].name));
        fprintf(stderr, nearest ? "; did you mean '%s'?\n" : "\n", nearest);
    }
    free(names);
}

static void warn_unjudged(const struct judgement *judgement)
{
    for (size_t i = 0; i < judgement->count; i++)
        if (is_judged(judgement, pql_program_definition(judgement->replay->bench.program, i))) return;
    fprintf(stderr,
            "warning: no definition is left to judge: each is an outcome itself, or the one of --among\n");
}

void pql_report_outcomes(const struct pql_replay *replay, const struct pql_outcomes_conf *conf, bool as_json,
                         struct pql_buf *out)
{
    struct judgement judgement = {.replay = replay,
                                  .conf = conf,
                                  .count = pql_program_definitions_count(replay->bench.program),
                                  .seen_ms = pql_replay_seen(replay)};
    judgement.verdicts = pql_xcalloc(judgement.count, sizeof *judgement.verdicts);
    pql_replay_each(replay, judge_all, &judgement);
    warn_unseen(&replay->bench, conf);
    warn_unjudged(&judgement);
    if (as_json) {
        pql_report_open(out, NULL, '{');
        json_title(out, &judgement);
    } else {
        put_title(out, &judgement);
    }
    for (size_t i = 0; i < judgement.count; i++) {
        struct verdict *v = &judgement.verdicts[i];
        if (v->tps.count) qsort(v->tps.items, v->tps.count, sizeof *v->tps.items, by_days);
        if (is_judged(&judgement, pql_program_definition(replay->bench.program, i)))
            (as_json ? json_verdict : put_verdict)(out, &judgement, i);
        free(v->tps.items);
        free(v->fns.items);
    }
    pql_buf_text(out, as_json ? "]}\n" : "");
    free(judgement.verdicts);
}
