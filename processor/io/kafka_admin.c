#include "io/kafka_admin.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

/* --- one question: options, queue, answer --- */

struct question {
    rd_kafka_AdminOptions_t *options;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *answer;
    int timeout_ms;
};

static struct question question_new(struct pql_kafka *kafka, rd_kafka_admin_op_t op, int timeout_ms)
{
    struct question question = {.options = rd_kafka_AdminOptions_new(kafka->rk, op),
                                .queue = rd_kafka_queue_new(kafka->rk),
                                .timeout_ms = timeout_ms > 100 ? timeout_ms : 100};
    char ignored[100];
    rd_kafka_AdminOptions_set_request_timeout(question.options, question.timeout_ms, ignored,
                                              sizeof(ignored));
    return question;
}

static void question_deinit(struct question *question)
{
    if (question->answer) rd_kafka_event_destroy(question->answer);
    rd_kafka_queue_destroy(question->queue);
    rd_kafka_AdminOptions_destroy(question->options);
}

static bool is_unsupported(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE || code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION;
}

/* Waits for the answer; fills err with librdkafka's words, after those that it said about connecting, if any.
 */
static rd_kafka_resp_err_t question_wait(struct pql_kafka *kafka, struct question *question,
                                         struct pql_err *err)
{
    question->answer = rd_kafka_queue_poll(question->queue, question->timeout_ms + 500);
    rd_kafka_resp_err_t code =
        question->answer ? rd_kafka_event_error(question->answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!code) return code;
    const char *text =
        question->answer ? rd_kafka_event_error_string(question->answer) : rd_kafka_err2str(code);
    char said[300];
    (void)pql_kafka_last_said(kafka, said, sizeof(said), NULL);
    PQL_FAIL(err, pql_kafka_class(code), "%s%s%s", text ? text : rd_kafka_err2str(code), said[0] ? "; " : "",
             said);
    return code;
}

static int fail_topic(struct pql_err *err, const char *topic, rd_kafka_resp_err_t code, const char *text)
{
    return PQL_FAIL(err, pql_kafka_class(code), "%s: %s", topic, text ? text : rd_kafka_err2str(code));
}

/* --- what there is --- */

static void read_topic(const rd_kafka_TopicDescription_t *found, struct pql_kafka_topic *out)
{
    size_t count;
    rd_kafka_resp_err_t code = rd_kafka_error_code(rd_kafka_TopicDescription_error(found));
    out->denied = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    if (code) return;
    const rd_kafka_TopicPartitionInfo_t **partitions = rd_kafka_TopicDescription_partitions(found, &count);
    out->exists = count > 0;
    out->partitions = (int32_t)count;
    if (count) {
        rd_kafka_TopicPartitionInfo_replicas(partitions[0], &count);
        out->replicas = (int32_t)count;
    }
    const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(found);
    if (id && (rd_kafka_Uuid_least_significant_bits(id) || rd_kafka_Uuid_most_significant_bits(id)))
        snprintf(out->id, sizeof(out->id), "%s", rd_kafka_Uuid_base64str(id));
    const rd_kafka_AclOperation_t *operations =
        rd_kafka_TopicDescription_authorized_operations(found, &count);
    out->rights_known = operations != NULL;
    for (size_t i = 0; operations && i < count; i++) {
        out->may_read |= operations[i] == RD_KAFKA_ACL_OPERATION_READ;
        out->may_write |= operations[i] == RD_KAFKA_ACL_OPERATION_WRITE;
        out->may_delete |= operations[i] == RD_KAFKA_ACL_OPERATION_DELETE;
    }
}

