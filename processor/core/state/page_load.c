#include "core/engine_state.h"

#include "core/hash.h"
#include <stdlib.h>

/* Reading a base: its snapshots from the newest to the oldest, and of each page the first that comes. While
 * loading, `written` marks pages that were read. */
enum { ACCOUNTS_MAX = 1 << 30, USERS_MAX = 1 << 28, READ = 1 };

/* The page at hand. superseded: a newer one was read. */
struct loader {
    struct pql_engine *engine;
    struct pql_reader reader;
    uint64_t hash;
    struct pql_err *err;
    bool superseded;
};

static void refuse(struct loader *l)
{
    l->reader.failed = true;
}

static void supersede(struct loader *l)
{
    l->superseded = true;
}

static void keep(struct loader *l, struct pql_page *page)
{
    *page = (struct pql_page){.hash = l->hash, .written = READ};
    l->engine->snapshot.sum += l->hash;
}

/* --- what is the task's --- */

static void load_work(struct pql_work *work, struct pql_reader *reader)
{
    uint8_t kind = pql_read_u8(reader);
    if (kind >= PQL_WORK_KIND_COUNT) reader->failed = true;
    if (reader->failed || kind == PQL_WORK_NONE) return;
    work->kind = (enum pql_work_kind)kind;
    work->upto_ms = pql_read_zigzag(reader);
    work->input = (uint32_t)pql_read_varint(reader);
    work->offset = pql_read_zigzag(reader);
    work->due_ms = pql_read_zigzag(reader);
    struct pql_slice account = pql_read_slice(reader);
    if (!reader->failed) pql_buf_put(&work->account, account.ptr, account.len);
}

static void load_task(struct loader *l)
{
    struct pql_engine *engine = l->engine;
    struct pql_reader *reader = &l->reader;
    uint8_t format = pql_read_u8(reader);
    if (format != PQL_PAGE_FORMAT) {
        (void)PQL_FAIL(l->err, PQL_ERR_CONFIG, "the snapshot's pages have format %u, this program reads %d",
                       format, PQL_PAGE_FORMAT);
        refuse(l);
        return;
    }
    if (engine->snapshot.is_older) {
        supersede(l);
        return;
    }
    if (pql_read_u64(reader) != pql_page_slots_hash(engine->program)) {
        (void)PQL_FAIL(l->err, PQL_ERR_CONFIG, "the snapshot is of other definitions");
        refuse(l);
        return;
    }
    engine->seen = pql_read_zigzag(reader);
    engine->complete = pql_read_zigzag(reader);
    uint8_t ticked = pql_read_u8(reader);
    if (ticked > 1) refuse(l);
    engine->ticked = ticked == 1;
    load_work(&engine->work, reader);
    engine->snapshot.accounts_count = pql_read_varint(reader);
    engine->store.appeared = (uint32_t)pql_read_varint(reader);
    engine->snapshot.waiting_count = pql_read_varint(reader);
    engine->reorder.arrivals = pql_read_varint(reader);
    uint64_t buckets = pql_read_varint(reader);
    if (engine->snapshot.accounts_count > ACCOUNTS_MAX) refuse(l);
    for (uint64_t i = 0; i < buckets && !reader->failed; i++) {
        int64_t number = pql_read_zigzag(reader);
        uint64_t count = pql_read_varint(reader);
        if (!reader->failed && !pql_dedup_expect(&engine->dedup, number, count)) refuse(l);
    }
    if (!reader->failed) pql_change_load(engine, reader);
    engine->snapshot.task_sum += l->hash;
}

static void load_waiting(struct loader *l)
{
    if (l->engine->snapshot.is_older) {
        supersede(l);
        return;
    }
    pql_reorder_load(&l->engine->reorder, &l->engine->program->names, &l->reader);
    l->engine->snapshot.task_sum += l->hash;
}

static void load_ids(struct loader *l)
{
    struct pql_reader *reader = &l->reader;
    int64_t number = pql_read_zigzag(reader);
    uint64_t page = pql_read_varint(reader), n = pql_read_varint(reader);
    uint32_t length = 0;
    struct pql_ids *ids = pql_dedup_page(&l->engine->dedup, number, page, &length);
    if (reader->failed || n > PQL_IDS_MAX || pql_reader_left(reader) != n * sizeof(uint64_t)) {
        refuse(l);
    } else if (!ids || ids->count) { /* a bucket forgotten since, or read already */
        supersede(l);
    } else if (n != length) {
        refuse(l);
    } else {
        ids->ids = pql_xmalloc((size_t)n * sizeof *ids->ids);
        for (size_t i = 0; i < n; i++) ids->ids[i] = pql_read_u64(reader);
        ids->count = ids->capacity = length;
        ids->hash = l->hash;
        l->engine->snapshot.sum += l->hash;
    }
}

