#include "core/state/account.h"

#include "core/hash.h"
#include <stdlib.h>

const struct pql_standing *pql_standing_of(const struct pql_subject_state *state,
                                           const struct pql_definition *definition)
{
    return pql_cells_find(state->cells, definition->slot);
}

size_t pql_standing_size(const struct pql_definition *definition)
{
    bool has_score = definition && definition->score;
    return sizeof(struct pql_standing) + (has_score ? sizeof(struct pql_sent) : 0);
}

struct pql_standing *pql_standing_new(const struct pql_definition *definition)
{
    struct pql_standing *standing = pql_xcalloc(1, pql_standing_size(definition));
    standing->first_ms = standing->qualified_ms = standing->left_ms = PQL_NO_TIME;
    standing->disqualified_ms = PQL_NO_TIME;
    return standing;
}

static void cells_free(const struct pql_program *program, enum pql_subject subject, struct pql_cells *cells)
{
    for (size_t i = 0; i < pql_cells_count(cells); i++) {
        uint32_t slot;
        void *cell = pql_cells_at(cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        if (what & PQL_SLOT_DEFINITION)
            free(cell); /* a standing */
        else
            pql_signal_free(&program->signals[what]->signal, cell);
    }
    free(cells);
}

void pql_cells_clear(const struct pql_program *program, enum pql_subject subject, struct pql_cells *cells)
{
    for (size_t i = pql_cells_count(cells); i-- > 0;) {
        uint32_t slot;
        (void)pql_cells_at(cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        if (!(what & PQL_SLOT_DEFINITION))
            pql_signal_free(&program->signals[what]->signal, pql_cells_take(cells, slot));
    }
}

void pql_store_init(struct pql_store *store, const struct pql_program *program)
{
    *store = (struct pql_store){.key = program->key, .conditions_count = program->conditions_count};
}

void pql_large_free(struct pql_large *large)
{
    if (!large) return;
    free(large->blocks);
    free(large->aliases);
    free(large->cells);
    free(large);
}

void pql_account_drop_tallies(const struct pql_program *program, struct pql_account *account)
{
    for (size_t i = 0; account->tallies && i < program->spreads_count; i++) free(account->tallies[i].items);
    free(account->tallies);
    account->tallies = NULL;
}

size_t pql_tallies_bytes(const struct pql_program *program, const struct pql_account *account)
{
    if (!account->tallies) return 0;
    size_t bytes = pql_memory_cost(program->spreads_count * sizeof *account->tallies);
    for (size_t i = 0; i < program->spreads_count; i++)
        bytes += pql_memory_cost(account->tallies[i].capacity * sizeof(struct pql_tally_item));
    return bytes;
}

void pql_account_tally(const struct pql_program *program, struct pql_account *account, uint32_t spread,
                       uint64_t hash, bool up)
{
    if (!account->tallies) account->tallies = pql_xcalloc(program->spreads_count, sizeof *account->tallies);
    struct pql_tally *tally = &account->tallies[spread];
    uint32_t i = 0;
    while (i < tally->count && tally->items[i].hash != hash) i++;
    if (i == tally->count) {
        PQL_ASSERT(up);
        if (tally->count == tally->capacity) {
            tally->capacity = tally->capacity ? tally->capacity * 2 : 2;
            tally->items = pql_xrealloc(tally->items, tally->capacity * sizeof *tally->items);
        }
        tally->items[tally->count++] = (struct pql_tally_item){hash, 1};
        return;
    }
    tally->items[i].users = up ? tally->items[i].users + 1 : tally->items[i].users - 1;
    if (!tally->items[i].users) tally->items[i] = tally->items[--tally->count];
}

static void user_free(const struct pql_program *program, struct pql_user *user)
{
    cells_free(program, PQL_SUBJECT_USER, user->state.cells);
    free(user);
}

static void free_gone(const struct pql_program *program, struct pql_account *account)
{
    for (size_t i = 0; i < account->gone_count; i++) user_free(program, account->gone[i]);
    free(account->gone);
    account->gone = NULL;
    account->gone_count = account->gone_capacity = account->gone_bare = 0;
}

/* All of it but the struct. */
static void strip(const struct pql_program *program, struct pql_account *account)
{
    for (size_t i = 0; i < account->users_count; i++)
        if (account->users[i].user) user_free(program, account->users[i].user);
    free_gone(program, account);
    pql_aliases_free(account->aliases);
    cells_free(program, PQL_SUBJECT_ACCOUNT, account->state.cells);
    free(account->users);
    free(account->users_index);
    free(account->holding);
    pql_account_drop_tallies(program, account);
    pql_large_free(account->large);
    pql_heap_deinit(&account->timers);
}

void pql_store_deinit(struct pql_store *store, const struct pql_program *program)
{
    for (size_t i = 0; i < store->count; i++)
        if (store->accounts[i]) {
            strip(program, store->accounts[i]);
            free(store->accounts[i]);
        }
    free(store->accounts);
    free(store->slots);
    pql_places_drop(&store->places);
    *store = (struct pql_store){0};
}

static struct pql_store_slot *slot_of(const struct pql_store *store, uint64_t hash, struct pql_slice id)
{
    size_t mask = store->slots_capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct pql_store_slot *slot = &store->slots[i];
        if (!slot->account || (slot->hash == hash && pql_slice_eq(slot->account->id, id))) return slot;
    }
}

struct pql_account *pql_store_find(const struct pql_store *store, struct pql_slice id)
{
    if (!store->count) return NULL;
    return slot_of(store, pql_hash_slice(id, store->key), id)->account;
}

static void store_grow(struct pql_store *store)
{
    if (store->slots_capacity && store->count < store->slots_capacity / 2) return;
    free(store->slots);
    store->slots_capacity = store->slots_capacity ? store->slots_capacity * 2 : 64;
    store->slots = pql_xcalloc(store->slots_capacity, sizeof *store->slots);
    for (size_t i = 0; i < store->count; i++) {
        struct pql_account *account = store->accounts[i];
        if (account)
            *slot_of(store, account->hash, account->id) = (struct pql_store_slot){account->hash, account};
    }
}

/* Of the account and the user itself; what hangs from them is counted where it grows. */
static size_t head_bytes(const struct pql_store *store, const struct pql_account *account)
{
    return pql_memory_cost(sizeof *account + account->id.len) +
           pql_memory_cost(store->conditions_count * sizeof *account->holding);
}

static size_t user_bytes(const struct pql_store *store, const struct pql_user *user)
{
    return pql_memory_cost(sizeof *user + (store->conditions_count + 63) / 64 * sizeof(uint64_t) +
                           user->id.len);
}

static size_t users_bytes(const struct pql_account *account)
{
    return pql_memory_cost(account->users_capacity * sizeof *account->users) +
           pql_memory_cost(account->users_index_capacity * sizeof *account->users_index);
}

static struct pql_subject_state new_state(void)
{
    return (struct pql_subject_state){.timer_ms = INT64_MAX, .start_ms = PQL_NO_TIME};
}

static struct pql_account *account_new(struct pql_store *store, struct pql_slice id, uint64_t hash,
                                       uint32_t index)
{
    struct pql_account *account = pql_xcalloc(1, sizeof *account + id.len);
    memcpy(account + 1, id.ptr, id.len);
    account->id = (struct pql_slice){(const char *)(account + 1), id.len};
    account->state = new_state();
    account->timer_ms = INT64_MAX;
    account->instant_ms = PQL_NO_TIME;
    account->hash = hash;
    account->index = index;
    if (store->conditions_count)
        account->holding = pql_xcalloc(store->conditions_count, sizeof *account->holding);
    store->bytes += head_bytes(store, account);
    return account;
}

struct pql_account *pql_store_add(struct pql_store *store, struct pql_slice id)
{
    struct pql_account *account = pql_store_place(store, id, (uint32_t)store->count);
    account->number = store->appeared++;
    return account;
}

/* Those behind a slot that becomes free are found from their own place on without a gap. */
static void slot_remove(struct pql_store *store, const struct pql_account *account)
{
    size_t mask = store->slots_capacity - 1, hole = (size_t)account->hash & mask;
    while (store->slots[hole].account != account) hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; store->slots[i].account; i = (i + 1) & mask) {
        size_t home = (size_t)store->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        store->slots[hole] = store->slots[i];
        hole = i;
    }
    store->slots[hole] = (struct pql_store_slot){0};
}

