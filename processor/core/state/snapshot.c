/* snapshot.c - state as pages.
 *
 *   page     varint length of what follows | u8 type | content
 *   task     keys of the slots (what state is of which signal), clock, open work, waiting events
 *   account  id, start, cells, then its first 64 users
 *   users    id of the account, position of the first, up to 64 more users
 *   ids      bucket of the duplicate filter, position of the first, up to 4096 ids
 *
 * A page is a function of the log alone: capacities, timers, table order and counters that can be counted
 * again are not in it. Its hash is keyed, and the digest of a state is the sum over its pages, so the order
 * of pages does not matter. Reading checks everything: pages may come from a damaged topic. */
#include "core/engine_state.h"

#include "core/hash.h"
#include <stdlib.h>

enum page_type { PAGE_TASK = 1, PAGE_ACCOUNT, PAGE_USERS, PAGE_IDS };
enum { USERS_PER_PAGE = 64, IDS_PER_PAGE = 4096, FORMAT = 1, ACCOUNTS_MAX = 1 << 30, USERS_MAX = 1 << 28 };

/* Where pages go while they are written: content first, so that its length is known. */
struct page_sink {
    struct pql_engine *engine;
    struct pql_buf *out; /* NULL: only the digest is wanted */
    struct pql_buf page;
    uint64_t digest;
};

static void page_begin(struct page_sink *sink, enum page_type type)
{
    sink->page.len = 0;
    pql_buf_u8(&sink->page, (uint8_t)type);
}

static void page_end(struct page_sink *sink)
{
    sink->digest += pql_hash(sink->page.ptr, sink->page.len, sink->engine->program->key);
    if (!sink->out) return;
    pql_buf_varint(sink->out, sink->page.len);
    pql_buf_put(sink->out, sink->page.ptr, sink->page.len);
}

/* --- writing --- */

/* Names what stands in each slot, so that state is never read as another signal's. */
static uint64_t slots_hash(const struct pql_program *program)
{
    struct pql_buf keys = {0};
    for (int subject = 0; subject < 2; subject++)
        for (size_t i = 0; i < program->slots_count[subject]; i++) {
            uint32_t what = program->slots[subject][i];
            if (what & PQL_SLOT_DEFINITION)
                pql_buf_slice(&keys, program->conf->definitions[what & ~PQL_SLOT_DEFINITION].name);
            else
                pql_buf_slice(&keys, program->signals[what]->key);
        }
    for (size_t i = 0; i < program->conditions_count; i++) pql_buf_slice(&keys, program->conditions[i]->text);
    uint64_t hash = pql_hash(keys.ptr, keys.len, program->key);
    pql_buf_deinit(&keys);
    return hash;
}

static void save_work(const struct pql_work *work, struct pql_buf *out)
{
    pql_buf_u8(out, (uint8_t)work->kind);
    if (work->kind == PQL_WORK_NONE) return;
    pql_buf_zigzag(out, work->upto_ms);
    pql_buf_varint(out, work->input);
    pql_buf_zigzag(out, work->offset);
    pql_buf_zigzag(out, work->due_ms);
    pql_buf_slice(out, (struct pql_slice){work->account.ptr, work->account.len});
}

static void write_task(struct page_sink *sink)
{
    const struct pql_engine *engine = sink->engine;
    page_begin(sink, PAGE_TASK);
    pql_buf_u8(&sink->page, FORMAT);
    pql_buf_u64(&sink->page, slots_hash(engine->program));
    pql_buf_zigzag(&sink->page, engine->seen);
    pql_buf_zigzag(&sink->page, engine->complete);
    pql_buf_u8(&sink->page, engine->ticked);
    pql_buf_varint(&sink->page, engine->store.count);
    save_work(&engine->work, &sink->page);
    pql_reorder_save(&engine->reorder, &engine->program->names, &sink->page);
    pql_change_save(engine, &sink->page);
    page_end(sink);
}

static void save_standing(const struct pql_standing *standing, struct pql_buf *out)
{
    pql_buf_u8(out, (uint8_t)standing->status);
    pql_buf_u8(out, (uint8_t)(standing->is_leaving | standing->leaving_by_event << 1 |
                              standing->leaving_by_change << 2));
    pql_buf_varint(out, standing->count);
    pql_buf_zigzag(out, standing->first_ms);
    pql_buf_zigzag(out, standing->qualified_ms);
    pql_buf_zigzag(out, standing->left_ms);
    pql_buf_zigzag(out, standing->version);
}