/* --- accounts --- */

static void load_score(struct pql_reader *reader, const struct pql_definition *definition, bool has_tier,
                       struct pql_standing *standing)
{
    const struct pql_score *score = definition ? definition->score : NULL;
    uint64_t tier = has_tier ? pql_read_varint(reader) : 0;
    bool is_scored = tier || standing->is_sent || standing->is_held;
    if ((is_scored && !score) || (has_tier && !tier) || (score && tier > score->tiers_count) ||
        (standing->is_held && !standing->is_sent)) {
        reader->failed = true;
        return;
    }
    standing->tier = (uint8_t)tier;
    if (!standing->is_sent) return;
    struct pql_sent *sent = pql_standing_sent(standing);
    sent->low = (uint64_t)pql_read_zigzag(reader);
    sent->high = pql_read_zigzag(reader);
    sent->ms = pql_read_zigzag(reader);
}

/* definition NULL: one that a change removed. */
static enum pql_cause cause_of(uint64_t by_event, uint64_t by_decay)
{
    if (by_event & 1) return PQL_BY_EVENT;
    return by_decay & 1 ? PQL_BY_DECAY : PQL_BY_TIME;
}

static struct pql_standing *load_standing(struct pql_reader *reader, const struct pql_definition *definition)
{
    enum { FLAGS = 1 << 12, DISQUALIFIED = 1 << 5, TIER = 1 << 6 };
    struct pql_standing *standing = pql_standing_new(definition);
    uint8_t status = pql_read_u8(reader);
    uint64_t flags = pql_read_varint(reader);
    if (status >= PQL_STATUS_COUNT || flags >= FLAGS) reader->failed = true;
    standing->status = reader->failed ? PQL_NOT_YET : (enum pql_status)status;
    standing->is_leaving = flags & 1;
    standing->leaving_by = cause_of(flags >> 1, flags >> 10);
    standing->leaving_by_change = flags >> 2 & 1;
    standing->is_converted = flags >> 3 & 1;
    standing->is_unanswered = flags >> 4 & 1;
    standing->is_sent = flags >> 7 & 1;
    standing->is_held = flags >> 8 & 1;
    standing->held_by = cause_of(flags >> 9, flags >> 11);
    standing->count = (uint32_t)pql_read_varint(reader);
    standing->first_ms = pql_read_zigzag(reader);
    standing->qualified_ms = pql_read_zigzag(reader);
    standing->left_ms = pql_read_zigzag(reader);
    standing->version = pql_read_zigzag(reader);
    if (flags & DISQUALIFIED) standing->disqualified_ms = pql_read_zigzag(reader);
    load_score(reader, definition, flags & TIER, standing);
    if (!reader->failed) return standing;
    free(standing);
    return NULL;
}

static void load_cell(struct loader *l, struct pql_subject_state *state, enum pql_subject subject,
                      uint64_t slot)
{
    const struct pql_program *program = l->engine->program;
    uint32_t what = pql_program_slot(program, (int)subject, (uint32_t)slot);
    if (what & PQL_SLOT_DEFINITION) {
        struct pql_standing *standing = load_standing(&l->reader, pql_program_standing(program, what));
        if (standing) pql_cells_put(&state->cells, (uint32_t)slot, standing);
        return;
    }
    const struct pql_signal *signal = &program->signals[what]->signal;
    struct pql_cell *cell = pql_signal_load(signal, &l->reader);
    if (cell) pql_cells_put_signal(&state->cells, (uint32_t)slot, signal, cell);
}

