#include "core/wire/plan.h"

#include "core/reasons.h"
#include "core/wire/json.h"
#include "core/wire/plan_ops.h"
#include <stdlib.h>

/* --- Conversions --- */

enum pql_conversion pql_plan_conversion(const struct pql_avro *writer, const struct pql_avro *as)
{
    bool is_whole = writer->type == PQL_AVRO_INT || writer->type == PQL_AVRO_LONG;
    if (is_whole && as->type == PQL_AVRO_FLOAT) return PQL_AS_FLOAT;
    if (is_whole && as->type == PQL_AVRO_DOUBLE) return PQL_AS_DOUBLE;
    switch (as->logical) {
    case PQL_LOGICAL_DATE: return PQL_AS_DAYS;
    case PQL_LOGICAL_TIMESTAMP_MILLIS:
    case PQL_LOGICAL_LOCAL_TIMESTAMP_MILLIS: return PQL_AS_MILLIS;
    case PQL_LOGICAL_TIMESTAMP_MICROS:
    case PQL_LOGICAL_LOCAL_TIMESTAMP_MICROS: return PQL_AS_MICROS;
    case PQL_LOGICAL_TIMESTAMP_NANOS:
    case PQL_LOGICAL_LOCAL_TIMESTAMP_NANOS: return PQL_AS_NANOS;
    case PQL_LOGICAL_DECIMAL: return PQL_AS_DECIMAL;
    case PQL_LOGICAL_UUID: return as->type == PQL_AVRO_FIXED ? PQL_AS_UUID : PQL_AS_IS;
    case PQL_LOGICAL_NONE:
    case PQL_LOGICAL_TIME_MILLIS:
    case PQL_LOGICAL_TIME_MICROS:
    case PQL_LOGICAL_DURATION:
    case PQL_LOGICAL_COUNT: return PQL_AS_IS;
    }
    return PQL_AS_IS;
}

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

static struct pql_value of_double(double value)
{
    pql_decimal number;
    return pql_decimal_of_double(value, &number) ? pql_number(number) : pql_null();
}

struct pql_value pql_plan_integer(enum pql_conversion conversion, int64_t value)
{
    switch (conversion) {
    case PQL_AS_DAYS: return pql_time(value * 86400000);
    case PQL_AS_MILLIS: return pql_time(value);
    case PQL_AS_MICROS: return pql_time(floor_div(value, 1000));
    case PQL_AS_NANOS: return pql_time(floor_div(value, 1000000));
    case PQL_AS_FLOAT: return of_double((double)(float)value);
    case PQL_AS_DOUBLE: return of_double((double)value);
    case PQL_AS_IS:
    case PQL_AS_DECIMAL:
    case PQL_AS_UUID:
    case PQL_AS_JSON: break;
    }
    return pql_number(pql_decimal_of_int(value));
}

/* A decimal of more bytes than this (154 digits) is null. */
enum { DECIMAL_BYTES_MAX = 64 };

/* Two's complement to sign and magnitude, in place, big endian. */
static bool negate_if_negative(unsigned char *bytes, size_t len)
{
    if (!len || bytes[0] < 0x80) return false;
    unsigned carry = 1;
    for (size_t i = len; i-- > 0; carry >>= 8) {
        carry += (unsigned char)~bytes[i];
        bytes[i] = (unsigned char)carry;
    }
    return true;
}

/* Divides a magnitude by ten in place; the remainder. */
static unsigned divide_by_ten(unsigned char *bytes, size_t len)
{
    unsigned rest = 0;
    for (size_t i = 0; i < len; i++) {
        rest = rest << 8 | bytes[i];
        bytes[i] = (unsigned char)(rest / 10);
        rest %= 10;
    }
    return rest;
}

static struct pql_value of_decimal(struct pql_slice given, uint32_t scale)
{
    unsigned char bytes[DECIMAL_BYTES_MAX];
    char digits[DECIMAL_BYTES_MAX * 3];
    size_t first = 0, at = sizeof digits;
    if (!given.len || given.len > sizeof bytes) return pql_null();
    memcpy(bytes, given.ptr, given.len);
    bool negative = negate_if_negative(bytes, given.len);
    do {
        while (first < given.len && !bytes[first]) first++;
        digits[--at] = (char)('0' + (int)divide_by_ten(bytes + first, given.len - first));
    } while (first < given.len);
    return pql_number(
        pql_json_scaled((struct pql_slice){digits + at, sizeof digits - at}, -(int64_t)scale, negative));
}

