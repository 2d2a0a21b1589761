#include "io/kafka_client.h"

#include "io/kafka_security.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct pql_kafka_said {
    pthread_mutex_t lock;
    char text[400];
    int code, certificate;
};

void pql_kafka_log_printf(const struct pql_kafka_log *log, int level, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (log->write) log->write(log->context, level, text);
}

/* --- the version --- */

static const struct defect {
    int fixed_in; /* as rd_kafka_version() */
    const char *what;
} defects[] = {
    {0x020300ff, "a producer may end with 'sequence desynchronization' after a disconnect (#4438)"},
    {0x020400ff, "closing a consumer may hang (#4528)"},
    {0x020500ff, "a retried large batch may fail with 'Unable to reconstruct MessageSet' (#4736)"},
    {0x020601ff,
     "a member may spin for ever in the assignor (#4783): exactly once is not supported below 2.6.1"},
    {0x020a00ff, "a commit during a rebalance may lose the assignment (#4059)"},
    {0x020d02ff, "a batch read may move the position at the end of a partition (#4844)"},
    {0x020e02ff, "leaving a group whose coordinator is away may crash (#5089)"},
};

void pql_kafka_log_version(const struct pql_kafka_log *log)
{
    pql_kafka_log_printf(log, 6, "librdkafka %s", rd_kafka_version_str());
    for (size_t i = 0; i < sizeof(defects) / sizeof(*defects); i++)
        if (rd_kafka_version() < defects[i].fixed_in)
            pql_kafka_log_printf(log, 4, "this librdkafka has a known defect: %s", defects[i].what);
}

/* --- properties --- */

/* Set by pqlstream, and what to write instead. */
static const struct owned {
    const char *name, *instead;
} owned[] = {
    {"group.id", "set `app`"},
    {"group.instance.id", "set `instance`"},
    {"transactional.id", "set `app` and `instance`"},
    {"client.id", "set `app`"},
    {"isolation.level", "only committed records are ever read"},
    {"enable.auto.commit", "offsets are committed with the outputs"},
    {"enable.auto.offset.store", "offsets are committed with the outputs"},
    {"enable.idempotence", "producers are always idempotent"},
    {"enable.partition.eof", "the clock of a quiet partition needs it"},
    {"auto.offset.reset", "set `start`"},
    {"partition.assignment.strategy", "assignment is cooperative-sticky"},
    {"group.protocol", "set `group_protocol`"},
    {"partitioner", "outputs are partitioned by murmur2, as Java clients do"},
    {"acks", "outputs are always acknowledged by all replicas"},
    {"request.required.acks", "outputs are always acknowledged by all replicas"},
};

/* What this program needs or measured to be right. A property of the configuration wins unless it is owned.
 * An optional one may be unknown to an older librdkafka. */