/* The mock has no controller to ask; it does not create a topic that is asked for here. */
static int describe_by_metadata(struct pql_kafka *kafka, const char *const *names, size_t count,
                                struct pql_kafka_topic *out, int timeout_ms, struct pql_err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(kafka->rk, 1, NULL, &metadata, timeout_ms);
    if (code) return fail_topic(err, names[0], code, NULL);
    memset(out, 0, count * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < metadata->topic_cnt; j++) {
            if (strcmp(metadata->topics[j].topic, names[i]) != 0) continue;
            out[i].partitions = metadata->topics[j].partition_cnt;
            out[i].exists = out[i].partitions > 0;
        }
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* As broker `broker` knows them; -1: any. */
static int describe_at(struct pql_kafka *kafka, int32_t broker, const char *const *names, size_t count,
                       struct pql_kafka_topic *out, int timeout_ms, struct pql_err *err)
{
    if (kafka->conf->is_mock) return describe_by_metadata(kafka, names, count, out, timeout_ms, err);
    char not_said[100];
    const char **asked = pql_xcalloc(count, sizeof(*asked));
    memcpy(asked, names, count * sizeof(*asked));
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(asked, count);
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_ms);
    rd_kafka_error_t *ignored = rd_kafka_AdminOptions_set_include_authorized_operations(question.options, 1);
    if (ignored) rd_kafka_error_destroy(ignored);
    if (broker >= 0) rd_kafka_AdminOptions_set_broker(question.options, broker, not_said, sizeof(not_said));
    rd_kafka_DescribeTopics(kafka->rk, topics, question.options, question.queue);
    int result = question_wait(kafka, &question, err) ? -1 : 0;
    if (!result) {
        size_t found_count;
        const rd_kafka_TopicDescription_t **found = rd_kafka_DescribeTopics_result_topics(
            rd_kafka_event_DescribeTopics_result(question.answer), &found_count);
        memset(out, 0, count * sizeof(*out));
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < found_count; j++)
                if (strcmp(names[i], rd_kafka_TopicDescription_name(found[j])) == 0)
                    read_topic(found[j], &out[i]);
    }
    question_deinit(&question);
    rd_kafka_TopicCollection_destroy(topics);
    free(asked);
    return result;
}

int pql_kafka_describe(struct pql_kafka *kafka, const char *const *names, size_t count,
                       struct pql_kafka_topic *out, int timeout_ms, struct pql_err *err)
{
    return describe_at(kafka, -1, names, count, out, timeout_ms, err);
}

int pql_kafka_find_unknown(struct pql_kafka *kafka, const char *const *names, size_t count,
                           const char **unknown, int timeout_ms, struct pql_err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(kafka->rk, 0, NULL, &metadata, timeout_ms);
    if (code) return fail_topic(err, names[0], code, NULL);
    struct pql_kafka_topic *found = pql_xcalloc(count, sizeof(*found));
    *unknown = NULL;
    for (int b = 0; b < metadata->broker_cnt && !*unknown; b++) {
        /* One that has gone meanwhile is asked by nobody else either. */
        if (describe_at(kafka, metadata->brokers[b].id, names, count, found, timeout_ms, NULL)) continue;
        for (size_t i = 0; i < count; i++)
            if (!found[i].exists && !found[i].denied) *unknown = names[i];
    }
    free(found);
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

static void read_settings(const rd_kafka_ConfigResource_t *resource, struct pql_kafka_setting *settings,
                          size_t count)
{
    size_t entries_count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &entries_count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < entries_count; j++)
            if (strcmp(settings[i].name, rd_kafka_ConfigEntry_name(entries[j])) == 0 &&
                rd_kafka_ConfigEntry_value(entries[j]))
                snprintf(settings[i].value, sizeof(settings[i].value), "%s",
                         rd_kafka_ConfigEntry_value(entries[j]));
}