/* The cell comes with a page of its own. */
static void expect_cell(struct loader *l, struct pql_subject_state *state, enum pql_subject subject,
                        struct pql_large *large, struct pql_cell_key key)
{
    if (!large || pql_program_slot(l->engine->program, (int)subject, key.slot) & PQL_SLOT_DEFINITION) {
        refuse(l);
        return;
    }
    pql_cells_put(&state->cells, key.slot, NULL);
    size_t at = pql_large_find(large, key.user, key.slot);
    large->cells =
        pql_xgrow(large->cells, &large->cells_capacity, large->cells_count + 1, sizeof *large->cells);
    memmove(large->cells + at + 1, large->cells + at, (large->cells_count - at) * sizeof *large->cells);
    large->cells[at] = (struct pql_cell_page){.user = key.user, .slot = key.slot};
    large->cells_count++;
}

static void load_subject(struct loader *l, struct pql_subject_state *state, enum pql_subject subject,
                         struct pql_large *large, uint32_t number)
{
    struct pql_reader *reader = &l->reader;
    uint8_t start = pql_read_u8(reader);
    if (start > PQL_START_EXPLICIT) refuse(l);
    state->start = reader->failed ? PQL_START_NONE : start;
    state->start_ms = pql_read_zigzag(reader);
    uint64_t count = pql_read_varint(reader);
    size_t slots = l->engine->program->slots_count[subject] + l->engine->change.retired_count;
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint64_t word = pql_read_varint(reader), slot = word >> 1;
        if (slot >= slots || pql_cells_has(state->cells, (uint32_t)slot))
            refuse(l);
        else if (word & 1)
            expect_cell(l, state, subject, large, (struct pql_cell_key){number, (uint32_t)slot});
        else
            load_cell(l, state, subject, slot);
    }
}

/* Users stand at their positions: blocks may come in any order. */
static void load_users(struct loader *l, struct pql_account *account, size_t from, size_t n)
{
    struct pql_engine *engine = l->engine;
    size_t words = (engine->program->conditions_count + 63) / 64;
    for (size_t i = from; i < from + n && !l->reader.failed; i++) {
        struct pql_slice id = pql_read_slice(&l->reader);
        if (l->reader.failed) return;
        struct pql_user *user = pql_user_new(&engine->store, id);
        user->state.position = (uint32_t)i;
        uint8_t is_member = pql_read_u8(&l->reader);
        if (is_member > 1) refuse(l);
        user->state.is_member = is_member == 1;
        user->member_ms = pql_read_zigzag(&l->reader);
        account->users[i] = (struct pql_user_ref){pql_hash_slice(id, engine->store.key), user};
        for (size_t w = 0; w < words; w++) user->bits[w] = pql_read_varint(&l->reader);
        load_subject(l, &user->state, PQL_SUBJECT_USER, account->large, (uint32_t)i + 1);
    }
}

/* Every account and every one of its users takes some bytes, so a page cannot ask for much more memory than
 * it has. The users of a large one come with other pages. */
static void load_account(struct loader *l, bool is_large)
{
    struct pql_engine *engine = l->engine;
    uint64_t index = pql_read_varint(&l->reader);
    struct pql_slice id = pql_read_slice(&l->reader);
    uint64_t number = pql_read_varint(&l->reader);
    int64_t instant_ms = pql_read_zigzag(&l->reader);
    uint64_t users = pql_read_varint(&l->reader), aliases = pql_read_varint(&l->reader);
    bool is_gone = index >= engine->snapshot.accounts_count; /* others have been taken away since */
    if (l->reader.failed || number > UINT32_MAX || (is_gone && !engine->snapshot.is_older) ||
        users > USERS_MAX || aliases > USERS_MAX ||
        (!is_large && users + aliases > pql_reader_left(&l->reader))) {
        refuse(l);
        return;
    }
    if (is_gone) {
        supersede(l);
        return;
    }
    if (index < engine->store.count && engine->store.accounts[index]) {
        supersede(l);
        return;
    }
    struct pql_account *account = pql_store_place(&engine->store, id, (uint32_t)index);
    if (!account) {
        refuse(l);
        return;
    }
    keep(l, &account->page);
    account->number = (uint32_t)number;
    account->instant_ms = instant_ms;
    pql_account_reserve(account, (size_t)users);
    if (aliases) account->aliases = pql_aliases_reserve((size_t)aliases);
    if (is_large) {
        account->large = pql_xcalloc(1, sizeof *account->large);
        account->large->blocks_count = account->large->blocks_capacity = pql_page_blocks(account);
        account->large->blocks =
            pql_xcalloc(account->large->blocks_count + 1, sizeof *account->large->blocks);
        account->large->aliases_count = account->large->aliases_capacity = pql_page_alias_blocks(account);
        account->large->aliases =
            pql_xcalloc(account->large->aliases_count + 1, sizeof *account->large->aliases);
    }
    load_subject(l, &account->state, PQL_SUBJECT_ACCOUNT, account->large, 0);
    if (!is_large) load_users(l, account, 0, (size_t)users);
    if (!is_large && aliases) pql_aliases_load(account->aliases, 0, (size_t)aliases, &l->reader);
}