static const struct preset {
    const char *name, *value;
    unsigned roles; /* bits of enum pql_kafka_role */
    bool optional;
} presets[] = {
#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number
#define CONSUMER (1u << PQL_KAFKA_CONSUMER)
#define READERS (1u << PQL_KAFKA_READER | 1u << PQL_KAFKA_READER_RAW)
#define TXN (1u << PQL_KAFKA_TXN)
#define PRODUCER (1u << PQL_KAFKA_PRODUCER)
    {"socket.nagle.disable", "true", CONSUMER | READERS | TXN | PRODUCER, false},
    {"log.connection.close", "false", CONSUMER | READERS | TXN | PRODUCER, false},
    {"reconnect.backoff.max.ms", "5000", CONSUMER | READERS | TXN | PRODUCER, false},
    {"enable.auto.commit", "false", CONSUMER | READERS, false},
    {"enable.auto.offset.store", "false", CONSUMER | READERS, false},
    {"isolation.level", "read_committed", CONSUMER | 1u << PQL_KAFKA_READER, false},
    {"isolation.level", "read_uncommitted", 1u << PQL_KAFKA_READER_RAW, false},
    {"enable.partition.eof", "true", CONSUMER | READERS, false},
    /* Every position is given explicitly; one that the log no longer has is an error to be seen, never a
       jump. */
    {"auto.offset.reset", "error", CONSUMER | READERS, false},
    {"check.crcs", "true", CONSUMER | READERS, false},
    /* Per worker queue; with the defaults a slow turn of the loop runs into a back-off of 1 s (#3662). */
    {"queued.min.messages", "1000000", CONSUMER, false},
    {"queued.max.messages.kbytes", "65536", CONSUMER, false},
    {"queued.max.messages.kbytes", "8192", READERS, false}, /* there is one for each task that is restored */
    {"fetch.queue.backoff.ms", "5", CONSUMER | READERS, true},
    {"fetch.wait.max.ms", "100", CONSUMER, false},
    /* A restore waits for the end of its partitions, which a broker tells only after this time. */
    {"fetch.wait.max.ms", "10", READERS, false},
    {"enable.idempotence", "true", TXN | PRODUCER, false},
    {"partitioner", "murmur2_random", TXN | PRODUCER, false},
    {"compression.codec", "lz4", TXN, false},
    {"linger.ms", "2", TXN | PRODUCER, false},
    /* What a topic takes is looked at when a record is made, topic by topic; this is of all topics. A batch,
     * which a broker refuses as a whole, is kept small; a larger record is one by itself. */
    {"message.max.bytes", "100000000", TXN | PRODUCER, false},
    {"batch.size", TEXT_OF(PQL_KAFKA_BATCH_BYTES), PRODUCER, false},
    /* The pace of back-to-back transactions: the broker asks to retry while it still writes the last markers.
     */
    {"retry.backoff.ms", "5", TXN, false},
    {"transaction.timeout.ms", "10000", TXN, false},
    {"message.timeout.ms", "10000", TXN, false},
    {"message.timeout.ms", "60000", PRODUCER, false},
    {"queue.buffering.max.messages", "1000000", TXN | PRODUCER, false},
    {"queue.buffering.max.kbytes", "65536", PRODUCER, false},
#undef CONSUMER
#undef READERS
#undef TXN
#undef PRODUCER
};

/* What a member says for itself with the classic protocol. With the other the broker decides, and librdkafka
 * refuses them. */
static const struct {
    const char *name, *value; /* NULL: librdkafka's default */
} classic[] = {
    {"partition.assignment.strategy", "cooperative-sticky"},
    {"session.timeout.ms", "10000"},
    /* A member hears at its next heartbeat that others come or go; until all have answered, offsets of an at
     * least once commit are refused and partitions that move stand still. */
    {"heartbeat.interval.ms", "500"},
    {"group.protocol.type", NULL},
};

static bool is_classic(const char *name)
{
    for (size_t i = 0; i < sizeof(classic) / sizeof(*classic); i++)
        if (!strcmp(classic[i].name, name)) return true;
    return false;
}

static bool is_producer(enum pql_kafka_role role)
{
    return role == PQL_KAFKA_TXN || role == PQL_KAFKA_PRODUCER;
}

static bool applies(const struct pql_kafka_property *property, enum pql_kafka_role role)
{
    return property->side == PQL_KAFKA_BOTH_SIDES ||
           (property->side == PQL_KAFKA_PRODUCER_SIDE) == is_producer(role);
}

static const char *instead_of(const char *name)
{
    for (size_t i = 0; i < sizeof(owned) / sizeof(*owned); i++)
        if (strcmp(owned[i].name, name) == 0) return owned[i].instead;
    return NULL;
}

/* The property that is meant, as it is written in a configuration, or NULL. */
static const char *nearest_property(rd_kafka_conf_t *rk_conf, const char *name, char *out, size_t size)
{
    size_t count, names_count = 0;
    const char **all = rd_kafka_conf_dump(rk_conf, &count);
    const char **names = pql_xcalloc(count / 2 + 2, sizeof(*names));
    for (size_t i = 0; i < count; i += 2) names[names_count++] = all[i];
    names[names_count++] = "bootstrap.servers"; /* an alias: it is not listed */
    const char *found = pql_nearest(pql_slice_of(name), names, names_count);
    if (found) snprintf(out, size, "%s", found);
    for (char *at = out; found && *at; at++)
        if (*at == '.') *at = '_';
    rd_kafka_conf_dump_free(all, count);
    free(names);
    return found ? out : NULL;
}

