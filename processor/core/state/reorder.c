#include "core/state/reorder.h"

#include "base/memory.h"
#include "core/record.h"
#include <stdlib.h>

static int order_of(const void *a, const void *b)
{
    const struct pql_waiting *x = a, *y = b;
    int c = pql_slice_cmp(x->event.account, y->event.account);
    return c ? c : (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

/* The texts and arrays of an event, in one order for counting, copying, saving and loading. */
enum { TEXTS = 5, LISTS = 3, OF_MEMBERS = 128 /* beside the kind */ };

static void parts_of(struct pql_event *event, const struct pql_names *names, struct pql_slice *texts[TEXTS],
                     const struct pql_value **lists[LISTS], size_t counts[LISTS])
{
    texts[0] = &event->name;
    texts[1] = &event->account;
    texts[2] = &event->user;
    texts[3] = &event->previous_user;
    texts[4] = &event->id;
    lists[0] = &event->properties;
    lists[1] = &event->user_attributes;
    lists[2] = &event->account_attributes;
    counts[0] = names->properties_count;
    counts[1] = names->user_attributes_count;
    counts[2] = names->account_attributes_count;
}

static uint64_t counted(const struct pql_value *value)
{
    if (value->kind == PQL_NULL) return 0;
    return value->kind == PQL_TEXT ? value->text.len : 8;
}

static char *copy_text(char *at, struct pql_slice *text)
{
    if (text->len) memcpy(at, text->ptr, text->len);
    text->ptr = at;
    return at + text->len;
}

uint64_t pql_reorder_bytes(const struct pql_event *event, const struct pql_names *names)
{
    struct pql_event view = *event;
    struct pql_slice *texts[TEXTS];
    const struct pql_value **lists[LISTS];
    size_t counts[LISTS];
    uint64_t bytes = 64;
    parts_of(&view, names, texts, lists, counts);
    for (int i = 0; i < TEXTS; i++) bytes += texts[i]->len;
    for (int i = 0; i < LISTS; i++)
        for (size_t j = 0; *lists[i] && j < counts[i]; j++) bytes += counted(&(*lists[i])[j]);
    return bytes;
}

/* Behind all that came before it: loading brings them nearly in order. */
static void link_in(struct pql_reorder *reorder, struct pql_waiting *waiting)
{
    struct pql_waiting *before = reorder->newest;
    while (before && before->arrival > waiting->arrival) before = before->previous;
    waiting->previous = before;
    waiting->next = before ? before->next : reorder->oldest;
    *(before ? &before->next : &reorder->oldest) = waiting;
    *(waiting->next ? &waiting->next->previous : &reorder->newest) = waiting;
}

static void link_out(struct pql_reorder *reorder, struct pql_waiting *waiting)
{
    *(waiting->previous ? &waiting->previous->next : &reorder->oldest) = waiting->next;
    *(waiting->next ? &waiting->next->previous : &reorder->newest) = waiting->previous;
}

void pql_reorder_put(struct pql_reorder *reorder, const struct pql_event *event,
                     const struct pql_names *names, uint64_t arrival, uint32_t made)
{
    struct pql_event copy = *event;
    copy.value = pql_null();
    struct pql_slice *texts[TEXTS];
    const struct pql_value **lists[LISTS];
    size_t counts[LISTS], values = 0, bytes = 0;
    uint64_t fields = pql_reorder_bytes(event, names);
    parts_of(&copy, names, texts, lists, counts);
    for (int i = 0; i < TEXTS; i++) bytes += texts[i]->len;
    for (int i = 0; i < LISTS; i++)
        for (size_t j = 0; *lists[i] && j < counts[i]; j++) {
            values++;
            if ((*lists[i])[j].kind == PQL_TEXT) bytes += (*lists[i])[j].text.len;
        }
    /* The values come first: they need the alignment. */
    size_t head = (sizeof(struct pql_waiting) + 15) & ~(size_t)15;
    struct pql_waiting *waiting = pql_xmalloc(head + values * sizeof(struct pql_value) + bytes);
    struct pql_value *to = (struct pql_value *)(void *)((char *)waiting + head);
    char *at = (char *)(to + values);
    for (int i = 0; i < TEXTS; i++) at = copy_text(at, texts[i]);
    for (int i = 0; i < LISTS; i++) {
        if (!*lists[i]) continue;
        const struct pql_value *from = *lists[i];
        *lists[i] = to;
        for (size_t j = 0; j < counts[i]; j++, to++) {
            *to = from[j];
            if (to->kind == PQL_TEXT) at = copy_text(at, &to->text);
        }
    }
    waiting->event = copy;
    waiting->arrival = arrival;
    waiting->made = made;
    waiting->counted_bytes = fields;
    reorder->bytes += fields;
    link_in(reorder, waiting);
    pql_heap_push(&reorder->heap, order_of, event->time_ms, waiting);
}

uint64_t pql_reorder_taken(const struct pql_reorder *reorder, const struct pql_names *names)
{
    size_t values = names->properties_count + names->user_attributes_count + names->account_attributes_count;
    size_t block = pql_memory_cost(sizeof(struct pql_waiting) + values * sizeof(struct pql_value));
    return reorder->heap.count * block + reorder->bytes +
           pql_memory_cost(reorder->heap.capacity * sizeof *reorder->heap.entries);
}

void pql_reorder_add(struct pql_reorder *reorder, const struct pql_event *event,
                     const struct pql_names *names)
{
    pql_reorder_put(reorder, event, names, reorder->arrivals++, 0);
}

const struct pql_waiting *pql_reorder_first(const struct pql_reorder *reorder)
{
    return reorder->heap.count ? reorder->heap.entries[0].item : NULL;
}

struct pql_waiting *pql_reorder_take(struct pql_reorder *reorder)
{
    struct pql_waiting *waiting = pql_heap_pop(&reorder->heap, order_of).item;
    reorder->bytes -= waiting->counted_bytes;
    link_out(reorder, waiting);
    return waiting;
}

static const struct pql_value *renamed(const struct pql_value *values, const struct pql_slice *before,
                                       size_t before_count, const struct pql_slice *now, size_t now_count,
                                       struct pql_arena *arena)
{
    if (!values) return NULL;
    struct pql_value *to = pql_arena_zalloc(arena, now_count * sizeof *to + 1); /* zero is null */
    for (size_t i = 0; i < now_count; i++)
        for (size_t k = 0; k < before_count; k++)
            if (pql_slice_eq(now[i], before[k])) to[i] = values[k];
    return to;
}

void pql_reorder_rename(struct pql_reorder *reorder, const struct pql_names *before,
                        const struct pql_names *now)
{
    struct pql_reorder old = *reorder;
    *reorder = (struct pql_reorder){0};
    struct pql_arena arena;
    pql_arena_init(&arena);
    for (struct pql_waiting *waiting = old.oldest, *next; waiting; waiting = next) {
        struct pql_event event = waiting->event;
        next = waiting->next;
        event.properties = renamed(event.properties, before->properties, before->properties_count,
                                   now->properties, now->properties_count, &arena);
        event.user_attributes =
            renamed(event.user_attributes, before->user_attributes, before->user_attributes_count,
                    now->user_attributes, now->user_attributes_count, &arena);
        event.account_attributes =
            renamed(event.account_attributes, before->account_attributes, before->account_attributes_count,
                    now->account_attributes, now->account_attributes_count, &arena);
        pql_reorder_add(reorder, &event, now);
        free(waiting);
        pql_arena_reset(&arena);
    }
    pql_arena_deinit(&arena);
    pql_heap_deinit(&old.heap);
}

void pql_reorder_deinit(struct pql_reorder *reorder)
{
    for (size_t i = 0; i < reorder->heap.count; i++) free(reorder->heap.entries[i].item);
    pql_heap_deinit(&reorder->heap);
    *reorder = (struct pql_reorder){0};
}

/* --- saved form --- */

static void save_value(const struct pql_value *value, struct pql_buf *out)
{
    pql_buf_u8(out, (uint8_t)value->kind);
    switch (value->kind) {
    case PQL_NULL: break;
    case PQL_BOOL: pql_buf_u8(out, value->boolean); break;
    case PQL_NUMBER:
        pql_buf_u64(out, (uint64_t)value->number);
        pql_buf_u64(out, (uint64_t)((pql_udecimal)value->number >> 64));
        break;
    case PQL_TEXT: pql_buf_slice(out, value->text); break;
    case PQL_DURATION:
    case PQL_TIME: pql_buf_zigzag(out, value->ms); break;
    }
}

static bool load_flag(struct pql_reader *reader)
{
    uint8_t flag = pql_read_u8(reader);
    if (flag > 1) reader->failed = true;
    return flag == 1;
}

static struct pql_value load_value(struct pql_reader *reader)
{
    uint8_t kind = pql_read_u8(reader);
    if (kind > PQL_TIME) reader->failed = true;
    struct pql_value value = {.kind = reader->failed ? PQL_NULL : (enum pql_kind)kind};
    switch (value.kind) {
    case PQL_NULL: break;
    case PQL_BOOL: value.boolean = load_flag(reader); break;
    case PQL_NUMBER: {
        uint64_t low = pql_read_u64(reader), high = pql_read_u64(reader);
        value.number = (pql_decimal)((pql_udecimal)high << 64 | low);
        break;
    }
    case PQL_TEXT: value.text = pql_read_slice(reader); break;
    case PQL_DURATION:
    case PQL_TIME: value.ms = pql_read_zigzag(reader); break;
    }
    return value;
}

void pql_reorder_save(const struct pql_waiting *waiting, const struct pql_names *names, struct pql_buf *out)
{
    struct pql_event copy = waiting->event;
    struct pql_slice *texts[TEXTS];
    const struct pql_value **lists[LISTS];
    size_t counts[LISTS];
    parts_of(&copy, names, texts, lists, counts);
    pql_buf_varint(out, waiting->arrival);
    pql_buf_u8(out, (uint8_t)(copy.kind | (copy.is_of_members ? OF_MEMBERS : 0)));
    pql_buf_zigzag(out, copy.time_ms);
    pql_buf_varint(out, copy.input);
    pql_buf_zigzag(out, copy.partition);
    pql_buf_zigzag(out, copy.offset);
    for (int i = 0; i < TEXTS; i++) pql_buf_slice(out, *texts[i]);
    for (int i = 0; i < LISTS; i++) {
        pql_buf_u8(out, *lists[i] != NULL);
        for (size_t j = 0; *lists[i] && j < counts[i]; j++) save_value(&(*lists[i])[j], out);
    }
}

static void load_event(struct pql_reorder *reorder, const struct pql_names *names, struct pql_reader *reader,
                       struct pql_arena *arena)
{
    struct pql_event event = {0};
    struct pql_slice *texts[TEXTS];
    const struct pql_value **lists[LISTS];
    size_t counts[LISTS];
    parts_of(&event, names, texts, lists, counts);
    uint64_t arrival = pql_read_varint(reader);
    uint8_t kind = pql_read_u8(reader);
    if (arrival >= reorder->arrivals) reader->failed = true;
    event.is_of_members = kind & OF_MEMBERS;
    kind &= OF_MEMBERS - 1;
    if (kind >= PQL_EVENT_KIND_COUNT) reader->failed = true;
    event.kind = (enum pql_event_kind)kind;
    event.time_ms = pql_read_zigzag(reader);
    event.input = (uint32_t)pql_read_varint(reader);
    event.partition = (int32_t)pql_read_zigzag(reader);
    event.offset = pql_read_zigzag(reader);
    for (int i = 0; i < TEXTS; i++) *texts[i] = pql_read_slice(reader);
    for (int i = 0; i < LISTS; i++) {
        if (!load_flag(reader) || reader->failed) continue;
        struct pql_value *values = pql_arena_alloc(arena, counts[i] * sizeof *values);
        for (size_t j = 0; j < counts[i]; j++) values[j] = load_value(reader);
        *lists[i] = values;
    }
    if (!reader->failed) pql_reorder_put(reorder, &event, names, arrival, 0);
}

void pql_reorder_load(struct pql_reorder *reorder, const struct pql_names *names, struct pql_reader *reader)
{
    struct pql_arena arena;
    pql_arena_init(&arena);
    load_event(reorder, names, reader, &arena);
    pql_arena_deinit(&arena);
}
