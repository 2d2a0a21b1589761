#include "app/topics.h"
#include "app/rights.h"
#include "io/ports.h"
#include <stdlib.h>
#include <time.h>

enum { ASK_MS = 15000, APPEAR_MS = 10000, NEWS_MS = 3000, LOOK_MS = 50 };

/* --- what they should be --- */

/* What matters of each output, by Kafka's names. */
static const struct pql_kafka_extra keeps[] = {{"cleanup.policy", "delete"}};
static const struct pql_kafka_extra compacts[] = {{"cleanup.policy", "compact"}};
/* Dead letters keep their own, maybe old, timestamps: retention by time would take them at once. */
static const struct pql_kafka_extra keeps_for_ever[] = {{"cleanup.policy", "delete"}, {"retention.ms", "-1"}};
/* Trimmed by pqlstream itself, so nothing else may remove from it; small segments, so that trimming frees
 * space. */
static const struct pql_kafka_extra checkpoint[] = {
    {"cleanup.policy", "delete"},  {"retention.ms", "-1"},    {"retention.bytes", "-1"},
    {"segment.bytes", "67108864"}, {"segment.ms", "3600000"}, {"unclean.leader.election.enable", "false"},
};

static const struct output_plan {
    const struct pql_kafka_extra *settings;
    size_t count;
} output_plans[] = {
    [PQL_OUT_PQL] = {keeps, 1},
    [PQL_OUT_PQA] = {keeps, 1},
    [PQL_OUT_STATE] = {compacts, 1},
    [PQL_OUT_ALERTS] = {keeps, 1},
    [PQL_OUT_SHADOW] = {keeps, 1},
    [PQL_OUT_DLQ] = {keeps_for_ever, 2},
    [PQL_OUT_CHECKPOINT] = {checkpoint, 6},
};
_Static_assert(sizeof(output_plans) / sizeof(*output_plans) == PQL_OUT_COUNT, "one plan per output");

size_t pql_topics_max(const struct pql_config *config)
{
    return config->inputs_count + PQL_OUT_COUNT;
}

static struct pql_topic_plan plan_output(const struct pql_config *config, size_t output, int32_t partitions)
{
    const struct pql_output_conf *conf = &config->outputs[output];
    struct pql_topic_plan plan = {.name = conf->topic,
                                  .partitions = conf->partitions ? (int32_t)conf->partitions : partitions,
                                  .replicas = (int32_t)config->replication_factor};
    size_t count = output_plans[output].count;
    memcpy(plan.settings, output_plans[output].settings, count * sizeof(*plan.settings));
    if (plan.replicas >= 3) plan.settings[count] = (struct pql_kafka_extra){"min.insync.replicas", "2"};
    return plan;
}

size_t pql_topics_plan(const struct pql_config *config, int32_t partitions, struct pql_topic_plan *out)
{
    size_t count = 0;
    for (size_t i = 0; i < config->inputs_count; i++)
        out[count++] = (struct pql_topic_plan){.name = config->inputs[i].topic,
                                               .is_input = true,
                                               .partitions = partitions,
                                               .replicas = (int32_t)config->replication_factor};
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) out[count++] = plan_output(config, i, partitions);
    return count;
}

static const char *brokers_of(const struct pql_config *config)
{
    const char *brokers = "BROKER";
    for (size_t i = 0; i < config->kafka.properties_count; i++)
        if (strcmp(config->kafka.properties[i].name, "bootstrap.servers") == 0)
            brokers = config->kafka.properties[i].value;
    return brokers;
}

/* --- all of it as commands --- */

static enum pql_use use_of(const struct pql_config *config, const struct pql_topic_plan *plan)
{
    if (plan->is_input) return PQL_USE_INPUT;
    return strcmp(plan->name, config->outputs[PQL_OUT_CHECKPOINT].topic) == 0 ? PQL_USE_CHECKPOINT
                                                                              : PQL_USE_OUTPUT;
}

static void print_create(const struct pql_config *config, const struct pql_topic_plan *plan, FILE *out)
{
    fprintf(out,
            "kafka-topics.sh --bootstrap-server %s --create --if-not-exists --topic %s --partitions %d "
            "--replication-factor %d",
            brokers_of(config), plan->name, plan->partitions, plan->replicas);
    for (const struct pql_kafka_extra *setting = plan->settings; setting->name; setting++)
        fprintf(out, " --config %s=%s", setting->name, setting->value);
    fputc('\n', out);
}