/* The large account that a page without a head belongs to, or NULL: it is of no use, or has no place. */
static struct pql_account *account_of(struct loader *l)
{
    const struct pql_store *store = &l->engine->store;
    uint64_t index = pql_read_varint(&l->reader);
    struct pql_account *account = index < store->count ? store->accounts[index] : NULL;
    if (l->reader.failed || (!account && !l->engine->snapshot.is_older))
        refuse(l);
    else if (!account || !account->large)
        supersede(l);
    return account && account->large ? account : NULL;
}

static void load_block(struct loader *l)
{
    struct pql_account *account = account_of(l);
    uint64_t block = pql_read_varint(&l->reader), n = pql_read_varint(&l->reader);
    if (!account || l->reader.failed) return;
    struct pql_large *large = account->large;
    if (block >= large->blocks_count || large->blocks[block].written) {
        supersede(l);
        return;
    }
    size_t from = (size_t)block * PQL_PAGE_USERS_MAX, left = account->users_count - from;
    if (n != (left < PQL_PAGE_USERS_MAX ? left : PQL_PAGE_USERS_MAX)) {
        refuse(l);
        return;
    }
    keep(l, &large->blocks[block]);
    load_users(l, account, from, (size_t)n);
}

static void load_aliases(struct loader *l)
{
    struct pql_account *account = account_of(l);
    uint64_t block = pql_read_varint(&l->reader), n = pql_read_varint(&l->reader);
    if (!account || l->reader.failed) return;
    struct pql_large *large = account->large;
    if (block >= large->aliases_count || large->aliases[block].written) {
        supersede(l);
        return;
    }
    size_t from = (size_t)block * PQL_PAGE_ALIASES_MAX, left = account->aliases->count - from;
    if (n != (left < PQL_PAGE_ALIASES_MAX ? left : PQL_PAGE_ALIASES_MAX)) {
        refuse(l);
        return;
    }
    keep(l, &large->aliases[block]);
    pql_aliases_load(account->aliases, from, from + (size_t)n, &l->reader);
}

static void load_cell_page(struct loader *l)
{
    struct pql_account *account = account_of(l);
    uint64_t number = pql_read_varint(&l->reader), slot = pql_read_varint(&l->reader);
    if (!account || l->reader.failed) return;
    struct pql_large *large = account->large;
    size_t at = number <= UINT32_MAX && slot <= UINT32_MAX
                    ? pql_large_find(large, (uint32_t)number, (uint32_t)slot)
                    : large->cells_count;
    if (at == large->cells_count || large->cells[at].user != number || large->cells[at].slot != slot ||
        large->cells[at].page.written) {
        supersede(l);
        return;
    }
    keep(l, &large->cells[at].page);
    load_cell(l, number ? &account->users[number - 1].user->state : &account->state,
              number ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT, slot);
}

/* --- pages --- */

static void load_one(struct loader *l, uint8_t type)
{
    switch (type) {
    case PQL_PAGE_TASK: load_task(l); break;
    case PQL_PAGE_WAITING: load_waiting(l); break;
    case PQL_PAGE_ACCOUNT: load_account(l, false); break;
    case PQL_PAGE_HEAD: load_account(l, true); break;
    case PQL_PAGE_USERS: load_block(l); break;
    case PQL_PAGE_CELL: load_cell_page(l); break;
    case PQL_PAGE_IDS: load_ids(l); break;
    case PQL_PAGE_ALIASES: load_aliases(l); break;
    default: refuse(l);
    }
}

