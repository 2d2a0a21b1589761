/* account.h - one account with its users, and the store of all accounts of a task.
 *
 *   store ─hash─► account ─► cells: [slot 0: cell][slot 4: cell] …     one block (cells.h)
 *                   │                signals, attributes (struct pql_cell), standings (struct pql_standing)
 *                   └─hash─► user ─► cells, one bit per condition
 *
 * Slots are of the program (compiled.h). Iteration is by the order of appearance, but that the last one takes
 * the place of one that is taken away: a function of the log all the same. Owner: the engine. Thread: the
 * task's. */
#ifndef PQL_CORE_STATE_ACCOUNT_H
#define PQL_CORE_STATE_ACCOUNT_H

#include "base/heap.h"
#include "core/compiled.h"
#include "core/state/aliases.h"
#include "core/state/cells.h"
#include "core/state/places.h"

/* Why something is evaluated; of several causes the first of event, decay, time counts. */
enum pql_cause { PQL_BY_TIME, PQL_BY_EVENT, PQL_BY_DECAY };

static inline enum pql_cause pql_cause_join(enum pql_cause a, enum pql_cause b)
{
    if (a == PQL_BY_EVENT || b == PQL_BY_EVENT) return PQL_BY_EVENT;
    return a == PQL_BY_DECAY ? a : b;
}

/* The reason that a record gives for it. */
static inline enum pql_reason pql_reason_of(enum pql_cause by)
{
    static const enum pql_reason reasons[] = {[PQL_BY_TIME] = PQL_REASON_EXPIRED,
                                              [PQL_BY_EVENT] = PQL_REASON_CONDITION,
                                              [PQL_BY_DECAY] = PQL_REASON_DECAYED};
    return reasons[by];
}

/* Where a subject stands with a definition; absent: not_yet, nothing ever. */
struct pql_standing {
    enum pql_status status;
    bool is_leaving; /* stay has failed, min_stay is not over */
    bool leaving_by_change;
    enum pql_cause leaving_by;
    bool is_converted;  /* by an outcome, until one reopens it */
    bool is_unanswered; /* the deadline of `sla` runs, from qualified_ms */
    bool is_sent;       /* a record has told the score: struct pql_sent */
    bool is_held;       /* a change of the score waits for min_interval */
    enum pql_cause held_by;
    uint8_t tier; /* of a member: 1 + place from the lowest; 0: none */
    uint32_t count;
    int64_t first_ms, qualified_ms, left_ms; /* PQL_NO_TIME */
    int64_t version;
    int64_t disqualified_ms; /* own time of the latest outcome that disqualified; PQL_NO_TIME */
};

/* Behind the standing with a definition that has a score: what the last record said, and when. */
struct pql_sent {
    uint64_t low;
    int64_t high, ms;
};

/* definition NULL: one that a change removed. */
size_t pql_standing_size(const struct pql_definition *definition);
/* A standing of nothing yet, on the heap. */
struct pql_standing *pql_standing_new(const struct pql_definition *definition);
static inline struct pql_sent *pql_standing_sent(const struct pql_standing *standing)
{
    return (struct pql_sent *)(uintptr_t)(standing + 1);
}

/* Frees the signals of a subject; standings stay. */
void pql_cells_clear(const struct pql_program *program, enum pql_subject subject, struct pql_cells *cells);

enum pql_start { PQL_START_NONE, PQL_START_ASSUMED, PQL_START_BY_USER, PQL_START_EXPLICIT };

struct pql_subject_state {
    struct pql_cells *cells;
    int64_t start_ms;
    int64_t timer_ms;  /* its entry in the timers; INT64_MAX: none. At most the true next change. */
    uint8_t start;     /* enum pql_start */
    bool is_member;    /* a user */
    bool is_moved;     /* it is a member now and was none before the instant, or the other way round */
    uint8_t gone;      /* of a user that is taken away: enum pql_reason; 0: it is there */
    uint32_t position; /* of a user among those of its account */
};

struct pql_user {
    struct pql_subject_state state;
    struct pql_slice id; /* behind the struct */
    int64_t member_ms;   /* time of the event that decided whether it is a member; PQL_NO_TIME: none yet */
    uint64_t bits[];     /* by condition: holds */
};

struct pql_user_ref {
    uint64_t hash;
    struct pql_user *user;
};

/* What is known of a page that snapshots write (state/snapshot.h). */
struct pql_page {
    uint64_t hash;    /* as last written; 0: never */
    uint32_t changed; /* number of the last snapshot begun when it last changed */
    uint32_t written; /* number of the last snapshot that wrote it */
};

/* A cell that is a page of its own. user: 0 the account, else 1 + position. */
struct pql_cell_page {
    uint32_t user, slot;
    struct pql_page page;
};

/* Pages of an account that is too large for one. */
struct pql_large {
    struct pql_page *blocks; /* of users, in their order */
    size_t blocks_count, blocks_capacity;
    struct pql_page *aliases; /* of its aliases, likewise */
    size_t aliases_count, aliases_capacity;
    struct pql_cell_page *cells; /* by (user, slot) */
    size_t cells_count, cells_capacity;
};

/* How many users have each value of an attribute: for spread(user.a, c), of those with c. */
struct pql_tally {
    struct pql_tally_item {
        uint64_t hash;
        uint32_t users;
    } * items;
    uint32_t count, capacity;
};

/* First what every event of it touches: two cache lines. */
struct pql_account {
    struct pql_subject_state state;
    struct pql_slice id; /* behind the struct */
    int64_t instant_ms;  /* the last instant that was applied to it */
    int64_t timer_ms;    /* its entry in the task's timers */

