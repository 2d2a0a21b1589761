/* Steps in order. */
#include "core/state/signal_cell.h"

static bool is_live(const struct pql_signal *signal, int64_t start_ms, int64_t t_ms)
{
    if (start_ms == PQL_NO_TIME) return false;
    return signal->window.kind != PQL_WINDOW_ROLLING || start_ms > t_ms - signal->window.ms;
}

static struct pql_partial *partials_of(void *entry)
{
    return (struct pql_partial *)(void *)((char *)entry + sizeof(struct pql_entry_value));
}

/* Nothing can come of it any more. What is dead goes once no other is older, or it is heard of. */
static bool is_dead(const struct pql_signal *signal, void *entry, int64_t t_ms)
{
    int64_t newest = partials_of(entry)[0].start_ms; /* no later step has a later start */
    return !is_live(signal, newest, t_ms) || (signal->within_ms && newest < t_ms - signal->within_ms);
}

void pql_sequence_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    struct pql_payload_sequence *whole = pql_cell_payload(cell);
    if (!is_live(signal, whole->start_ms, t_ms)) whole->start_ms = PQL_NO_TIME;
    for (uint32_t i; signal->is_by && (i = pql_values_oldest(signal, cell)) != PQL_NO_VALUE;) {
        if (!is_dead(signal, pql_values_entry(signal, cell, i), t_ms)) break;
        pql_values_remove(signal, cell, i);
    }
}

/* For one value more. */
static void make_room(const struct pql_signal *signal, struct pql_cell *cell)
{
    bool is_limited = signal->is_by && signal->window.kind != PQL_WINDOW_ROLLING && !signal->within_ms;
    if (is_limited && cell->n >= signal->exact_max) pql_values_drop_oldest(signal, cell, 1);
}

/* The entry of the value, which is heard of now; made if the event may begin a match; NULL: there is none. */
static void *open_entry(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occ, int64_t t_ms)
{
    uint32_t i = pql_values_find(signal, *cell, occ->hash);
    if (i != PQL_NO_VALUE && signal->is_by && is_dead(signal, pql_values_entry(signal, *cell, i), t_ms)) {
        pql_values_remove(signal, *cell, i);
        i = PQL_NO_VALUE;
    }
    if (i != PQL_NO_VALUE && pql_cell_time(signal, *cell, i) < occ->time_ms)
        return pql_values_move(signal, *cell, i, occ->time_ms);
    if (i != PQL_NO_VALUE) return pql_values_entry(signal, *cell, i);
    if (!(occ->steps & 1)) return NULL;
    make_room(signal, *cell);
    void *entry = pql_values_add(signal, cell, occ->time_ms, occ->hash);
    for (uint32_t k = 0; k + 1 < signal->steps_count; k++)
        partials_of(entry)[k] = (struct pql_partial){PQL_NO_TIME, PQL_NO_TIME};
    return entry;
}

/* From the last step to the first, so that one event serves one step of a match. At equal starts the first
 * stays. */
static void take_steps(const struct pql_signal *signal, struct pql_payload_sequence *whole, void *entry,
                       const struct pql_occurrence *occ)
{
    struct pql_partial *partials = partials_of(entry);
    for (uint32_t i = signal->steps_count - 1; i > 0; i--) {
        int64_t start = partials[i - 1].start_ms;
        if (!(occ->steps >> i & 1) || start == PQL_NO_TIME || partials[i - 1].last_ms > occ->time_ms)
            continue;
        if (signal->within_ms && occ->time_ms - start > signal->within_ms) continue;
        if (i + 1 == signal->steps_count)
            whole->start_ms = start > whole->start_ms ? start : whole->start_ms;
        else if (start > partials[i].start_ms)
            partials[i] = (struct pql_partial){start, occ->time_ms};
    }
    if ((occ->steps & 1) && occ->time_ms > partials[0].start_ms)
        partials[0] = (struct pql_partial){occ->time_ms, occ->time_ms};
}

