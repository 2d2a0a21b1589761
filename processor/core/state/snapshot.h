/* snapshot.h - which pages a snapshot writes, and when: the inside of an engine.
 *
 *   begin (S is fixed) ─► steps: pages that are wanted, in order ─► complete ─► saved: the base of the next
 *            └─ a wanted page is about to change ─► written at once, ahead of its turn (copy on update)
 *
 * Wanted is what changed since the last snapshot that was saved, and all pages of the accounts and ids whose
 * turn it is. Snapshots have numbers; a page knows after which it last changed and which wrote it last. So
 * nothing is cleared or listed: an attempt that is given up simply does not become the base.
 *
 * The digest of a state is the sum of the keyed hashes of its pages. A page keeps the hash that it was last
 * written with; when a snapshot is complete, the sum of these is the digest of the state at S. */
#ifndef PQL_CORE_STATE_SNAPSHOT_H
#define PQL_CORE_STATE_SNAPSHOT_H

#include "core/state/page.h"

struct pql_engine;

struct pql_snapshot {
    bool is_running;
    uint32_t number, base;                /* of the last that was begun, and the last that was saved */
    uint32_t modulus, residue;            /* it is the turn of accounts with index % modulus == residue */
    size_t accounts_count, buckets_count; /* at S */
    uint64_t arrivals;                    /* of the reorder buffer, at S */
    struct pql_waiting *at_waiting;       /* what is written next */
    size_t at_account, at_group, at_bucket, at_ids;

    struct pql_buf
        *early; /* pages written ahead of their turn, a list of buffers [early_first, early_count) */
    size_t early_first, early_count, early_capacity;
    uint64_t early_bytes;
    struct pql_buf page; /* being written; while loading: the beginning of one whose end comes */
    struct pql_cell_keys keys;

    uint64_t sum;      /* of the hashes of accounts and ids as last written */
    uint64_t task_sum; /* of the other pages at S */
    uint64_t gone_sum; /* of pages taken away since S, as they were then: part of sum until it is complete */
    uint64_t digest;   /* of the last one completed */
    uint64_t turn_bytes; /* of the pages whose turn it was */

    bool is_older; /* loading: the newest snapshot of the base was read */
    size_t waiting_count;
};

void pql_snapshot_deinit(struct pql_snapshot *snapshot);

/* Call before anything of it changes: of an account itself (first in every instant), of a user, of one
 * signal's state; before a user is added; before an event leaves the reorder buffer. */
void pql_touch_account(struct pql_engine *engine, struct pql_account *account);
void pql_touch_user(struct pql_engine *engine, struct pql_account *account, const struct pql_user *user);
void pql_touch_new_user(struct pql_engine *engine, struct pql_account *account);
/* user NULL: of the account. The user is touched, too. */
void pql_touch_cell(struct pql_engine *engine, struct pql_account *account, const struct pql_user *user,
                    uint32_t slot);
/* Before the user is taken away: the last one takes its place. */
void pql_touch_removal(struct pql_engine *engine, struct pql_account *account, const struct pql_user *user);
/* Before a node of the aliases changes, and after they have become more or less. */
void pql_touch_alias(struct pql_engine *engine, struct pql_account *account, size_t node);
void pql_snapshot_aliases(struct pql_engine *engine, struct pql_account *account);
/* All of an account. */
void pql_touch_all(struct pql_engine *engine, struct pql_account *account);
/* After all was touched and its users were dropped. */
void pql_snapshot_drop_users(struct pql_engine *engine, struct pql_account *account);
/* Makes an account that no snapshot in progress knows of. */
struct pql_account *pql_account_appears(struct pql_engine *engine, struct pql_slice id);
/* Takes one away whose head was touched before anything of it changed: the last one takes its place. */
void pql_account_disappears(struct pql_engine *engine, struct pql_account *account);
void pql_touch_waiting(struct pql_engine *engine, const struct pql_waiting *waiting);

/* Ids beyond the horizon go, unless a snapshot reads them. */
void pql_snapshot_forget(struct pql_engine *engine);
/* State has another form from now on: nothing of it was saved. */
void pql_snapshot_restart(struct pql_engine *engine);

#endif
