#include "io/registry.h"

#include "base/memory.h"
#include "core/reasons.h"
#include "io/registry_disk.h"
#include "io/registry_http.h"
#include "io/registry_reply.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ENTRIES_MAX = 65536, NEVER_UNKNOWN = -1 };

enum state {
    WANTED,  /* to be fetched at due_ms */
    FOUND,   /* for ever */
    UNKNOWN, /* refused until due_ms */
};

/* One schema key. Entries do not move, so that the fetch thread may hold one while the table grows. */
struct entry {
    struct pql_schema_key key;
    enum state state;
    int64_t due_ms;
    int64_t unknown_since_ms; /* of the first 404 in a row, or NEVER_UNKNOWN */
    unsigned failures;        /* in a row */
    char *text;               /* FOUND */
    size_t len;
    char *why; /* of the last failure, or NULL */
};

struct pql_registry {
    struct pql_registry_paces paces;
    struct pql_http *http;  /* the fetch thread's */
    struct pql_disk *disk;  /* the fetch thread's; NULL: none */
    struct pql_http *calls; /* of the calls that wait, one at a time */
    pthread_mutex_t calls_lock;
    void (*wake)(void *ctx);
    void *wake_ctx;

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, is_stopping;
    struct entry **entries; /* sorted by key */
    size_t entries_count, entries_capacity;
    uint64_t found, refused, disk_hits, disk_failures;
    uint64_t random;
};

struct pql_registry_paces pql_registry_paces_default(void)
{
    return (struct pql_registry_paces){.backoff_min_ms = 1000,
                                       .backoff_max_ms = 20000,
                                       .attempts_max = 4,
                                       .grace_ms = 10000,
                                       .negative_ms = 30000};
}

/* --- time --- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct timespec timespec_of(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

/* Full jitter: instances that failed together do not come back together. Under lock. */
static int64_t backoff_ms(struct pql_registry *registry, unsigned failures)
{
    uint64_t x = registry->random; /* xorshift64 */
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    registry->random = x;
    int64_t most = registry->paces.backoff_min_ms;
    for (unsigned i = 0; i < failures && most < registry->paces.backoff_max_ms; i++) most *= 2;
    if (most > registry->paces.backoff_max_ms) most = registry->paces.backoff_max_ms;
    return (int64_t)(x % (uint64_t)(most + 1));
}

/* --- life --- */

struct pql_registry *pql_registry_new(const struct pql_registry_conf *conf,
                                      const struct pql_registry_paces *paces, void (*wake)(void *ctx),
                                      void *ctx, struct pql_err *err)
{
    struct pql_registry *registry = pql_xcalloc(1, sizeof *registry);
    registry->paces = paces ? *paces : pql_registry_paces_default();
    registry->wake = wake;
    registry->wake_ctx = ctx;
    registry->random = ((uint64_t)now_ms() << 20 ^ (uint64_t)(uintptr_t)registry) | 1;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&registry->lock, NULL);
    pthread_mutex_init(&registry->calls_lock, NULL);
    registry->http = pql_http_new(conf, err);
    registry->calls = registry->http ? pql_http_new(conf, err) : NULL;
    if (!registry->calls) goto fail;
    if (conf->cache_dir && *conf->cache_dir) {
        registry->disk = pql_disk_new(conf->cache_dir, pql_http_first_url(registry->http), err);
        if (!registry->disk) goto fail;
    }
    return registry;
fail:
    pql_registry_free(registry);
    return NULL;
}

static void entry_free(struct entry *entry)
{
    free(entry->text);
    free(entry->why);
    free(entry);
}

void pql_registry_free(struct pql_registry *registry)
{
    if (!registry) return;
    pthread_mutex_lock(&registry->lock);
    registry->is_stopping = true;
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
    if (registry->has_thread) {
        pql_http_stop(registry->http);
        pthread_join(registry->thread, NULL);
    }
    for (size_t i = 0; i < registry->entries_count; i++) entry_free(registry->entries[i]);
    free(registry->entries);
    pql_http_free(registry->http);
    pql_http_free(registry->calls);
    pql_disk_free(registry->disk);
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->lock);
    pthread_mutex_destroy(&registry->calls_lock);
    free(registry);
}