static void print_settings(const struct pql_config *config, const struct pql_topic_plan *plan, FILE *out)
{
    if (!plan->settings[0].name) return;
    fprintf(
        out,
        "kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config ",
        brokers_of(config), plan->name);
    for (const struct pql_kafka_extra *setting = plan->settings; setting->name; setting++)
        fprintf(out, "%s%s=%s", setting == plan->settings ? "" : ",", setting->name, setting->value);
    fputc('\n', out);
}

static void begin_rights(const struct pql_config *config, const char *principal, FILE *out)
{
    fprintf(out, "kafka-acls.sh --bootstrap-server %s --add --allow-principal %s ", brokers_of(config),
            principal);
}

static void print_rights(const struct pql_config *config, const char *principal,
                         const struct pql_topic_plan *plans, size_t count, FILE *out)
{
    for (int use = 0; use < PQL_USE_COUNT; use++) {
        begin_rights(config, principal, out);
        fputs(pql_rights[use], out);
        if (config->create_topics && use != PQL_USE_INPUT) fputs(" --operation Create", out);
        for (size_t i = 0; i < count; i++)
            if (use_of(config, &plans[i]) == (enum pql_use)use) fprintf(out, " --topic %s", plans[i].name);
        fputc('\n', out);
    }
    begin_rights(config, principal, out);
    fprintf(out, "--operation Read --group %s\n", config->app);
    if (config->delivery != PQL_EXACTLY_ONCE) return;
    /* Of every instance; without `instance` the rest of the id is drawn by each process. */
    begin_rights(config, principal, out);
    fprintf(out, "--operation Write --transactional-id %s- --resource-pattern-type prefixed\n", config->app);
}

void pql_topics_print(const struct pql_config *config, const struct pql_topics_print *what, FILE *out)
{
    struct pql_topic_plan *plans = pql_xcalloc(pql_topics_max(config), sizeof(*plans));
    size_t count = pql_topics_plan(config, what->partitions, plans);
    fputs("# topics that are missing\n", out);
    for (size_t i = 0; i < count; i++)
        if (!plans[i].is_input || what->creates_inputs) print_create(config, &plans[i], out);
    fputs("# settings of those that were there already\n", out);
    for (size_t i = 0; i < count; i++) print_settings(config, &plans[i], out);
    fprintf(out, "# rights of %s\n", what->principal);
    print_rights(config, what->principal, plans, count, out);
    free(plans);
}

/* --- what they are --- */

struct comparison {
    const struct pql_config *config;
    const struct pql_program *program;
    struct pql_kafka *kafka;
    void (*tell)(void *context, const struct pql_topic_difference *difference);
    void *context;
    size_t refused;
};

static struct pql_topic_difference *begin(struct pql_topic_difference *difference, const char *topic,
                                          bool refuses)
{
    *difference = (struct pql_topic_difference){.topic = topic, .refuses = refuses};
    return difference;
}

#define SAY(text, ...) snprintf((text), sizeof(text), __VA_ARGS__)

static void tell(struct comparison *cmp, const struct pql_topic_difference *difference)
{
    cmp->refused += difference->refuses;
    cmp->tell(cmp->context, difference);
}

static void tell_missing(struct comparison *cmp, const struct pql_topic_plan *plan)
{
    struct pql_topic_difference difference;
    begin(&difference, plan->name, true);
    SAY(difference.what, "%s topic does not exist", plan->is_input ? "input" : "output");
    if (plan->is_input)
        SAY(difference.mend,
            "correct the topic's name in `inputs`, or create it: pqlstream topics --config %s --create "
            "--input-partitions N",
            cmp->config->path);
    else
        SAY(difference.mend, "pqlstream topics --config %s --create", cmp->config->path);
    tell(cmp, &difference);
}

static bool is_checkpoint(const struct comparison *cmp, const struct pql_topic_plan *plan)
{
    return use_of(cmp->config, plan) == PQL_USE_CHECKPOINT;
}

static void tell_rights(struct comparison *cmp, const struct pql_topic_plan *plan, const char *right)
{
    struct pql_topic_difference difference;
    begin(&difference, plan->name, true);
    SAY(difference.what, "the broker does not let this program %s it", right);
    SAY(difference.mend,
        "kafka-acls.sh --bootstrap-server %s --add --allow-principal User:NAME %s --topic %s",
        brokers_of(cmp->config), pql_rights[use_of(cmp->config, plan)], plan->name);
    tell(cmp, &difference);
}