/* librdkafka knows which side a property belongs to only by its table; a global one of the other side is
 * accepted and warned about by itself, so that both sides may share the group `kafka`. */
void pql_kafka_check(const struct pql_kafka_conf *conf, struct pql_diags *diags)
{
    rd_kafka_conf_t *rk_conf = rd_kafka_conf_new();
    for (size_t i = 0; i < conf->properties_count; i++) {
        const struct pql_kafka_property *property = &conf->properties[i];
        const char *instead = instead_of(property->name);
        char text[300], nearest[100];
        rd_kafka_conf_res_t result = RD_KAFKA_CONF_OK;
        if (!instead)
            result = rd_kafka_conf_set(rk_conf, property->name, property->value, text, sizeof(text));
        if (instead)
            pql_diag_place(diags, PQL_SEVERITY_ERROR, property->file, property->line, property->column, 1,
                           "'%s' is set by pqlstream itself: %s", property->name, instead);
        else if (conf->group_protocol == PQL_GROUP_CONSUMER && is_classic(property->name))
            pql_diag_place(diags, PQL_SEVERITY_ERROR, property->file, property->line, property->column, 1,
                           "'%s' is the broker's to decide with group_protocol = \"consumer\": see "
                           "group.consumer.session.timeout.ms and group.consumer.heartbeat.interval.ms there",
                           property->name);
        else if (result == RD_KAFKA_CONF_UNKNOWN &&
                 nearest_property(rk_conf, property->name, nearest, sizeof(nearest)))
            pql_diag_place(diags, PQL_SEVERITY_ERROR, property->file, property->line, property->column, 1,
                           "librdkafka: %s; did you mean '%s'?", text, nearest);
        else if (result)
            pql_diag_place(diags, PQL_SEVERITY_ERROR, property->file, property->line, property->column, 1,
                           "librdkafka: %s", text);
    }
    rd_kafka_conf_destroy(rk_conf);
    if (!diags->errors_count) pql_kafka_check_security(conf, diags);
}