static struct pql_value of_uuid(struct pql_slice bytes, struct pql_arena *arena)
{
    static const char hex[] = "0123456789abcdef";
    char *text = pql_arena_alloc(arena, 36), *to = text;
    for (size_t i = 0; i < bytes.len; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
        *to++ = hex[(unsigned char)bytes.ptr[i] >> 4];
        *to++ = hex[(unsigned char)bytes.ptr[i] & 15];
    }
    return pql_text((struct pql_slice){text, 36});
}

struct pql_value pql_plan_bytes(enum pql_conversion conversion, uint32_t scale, struct pql_slice bytes,
                                struct pql_arena *arena)
{
    if (conversion == PQL_AS_DECIMAL) return of_decimal(bytes, scale);
    if (conversion == PQL_AS_UUID) return of_uuid(bytes, arena);
    return pql_text(bytes);
}

/* --- Reading --- */

struct run {
    const struct pql_plan *plan;
    const unsigned char *at, *end;
    struct pql_value *slots;
    struct pql_arena *scratch;
    uint64_t empty_items;
    const char *wrong;
    bool may_be_followed, walks_blocks;
};

static inline bool bad(struct run *r, const char *wrong)
{
    r->wrong = wrong;
    return false;
}

static inline size_t left(const struct run *r)
{
    return (size_t)(r->end - r->at);
}

static bool read_long_varint(struct run *r, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end) return bad(r, "the message ends inside a number");
        uint64_t byte = *r->at++;
        if (shift == 63 && byte > 1) break;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return bad(r, "a number of more than 64 bits");
}

static inline bool read_varint(struct run *r, uint64_t *out)
{
    if (r->at == r->end || *r->at >= 0x80) return read_long_varint(r, out);
    *out = *r->at++;
    return true;
}

static inline bool read_long(struct run *r, int64_t *out)
{
    uint64_t value = 0;
    if (!read_varint(r, &value)) return false;
    *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    return true;
}

static inline bool read_int(struct run *r, int64_t *out)
{
    const unsigned char *first = r->at;
    if (!read_long(r, out)) return false;
    return *out >= INT32_MIN && *out <= INT32_MAX && r->at - first <= 5
               ? true
               : bad(r, "an int of more than 32 bits");
}

static inline bool read_fixed(struct run *r, size_t size, struct pql_slice *out)
{
    if (left(r) < size) return bad(r, "the message ends inside a value");
    *out = (struct pql_slice){(const char *)r->at, size};
    r->at += size;
    return true;
}

static inline bool read_bytes(struct run *r, struct pql_slice *out)
{
    int64_t len;
    if (!read_long(r, &len)) return false;
    if (len < 0 || (uint64_t)len > left(r)) return bad(r, "a length beyond the end of the message");
    return read_fixed(r, (size_t)len, out);
}

static bool read_double(struct run *r, bool is_float, struct pql_value *out)
{
    struct pql_slice raw;
    uint64_t bits = 0;
    if (!read_fixed(r, is_float ? 4 : 8, &raw)) return false;
    for (size_t i = raw.len; i-- > 0;) bits = bits << 8 | (unsigned char)raw.ptr[i];
    uint32_t low = (uint32_t)bits;
    double wide;
    float narrow;
    memcpy(&wide, &bits, sizeof wide);
    memcpy(&narrow, &low, sizeof narrow);
    *out = of_double(is_float ? (double)narrow : wide);
    return true;
}

/* A text that is no JSON has no members. */
static void read_inside(const struct run *r, const struct pql_inside *inside, struct pql_slice text)
{
    struct pql_value *values = pql_arena_alloc(r->scratch, inside->count * sizeof *values);
    if (pql_json_plan_run(inside->plan, text.ptr, text.len, r->scratch, values, NULL)) return;
    for (size_t i = 0; i < inside->count; i++) r->slots[inside->slots[i]] = values[i];
}

static struct pql_value bytes_value(const struct run *r, const struct pql_op *op, struct pql_slice bytes)
{
    if (op->conversion == PQL_AS_IS) return pql_text(bytes);
    if (op->conversion != PQL_AS_JSON)
        return pql_plan_bytes((enum pql_conversion)op->conversion, op->more, bytes, r->scratch);
    read_inside(r, &r->plan->insides[op->more], bytes);
    return pql_text(bytes);
}

