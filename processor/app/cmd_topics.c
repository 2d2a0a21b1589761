/* topics: what the configuration needs in the cluster: printed, created, verified, deleted. */
#include "app/kafka_say.h"
#include "app/setup.h"
#include "app/topics.h"
#include <inttypes.h>
#include <stdlib.h>

enum { ATTEMPTS_MAX = 5 };

struct topics_flags {
    struct pql_config_flags config;
    bool creates, verifies, prints, deletes, is_sure;
    const char *input_partitions, *principal;
};

static void print_difference(void *context, const struct pql_topic_difference *difference)
{
    size_t *count = context;
    ++*count;
    printf("%s: %s: %s\n    %s\n", difference->refuses ? "error" : "warning", difference->topic,
           difference->what, difference->mend);
}

static void print_created(void *context, const char *topic, int32_t partitions)
{
    printf("%s %s, %" PRId32 " partitions\n", (const char *)context, topic, partitions);
}

static void print_all(const struct topics_flags *flags, const struct pql_config *config, int32_t partitions)
{
    pql_topics_print(
        config,
        &(struct pql_topics_print){.partitions = partitions,
                                   .creates_inputs = flags->input_partitions != NULL,
                                   .principal = flags->principal ? flags->principal : "User:NAME"},
        stdout);
}

static int print_as_lead(const struct topics_flags *flags, const struct pql_config *config,
                         struct pql_kafka *kafka, struct pql_err *err)
{
    struct pql_kafka_topic lead;
    if (pql_kafka_describe(kafka, &config->inputs[0].topic, 1, &lead, 10000, err)) return -1;
    if (!lead.exists)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "input topic %s does not exist: how many partitions are wanted is said by "
                        "--input-partitions N",
                        config->inputs[0].topic);
    print_all(flags, config, lead.partitions);
    return 0;
}

static int verify(const struct pql_setup *setup, struct pql_kafka *kafka, struct pql_err *err)
{
    size_t refused, differences = 0;
    if (pql_topics_verify(setup->config, setup->program, kafka, false, print_difference, &differences,
                          &refused, err))
        return -1;
    if (refused)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "%zu of the differences must be mended before a run", refused);
    puts(differences ? "all topics are there" : "all topics are there and fit");
    return 0;
}

static int delete_outputs(const struct topics_flags *flags, const struct pql_config *config,
                          struct pql_kafka *kafka, struct pql_err *err)
{
    static char word[] = "deleted";
    if (!flags->is_sure)
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "this deletes the output topics and the checkpoint of %s for ever; add --yes if that is meant",
            config->app);
    return pql_topics_delete(config, kafka, print_created, word, err);
}

static int act(const struct topics_flags *flags, const struct pql_setup *setup, struct pql_kafka *kafka,
               struct pql_err *err)
{
    const struct pql_config *config = setup->config;
    static char word[] = "created";
    long partitions = flags->input_partitions ? strtol(flags->input_partitions, NULL, 10) : 0;
    if (flags->input_partitions && (partitions < 1 || partitions > 100000))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "--input-partitions wants a number from 1 to 100000");
    if (flags->prints && flags->input_partitions) { /* nothing is to be asked */
        print_all(flags, config, (int32_t)partitions);
        return 0;
    }
    if (pql_kafka_await(kafka, ATTEMPTS_MAX, NULL, NULL, err)) return -1;
    if (flags->prints && print_as_lead(flags, config, kafka, err)) return -1;
    if (flags->deletes && delete_outputs(flags, config, kafka, err)) return -1;
    if (flags->creates && pql_topics_create(config, kafka, (int32_t)partitions, print_created, word, err))
        return -1;
    bool is_plain = !flags->prints && !flags->deletes && !flags->creates;
    return flags->verifies || flags->creates || is_plain ? verify(setup, kafka, err) : 0;
}

static int topics(const struct topics_flags *flags)
{
    struct pql_setup setup;
    int exit_code = PQL_EXIT_OK;
    struct pql_err err = {0};
    struct pql_kafka *kafka = NULL;
    struct pql_kafka_log log = pql_kafka_say();
    if (!pql_setup_init(&setup, &flags->config, true, &exit_code)) goto out;
    kafka = pql_kafka_open(&setup.config->kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, &err);
    if (!kafka || act(flags, &setup, kafka, &err)) {
        fflush(stdout);
        fprintf(stderr, "pqlstream topics: %s\n", err.msg);
        exit_code = PQL_EXIT_FAILURE;
    }
out:
    pql_kafka_close(kafka);
    pql_setup_deinit(&setup);
    return exit_code;
}

int pql_cmd_topics(int argc, char **argv)
{
    struct topics_flags chosen = {0};
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&chosen.config),
        {"--verify", 0, PQL_FLAG_YES, NULL, "compare with the cluster; the default", &chosen.verifies},
        {"--create", 0, PQL_FLAG_YES, NULL, "create what is missing, then verify", &chosen.creates},
        {"--input-partitions", 0, PQL_FLAG_TEXT, "N",
         "with --create and --print: missing inputs too, with N partitions", &chosen.input_partitions},
        {"--print", 0, PQL_FLAG_YES, NULL,
         "print topics, settings and rights as commands of Kafka's own tools", &chosen.prints},
        {"--principal", 0, PQL_FLAG_TEXT, "TYPE:NAME", "with --print: who runs it, as in User:pqlstream",
         &chosen.principal},
        {"--delete", 0, PQL_FLAG_YES, NULL, "delete the outputs and the checkpoint, never an input",
         &chosen.deletes},
        {"--yes", 0, PQL_FLAG_YES, NULL, "with --delete: yes", &chosen.is_sure},
    };
    int rest, exit_code;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Compares the topics that the configuration needs with those of the cluster, and says for each "
            "difference\nthe command that mends it.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    return topics(&chosen);
}
