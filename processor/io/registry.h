/* registry.h - client of a schema registry that speaks Confluent's REST interface, under any base path.
 *
 *   pql_registry_find ─► memory ─► hit: the text, for ever
 *   (hot path, never       │ miss: the id is put on the list of the wanted, PQL_ERR_RETRY
 *    waits)                ▼
 *   fetch thread ─► URLs in turn ─► schema with its references ─► memory, disk ─► wake()
 *                       │ no answer: later again, full-jitter back-off; meanwhile a copy on disk serves
 *                       └ 404 that the registry itself states, still after grace_ms: PQL_ERR_RECORD for
 * negative_ms
 *
 * Ids never change their meaning, so what was found is never asked again. The disk is asked only when the
 * registry has no answer: a registry that was set up anew is believed more than a copy of its predecessor.
 * Redirects are not followed; bodies end at 1 MB; TLS is verified; secrets appear in no message.
 * Thread: any; one fetch thread of its own, started by the first miss. */
#ifndef PQL_IO_REGISTRY_H
#define PQL_IO_REGISTRY_H

#include "core/wire/decoder.h"
#include "io/registry_conf.h"

/* Paces; a test has shorter ones. */
struct pql_registry_paces {
    int64_t backoff_min_ms,
        backoff_max_ms;  /* 1 s, 20 s; the nth pause is random in [0, min(max, min * 2^n)] */
    int attempts_max;    /* of calls that wait: register, look up, compatible; 4 */
    int64_t grace_ms;    /* how long an id may stay unknown before its records are refused, 10 s */
    int64_t negative_ms; /* how long it is then not asked again, 30 s */
};
struct pql_registry_paces pql_registry_paces_default(void);

struct pql_registry;

/* conf->url: http(s)://[user:password@]host[:port][/path], several are tried in turn. Texts are copied. paces
 * NULL: the default. wake (or NULL) is called on the fetch thread when a wanted schema is there or refused.
 * Touches no network. Class PQL_ERR_CONFIG: a URL cannot be used, or the cache folder cannot be made. */
struct pql_registry *pql_registry_new(const struct pql_registry_conf *conf,
                                      const struct pql_registry_paces *paces, void (*wake)(void *ctx),
                                      void *ctx, struct pql_err *err) PQL_CHECKED;
/* Ends the fetch thread; a request under way is given up. */
void pql_registry_free(struct pql_registry *registry);

/* A pql_find_schema with registry as ctx. The view lives as long as the registry. The message of
 * PQL_ERR_RETRY says what went wrong the last time, with URL and remedy. */
int pql_registry_find(void *registry, const struct pql_schema_key *key, struct pql_slice *text,
                      struct pql_err *err) PQL_CHECKED;
/* The same for those who may wait: up to timeout_ms. */
int pql_registry_wait(struct pql_registry *registry, const struct pql_schema_key *key, int64_t timeout_ms,
                      struct pql_slice *text, struct pql_err *err) PQL_CHECKED;

/* Calls of start and of tools: they wait, and try again attempts_max times. Class PQL_ERR_RETRY: no answer
 * could be had; PQL_ERR_CONFIG: the registry refuses (no such subject or schema, not compatible, no rights).
 */
int pql_registry_register(struct pql_registry *registry, const char *subject, struct pql_slice schema,
                          uint32_t *id, struct pql_err *err) PQL_CHECKED;
int pql_registry_lookup(struct pql_registry *registry, const char *subject, struct pql_slice schema,
                        uint32_t *id, struct pql_err *err) PQL_CHECKED;
/* 0 also where the subject is new; class PQL_ERR_CONFIG with the registry's words where it is not compatible.
 */
int pql_registry_check_compatible(struct pql_registry *registry, const char *subject, struct pql_slice schema,
                                  struct pql_err *err) PQL_CHECKED;

/* Counted since pql_registry_new. */
struct pql_registry_stats {
    uint64_t requests, failures; /* HTTP requests; those without a usable answer */
    uint64_t found, refused;     /* schemas fetched; ids stated unknown beyond grace */
    uint64_t disk_hits,
        disk_failures; /* copies that served; copies that were damaged or could not be written */
    bool is_down;      /* the last question had no usable answer of any URL */
};
struct pql_registry_stats pql_registry_stats(struct pql_registry *registry);

#endif