static bool run_bytes(struct run *r, const struct pql_op *op)
{
    struct pql_slice bytes;
    bool ok = op->code == PQL_OP_FIXED ? read_fixed(r, op->arg, &bytes) : read_bytes(r, &bytes);
    if (!ok || (op->slot < 0 && op->conversion != PQL_AS_JSON)) return ok;
    struct pql_value value = bytes_value(r, op, bytes);
    if (op->slot >= 0) r->slots[op->slot] = value;
    return true;
}

static bool run_integer(struct run *r, const struct pql_op *op)
{
    int64_t value;
    if (!(op->code == PQL_OP_INT ? read_int(r, &value) : read_long(r, &value))) return false;
    if (op->slot >= 0) r->slots[op->slot] = pql_plan_integer((enum pql_conversion)op->conversion, value);
    return true;
}

static bool run_boolean(struct run *r, const struct pql_op *op)
{
    if (r->at == r->end) return bad(r, "the message ends inside a value");
    if (*r->at > 1) return bad(r, "a boolean that is neither 0 nor 1");
    if (op->slot >= 0) r->slots[op->slot] = pql_bool(*r->at);
    r->at++;
    return true;
}

static bool run_enum(struct run *r, const struct pql_op *op)
{
    int64_t index;
    if (!read_int(r, &index)) return false;
    if (index < 0 || index >= op->arg) return bad(r, "an enum index without symbol");
    if (op->slot < 0) return true;
    struct pql_slice symbol = r->plan->symbols[op->more + index];
    if (!symbol.ptr) return bad(r, "a symbol that the reader's schema does not have");
    r->slots[op->slot] = pql_text(symbol);
    return true;
}

static bool run_floating(struct run *r, const struct pql_op *op)
{
    struct pql_value value;
    if (!read_double(r, op->code == PQL_OP_FLOAT, &value)) return false;
    if (op->slot >= 0) r->slots[op->slot] = value;
    return true;
}

/* --- Control --- */

/* A call, or an array or map in progress. */
struct frame {
    const struct pql_block *block;
    uint32_t return_pc;
    uint64_t items; /* left in the present block */
    size_t index;
    const unsigned char *block_end; /* where the block ends by its own word, or NULL */
};

/* The count of the next block of items; 0 at the end. Blocks with a size are skipped whole where nothing is
 * wanted. */
static bool read_block(struct run *r, struct frame *frame)
{
    const struct pql_block *block = frame->block;
    if (frame->block_end && frame->block_end != r->at)
        return bad(r, "a block whose size is not that of its items");
    for (;;) {
        int64_t count, size;
        frame->block_end = NULL;
        if (!read_long(r, &count)) return false;
        frame->items = (uint64_t)count;
        if (count >= 0) break;
        if (count == INT64_MIN) return bad(r, "a block of too many items");
        if (!read_long(r, &size)) return false;
        if (size < 0 || (uint64_t)size > left(r)) return bad(r, "a block beyond the end of the message");
        frame->items = (uint64_t)-count;
        frame->block_end = r->at + size;
        if (block->node || r->walks_blocks) break;
        r->at += size;
    }
    if (block->item_size_min)
        return frame->items <= left(r) / block->item_size_min ? true : bad(r, "a block of too many items");
    r->empty_items += frame->items;
    return frame->items <= PQL_PLAN_EMPTY_MAX && r->empty_items <= PQL_PLAN_EMPTY_MAX
               ? true
               : bad(r, "too many empty items");
}

/* Where the code for the value of a map's entry begins. */
static inline uint32_t entry_pc(const struct pql_block *block, struct pql_slice key)
{
    if (!(block->key_lengths >> (key.len < 63 ? key.len : 63) & 1)) return block->skip_pc;
    const struct pql_path_node *node = pql_path_find(block->node, key);
    return node ? block->pcs[node->id - block->node->id] : block->skip_pc;
}

/* To the code of the next item, or, where the array or map ends, back to the caller of its routine. */
static bool next_item(struct run *r, uint32_t *pc, struct frame **top)
{
    struct frame *frame = *top - 1;
    const struct pql_block *block = frame->block;
    struct pql_slice key;
    if (!frame->items && !read_block(r, frame)) return false;
    if (!frame->items) {
        *pc = frame->return_pc;
        *top = frame;
        return true;
    }
    frame->items--;
    *pc = block->skip_pc;
    if (block->is_map) {
        if (!read_bytes(r, &key)) return false;
        *pc = entry_pc(block, key);
    } else if (block->node) {
        const struct pql_path_node *node = pql_path_at(block->node, frame->index++);
        if (node) *pc = block->pcs[node->id - block->node->id];
    }
    return true;
}