static void save_subject(const struct pql_program *program, const struct pql_subject_state *state,
                         enum pql_subject subject, struct pql_buf *out)
{
    pql_buf_u8(out, (uint8_t)state->start);
    pql_buf_zigzag(out, state->start_ms);
    pql_buf_varint(out, pql_cells_count(state->cells));
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        const void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        pql_buf_varint(out, slot);
        if (what & PQL_SLOT_DEFINITION)
            save_standing(cell, out);
        else
            pql_signal_save(&program->signals[what]->signal, cell, out);
    }
}

static void save_users(const struct pql_program *program, const struct pql_account *account, size_t from,
                       struct pql_buf *out)
{
    size_t upto = account->users_count - from > USERS_PER_PAGE ? from + USERS_PER_PAGE : account->users_count;
    size_t words = (program->conditions_count + 63) / 64;
    pql_buf_varint(out, upto - from);
    for (size_t i = from; i < upto; i++) {
        const struct pql_user *user = account->users[i].user;
        pql_buf_slice(out, user->id);
        for (size_t w = 0; w < words; w++) pql_buf_varint(out, user->bits[w]);
        save_subject(program, &user->state, PQL_SUBJECT_USER, out);
    }
}

static void write_account(struct page_sink *sink, const struct pql_account *account)
{
    const struct pql_program *program = sink->engine->program;
    page_begin(sink, PAGE_ACCOUNT);
    pql_buf_slice(&sink->page, account->id);
    pql_buf_varint(&sink->page, account->index);
    pql_buf_zigzag(&sink->page, account->instant_ms);
    pql_buf_varint(&sink->page, account->users_count);
    save_subject(program, &account->state, PQL_SUBJECT_ACCOUNT, &sink->page);
    save_users(program, account, 0, &sink->page);
    page_end(sink);
    for (size_t from = USERS_PER_PAGE; from < account->users_count; from += USERS_PER_PAGE) {
        page_begin(sink, PAGE_USERS);
        pql_buf_slice(&sink->page, account->id);
        pql_buf_varint(&sink->page, account->index);
        pql_buf_varint(&sink->page, from);
        save_users(program, account, from, &sink->page);
        page_end(sink);
    }
}

static void write_ids(struct page_sink *sink, const struct pql_dedup_bucket *bucket, size_t from,
                      size_t count)
{
    size_t n = count - from > IDS_PER_PAGE ? IDS_PER_PAGE : count - from;
    page_begin(sink, PAGE_IDS);
    pql_buf_zigzag(&sink->page, bucket->number);
    pql_buf_varint(&sink->page, from);
    pql_buf_varint(&sink->page, n);
    for (size_t i = 0; i < n; i++) pql_buf_u64(&sink->page, bucket->ids[from + i]);
    page_end(sink);
}

uint64_t pql_engine_digest(struct pql_engine *engine)
{
    struct page_sink sink = {.engine = engine};
    write_task(&sink);
    for (size_t i = 0; i < engine->store.count; i++) write_account(&sink, engine->store.accounts[i]);
    for (size_t b = 0; b < engine->dedup.buckets_count; b++) {
        const struct pql_dedup_bucket *bucket = &engine->dedup.buckets[b];
        if (pql_dedup_is_forgotten(&engine->dedup, bucket->number, engine->seen)) continue;
        for (size_t from = 0; from < bucket->count; from += IDS_PER_PAGE)
            write_ids(&sink, bucket, from, bucket->count);
    }
    pql_buf_deinit(&sink.page);
    return sink.digest;
}

/* --- a snapshot in steps --- */

void pql_snapshot_begin(struct pql_engine *engine)
{
    struct pql_snapshot *snapshot = &engine->snapshot;
    PQL_ASSERT(!snapshot->is_running);
    if (engine->seen != PQL_NO_TIME) pql_dedup_forget(&engine->dedup, engine->seen);
    snapshot->is_running = true;
    snapshot->number++;
    snapshot->accounts_count = engine->store.count;
    snapshot->next_account = snapshot->next_bucket = snapshot->next_id = 0;
    snapshot->buckets_count = engine->dedup.buckets_count;
    snapshot->bucket_counts = pql_xmalloc((snapshot->buckets_count + 1) * sizeof *snapshot->bucket_counts);
    for (size_t i = 0; i < snapshot->buckets_count; i++)
        snapshot->bucket_counts[i] = engine->dedup.buckets[i].count;
    snapshot->early.len = snapshot->early_at = 0;
    struct page_sink sink = {.engine = engine, .out = &snapshot->early};
    write_task(&sink);
    snapshot->digest = sink.digest;
    pql_buf_deinit(&sink.page);
}

