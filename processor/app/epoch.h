/* epoch.h - what one task wants to have committed together: records in the order of the engine, each whole as
 * it will be produced, and where the log stood after them. Kept until the commit is known, so that an aborted
 * epoch is produced again byte for byte. Owner: the worker while open, the committer once sealed. */
#ifndef PQL_APP_EPOCH_H
#define PQL_APP_EPOCH_H

#include "core/state/checkpoint_format.h"
#include "io/ports.h"

struct pql_epoch_record {
    enum pql_output output;
    int32_t partition; /* or -1 */
    bool has_key, has_value;
    uint32_t headers_count;
    size_t key, key_len, value, value_len, headers, headers_len; /* places in the epoch's bytes */
    int64_t timestamp_ms;
};

/* Where an epoch may be cut in two: the log's place after its first `count` records. */
struct pql_epoch_cut {
    size_t count;
    uint64_t size, transitions; /* of all before it */
    struct pql_log_place end;
    struct pql_metadata metadata;
    bool has_pointer;    /* the first that names metadata.manifest */
    int64_t trim_before; /* with has_pointer: what nobody needs once this is committed; 0: nothing */
};

/*   records   │ committed │ chosen: of the transaction │ later │
 *   cuts      .     .     .       .       .            .       .     the last one is the end */
struct pql_epoch {
    struct pql_buf bytes;
    struct pql_epoch_record *records;
    size_t count, capacity;
    uint64_t transitions;     /* of the engine, among them */
    uint64_t first_output_us; /* when the oldest output was appended; 0: none */
    bool moved;               /* there is something to commit */
    struct pql_epoch_cut *cuts;
    size_t cuts_count, cuts_capacity;
    /* Once sealed: what is to be committed next, up to a cut. */
    size_t cut_from, cut_upto; /* cuts that are committed; the one chosen */
    struct pql_log_place end;
    struct pql_metadata metadata; /* with its number once it is part of a transaction */
    bool has_pointer;
    int64_t trim_before;
};

/* What it takes of memory. */
uint64_t pql_epoch_bytes(const struct pql_epoch *epoch);
void pql_epoch_free(struct pql_epoch *epoch); /* NULL is fine */
void pql_epoch_add(struct pql_epoch *epoch, const struct pql_out_record *record);
/* Adds a cut here, count to transitions are filled in. */
void pql_epoch_cut(struct pql_epoch *epoch, const struct pql_epoch_cut *cut);
/* What was added since the last cut. */
uint64_t pql_epoch_uncut(const struct pql_epoch *epoch);
/* Sealed: chooses as many cuts as size_max allows, one at least; returns their size. */
uint64_t pql_epoch_choose(struct pql_epoch *epoch, uint64_t size_max);
/* The chosen records are [first, last). */
size_t pql_epoch_first(const struct pql_epoch *epoch);
size_t pql_epoch_last(const struct pql_epoch *epoch);
uint64_t pql_epoch_transitions(const struct pql_epoch *epoch); /* of the chosen */
/* The chosen is committed; chooses all that is left. False: nothing is. */
bool pql_epoch_go_on(struct pql_epoch *epoch);
/* The record as the ports want it; headers' array in the arena. */
void pql_epoch_get(const struct pql_epoch *epoch, size_t index, struct pql_arena *arena,
                   struct pql_out_record *out);

#endif