static bool run_union(struct run *r, const struct pql_op *op, uint32_t *pc)
{
    int64_t branch;
    if (!read_long(r, &branch)) return false;
    if (branch < 0 || branch >= op->arg) return bad(r, "a union index without branch");
    *pc = r->plan->targets[op->more + branch];
    return true;
}

/* --- The loop ---
 *
 * What nearly every message consists of is done here with `at` in a register: texts and union branches whose
 * number is one byte, longs well before the end, entries of a map. All else, and everything that may be
 * wrong, goes the careful way above, which reads the same bytes again. */

/* The text whose length is the single byte at `at`, or false. */
static inline bool short_text(const unsigned char *at, const unsigned char *end, struct pql_slice *out)
{
    if (at == end || (*at & 0x81) || (size_t)(end - at) <= (size_t)*at >> 1) return false;
    *out = (struct pql_slice){(const char *)at + 1, (size_t)*at >> 1};
    return true;
}

enum { LONG_BYTES_MAX = 10 };

/* A long of at most 9 bytes where at least LONG_BYTES_MAX are left; 0, or how many bytes it has. */
static inline unsigned short_long(const unsigned char *at, const unsigned char *end, int64_t *out)
{
    uint64_t value = 0;
    if (end - at < LONG_BYTES_MAX) return 0;
    for (unsigned i = 0; i < LONG_BYTES_MAX - 1; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] >= 0x80) continue;
        *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        return i + 1;
    }
    return 0;
}

/* The operations that are not done in the loop. top: behind the innermost frame; a block that ends is left.
 */
static bool run_careful(struct run *r, const struct pql_op *op, uint32_t *pc, struct frame **top)
{
    switch ((enum pql_op_code)op->code) {
    case PQL_OP_BOOLEAN: return run_boolean(r, op);
    case PQL_OP_INT:
    case PQL_OP_LONG: return run_integer(r, op);
    case PQL_OP_FLOAT:
    case PQL_OP_DOUBLE: return run_floating(r, op);
    case PQL_OP_BYTES:
    case PQL_OP_FIXED: return run_bytes(r, op);
    case PQL_OP_ENUM: return run_enum(r, op);
    case PQL_OP_UNION: return run_union(r, op, pc);
    case PQL_OP_BLOCK: /* the first thing of a routine, so the frame is there */
        (*top)[-1].block = &r->plan->blocks[op->arg];
        return next_item(r, pc, top);
    case PQL_OP_NEXT: return next_item(r, pc, top);
    case PQL_OP_FAIL: return bad(r, r->plan->messages[op->arg]);
    case PQL_OP_CONST:
    case PQL_OP_JUMP:
    case PQL_OP_CALL:
    case PQL_OP_RETURN:
    case PQL_OP_END: break;
    }
    return true;
}

static bool run_ops(struct run *r)
{
    struct frame frames[PQL_PLAN_DEPTH_MAX], *top = frames;
    const struct pql_op *ops = r->plan->ops;
    const unsigned char *at = r->at, *const end = r->end;
    for (uint32_t pc = 0;;) {
        const struct pql_op *op = &ops[pc++];
        struct pql_slice text;
        int64_t number;
        unsigned size;
        switch ((enum pql_op_code)op->code) {
        case PQL_OP_BYTES:
            if (op->conversion != PQL_AS_IS || !short_text(at, end, &text)) break;
            if (op->slot >= 0) r->slots[op->slot] = pql_text(text);
            at += 1 + text.len;
            continue;
        case PQL_OP_LONG:
            if (!(size = short_long(at, end, &number))) break;
            if (op->slot >= 0)
                r->slots[op->slot] = pql_plan_integer((enum pql_conversion)op->conversion, number);
            at += size;
            continue;
        case PQL_OP_UNION:
            if (at == end || (*at & 0x81) || *at >> 1 >= op->arg) break;
            pc = r->plan->targets[op->more + (*at++ >> 1)];
            continue;
        case PQL_OP_NEXT:
            if (!top[-1].items || !top[-1].block->is_map || !short_text(at, end, &text)) break;
            top[-1].items--;
            pc = entry_pc(top[-1].block, text);
            at += 1 + text.len;
            continue;
        case PQL_OP_CONST: r->slots[op->slot] = r->plan->constants[op->arg]; continue;
        case PQL_OP_JUMP: pc = op->arg; continue;
        case PQL_OP_CALL:
            r->at = at;
            if (top == frames + PQL_PLAN_DEPTH_MAX) return bad(r, "nested too deep");
            *top++ = (struct frame){.return_pc = pc};
            pc = op->arg;
            continue;
        case PQL_OP_RETURN: pc = (--top)->return_pc; continue;
        case PQL_OP_END:
            r->at = at;
            return at == end || r->may_be_followed ? true : bad(r, "something follows the value");
        case PQL_OP_BOOLEAN:
        case PQL_OP_INT:
        case PQL_OP_FLOAT:
        case PQL_OP_DOUBLE:
        case PQL_OP_FIXED:
        case PQL_OP_ENUM:
        case PQL_OP_BLOCK:
        case PQL_OP_FAIL: break;
        }
        r->at = at;
        if (!run_careful(r, op, &pc, &top)) return false;
        at = r->at;
    }
}