/* --- fetching one schema: fetch thread, without lock --- */

/* The schema behind a path. is_unknown: the registry itself states that there is none (404xx). */
static int get_schema(struct pql_http *http, const char *path, struct pql_registry_schema *schema,
                      bool *is_unknown, struct pql_err *err)
{
    struct pql_http_answer answer;
    *is_unknown = false;
    if (pql_http_call(http, path, (struct pql_slice){0}, &answer, err)) return -1;
    if (answer.status >= 300) {
        *is_unknown = answer.status == 404;
        return PQL_FAIL(err, PQL_ERR_RETRY, "%s: HTTP %ld: %s (error_code %" PRId64 ")", answer.url,
                        answer.status, answer.message, answer.error_code);
    }
    if (pql_registry_parse_schema(answer.body, schema, err)) {
        pql_err_prefix(err, "%s: ", answer.url);
        return -1;
    }
    return 0;
}

/* Schemas that others refer to, each once, in the order met. */
struct closure {
    struct pql_registry_reference references[PQL_REGISTRY_REFERENCES_MAX];
    size_t count;
};

static int add_references(struct closure *closure, struct pql_registry_schema *schema, struct pql_err *err)
{
    for (size_t i = 0; i < schema->references_count; i++) {
        struct pql_registry_reference *new = &schema->references[i];
        bool is_known = false;
        for (size_t k = 0; k < closure->count && !is_known; k++)
            is_known = closure->references[k].version ==
                       new->version &&strcmp(closure->references[k].subject, new->subject) == 0;
        if (is_known) continue;
        if (closure->count == PQL_REGISTRY_REFERENCES_MAX)
            return PQL_FAIL(err, PQL_ERR_RECORD, "the schema refers to more than %d others",
                            PQL_REGISTRY_REFERENCES_MAX);
        closure->references[closure->count++] = *new;
        new->subject = NULL; /* moved */
    }
    return 0;
}

static int get_reference(struct pql_http *http, const struct pql_registry_reference *reference,
                         struct pql_registry_schema *schema, struct pql_err *err)
{
    char *subject = pql_http_escape(pql_slice_of(reference->subject));
    struct pql_buf path = {0};
    pql_buf_printf(&path, "/subjects/%s/versions/%" PRId64 "?deleted=true", subject, reference->version);
    bool is_unknown;
    int result = get_schema(http, path.ptr, schema, &is_unknown, err);
    pql_buf_deinit(&path);
    free(subject);
    return result;
}

/* Puts the referenced schemas, and those they refer to, into *text. */
static int resolve_references(struct pql_http *http, struct pql_registry_schema *schema, char **text,
                              struct pql_err *err)
{
    struct closure closure = {.count = 0};
    char *others[PQL_REGISTRY_REFERENCES_MAX] = {0};
    int result = add_references(&closure, schema, err);
    for (size_t i = 0; !result && i < closure.count; i++) {
        struct pql_registry_schema other = {0};
        result = get_reference(http, &closure.references[i], &other, err);
        if (!result) result = add_references(&closure, &other, err);
        others[i] = other.text;
        other.text = NULL;
        pql_registry_schema_deinit(&other);
    }
    if (!result)
        result = pql_registry_inline(schema->text, (const char *const *)others, closure.count, text, err);
    for (size_t i = 0; i < closure.count; i++) {
        free(closure.references[i].subject);
        free(others[i]);
    }
    return result;
}