unsigned pql_sequence_add(const struct pql_signal *signal, struct pql_cell **cell,
                          const struct pql_occurrence *occ, int64_t t_ms)
{
    struct pql_payload_sequence *whole = pql_cell_payload(*cell);
    bool was_live = whole->start_ms != PQL_NO_TIME;
    if (was_live && signal->window.kind != PQL_WINDOW_ROLLING) return 0; /* for ever */
    char *entry = open_entry(signal, cell, occ, t_ms);
    if (!entry) return 0;
    whole = pql_cell_payload(*cell);
    take_steps(signal, whole, entry, occ);
    if (!is_live(signal, whole->start_ms, t_ms)) whole->start_ms = PQL_NO_TIME;
    return whole->start_ms != PQL_NO_TIME && !was_live ? PQL_CHANGE_ANY | PQL_CHANGE_VALUE : 0;
}

void pql_sequence_init(struct pql_cell *cell)
{
    ((struct pql_payload_sequence *)pql_cell_payload(cell))->start_ms = PQL_NO_TIME;
}

void pql_sequence_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                       struct pql_reading *reading)
{
    const struct pql_payload_sequence *whole = pql_cell_payload(cell);
    reading->n = is_live(signal, whole->start_ms, t_ms);
    if (reading->n) reading->first_at = whole->start_ms;
}

int64_t pql_sequence_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    int64_t start = ((const struct pql_payload_sequence *)pql_cell_payload(cell))->start_ms;
    bool leaves = signal->window.kind == PQL_WINDOW_ROLLING && is_live(signal, start, t_ms);
    return leaves ? start + signal->window.ms : INT64_MAX;
}

static void merge_partials(const struct pql_signal *signal, void *into, void *from)
{
    struct pql_partial *mine = partials_of(into), *other = partials_of(from);
    for (uint32_t i = 0; i + 1 < signal->steps_count; i++) {
        bool is_first = other[i].start_ms == mine[i].start_ms && other[i].last_ms < mine[i].last_ms;
        if (other[i].start_ms > mine[i].start_ms || is_first) mine[i] = other[i];
    }
}

/* The entry of its value goes, into `moving`, if there is one. */
static bool take_entry(const struct pql_signal *signal, struct pql_cell *cell, uint64_t hash, char *moving)
{
    uint32_t i = pql_values_find(signal, cell, hash);
    if (i == PQL_NO_VALUE) return false;
    memcpy(moving, pql_values_entry(signal, cell, i), pql_cell_entry_size(signal));
    pql_values_remove(signal, cell, i);
    return true;
}

/* Takes an entry in, with what the cell has of its value. */
static void merge_entry(const struct pql_signal *signal, struct pql_cell **into, const char *entry)
{
    _Alignas(8) char mine[PQL_VALUE_ENTRY_MAX], other[PQL_VALUE_ENTRY_MAX];
    struct pql_entry_value *value = (void *)mine, *theirs = (void *)other;
    size_t size = pql_cell_entry_size(signal);
    memcpy(other, entry, size);
    if (take_entry(signal, *into, theirs->hash, mine)) {
        merge_partials(signal, mine, other);
        if (theirs->time_ms > value->time_ms) value->time_ms = theirs->time_ms;
    } else {
        memcpy(mine, other, size);
        make_room(signal, *into);
    }
    memcpy(pql_values_add(signal, into, value->time_ms, value->hash), mine, size);
}

void pql_sequence_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from)
{
    struct pql_payload_sequence *whole = pql_cell_payload(*into);
    const struct pql_payload_sequence *other = pql_cell_payload(from);
    if (other->start_ms > whole->start_ms) whole->start_ms = other->start_ms;
    for (uint32_t i = pql_values_oldest(signal, from); i != PQL_NO_VALUE;
         i = pql_values_newer(signal, from, i))
        merge_entry(signal, into, pql_values_entry(signal, from, i));
}

void pql_sequence_rename(const struct pql_signal *signal, struct pql_cell **cell,
                         const struct pql_renaming *renaming)
{
    _Alignas(8) char moving[PQL_VALUE_ENTRY_MAX];
    if (!take_entry(signal, *cell, renaming->from_hash, moving)) return;
    ((struct pql_entry_value *)(void *)moving)->hash = renaming->to_hash;
    if (renaming->to.kind != PQL_NULL) merge_entry(signal, cell, moving);
}
