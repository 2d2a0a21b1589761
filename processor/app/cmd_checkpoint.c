/* checkpoint: what is saved, whether it is whole, and the two ways out where group and state do not fit
 * together. */
#include "app/checkpoint_tool.h"
#include "app/kafka_say.h"
#include "app/setup.h"
#include "io/kafka_admin.h"
#include "io/kafka_ports.h"
#include <inttypes.h>
#include <stdlib.h>

enum { ATTEMPTS_MAX = 5, CALL_MS = 10000 };

struct chosen {
    struct pql_config_flags config;
    const char *partition;
    bool is_sure;
};

struct context {
    const struct pql_config *config;
    struct pql_kafka_ports *kafka;
    struct pql_ports ports;
    struct pql_tool tool;
    const char **inputs;
    const struct chosen *chosen;
    int32_t partitions_count;
};

/* One subcommand on one task. */
typedef int act(struct context *c, struct pql_tool_task *task, struct pql_err *err);

static int list(struct context *c, struct pql_tool_task *task, struct pql_err *err)
{
    (void)err;
    pql_tool_list(&c->tool, task);
    return 0;
}

static int verify(struct context *c, struct pql_tool_task *task, struct pql_err *err)
{
    return pql_tool_verify(&c->tool, task, false, err);
}

static int digest(struct context *c, struct pql_tool_task *task, struct pql_err *err)
{
    return pql_tool_verify(&c->tool, task, true, err);
}

static int dump(struct context *c, struct pql_tool_task *task, struct pql_err *err)
{
    return pql_tool_dump(&c->tool, task->partition, task->low, err);
}

static void name_commits(const struct context *c, int32_t partition, struct pql_kafka_commit *commits)
{
    for (uint32_t i = 0; i < c->tool.inputs_count; i++)
        commits[i] = (struct pql_kafka_commit){.topic = c->inputs[i], .partition = partition};
}

static int want_yes(const struct context *c, const char *what, int32_t partition, struct pql_err *err)
{
    if (c->chosen->is_sure) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "partition %d: this %s; add --yes if that is meant", partition,
                    what);
}

static int forget(struct context *c, struct pql_tool_task *task, struct pql_err *err)
{
    struct pql_kafka_commit commits[PQL_INPUTS_MAX];
    if (want_yes(c, "drops the state for ever, and the next run reads the input from `start` on",
                 task->partition, err))
        return -1;
    name_commits(c, task->partition, commits);
    struct pql_kafka *admin = pql_kafka_ports_admin(c->kafka);
    if (pql_kafka_forget_group(admin, c->config->app, commits, c->tool.inputs_count, CALL_MS, err)) return -1;
    if (task->end > task->low &&
        c->ports.checkpoint_trim(c->ports.self, task->partition, task->end, CALL_MS, err))
        return -1;
    printf("partition %d: forgotten\n", task->partition);
    return 0;
}

/* What the next restore replays in silence is the journal's; what it publishes again has equal ids. */
static int adopt(struct context *c, struct pql_tool_task *task, struct pql_err *err)
{
    struct pql_position positions[PQL_INPUTS_MAX];
    struct pql_kafka_commit commits[PQL_INPUTS_MAX];
    struct pql_topic_facts facts;
    if (task->is_ours) {
        printf("partition %d: offset and state belong together; nothing to adopt\n", task->partition);
        return 0;
    }
    if (!task->has_offset && task->low == task->end) {
        printf("partition %d: never ran; nothing to adopt\n", task->partition);
        return 0;
    }
    if (c->ports.output_facts(c->ports.self, PQL_OUT_CHECKPOINT, &facts, CALL_MS, err) ||
        pql_tool_adopt(&c->tool, task, facts.id, positions, err) ||
        pql_tool_verify(&c->tool, task, false, err))
        return -1;
    bool is_exact = c->tool.inputs_count == 1 || c->config->delivery == PQL_AT_LEAST_ONCE;
    if (want_yes(c,
                 is_exact
                     ? "goes on from that snapshot: what was published after it is published again, with "
                       "equal ids"
                     : "goes on from that snapshot: what was published after it is published again, with "
                       "equal ids up to the journal's last entry, behind which the order between inputs "
                       "is chosen anew",
                 task->partition, err))
        return -1;
    name_commits(c, task->partition, commits);
    for (uint32_t i = 0; i < c->tool.inputs_count; i++) {
        commits[i].offset = positions[i].offset;
        commits[i].metadata = positions[i].metadata;
    }
    if (pql_kafka_commit_group(pql_kafka_ports_admin(c->kafka), c->config->app, commits, c->tool.inputs_count,
                               CALL_MS, err))
        return -1;
    printf("partition %d: goes on from %s@%" PRId64 "\n", task->partition, c->inputs[0], positions[0].offset);
    return 0;
}

static const struct {
    const char *name;
    act *act;
} actions[] = {{"list", list},     {"verify", verify}, {"dump", dump},
               {"digest", digest}, {"adopt", adopt},   {"forget", forget}};

