#include "core/state/dedup.h"

#include "base/memory.h"
#include <stdlib.h>

void pql_dedup_init(struct pql_dedup *dedup, int64_t horizon_ms)
{
    int64_t width = horizon_ms / 10;
    *dedup = (struct pql_dedup){.width_ms = width > 0 ? width : 1, .horizon_ms = horizon_ms};
}

void pql_dedup_deinit(struct pql_dedup *dedup)
{
    for (size_t i = 0; i < dedup->buckets_count; i++) free(dedup->buckets[i].ids);
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
    return seen_ms > (bucket + 1) * dedup->width_ms + dedup->horizon_ms;
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
        for (size_t i = 0; i < bucket->count; i++) {
            struct pql_dedup_slot *slot = slot_of(dedup, bucket->ids[i]);
            dedup->slots_used += !slot->is_used;
            *slot = (struct pql_dedup_slot){bucket->ids[i], bucket->number, true};
        }
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

void pql_dedup_add(struct pql_dedup *dedup, uint64_t id, int64_t seen_ms)
{
    struct pql_dedup_bucket *bucket = open_bucket(dedup, bucket_of(dedup, seen_ms));
    bucket->ids = pql_xgrow(bucket->ids, &bucket->capacity, bucket->count + 1, sizeof *bucket->ids);
    bucket->ids[bucket->count++] = id;
    if (dedup->slots_used * 2 >= dedup->slots_capacity) {
        rebuild(dedup);
        return;
    }
    struct pql_dedup_slot *slot = slot_of(dedup, id);
    dedup->slots_used += !slot->is_used;
    *slot = (struct pql_dedup_slot){id, bucket->number, true};
}

void pql_dedup_change(struct pql_dedup *dedup, int64_t horizon_ms)
{
    if (horizon_ms == dedup->horizon_ms) return;
    struct pql_dedup old = *dedup;
    pql_dedup_init(dedup, horizon_ms);
    for (size_t b = 0; horizon_ms && b < old.buckets_count; b++)
        for (size_t i = 0; i < old.buckets[b].count; i++)
            pql_dedup_add(dedup, old.buckets[b].ids[i], (old.buckets[b].number + 1) * old.width_ms - 1);
    pql_dedup_deinit(&old);
}

void pql_dedup_forget(struct pql_dedup *dedup, int64_t seen_ms)
{
    size_t gone = 0;
    while (gone < dedup->buckets_count && pql_dedup_is_forgotten(dedup, dedup->buckets[gone].number, seen_ms))
        free(dedup->buckets[gone++].ids);
    if (!gone) return;
    dedup->buckets_count -= gone;
    memmove(dedup->buckets, dedup->buckets + gone, dedup->buckets_count * sizeof *dedup->buckets);
}

bool pql_dedup_restore(struct pql_dedup *dedup, int64_t number, uint64_t position, uint64_t id)
{
    if (dedup->buckets_count && dedup->buckets[dedup->buckets_count - 1].number > number) return false;
    struct pql_dedup_bucket *bucket = open_bucket(dedup, number);
    if (bucket->count != position) return false;
    bucket->ids = pql_xgrow(bucket->ids, &bucket->capacity, bucket->count + 1, sizeof *bucket->ids);
    bucket->ids[bucket->count++] = id;
    return true;
}

void pql_dedup_loaded(struct pql_dedup *dedup)
{
    rebuild(dedup);
}

uint64_t pql_dedup_count(const struct pql_dedup *dedup)
{
    uint64_t count = 0;
    for (size_t i = 0; i < dedup->buckets_count; i++) count += dedup->buckets[i].count;
    return count;
}