/* Nothing is lost by it, but the topic grows for ever. */
static void tell_no_trimming(struct comparison *cmp, const struct pql_topic_plan *plan)
{
    struct pql_topic_difference difference;
    begin(&difference, plan->name, false);
    SAY(difference.what, "the broker does not let this program delete records of it: it will grow for ever");
    SAY(difference.mend,
        "kafka-acls.sh --bootstrap-server %s --add --allow-principal User:NAME --operation Delete --topic %s",
        brokers_of(cmp->config), plan->name);
    tell(cmp, &difference);
}

static void compare_rights(struct comparison *cmp, const struct pql_topic_plan *plan,
                           const struct pql_kafka_topic *found)
{
    if (!found->rights_known) return;
    enum pql_use use = use_of(cmp->config, plan);
    if (use != PQL_USE_OUTPUT && !found->may_read) tell_rights(cmp, plan, "read");
    if (use != PQL_USE_INPUT && !found->may_write) tell_rights(cmp, plan, "write");
    if (use == PQL_USE_CHECKPOINT && !found->may_delete) tell_no_trimming(cmp, plan);
}

/* Inputs among each other, and the checkpoint, must have one partition per task; other outputs are free. */
static void compare_partitions(struct comparison *cmp, const struct pql_topic_plan *plan,
                               const struct pql_kafka_topic *found, int32_t tasks)
{
    struct pql_topic_difference difference;
    bool is_bound = plan->is_input || is_checkpoint(cmp, plan);
    if (!is_bound || tasks == 0 || found->partitions == tasks) return;
    begin(&difference, plan->name, true);
    SAY(difference.what, "%d partitions, but input %s has %d: they must be equal", found->partitions,
        cmp->config->inputs[0].topic, tasks);
    if (plan->is_input)
        SAY(difference.mend,
            "write the input with fewer partitions again into a topic with %d, keyed by account "
            "(adding partitions to the topic as it is would move accounts)",
            found->partitions > tasks ? found->partitions : tasks);
    else
        SAY(difference.mend,
            "if nothing ran yet: pqlstream topics --config %s --delete --yes, then --create; else the input "
            "was "
            "changed: pqlstream checkpoint forget drops the state, which is then built anew",
            cmp->config->path);
    tell(cmp, &difference);
}

static void tell_setting(struct comparison *cmp, const struct pql_topic_plan *plan, const char *name,
                         const char *is, const char *wanted)
{
    struct pql_topic_difference difference;
    bool is_compacted =
        strcmp(name, "cleanup.policy") == 0 && strstr(is, "compact") && !strstr(wanted, "compact");
    /* A compacted checkpoint or log of transitions loses records; everything else is a matter of care. */
    begin(&difference, plan->name, is_compacted);
    SAY(difference.what, "%s is %s, should be %s", name, is, wanted);
    SAY(difference.mend,
        "kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s "
        "--add-config %s=%s",
        brokers_of(cmp->config), plan->name, name, wanted);
    tell(cmp, &difference);
}

/* Of the topics whose settings are compared once, and of those that are only read. */
static void tell_settings_unknown(struct comparison *cmp, const struct pql_topic_plan *plan)
{
    struct pql_topic_difference difference;
    if (cmp->config->kafka.is_mock) return; /* the mock has none */
    begin(&difference, plan->name, false);
    SAY(difference.what,
        "the broker does not tell this program the settings of the topic; they are not checked");
    SAY(difference.mend,
        "kafka-acls.sh --bootstrap-server %s --add --allow-principal User:NAME --operation DescribeConfigs "
        "--topic %s",
        brokers_of(cmp->config), plan->name);
    tell(cmp, &difference);
}

/* Of an input nothing is wanted, but windows should not be longer than it is kept. */
static int compare_retention(struct comparison *cmp, const struct pql_topic_plan *plan, struct pql_err *err)
{
    struct pql_kafka_setting found[] = {{.name = "retention.ms"}, {.name = "cleanup.policy"}};
    struct pql_topic_difference difference;
    bool known;
    if (pql_kafka_settings(cmp->kafka, plan->name, found, 2, &known, ASK_MS, err)) return -1;
    if (!known) tell_settings_unknown(cmp, plan);
    bool deletes = known && found[0].value[0] && (!found[1].value[0] || strstr(found[1].value, "delete"));
    if (deletes && pql_topics_see_reach(cmp->program, plan->name, brokers_of(cmp->config),
                                        strtoll(found[0].value, NULL, 10), &difference))
        tell(cmp, &difference);
    return 0;
}

