/* demo: the whole thing on generated traffic, in one process. Without --broker on librdkafka's embedded mock
 * broker, at least once, since that stores no transactional offsets; with it on a real cluster, exactly once,
 * under a topic prefix of its own. Nothing here is a shortcut through the pipeline: traffic goes in by Kafka,
 * what is shown comes out of it. */
#include "app/demo_traffic.h"
#include "app/embedded.h"
#include "app/kafka_say.h"
#include "app/runner.h"
#include "app/topics.h"
#include "base/log.h"
#include "core/wire/json.h"
#include "io/kafka_mock.h"
#include "io/kafka_tail.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_MS (24 * INT64_C(3600000))

enum {
    PARTITIONS = 4,
    ACCOUNTS = 3000,
    DAYS = 28,
    SECONDS = 25,
    AHEAD_MAX = 20000, /* events that may wait in the input: the embedded broker keeps 5 MB a partition */
    SETTLE_S = 15,
    TURN_MS = 20,
    LINES_PER_S = 4,
    STATUS_MS = 1000,
    PATH_LEN = 200,
    COUNTS_MAX = 40,
};

struct demo_flags {
    const char *broker, *remove, *seconds;
};

struct count {
    char name[60];
    uint64_t entered, left;
};

/* What is shown of a record, in this order; see fields below. */
enum { F_DEFINITION, F_ACCOUNT, F_USER, F_TRANSITION, F_REASON, F_OCCURRED, F_COUNT };

struct demo {
    const struct demo_flags *flags;
    char prefix[60], folder[PATH_LEN];
    struct pql_kafka_mock *mock;
    struct pql_setup setup;
    struct pql_runner *runner;

    /* traffic */
    struct pql_traffic *traffic;
    struct pql_kafka_ports *feed; /* its first output is our input */
    struct pql_ports feed_ports;
    int64_t from_ms, to_ms, seconds;
    uint64_t sent, acked;
    bool is_sent;

