/* dedup.h - message ids that were accepted, for as long as dedup_horizon says.
 * An id is a 64-bit keyed hash; ids of one tenth of the horizon form a bucket, which is forgotten whole.
 * Buckets keep their ids in the order of arrival, in pages of PQL_IDS_MAX: a page that is full never changes
 * again, and a snapshot writes pages. A table beside them answers. Owner: the engine. */
#ifndef PQL_CORE_STATE_DEDUP_H
#define PQL_CORE_STATE_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PQL_IDS_MAX = 4096 };

struct pql_ids {
    uint64_t *ids;
    uint32_t count, capacity;
    uint64_t hash; /* of the page as last written; 0: never */
};

struct pql_dedup_bucket {
    int64_t number; /* covers [number, number + 1) * width_ms of `seen` */
    struct pql_ids *pages;
    size_t pages_count, pages_capacity;
    uint64_t count;
    uint64_t fixed, saved; /* how many there were when the last snapshot began, and the last that was saved */
};

struct pql_dedup {
    int64_t width_ms, horizon_ms;     /* horizon 0: off */
    uint64_t ids_max;                 /* 0: no limit */
    int64_t dropped;                  /* buckets up to this number were dropped over ids_max */
    uint64_t dropped_ids;             /* how many ids went so */
    struct pql_dedup_bucket *buckets; /* ascending */
    size_t buckets_count, buckets_capacity;
    struct pql_dedup_slot {
        uint64_t id;
        int64_t bucket;
        bool is_used;
    } * slots;
    size_t slots_capacity, slots_used;
};

/* Over ids_max the oldest bucket goes, early: an event with one of its ids counts again. The newest bucket, a
 * tenth of the horizon, always stays. */
void pql_dedup_init(struct pql_dedup *dedup, int64_t horizon_ms, uint64_t ids_max);
void pql_dedup_deinit(struct pql_dedup *dedup);
/* Another horizon: what is remembered is kept, each bucket as of its end. */
void pql_dedup_change(struct pql_dedup *dedup, int64_t horizon_ms, uint64_t ids_max);
bool pql_dedup_has(const struct pql_dedup *dedup, uint64_t id, int64_t seen_ms);
/* seen_ms: after the event. Call pql_dedup_forget now and then. */
void pql_dedup_add(struct pql_dedup *dedup, uint64_t id, int64_t seen_ms);
/* Frees buckets whose end + horizon is before seen. Not while a snapshot reads them. Returns the sum of the
 * hashes of their pages. */
uint64_t pql_dedup_forget(struct pql_dedup *dedup, int64_t seen_ms);
/* Loading: a bucket with so many ids, buckets in order; then its pages in any order, which the caller fills
 * up to their length; then _loaded, once: false if ids are missing. */
bool pql_dedup_expect(struct pql_dedup *dedup, int64_t bucket, uint64_t count);
struct pql_ids *pql_dedup_page(struct pql_dedup *dedup, int64_t bucket, uint64_t page, uint32_t *length);
bool pql_dedup_loaded(struct pql_dedup *dedup);
uint64_t pql_dedup_count(const struct pql_dedup *dedup);
uint64_t pql_dedup_bytes(const struct pql_dedup *dedup); /* taken of the allocator, about */
bool pql_dedup_is_forgotten(const struct pql_dedup *dedup, int64_t bucket, int64_t seen_ms);

#endif
