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

struct pql_epoch {
    struct pql_buf bytes;
    struct pql_epoch_record *records;
    size_t count, capacity;
    uint64_t transitions;     /* of the engine, among them */
    uint64_t first_output_us; /* when the oldest output was appended; 0: none */
    bool moved;               /* there is something to commit */
    /* Once sealed: */
    struct pql_log_place end;
    struct pql_metadata metadata;
    bool has_pointer;    /* the first that names metadata.manifest */
    int64_t trim_before; /* with has_pointer: what nobody needs once this is committed; 0: nothing */
};

void pql_epoch_free(struct pql_epoch *epoch); /* NULL is fine */
void pql_epoch_add(struct pql_epoch *epoch, const struct pql_out_record *record);
/* The record as the ports want it; headers' array in the arena. */
void pql_epoch_get(const struct pql_epoch *epoch, size_t index, struct pql_arena *arena,
                   struct pql_out_record *out);

#endif