static int load_page(struct pql_engine *engine, struct pql_slice page, struct pql_err *err)
{
    struct pql_err inner = {0};
    struct loader l = {.engine = engine,
                       .reader = pql_reader_of(page.ptr, page.len),
                       .hash = pql_hash(page.ptr, page.len, engine->program->key),
                       .err = &inner};
    uint8_t type = pql_read_u8(&l.reader);
    load_one(&l, type);
    if (!l.reader.failed && (l.superseded || !pql_reader_left(&l.reader))) return 0;
    if (inner.cls == PQL_ERR_NONE)
        return PQL_FAIL(err, PQL_ERR_FATAL, "a page of type %u of the snapshot is damaged", type);
    if (err) *err = inner;
    return -1;
}

/* The beginning of a page whose end is in the next bytes waits in `page`. */
int pql_snapshot_load(struct pql_engine *engine, const void *bytes, size_t len, struct pql_err *err)
{
    struct pql_buf *cut = &engine->snapshot.page;
    if (cut->len) pql_buf_put(cut, bytes, len);
    struct pql_reader reader = cut->len ? pql_reader_of(cut->ptr, cut->len) : pql_reader_of(bytes, len);
    const char *at = reader.at;
    while (pql_reader_left(&reader)) {
        struct pql_slice page = pql_read_slice(&reader);
        if (reader.failed) break;
        if (!page.len) return PQL_FAIL(err, PQL_ERR_FATAL, "a page of the snapshot is empty");
        if (load_page(engine, page, err)) return -1;
        at = reader.at;
    }
    size_t left = (size_t)(reader.end - at);
    if (cut->len)
        memmove(cut->ptr, at, left);
    else
        pql_buf_put(cut, at, left);
    cut->len = left;
    return 0;
}

int pql_snapshot_load_older(struct pql_engine *engine, struct pql_err *err)
{
    if (engine->snapshot.page.len) return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot is cut off");
    engine->snapshot.is_older = true;
    return 0;
}

/* --- the whole --- */

/* A large account has all its pages, and every page starts clean. */
static bool is_whole(struct pql_account *account)
{
    struct pql_large *large = account->large;
    account->page.written = 0;
    for (size_t i = 0; large && i < large->blocks_count; i++) {
        if (!large->blocks[i].written) return false;
        large->blocks[i].written = 0;
    }
    for (size_t i = 0; large && i < large->aliases_count; i++) {
        if (!large->aliases[i].written) return false;
        large->aliases[i].written = 0;
    }
    for (size_t i = 0; large && i < large->cells_count; i++) {
        if (!large->cells[i].page.written) return false;
        large->cells[i].page.written = 0;
    }
    return true;
}

/* Counters and timers follow from what was loaded. */
static int loaded_account(struct pql_engine *engine, struct pql_account *account, struct pql_err *err)
{
    const struct pql_program *program = engine->program;
    int64_t t = pql_account_done_ms(engine, account);
    if (!is_whole(account)) return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot lacks pages of an account");
    if (account->aliases && !pql_aliases_derive(account->aliases, program->key))
        return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot has aliases of an account that make no sense");
    pql_schedule(account, NULL, pql_subject_next(engine, account, NULL, t));
    for (size_t i = 0; i < account->users_count; i++) {
        struct pql_user *user = account->users[i].user;
        for (uint32_t c = 0; c < program->conditions_count; c++)
            if (pql_user_has(user, c)) account->holding[c]++;
        account->members += user->state.is_member;
        pql_schedule(account, user, pql_subject_next(engine, account, user, t));
    }
    pql_account_derive(engine, account, t);
    pql_account_index(&engine->store, account);
    pql_account_retime(engine, account);
    return 0;
}

int pql_snapshot_loaded(struct pql_engine *engine, struct pql_err *err)
{
    struct pql_snapshot *s = &engine->snapshot;
    if (pql_snapshot_load_older(engine, err)) return -1;
    for (size_t i = 0; i < engine->store.count; i++) {
        if (!engine->store.accounts[i]) return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot lacks an account");
        if (loaded_account(engine, engine->store.accounts[i], err)) return -1;
    }
    if (engine->store.count != s->accounts_count)
        return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot has %zu accounts of %zu", engine->store.count,
                        s->accounts_count);
    if (engine->reorder.heap.count != s->waiting_count)
        return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot has %zu waiting events of %zu",
                        engine->reorder.heap.count, s->waiting_count);
    if (!pql_dedup_loaded(&engine->dedup))
        return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot lacks message ids");
    pql_store_recount(&engine->store, engine->program);
    s->is_older = false;
    s->number = s->base = 1;
    s->digest = s->sum + s->task_sum;
    return 0;
}