static int compare_settings(struct comparison *cmp, const struct pql_topic_plan *plan, struct pql_err *err)
{
    struct pql_kafka_setting found[PQL_TOPIC_SETTINGS_MAX];
    size_t count = 0;
    bool known;
    for (; plan->settings[count].name; count++)
        found[count] = (struct pql_kafka_setting){.name = plan->settings[count].name};
    if (pql_kafka_settings(cmp->kafka, plan->name, found, count, &known, ASK_MS, err)) return -1;
    if (!known) tell_settings_unknown(cmp, plan);
    for (size_t i = 0; known && i < count; i++)
        if (found[i].value[0] && strcmp(found[i].value, plan->settings[i].value) != 0)
            tell_setting(cmp, plan, found[i].name, found[i].value, plan->settings[i].value);
    return 0;
}

static void compare_replicas(struct comparison *cmp, const struct pql_topic_plan *plan,
                             const struct pql_kafka_topic *found)
{
    struct pql_topic_difference difference;
    if (!is_checkpoint(cmp, plan) || found->replicas == 0 || found->replicas >= plan->replicas) return;
    begin(&difference, plan->name, false);
    SAY(difference.what, "%d replicas, should be %d: when a broker is lost so is state", found->replicas,
        plan->replicas);
    SAY(difference.mend, "kafka-reassign-partitions.sh, or set replication_factor = %d", found->replicas);
    tell(cmp, &difference);
}

static int compare(struct comparison *cmp, const struct pql_topic_plan *plan,
                   const struct pql_kafka_topic *found, int32_t tasks, struct pql_err *err)
{
    if (found->denied) {
        tell_rights(cmp, plan, "describe");
        return 0;
    }
    if (!found->exists) {
        tell_missing(cmp, plan);
        return 0;
    }
    compare_rights(cmp, plan, found);
    compare_partitions(cmp, plan, found, tasks);
    compare_replicas(cmp, plan, found);
    return plan->is_input ? compare_retention(cmp, plan, err) : compare_settings(cmp, plan, err);
}

/* Plans and what is there, side by side. */
struct inventory {
    struct pql_topic_plan *plans;
    const char **names;
    struct pql_kafka_topic *found;
    size_t count;
};

static void inventory_deinit(struct inventory *inv)
{
    free(inv->plans);
    free(inv->names);
    free(inv->found);
}

