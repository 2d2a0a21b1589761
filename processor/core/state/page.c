#include "core/state/page.h"

#include "core/engine_state.h"
#include "core/hash.h"

enum { USER_BYTES_MIN = 4 };

uint64_t pql_page_slots_hash(const struct pql_program *program)
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

size_t pql_large_find(const struct pql_large *large, uint32_t user, uint32_t slot)
{
    size_t low = 0, high = large->cells_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct pql_cell_page *cell = &large->cells[middle];
        if (cell->user < user || (cell->user == user && cell->slot < slot))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void begin(struct pql_buf *buf, enum pql_page_type type)
{
    buf->len = 0;
    pql_buf_u8(buf, (uint8_t)type);
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

void pql_page_task(const struct pql_engine *engine, struct pql_buf *buf)
{
    const struct pql_dedup *dedup = &engine->dedup;
    size_t first = 0;
    while (first < dedup->buckets_count &&
           pql_dedup_is_forgotten(dedup, dedup->buckets[first].number, engine->seen))
        first++;
    begin(buf, PQL_PAGE_TASK);
    pql_buf_u8(buf, PQL_PAGE_FORMAT);
    pql_buf_u64(buf, pql_page_slots_hash(engine->program));
    pql_buf_zigzag(buf, engine->seen);
    pql_buf_zigzag(buf, engine->complete);
    pql_buf_u8(buf, engine->ticked);
    save_work(&engine->work, buf);
    pql_buf_varint(buf, engine->store.count);
    pql_buf_varint(buf, engine->store.appeared);
    pql_buf_varint(buf, engine->reorder.heap.count);
    pql_buf_varint(buf, engine->reorder.arrivals);
    pql_buf_varint(buf, dedup->buckets_count - first);
    for (size_t i = first; i < dedup->buckets_count; i++) {
        pql_buf_zigzag(buf, dedup->buckets[i].number);
        pql_buf_varint(buf, dedup->buckets[i].count);
    }
    pql_change_save(engine, buf);
}

void pql_page_waiting(const struct pql_engine *engine, const struct pql_waiting *waiting, struct pql_buf *buf)
{
    begin(buf, PQL_PAGE_WAITING);
    pql_reorder_save(waiting, &engine->program->names, buf);
}

static void save_score(const struct pql_standing *standing, struct pql_buf *out)
{
    const struct pql_sent *sent = pql_standing_sent(standing);
    if (standing->tier) pql_buf_varint(out, standing->tier);
    if (!standing->is_sent) return;
    pql_buf_zigzag(out, (int64_t)sent->low);
    pql_buf_zigzag(out, sent->high);
    pql_buf_zigzag(out, sent->ms);
}

static void save_standing(const struct pql_standing *standing, struct pql_buf *out)
{
    bool is_disqualified = standing->disqualified_ms != PQL_NO_TIME;
    pql_buf_u8(out, (uint8_t)standing->status);
    pql_buf_varint(out,
                   (uint64_t)standing->is_leaving | (uint64_t)(standing->leaving_by == PQL_BY_EVENT) << 1 |
                       (uint64_t)standing->leaving_by_change << 2 | (uint64_t)standing->is_converted << 3 |
                       (uint64_t)standing->is_unanswered << 4 | (uint64_t)is_disqualified << 5 |
                       (uint64_t)(standing->tier != 0) << 6 | (uint64_t)standing->is_sent << 7 |
                       (uint64_t)standing->is_held << 8 | (uint64_t)(standing->held_by == PQL_BY_EVENT) << 9 |
                       (uint64_t)(standing->leaving_by == PQL_BY_DECAY) << 10 |
                       (uint64_t)(standing->held_by == PQL_BY_DECAY) << 11);
    pql_buf_varint(out, standing->count);
    pql_buf_zigzag(out, standing->first_ms);
    pql_buf_zigzag(out, standing->qualified_ms);
    pql_buf_zigzag(out, standing->left_ms);
    pql_buf_zigzag(out, standing->version);
    if (is_disqualified) pql_buf_zigzag(out, standing->disqualified_ms);
    save_score(standing, out);
}

static bool fits(const struct pql_buf *buf, size_t more)
{
    return buf->len + more <= PQL_PAGE_SMALL;
}

static void add_key(struct pql_cell_keys *keys, uint32_t user, uint32_t slot)
{
    keys->items = pql_xgrow(keys->items, &keys->capacity, keys->count + 1, sizeof *keys->items);
    keys->items[keys->count++] = (struct pql_cell_key){user, slot};
}

/* Saves a subject's state. Cells with much content are left to pages of their own and their keys noted, under
 * the number of the subject; keys NULL: all must fit into a small page, false if not. */
static bool save_subject(const struct pql_program *program, const struct pql_subject_state *state,
                         enum pql_subject subject, uint32_t number, struct pql_buf *out,
                         struct pql_cell_keys *keys)
{
    pql_buf_u8(out, state->start);
    pql_buf_zigzag(out, state->start_ms);
    pql_buf_varint(out, pql_cells_count(state->cells));
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        const void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        const struct pql_signal *signal = what & PQL_SLOT_DEFINITION ? NULL : &program->signals[what]->signal;
        size_t content = signal ? pql_signal_content(signal, cell) : 0;
        if (!keys && !fits(out, content / 8)) return false;
        bool is_elsewhere = keys && content > PQL_PAGE_SMALL;
        pql_buf_varint(out, (uint64_t)slot << 1 | is_elsewhere);
        if (is_elsewhere)
            add_key(keys, number, slot);
        else if (signal)
            pql_signal_save(signal, cell, out);
        else
            save_standing(cell, out);
    }
    return keys || fits(out, 0);
}

static bool save_user(const struct pql_program *program, const struct pql_account *account, size_t position,
                      struct pql_buf *out, struct pql_cell_keys *keys)
{
    const struct pql_user *user = account->users[position].user;
    size_t words = (program->conditions_count + 63) / 64;
    pql_buf_slice(out, user->id);
    pql_buf_u8(out, user->state.is_member);
    pql_buf_zigzag(out, user->member_ms);
    for (size_t w = 0; w < words; w++) pql_buf_varint(out, user->bits[w]);
    return save_subject(program, &user->state, PQL_SUBJECT_USER, (uint32_t)position + 1, out, keys);
}

static bool save_head(const struct pql_program *program, const struct pql_account *account,
                      enum pql_page_type type, struct pql_buf *buf, struct pql_cell_keys *keys)
{
    begin(buf, type);
    pql_buf_varint(buf, account->index);
    pql_buf_slice(buf, account->id);
    pql_buf_varint(buf, account->number);
    pql_buf_zigzag(buf, account->instant_ms);
    pql_buf_varint(buf, account->users_count);
    pql_buf_varint(buf, account->aliases ? account->aliases->count : 0);
    return save_subject(program, &account->state, PQL_SUBJECT_ACCOUNT, 0, buf, keys);
}

bool pql_page_account(const struct pql_program *program, const struct pql_account *account,
                      struct pql_buf *buf)
{
    size_t aliases = account->aliases ? account->aliases->count : 0;
    if (account->users_count > PQL_PAGE_SMALL / USER_BYTES_MIN || aliases > PQL_PAGE_ALIASES_MAX ||
        !save_head(program, account, PQL_PAGE_ACCOUNT, buf, NULL))
        return false;
    for (size_t i = 0; i < account->users_count; i++)
        if (!save_user(program, account, i, buf, NULL)) return false;
    if (aliases) pql_aliases_save(account->aliases, 0, aliases, buf);
    return fits(buf, 0);
}

void pql_page_head(const struct pql_program *program, const struct pql_account *account, struct pql_buf *buf,
                   struct pql_cell_keys *keys)
{
    (void)save_head(program, account, PQL_PAGE_HEAD, buf, keys);
}

void pql_page_users(const struct pql_program *program, const struct pql_account *account, size_t block,
                    struct pql_buf *buf, struct pql_cell_keys *keys)
{
    size_t from = block * PQL_PAGE_USERS_MAX, left = account->users_count - from;
    size_t upto = from + (left < PQL_PAGE_USERS_MAX ? left : PQL_PAGE_USERS_MAX);
    begin(buf, PQL_PAGE_USERS);
    pql_buf_varint(buf, account->index);
    pql_buf_varint(buf, block);
    pql_buf_varint(buf, upto - from);
    for (size_t i = from; i < upto; i++) (void)save_user(program, account, i, buf, keys);
}

void pql_page_aliases(const struct pql_account *account, size_t block, struct pql_buf *buf)
{
    size_t from = block * PQL_PAGE_ALIASES_MAX, left = account->aliases->count - from;
    size_t upto = from + (left < PQL_PAGE_ALIASES_MAX ? left : PQL_PAGE_ALIASES_MAX);
    begin(buf, PQL_PAGE_ALIASES);
    pql_buf_varint(buf, account->index);
    pql_buf_varint(buf, block);
    pql_buf_varint(buf, upto - from);
    pql_aliases_save(account->aliases, from, upto, buf);
}

void pql_page_cell(const struct pql_program *program, const struct pql_account *account,
                   struct pql_cell_key key, struct pql_buf *buf)
{
    enum pql_subject subject = key.user ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT;
    const struct pql_subject_state *state =
        key.user ? &account->users[key.user - 1].user->state : &account->state;
    begin(buf, PQL_PAGE_CELL);
    pql_buf_varint(buf, account->index);
    pql_buf_varint(buf, key.user);
    pql_buf_varint(buf, key.slot);
    const struct pql_cell *cell = pql_cells_find(state->cells, key.slot);
    PQL_ASSERT(cell);
    pql_signal_save(&program->signals[program->slots[subject][key.slot]]->signal, cell, buf);
}

void pql_page_ids(const struct pql_dedup_bucket *bucket, size_t page, uint32_t count, struct pql_buf *buf)
{
    begin(buf, PQL_PAGE_IDS);
    pql_buf_zigzag(buf, bucket->number);
    pql_buf_varint(buf, page);
    pql_buf_varint(buf, count);
    for (uint32_t i = 0; i < count; i++) pql_buf_u64(buf, bucket->pages[page].ids[i]);
}