void pql_store_remove(struct pql_store *store, const struct pql_program *program, struct pql_account *account)
{
    struct pql_account *last = store->accounts[store->count - 1];
    pql_account_count_timers(store, account);
    store->bytes -= pql_account_bytes(store, program, account);
    store->users_count -= account->users_count;
    slot_remove(store, account);
    last->index = account->index;
    store->accounts[last->index] = last;
    store->count--;
    pql_places_drop(&store->places);
    account->timer_ms = INT64_MAX;
    strip(program, account);
}

struct pql_account *pql_store_place(struct pql_store *store, struct pql_slice id, uint32_t index)
{
    store_grow(store);
    uint64_t hash = pql_hash_slice(id, store->key);
    struct pql_store_slot *slot = slot_of(store, hash, id);
    if (slot->account) return slot->account->index == index ? slot->account : NULL;
    if (index < store->count && store->accounts[index]) return NULL;
    store->accounts =
        pql_xgrow(store->accounts, &store->capacity, (size_t)index + 1, sizeof(struct pql_account *));
    while (store->count <= index) store->accounts[store->count++] = NULL;
    struct pql_account *account = account_new(store, id, hash, index);
    *slot = (struct pql_store_slot){hash, account};
    return store->accounts[index] = account;
}

enum { USERS_LINEAR = 8 };

