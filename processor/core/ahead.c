/* Fetching ahead: the account of an event lies anywhere in memory, and so does all that hangs from it. One
 * after the other these would be waited for; a few events earlier they are only asked for. */
#include "core/engine_state.h"
#include "core/hash.h"

enum {
    LINE_BYTES = 64,
    CELLS_BYTES = 10 * LINE_BYTES,
    HOT_BYTES = 2 * LINE_BYTES + 1 /* they may begin within a line */
};

static void fetch(const void *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += LINE_BYTES) __builtin_prefetch((const char *)bytes + at);
}

/* By its hash alone: another account of the same hash is as good a guess. */
static const struct pql_account *account_of(const struct pql_store *store, uint64_t hash)
{
    size_t mask = store->slots_capacity - 1;
    for (size_t i = (size_t)hash & mask; store->slots[i].account; i = (i + 1) & mask)
        if (store->slots[i].hash == hash) return store->slots[i].account;
    return NULL;
}

/* Behind the line that tells how much there is. */
static void fetch_cells(const struct pql_cells *cells)
{
    size_t bytes = pql_cells_bytes(cells);
    if (bytes > CELLS_BYTES) bytes = CELLS_BYTES;
    if (bytes > LINE_BYTES) fetch((const char *)cells + LINE_BYTES, bytes - LINE_BYTES);
}

bool pql_engine_wants_ahead(const struct pql_engine *engine)
{
    return !engine->program->conf->settings.lateness_ms && engine->store.count > 0;
}

uint64_t pql_engine_ahead(const struct pql_engine *engine, struct pql_slice account)
{
    const struct pql_store *store = &engine->store;
    uint64_t hash = pql_hash_slice(account, store->key);
    fetch(&store->slots[(size_t)hash & (store->slots_capacity - 1)], 1);
    return hash;
}

void pql_engine_ahead_more(const struct pql_engine *engine, uint64_t hash, enum pql_ahead what)
{
    const struct pql_account *account = account_of(&engine->store, hash);
    if (!account) return;
    switch (what) {
    case PQL_AHEAD_ACCOUNT:
        fetch(account, HOT_BYTES);
        fetch(account + 1, 1); /* the id */
        break;
    case PQL_AHEAD_CELLS: fetch(account->state.cells, account->state.cells ? LINE_BYTES : 0); break;
    case PQL_AHEAD_ENTRIES: fetch_cells(account->state.cells); break;
    }
}