int pql_kafka_settings(struct pql_kafka *kafka, const char *topic, struct pql_kafka_setting *settings,
                       size_t count, bool *known, int timeout_ms, struct pql_err *err)
{
    *known = false;
    for (size_t i = 0; i < count; i++) settings[i].value[0] = '\0';
    if (kafka->conf->is_mock) return 0;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(kafka->rk, &resource, 1, question.options, question.queue);
    rd_kafka_resp_err_t code = question_wait(kafka, &question, err);
    int result = code && !is_unsupported(code) ? -1 : 0;
    if (!code) {
        size_t found_count;
        const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(question.answer), &found_count);
        /* Without the right to describe them it is as where the broker cannot say. */
        *known = found_count == 1 && !rd_kafka_ConfigResource_error(found[0]);
        if (*known) read_settings(found[0], settings, count);
    }
    question_deinit(&question);
    rd_kafka_ConfigResource_destroy(resource);
    return result;
}

/* --- what is done to topics --- */

/* The one result of a request about one topic. */
static int topic_result(const rd_kafka_topic_result_t **results, size_t count, rd_kafka_resp_err_t allowed,
                        struct pql_err *err)
{
    PQL_ASSERT(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (!code || code == allowed) return 0;
    return fail_topic(err, rd_kafka_topic_result_name(results[0]), code,
                      rd_kafka_topic_result_error_string(results[0]));
}

int pql_kafka_create_topic(struct pql_kafka *kafka, const struct pql_kafka_new_topic *topic, int timeout_ms,
                           struct pql_err *err)
{
    char text[300];
    int result = -1;
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    rd_kafka_NewTopic_t *wanted =
        rd_kafka_NewTopic_new(topic->name, topic->partitions, topic->replicas, text, sizeof(text));
    if (!wanted) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", topic->name, text);
        goto out;
    }
    for (const struct pql_kafka_extra *setting = topic->settings; setting && setting->name; setting++)
        rd_kafka_NewTopic_set_config(wanted, setting->name, setting->value);
    rd_kafka_CreateTopics(kafka->rk, &wanted, 1, question.options, question.queue);
    if (question_wait(kafka, &question, err)) goto out;
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(question.answer), &count);
    result = topic_result(results, count, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, err);
out:
    if (wanted) rd_kafka_NewTopic_destroy(wanted);
    question_deinit(&question);
    return result;
}

int pql_kafka_delete_topic(struct pql_kafka *kafka, const char *topic, int timeout_ms, struct pql_err *err)
{
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout_ms);
    rd_kafka_DeleteTopic_t *unwanted = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(kafka->rk, &unwanted, 1, question.options, question.queue);
    int result = question_wait(kafka, &question, err) ? -1 : 0;
    if (!result) {
        size_t count;
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(question.answer), &count);
        result = topic_result(results, count, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, err);
    }
    rd_kafka_DeleteTopic_destroy(unwanted);
    question_deinit(&question);
    return result;
}

int pql_kafka_delete_records(struct pql_kafka *kafka, const char *topic, int32_t partition, int64_t offset,
                             int timeout_ms, struct pql_err *err)
{
    if (kafka->conf->is_mock)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: the mock cannot delete records", topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_DELETERECORDS, timeout_ms);
    rd_kafka_DeleteRecords(kafka->rk, &records, 1, question.options, question.queue);
    int result = question_wait(kafka, &question, err) ? -1 : 0;
    if (!result) {
        const rd_kafka_topic_partition_list_t *done =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(question.answer));
        PQL_ASSERT(done->cnt == 1);
        if (done->elems[0].err) result = fail_topic(err, topic, done->elems[0].err, NULL);
    }
    question_deinit(&question);
    rd_kafka_DeleteRecords_destroy(records);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* --- offsets --- */

static struct pql_kafka_offset *find_offset(struct pql_kafka_offset *offsets, size_t count,
                                            const rd_kafka_topic_partition_t *found)
{
    for (size_t i = 0; i < count; i++)
        if (offsets[i].partition == found->partition && strcmp(offsets[i].topic, found->topic) == 0)
            return &offsets[i];
    return NULL;
}

