#include "core/state/snapshot.h"

#include "core/engine_state.h"
#include "core/hash.h"
#include <stdlib.h>

enum { EARLY_BYTES = 32 << 10, LOOKS_MAX = 256 };

void pql_snapshot_deinit(struct pql_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->early_count; i++) pql_buf_deinit(&snapshot->early[i]);
    free(snapshot->early);
    free(snapshot->keys.items);
    pql_buf_deinit(&snapshot->page);
    *snapshot = (struct pql_snapshot){0};
}

/* --- pages written ahead of their turn --- */

static struct pql_buf *early(struct pql_snapshot *s)
{
    if (s->early_count > s->early_first && s->early[s->early_count - 1].len < EARLY_BYTES)
        return &s->early[s->early_count - 1];
    s->early = pql_xgrow(s->early, &s->early_capacity, s->early_count + 1, sizeof *s->early);
    s->early[s->early_count++] = (struct pql_buf){0};
    return &s->early[s->early_count - 1];
}

static void drop_early(struct pql_snapshot *s)
{
    for (; s->early_first < s->early_count; s->early_first++) pql_buf_deinit(&s->early[s->early_first]);
    s->early_first = s->early_count = 0;
    s->early_bytes = 0;
}

/* Moves them to out until `end` is reached; true if some are left. */
static bool take_early(struct pql_snapshot *s, struct pql_buf *out, size_t end)
{
    while (s->early_first < s->early_count && out->len < end) {
        struct pql_buf *next = &s->early[s->early_first++];
        pql_buf_put(out, next->ptr, next->len);
        s->early_bytes -= next->len;
        pql_buf_deinit(next);
    }
    if (s->early_first < s->early_count) return true;
    s->early_first = s->early_count = 0;
    return false;
}

/* --- pages that are taken away --- */

/* At S it was there: it counts until the snapshot in progress is complete. */
static void let_go(struct pql_snapshot *s, uint64_t hash)
{
    if (s->is_running)
        s->gone_sum += hash;
    else
        s->sum -= hash;
}

static void end_run(struct pql_snapshot *s)
{
    s->is_running = false;
    s->sum -= s->gone_sum;
    s->gone_sum = 0;
}

/* --- one page --- */

static bool has_turn(const struct pql_snapshot *s, uint64_t number)
{
    return number % s->modulus == s->residue;
}

/* Appends the page just made to out; NULL: ahead of its turn. Returns its hash. */
static uint64_t emit(struct pql_engine *engine, struct pql_buf *out, bool is_turn)
{
    struct pql_snapshot *s = &engine->snapshot;
    struct pql_buf *to = out ? out : early(s);
    size_t before = to->len;
    pql_buf_varint(to, s->page.len);
    pql_buf_put(to, s->page.ptr, s->page.len);
    if (!out) s->early_bytes += to->len - before;
    if (is_turn) s->turn_bytes += to->len - before;
    return pql_hash(s->page.ptr, s->page.len, engine->program->key);
}

static void emit_tracked(struct pql_engine *engine, struct pql_buf *out, uint64_t *kept_hash, uint64_t turn)
{
    uint64_t hash = emit(engine, out, has_turn(&engine->snapshot, turn));
    engine->snapshot.sum += hash - *kept_hash;
    *kept_hash = hash;
}

/* Whether the snapshot in progress still needs the page as it is. */
static bool is_wanted(const struct pql_snapshot *s, const struct pql_account *account,
                      const struct pql_page *page)
{
    return s->is_running && page->written != s->number && page->changed != s->number &&
           account->index < s->accounts_count && (page->changed >= s->base || has_turn(s, account->index));
}

/* --- the pages of an account --- */

/* As if it had changed before S: it is to be written. */
static struct pql_page new_page(const struct pql_snapshot *s)
{
    return (struct pql_page){.changed = s->number - 1};
}

static void make_large(struct pql_snapshot *s, struct pql_account *account)
{
    struct pql_large *large = account->large = pql_xcalloc(1, sizeof *large);
    large->blocks_count = pql_page_blocks(account);
    large->blocks = pql_xgrow(NULL, &large->blocks_capacity, large->blocks_count, sizeof *large->blocks);
    for (size_t i = 0; i < large->blocks_count; i++) large->blocks[i] = new_page(s);
    large->aliases_count = pql_page_alias_blocks(account);
    large->aliases = pql_xgrow(NULL, &large->aliases_capacity, large->aliases_count, sizeof *large->aliases);
    for (size_t i = 0; i < large->aliases_count; i++) large->aliases[i] = new_page(s);
}

