/* replay: definitions over events that are there already. The same engine as run, one per partition; nothing
 * is written anywhere. */
#include "app/workbench_plan.h"

#include "core/lang/lang.h"

#include <stdlib.h>
#include <string.h>

struct replay_flags {
    struct pql_config_flags config;
    struct pql_period_flags period;
    const char *input, *format, *partitions, *advance;
    struct pql_workbench_flags bench;
    bool from_kafka, digest;
};

/* What the flags mean. */
struct plan {
    uint32_t partitions;
    int64_t advance_ms, since_ms, until_ms;
};

static int say(const char *flag, const char *value, const char *wanted)
{
    fprintf(stderr, "pqlstream replay: %s %s: must be %s\n", flag, value, wanted);
    return PQL_EXIT_CONFIG;
}

static int say_not_together(const char *flag, const char *other)
{
    fprintf(stderr, "pqlstream replay: %s does not go with %s\n", flag, other);
    return PQL_EXIT_CONFIG;
}

/* Of a topic everything is known that has to be said of files, and the other way round. */
static int check_source(const struct replay_flags *flags, int files)
{
    static const char *const from_kafka = "--from-kafka", *const file = "files";
    if (!flags->from_kafka && flags->period.since) return say_not_together("--since", file);
    if (!flags->from_kafka && flags->period.until) return say_not_together("--until", file);
    if (!flags->from_kafka) return PQL_EXIT_OK;
    if (files) return say_not_together("a file", from_kafka);
    if (flags->input) return say_not_together("--input", from_kafka);
    if (flags->format) return say_not_together("--format", from_kafka);
    return flags->partitions ? say_not_together("--partitions", from_kafka) : PQL_EXIT_OK;
}

static int read_flags(const struct replay_flags *flags, int files, struct plan *plan)
{
    *plan = (struct plan){.partitions = 1, .advance_ms = flags->advance ? INT64_MAX : -1};
    if (flags->format && !pql_replay_knows_format(flags->format))
        return say("--format", flags->format, "jsonl, csv or avro");
    if (flags->partitions) {
        char *end;
        unsigned long count = strtoul(flags->partitions, &end, 10);
        if (*end || count == 0 || count > PQL_REPLAY_PARTITIONS_MAX)
            return say("--partitions", flags->partitions, "1 to 100000");
        plan->partitions = (uint32_t)count;
    }
    if (flags->advance && strcmp(flags->advance, "end") != 0 &&
        !pql_duration_parse(pql_slice_of(flags->advance), &plan->advance_ms))
        return say("--advance", flags->advance, "a duration such as 14d, or end");
    if (!pql_period_read(&flags->period, "replay", pql_wall_ms(), &plan->since_ms, &plan->until_ms))
        return PQL_EXIT_CONFIG;
    if (flags->bench.at && flags->advance) return say_not_together("--advance", "--at");
    return check_source(flags, files);
}

static int replay_events(struct pql_replay *replay, const struct replay_flags *flags, const struct plan *plan,
                         char **files, int count)
{
    if (flags->from_kafka)
        return pql_replay_run_kafka(replay, &(struct pql_replay_kafka){.since_ms = plan->since_ms,
                                                                       .until_ms = plan->until_ms,
                                                                       .advance_ms = plan->advance_ms});
    pql_replay_start(replay, plan->partitions);
    return pql_replay_run_files(replay,
                                &(struct pql_replay_files){.input = flags->input,
                                                           .format = flags->format,
                                                           .has_partitions = flags->partitions != NULL,
                                                           .paths = files,
                                                           .count = count,
                                                           .advance_ms = plan->advance_ms});
}

/* The events through one configuration. */
static int replay_all(struct pql_replay *replay, struct pql_workbench_plan *bench,
                      const struct replay_flags *flags, const struct pql_config_flags *config,
                      const struct plan *plan, char **files, int count)
{
    int exit_code;
    if (!pql_setup_init(&replay->setup, config, flags->from_kafka, &exit_code)) return exit_code;
    pql_replay_init(replay);
    exit_code = pql_workbench_prepare(bench, replay);
    return exit_code == PQL_EXIT_OK ? replay_events(replay, flags, plan, files, count) : exit_code;
}

/* With --against the same events go through both configurations. */
static int replay_both(const struct replay_flags *flags, struct pql_workbench_plan *bench,
                       const struct plan *plan, char **files, int count)
{
    struct pql_replay replay = {.tells_digest = flags->digest}, old = {0};
    struct pql_config_flags config = flags->config;
    int exit_code = PQL_EXIT_OK;
    config.path = flags->bench.against;
    if (config.path) exit_code = replay_all(&old, bench, flags, &config, plan, files, count);
    if (exit_code == PQL_EXIT_OK)
        exit_code = replay_all(&replay, bench, flags, &flags->config, plan, files, count);
    if (exit_code == PQL_EXIT_OK)
        pql_workbench_report(bench, &replay, flags->config.path ? flags->config.path : "pqlstream.conf",
                             config.path ? &old : NULL);
    pql_replay_stop(&replay);
    pql_replay_stop(&old);
    return exit_code;
}

int pql_cmd_replay(int argc, char **argv)
{
    struct replay_flags given = {0};
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&given.config),
        {"--input", 'i', PQL_FLAG_TEXT, "TOPIC", "the input whose mapping is used; else the first",
         &given.input},
        {"--format", 'f', PQL_FLAG_TEXT, "jsonl|csv|avro", "of the files; else by suffix, else the input's",
         &given.format},
        {"--partitions", 'p', PQL_FLAG_TEXT, "P", "as on a topic of P partitions; else 1", &given.partitions},
        {"--from-kafka", 0, PQL_FLAG_YES, NULL,
         "read the inputs' topics in the place of files; nothing is committed", &given.from_kafka},
        PQL_PERIOD_FLAGS(&given.period),
        {"--advance", 'a', PQL_FLAG_TEXT, "DURATION|end",
         "at the end move the clock; end: until no timer is left", &given.advance},
        {"--digest", 0, PQL_FLAG_YES, NULL,
         "say the digest of each partition's state after its last event, as `checkpoint digest` does",
         &given.digest},
        PQL_WORKBENCH_FLAGS(&given.bench),
    };
    int rest, exit_code;
    struct plan plan;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Applies the definitions to the events of files, or of standard input, in the order read, or of "
            "the topics. Transitions come as\nJSON lines on standard output, everything else is said on "
            "standard error.\n"
            "JSON lines: one event a line. Avro: object container files. CSV: the header names paths of the "
            "mapping, as in account_id or\nproperties.plan. None of them needs a broker.\n"
            "--from-kafka: all partitions of all inputs, outside any group, in the order of the broker's "
            "timestamps; committed records only.\nWhat lies before --since is not known to the definitions.\n"
            "The clock stops at the last event, unless --advance moves it.\n"
            "--summary, --at, --trace, --against and --outcomes print a report in the place of the records.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    exit_code = read_flags(&given, rest, &plan);
    if (exit_code != PQL_EXIT_OK) return exit_code;
    struct pql_workbench_plan bench;
    exit_code = pql_workbench_check(&given.bench, argv + 1, given.from_kafka ? -1 : rest, &bench);
    if (exit_code == PQL_EXIT_OK) exit_code = replay_both(&given, &bench, &plan, argv + 1, rest);
    pql_workbench_plan_deinit(&bench);
    return exit_code;
}