static struct pql_user *find_linear(const struct pql_account *account, uint64_t hash, struct pql_slice id)
{
    for (size_t i = 0; i < account->users_count; i++)
        if (account->users[i].hash == hash && pql_slice_eq(account->users[i].user->id, id))
            return account->users[i].user;
    return NULL;
}

static uint32_t *index_of(const struct pql_account *account, uint64_t hash, struct pql_slice id)
{
    size_t mask = account->users_index_capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        uint32_t *at = &account->users_index[i];
        if (!*at) return at;
        const struct pql_user_ref *ref = &account->users[*at - 1];
        if (ref->hash == hash && pql_slice_eq(ref->user->id, id)) return at;
    }
}

struct pql_user *pql_account_find(const struct pql_store *store, const struct pql_account *account,
                                  struct pql_slice id)
{
    uint64_t hash = pql_hash_slice(id, store->key);
    if (!account->users_index) return find_linear(account, hash, id);
    uint32_t at = *index_of(account, hash, id);
    return at ? account->users[at - 1].user : NULL;
}

static void users_index_grow(struct pql_account *account)
{
    if (account->users_count <= USERS_LINEAR || account->users_count < account->users_index_capacity / 2)
        return;
    free(account->users_index);
    if (!account->users_index_capacity) account->users_index_capacity = 32;
    while (account->users_index_capacity / 2 <= account->users_count) account->users_index_capacity *= 2;
    account->users_index = pql_xcalloc(account->users_index_capacity, sizeof *account->users_index);
    for (size_t i = 0; i < account->users_count; i++)
        *index_of(account, account->users[i].hash, account->users[i].user->id) = (uint32_t)i + 1;
}

struct pql_user *pql_user_new(const struct pql_store *store, struct pql_slice id)
{
    size_t words = (store->conditions_count + 63) / 64,
           head = sizeof(struct pql_user) + words * sizeof(uint64_t);
    struct pql_user *user = pql_xcalloc(1, head + id.len);
    memcpy((char *)user + head, id.ptr, id.len);
    user->id = (struct pql_slice){(const char *)user + head, id.len};
    user->state = new_state();
    user->member_ms = PQL_NO_TIME;
    return user;
}