/* A damaged manifest stands in the way of verify and digest, not of looking and mending. */
static int act_on(struct context *c, int32_t partition, act *action, struct pql_err *err)
{
    struct pql_tool_task task;
    int rc = pql_tool_read(&c->tool, partition, &task, err);
    bool goes_on = rc && err->cls != PQL_ERR_RETRY && (action == forget || action == dump || action == list);
    if (goes_on && action == list) printf("%s\n", err->msg);
    if (!rc || goes_on) rc = action(c, &task, err);
    pql_tool_task_deinit(&task);
    return rc;
}

static int act_on_all(struct context *c, act *action, struct pql_err *err)
{
    struct pql_topic_facts facts;
    char *end = NULL;
    if (pql_kafka_await(pql_kafka_ports_admin(c->kafka), ATTEMPTS_MAX, NULL, NULL, err)) return -1;
    if (c->ports.output_facts(c->ports.self, PQL_OUT_CHECKPOINT, &facts, CALL_MS, err)) return -1;
    if (!facts.exists)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "topic %s does not exist",
                        c->config->outputs[PQL_OUT_CHECKPOINT].topic);
    long only = c->chosen->partition ? strtol(c->chosen->partition, &end, 10) : -1;
    if (c->chosen->partition && (*end || only < 0 || only >= facts.partitions_count))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "--partition wants a number from 0 to %d",
                        facts.partitions_count - 1);
    int failed = 0;
    for (int32_t p = 0; p < facts.partitions_count; p++) {
        struct pql_err one = {0};
        if ((only >= 0 && p != only) || !act_on(c, p, action, &one)) continue;
        if (failed++) fprintf(stderr, "pqlstream checkpoint: %s\n", err->msg);
        *err = one;
    }
    return failed ? -1 : 0;
}

static int with_kafka(const struct chosen *chosen, const struct pql_setup *setup, act *action,
                      struct pql_err *err)
{
    const struct pql_config *config = setup->config;
    struct context c = {.config = config, .chosen = chosen};
    c.inputs = pql_xcalloc(config->inputs_count, sizeof *c.inputs);
    struct pql_kafka_ports_conf conf = {.kafka = &config->kafka,
                                        .log = pql_kafka_say(),
                                        .inputs = c.inputs,
                                        .inputs_count = config->inputs_count,
                                        .workers_count = 1};
    for (size_t i = 0; i < config->inputs_count; i++) c.inputs[i] = config->inputs[i].topic;
    for (int i = 0; i < PQL_OUT_COUNT; i++) conf.outputs[i] = config->outputs[i].topic;
    c.kafka = pql_kafka_ports_new(&conf, err);
    int rc = -1;
    if (c.kafka) {
        c.ports = pql_kafka_ports_table(c.kafka);
        c.tool = (struct pql_tool){.ports = &c.ports,
                                   .program = setup->program,
                                   .inputs = c.inputs,
                                   .inputs_count = (uint32_t)config->inputs_count,
                                   .out = stdout};
        rc = act_on_all(&c, action, err);
        pql_kafka_ports_free(c.kafka);
    }
    free(c.inputs);
    return rc;
}

int pql_cmd_checkpoint(int argc, char **argv)
{
    struct chosen chosen = {0};
    struct pql_setup setup;
    struct pql_err err = {0};
    act *action = NULL;
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&chosen.config),
        {"--partition", 'p', PQL_FLAG_TEXT, "P", "this one only; else all", &chosen.partition},
        {"--yes", 0, PQL_FLAG_YES, NULL, "with adopt and forget: yes", &chosen.is_sure},
    };
    int rest, exit_code = PQL_EXIT_OK;
    if (!pql_flags_read(flags, sizeof flags / sizeof *flags,
                        "list    what the group has committed and which snapshot that names\n"
                        "verify  read the state, compare its digest, follow the journal\n"
                        "dump    every record of the checkpoint topic\n"
                        "digest  of the state at its snapshot, one line a partition\n"
                        "adopt   go on from the newest snapshot where the offsets were lost or set by hand\n"
                        "forget  drop state and offsets: the next run begins at `start`",
                        argc, argv, &rest, &exit_code))
        return exit_code;
    for (size_t i = 0; rest == 1 && i < sizeof actions / sizeof *actions; i++)
        if (!strcmp(argv[1], actions[i].name)) action = actions[i].act;
    if (!action) {
        fputs("pqlstream checkpoint: one of list, verify, dump, digest, adopt, forget is wanted; --help "
              "tells of each\n",
              stderr);
        return PQL_EXIT_CONFIG;
    }
    if (pql_setup_init(&setup, &chosen.config, true, &exit_code) &&
        with_kafka(&chosen, &setup, action, &err)) {
        fflush(stdout);
        fprintf(stderr, "pqlstream checkpoint: %s\n", err.msg);
        exit_code = err.cls == PQL_ERR_FATAL ? PQL_EXIT_OPERATOR : PQL_EXIT_FAILURE;
    }
    pql_setup_deinit(&setup);
    return exit_code;
}