static void drop_large(struct pql_snapshot *s, struct pql_account *account)
{
    struct pql_large *large = account->large;
    for (size_t i = 0; i < large->blocks_count; i++) s->sum -= large->blocks[i].hash;
    for (size_t i = 0; i < large->aliases_count; i++) s->sum -= large->aliases[i].hash;
    for (size_t i = 0; i < large->cells_count; i++) s->sum -= large->cells[i].page.hash;
    pql_large_free(large);
    account->large = NULL;
}

/* Of the subjects [from, upto) the cells just found are pages of their own, others not any more. */
static void keep_cells(struct pql_snapshot *s, struct pql_large *large, uint32_t from, uint32_t upto)
{
    size_t begin = pql_large_find(large, from, 0), end = pql_large_find(large, upto, 0), n = s->keys.count;
    if (begin == end && !n) return;
    struct pql_cell_page *kept = pql_xcalloc(n + 1, sizeof *kept);
    for (size_t i = begin; i < end; i++) s->sum -= large->cells[i].page.hash;
    for (size_t i = 0, at = begin; i < n; i++) {
        struct pql_cell_key key = s->keys.items[i];
        while (at < end && (large->cells[at].user < key.user ||
                            (large->cells[at].user == key.user && large->cells[at].slot < key.slot)))
            at++;
        bool is_old = at < end && large->cells[at].user == key.user && large->cells[at].slot == key.slot;
        kept[i] = (struct pql_cell_page){key.user, key.slot, is_old ? large->cells[at].page : new_page(s)};
        s->sum += kept[i].page.hash;
    }
    size_t behind = large->cells_count - end;
    large->cells =
        pql_xgrow(large->cells, &large->cells_capacity, begin + n + behind + 1, sizeof *large->cells);
    memmove(large->cells + begin + n, large->cells + end, behind * sizeof *large->cells);
    memcpy(large->cells + begin, kept, n * sizeof *kept);
    large->cells_count = begin + n + behind;
    free(kept);
}

/* The first of its pages to be written. Whether the account is large is decided here, by its content at S. */
static void write_account(struct pql_engine *engine, struct pql_account *account, struct pql_buf *out)
{
    struct pql_snapshot *s = &engine->snapshot;
    account->page.written = s->number;
    if (pql_page_account(engine->program, account, &s->page)) {
        if (account->large) drop_large(s, account);
    } else {
        if (!account->large) make_large(s, account);
        s->keys.count = 0;
        pql_page_head(engine->program, account, &s->page, &s->keys);
        keep_cells(s, account->large, 0, 1);
    }
    emit_tracked(engine, out, &account->page.hash, account->index);
}

static void write_users(struct pql_engine *engine, struct pql_account *account, size_t block,
                        struct pql_buf *out)
{
    struct pql_snapshot *s = &engine->snapshot;
    uint32_t from = (uint32_t)block * PQL_PAGE_USERS_MAX + 1;
    struct pql_page *page = &account->large->blocks[block];
    page->written = s->number;
    s->keys.count = 0;
    pql_page_users(engine->program, account, block, &s->page, &s->keys);
    keep_cells(s, account->large, from, from + PQL_PAGE_USERS_MAX);
    emit_tracked(engine, out, &page->hash, account->index);
}

static void write_aliases(struct pql_engine *engine, struct pql_account *account, size_t block,
                          struct pql_buf *out)
{
    struct pql_page *page = &account->large->aliases[block];
    page->written = engine->snapshot.number;
    pql_page_aliases(account, block, &engine->snapshot.page);
    emit_tracked(engine, out, &page->hash, account->index);
}

static void write_cell(struct pql_engine *engine, struct pql_account *account, struct pql_cell_page *cell,
                       struct pql_buf *out)
{
    cell->page.written = engine->snapshot.number;
    pql_page_cell(engine->program, account, (struct pql_cell_key){cell->user, cell->slot},
                  &engine->snapshot.page);
    emit_tracked(engine, out, &cell->page.hash, account->index);
}

/* --- copy on update --- */

void pql_touch_account(struct pql_engine *engine, struct pql_account *account)
{
    uint32_t number = engine->snapshot.number;
    if (account->page.changed == number) return;
    if (is_wanted(&engine->snapshot, account, &account->page)) write_account(engine, account, NULL);
    account->page.changed = number;
}