static int read_offsets(rd_kafka_event_t *answer, struct pql_kafka_offset *offsets, size_t count,
                        struct pql_err *err)
{
    size_t infos_count;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(answer), &infos_count);
    for (size_t i = 0; i < infos_count; i++) {
        const rd_kafka_topic_partition_t *found = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        struct pql_kafka_offset *offset = find_offset(offsets, count, found);
        if (found->err) {
            fail_topic(err, found->topic, found->err, NULL);
            pql_err_prefix(err, "partition %d of ", found->partition);
            return -1;
        }
        /* -1: no record at or after a time. Anything below is librdkafka's "no answer". */
        if (found->offset < -1)
            return PQL_FAIL(err, PQL_ERR_RETRY, "%s: no answer for partition %d", found->topic,
                            found->partition);
        if (offset) offset->offset = found->offset;
    }
    return 0;
}

/* Which leader a handle asks it takes from its own copy of the metadata, good for a quarter of an hour; where
 * no consumer of the handle follows the topic nothing else renews it when a leader moves or starts again. */
static void renew_leaders(struct pql_kafka *kafka, int timeout_ms)
{
    const struct rd_kafka_metadata *metadata;
    if (!rd_kafka_metadata(kafka->rk, 1, NULL, &metadata, timeout_ms)) rd_kafka_metadata_destroy(metadata);
}

static int ask_offsets(struct pql_kafka *kafka, struct pql_kafka_offset *offsets, size_t count,
                       int timeout_ms, struct pql_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
            offsets[i].offset;
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout_ms);
    rd_kafka_ListOffsets(kafka->rk, list, question.options, question.queue);
    int result =
        question_wait(kafka, &question, err) ? -1 : read_offsets(question.answer, offsets, count, err);
    question_deinit(&question);
    rd_kafka_topic_partition_list_destroy(list);
    if (result && (!err || err->cls == PQL_ERR_RETRY)) renew_leaders(kafka, timeout_ms);
    return result;
}

int pql_kafka_offsets(struct pql_kafka *kafka, struct pql_kafka_offset *offsets, size_t count, int timeout_ms,
                      struct pql_err *err)
{
    if (ask_offsets(kafka, offsets, count, timeout_ms, err)) return -1;
    /* No record at or after a time: there the broker says -1, which as a question means the end. */
    bool is_beyond = false;
    for (size_t i = 0; i < count; i++) is_beyond |= offsets[i].offset < 0;
    if (!is_beyond) return 0;
    struct pql_kafka_offset *again = pql_xcalloc(count, sizeof(*again));
    size_t again_count = 0;
    for (size_t i = 0; i < count; i++)
        if (offsets[i].offset < 0) again[again_count++] = offsets[i];
    int result = ask_offsets(kafka, again, again_count, timeout_ms, err);
    for (size_t i = 0, j = 0; !result && i < count; i++)
        if (offsets[i].offset < 0) offsets[i] = again[j++];
    free(again);
    return result;
}

/* --- committed offsets of a group --- */

static rd_kafka_topic_partition_list_t *commits_list(const struct pql_kafka_commit *commits, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *item =
            rd_kafka_topic_partition_list_add(list, commits[i].topic, commits[i].partition);
        item->offset = commits[i].offset;
        if (!commits[i].metadata) continue;
        item->metadata_size = strlen(commits[i].metadata);
        item->metadata = pql_xstrndup(commits[i].metadata, item->metadata_size); /* freed with the list */
    }
    return list;
}

static int group_code(rd_kafka_resp_err_t code, const char *group, const char *text, struct pql_err *err)
{
    if (code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
        code == RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "group %s has members: stop every instance first (one that was killed counts until "
                        "its session timeout)",
                        group);
    return PQL_FAIL(err, pql_kafka_class(code), "group %s: %s", group, text ? text : rd_kafka_err2str(code));
}

