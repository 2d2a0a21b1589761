#include "app/workbench_plan.h"

#include "app/period.h"
#include "app/report.h"
#include "base/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HORIZON_DAYS = 60 };

static int say(const char *what)
{
    fprintf(stderr, "pqlstream replay: %s\n", what);
    return PQL_EXIT_CONFIG;
}

/* --- flags --- */

/* What does not go with what, and what is missing, row by row. */
static int check_together(const struct pql_workbench_flags *flags)
{
    int reports = flags->summary + flags->trace + (flags->at != NULL) + (flags->against != NULL) +
                  (flags->outcomes != NULL);
    const struct {
        bool is_wrong;
        const char *what;
    } rows[] = {
        {reports > 1, "--summary, --at, --trace, --against and --outcomes do not go together: ask for one"},
        {flags->trace && !flags->account, "--trace needs an account: --account ID --trace"},
        {!flags->trace && flags->account, "--account needs --trace"},
        {!flags->trace && flags->user, "--user needs --account ID --trace"},
        {!flags->outcomes && flags->horizon, "--horizon needs --outcomes"},
        {!flags->outcomes && flags->among, "--among needs --outcomes"},
        {!reports && flags->as_json, "--json needs a report: --summary, --at, --trace, --against or "
                                     "--outcomes; records are JSON lines anyway"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].is_wrong) return say(rows[i].what);
    return PQL_EXIT_OK;
}

/* `--outcomes NAME` is read as a file: said before the file is missed. */
static int check_files(const struct pql_workbench_flags *flags, char **files, int count)
{
    bool reads_stdin = count == 0;
    for (int i = 0; i < count; i++) reads_stdin |= strcmp(files[i], "-") == 0;
    if (flags->against && reads_stdin)
        return say("--against reads the events twice: give files, standard input can be read once");
    if (flags->outcomes && !*flags->outcomes && count && access(files[0], F_OK) != 0) {
        fprintf(stderr, "pqlstream replay: no file '%s'; a name of conversions is written --outcomes=%s\n",
                files[0], files[0]);
        return PQL_EXIT_CONFIG;
    }
    return PQL_EXIT_OK;
}

int pql_workbench_check(const struct pql_workbench_flags *flags, char **files, int files_count,
                        struct pql_workbench_plan *plan)
{
    *plan = (struct pql_workbench_plan){.flags = flags, .printer = {.as_json = flags->as_json}};
    plan->outcomes.horizon_ms = (int64_t)HORIZON_DAYS * PQL_DAY_MS;
    if (check_together(flags) || check_files(flags, files, files_count)) return PQL_EXIT_CONFIG;
    if (flags->at && !pql_instant_parse(flags->at, pql_wall_ms(), &plan->at_ms)) {
        fprintf(
            stderr,
            "pqlstream replay: --at %s: must be a date such as 2026-03-01, a time with its offset such as "
            "2026-03-01T09:00:00Z, or a duration such as 30d, so long ago\n",
            flags->at);
        return PQL_EXIT_CONFIG;
    }
    if (flags->horizon && (!pql_duration_parse(pql_slice_of(flags->horizon), &plan->outcomes.horizon_ms) ||
                           !plan->outcomes.horizon_ms)) {
        fprintf(stderr, "pqlstream replay: --horizon %s: must be a duration such as 60d\n", flags->horizon);
        return PQL_EXIT_CONFIG;
    }
    return PQL_EXIT_OK;
}

void pql_workbench_plan_deinit(struct pql_workbench_plan *plan)
{
    free(plan->outcomes.marks);
    pql_members_free(plan->members);
}

/* --- marks --- */

static void add_mark(struct pql_workbench_plan *plan, const struct pql_replay *replay, struct pql_slice name)
{
    struct pql_outcomes_conf *conf = &plan->outcomes;
    const struct pql_program *program = replay->setup.program;
    bool is_definition = false;
    for (size_t i = 0; i < pql_program_definitions_count(program); i++)
        is_definition |= pql_slice_eq(pql_program_definition(program, i)->name, name);
    conf->marks = pql_xrealloc(conf->marks, (conf->outcomes_count + 2) * sizeof *conf->marks);
    conf->marks[conf->outcomes_count++] = (struct pql_mark){.name = name, .is_definition = is_definition};
}