static void touch_block(struct pql_engine *engine, struct pql_account *account, size_t block)
{
    struct pql_page *page = &account->large->blocks[block];
    if (page->changed == engine->snapshot.number) return;
    if (is_wanted(&engine->snapshot, account, page)) write_users(engine, account, block, NULL);
    page->changed = engine->snapshot.number;
}

void pql_touch_user(struct pql_engine *engine, struct pql_account *account, const struct pql_user *user)
{
    if (account->large && !user->state.gone)
        touch_block(engine, account, user->state.position / PQL_PAGE_USERS_MAX);
}

void pql_touch_new_user(struct pql_engine *engine, struct pql_account *account)
{
    struct pql_large *large = account->large;
    if (!large) return;
    size_t block = account->users_count / PQL_PAGE_USERS_MAX;
    if (block == large->blocks_count) {
        large->blocks = pql_xgrow(large->blocks, &large->blocks_capacity, block + 1, sizeof *large->blocks);
        large->blocks[large->blocks_count++] = (struct pql_page){.changed = engine->snapshot.number};
    }
    touch_block(engine, account, block);
}

static void touch_cell_page(struct pql_engine *engine, struct pql_account *account,
                            struct pql_cell_page *cell)
{
    if (cell->page.changed == engine->snapshot.number) return;
    if (is_wanted(&engine->snapshot, account, &cell->page)) write_cell(engine, account, cell, NULL);
    cell->page.changed = engine->snapshot.number;
}

/* A cell that changes may become small: so its subject's page is to be written, too. */
void pql_touch_cell(struct pql_engine *engine, struct pql_account *account, const struct pql_user *user,
                    uint32_t slot)
{
    struct pql_large *large = account->large;
    if (!large) return;
    if (user) pql_touch_user(engine, account, user);
    uint32_t number = user ? user->state.position + 1 : 0;
    size_t i = pql_large_find(large, number, slot);
    if (i == large->cells_count || large->cells[i].user != number || large->cells[i].slot != slot) return;
    touch_cell_page(engine, account, &large->cells[i]);
}

/* Of a subject, before its number means another one. */
static void let_cells_go(struct pql_engine *engine, struct pql_account *account, uint32_t number)
{
    struct pql_large *large = account->large;
    size_t from = pql_large_find(large, number, 0), upto = pql_large_find(large, number + 1, 0);
    if (from == upto) return;
    for (size_t i = from; i < upto; i++) {
        touch_cell_page(engine, account, &large->cells[i]);
        let_go(&engine->snapshot, large->cells[i].page.hash);
    }
    memmove(large->cells + from, large->cells + upto, (large->cells_count - upto) * sizeof *large->cells);
    large->cells_count -= upto - from;
}

void pql_touch_removal(struct pql_engine *engine, struct pql_account *account, const struct pql_user *user)
{
    struct pql_large *large = account->large;
    if (!large) return;
    uint32_t last = account->users_count - 1;
    touch_block(engine, account, user->state.position / PQL_PAGE_USERS_MAX);
    touch_block(engine, account, last / PQL_PAGE_USERS_MAX);
    let_cells_go(engine, account, user->state.position + 1);
    let_cells_go(engine, account, last + 1);
    if (last % PQL_PAGE_USERS_MAX == 0) let_go(&engine->snapshot, large->blocks[--large->blocks_count].hash);
}

static void touch_aliases(struct pql_engine *engine, struct pql_account *account, size_t block)
{
    struct pql_page *page = &account->large->aliases[block];
    if (page->changed == engine->snapshot.number) return;
    if (is_wanted(&engine->snapshot, account, page)) write_aliases(engine, account, block, NULL);
    page->changed = engine->snapshot.number;
}

void pql_touch_alias(struct pql_engine *engine, struct pql_account *account, size_t node)
{
    if (account->large && node < pql_page_alias_blocks(account) * PQL_PAGE_ALIASES_MAX)
        touch_aliases(engine, account, node / PQL_PAGE_ALIASES_MAX);
}

void pql_snapshot_aliases(struct pql_engine *engine, struct pql_account *account)
{
    struct pql_large *large = account->large;
    if (!large) return;
    size_t blocks = pql_page_alias_blocks(account);
    large->aliases = pql_xgrow(large->aliases, &large->aliases_capacity, blocks, sizeof *large->aliases);
    while (large->aliases_count < blocks)
        large->aliases[large->aliases_count++] = (struct pql_page){.changed = engine->snapshot.number};
    while (large->aliases_count > blocks)
        let_go(&engine->snapshot, large->aliases[--large->aliases_count].hash);
}

