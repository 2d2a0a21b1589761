#include "app/remedy.h"

#include "app/rights.h"

#include <stdio.h>

#define ACLS "kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal User:NAME "
#define CONFIGS "kafka-configs.sh --bootstrap-server {brokers} "

/* {brokers}, {app}, {topic}: the topic, else every output; {rights}: what is needed on it. */
static const struct row {
    const char *reason, *text;
} rows[] = {
    {"topic_authorization", ACLS "{rights}{topic}"},
    {"group_authorization", ACLS "--operation Read --group {app}"},
    {"cluster_authorization", ACLS "--operation IdempotentWrite --cluster"},
    {"transactional_id_authorization",
     ACLS "--operation Write --transactional-id {app}- --resource-pattern-type prefixed"},
    {"unknown_topic", "pqlstream topics --create"},
    {"record_too_large",
     CONFIGS "--alter --entity-type topics{entity} --add-config max.message.bytes=1048588, and start again: "
             "sizes are read at the start"},
    {"metadata_too_large",
     "offset.metadata.max.bytes=4096 in the brokers' server.properties, and restart them"},
    {"transaction_timeout",
     "transaction.max.timeout.ms in the brokers' server.properties is smaller than the "
     "wanted transaction.timeout.ms: raise it and restart them, or set "
     "kafka.transaction_timeout_ms to at most that"},
    {"policy", CONFIGS "--describe --entity-type topics{entity} shows the policy that the record broke"},
    {"invalid_record",
     CONFIGS "--describe --entity-type topics{entity} shows what the topic takes: a compacted "
             "one wants a key in each record"},
};

struct text {
    char *at, *end;
};

static void put(struct text *text, const char *words, size_t len)
{
    size_t room = (size_t)(text->end - text->at);
    if (len > room) len = room;
    memcpy(text->at, words, len);
    text->at += len;
    *text->at = '\0';
}

static void put_word(struct text *text, const char *word)
{
    put(text, word, strlen(word));
}

static void put_topics(struct text *text, const struct pql_pipeline_conf *conf, const char *topic,
                       const char *flag)
{
    for (int i = 0; i < (topic ? 1 : PQL_OUT_COUNT); i++) {
        put_word(text, flag);
        put_word(text, topic ? topic : conf->outputs[i]);
    }
}

static bool is_input(const struct pql_pipeline_conf *conf, const char *topic)
{
    for (uint32_t i = 0; topic && i < conf->inputs_count; i++)
        if (!strcmp(conf->inputs[i].topic, topic)) return true;
    return false;
}

static const char *rights(const struct pql_pipeline_conf *conf, const char *topic)
{
    if (is_input(conf, topic)) return pql_rights[PQL_USE_INPUT];
    bool is_checkpoint = topic && !strcmp(topic, conf->outputs[PQL_OUT_CHECKPOINT]);
    return pql_rights[is_checkpoint ? PQL_USE_CHECKPOINT : PQL_USE_OUTPUT];
}

static void fill(struct text *text, const struct pql_pipeline_conf *conf, const char *topic, const char *from)
{
    while (*from) {
        const char *open = strchr(from, '{'), *close = open ? strchr(open, '}') : NULL;
        put(text, from, close ? (size_t)(open - from) : strlen(from));
        if (!close) return;
        switch (open[1]) {
        case 'a': put_word(text, conf->app); break;
        case 'b': put_word(text, conf->brokers ? conf->brokers : "BROKER"); break;
        case 'e': put_topics(text, conf, topic, " --entity-name "); break;
        case 'r': put_word(text, rights(conf, topic)); break;
        case 't': put_topics(text, conf, topic, " --topic "); break;
        default: PQL_ASSERT(!"a hole of the table");
        }
        from = close + 1;
    }
}

void pql_remedy_add(const struct pql_pipeline_conf *conf, struct pql_err *err)
{
    for (size_t i = 0; err->reason && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].reason, err->reason) != 0) continue;
        struct text text = {err->msg + strlen(err->msg), err->msg + sizeof err->msg - 1};
        put_word(&text, "; this mends it: ");
        fill(&text, conf, err->topic, rows[i].text);
    }
}
