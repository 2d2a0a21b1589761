#include "core/state/dedup.h"

#include "base/memory.h"
#include <stdlib.h>

void pql_dedup_init(struct pql_dedup *dedup, int64_t horizon_ms, uint64_t ids_max)
{
    int64_t width = horizon_ms / 10;
    *dedup = (struct pql_dedup){.width_ms = width > 0 ? width : 1,
                                .horizon_ms = horizon_ms,
                                .ids_max = ids_max,
                                .dropped = INT64_MIN};
}

/* Returns the sum of its pages' hashes. */
static uint64_t bucket_free(struct pql_dedup_bucket *bucket)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bucket->pages_count; i++) {
        sum += bucket->pages[i].hash;
        free(bucket->pages[i].ids);
    }
    free(bucket->pages);
    return sum;
}

void pql_dedup_deinit(struct pql_dedup *dedup)
{
    for (size_t i = 0; i < dedup->buckets_count; i++) bucket_free(&dedup->buckets[i]);
    free(dedup->buckets);
    free(dedup->slots);
    *dedup = (struct pql_dedup){0};
}

static int64_t bucket_of(const struct pql_dedup *dedup, int64_t seen_ms)
{
    int64_t q = seen_ms / dedup->width_ms;
    return q - (seen_ms % dedup->width_ms < 0);
}

bool pql_dedup_is_forgotten(const struct pql_dedup *dedup, int64_t bucket, int64_t seen_ms)
{
    return bucket <= dedup->dropped || seen_ms > (bucket + 1) * dedup->width_ms + dedup->horizon_ms;
}

static struct pql_dedup_slot *slot_of(const struct pql_dedup *dedup, uint64_t id)
{
    size_t mask = dedup->slots_capacity - 1;
    for (size_t i = (size_t)id & mask;; i = (i + 1) & mask)
        if (!dedup->slots[i].is_used || dedup->slots[i].id == id) return &dedup->slots[i];
}

bool pql_dedup_has(const struct pql_dedup *dedup, uint64_t id, int64_t seen_ms)
{
    if (!dedup->slots_capacity) return false;
    const struct pql_dedup_slot *slot = slot_of(dedup, id);
    return slot->is_used && !pql_dedup_is_forgotten(dedup, slot->bucket, seen_ms);
}

static void put(struct pql_dedup *dedup, uint64_t id, int64_t bucket)
{
    struct pql_dedup_slot *slot = slot_of(dedup, id);
    dedup->slots_used += !slot->is_used;
    *slot = (struct pql_dedup_slot){id, bucket, true};
}

/* The table is made anew from the buckets, so that forgotten ids go. */
static void rebuild(struct pql_dedup *dedup)
{
    size_t ids = (size_t)pql_dedup_count(dedup), capacity = 64;
    while (capacity < ids * 4) capacity *= 2;
    free(dedup->slots);
    dedup->slots = pql_xcalloc(capacity, sizeof *dedup->slots);
    dedup->slots_capacity = capacity;
    dedup->slots_used = 0;
    for (size_t b = 0; b < dedup->buckets_count; b++) {
        const struct pql_dedup_bucket *bucket = &dedup->buckets[b];
        for (size_t p = 0; p < bucket->pages_count; p++)
            for (uint32_t i = 0; i < bucket->pages[p].count; i++)
                put(dedup, bucket->pages[p].ids[i], bucket->number);
    }
}

static struct pql_dedup_bucket *open_bucket(struct pql_dedup *dedup, int64_t number)
{
    if (dedup->buckets_count && dedup->buckets[dedup->buckets_count - 1].number == number)
        return &dedup->buckets[dedup->buckets_count - 1];
    dedup->buckets =
        pql_xgrow(dedup->buckets, &dedup->buckets_capacity, dedup->buckets_count + 1, sizeof *dedup->buckets);
    struct pql_dedup_bucket *bucket = &dedup->buckets[dedup->buckets_count++];
    *bucket = (struct pql_dedup_bucket){.number = number};
    return bucket;
}

static void append(struct pql_dedup_bucket *bucket, uint64_t id)
{
    if (bucket->count++ % PQL_IDS_MAX == 0) {
        bucket->pages =
            pql_xgrow(bucket->pages, &bucket->pages_capacity, bucket->pages_count + 1, sizeof *bucket->pages);
        bucket->pages[bucket->pages_count++] = (struct pql_ids){0};
    }
    struct pql_ids *page = &bucket->pages[bucket->pages_count - 1];
    if (page->count == page->capacity) {
        page->capacity = page->capacity ? page->capacity * 2 : 16;
        page->ids = pql_xrealloc(page->ids, page->capacity * sizeof *page->ids);
    }
    page->ids[page->count++] = id;
}

/* Only said here, since a snapshot may be reading them: they are freed with those that are forgotten. What
 * has expired does not count. */