/* What the definitions call a conversion, each name once. */
static void add_convert_on(struct pql_workbench_plan *plan, const struct pql_replay *replay)
{
    struct pql_outcomes_conf *conf = &plan->outcomes;
    const struct pql_program *program = replay->setup.program;
    conf->by_convert_on = true;
    for (size_t i = 0; i < pql_program_definitions_count(program); i++) {
        const struct pql_path_list *names =
            &pql_program_definition(program, i)->outcomes[PQL_OUTCOME_CONVERTS];
        for (size_t n = 0; n < names->count; n++) {
            struct pql_slice name = names->paths[n].text;
            bool is_there = false;
            for (size_t k = 0; k < conf->outcomes_count; k++)
                is_there |= pql_slice_eq(conf->marks[k].name, name);
            if (is_there) continue;
            add_mark(plan, replay, name);
            conf->marks[conf->outcomes_count - 1].is_feedback = true;
            conf->marks[conf->outcomes_count - 1].is_definition = false;
        }
    }
}

static void add_names(struct pql_workbench_plan *plan, const struct pql_replay *replay, const char *names)
{
    while (*names) {
        size_t len = strcspn(names, ",");
        if (len) add_mark(plan, replay, (struct pql_slice){names, len});
        names += len + (names[len] == ',');
    }
}

static int add_population(struct pql_workbench_plan *plan, const struct pql_replay *replay, const char *name)
{
    const struct pql_program *program = replay->setup.program;
    size_t count = pql_program_definitions_count(program);
    const char **names = pql_xcalloc(count + 1, sizeof *names);
    add_mark(plan, replay, pql_slice_of(name));
    plan->outcomes.among = true;
    bool is_known = plan->outcomes.marks[--plan->outcomes.outcomes_count].is_definition;
    for (size_t i = 0; i < count; i++) names[i] = pql_program_definition(program, i)->name.ptr;
    const char *nearest = is_known ? NULL : pql_nearest(pql_slice_of(name), names, count);
    if (!is_known)
        fprintf(stderr, "pqlstream replay: --among %s: no such definition%s%s%s\n", name,
                nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    free(names);
    return is_known ? PQL_EXIT_OK : PQL_EXIT_CONFIG;
}

static int prepare_outcomes(struct pql_workbench_plan *plan, struct pql_replay *replay)
{
    if (*plan->flags->outcomes)
        add_names(plan, replay, plan->flags->outcomes);
    else
        add_convert_on(plan, replay);
    if (!plan->outcomes.outcomes_count)
        return say("--outcomes needs to know what a conversion is: --outcomes=closed_won, or convert_on in a "
                   "definition");
    if (plan->flags->among && add_population(plan, replay, plan->flags->among)) return PQL_EXIT_CONFIG;
    replay->bench.marks = plan->outcomes.marks;
    replay->bench.marks_count = plan->outcomes.outcomes_count + plan->outcomes.among;
    return PQL_EXIT_OK;
}

int pql_workbench_prepare(struct pql_workbench_plan *plan, struct pql_replay *replay)
{
    const struct pql_workbench_flags *flags = plan->flags;
    replay->is_quiet = flags->summary || flags->trace || flags->at || flags->against || flags->outcomes;
    if (flags->outcomes) return prepare_outcomes(plan, replay);
    if (flags->trace) {
        replay->traced_account = flags->account;
        replay->traced_user = flags->user ? flags->user : "";
        replay->traces = &plan->printer;
    }
    if (!flags->at) return PQL_EXIT_OK;
    replay->has_until = true;
    replay->until_ms = plan->at_ms;
    plan->members = pql_members_new(replay, flags->as_json);
    replay->refreshed = pql_members_take;
    replay->refreshed_context = plan->members;
    return PQL_EXIT_OK;
}

/* --- reports --- */

void pql_workbench_report(struct pql_workbench_plan *plan, const struct pql_replay *replay,
                          const char *config_path, const struct pql_replay *old)
{
    const struct pql_workbench_flags *flags = plan->flags;
    struct pql_buf out = {0};
    if (flags->summary) pql_report_summary(replay, false, flags->as_json, &out);
    if (flags->outcomes) pql_report_outcomes(replay, &plan->outcomes, flags->as_json, &out);
    if (old) pql_report_against(replay, config_path, old, flags->against, flags->as_json, &out);
    if (plan->members) pql_members_report(plan->members, &out);
    if (flags->trace && !plan->printer.count)
        fprintf(stderr, "nothing was evaluated for account '%s'%s%s%s: is it in the events?\n",
                flags->account, flags->user ? ", user '" : "", flags->user ? flags->user : "",
                flags->user ? "'" : "");
    pql_report_print(&out, stdout);
    pql_buf_deinit(&out);
}