static int fetch_schema(struct pql_http *http, const struct pql_schema_key *key, char **text,
                        bool *is_unknown, struct pql_err *err)
{
    char path[PQL_SCHEMA_KEY_TEXT_MAX + 32], name[PQL_SCHEMA_KEY_TEXT_MAX];
    pql_schema_key_text(key, name); /* "id 17", "guid 0f8c…" */
    snprintf(path, sizeof path, "/schemas/%ss/%s", key->kind == PQL_SCHEMA_ID ? "id" : "guid",
             strchr(name, ' ') + 1);
    struct pql_registry_schema schema = {0};
    int result = get_schema(http, path, &schema, is_unknown, err);
    if (!result && schema.references_count) {
        result = resolve_references(http, &schema, text, err);
    } else if (!result) {
        *text = schema.text;
        schema.text = NULL;
    }
    pql_registry_schema_deinit(&schema);
    return result;
}

/* --- the fetch thread --- */

struct outcome {
    char *text; /* NULL: not had */
    size_t len;
    bool is_unknown, is_from_disk, is_disk_failure;
    struct pql_err err;
};

static struct outcome fetch(struct pql_registry *registry, const struct pql_schema_key *key)
{
    struct outcome outcome = {0};
    struct pql_err err;
    if (fetch_schema(registry->http, key, &outcome.text, &outcome.is_unknown, &outcome.err) == 0) {
        outcome.len = strlen(outcome.text);
        struct pql_slice text = {outcome.text, outcome.len};
        outcome.is_disk_failure = registry->disk && pql_disk_write(registry->disk, key, text, &err);
    } else if (registry->disk) {
        outcome.is_from_disk = pql_disk_read(registry->disk, key, &outcome.text, &outcome.len, &err) == 0;
        outcome.is_disk_failure = !outcome.is_from_disk && err.cls == PQL_ERR_RECORD;
    }
    return outcome;
}

static void settle_failure(struct pql_registry *registry, struct entry *entry, const struct outcome *outcome)
{
    int64_t now = now_ms();
    free(entry->why);
    entry->why = pql_xstrndup(outcome->err.msg, strlen(outcome->err.msg));
    if (!outcome->is_unknown) entry->unknown_since_ms = NEVER_UNKNOWN;
    if (outcome->is_unknown && entry->unknown_since_ms == NEVER_UNKNOWN) entry->unknown_since_ms = now;
    bool is_final = outcome->err.cls == PQL_ERR_RECORD ||
                    (outcome->is_unknown && now - entry->unknown_since_ms >= registry->paces.grace_ms);
    if (is_final) registry->refused++;
    entry->state = is_final ? UNKNOWN : WANTED;
    entry->due_ms = now + (is_final ? registry->paces.negative_ms : backoff_ms(registry, entry->failures));
    if (entry->failures < 32) entry->failures++;
}

/* Under lock. */
static void settle(struct pql_registry *registry, struct entry *entry, struct outcome *outcome)
{
    registry->disk_hits += outcome->is_from_disk;
    registry->disk_failures += outcome->is_disk_failure;
    if (!outcome->text) {
        settle_failure(registry, entry, outcome);
        return;
    }
    registry->found += !outcome->is_from_disk;
    entry->state = FOUND;
    entry->text = outcome->text;
    entry->len = outcome->len;
}

static struct entry *earliest_wanted(struct pql_registry *registry)
{
    struct entry *best = NULL;
    for (size_t i = 0; i < registry->entries_count; i++) {
        struct entry *entry = registry->entries[i];
        if (entry->state == WANTED && (!best || entry->due_ms < best->due_ms)) best = entry;
    }
    return best;
}

static void *fetch_thread(void *ctx)
{
    struct pql_registry *registry = ctx;
    pthread_mutex_lock(&registry->lock);
    while (!registry->is_stopping) {
        struct entry *entry = earliest_wanted(registry);
        if (!entry) {
            pthread_cond_wait(&registry->changed, &registry->lock);
            continue;
        }
        if (entry->due_ms > now_ms()) {
            struct timespec until = timespec_of(entry->due_ms);
            pthread_cond_timedwait(&registry->changed, &registry->lock, &until);
            continue;
        }
        pthread_mutex_unlock(&registry->lock);
        struct outcome outcome = fetch(registry, &entry->key);
        pthread_mutex_lock(&registry->lock);
        settle(registry, entry, &outcome);
        pthread_cond_broadcast(&registry->changed);
        if (entry->state == WANTED || !registry->wake) continue;
        pthread_mutex_unlock(&registry->lock);
        registry->wake(registry->wake_ctx);
        pthread_mutex_lock(&registry->lock);
    }
    pthread_mutex_unlock(&registry->lock);
    return NULL;
}