void pql_snapshot_touch(struct pql_engine *engine, struct pql_account *account)
{
    struct pql_snapshot *snapshot = &engine->snapshot;
    if (!snapshot->is_running || account->snapshot == snapshot->number ||
        account->index >= snapshot->accounts_count)
        return;
    account->snapshot = snapshot->number;
    struct page_sink sink = {.engine = engine, .out = &snapshot->early};
    write_account(&sink, account);
    snapshot->digest += sink.digest;
    pql_buf_deinit(&sink.page);
}

static void snapshot_end(struct pql_engine *engine)
{
    engine->snapshot.is_running = false;
    free(engine->snapshot.bucket_counts);
    engine->snapshot.bucket_counts = NULL;
    pql_buf_deinit(&engine->snapshot.early);
    engine->snapshot.early_at = 0;
}

/* One page group; false when everything is written. */
static bool write_next(struct page_sink *sink, struct pql_snapshot *snapshot)
{
    struct pql_engine *engine = sink->engine;
    while (snapshot->next_account < snapshot->accounts_count) {
        struct pql_account *account = engine->store.accounts[snapshot->next_account++];
        if (account->snapshot == snapshot->number) continue;
        account->snapshot = snapshot->number;
        write_account(sink, account);
        return true;
    }
    while (snapshot->next_bucket < snapshot->buckets_count) {
        const struct pql_dedup_bucket *bucket = &engine->dedup.buckets[snapshot->next_bucket];
        size_t count = snapshot->bucket_counts[snapshot->next_bucket];
        if (snapshot->next_id < count) {
            write_ids(sink, bucket, snapshot->next_id, count);
            snapshot->next_id += IDS_PER_PAGE;
            return true;
        }
        snapshot->next_bucket++;
        snapshot->next_id = 0;
    }
    return false;
}

/* Pages that were serialised before their turn, as many as still fit: a burst of changes between two steps
 * must not make one chunk of everything. False when there are none left. */
static bool take_early(struct pql_snapshot *snapshot, struct pql_buf *out, size_t end)
{
    while (snapshot->early_at < snapshot->early.len) {
        if (out->len >= end) return true;
        const char *page = snapshot->early.ptr + snapshot->early_at;
        struct pql_reader reader = pql_reader_of(page, snapshot->early.len - snapshot->early_at);
        uint64_t len = pql_read_varint(&reader);
        size_t size = (size_t)(reader.at - page) + (size_t)len;
        pql_buf_put(out, page, size);
        snapshot->early_at += size;
    }
    snapshot->early.len = snapshot->early_at = 0;
    return false;
}

bool pql_snapshot_step(struct pql_engine *engine, struct pql_buf *out, size_t bytes_max)
{
    struct pql_snapshot *snapshot = &engine->snapshot;
    PQL_ASSERT(snapshot->is_running);
    size_t end = out->len + bytes_max;
    if (take_early(snapshot, out, end)) return false;
    struct page_sink sink = {.engine = engine, .out = out};
    bool more = true;
    while (more && out->len < end) more = write_next(&sink, snapshot);
    snapshot->digest += sink.digest;
    pql_buf_deinit(&sink.page);
    if (!more) snapshot_end(engine);
    return !more;
}

void pql_snapshot_abandon(struct pql_engine *engine)
{
    if (engine->snapshot.is_running) snapshot_end(engine);
}

uint64_t pql_snapshot_digest(const struct pql_engine *engine)
{
    return engine->snapshot.digest;
}

/* --- reading --- */

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