static void drop_over_limit(struct pql_dedup *dedup, int64_t seen_ms)
{
    uint64_t live = 0;
    size_t first = 0, last = dedup->buckets_count - 1;
    while (first < last && pql_dedup_is_forgotten(dedup, dedup->buckets[first].number, seen_ms)) first++;
    for (size_t b = first; b <= last; b++) live += dedup->buckets[b].count;
    for (; live > dedup->ids_max && first < last; first++) {
        live -= dedup->buckets[first].count;
        dedup->dropped_ids += dedup->buckets[first].count;
        dedup->dropped = dedup->buckets[first].number;
    }
}

void pql_dedup_add(struct pql_dedup *dedup, uint64_t id, int64_t seen_ms)
{
    struct pql_dedup_bucket *bucket = open_bucket(dedup, bucket_of(dedup, seen_ms));
    append(bucket, id);
    if (dedup->slots_used * 2 >= dedup->slots_capacity)
        rebuild(dedup);
    else
        put(dedup, id, bucket->number);
    if (dedup->ids_max) drop_over_limit(dedup, seen_ms);
}

void pql_dedup_change(struct pql_dedup *dedup, int64_t horizon_ms, uint64_t ids_max)
{
    if (horizon_ms == dedup->horizon_ms && ids_max == dedup->ids_max) return;
    struct pql_dedup old = *dedup;
    pql_dedup_init(dedup, horizon_ms, ids_max);
    dedup->dropped_ids = old.dropped_ids;
    for (size_t b = 0; horizon_ms && b < old.buckets_count; b++) {
        if (old.buckets[b].number <= old.dropped) continue;
        for (size_t p = 0; p < old.buckets[b].pages_count; p++)
            for (uint32_t i = 0; i < old.buckets[b].pages[p].count; i++)
                pql_dedup_add(dedup, old.buckets[b].pages[p].ids[i],
                              (old.buckets[b].number + 1) * old.width_ms - 1);
    }
    pql_dedup_deinit(&old);
}

uint64_t pql_dedup_forget(struct pql_dedup *dedup, int64_t seen_ms)
{
    size_t gone = 0;
    uint64_t sum = 0;
    while (gone < dedup->buckets_count && pql_dedup_is_forgotten(dedup, dedup->buckets[gone].number, seen_ms))
        sum += bucket_free(&dedup->buckets[gone++]);
    if (!gone) return 0;
    dedup->buckets_count -= gone;
    memmove(dedup->buckets, dedup->buckets + gone, dedup->buckets_count * sizeof *dedup->buckets);
    return sum;
}

enum { IDS_PAGES_MAX = 1 << 20 };

bool pql_dedup_expect(struct pql_dedup *dedup, int64_t number, uint64_t count)
{
    size_t pages = (size_t)((count + PQL_IDS_MAX - 1) / PQL_IDS_MAX);
    bool in_order = !dedup->buckets_count || dedup->buckets[dedup->buckets_count - 1].number < number;
    if (!dedup->horizon_ms || !in_order || count > (uint64_t)IDS_PAGES_MAX * PQL_IDS_MAX) return false;
    struct pql_dedup_bucket *bucket = open_bucket(dedup, number);
    bucket->pages = pql_xcalloc(pages + 1, sizeof *bucket->pages);
    bucket->pages_count = bucket->pages_capacity = pages;
    bucket->count = bucket->fixed = bucket->saved = count;
    return true;
}

struct pql_ids *pql_dedup_page(struct pql_dedup *dedup, int64_t number, uint64_t page, uint32_t *length)
{
    for (size_t i = 0; i < dedup->buckets_count; i++) {
        struct pql_dedup_bucket *bucket = &dedup->buckets[i];
        if (bucket->number != number || page >= bucket->pages_count) continue;
        uint64_t left = bucket->count - page * PQL_IDS_MAX;
        *length = left < PQL_IDS_MAX ? (uint32_t)left : PQL_IDS_MAX;
        return &bucket->pages[page];
    }
    return NULL;
}

bool pql_dedup_loaded(struct pql_dedup *dedup)
{
    for (size_t b = 0; b < dedup->buckets_count; b++)
        for (size_t p = 0; p < dedup->buckets[b].pages_count; p++)
            if (!dedup->buckets[b].pages[p].count) return false;
    rebuild(dedup);
    return true;
}

uint64_t pql_dedup_count(const struct pql_dedup *dedup)
{
    uint64_t count = 0;
    for (size_t i = 0; i < dedup->buckets_count; i++) count += dedup->buckets[i].count;
    return count;
}

uint64_t pql_dedup_bytes(const struct pql_dedup *dedup)
{
    uint64_t bytes = pql_memory_cost(dedup->slots_capacity * sizeof *dedup->slots) +
                     pql_memory_cost(dedup->buckets_capacity * sizeof *dedup->buckets);
    for (size_t b = 0; b < dedup->buckets_count; b++) {
        const struct pql_dedup_bucket *bucket = &dedup->buckets[b];
        bytes += pql_memory_cost(bucket->pages_capacity * sizeof *bucket->pages);
        for (size_t p = 0; p < bucket->pages_count; p++)
            bytes += pql_memory_cost(bucket->pages[p].capacity * sizeof(uint64_t));
    }
    return bytes;
}