static void pause_between_looks(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

static bool is_there(const struct pql_kafka_topic *found)
{
    return found->exists || found->denied;
}

static bool lacks_any(const struct inventory *inv, bool of_inputs_only)
{
    for (size_t i = 0; i < inv->count; i++)
        if ((inv->plans[i].is_input || !of_inputs_only) && !is_there(&inv->found[i])) return true;
    return false;
}

enum wanted { WANTS_NONE, WANTS_INPUTS, WANTS_ALL };

/* Who creates topics and starts this at once may be faster than the broker that is asked, which hears of them
 * a moment later: that one that is wanted is missing is believed only when it stays so. */
static int inventory_init(struct inventory *inv, const struct pql_config *config, struct pql_kafka *kafka,
                          enum wanted wanted, struct pql_err *err)
{
    size_t max = pql_topics_max(config);
    inv->plans = pql_xcalloc(max, sizeof(*inv->plans));
    inv->names = pql_xcalloc(max, sizeof(*inv->names));
    inv->found = pql_xcalloc(max, sizeof(*inv->found));
    inv->count = pql_topics_plan(config, 0, inv->plans);
    for (size_t i = 0; i < inv->count; i++) inv->names[i] = inv->plans[i].name;
    for (int waited_ms = 0;; waited_ms += LOOK_MS) {
        if (pql_kafka_describe(kafka, inv->names, inv->count, inv->found, ASK_MS, err)) return -1;
        if (wanted == WANTS_NONE || waited_ms >= NEWS_MS || !lacks_any(inv, wanted == WANTS_INPUTS)) return 0;
        pause_between_looks();
    }
}

int pql_topics_verify(const struct pql_config *config, const struct pql_program *program,
                      struct pql_kafka *kafka, bool waits,
                      void (*tell_difference)(void *context, const struct pql_topic_difference *difference),
                      void *context, size_t *refused, struct pql_err *err)
{
    struct comparison cmp = {
        .config = config, .program = program, .kafka = kafka, .tell = tell_difference, .context = context};
    struct inventory inv = {0};
    int result = inventory_init(&inv, config, kafka, waits ? WANTS_ALL : WANTS_NONE, err);
    for (size_t i = 0; !result && i < inv.count; i++)
        result = compare(&cmp, &inv.plans[i], &inv.found[i],
                         inv.found[0].exists ? inv.found[0].partitions : 0, err);
    *refused = cmp.refused;
    inventory_deinit(&inv);
    return result;
}

/* --- creating and deleting --- */

static int create(const struct pql_config *config, struct pql_kafka *kafka, const struct pql_topic_plan *plan,
                  int32_t partitions, struct pql_err *err)
{
    struct pql_kafka_new_topic topic = {.name = plan->name,
                                        .partitions = plan->partitions ? plan->partitions : partitions,
                                        .replicas = plan->replicas,
                                        .settings = plan->settings};
    if (!pql_kafka_create_topic(kafka, &topic, ASK_MS, err)) return 0;
    if (strstr(err->msg, "eplication factor"))
        snprintf(err->msg + strlen(err->msg), sizeof(err->msg) - strlen(err->msg),
                 "; a cluster of fewer brokers wants --set replication_factor=1 (now %lld)",
                 (long long)config->replication_factor);
    pql_err_prefix(err, "creating topic ");
    return -1;
}

/* A topic just created takes a moment until every broker knows it. */
static int wait_until_there(struct pql_kafka *kafka, const struct inventory *inv, struct pql_err *err)
{
    for (int waited_ms = 0;; waited_ms += LOOK_MS) {
        const char *missing;
        if (pql_kafka_find_unknown(kafka, inv->names, inv->count, &missing, ASK_MS / 5, err)) return -1;
        if (!missing) return 0;
        if (waited_ms >= APPEAR_MS)
            return PQL_FAIL(err, PQL_ERR_RETRY, "topic %s does not appear in the metadata of every broker",
                            missing);
        pause_between_looks();
    }
}

int pql_topics_create(const struct pql_config *config, struct pql_kafka *kafka, int32_t input_partitions,
                      void (*tell_created)(void *context, const char *topic, int32_t partitions),
                      void *context, struct pql_err *err)
{
    struct inventory inv = {0};
    int result = inventory_init(&inv, config, kafka, input_partitions > 0 ? WANTS_NONE : WANTS_INPUTS, err);
    int32_t partitions = !result && inv.found[0].exists ? inv.found[0].partitions : input_partitions;
    for (size_t i = 0; !result && i < inv.count; i++) {
        const struct pql_topic_plan *plan = &inv.plans[i];
        if (inv.found[i].exists || inv.found[i].denied) continue;
        if (plan->is_input && input_partitions <= 0)
            result = PQL_FAIL(err, PQL_ERR_CONFIG,
                              "input topic %s does not exist; correct its name in `inputs`, or create it "
                              "with N partitions: "
                              "pqlstream topics --config %s --create --input-partitions N",
                              plan->name, config->path);
        else
            result = create(config, kafka, plan, partitions, err);
        if (!result) tell_created(context, plan->name, plan->partitions ? plan->partitions : partitions);
    }
    if (!result) result = wait_until_there(kafka, &inv, err);
    inventory_deinit(&inv);
    return result;
}

int pql_topics_delete(const struct pql_config *config, struct pql_kafka *kafka,
                      void (*tell_deleted)(void *context, const char *topic, int32_t partitions),
                      void *context, struct pql_err *err)
{
    struct inventory inv = {0};
    int result = inventory_init(&inv, config, kafka, WANTS_NONE, err);
    for (size_t i = 0; !result && i < inv.count; i++) {
        if (inv.plans[i].is_input || !inv.found[i].exists) continue;
        result = pql_kafka_delete_topic(kafka, inv.names[i], ASK_MS, err);
        if (!result) tell_deleted(context, inv.names[i], inv.found[i].partitions);
    }
    inventory_deinit(&inv);
    return result;
}