/* --- Plans --- */

struct pql_plan *pql_plan_new(const struct pql_schema *writer, const struct pql_schema *reader,
                              const struct pql_slice *wanted, size_t count, struct pql_err *err)
{
    struct pql_plan *plan = pql_xcalloc(1, sizeof *plan);
    pql_arena_init(&plan->arena);
    plan->paths = pql_paths_new(wanted, count);
    if (!plan->paths) {
        PQL_FAIL(err, PQL_ERR_RECORD, "a wanted path is malformed");
    } else if (pql_plan_compile(plan, pql_schema_root(writer), reader ? pql_schema_root(reader) : NULL,
                                pql_schema_count(writer), err) == 0) {
        return plan;
    }
    pql_plan_free(plan);
    return NULL;
}

void pql_plan_free(struct pql_plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->insides_count; i++) pql_json_plan_free(plan->insides[i].plan);
    pql_paths_free(plan->paths);
    pql_arena_deinit(&plan->arena);
    free(plan->ops);
    free(plan->targets);
    free(plan->blocks);
    free(plan->insides);
    free(plan->symbols);
    free(plan->constants);
    free(plan->messages);
    free(plan);
}

bool pql_plan_may_have(const struct pql_plan *plan, size_t slot)
{
    for (size_t i = 0; i < plan->ops_count; i++) {
        const struct pql_op *op = &plan->ops[i];
        if (op->slot < 0 || (size_t)op->slot != slot) continue;
        /* A null constant undoes the value of a map's key that comes twice, or stands for no default. */
        if (op->code != PQL_OP_CONST || plan->constants[op->arg].kind != PQL_NULL) return true;
    }
    for (size_t i = 0; i < plan->insides_count; i++)
        for (size_t k = 0; k < plan->insides[i].count; k++)
            if ((size_t)plan->insides[i].slots[k] == slot) return true;
    return false;
}

static int run(struct run *r, const void *bytes, size_t len, struct pql_err *err)
{
    const unsigned char *at = len ? bytes : (const unsigned char *)"";
    r->at = at;
    r->end = at + len;
    for (size_t i = 0, count = pql_paths_slots(r->plan->paths); i < count; i++) r->slots[i] = pql_null();
    if (run_ops(r)) return 0;
    pql_err_set(err, PQL_ERR_RECORD, __FILE__, __LINE__, "byte %zu: %s", (size_t)(r->at - at), r->wrong);
    if (err) err->reason = pql_rejects[PQL_REJECT_BAD_AVRO].word;
    return -1;
}

int pql_plan_run(const struct pql_plan *plan, const void *bytes, size_t len, struct pql_arena *scratch,
                 struct pql_value *slots, struct pql_err *err)
{
    struct run r = {.plan = plan, .slots = slots, .scratch = scratch};
    return run(&r, bytes, len, err);
}

int pql_plan_run_first(const struct pql_plan *plan, const void *bytes, size_t len, size_t *used,
                       struct pql_arena *scratch, struct pql_value *slots, struct pql_err *err)
{
    struct run r = {.plan = plan, .slots = slots, .scratch = scratch, .may_be_followed = true};
    if (run(&r, bytes, len, err)) return -1;
    *used = len - (size_t)(r.end - r.at);
    return 0;
}

int pql_plan_check(const struct pql_plan *plan, const void *bytes, size_t len, struct pql_err *err)
{
    PQL_ASSERT(pql_paths_slots(plan->paths) == 0);
    struct run r = {.plan = plan, .walks_blocks = true};
    return run(&r, bytes, len, err);
}