/* --- finding --- */

static int compare_keys(const struct pql_schema_key *a, const struct pql_schema_key *b)
{
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->high != b->high) return a->high < b->high ? -1 : 1;
    return (a->low > b->low) - (a->low < b->low);
}

/* Where the key is, or would be put. */
static size_t position_of(const struct pql_registry *registry, const struct pql_schema_key *key)
{
    size_t low = 0, high = registry->entries_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&registry->entries[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Makes room by forgetting ids that are known to be unknown: garbage in front of messages makes many. */
static void forget_unknown(struct pql_registry *registry)
{
    size_t kept = 0;
    for (size_t i = 0; i < registry->entries_count; i++) {
        if (registry->entries[i]->state == UNKNOWN)
            entry_free(registry->entries[i]);
        else
            registry->entries[kept++] = registry->entries[i];
    }
    registry->entries_count = kept;
}

static struct entry *add_entry(struct pql_registry *registry, const struct pql_schema_key *key)
{
    if (registry->entries_count == ENTRIES_MAX) forget_unknown(registry);
    if (registry->entries_count == ENTRIES_MAX) return NULL;
    registry->entries = pql_xgrow(registry->entries, &registry->entries_capacity, registry->entries_count + 1,
                                  sizeof(struct entry *));
    size_t at = position_of(registry, key);
    memmove(registry->entries + at + 1, registry->entries + at,
            (registry->entries_count - at) * sizeof(struct entry *));
    struct entry *entry = pql_xcalloc(1, sizeof *entry);
    entry->key = *key;
    entry->unknown_since_ms = NEVER_UNKNOWN;
    registry->entries[at] = entry;
    registry->entries_count++;
    return entry;
}

static void want(struct pql_registry *registry, struct entry *entry)
{
    entry->state = WANTED;
    entry->due_ms = now_ms();
    if (!registry->has_thread)
        registry->has_thread = pthread_create(&registry->thread, NULL, fetch_thread, registry) == 0;
    pthread_cond_broadcast(&registry->changed);
}

static int refuse(const struct pql_schema_key *key, const char *why, struct pql_err *err)
{
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    PQL_FAIL(err, PQL_ERR_RECORD, "schema %s: %s", pql_schema_key_text(key, name), why);
    if (err) err->reason = pql_rejects[PQL_REJECT_UNKNOWN_SCHEMA].word;
    return -1;
}

/* Under lock. */
static int find(struct pql_registry *registry, const struct pql_schema_key *key, struct pql_slice *text,
                struct pql_err *err)
{
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    pql_schema_key_text(key, name);
    size_t at = position_of(registry, key);
    bool is_there = at < registry->entries_count && pql_schema_key_eq(&registry->entries[at]->key, key);
    struct entry *entry = is_there ? registry->entries[at] : add_entry(registry, key);
    if (!entry)
        return PQL_FAIL(err, PQL_ERR_RETRY, "schema %s: %d others are being fetched", name, ENTRIES_MAX);
    if (entry->state == FOUND) {
        *text = (struct pql_slice){entry->text, entry->len};
        return 0;
    }
    if (entry->state == UNKNOWN && now_ms() < entry->due_ms) return refuse(key, entry->why, err);
    if (!is_there || entry->state == UNKNOWN) want(registry, entry);
    return PQL_FAIL(err, PQL_ERR_RETRY, "schema %s is being fetched%s%s", name,
                    entry->why ? "; the last attempt: " : "", entry->why ? entry->why : "");
}

/* Under lock. What comes next, for those who wait in a partition. */
static void say_when(const struct pql_registry *registry, const struct pql_schema_key *key,
                     struct pql_err *err)
{
    size_t at = position_of(registry, key);
    bool is_there = at < registry->entries_count && pql_schema_key_eq(&registry->entries[at]->key, key);
    if (!is_there || !registry->entries[at]->why) return;
    const struct entry *entry = registry->entries[at];
    int64_t now = now_ms(), pause = entry->due_ms > now ? entry->due_ms - now : 0, left;
    size_t len = strlen(err->msg);
    int n = snprintf(err->msg + len, sizeof err->msg - len, "; asked again in %.1f s", (double)pause / 1000);
    if (entry->unknown_since_ms == NEVER_UNKNOWN || n < 0 || (size_t)n >= sizeof err->msg - len) return;
    left = entry->unknown_since_ms + registry->paces.grace_ms - now;
    snprintf(err->msg + len + n, sizeof err->msg - len - (size_t)n,
             ", refused as unknown_schema if it is still not there in %.1f s",
             (double)(left > 0 ? left : 0) / 1000);
}

int pql_registry_find(void *ctx, const struct pql_schema_key *key, struct pql_slice *text,
                      struct pql_err *err)
{
    struct pql_registry *registry = ctx;
    if (key->kind != PQL_SCHEMA_ID && key->kind != PQL_SCHEMA_GUID)
        return refuse(key, "a registry knows ids and GUIDs; its file belongs into the setting schemas", err);
    pthread_mutex_lock(&registry->lock);
    int result = find(registry, key, text, err);
    if (result && err && err->cls == PQL_ERR_RETRY) say_when(registry, key, err);
    pthread_mutex_unlock(&registry->lock);
    return result;
}

int pql_registry_wait(struct pql_registry *registry, const struct pql_schema_key *key, int64_t timeout_ms,
                      struct pql_slice *text, struct pql_err *err)
{
    struct timespec until = timespec_of(now_ms() + timeout_ms);
    struct pql_err failure = {0};
    pthread_mutex_lock(&registry->lock);
    int result, waited = 0;
    while ((result = find(registry, key, text, &failure)) && failure.cls == PQL_ERR_RETRY &&
           waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&registry->changed, &registry->lock, &until);
    pthread_mutex_unlock(&registry->lock);
    if (result && err) *err = failure;
    return result;
}

/* --- calls that wait --- */

static void sleep_ms(int64_t ms)
{
    struct timespec rest = timespec_of(ms);
    while (nanosleep(&rest, &rest) && errno == EINTR) continue;
}

/* Under calls_lock; answer->body is valid as long as it is held. */
static int call_patiently(struct pql_registry *registry, const char *path, struct pql_slice body,
                          struct pql_http_answer *answer, struct pql_err *err)
{
    for (unsigned attempt = 0;; attempt++) {
        struct pql_err failure;
        if (pql_http_call(registry->calls, path, body, answer, &failure) == 0) return 0;
        if (failure.cls != PQL_ERR_RETRY || (int)attempt + 1 >= registry->paces.attempts_max) {
            if (err) *err = failure;
            return -1;
        }
        pthread_mutex_lock(&registry->lock);
        int64_t pause = backoff_ms(registry, attempt);
        pthread_mutex_unlock(&registry->lock);
        sleep_ms(pause);
    }
}

/* What becomes of an answer, under calls_lock. */
typedef int read_answer(const struct pql_http_answer *answer, void *out, struct pql_err *err);

static int post_schema(struct pql_registry *registry, const char *format, const char *subject,
                       struct pql_slice schema, read_answer *read, void *out, struct pql_err *err)
{
    int result = -1;
    char *escaped = pql_http_escape(pql_slice_of(subject)), *body = NULL;
    struct pql_buf path = {0};
    const char *behind = strchr(format, '*') + 1;
    pql_buf_printf(&path, "%.*s%s%s", (int)(behind - 1 - format), format, escaped, behind);
    json_t *root = json_pack("{s:s%}", "schema", schema.ptr, schema.len);
    if (root) body = json_dumps(root, JSON_COMPACT);
    if (!body) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "the schema is not UTF-8");
        goto out;
    }
    pthread_mutex_lock(&registry->calls_lock);
    struct pql_http_answer answer;
    result = call_patiently(registry, path.ptr, pql_slice_of(body), &answer, err);
    if (!result) result = read(&answer, out, err);
    pthread_mutex_unlock(&registry->calls_lock);
    if (result) pql_err_prefix(err, "subject '%s': ", subject);
out:
    json_decref(root);
    free(body);
    pql_buf_deinit(&path);
    free(escaped);
    return result;
}