void pql_touch_all(struct pql_engine *engine, struct pql_account *account)
{
    pql_touch_account(engine, account);
    struct pql_large *large = account->large;
    for (size_t b = 0; large && b < large->blocks_count; b++) touch_block(engine, account, b);
    for (size_t b = 0; large && b < large->aliases_count; b++) touch_aliases(engine, account, b);
    for (size_t i = 0; large && i < large->cells_count; i++)
        touch_cell_page(engine, account, &large->cells[i]);
}

/* Call after pql_touch_all: what is known of their pages is let go. */
void pql_snapshot_drop_users(struct pql_engine *engine, struct pql_account *account)
{
    struct pql_large *large = account->large;
    if (!large) return;
    size_t own = pql_large_find(large, 1, 0);
    for (size_t i = 0; i < large->blocks_count; i++) let_go(&engine->snapshot, large->blocks[i].hash);
    for (size_t i = own; i < large->cells_count; i++) let_go(&engine->snapshot, large->cells[i].page.hash);
    large->blocks_count = 0;
    large->cells_count = own;
}

struct pql_account *pql_account_appears(struct pql_engine *engine, struct pql_slice id)
{
    struct pql_account *account = pql_store_add(&engine->store, id);
    account->page.changed = engine->snapshot.number;
    return account;
}

/* Pages say which account they are of by its position: those of the last one are all to be written again. */
void pql_account_disappears(struct pql_engine *engine, struct pql_account *account)
{
    struct pql_snapshot *s = &engine->snapshot;
    pql_touch_all(engine, account);
    pql_touch_all(engine, engine->store.accounts[engine->store.count - 1]);
    let_go(s, account->page.hash);
    pql_snapshot_drop_users(engine, account);
    for (size_t i = 0; account->large && i < account->large->cells_count; i++)
        let_go(s, account->large->cells[i].page.hash);
    for (size_t i = 0; account->large && i < account->large->aliases_count; i++)
        let_go(s, account->large->aliases[i].hash);
    pql_store_remove(&engine->store, engine->program, account);
}

static void write_waiting(struct pql_engine *engine, const struct pql_waiting *waiting, struct pql_buf *out)
{
    pql_page_waiting(engine, waiting, &engine->snapshot.page);
    engine->snapshot.task_sum += emit(engine, out, false);
}

/* Events from at_waiting on are not written yet; those that came after S stand behind, and are none of it. */
static void pass_waiting(struct pql_snapshot *s)
{
    do s->at_waiting = s->at_waiting->next;
    while (s->at_waiting && s->at_waiting->made == s->number);
    if (s->at_waiting && s->at_waiting->arrival >= s->arrivals) s->at_waiting = NULL;
}

void pql_touch_waiting(struct pql_engine *engine, const struct pql_waiting *waiting)
{
    struct pql_snapshot *s = &engine->snapshot;
    if (!s->is_running || !s->at_waiting || waiting->arrival < s->at_waiting->arrival ||
        waiting->arrival >= s->arrivals || waiting->made == s->number)
        return;
    if (s->at_waiting == waiting) pass_waiting(s);
    write_waiting(engine, waiting, NULL);
}

void pql_snapshot_forget(struct pql_engine *engine)
{
    if (!engine->snapshot.is_running && engine->seen != PQL_NO_TIME)
        engine->snapshot.sum -= pql_dedup_forget(&engine->dedup, engine->seen);
}

/* --- in order --- */

void pql_snapshot_begin(struct pql_engine *engine, uint32_t modulus, uint32_t residue)
{
    struct pql_snapshot *s = &engine->snapshot;
    PQL_ASSERT(!s->is_running && residue < modulus);
    pql_snapshot_forget(engine);
    s->is_running = true;
    s->number++;
    s->modulus = modulus;
    s->residue = residue;
    s->accounts_count = engine->store.count;
    s->buckets_count = engine->dedup.buckets_count;
    for (size_t i = 0; i < s->buckets_count; i++)
        engine->dedup.buckets[i].fixed = engine->dedup.buckets[i].count;
    s->arrivals = engine->reorder.arrivals;
    s->at_waiting = engine->reorder.oldest;
    s->at_account = s->at_group = s->at_bucket = s->at_ids = 0;
    s->turn_bytes = 0;
    pql_page_task(engine, &s->page);
    s->task_sum = emit(engine, NULL, false);
}

