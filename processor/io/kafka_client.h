/* kafka_client.h - handles of librdkafka from the configuration, and what they say.
 *
 *   pql_kafka_conf ──check──► diags (file:line: librdkafka's own words)
 *        │
 *        └──open(role)──► pql_kafka ──► log lines, last connection error, deliveries counted
 *
 * A handle is opened without a connection; pql_kafka_await waits for the first broker with back-off and says
 * which address failed and why. Threads: librdkafka calls the log function from its own; everything else is
 * the caller's. Sources: librdkafka 2.14 CONFIGURATION.md, INTRODUCTION.md. */
#ifndef PQL_IO_KAFKA_CLIENT_H
#define PQL_IO_KAFKA_CLIENT_H

#include "base/diag.h"
#include "io/kafka_conf.h"
#include <stdint.h>

struct rd_kafka_s;
struct rd_kafka_conf_s;

/* Levels are syslog's, as librdkafka's: 3 error, 4 warning, 6 information, 7 debug. Called from any thread.
 */
struct pql_kafka_log {
    void (*write)(void *context, int level, const char *text);
    void *context;
};
void pql_kafka_log_printf(const struct pql_kafka_log *log, int level, const char *format, ...)
    PQL_PRINTF(3, 4);

enum pql_kafka_role {
    PQL_KAFKA_CONSUMER,   /* the group's member */
    PQL_KAFKA_READER,     /* assign only, committed records: the journal */
    PQL_KAFKA_READER_RAW, /* assign only, every record: chunks */
    PQL_KAFKA_TXN,        /* transactional producer */
    PQL_KAFKA_PRODUCER,   /* idempotent producer */
    PQL_KAFKA_ROLE_COUNT,
};

/* Says which librdkafka runs, and warns by name of each known defect that this version still has. */
void pql_kafka_log_version(const struct pql_kafka_log *log);

/* Tries every property of the configuration on librdkafka without connecting. Owned properties are refused
 * with the setting to use instead. */
void pql_kafka_check(const struct pql_kafka_conf *conf, struct pql_diags *diags);

/* Of a producer outside transactions, where no topic asks for less. */
#define PQL_KAFKA_BATCH_BYTES 100000

struct pql_kafka {
    struct rd_kafka_s *rk;
    const struct pql_kafka_conf *conf;
    struct pql_kafka_log log;
    enum pql_kafka_role role;
    void *owner;                 /* of callbacks set by `prepare` */
    struct pql_kafka_said *said; /* the last connection error */
};

/* Called while a handle is being made, to set callbacks; the opaque of every callback is the struct
 * pql_kafka. */
typedef void pql_kafka_prepare(struct rd_kafka_conf_s *rk_conf);

/* One more property of this handle only, before those of the configuration; name NULL ends the list. */
struct pql_kafka_extra {
    const char *name, *value;
};

/* A new handle, or NULL and *err of class CONFIG. prepare, extras and owner may be NULL. */
struct pql_kafka *pql_kafka_open(const struct pql_kafka_conf *conf, enum pql_kafka_role role,
                                 const struct pql_kafka_log *log, const struct pql_kafka_extra *extras,
                                 pql_kafka_prepare *prepare, void *owner, struct pql_err *err) PQL_CHECKED;
/* Ends it; a consumer must be closed before. Blocks until librdkafka's threads have ended. NULL is fine. */
void pql_kafka_close(struct pql_kafka *kafka);

/* Waits until a broker answers. Every failed attempt is logged with address, cause and the pause before the
 * next one (0.5 s doubling to 15 s). -1 and class RETRY when should_stop(context) said so or attempts_max
 * failed (0: no limit); class CONFIG where waiting cannot help (io/kafka_refusal.h). */
int pql_kafka_await(struct pql_kafka *kafka, int attempts_max, bool (*should_stop)(void *context),
                    void *context, struct pql_err *err) PQL_CHECKED;

/* Of all handles of the process since it began: errors (lost connections and all others), and lines of its
 * log of level warning and above beside them. Thread: any. */
struct pql_kafka_counts {
    uint64_t errors, warnings;
};
struct pql_kafka_counts pql_kafka_counts(void);

/* Counts an error, and remembers one about connecting as an event, for pql_kafka_last_said. */
void pql_kafka_heard(struct pql_kafka *kafka, int code, const char *reason);
/* What librdkafka last said about connecting, as "127.0.0.1:9092/bootstrap: Connect … refused", or "".
 * Copies. Returns its code; certificate, unless NULL: what OpenSSL last had against a broker's, or 0. */
int pql_kafka_last_said(struct pql_kafka *kafka, char *out, size_t size, int *certificate);

/* The application's own name for its handles, as in "acme-pql" (client.id), "acme-pql-pql-0" (transactional
 * id). The random part without an instance is drawn once per process. */
void pql_kafka_transactional_id(const struct pql_kafka_conf *conf, char *out, size_t size);

/* How long the broker lets a transaction be open, as configured. */
int64_t pql_kafka_transaction_timeout_ms(const struct pql_kafka_conf *conf);

/* Class of an error code outside transactions: RETRY where the same call may work later, CONFIG where
 * somebody must change rights or topics, else FATAL. */
enum pql_err_class pql_kafka_class(int code);

#endif