static int group_result(const rd_kafka_group_result_t **results, size_t count, const char *group,
                        struct pql_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(results[i]);
        const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(results[i]);
        if (error && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) continue;
        if (error) return group_code(rd_kafka_error_code(error), group, rd_kafka_error_string(error), err);
        for (int k = 0; list && k < list->cnt; k++)
            if (list->elems[k].err) return group_code(list->elems[k].err, group, NULL, err);
    }
    return 0;
}

int pql_kafka_commit_group(struct pql_kafka *kafka, const char *group, const struct pql_kafka_commit *commits,
                           size_t count, int timeout_ms, struct pql_err *err)
{
    size_t n = 0;
    rd_kafka_topic_partition_list_t *list = commits_list(commits, count);
    rd_kafka_AlterConsumerGroupOffsets_t *asked = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, timeout_ms);
    rd_kafka_AlterConsumerGroupOffsets(kafka->rk, &asked, 1, question.options, question.queue);
    int result = question_wait(kafka, &question, err) ? -1 : 0;
    if (!result) {
        const rd_kafka_group_result_t **results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(question.answer), &n);
        result = group_result(results, n, group, err);
    }
    question_deinit(&question);
    rd_kafka_AlterConsumerGroupOffsets_destroy(asked);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int pql_kafka_forget_group(struct pql_kafka *kafka, const char *group, const struct pql_kafka_commit *commits,
                           size_t count, int timeout_ms, struct pql_err *err)
{
    size_t n = 0;
    rd_kafka_topic_partition_list_t *list = commits_list(commits, count);
    rd_kafka_DeleteConsumerGroupOffsets_t *asked = rd_kafka_DeleteConsumerGroupOffsets_new(group, list);
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS, timeout_ms);
    rd_kafka_DeleteConsumerGroupOffsets(kafka->rk, &asked, 1, question.options, question.queue);
    int result = question_wait(kafka, &question, err) ? -1 : 0;
    if (!result) {
        const rd_kafka_group_result_t **results = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(question.answer), &n);
        result = group_result(results, n, group, err);
    }
    question_deinit(&question);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(asked);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* --- who has a partition --- */

static bool has_partition(const rd_kafka_MemberDescription_t *member, const char *topic, int32_t partition)
{
    const rd_kafka_topic_partition_list_t *list =
        rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(member));
    for (int i = 0; list && i < list->cnt; i++)
        if (list->elems[i].partition == partition && strcmp(list->elems[i].topic, topic) == 0) return true;
    return false;
}

/* Java brokers write a slash before the address. */
static void read_owner(const rd_kafka_MemberDescription_t *member, struct pql_kafka_owner *out)
{
    const char *instance = rd_kafka_MemberDescription_group_instance_id(member),
               *host = rd_kafka_MemberDescription_host(member);
    out->is_known = true;
    snprintf(out->instance, sizeof out->instance, "%s", instance ? instance : "");
    snprintf(out->host, sizeof out->host, "%s", !host ? "" : *host == '/' ? host + 1 : host);
}

int pql_kafka_owner(struct pql_kafka *kafka, const char *group, const char *topic, int32_t partition,
                    struct pql_kafka_owner *out, int timeout_ms, struct pql_err *err)
{
    size_t n = 0;
    struct pql_kafka_owner owner = {0};
    struct question question = question_new(kafka, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout_ms);
    rd_kafka_DescribeConsumerGroups(kafka->rk, &group, 1, question.options, question.queue);
    int result = question_wait(kafka, &question, err) ? -1 : 0;
    if (!result) {
        const rd_kafka_ConsumerGroupDescription_t **groups = rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(question.answer), &n);
        size_t members = n ? rd_kafka_ConsumerGroupDescription_member_count(groups[0]) : 0;
        for (size_t i = 0; i < members; i++) {
            const rd_kafka_MemberDescription_t *member =
                rd_kafka_ConsumerGroupDescription_member(groups[0], i);
            if (has_partition(member, topic, partition)) read_owner(member, &owner);
        }
        *out = owner;
    }
    question_deinit(&question);
    return result;
}