static bool next_waiting(struct pql_engine *engine, struct pql_buf *out)
{
    struct pql_snapshot *s = &engine->snapshot;
    struct pql_waiting *waiting = s->at_waiting;
    if (!waiting) return false;
    pass_waiting(s);
    write_waiting(engine, waiting, out);
    return true;
}

static bool next_aliases(struct pql_engine *engine, struct pql_account *account, size_t block,
                         struct pql_buf *out)
{
    const struct pql_large *large = account->large;
    bool is_one = large && block < large->aliases_count;
    if (!is_one || !is_wanted(&engine->snapshot, account, &large->aliases[block])) return false;
    write_aliases(engine, account, block, out);
    return true;
}

/* Group 0 is the head; 1 + 2 b is block b of users: its page, then the cells that are pages of their own;
 * 2 + 2 b is block b of aliases. So a block that comes or goes meanwhile moves no other. */
static bool next_of_group(struct pql_engine *engine, struct pql_account *account, size_t group,
                          struct pql_buf *out)
{
    struct pql_snapshot *s = &engine->snapshot;
    size_t block = group ? (group - 1) / 2 : 0;
    if (group && group % 2 == 0) return next_aliases(engine, account, block, out);
    if (group && block >= account->large->blocks_count) return false;
    if (is_wanted(s, account, group ? &account->large->blocks[block] : &account->page)) {
        if (group)
            write_users(engine, account, block, out);
        else
            write_account(engine, account, out);
        return true;
    }
    if (!account->large) return false;
    uint32_t from = group ? (uint32_t)block * PQL_PAGE_USERS_MAX + 1 : 0,
             upto = group ? from + PQL_PAGE_USERS_MAX : 1;
    for (size_t i = pql_large_find(account->large, from, 0);
         i < account->large->cells_count && account->large->cells[i].user < upto; i++) {
        if (!is_wanted(s, account, &account->large->cells[i].page)) continue;
        write_cell(engine, account, &account->large->cells[i], out);
        return true;
    }
    return false;
}

/* Where the head is not written, nothing of the account is: it changes whenever something does. */
static size_t groups_of(const struct pql_snapshot *s, const struct pql_account *account)
{
    const struct pql_large *large = account->large;
    if (!large || account->page.written != s->number) return 1;
    return 1 + 2 * (large->blocks_count > large->aliases_count ? large->blocks_count : large->aliases_count);
}

/* Looks at a bounded number of pages. True: there may be more. */
static bool next_account(struct pql_engine *engine, struct pql_buf *out, size_t *looks)
{
    struct pql_snapshot *s = &engine->snapshot;
    size_t count = s->accounts_count < engine->store.count ? s->accounts_count : engine->store.count;
    for (; s->at_account < count; s->at_account++, s->at_group = 0) {
        struct pql_account *account = engine->store.accounts[s->at_account];
        for (; s->at_group < groups_of(s, account); s->at_group++) {
            if (++*looks > LOOKS_MAX || next_of_group(engine, account, s->at_group, out)) return true;
        }
    }
    return false;
}

/* Ids that came since the last snapshot that was saved, and pages whose turn it is. */
static bool next_ids(struct pql_engine *engine, struct pql_buf *out)
{
    struct pql_snapshot *s = &engine->snapshot;
    for (; s->at_bucket < s->buckets_count; s->at_bucket++, s->at_ids = 0) {
        struct pql_dedup_bucket *bucket = &engine->dedup.buckets[s->at_bucket];
        while ((uint64_t)s->at_ids * PQL_IDS_MAX < bucket->fixed) {
            size_t page = s->at_ids++;
            uint64_t from = (uint64_t)page * PQL_IDS_MAX, left = bucket->fixed - from;
            uint32_t count = left < PQL_IDS_MAX ? (uint32_t)left : PQL_IDS_MAX;
            uint64_t turn = (uint64_t)bucket->number + page;
            if (from + count <= bucket->saved && !has_turn(s, turn)) continue;
            pql_page_ids(bucket, page, count, &s->page);
            emit_tracked(engine, out, &bucket->pages[page].hash, turn);
            return true;
        }
    }
    return false;
}

bool pql_snapshot_step(struct pql_engine *engine, struct pql_buf *out, size_t bytes_max)
{
    struct pql_snapshot *s = &engine->snapshot;
    PQL_ASSERT(s->is_running);
    size_t end = out->len + bytes_max, looks = 0;
    if (take_early(s, out, end)) return false;
    bool more = true;
    while (more && out->len < end && looks <= LOOKS_MAX)
        more = next_waiting(engine, out) || next_account(engine, out, &looks) || next_ids(engine, out);
    if (more) return false;
    s->digest = s->sum + s->task_sum;
    end_run(s);
    return true;
}