static int refused_by_registry(const struct pql_http_answer *answer, const char *remedy, struct pql_err *err)
{
    return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: HTTP %ld: %s (error_code %" PRId64 "); %s", answer->url,
                    answer->status, answer->message, answer->error_code, remedy);
}

static int read_id(const struct pql_http_answer *answer, const char *remedy, uint32_t *id,
                   struct pql_err *err)
{
    if (answer->status >= 300) return refused_by_registry(answer, remedy, err);
    if (pql_registry_parse_id(answer->body, id, err) == 0) return 0;
    pql_err_prefix(err, "%s: ", answer->url);
    return -1;
}

static int read_registered(const struct pql_http_answer *answer, void *out, struct pql_err *err)
{
    const char *remedy = answer->status == 409 ? "use another subject, or its compatibility must be relaxed"
                                               : "the registry does not take this schema";
    return read_id(answer, remedy, out, err);
}

static int read_looked_up(const struct pql_http_answer *answer, void *out, struct pql_err *err)
{
    return read_id(answer, "register it there, or say schema = \"register\" in the output", out, err);
}

static int read_compatible(const struct pql_http_answer *answer, void *out, struct pql_err *err)
{
    (void)out;
    if (answer->status == 404) return 0; /* a subject without versions is compatible with everything */
    if (answer->status >= 300)
        return refused_by_registry(answer, "the registry does not take this schema", err);
    bool is_compatible;
    char why[200];
    if (pql_registry_parse_compatible(answer->body, &is_compatible, why, err)) return -1;
    if (is_compatible) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: the schema is not compatible with the latest version%s%s",
                    answer->url, *why ? ": " : "", why);
}

