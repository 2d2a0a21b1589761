/* everywhere.c - events of a user without an account (user_events = "all_partitions"): every partition has
 * them, and in each they are of every account of which the user is a member when they are applied.
 *
 *   lateness 0, or late   each such account in the order of its bytes, an instant of its own
 *   lateness > 0          when its instant comes it gives way to one copy for each account, in its place of
 *                         the order of arrival: so they are applied with the account's other events, and are
 *                         saved, stopped at and gone on with like these */
#include "core/engine_state.h"

#include "core/hash.h"
#include <stdlib.h>

static void note_account(struct pql_store *store, const struct pql_account *account)
{
    for (size_t i = 0; i < account->users_count; i++)
        pql_places_add(&store->places, account->users[i].hash, account->index);
    for (uint32_t i = 0; account->aliases && i < account->aliases->count; i++)
        pql_places_add(&store->places, pql_hash_slice(pql_aliases_id(account->aliases, i), store->key),
                       account->index);
}

static void keep_places(struct pql_store *store)
{
    if (store->places.is_kept) return;
    store->places.is_kept = true;
    for (size_t i = 0; i < store->count; i++) note_account(store, store->accounts[i]);
}

static bool is_member(const struct pql_engine *engine, const struct pql_account *account, struct pql_slice id)
{
    const struct pql_user *user =
        pql_account_find(&engine->store, account, pql_alias_user(engine, account, id));
    return user && user->state.is_member;
}

/* Ids of accounts. */
struct found {
    struct pql_slice *items;
    size_t count, capacity;
};

static void add_found(struct found *found, struct pql_slice account)
{
    found->items = pql_xgrow(found->items, &found->capacity, found->count + 1, sizeof *found->items);
    found->items[found->count++] = account;
}

/* Of which the user is a member. */
static void find_accounts(struct pql_engine *engine, struct pql_slice user, struct found *found)
{
    struct pql_store *store = &engine->store;
    if (!engine->program->keeps_users) return;
    keep_places(store);
    const struct pql_places_node *node = pql_places_of(&store->places, pql_hash_slice(user, store->key));
    for (; node; node = pql_places_next(&store->places, node))
        if (is_member(engine, store->accounts[node->account], user))
            add_found(found, store->accounts[node->account]->id);
}

/* Of which it may become one at the same instant, by an event that came before: whether it is one is seen
 * when both are applied. What waits for the first instant is the top of the heap. */
static void find_joining(const struct pql_engine *engine, const struct pql_waiting *of, size_t i,
                         struct found *found)
{
    const struct pql_heap *heap = &engine->reorder.heap;
    if (i >= heap->count || heap->entries[i].due != of->event.time_ms) return;
    const struct pql_waiting *other = heap->entries[i].item;
    bool joins = !other->event.is_of_members && other->event.account.len && other->arrival < of->arrival &&
                 pql_slice_eq(other->event.user, of->event.user);
    if (joins) add_found(found, other->event.account);
    find_joining(engine, of, 2 * i + 1, found);
    find_joining(engine, of, 2 * i + 2, found);
}

static int by_bytes(const void *a, const void *b)
{
    return pql_slice_cmp(*(const struct pql_slice *)a, *(const struct pql_slice *)b);
}

static void sort_each_once(struct found *found)
{
    size_t count = 0;
    if (found->count) qsort(found->items, found->count, sizeof *found->items, by_bytes);
    for (size_t i = 0; i < found->count; i++)
        if (!count || !pql_slice_eq(found->items[i], found->items[count - 1]))
            found->items[count++] = found->items[i];
    found->count = count;
}

static struct pql_event event_in(const struct pql_event *event, struct pql_slice account)
{
    struct pql_event own = *event;
    own.account = account;
    own.is_of_members = true;
    return own;
}

void pql_everywhere_apply(struct pql_engine *engine, const struct pql_event *event, pql_everywhere_each *each)
{
    struct found found = {0};
    find_accounts(engine, event->user, &found);
    sort_each_once(&found);
    for (size_t i = 0; i < found.count; i++) {
        struct pql_event own = event_in(event, found.items[i]);
        each(engine, &own);
    }
    free(found.items);
}

void pql_everywhere_expand(struct pql_engine *engine)
{
    struct found found = {0};
    pql_touch_waiting(engine, pql_reorder_first(&engine->reorder));
    struct pql_waiting *waiting = pql_reorder_take(&engine->reorder);
    find_accounts(engine, waiting->event.user, &found);
    if (engine->program->keeps_users) find_joining(engine, waiting, 0, &found);
    sort_each_once(&found);
    for (size_t i = 0; i < found.count; i++) {
        struct pql_event own = event_in(&waiting->event, found.items[i]);
        pql_reorder_put(&engine->reorder, &own, &engine->program->names, waiting->arrival,
                        engine->snapshot.number);
    }
    free(found.items);
    free(waiting);
}
