/* Events from the inputs' topics: each partition's engine sees what run's would, in the order of the broker's
 * timestamps where a task has several inputs. (Run takes them as they arrive, which for events read live is
 * the same order but for a moment.) */
#include "app/event_source.h"
#include "app/replayer.h"

#include <inttypes.h>

enum { MISPLACED_MIN = 10, MISPLACED_SEEN_MIN = 1000 };

/* Events whose account's partition is known, and is another. */
struct placing {
    uint64_t seen, misplaced;
};

static void check_place(struct placing *placing, const struct pql_replay *replay,
                        const struct pql_input_conf *input, const struct pql_event *event)
{
    if (input->partitioning == PQL_PARTITIONING_TRUSTED || !event->account.len) return;
    placing->seen++;
    placing->misplaced += pql_replay_task_of(replay, input, event->account) != (uint32_t)event->partition;
}

static void warn_misplaced(const struct placing *placing, const struct pql_config *config)
{
    if (placing->misplaced < MISPLACED_MIN || placing->seen < MISPLACED_SEEN_MIN ||
        (double)placing->misplaced <= config->misplaced_max * (double)placing->seen)
        return;
    fprintf(stderr,
            "warning: %" PRIu64 " of %" PRIu64
            " events lie in another partition than their account's key would "
            "be placed in: run would stop here. Produce with the account as key, or say in the input how the "
            "producer places keys: partitioning = \"murmur2\", \"crc32\" or \"trusted\"\n",
            placing->misplaced, placing->seen);
}

static void take(struct pql_replay *replay, struct placing *placing, struct pql_source_event *taken)
{
    const struct pql_input_conf *input = &replay->setup.config->inputs[taken->input];
    if (!taken->is_refused) {
        check_place(placing, replay, input, &taken->event);
        replay->events++;
        taken->is_refused =
            pql_replay_apply(replay, (size_t)taken->partition, &taken->event, &taken->refusal) != 0;
    }
    if (!taken->is_refused) return;
    char place[300];
    snprintf(place, sizeof place, "%s[%" PRId32 "]@%" PRId64, taken->topic, taken->partition,
             taken->record.offset);
    pql_replay_refuse(replay, place, &taken->refusal);
}

static int read_all(struct pql_replay *replay, struct pql_event_source *source, struct placing *placing,
                    struct pql_err *err)
{
    struct pql_source_event taken;
    uint64_t done = 0;
    int got = 1;
    while (!replay->out_failed && (got = pql_event_source_next(source, &taken, err)) > 0) {
        take(replay, placing, &taken);
        if (++done % 1024 == 0) pql_progress_show(&replay->progress, replay->events, done, pql_wall_ms());
    }
    return got < 0 ? -1 : 0;
}

int pql_replay_run_kafka(struct pql_replay *replay, const struct pql_replay_kafka *given)
{
    struct placing placing = {0};
    struct pql_err err = {0};
    struct pql_event_source *source =
        pql_event_source_open(&replay->setup, PQL_ALL_INPUTS, given->since_ms, given->until_ms, &err);
    int failed = source ? 0 : -1;
    if (source) {
        uint64_t size = pql_event_source_size(source);
        char text[PQL_COUNT_TEXT_MAX];
        pql_replay_start(replay, pql_event_source_partitions(source));
        fprintf(stderr, "replay: %zu partitions, %s offsets\n", replay->tasks_count,
                pql_count_text(size, text));
        pql_progress_init(&replay->progress, "replay", "events", size, pql_wall_ms());
        failed = read_all(replay, source, &placing, &err);
        if (!failed) pql_replay_finish(replay, given->advance_ms);
        pql_replay_summary(replay);
        warn_misplaced(&placing, replay->setup.config);
    }
    pql_event_source_close(source);
    if (!failed) return replay->out_failed ? PQL_EXIT_FAILURE : PQL_EXIT_OK;
    fprintf(stderr, "pqlstream replay: %s\n", err.msg);
    return err.cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
}