static void load_task(struct pql_engine *engine, struct pql_reader *reader, struct pql_err *err)
{
    uint8_t format = pql_read_u8(reader);
    if (format != FORMAT) {
        (void)PQL_FAIL(err, PQL_ERR_CONFIG, "the snapshot has format %u, this program reads %d", format,
                       FORMAT);
        reader->failed = true;
        return;
    }
    if (pql_read_u64(reader) != slots_hash(engine->program)) {
        (void)PQL_FAIL(err, PQL_ERR_CONFIG, "the snapshot is of other definitions");
        reader->failed = true;
        return;
    }
    engine->seen = pql_read_zigzag(reader);
    engine->complete = pql_read_zigzag(reader);
    uint8_t ticked = pql_read_u8(reader);
    if (ticked > 1) reader->failed = true;
    engine->ticked = ticked == 1;
    engine->snapshot.accounts_count = pql_read_varint(reader);
    if (engine->snapshot.accounts_count > ACCOUNTS_MAX) reader->failed = true;
    load_work(&engine->work, reader);
    pql_reorder_load(&engine->reorder, &engine->program->names, reader);
    pql_change_load(engine, reader);
}

static struct pql_standing *load_standing(struct pql_reader *reader)
{
    struct pql_standing standing = {0};
    uint8_t status = pql_read_u8(reader), flags = pql_read_u8(reader);
    if (status >= PQL_STATUS_COUNT || flags > 7) reader->failed = true;
    standing.status = reader->failed ? PQL_NOT_YET : (enum pql_status)status;
    standing.is_leaving = flags & 1;
    standing.leaving_by_event = flags >> 1 & 1;
    standing.leaving_by_change = flags >> 2 & 1;
    standing.count = (uint32_t)pql_read_varint(reader);
    standing.first_ms = pql_read_zigzag(reader);
    standing.qualified_ms = pql_read_zigzag(reader);
    standing.left_ms = pql_read_zigzag(reader);
    standing.version = pql_read_zigzag(reader);
    if (reader->failed) return NULL;
    struct pql_standing *loaded = pql_xmalloc(sizeof *loaded);
    *loaded = standing;
    return loaded;
}

static void load_subject(const struct pql_engine *engine, struct pql_subject_state *state,
                         enum pql_subject subject, struct pql_reader *reader)
{
    const struct pql_program *program = engine->program;
    size_t retired = engine->change.retired_count;
    uint8_t start = pql_read_u8(reader);
    if (start > PQL_START_EXPLICIT) reader->failed = true;
    state->start = reader->failed ? PQL_START_NONE : (enum pql_start)start;
    state->start_ms = pql_read_zigzag(reader);
    uint64_t count = pql_read_varint(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint64_t slot = pql_read_varint(reader);
        if (slot >= program->slots_count[subject] + retired || pql_cells_find(state->cells, (uint32_t)slot)) {
            reader->failed = true;
            return;
        }
        uint32_t what = pql_program_slot(program, (int)subject, (uint32_t)slot);
        void *cell = what & PQL_SLOT_DEFINITION
                         ? (void *)load_standing(reader)
                         : (void *)pql_signal_load(&program->signals[what]->signal, reader);
        if (cell) *pql_cells_get(&state->cells, (uint32_t)slot) = cell;
    }
}

/* Users stand at their positions: pages of one account may come in any order. */
static void load_users(struct pql_engine *engine, struct pql_account *account, uint64_t from,
                       struct pql_reader *reader)
{
    uint64_t n = pql_read_varint(reader);
    size_t words = (engine->program->conditions_count + 63) / 64;
    if (reader->failed || n > USERS_PER_PAGE || from > account->users_count ||
        n > account->users_count - from) {
        reader->failed = true;
        return;
    }
    for (uint64_t i = from; i < from + n && !reader->failed; i++) {
        struct pql_slice id = pql_read_slice(reader);
        if (reader->failed || account->users[i].user) {
            reader->failed = true;
            return;
        }
        struct pql_user *user = pql_user_new(&engine->store, id);
        account->users[i] = (struct pql_user_ref){pql_hash_slice(id, engine->store.key), user};
        for (size_t w = 0; w < words; w++) user->bits[w] = pql_read_varint(reader);
        load_subject(engine, &user->state, PQL_SUBJECT_USER, reader);
    }
}

/* The account at its place in the order of appearance; made at the first of its pages. */
static struct pql_account *account_at(struct pql_engine *engine, struct pql_reader *reader)
{
    struct pql_slice id = pql_read_slice(reader);
    uint64_t index = pql_read_varint(reader);
    if (reader->failed || index >= engine->snapshot.accounts_count) {
        reader->failed = true;
        return NULL;
    }
    return pql_store_place(&engine->store, id, (uint32_t)index);
}

