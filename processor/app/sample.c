#include "app/sample.h"

#include "base/heap.h"
#include "base/memory.h"
#include "core/state/checkpoint_format.h"
#include <stdlib.h>

struct account {
    uint64_t hash;
    bool is_cut;
    struct pql_sample_record *first; /* the last one given */
};

struct pql_sample {
    struct pql_sample_limits limits;
    struct pql_sample_stats stats;
    uint64_t number;
    struct account of_none;
    /* Open addressing by hash; a given-up account leaves its slot taken, since the table is looked up only
     * for hashes that may still be kept. */
    struct account **slots;
    size_t slots_count, slots_used;
    struct pql_heap heap; /* the largest hash first */
};

struct pql_sample *pql_sample_new(const struct pql_sample_limits *limits)
{
    struct pql_sample *sample = pql_xcalloc(1, sizeof *sample);
    sample->limits = *limits;
    sample->slots_count = 1024;
    sample->slots = pql_xcalloc(sample->slots_count, sizeof(struct account *));
    return sample;
}

static void drop_records(struct pql_sample *sample, struct account *account)
{
    while (account->first) {
        struct pql_sample_record *record = account->first;
        account->first = record->next;
        sample->stats.records--;
        sample->stats.bytes -= record->place.len + record->value.len;
        sample->stats.left_out++;
        free(record);
    }
}

void pql_sample_free(struct pql_sample *sample)
{
    if (!sample) return;
    drop_records(sample, &sample->of_none);
    for (size_t i = 0; i < sample->slots_count; i++) {
        if (!sample->slots[i]) continue;
        drop_records(sample, sample->slots[i]);
        free(sample->slots[i]);
    }
    pql_heap_deinit(&sample->heap);
    free(sample->slots);
    free(sample);
}

/* --- accounts --- */

static struct account **slot_of(struct account **slots, size_t count, uint64_t hash)
{
    size_t at = (size_t)hash & (count - 1);
    while (slots[at] && slots[at]->hash != hash) at = (at + 1) & (count - 1);
    return &slots[at];
}

static void grow_slots(struct pql_sample *sample)
{
    size_t count = sample->slots_count * 2;
    struct account **slots = pql_xcalloc(count, sizeof(struct account *));
    for (size_t i = 0; i < sample->slots_count; i++)
        if (sample->slots[i]) *slot_of(slots, count, sample->slots[i]->hash) = sample->slots[i];
    free(sample->slots);
    sample->slots = slots;
    sample->slots_count = count;
}

static struct account *account_of(struct pql_sample *sample, uint64_t hash)
{
    struct account **slot = slot_of(sample->slots, sample->slots_count, hash);
    if (*slot) return *slot;
    struct account *account = *slot = pql_xcalloc(1, sizeof *account);
    account->hash = hash;
    /* The heap gives the smallest of signed numbers. */
    pql_heap_push(&sample->heap, NULL, -(int64_t)(hash >> 1), account);
    sample->stats.accounts++;
    if (++sample->slots_used * 2 > sample->slots_count) grow_slots(sample);
    return account;
}

/* From now on nothing of its hash, or of a larger one, is taken. */
static void give_up_largest(struct pql_sample *sample)
{
    struct account *account = pql_heap_pop(&sample->heap, NULL).item;
    sample->limits.hash = account->hash ? account->hash - 1 : 0;
    sample->stats.accounts--;
    drop_records(sample, account);
}

static bool is_over(const struct pql_sample *sample)
{
    const struct pql_sample_stats *stats = &sample->stats;
    return stats->accounts > sample->limits.accounts || stats->records > sample->limits.records ||
           stats->bytes > sample->limits.bytes;
}

/* --- records --- */

static void add(struct pql_sample *sample, struct account *account, uint32_t schema, struct pql_slice place,
                struct pql_slice value)
{
    struct pql_sample_record *record = pql_xmalloc(sizeof *record + place.len + value.len);
    char *bytes = (char *)(record + 1);
    memcpy(bytes, place.ptr, place.len);
    if (value.len) memcpy(bytes + place.len, value.ptr, value.len);
    *record = (struct pql_sample_record){.number = sample->number,
                                         .schema = schema,
                                         .place = {bytes, place.len},
                                         .value = {bytes + place.len, value.len},
                                         .next = account->first};
    account->first = record;
    sample->stats.records++;
    sample->stats.bytes += place.len + value.len;
}

/* The last one added goes again: there is no other account left to give up. */
static void take_back(struct pql_sample *sample, struct account *account)
{
    struct pql_sample_record *record = account->first;
    account->first = record->next;
    account->is_cut = sample->stats.is_cut = true;
    sample->stats.records--;
    sample->stats.bytes -= record->place.len + record->value.len;
    sample->stats.left_out++;
    free(record);
}

void pql_sample_add(struct pql_sample *sample, struct pql_slice account_id, uint32_t schema,
                    struct pql_slice place, struct pql_slice value)
{
    uint64_t hash = account_id.len ? pql_checkpoint_hash(account_id.ptr, account_id.len) : 0;
    sample->number++;
    if (account_id.len && hash > sample->limits.hash) {
        sample->stats.left_out++;
        return;
    }
    struct account *account = account_id.len ? account_of(sample, hash) : &sample->of_none;
    if (account->is_cut) {
        sample->stats.left_out++;
        return;
    }
    add(sample, account, schema, place, value);
    while (is_over(sample) && sample->heap.count > 1) give_up_largest(sample);
    /* Either the account of this very record was given up, or it is the only one left. */
    if (is_over(sample) && account->first) take_back(sample, account);
}

static int compare_numbers(const void *a, const void *b)
{
    const struct pql_sample_record *const *x = a, *const *y = b;
    return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

const struct pql_sample_record **pql_sample_records(const struct pql_sample *sample, size_t *count)
{
    const struct pql_sample_record **records =
        pql_xcalloc(sample->stats.records + 1, sizeof(const struct pql_sample_record *));
    *count = 0;
    for (const struct pql_sample_record *r = sample->of_none.first; r; r = r->next) records[(*count)++] = r;
    for (size_t i = 0; i < sample->slots_count; i++)
        for (const struct pql_sample_record *r = sample->slots[i] ? sample->slots[i]->first : NULL; r;
             r = r->next)
            records[(*count)++] = r;
    qsort(records, *count, sizeof *records, compare_numbers);
    return records;
}

struct pql_sample_stats pql_sample_stats(const struct pql_sample *sample)
{
    return sample->stats;
}

/* --- how much --- */

bool pql_sample_parse(const char *text, struct pql_sample_limits *limits)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    double number = strtod(text, &end);
    if (strcmp(end, "%") == 0 && number > 0 && number <= 100) {
        limits->hash = number < 100 ? (uint64_t)(number / 100 * 18446744073709551615.0) : UINT64_MAX;
        return true;
    }
    if (*end || number < 1 || number > 1e9 || number != (double)(uint64_t)number) return false;
    limits->accounts = (uint64_t)number;
    return true;
}