void pql_snapshot_abandon(struct pql_engine *engine)
{
    end_run(&engine->snapshot);
    drop_early(&engine->snapshot);
}

void pql_snapshot_saved(struct pql_engine *engine)
{
    PQL_ASSERT(!engine->snapshot.is_running);
    engine->snapshot.base = engine->snapshot.number;
    for (size_t i = 0; i < engine->dedup.buckets_count; i++)
        engine->dedup.buckets[i].saved = engine->dedup.buckets[i].fixed;
}

bool pql_snapshot_is_first(const struct pql_engine *engine)
{
    return !engine->snapshot.base;
}

void pql_snapshot_restart(struct pql_engine *engine)
{
    struct pql_snapshot *s = &engine->snapshot;
    pql_snapshot_abandon(engine);
    s->base = 0;
    s->sum = 0;
    for (size_t i = 0; i < engine->store.count; i++) {
        struct pql_account *account = engine->store.accounts[i];
        account->page.hash = 0;
        pql_large_free(account->large);
        account->large = NULL;
    }
    for (size_t b = 0; b < engine->dedup.buckets_count; b++) {
        struct pql_dedup_bucket *bucket = &engine->dedup.buckets[b];
        bucket->fixed = bucket->saved = 0;
        for (size_t p = 0; p < bucket->pages_count; p++) bucket->pages[p].hash = 0;
    }
}

uint64_t pql_snapshot_digest(const struct pql_engine *engine)
{
    return engine->snapshot.digest;
}

uint64_t pql_snapshot_backlog(const struct pql_engine *engine)
{
    return engine->snapshot.early_bytes;
}

uint64_t pql_snapshot_state_bytes(const struct pql_engine *engine)
{
    return engine->snapshot.turn_bytes * engine->snapshot.modulus;
}

/* --- the whole state, page by page, whatever snapshots know of it --- */

struct walk {
    struct pql_engine *engine;
    struct pql_buf page;
    struct pql_cell_keys keys;
    uint64_t sum;
};

static void add_page(struct walk *walk)
{
    walk->sum += pql_hash(walk->page.ptr, walk->page.len, walk->engine->program->key);
}

static void walk_cells(struct walk *walk, const struct pql_account *account)
{
    for (size_t i = 0; i < walk->keys.count; i++) {
        pql_page_cell(walk->engine->program, account, walk->keys.items[i], &walk->page);
        add_page(walk);
    }
    walk->keys.count = 0;
}

static void walk_account(struct walk *walk, const struct pql_account *account)
{
    const struct pql_program *program = walk->engine->program;
    bool is_large = !pql_page_account(program, account, &walk->page);
    if (is_large) pql_page_head(program, account, &walk->page, &walk->keys);
    add_page(walk);
    walk_cells(walk, account);
    for (size_t b = 0; is_large && b < pql_page_blocks(account); b++) {
        pql_page_users(program, account, b, &walk->page, &walk->keys);
        add_page(walk);
        walk_cells(walk, account);
    }
    for (size_t b = 0; is_large && b < pql_page_alias_blocks(account); b++) {
        pql_page_aliases(account, b, &walk->page);
        add_page(walk);
    }
}

static void walk_ids(struct walk *walk)
{
    const struct pql_dedup *dedup = &walk->engine->dedup;
    for (size_t b = 0; b < dedup->buckets_count; b++) {
        const struct pql_dedup_bucket *bucket = &dedup->buckets[b];
        if (pql_dedup_is_forgotten(dedup, bucket->number, walk->engine->seen)) continue;
        for (size_t p = 0; p < bucket->pages_count; p++) {
            pql_page_ids(bucket, p, bucket->pages[p].count, &walk->page);
            add_page(walk);
        }
    }
}

uint64_t pql_engine_digest(struct pql_engine *engine)
{
    struct walk walk = {.engine = engine};
    pql_page_task(engine, &walk.page);
    add_page(&walk);
    for (const struct pql_waiting *w = engine->reorder.oldest; w; w = w->next) {
        pql_page_waiting(engine, w, &walk.page);
        add_page(&walk);
    }
    for (size_t i = 0; i < engine->store.count; i++) walk_account(&walk, engine->store.accounts[i]);
    walk_ids(&walk);
    pql_buf_deinit(&walk.page);
    free(walk.keys.items);
    return walk.sum;
}