int pql_registry_register(struct pql_registry *registry, const char *subject, struct pql_slice schema,
                          uint32_t *id, struct pql_err *err)
{
    return post_schema(registry, "/subjects/*/versions", subject, schema, read_registered, id, err);
}

int pql_registry_lookup(struct pql_registry *registry, const char *subject, struct pql_slice schema,
                        uint32_t *id, struct pql_err *err)
{
    return post_schema(registry, "/subjects/*", subject, schema, read_looked_up, id, err);
}

int pql_registry_check_compatible(struct pql_registry *registry, const char *subject, struct pql_slice schema,
                                  struct pql_err *err)
{
    return post_schema(registry, "/compatibility/subjects/*/versions/latest?verbose=true", subject, schema,
                       read_compatible, NULL, err);
}

struct pql_registry_stats pql_registry_stats(struct pql_registry *registry)
{
    struct pql_registry_stats stats;
    uint64_t requests, failures;
    pql_http_counts(registry->http, &stats.requests, &stats.failures);
    pql_http_counts(registry->calls, &requests, &failures);
    stats.requests += requests;
    stats.failures += failures;
    stats.is_down = pql_http_is_down(registry->http) || pql_http_is_down(registry->calls);
    pthread_mutex_lock(&registry->lock);
    stats.found = registry->found;
    stats.refused = registry->refused;
    stats.disk_hits = registry->disk_hits;
    stats.disk_failures = registry->disk_failures;
    pthread_mutex_unlock(&registry->lock);
    return stats;
}