struct pql_user *pql_account_add(struct pql_store *store, struct pql_account *account, struct pql_slice id)
{
    struct pql_user *user = pql_user_new(store, id);
    uint64_t hash = pql_hash_slice(id, store->key);
    user->state.position = account->users_count;
    store->bytes += user_bytes(store, user) - users_bytes(account);
    if (account->users_count == account->users_capacity) {
        account->users_capacity = account->users_capacity ? account->users_capacity * 2 : 2;
        account->users = pql_xrealloc(account->users, account->users_capacity * sizeof *account->users);
    }
    account->users[account->users_count++] = (struct pql_user_ref){hash, user};
    if (account->users_index) *index_of(account, hash, user->id) = account->users_count;
    users_index_grow(account);
    store->bytes += users_bytes(account);
    store->users_count++;
    if (store->places.is_kept) pql_places_add(&store->places, hash, account->index);
    return user;
}

/* Takes its entry out of the index: those behind it that it kept from a place nearer to theirs move up. */
static void unindex(struct pql_account *account, const struct pql_user_ref *ref)
{
    size_t mask = account->users_index_capacity - 1;
    uint32_t *index = account->users_index;
    size_t hole = (size_t)(index_of(account, ref->hash, ref->user->id) - index);
    for (size_t i = (hole + 1) & mask; index[i]; i = (i + 1) & mask) {
        size_t home = (size_t)account->users[index[i] - 1].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        index[hole] = index[i];
        hole = i;
    }
    index[hole] = 0;
}

static size_t state_bytes(const struct pql_program *program, const struct pql_subject_state *state,
                          enum pql_subject kind);

void pql_account_remove(struct pql_store *store, const struct pql_program *program,
                        struct pql_account *account, struct pql_user *user, uint8_t reason)
{
    uint32_t at = user->state.position, last = account->users_count - 1;
    store->bytes -= user_bytes(store, user) + state_bytes(program, &user->state, PQL_SUBJECT_USER);
    store->users_count--;
    if (account->users_index) {
        unindex(account, &account->users[at]);
        if (at != last) *index_of(account, account->users[last].hash, account->users[last].user->id) = at + 1;
    }
    account->users[at] = account->users[last];
    account->users[at].user->state.position = at;
    account->users_count--;
    user->state.gone = reason;
    user->state.timer_ms = INT64_MAX;
    if (account->gone_count == account->gone_capacity) {
        account->gone_capacity = account->gone_capacity ? account->gone_capacity * 2 : 2;
        account->gone = pql_xrealloc(account->gone, account->gone_capacity * sizeof(struct pql_user *));
    }
    account->gone[account->gone_count++] = user;
}

/* The timers are walked once for an eighth of them that may be gone. */
void pql_account_bury(const struct pql_program *program, struct pql_account *account)
{
    struct pql_heap *timers = &account->timers;
    for (; account->gone_bare < account->gone_count; account->gone_bare++) {
        struct pql_user *user = account->gone[account->gone_bare];
        cells_free(program, PQL_SUBJECT_USER, user->state.cells);
        user->state.cells = NULL;
    }
    if (account->gone_count * UINT32_C(8) < timers->count) return;
    size_t count = timers->count;
    timers->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct pql_heap_entry entry = timers->entries[i];
        const struct pql_user *user = entry.item;
        if (user->state.timer_ms == entry.due) pql_heap_push(timers, NULL, entry.due, entry.item);
    }
    free_gone(program, account);
}

void pql_account_reserve(struct pql_account *account, size_t users)
{
    if (!users || account->users) return;
    account->users = pql_xcalloc(users, sizeof *account->users);
    account->users_count = account->users_capacity = (uint32_t)users;
}

void pql_account_index(struct pql_store *store, struct pql_account *account)
{
    store->users_count += account->users_count;
    users_index_grow(account);
}

static struct pql_user *user_changed(const struct pql_store *store, struct pql_user *old,
                                     size_t old_conditions, const uint32_t *kept)
{
    struct pql_user *user = pql_user_new(store, old->id);
    user->state = old->state;
    user->member_ms = old->member_ms;
    for (uint32_t c = 0; c < old_conditions; c++)
        if (kept[c] != PQL_NO_INDEX && pql_user_has(old, c))
            user->bits[kept[c] / 64] |= UINT64_C(1) << (kept[c] % 64);
    free(old);
    return user;
}