    /* what comes out */
    struct pql_kafka_tail *tail;
    struct pql_json_plan *plan;
    struct pql_arena scratch;
    struct count counts[COUNTS_MAX];
    size_t counts_count;
    uint64_t transitions, hidden, dead;
    int64_t lines_second;
    int lines;
    bool is_terminal;
    int64_t status_ms, began_ms;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static bool was_interrupted(void *context)
{
    (void)context;
    return interrupted;
}

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the configuration: a folder with a file of our own and the ready definitions --- */

static int write_file(const char *path, struct pql_slice text, struct pql_err *err)
{
    FILE *file = fopen(path, "wb");
    if (!file) return PQL_FAIL(err, PQL_ERR_FATAL, "%s cannot be written", path);
    size_t written = fwrite(text.ptr, 1, text.len, file);
    if (fclose(file) || written != text.len)
        return PQL_FAIL(err, PQL_ERR_FATAL, "%s cannot be written", path);
    return 0;
}

static void main_text(const struct demo *demo, const char *broker, struct pql_buf *out)
{
    pql_buf_printf(out,
                   "app = \"%s\";\n"
                   "kafka = { bootstrap_servers = \"%s\"; consumer = { fetch_wait_max_ms = %d; }; };\n"
                   "delivery = \"%s\";\n"
                   "log_level = \"error\";\n"
                   "inputs = ( { topic = \"%s.product-events\"; format = \"json\"; mapping = \"demo\"; } );\n"
                   "mappings = { demo = { preset = \"canonical\"; start_events = \"kind:identify\";\n"
                   "  labels = ( { event = \"invite_sent\"; text = \"teammates invited\"; },\n"
                   "             { event = \"project_created\"; text = \"projects created\"; },\n"
                   "             { event = \"document_created\"; text = \"documents created\"; },\n"
                   "             { event = \"saved_query_run\"; text = \"saved queries run\"; },\n"
                   "             { event = \"paywall_hit\"; text = \"plan limits met\"; } ); }; };\n"
                   "// Weeks pass in seconds here: what is weeks old is news all the same.\n"
                   "alert_max_age = \"3650d\";\n"
                   "checkpoint_interval = \"5s\";\n"
                   "replication_factor = 1;\n"
                   "definition_files = [ \"rules_*.conf\" ];\n",
                   demo->prefix, broker, demo->mock ? 10 : 100, demo->mock ? "at_least_once" : "exactly_once",
                   demo->prefix);
}

static void path_of(const struct demo *demo, const char *embedded, char out[PATH_LEN])
{
    snprintf(out, PATH_LEN, "%.120s/rules_%.60s", demo->folder, strrchr(embedded, '/') + 1);
}

static bool is_rules(const struct pql_embedded *file)
{
    return strncmp(file->path, "conf/rules/", 11) == 0;
}

static int write_configuration(struct demo *demo, const char *broker, struct pql_err *err)
{
    char path[PATH_LEN];
    struct pql_buf text = {0};
    const char *where = getenv("TMPDIR");
    snprintf(demo->folder, sizeof(demo->folder), "%s/pqlstream-demo-XXXXXX",
             where && *where ? where : "/tmp");
    if (!mkdtemp(demo->folder)) {
        demo->folder[0] = '\0';
        return PQL_FAIL(err, PQL_ERR_FATAL, "no folder for the demo's configuration can be made in %s",
                        where ? where : "/tmp");
    }
    main_text(demo, broker, &text);
    snprintf(path, sizeof(path), "%.150s/demo.conf", demo->folder);
    int result = write_file(path, (struct pql_slice){text.ptr, text.len}, err);
    pql_buf_deinit(&text);
    for (size_t i = 0; !result && i < pql_embedded_count; i++) {
        if (!is_rules(&pql_embedded_files[i])) continue;
        path_of(demo, pql_embedded_files[i].path, path);
        result = write_file(path, pql_embedded_files[i].text, err);
    }
    return result;
}

static void remove_configuration(const struct demo *demo)
{
    char path[PATH_LEN];
    if (!demo->folder[0]) return;
    for (size_t i = 0; i < pql_embedded_count; i++) {
        if (!is_rules(&pql_embedded_files[i])) continue;
        path_of(demo, pql_embedded_files[i].path, path);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%.150s/demo.conf", demo->folder);
    unlink(path);
    rmdir(demo->folder);
}

/* --- the cluster --- */

static int make_mock_topics(struct demo *demo, struct pql_err *err)
{
    const struct pql_config *config = demo->setup.config;
    struct pql_topic_plan *plans = pql_xcalloc(pql_topics_max(config), sizeof(*plans));
    size_t count = pql_topics_plan(config, PARTITIONS, plans);
    int result = 0;
    for (size_t i = 0; !result && i < count; i++)
        result = pql_kafka_mock_create_topic(demo->mock, plans[i].name, PARTITIONS, err);
    free(plans);
    return result;
}

static void say_nothing(void *context, const char *topic, int32_t partitions)
{
    (void)context, (void)topic, (void)partitions;
}

static int make_real_topics(struct demo *demo, struct pql_err *err)
{
    const struct pql_config *config = demo->setup.config;
    struct pql_kafka_log log = pql_kafka_say();
    struct pql_kafka *kafka = pql_kafka_open(&config->kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, err);
    int result = !kafka || pql_kafka_await(kafka, 3, was_interrupted, NULL, err) ||
                         pql_topics_create(config, kafka, PARTITIONS, say_nothing, NULL, err)
                     ? -1
                     : 0;
    pql_kafka_close(kafka);
    return result;
}

/* A producer of its own, as a product's backend would be. */
static int open_feed(struct demo *demo, struct pql_err *err)
{
    const struct pql_config *config = demo->setup.config;
    struct pql_kafka_ports_conf conf = {.kafka = &config->kafka,
                                        .log = pql_kafka_say(),
                                        .inputs = &config->inputs[0].topic,
                                        .inputs_count = 1,
                                        .outputs = {[PQL_OUT_PQL] = config->inputs[0].topic},
                                        .workers_count = 1};
    demo->feed = pql_kafka_ports_new(&conf, err);
    if (demo->feed) demo->feed_ports = pql_kafka_ports_table(demo->feed);
    return demo->feed ? 0 : -1;
}

static int open_tail(struct demo *demo, struct pql_err *err)
{
    const struct pql_config *config = demo->setup.config;
    static const char *topics[3];
    const struct pql_slice fields[F_COUNT] = {
        [F_DEFINITION] = PQL_SLICE_LITERAL("definition"), [F_ACCOUNT] = PQL_SLICE_LITERAL("account_id"),
        [F_USER] = PQL_SLICE_LITERAL("user_id"),          [F_TRANSITION] = PQL_SLICE_LITERAL("transition"),
        [F_REASON] = PQL_SLICE_LITERAL("reason_text"),    [F_OCCURRED] = PQL_SLICE_LITERAL("occurred_at")};
    struct pql_kafka_log log = pql_kafka_say();
    topics[0] = config->outputs[PQL_OUT_PQL].topic;
    topics[1] = config->outputs[PQL_OUT_PQA].topic;
    topics[2] = config->outputs[PQL_OUT_DLQ].topic;
    demo->plan = pql_json_plan_new(fields, F_COUNT);
    demo->tail = pql_kafka_tail_open(&config->kafka, &log, topics, 3, err);
    return demo->tail ? 0 : -1;
}

static int load(struct demo *demo, const char *broker, int *exit_code, struct pql_err *err)
{
    char path[PATH_LEN];
    if (write_configuration(demo, broker, err)) return -1;
    snprintf(path, sizeof(path), "%.150s/demo.conf", demo->folder);
    const struct pql_config_flags flags = {.path = path};
    if (!pql_setup_init(&demo->setup, &flags, true, exit_code))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the demo's own configuration has errors");
    demo->setup.config->kafka.is_mock = demo->mock != NULL;
    return 0;
}

static int open_all(struct demo *demo, int *exit_code, struct pql_err *err)
{
    *exit_code = PQL_EXIT_FAILURE;
    if (!demo->flags->broker && !(demo->mock = pql_kafka_mock_new(1, err))) return -1;
    if (load(demo, demo->mock ? pql_kafka_mock_bootstrap(demo->mock) : demo->flags->broker, exit_code, err))
        return -1;
    if (demo->mock ? make_mock_topics(demo, err) : make_real_topics(demo, err)) return -1;
    if (open_feed(demo, err) || open_tail(demo, err)) return -1;
    demo->runner = pql_runner_start(&demo->setup, was_interrupted, NULL, exit_code, err);
    return demo->runner ? 0 : -1;
}

/* --- traffic in --- */

static void take_acks(struct demo *demo, int timeout_ms)
{
    struct pql_ack acks[500];
    demo->acked += demo->feed_ports.plain_acks(demo->feed_ports.self, PQL_LANE_OUTPUT, acks, 500, timeout_ms);
}

static uint64_t taken(struct demo *demo)
{
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(pql_runner_pipeline(demo->runner), &stats);
    return stats.messages + stats.refused;
}

static void send_one(struct demo *demo, struct pql_buf *key, struct pql_buf *value)
{
    struct pql_err err;
    const struct pql_out_record record = {.output = PQL_OUT_PQL,
                                          .partition = -1,
                                          .has_key = true,
                                          .has_value = true,
                                          .key = {key->ptr, key->len},
                                          .value = {value->ptr, value->len},
                                          .timestamp_ms = PQL_NO_TIME};
    while (demo->feed_ports.plain_produce(demo->feed_ports.self, PQL_LANE_OUTPUT, &record, 0, &err) &&
           !interrupted)
        take_acks(demo, 50);
    demo->sent++;
}

/* All records whose time has come on the demo's clock; waits where the pipeline is far behind. */
static void send_due(struct demo *demo)
{
    struct pql_buf key = {0}, value = {0};
    int64_t elapsed_ms = mono_ms() - demo->began_ms;
    int64_t now_ms = demo->from_ms + (demo->to_ms - demo->from_ms) / (demo->seconds * 1000) * elapsed_ms;
    uint64_t read = taken(demo);
    while (!demo->is_sent && pql_traffic_next_ms(demo->traffic) <= now_ms && demo->sent < read + AHEAD_MAX) {
        if (pql_traffic_write(demo->traffic, &key, &value))
            send_one(demo, &key, &value);
        else
            demo->is_sent = true;
    }
    take_acks(demo, 0);
    pql_buf_deinit(&key);
    pql_buf_deinit(&value);
}

/* --- qualifications out --- */

static struct count *count_of(struct demo *demo, struct pql_slice name)
{
    for (size_t i = 0; i < demo->counts_count; i++)
        if (pql_slice_is(name, demo->counts[i].name)) return &demo->counts[i];
    if (demo->counts_count == COUNTS_MAX) return &demo->counts[COUNTS_MAX - 1];
    struct count *count = &demo->counts[demo->counts_count++];
    snprintf(count->name, sizeof(count->name), "%.*s", PQL_SLICE_ARG(name));
    return count;
}

static bool may_show(struct demo *demo)
{
    int64_t second = mono_ms() / 1000;
    if (second != demo->lines_second) demo->lines = 0;
    demo->lines_second = second;
    return demo->lines++ < LINES_PER_S;
}

static void clear_status(const struct demo *demo)
{
    if (demo->is_terminal) fputs("\r\033[K", stdout);
}

/* "2026-03-01T09:30:00.000Z" to "03-01 09:30". */
static void show_line(const struct demo *demo, const struct pql_value *slots)
{
    struct pql_slice at = slots[F_OCCURRED].text,
                     who = slots[F_USER].kind == PQL_TEXT ? slots[F_USER].text : slots[F_ACCOUNT].text;
    bool entered = pql_slice_is(slots[F_TRANSITION].text, "entered");
    const char *green = demo->is_terminal ? "\033[32m" : "", *red = demo->is_terminal ? "\033[31m" : "",
               *plain = demo->is_terminal ? "\033[0m" : "";
    clear_status(demo);
    if (at.len >= 16) printf("%.5s %.5s  ", at.ptr + 5, at.ptr + 11);
    printf("%-32.*s %s%s%s %-15.*s %.*s\n", PQL_SLICE_ARG(who), entered ? green : red,
           entered ? "qualified as" : "no longer   ", plain, PQL_SLICE_ARG(slots[F_DEFINITION].text),
           PQL_SLICE_ARG(slots[F_REASON].text));
}

static void hear_record(struct demo *demo, const struct pql_tail_record *record)
{
    struct pql_value slots[F_COUNT];
    struct pql_err err;
    pql_arena_reset(&demo->scratch);
    if (pql_json_plan_run(demo->plan, record->value.ptr, record->value.len, &demo->scratch, slots, &err))
        return;
    if (slots[F_DEFINITION].kind != PQL_TEXT || slots[F_TRANSITION].kind != PQL_TEXT) return;
    struct count *count = count_of(demo, slots[F_DEFINITION].text);
    bool entered = pql_slice_is(slots[F_TRANSITION].text, "entered"),
         left = pql_slice_is(slots[F_TRANSITION].text, "left");
    count->entered += entered;
    count->left += left;
    demo->transitions++;
    if ((entered || left) && may_show(demo))
        show_line(demo, slots);
    else
        demo->hidden++;
}

static void hear_dead_letter(struct demo *demo)
{
    struct pql_slice reason = pql_kafka_tail_header(demo->tail, "pqlstream.error.reason");
    struct pql_slice words = pql_kafka_tail_header(demo->tail, "pqlstream.error.message");
    demo->dead++;
    if (demo->dead > 3 && demo->dead % 20) return;
    clear_status(demo);
    printf("             %-32s dead letter: %.*s (%.*s)\n", "a record that nobody can use",
           PQL_SLICE_ARG(reason), PQL_SLICE_ARG(words));
}

static void hear_all(struct demo *demo, int timeout_ms)
{
    struct pql_tail_record record;
    while (pql_kafka_tail_read(demo->tail, timeout_ms, &record)) {
        if (record.topic == 2)
            hear_dead_letter(demo);
        else
            hear_record(demo, &record);
        timeout_ms = 0;
    }
}

static void show_status(struct demo *demo)
{
    struct pql_pipeline_stats stats;
    int64_t now = mono_ms();
    if (!demo->is_terminal || now - demo->status_ms < STATUS_MS) return;
    demo->status_ms = now;
    pql_pipeline_stats(pql_runner_pipeline(demo->runner), &stats);
    printf("\r%" PRIu64 " events in, %" PRIu64 " waiting, %" PRIu64 " accounts, %" PRIu64
           " transitions out\033[K",
           stats.messages, demo->sent > stats.messages ? demo->sent - stats.messages : 0, stats.accounts,
           demo->transitions);
    fflush(stdout);
}

/* --- the course of it --- */

static void introduce(const struct demo *demo)
{
    size_t definitions = demo->setup.config->program.definitions_count;
    if (demo->mock)
        printf("pqlstream on an embedded mock broker in this process: the real pipeline, at least once (the "
               "mock keeps no\n"
               "transactions; --broker HOST:PORT shows the same exactly once on a cluster).\n");
    else
        printf("pqlstream on %s, exactly once, topics %s.*\n", demo->flags->broker, demo->prefix);
    printf("%d accounts, %d days of traffic in about %" PRId64
           " seconds, %zu definitions from conf/rules.\n\n",
           ACCOUNTS, DAYS, demo->seconds, definitions);
}

static bool is_settled(struct demo *demo)
{
    return demo->is_sent && demo->acked >= demo->sent && taken(demo) >= demo->sent;
}

static void play(struct demo *demo)
{
    int64_t end_ms = demo->began_ms + (demo->seconds + SETTLE_S) * 1000, settled_ms = 0;
    while (!interrupted && !pql_runner_is_done(demo->runner) && mono_ms() < end_ms) {
        send_due(demo);
        hear_all(demo, TURN_MS);
        show_status(demo);
        /* What was read last is committed and shown within a moment. */
        if (!is_settled(demo)) continue;
        if (!settled_ms) settled_ms = mono_ms();
        if (mono_ms() - settled_ms > 1000) return;
    }
}

static int by_entered(const void *a, const void *b)
{
    const struct count *x = a, *y = b;
    return (x->entered < y->entered) - (x->entered > y->entered);
}

static void sum_up(struct demo *demo, const struct pql_pipeline_stats *stats, int64_t took_ms)
{
    clear_status(demo);
    qsort(demo->counts, demo->counts_count, sizeof(*demo->counts), by_entered);
    printf("\n%-18s %10s %10s %10s\n", "definition", "qualified", "left", "now");
    for (size_t i = 0; i < demo->counts_count; i++)
        printf("%-18s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n", demo->counts[i].name,
               demo->counts[i].entered, demo->counts[i].left, demo->counts[i].entered - demo->counts[i].left);
    printf("\n%" PRIu64 " events of %" PRIu64 " accounts in %.1f s; %" PRIu64 " transitions (%" PRIu64
           " not shown above), %" PRIu64 " dead letters, %" PRIu64 " commits, %" PRIu64 " snapshots\n",
           stats->messages, stats->accounts, (double)took_ms / 1000, demo->transitions, demo->hidden,
           demo->dead, stats->epochs, stats->snapshots);
}

static void say_next(const struct demo *demo)
{
    if (demo->mock)
        printf("\nNext: pqlstream demo --broker localhost:9092   the same on your cluster, exactly once\n"
               "      pqlstream check --print-config-template    a configuration to begin with\n");
    else
        printf(
            "\nThe records are in %s.pql, .pqa, .state and .dlq. To remove all topics of this demo again:\n"
            "      pqlstream demo --broker %s --remove %s\n",
            demo->prefix, demo->flags->broker, demo->prefix);
}

static int end(struct demo *demo, struct pql_err *err)
{
    struct pql_pipeline_stats stats;
    int64_t took_ms = mono_ms() - demo->began_ms;
    pql_pipeline_stats(pql_runner_pipeline(demo->runner), &stats);
    pql_runner_stop(demo->runner);
    int exit_code = pql_runner_finish(demo->runner, err);
    demo->runner = NULL;
    hear_all(demo, 300); /* what the last commit brought */
    sum_up(demo, &stats, took_ms);
    if (exit_code == PQL_EXIT_OK) say_next(demo);
    return exit_code;
}

static void demo_deinit(struct demo *demo)
{
    pql_kafka_tail_close(demo->tail);
    pql_json_plan_free(demo->plan);
    pql_kafka_ports_free(demo->feed);
    pql_traffic_free(demo->traffic);
    pql_arena_deinit(&demo->scratch);
    pql_setup_deinit(&demo->setup);
    pql_kafka_mock_free(demo->mock);
    remove_configuration(demo);
}

static int show(const struct demo_flags *flags)
{
    struct pql_err err = {0};
    int exit_code;
    struct demo demo = {.flags = flags, .is_terminal = isatty(STDOUT_FILENO), .seconds = SECONDS};
    if (flags->seconds) demo.seconds = strtol(flags->seconds, NULL, 10);
    if (demo.seconds < 1 || demo.seconds > 86400) {
        fprintf(stderr, "pqlstream demo: --seconds wants a number from 1 to 86400\n");
        return PQL_EXIT_CONFIG;
    }
    pql_arena_init(&demo.scratch);
    demo.to_ms = pql_wall_ms() / 1000 * 1000;
    demo.from_ms = demo.to_ms - DAYS * DAY_MS;
    snprintf(demo.prefix, sizeof(demo.prefix), "pqlstream-demo-%" PRIx64, (uint64_t)demo.to_ms / 1000);
    demo.traffic = pql_traffic_new(&(struct pql_traffic_conf){
        .seed = 1, .accounts = ACCOUNTS, .from_ms = demo.from_ms, .to_ms = demo.to_ms});
    if (open_all(&demo, &exit_code, &err)) goto out;
    introduce(&demo);
    demo.began_ms = mono_ms();
    play(&demo);
    exit_code = end(&demo, &err);
out:
    if (exit_code != PQL_EXIT_OK) fprintf(stderr, "pqlstream demo: %s\n", err.msg);
    demo_deinit(&demo);
    return exit_code;
}

/* --- removing what a demo left on a cluster --- */

static void say_deleted(void *context, const char *topic, int32_t partitions)
{
    (void)context, (void)partitions;
    printf("deleted %s\n", topic);
}

static int remove_topics(const struct demo_flags *flags)
{
    struct pql_err err = {0};
    int exit_code = PQL_EXIT_FAILURE;
    struct demo demo = {.flags = flags};
    struct pql_kafka *kafka = NULL;
    struct pql_kafka_log log = pql_kafka_say();
    if (!flags->broker || strncmp(flags->remove, "pqlstream-demo-", 15) != 0) {
        fprintf(
            stderr,
            "pqlstream demo: --remove wants --broker and the prefix that a demo printed, pqlstream-demo-…\n");
        return PQL_EXIT_CONFIG;
    }
    snprintf(demo.prefix, sizeof(demo.prefix), "%s", flags->remove);
    if (load(&demo, flags->broker, &exit_code, &err)) goto out;
    kafka = pql_kafka_open(&demo.setup.config->kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, &err);
    if (!kafka || pql_kafka_await(kafka, 3, NULL, NULL, &err) ||
        pql_topics_delete(demo.setup.config, kafka, say_deleted, NULL, &err) ||
        pql_kafka_delete_topic(kafka, demo.setup.config->inputs[0].topic, 15000, &err))
        goto out;
    say_deleted(NULL, demo.setup.config->inputs[0].topic, 0);
    exit_code = PQL_EXIT_OK;
out:
    if (exit_code != PQL_EXIT_OK) fprintf(stderr, "pqlstream demo: %s\n", err.msg);
    pql_kafka_close(kafka);
    demo_deinit(&demo);
    return exit_code;
}

int pql_cmd_demo(int argc, char **argv)
{
    struct demo_flags chosen = {0};
    const struct pql_flag flags[] = {
        {"--broker", 0, PQL_FLAG_TEXT, "HOST:PORT",
         "on this cluster, exactly once, instead of the embedded mock broker", &chosen.broker},
        {"--seconds", 0, PQL_FLAG_TEXT, "N", "how long the traffic takes; 25", &chosen.seconds},
        {"--remove", 0, PQL_FLAG_TEXT, "PREFIX", "with --broker: delete the topics of a demo",
         &chosen.remove},
    };
    int rest, exit_code;
    struct sigaction action = {.sa_handler = interrupt};
    if (!pql_flags_read(flags, sizeof flags / sizeof *flags,
                        "Generated product traffic through the real pipeline, with the ready definitions: "
                        "shows who qualified "
                        "and why.",
                        argc, argv, &rest, &exit_code))
        return exit_code;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return chosen.remove ? remove_topics(&chosen) : show(&chosen);
}