static const char *process_random(void)
{
    static char text[17];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!text[0]) {
        unsigned char bytes[8] = {0};
        FILE *source = fopen("/dev/urandom", "rb");
        size_t got = source ? fread(bytes, 1, sizeof(bytes), source) : 0;
        if (source) fclose(source);
        PQL_ASSERT(got == sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    pthread_mutex_unlock(&lock);
    return text;
}

int64_t pql_kafka_transaction_timeout_ms(const struct pql_kafka_conf *conf)
{
    const char *value = NULL;
    for (size_t i = 0; i < sizeof(presets) / sizeof(*presets); i++)
        if (!strcmp(presets[i].name, "transaction.timeout.ms")) value = presets[i].value;
    for (size_t i = 0; i < conf->properties_count; i++)
        if (!strcmp(conf->properties[i].name, "transaction.timeout.ms") &&
            applies(&conf->properties[i], PQL_KAFKA_TXN))
            value = conf->properties[i].value;
    PQL_ASSERT(value);
    return strtoll(value, NULL, 10);
}

void pql_kafka_transactional_id(const struct pql_kafka_conf *conf, char *out, size_t size)
{
    snprintf(out, size, "%s-%s", conf->app, conf->instance ? conf->instance : process_random());
}

/* --- what librdkafka says --- */

static _Atomic uint64_t errors_count, warnings_count;

struct pql_kafka_counts pql_kafka_counts(void)
{
    return (struct pql_kafka_counts){errors_count, warnings_count};
}

static bool is_about_connecting(int code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

void pql_kafka_heard(struct pql_kafka *kafka, int code, const char *reason)
{
    errors_count++;
    if (!is_about_connecting(code)) return;
    pthread_mutex_lock(&kafka->said->lock);
    /* "… Connection refused (after 0ms in state CONNECT)": the state is the client's affair. */
    const char *end = strstr(reason, " (after ");
    int len = end ? (int)(end - reason) : (int)strlen(reason);
    snprintf(kafka->said->text, sizeof(kafka->said->text), "%.*s", len, reason);
    kafka->said->code = code;
    pthread_mutex_unlock(&kafka->said->lock);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct pql_kafka *kafka = opaque;
    (void)rk;
    pql_kafka_heard(kafka, code, reason);
    /* What is about connecting is said once by whoever waits for it, and not by each handle again. */
    bool is_minor = is_about_connecting(code) || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    pql_kafka_log_printf(&kafka->log,
                         code == RD_KAFKA_RESP_ERR__FATAL ? 3
                         : is_minor                       ? 7
                                                          : 4,
                         "%s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct pql_kafka *kafka = rd_kafka_opaque(rk);
    /* What on_error reports better, in the same words, comes here as well. */
    if (!strcmp(facility, "FAIL") || !strcmp(facility, "ERROR") || !strcmp(facility, "SSLCERTVRFY"))
        level = 7;
    warnings_count += level <= 4;
    pql_kafka_log_printf(&kafka->log, level, "%s: %s", facility, text);
}

/* It is OpenSSL that has verified: what it found is remembered, since librdkafka says of every certificate
 * only that it could not be verified. */
static int on_certificate(rd_kafka_t *rk, const char *broker, int32_t broker_id, int *x509_error, int depth,
                          const char *bytes, size_t size, char *text, size_t text_size, void *opaque)
{
    struct pql_kafka *kafka = opaque;
    (void)rk, (void)broker, (void)broker_id, (void)depth, (void)bytes, (void)size;
    if (!*x509_error) return 1;
    pthread_mutex_lock(&kafka->said->lock);
    kafka->said->certificate = *x509_error;
    pthread_mutex_unlock(&kafka->said->lock);
    snprintf(text, text_size, "X509 error %d", *x509_error);
    return 0;
}

int pql_kafka_last_said(struct pql_kafka *kafka, char *out, size_t size, int *certificate)
{
    pthread_mutex_lock(&kafka->said->lock);
    int code = kafka->said->code;
    snprintf(out, size, "%s", kafka->said->text);
    if (certificate) *certificate = kafka->said->certificate;
    pthread_mutex_unlock(&kafka->said->lock);
    return code;
}

/* --- handles --- */

static int set(rd_kafka_conf_t *rk_conf, const char *name, const char *value, bool optional,
               struct pql_err *err)
{
    char text[300];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(rk_conf, name, value, text, sizeof(text));
    if (result == RD_KAFKA_CONF_OK || (optional && result == RD_KAFKA_CONF_UNKNOWN)) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "librdkafka: %s", text);
}

static int set_protocol(rd_kafka_conf_t *rk_conf, const struct pql_kafka_conf *conf, struct pql_err *err)
{
    if (conf->group_protocol == PQL_GROUP_CONSUMER)
        return set(rk_conf, "group.protocol", "consumer", false, err);
    for (size_t i = 0; i < sizeof(classic) / sizeof(*classic); i++)
        if (classic[i].value && set(rk_conf, classic[i].name, classic[i].value, false, err)) return -1;
    return 0;
}

static int set_properties(rd_kafka_conf_t *rk_conf, const struct pql_kafka_conf *conf,
                          enum pql_kafka_role role, struct pql_err *err)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(*presets); i++)
        if (presets[i].roles & 1u << role &&
            set(rk_conf, presets[i].name, presets[i].value, presets[i].optional, err))
            return -1;
    if (role == PQL_KAFKA_CONSUMER && set_protocol(rk_conf, conf, err)) return -1;
    for (size_t i = 0; i < conf->properties_count; i++) {
        const struct pql_kafka_property *property = &conf->properties[i];
        if (!applies(property, role)) continue;
        if (set(rk_conf, property->name, property->value, false, err)) {
            if (err && property->file) pql_err_prefix(err, "%s:%d: ", property->file, property->line);
            return -1;
        }
    }
    return 0;
}