void pql_store_change(struct pql_store *store, const struct pql_program *program, const uint32_t *kept)
{
    size_t old_conditions = store->conditions_count;
    store->conditions_count = program->conditions_count;
    for (size_t i = 0; i < store->count; i++) {
        struct pql_account *account = store->accounts[i];
        uint32_t *holding =
            store->conditions_count ? pql_xcalloc(store->conditions_count, sizeof *holding) : NULL;
        for (uint32_t c = 0; c < old_conditions; c++)
            if (kept[c] != PQL_NO_INDEX) holding[kept[c]] = account->holding[c];
        free(account->holding);
        account->holding = holding;
        for (size_t u = 0; u < account->users_count; u++)
            account->users[u].user = user_changed(store, account->users[u].user, old_conditions, kept);
    }
}

void pql_account_drop_users(struct pql_store *store, const struct pql_program *program,
                            struct pql_account *account)
{
    for (size_t i = 0; i < account->users_count; i++) user_free(program, account->users[i].user);
    free_gone(program, account);
    store->users_count -= account->users_count;
    free(account->users);
    free(account->users_index);
    account->users = NULL;
    account->users_index = NULL;
    account->users_count = account->users_capacity = account->users_index_capacity = 0;
    account->members = 0;
    account->timers.count = 0;
    for (size_t i = 0; i < store->conditions_count; i++) account->holding[i] = 0;
}

void pql_account_clear(const struct pql_program *program, struct pql_account *account)
{
    cells_free(program, PQL_SUBJECT_ACCOUNT, account->state.cells);
    pql_aliases_free(account->aliases);
    account->aliases = NULL;
    account->state = new_state();
}

/* --- what it takes --- */

static size_t state_bytes(const struct pql_program *program, const struct pql_subject_state *state,
                          enum pql_subject kind)
{
    size_t bytes = pql_cells_bytes(state->cells);
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot, what;
        const void *cell = pql_cells_at(state->cells, i, &slot);
        what = pql_program_slot(program, (int)kind, slot);
        bytes += what & PQL_SLOT_DEFINITION
                     ? pql_memory_cost(pql_standing_size(pql_program_standing(program, what)))
                     : pql_signal_cost(&program->signals[what]->signal, cell);
    }
    return bytes;
}

size_t pql_account_bytes(const struct pql_store *store, const struct pql_program *program,
                         const struct pql_account *account)
{
    size_t bytes = head_bytes(store, account) + users_bytes(account) +
                   pql_memory_cost(account->timers.capacity * sizeof(struct pql_heap_entry)) +
                   state_bytes(program, &account->state, PQL_SUBJECT_ACCOUNT);
    bytes += pql_tallies_bytes(program, account) + pql_aliases_bytes(account->aliases);
    for (size_t i = 0; i < account->users_count; i++)
        bytes += user_bytes(store, account->users[i].user) +
                 state_bytes(program, &account->users[i].user->state, PQL_SUBJECT_USER);
    return bytes;
}

void pql_account_count_timers(struct pql_store *store, struct pql_account *account)
{
    size_t bytes = pql_memory_cost(account->timers.capacity * sizeof(struct pql_heap_entry));
    store->bytes += bytes - account->timers_bytes;
    account->timers_bytes = (uint32_t)bytes;
}

void pql_store_recount(struct pql_store *store, const struct pql_program *program)
{
    for (size_t i = 0; i < store->count; i++)
        if (store->accounts[i]) pql_account_count_timers(store, store->accounts[i]);
    store->bytes = pql_store_walk(store, program);
}

uint64_t pql_store_walk(const struct pql_store *store, const struct pql_program *program)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < store->count; i++)
        if (store->accounts[i]) bytes += pql_account_bytes(store, program, store->accounts[i]);
    return bytes;
}

uint64_t pql_store_bytes(const struct pql_store *store)
{
    return store->bytes + pql_memory_cost(store->capacity * sizeof(struct pql_account *)) +
           pql_memory_cost(store->slots_capacity * sizeof *store->slots) + pql_places_bytes(&store->places);
}
