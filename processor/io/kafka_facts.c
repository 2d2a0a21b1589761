/* What the cluster knows: committed offsets, edges of partitions, topics. */
#include "io/kafka_admin.h"
#include "io/kafka_parts.h"
#include <stdlib.h>

/* --- committed offsets --- */

static void read_committed(const struct pql_kafka_ports *ports, const rd_kafka_topic_partition_list_t *found,
                           struct pql_position *position)
{
    position->offset = PQL_OFFSET_NONE;
    position->metadata[0] = '\0';
    for (int i = 0; i < found->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &found->elems[i];
        if (element->partition != position->partition ||
            strcmp(element->topic, ports->conf.inputs[position->input]) != 0 || element->offset < 0)
            continue;
        size_t len =
            element->metadata_size < PQL_METADATA_MAX - 1 ? element->metadata_size : PQL_METADATA_MAX - 1;
        position->offset = element->offset;
        if (len) memcpy(position->metadata, element->metadata, len);
        position->metadata[len] = '\0';
    }
}

static rd_kafka_resp_err_t first_error(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err) return list->elems[i].err;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Longest that one question waits for an open transaction to end: whoever asks does so again, and has others
 * to ask for. */
enum { STABLE_MS = 2000 };

/* By the member, whose handle follows the coordinator and, reading committed records, is told stable offsets
 * alone. Through librdkafka's requests for administrators it would not do: where the coordinator moved they
 * die on a handle without a group (#5040) and ask the old one for ever on any other. */
static int committed(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                     struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    rd_kafka_topic_partition_list_t *list = pql_kafka_list(ports, positions, count, false);
    rd_kafka_resp_err_t code = rd_kafka_committed(pql_kafka_source_rk(ports->source), list,
                                                  timeout_ms < STABLE_MS ? timeout_ms : STABLE_MS);
    if (!code) code = first_error(list);
    for (size_t i = 0; !code && i < count; i++) read_committed(ports, list, &positions[i]);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code) return 0;
    pql_kafka_fail(err, code, NULL);
    pql_err_prefix(err, "committed offsets of group %s: ", ports->conf.kafka->app);
    return -1;
}

/* --- edges --- */

static int offsets(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                   struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    struct pql_kafka_offset *asked = pql_xcalloc(count + 1, sizeof(*asked));
    for (size_t i = 0; i < count; i++) {
        int64_t offset = positions[i].offset;
        asked[i] = (struct pql_kafka_offset){ports->conf.inputs[positions[i].input], positions[i].partition,
                                             offset == PQL_OFFSET_EARLIEST ? PQL_KAFKA_EARLIEST
                                             : offset == PQL_OFFSET_LATEST ? PQL_KAFKA_LATEST
                                                                           : offset};
    }
    int result = pql_kafka_offsets(pql_kafka_ports_admin(ports), asked, count, timeout_ms, err);
    for (size_t i = 0; !result && i < count; i++) positions[i].offset = asked[i].offset;
    free(asked);
    return result;
}

/* --- topics --- */

static int64_t number_of(const struct pql_kafka_setting *setting, int64_t otherwise)
{
    return setting->value[0] ? strtoll(setting->value, NULL, 10) : otherwise;
}

static int topic_facts(struct pql_kafka_ports *ports, const char *topic, struct pql_topic_facts *facts,
                       int timeout_ms, struct pql_err *err)
{
    struct pql_kafka *kafka = pql_kafka_ports_admin(ports);
    struct pql_kafka_topic found;
    struct pql_kafka_setting settings[] = {{.name = "max.message.bytes"},
                                           {.name = "retention.ms"},
                                           {.name = "retention.bytes"},
                                           {.name = "cleanup.policy"},
                                           {.name = "min.compaction.lag.ms"}};
    struct pql_topic_facts answer = {.max_message_bytes = 1000000, .retention_ms = -1, .retention_bytes = -1};
    if (pql_kafka_describe(kafka, &topic, 1, &found, timeout_ms, err)) return -1;
    if (found.denied) {
        pql_kafka_fail(err, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, NULL);
        if (err) err->topic = topic;
        pql_err_prefix(err, "%s: ", topic);
        return -1;
    }
    answer.exists = found.exists;
    answer.partitions_count = found.partitions;
    snprintf(answer.id, sizeof(answer.id), "%s", found.id[0] ? found.id : "-");
    if (found.exists &&
        pql_kafka_settings(kafka, topic, settings, 5, &answer.has_configuration, timeout_ms, err))
        return -1;
    if (answer.has_configuration) {
        answer.max_message_bytes = number_of(&settings[0], answer.max_message_bytes);
        answer.retention_ms = number_of(&settings[1], -1);
        answer.retention_bytes = number_of(&settings[2], -1);
        answer.is_compacted = strstr(settings[3].value, "compact") != NULL;
        answer.compaction_lag_ms = number_of(&settings[4], 0);
        answer.is_deleted = strstr(settings[3].value, "delete") != NULL;
    }
    *facts = answer;
    return 0;
}

static int input_facts(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                       struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    return topic_facts(ports, ports->conf.inputs[input], facts, timeout_ms, err);
}

static int output_facts(void *self, enum pql_output output, struct pql_topic_facts *facts, int timeout_ms,
                        struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    return topic_facts(ports, ports->conf.outputs[output], facts, timeout_ms, err);
}

void pql_kafka_facts_fill(struct pql_ports *table)
{
    table->committed = committed;
    table->offsets = offsets;
    table->input_facts = input_facts;
    table->output_facts = output_facts;
}
