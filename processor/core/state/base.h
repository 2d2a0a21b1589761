/* base.h - the rolling base of a task: the snapshots that together hold its state, and the manifests before.
 *
 *   number   9   10   11   12   13   14   15   16          modulus 4
 *   share    0    1    2    3    0    1    2    3
 *                             └──── base of 16 ────┘       each share of all pages is in one of them
 *   manifests before: 15, 14, 13, 12 (whose base is 9 to 12), …
 *
 * A page is read from the newest snapshot that has it, so the base ends where every share had its turn. When
 * one of its snapshots is damaged, the newest manifest before that one serves. So much is kept that this is
 * always there: what the manifest before the previous full base names, see pql_base_trim. Owner: the task. */
#ifndef PQL_CORE_STATE_BASE_H
#define PQL_CORE_STATE_BASE_H

#include "core/state/checkpoint_format.h"

struct pql_base {
    struct pql_saved *items; /* the newest first; nothing: no snapshot was saved */
    size_t count;
    struct pql_ancestor self;       /* the manifest that names these */
    struct pql_ancestor *ancestors; /* the newest first */
    size_t ancestors_count;
};

void pql_base_deinit(struct pql_base *base);
/* As a manifest at this offset says; all is copied. */
void pql_base_set(struct pql_base *base, const struct pql_manifest *manifest, int64_t offset);
/* The share that the next snapshot takes in whole. wanted: how many shares there should be; it changes only
 * when the present ones had their turn all, and by a factor of two at least. */
void pql_base_share(const struct pql_base *base, uint32_t wanted, uint32_t *modulus, uint32_t *residue);
/* The base with one more snapshot, into *next; what is not needed any more is left out. journal_from: of its
 * manifest, whose offset is filled in when it is known. */
void pql_base_add(const struct pql_base *base, const struct pql_saved *saved, int64_t journal_from,
                  struct pql_base *next);
/* What stands before this offset of the checkpoint partition is needed by nobody: 0 if that is not known. */
int64_t pql_base_trim(const struct pql_base *base);
/* The newest of so many manifests that does not need this snapshot or a newer one, or NULL. */
const struct pql_ancestor *pql_ancestor_before(const struct pql_ancestor *ancestors, size_t count,
                                               uint64_t number);
uint64_t pql_base_bytes(const struct pql_saved *items, size_t count);

#endif