static int set_identity(rd_kafka_conf_t *rk_conf, const struct pql_kafka_conf *conf, enum pql_kafka_role role,
                        struct pql_err *err)
{
    char id[300];
    pql_kafka_transactional_id(conf, id, sizeof(id));
    if (set(rk_conf, "client.id", conf->app, false, err)) return -1;
    if (role == PQL_KAFKA_TXN && set(rk_conf, "transactional.id", id, false, err)) return -1;
    /* A reader never joins the group: it needs a name for assign() only. */
    if (!is_producer(role) && set(rk_conf, "group.id", conf->app, false, err)) return -1;
    if (role == PQL_KAFKA_CONSUMER && conf->instance)
        return set(rk_conf, "group.instance.id", conf->instance, false, err);
    return 0;
}

struct pql_kafka *pql_kafka_open(const struct pql_kafka_conf *conf, enum pql_kafka_role role,
                                 const struct pql_kafka_log *log, const struct pql_kafka_extra *extras,
                                 pql_kafka_prepare *prepare, void *owner, struct pql_err *err)
{
    rd_kafka_conf_t *rk_conf = rd_kafka_conf_new();
    struct pql_kafka *kafka = pql_xcalloc(1, sizeof(*kafka));
    kafka->said = pql_xcalloc(1, sizeof(*kafka->said));
    pthread_mutex_init(&kafka->said->lock, NULL);
    kafka->conf = conf;
    kafka->log = *log;
    kafka->role = role;
    kafka->owner = owner;

    if (set_properties(rk_conf, conf, role, err) || set_identity(rk_conf, conf, role, err)) goto fail;
    for (; extras && extras->name; extras++)
        if (set(rk_conf, extras->name, extras->value, false, err)) goto fail;
    rd_kafka_conf_set_opaque(rk_conf, kafka);
    rd_kafka_conf_set_log_cb(rk_conf, on_log);
    rd_kafka_conf_set_error_cb(rk_conf, on_error);
    rd_kafka_conf_set_ssl_cert_verify_cb(rk_conf, on_certificate);
    if (prepare) prepare(rk_conf);

    char text[400];
    kafka->rk =
        rd_kafka_new(is_producer(role) ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, rk_conf, text, sizeof(text));
    if (!kafka->rk) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "librdkafka: %s", text);
        goto fail;
    }
    if (!is_producer(role)) rd_kafka_poll_set_consumer(kafka->rk);
    return kafka;

fail:
    rd_kafka_conf_destroy(rk_conf);
    pql_kafka_close(kafka);
    return NULL;
}

void pql_kafka_close(struct pql_kafka *kafka)
{
    if (!kafka) return;
    if (kafka->rk) rd_kafka_destroy(kafka->rk);
    pthread_mutex_destroy(&kafka->said->lock);
    free(kafka->said);
    free(kafka);
}

/* --- error classes --- */

enum pql_err_class pql_kafka_class(int code)
{
    static const int config[] = {
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
        RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
    };
    static const int retry[] = {
        RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR__TIMED_OUT,
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
        RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
        RD_KAFKA_RESP_ERR__RESOLVE,
        RD_KAFKA_RESP_ERR__QUEUE_FULL,
        RD_KAFKA_RESP_ERR__WAIT_COORD,
        RD_KAFKA_RESP_ERR__STATE,
        RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
        RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
        RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, /* what a reader knows of a leader that has restarted is old */
        RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    };
    for (size_t i = 0; i < sizeof(config) / sizeof(*config); i++)
        if (config[i] == code) return PQL_ERR_CONFIG;
    for (size_t i = 0; i < sizeof(retry) / sizeof(*retry); i++)
        if (retry[i] == code) return PQL_ERR_RETRY;
    return PQL_ERR_FATAL;
}