    uint64_t hash;
    struct pql_page page;        /* all of it, or of a large one the head */
    struct pql_aliases *aliases; /* NULL: none */
    struct pql_heap timers;      /* of users */
    uint32_t timers_bytes;       /* of it, as counted in the store */
    uint32_t gone_count;         /* of `gone` */

    struct pql_large *large; /* NULL: it is one page */
    struct pql_user_ref *users;
    uint32_t *users_index; /* open addressing over users once there are many; 0: empty, else 1 + position */
    uint32_t users_count, users_capacity, users_index_capacity;
    uint32_t index; /* in the store */
    uint32_t members;
    uint32_t number;   /* how many accounts had appeared before it, those included that are gone */
    uint32_t *holding; /* by condition: members for whom it holds; of the account's own: 1 if it does */
    struct pql_tally *tallies; /* by spread; NULL: nothing in any */
    struct pql_user **gone;    /* taken away, but timers may still name them */
    uint32_t gone_capacity;
    uint32_t gone_bare; /* so many of them, the first, are gone since an earlier instant: without cells */
};

struct pql_store {
    struct pql_account **accounts;
    size_t count, capacity;
    uint32_t appeared; /* accounts, ever */
    struct pql_store_slot {
        uint64_t hash;
        struct pql_account *account;
    } * slots;
    size_t slots_capacity;
    uint64_t users_count;
    uint64_t bytes; /* of accounts, users and their cells: see pql_store_recount */
    uint64_t key;
    size_t conditions_count;
    struct pql_places places; /* accounts of users, once events without an account ask for them */
};

void pql_store_init(struct pql_store *store, const struct pql_program *program);
void pql_store_deinit(struct pql_store *store, const struct pql_program *program);
struct pql_account *pql_store_find(const struct pql_store *store, struct pql_slice id);
struct pql_account *pql_store_add(struct pql_store *store, struct pql_slice id);
/* Takes the account out; the last one takes its place. All of it is freed but the struct with its id, which
 * is the caller's: timers may name it. What pages know of positions is the caller's, too (snapshot.h). */
void pql_store_remove(struct pql_store *store, const struct pql_program *program,
                      struct pql_account *account);
struct pql_user *pql_account_find(const struct pql_store *store, const struct pql_account *account,
                                  struct pql_slice id);
struct pql_user *pql_account_add(struct pql_store *store, struct pql_account *account, struct pql_slice id);

/* Takes the user out of the account: the last one takes its place, and its cells, gone for a reason, stay
 * until pql_account_bury: whoever works on the instant may still read them. What pages know of positions is
 * the caller's (snapshot.h). */
void pql_account_remove(struct pql_store *store, const struct pql_program *program,
                        struct pql_account *account, struct pql_user *user, uint8_t reason);
/* Those who are gone keep no cells; they are freed, now or when they are many, with the timers that name
 * them. */
void pql_account_bury(const struct pql_program *program, struct pql_account *account);

/* Loading: the account with this id at this position of the order of appearance, made if absent; NULL if
 * another one stands there. Positions without an account stay NULL until theirs is loaded. */
struct pql_account *pql_store_place(struct pql_store *store, struct pql_slice id, uint32_t index);
/* Loading: room for all users, each NULL until loaded; then pql_account_index once all are there. */
void pql_account_reserve(struct pql_account *account, size_t users);
struct pql_user *pql_user_new(const struct pql_store *store, struct pql_slice id);
void pql_account_index(struct pql_store *store, struct pql_account *account);

/* Another program under the store. kept: by condition of the old one, its index in the new one, or
 * PQL_NO_INDEX: bits and counters of conditions that stay are moved, the others are clear. Cells and timers
 * are the caller's. */
void pql_store_change(struct pql_store *store, const struct pql_program *program, const uint32_t *kept);
/* Frees all users of the account. */
void pql_account_drop_users(struct pql_store *store, const struct pql_program *program,
                            struct pql_account *account);
/* Frees all of the account itself: it is as if it had just appeared. */
void pql_account_clear(const struct pql_program *program, struct pql_account *account);
void pql_large_free(struct pql_large *large);

static inline bool pql_user_has(const struct pql_user *user, uint32_t condition)
{
    return user->bits[condition / 64] >> (condition % 64) & 1;
}

/* One user more or less has that value. */
void pql_account_tally(const struct pql_program *program, struct pql_account *account, uint32_t spread,
                       uint64_t hash, bool up);
size_t pql_tallies_bytes(const struct pql_program *program, const struct pql_account *account);
void pql_account_drop_tallies(const struct pql_program *program, struct pql_account *account);

/* The standing of the subject with a definition, or NULL. */
const struct pql_standing *pql_standing_of(const struct pql_subject_state *state,
                                           const struct pql_definition *definition);

/* Bytes that accounts, users and all that hangs from them take, as pql_memory_cost has it: store->bytes is
 * counted where something grows (whoever adds a cell or makes one grow says so there), and recounted where
 * much changes at once. The page tables of giant accounts, a hundredth of them, are left out. */
void pql_account_count_timers(struct pql_store *store, struct pql_account *account); /* once they are set */
size_t pql_account_bytes(const struct pql_store *store, const struct pql_program *program,
                         const struct pql_account *account);
uint64_t pql_store_walk(const struct pql_store *store, const struct pql_program *program); /* what bytes is */
void pql_store_recount(struct pql_store *store, const struct pql_program *program);
uint64_t pql_store_bytes(const struct pql_store *store); /* O(1), the tables included */

#endif
