/* page.h - state as pages: bytes that are a function of the log alone. Capacities, timers, table order and
 * counters that can be counted again are not in them.
 *
 *   TASK     keys of the slots (what state is of which signal), clock, open work, how much there is of all
 * else WAITING  one event of the reorder buffer ACCOUNT  an account with its users, if that takes at most
 * PQL_PAGE_SMALL bytes; else it is large: HEAD       the account without its users USERS      a block of its
 * users ALIASES    a block of what alias events said CELL       a signal of the account or of a user whose
 * content takes more than PQL_PAGE_SMALL bytes IDS      of the duplicate filter, PQL_IDS_MAX of a bucket
 *
 * In a stream of pages each has a varint with its length before it; content begins with the type. An account
 * is named by its position in the order of appearance. Reading checks everything: pages may come from a
 * damaged topic. Thread: the task's. */
#ifndef PQL_CORE_STATE_PAGE_H
#define PQL_CORE_STATE_PAGE_H

#include "base/buf.h"
#include "core/state/account.h"
#include "core/state/dedup.h"

struct pql_engine;
struct pql_waiting;

enum pql_page_type {
    PQL_PAGE_TASK = 1,
    PQL_PAGE_WAITING,
    PQL_PAGE_ACCOUNT,
    PQL_PAGE_HEAD,
    PQL_PAGE_USERS,
    PQL_PAGE_CELL,
    PQL_PAGE_IDS,
    PQL_PAGE_ALIASES,
};

enum { PQL_PAGE_FORMAT = 4, PQL_PAGE_SMALL = 4096, PQL_PAGE_USERS_MAX = 64, PQL_PAGE_ALIASES_MAX = 64 };

/* The cells that a page of a large account leaves to pages of their own, by (user, slot). */
struct pql_cell_keys {
    struct pql_cell_key {
        uint32_t user, slot;
    } * items;
    size_t count, capacity;
};

/* Each replaces what buf holds. */
void pql_page_task(const struct pql_engine *engine, struct pql_buf *buf);
void pql_page_waiting(const struct pql_engine *engine, const struct pql_waiting *waiting,
                      struct pql_buf *buf);
/* False: the account is large, buf holds nothing of use. Bounded work, however large it is. */
bool pql_page_account(const struct pql_program *program, const struct pql_account *account,
                      struct pql_buf *buf);
/* Of a large account; keys: appended. */
void pql_page_head(const struct pql_program *program, const struct pql_account *account, struct pql_buf *buf,
                   struct pql_cell_keys *keys);
void pql_page_users(const struct pql_program *program, const struct pql_account *account, size_t block,
                    struct pql_buf *buf, struct pql_cell_keys *keys);
void pql_page_aliases(const struct pql_account *account, size_t block, struct pql_buf *buf);
void pql_page_cell(const struct pql_program *program, const struct pql_account *account,
                   struct pql_cell_key key, struct pql_buf *buf);
/* count: how many ids of the page belong to it. */
void pql_page_ids(const struct pql_dedup_bucket *bucket, size_t page, uint32_t count, struct pql_buf *buf);

/* Names what stands in each slot, so that state is never read as another signal's. */
uint64_t pql_page_slots_hash(const struct pql_program *program);

static inline size_t pql_page_blocks(const struct pql_account *account)
{
    return ((size_t)account->users_count + PQL_PAGE_USERS_MAX - 1) / PQL_PAGE_USERS_MAX;
}

static inline size_t pql_page_alias_blocks(const struct pql_account *account)
{
    size_t count = account->aliases ? account->aliases->count : 0;
    return (count + PQL_PAGE_ALIASES_MAX - 1) / PQL_PAGE_ALIASES_MAX;
}

/* Position of the first of its cell pages at or after the key. */
size_t pql_large_find(const struct pql_large *large, uint32_t user, uint32_t slot);

#endif