static void load_account(struct pql_engine *engine, struct pql_reader *reader)
{
    struct pql_account *account = account_at(engine, reader);
    int64_t instant_ms = pql_read_zigzag(reader);
    uint64_t users = pql_read_varint(reader);
    if (!account || reader->failed || account->state.start != PQL_START_NONE || users > USERS_MAX ||
        (account->users_count && account->users_count != users)) {
        reader->failed = true;
        return;
    }
    account->instant_ms = instant_ms;
    pql_account_reserve(account, (size_t)users);
    load_subject(engine, &account->state, PQL_SUBJECT_ACCOUNT, reader);
    load_users(engine, account, 0, reader);
}

static void load_more_users(struct pql_engine *engine, struct pql_reader *reader)
{
    struct pql_account *account = account_at(engine, reader);
    uint64_t from = pql_read_varint(reader);
    /* Pages of one snapshot come in its order: the head stands before its further users. */
    if (account && !reader->failed && account->state.start != PQL_START_NONE)
        load_users(engine, account, from, reader);
    else
        reader->failed = true;
}

static void load_ids(struct pql_engine *engine, struct pql_reader *reader)
{
    int64_t number = pql_read_zigzag(reader);
    uint64_t from = pql_read_varint(reader), n = pql_read_varint(reader);
    if (n > IDS_PER_PAGE || n > pql_reader_left(reader) / 8 || !engine->dedup.horizon_ms)
        reader->failed = true;
    for (uint64_t i = 0; i < n && !reader->failed; i++)
        if (!pql_dedup_restore(&engine->dedup, number, from + i, pql_read_u64(reader))) reader->failed = true;
}

static int load_page(struct pql_engine *engine, struct pql_slice page, struct pql_err *err)
{
    struct pql_reader reader = pql_reader_of(page.ptr, page.len);
    uint8_t type = pql_read_u8(&reader);
    struct pql_err inner = {0};
    if (type == PAGE_TASK)
        load_task(engine, &reader, &inner);
    else if (type == PAGE_ACCOUNT)
        load_account(engine, &reader);
    else if (type == PAGE_USERS)
        load_more_users(engine, &reader);
    else if (type == PAGE_IDS)
        load_ids(engine, &reader);
    else
        reader.failed = true;
    if (!reader.failed && pql_reader_left(&reader) == 0) return 0;
    if (inner.cls != PQL_ERR_NONE) {
        if (err) *err = inner;
        return -1;
    }
    return PQL_FAIL(err, PQL_ERR_FATAL, "a page of type %u of the snapshot is damaged", type);
}

/* The beginning of a page whose end is in the next bytes waits in `early`. */
int pql_snapshot_load(struct pql_engine *engine, const void *bytes, size_t len, struct pql_err *err)
{
    struct pql_buf *cut = &engine->snapshot.early;
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

/* Counters and timers follow from what was loaded. */
static int loaded_account(struct pql_engine *engine, struct pql_account *account, struct pql_err *err)
{
    const struct pql_program *program = engine->program;
    int64_t t = pql_account_done_ms(engine, account);
    if (account->state.start == PQL_START_NONE)
        return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot lacks the head of an account");
    pql_schedule(account, NULL, pql_subject_next(engine, &account->state, PQL_SUBJECT_ACCOUNT, t));
    for (size_t i = 0; i < account->users_count; i++) {
        struct pql_user *user = account->users[i].user;
        if (!user) return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot lacks users of an account");
        for (uint32_t c = 0; c < program->conditions_count; c++)
            if (pql_user_has(user, c)) account->holding[c]++;
        pql_schedule(account, user, pql_subject_next(engine, &user->state, PQL_SUBJECT_USER, t));
    }
    account->members = (uint32_t)account->users_count;
    pql_account_index(&engine->store, account);
    pql_account_retime(engine, account);
    return 0;
}

int pql_snapshot_loaded(struct pql_engine *engine, struct pql_err *err)
{
    bool is_cut = engine->snapshot.early.len > 0;
    pql_buf_deinit(&engine->snapshot.early);
    if (is_cut) return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot is cut off");
    for (size_t i = 0; i < engine->store.count; i++) {
        if (!engine->store.accounts[i]) return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot lacks an account");
        if (loaded_account(engine, engine->store.accounts[i], err)) return -1;
    }
    if (engine->store.count != engine->snapshot.accounts_count)
        return PQL_FAIL(err, PQL_ERR_FATAL, "the snapshot has %zu accounts of %zu", engine->store.count,
                        engine->snapshot.accounts_count);
    pql_dedup_loaded(&engine->dedup);
    return 0;
}
