/* Writer schema, reader schema and wanted paths to operations. Only what is wanted is resolved; the rest is
 * skipped. Records, arrays and maps are compiled once for each (writer, reader, path) and called, so that the
 * plan is no larger than schema times paths, whatever refers to what. */
#include "core/wire/json.h"
#include "core/wire/plan_ops.h"
#include <jansson.h>
#include <stdlib.h>

enum { ROUTINES_MAX = 16384 };
#define NO_PC UINT32_MAX

/* Code that is called: of `writer` read as `reader` (or NULL) for the paths below `node` (NULL: skipped). */
struct routine {
    const struct pql_avro *writer, *reader;
    const struct pql_path_node *node;
    uint32_t pc; /* where its code begins, once it is compiled */
};

struct compiler {
    struct pql_plan *plan;
    struct pql_err *err;
    struct routine *routines;
    size_t routines_count, routines_capacity;
    uint32_t *skips; /* by writer id: the routine that skips it, or NO_PC */
    bool failed;
};

/* --- Emitting --- */

static int fail(struct compiler *c, const char *what, struct pql_slice name)
{
    if (!c->failed)
        pql_err_set(c->err, PQL_ERR_RECORD, __FILE__, __LINE__, "%s '%.*s'", what, PQL_SLICE_ARG(name));
    c->failed = true;
    return -1;
}

static uint32_t here(const struct compiler *c)
{
    return (uint32_t)c->plan->ops_count;
}

static struct pql_op *emit(struct compiler *c, enum pql_op_code code, int32_t slot, uint32_t arg,
                           uint32_t more)
{
    struct pql_plan *plan = c->plan;
    if (plan->ops_count == PQL_PLAN_OPS_MAX) {
        if (!c->failed)
            pql_err_set(c->err, PQL_ERR_RECORD, __FILE__, __LINE__, "the schema is too large for a plan");
        c->failed = true;
        plan->ops_count = 0; /* what is compiled on is thrown away */
    }
    plan->ops = pql_xgrow(plan->ops, &plan->ops_capacity, plan->ops_count + 1, sizeof *plan->ops);
    plan->ops[plan->ops_count] = (struct pql_op){(uint8_t)code, PQL_AS_IS, slot, arg, more};
    return &plan->ops[plan->ops_count++];
}

static void emit_fail(struct compiler *c, const char *message)
{
    struct pql_plan *plan = c->plan;
    plan->messages =
        pql_xgrow(plan->messages, &plan->messages_capacity, plan->messages_count + 1, sizeof *plan->messages);
    plan->messages[plan->messages_count] = message;
    emit(c, PQL_OP_FAIL, PQL_PATH_NO_SLOT, (uint32_t)plan->messages_count++, 0);
}

static void emit_constant(struct compiler *c, int32_t slot, struct pql_value value)
{
    struct pql_plan *plan = c->plan;
    plan->constants = pql_xgrow(plan->constants, &plan->constants_capacity, plan->constants_count + 1,
                                sizeof *plan->constants);
    plan->constants[plan->constants_count] = value;
    emit(c, PQL_OP_CONST, slot, (uint32_t)plan->constants_count++, 0);
}

static bool is_called(const struct pql_avro *type)
{
    return type->type == PQL_AVRO_RECORD || type->type == PQL_AVRO_ARRAY || type->type == PQL_AVRO_MAP;
}

static uint32_t new_routine(struct compiler *c, struct routine routine)
{
    if (c->routines_count >= ROUTINES_MAX + PQL_SCHEMA_NODES_MAX) {
        fail(c, "too many paths through the schema, at", routine.writer->name);
        return 0;
    }
    c->routines = pql_xgrow(c->routines, &c->routines_capacity, c->routines_count + 1, sizeof *c->routines);
    c->routines[c->routines_count] = routine;
    return (uint32_t)c->routines_count++;
}

/* A call's arg is the number of the routine until all are compiled. */
static void emit_call(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *reader,
                      const struct pql_path_node *node)
{
    uint32_t found = NO_PC;
    if (!node) {
        if (c->skips[writer->id] == NO_PC)
            c->skips[writer->id] = new_routine(c, (struct routine){writer, NULL, NULL, NO_PC});
        found = c->skips[writer->id];
    }
    for (uint32_t i = 0; found == NO_PC && i < c->routines_count; i++)
        if (c->routines[i].node == node && c->routines[i].writer == writer && c->routines[i].reader == reader)
            found = i;
    if (found == NO_PC) found = new_routine(c, (struct routine){writer, reader, node, NO_PC});
    emit(c, PQL_OP_CALL, PQL_PATH_NO_SLOT, found, 0);
}

/* --- What matches what --- */

static bool promotes(enum pql_avro_type writer, enum pql_avro_type reader)
{
    switch (writer) {
    case PQL_AVRO_INT:
        return reader == PQL_AVRO_LONG || reader == PQL_AVRO_FLOAT || reader == PQL_AVRO_DOUBLE;
    case PQL_AVRO_LONG: return reader == PQL_AVRO_FLOAT || reader == PQL_AVRO_DOUBLE;
    case PQL_AVRO_FLOAT: return reader == PQL_AVRO_DOUBLE;
    case PQL_AVRO_STRING: return reader == PQL_AVRO_BYTES;
    case PQL_AVRO_BYTES: return reader == PQL_AVRO_STRING;
    case PQL_AVRO_NULL:
    case PQL_AVRO_BOOLEAN:
    case PQL_AVRO_DOUBLE:
    case PQL_AVRO_RECORD:
    case PQL_AVRO_ENUM:
    case PQL_AVRO_ARRAY:
    case PQL_AVRO_MAP:
    case PQL_AVRO_UNION:
    case PQL_AVRO_FIXED:
    case PQL_AVRO_TYPE_COUNT: return false;
    }
    return false;
}

static bool names_match(const struct pql_avro *writer, const struct pql_avro *reader)
{
    if (pql_slice_eq(pql_avro_short_name(writer->name), pql_avro_short_name(reader->name))) return true;
    for (size_t i = 0; i < reader->aliases_count; i++)
        if (pql_slice_eq(reader->aliases[i], writer->name)) return true;
    return false;
}

static bool same_type(const struct pql_avro *writer, const struct pql_avro *reader)
{
    return writer->type == reader->type && writer->size == reader->size &&
           (!writer->name.ptr || names_match(writer, reader));
}

/* The branch of a reader's union for what the writer wrote: of the very type if there is one (by full name
 * before the short one), else the first that it can be promoted to. */
static const struct pql_avro *reader_branch(const struct pql_avro *writer, const struct pql_avro *reader)
{
    const struct pql_avro *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < reader->branches_count; i++) {
        const struct pql_avro *branch = reader->branches[i];
        bool same = same_type(writer, branch);
        int rank = same && pql_slice_eq(writer->name, branch->name) ? 3
                   : same                                           ? 2
                                                                    : promotes(writer->type, branch->type);
        if (rank <= best_rank) continue;
        best = branch;
        best_rank = rank;
    }
    return best;
}

/* --- Defaults --- */

static int emit_default(struct compiler *c, const struct pql_avro *type, const json_t *json,
                        const struct pql_path_node *node);

/* The bytes of a default are written as characters U+0000 to U+00FF. */
static bool bytes_of_default(struct pql_arena *arena, const json_t *json, struct pql_slice *out)
{
    const unsigned char *from = (const unsigned char *)json_string_value(json);
    size_t len = json_string_length(json), n = 0;
    char *to = pql_arena_alloc(arena, len);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = from[i];
        if (c >= 0x80) {
            if (c > 0xc3 || i + 1 == len) return false;
            c = (unsigned char)((c & 3) << 6 | (from[++i] & 0x3f));
        }
        to[n++] = (char)c;
    }
    *out = (struct pql_slice){to, n};
    return true;
}

/* A JSON number as an integer or a double of the default's type. */
static bool number_of_default(const struct pql_avro *type, const json_t *json, struct pql_value *out)
{
    pql_decimal number;
    if (type->type == PQL_AVRO_FLOAT || type->type == PQL_AVRO_DOUBLE) {
        double value = json_number_value(json);
        if (type->type == PQL_AVRO_FLOAT) value = (double)(float)value;
        if (!json_is_number(json)) return false;
        *out = pql_decimal_of_double(value, &number) ? pql_number(number) : pql_null();
        return true;
    }
    json_int_t value = json_integer_value(json);
    if (!json_is_integer(json) || (type->type == PQL_AVRO_INT && (value < INT32_MIN || value > INT32_MAX)))
        return false;
    *out = pql_plan_integer(pql_plan_conversion(type, type), value);
    return true;
}

static bool symbol_of_default(const struct pql_avro *type, const json_t *json)
{
    for (size_t i = 0; i < type->symbols_count; i++)
        if (json_is_string(json) && pql_slice_is(type->symbols[i], json_string_value(json))) return true;
    return false;
}

static bool bytes_default(struct compiler *c, const struct pql_avro *type, const json_t *json,
                          struct pql_value *out)
{
    struct pql_slice bytes;
    if (!json_is_string(json) || !bytes_of_default(&c->plan->arena, json, &bytes)) return false;
    if (type->type == PQL_AVRO_FIXED && bytes.len != type->size) return false;
    *out = pql_plan_bytes(pql_plan_conversion(type, type), (uint32_t)type->scale, bytes, &c->plan->arena);
    return true;
}

/* False if json is no default of that type. */
static bool scalar_of_default(struct compiler *c, const struct pql_avro *type, const json_t *json,
                              struct pql_value *out)
{
    struct pql_arena *arena = &c->plan->arena;
    *out = pql_null();
    switch (type->type) {
    case PQL_AVRO_NULL: return json_is_null(json);
    case PQL_AVRO_BOOLEAN: *out = pql_bool(json_is_true(json)); return json_is_boolean(json);
    case PQL_AVRO_INT:
    case PQL_AVRO_LONG:
    case PQL_AVRO_FLOAT:
    case PQL_AVRO_DOUBLE: return number_of_default(type, json, out);
    case PQL_AVRO_BYTES:
    case PQL_AVRO_FIXED: return bytes_default(c, type, json, out);
    case PQL_AVRO_ENUM:
        if (!symbol_of_default(type, json)) return false;
        *out = pql_text(pql_arena_copy(arena, pql_slice_of(json_string_value(json))));
        return true;
    case PQL_AVRO_STRING:
        if (!json_is_string(json)) return false;
        *out = pql_text(
            pql_arena_copy(arena, (struct pql_slice){json_string_value(json), json_string_length(json)}));
        return true;
    case PQL_AVRO_RECORD:
    case PQL_AVRO_MAP: return json_is_object(json);
    case PQL_AVRO_ARRAY: return json_is_array(json);
    case PQL_AVRO_UNION:
    case PQL_AVRO_TYPE_COUNT: break;
    }
    return false;
}

static int emit_record_default(struct compiler *c, const struct pql_avro *type, const json_t *json,
                               const struct pql_path_node *node)
{
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct pql_avro_field *field = &type->fields[i];
        const struct pql_path_node *kid = pql_path_find(node, field->name);
        const json_t *value = json_object_get(json, field->name.ptr);
        if (!value) value = field->default_value;
        if (kid && !value) return fail(c, "the default of a record lacks the field", field->name);
        if (kid && emit_default(c, field->type, value, kid)) return -1;
    }
    return 0;
}

static int emit_kids_default(struct compiler *c, const struct pql_avro *type, const json_t *json,
                             const struct pql_path_node *node)
{
    for (size_t i = 0; i < node->kids_count; i++) {
        const struct pql_path_node *kid = node->kids[i];
        const json_t *value = NULL;
        if (type->type == PQL_AVRO_MAP) value = json_object_get(json, kid->name.ptr);
        if (type->type == PQL_AVRO_ARRAY && kid->index >= 0) value = json_array_get(json, (size_t)kid->index);
        if (value && emit_default(c, type->items, value, kid)) return -1;
    }
    return 0;
}

/* As deep as the wanted paths. A union's default belongs to its first branch; later versions of the
 * specification allow any, so the first that fits is taken. */
static int emit_default(struct compiler *c, const struct pql_avro *type, const json_t *json,
                        const struct pql_path_node *node)
{
    struct pql_value value;
    for (size_t i = 0; type->type == PQL_AVRO_UNION && i < type->branches_count; i++)
        if (scalar_of_default(c, type->branches[i], json, &value)) type = type->branches[i];
    if (!scalar_of_default(c, type, json, &value))
        return fail(c, "the default is not of its type, at", node->name);
    if (node->slot >= 0) emit_constant(c, node->slot, value);
    if (type->type == PQL_AVRO_RECORD) return emit_record_default(c, type, json, node);
    return type->items ? emit_kids_default(c, type, json, node) : 0;
}

/* --- Values --- */

static void compile_value(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *reader,
                          const struct pql_path_node *node);

static void compile_enum(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *reader,
                         int32_t slot)
{
    struct pql_plan *plan = c->plan;
    uint32_t first = (uint32_t)plan->symbols_count, count = (uint32_t)writer->symbols_count;
    emit(c, PQL_OP_ENUM, slot, count, first);
    if (slot < 0) return;
    plan->symbols = pql_xgrow(plan->symbols, &plan->symbols_capacity, first + count, sizeof *plan->symbols);
    for (size_t i = 0; i < count; i++) {
        struct pql_slice symbol = writer->symbols[i], found = reader ? (struct pql_slice){NULL, 0} : symbol;
        for (size_t j = 0; reader && j < reader->symbols_count; j++)
            if (pql_slice_eq(reader->symbols[j], symbol)) found = symbol;
        if (!found.ptr && reader && reader->default_symbol >= 0)
            found = reader->symbols[reader->default_symbol];
        plan->symbols[plan->symbols_count++] = found.ptr ? pql_arena_copy(&plan->arena, found) : found;
    }
}

/* Paths below a text, as a plan for JSON. As deep as the paths. */
static void collect_inside(struct pql_arena *arena, const struct pql_path_node *node, const char *prefix,
                           struct pql_slice *paths, int32_t *slots, size_t *count)
{
    for (size_t i = 0; i < node->kids_count; i++) {
        const struct pql_path_node *kid = node->kids[i];
        const char *path = pql_arena_printf(arena, "%s%.*s", prefix, PQL_SLICE_ARG(kid->name));
        if (kid->slot >= 0) {
            paths[*count] = pql_slice_of(path);
            slots[(*count)++] = kid->slot;
        }
        collect_inside(arena, kid, pql_arena_printf(arena, "%s.", path), paths, slots, count);
    }
}

static uint32_t add_inside(struct compiler *c, const struct pql_path_node *node)
{
    struct pql_plan *plan = c->plan;
    size_t most = pql_paths_slots(plan->paths), count = 0;
    struct pql_slice *paths = pql_arena_zalloc(&plan->arena, most * sizeof *paths);
    int32_t *slots = pql_arena_zalloc(&plan->arena, most * sizeof *slots);
    collect_inside(&plan->arena, node, "", paths, slots, &count);
    plan->insides =
        pql_xgrow(plan->insides, &plan->insides_capacity, plan->insides_count + 1, sizeof *plan->insides);
    plan->insides[plan->insides_count] = (struct pql_inside){pql_json_plan_new(paths, count), slots, count};
    return (uint32_t)plan->insides_count++;
}

static void compile_bytes(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *as,
                          const struct pql_path_node *node)
{
    enum pql_op_code code = writer->type == PQL_AVRO_FIXED ? PQL_OP_FIXED : PQL_OP_BYTES;
    int32_t slot = as->logical == PQL_LOGICAL_DURATION ? PQL_PATH_NO_SLOT : node->slot;
    bool inside = node->kids_count && as->logical == PQL_LOGICAL_NONE;
    uint32_t more = inside ? add_inside(c, node) : (uint32_t)as->scale;
    struct pql_op *op = emit(c, code, slot, (uint32_t)writer->size, more);
    op->conversion = (uint8_t)(inside ? PQL_AS_JSON : pql_plan_conversion(writer, as));
}

/* reader: of the same type, or one that writer is promoted to, or NULL. */
static void compile_scalar(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *reader,
                           const struct pql_path_node *node)
{
    static const enum pql_op_code codes[] = {
        [PQL_AVRO_BOOLEAN] = PQL_OP_BOOLEAN, [PQL_AVRO_INT] = PQL_OP_INT,       [PQL_AVRO_LONG] = PQL_OP_LONG,
        [PQL_AVRO_FLOAT] = PQL_OP_FLOAT,     [PQL_AVRO_DOUBLE] = PQL_OP_DOUBLE,
    };
    const struct pql_avro *as = reader ? reader : writer;
    if (writer->type == PQL_AVRO_NULL) return;
    if (writer->type == PQL_AVRO_ENUM)
        compile_enum(c, writer, reader, node->slot);
    else if (writer->type == PQL_AVRO_FIXED || writer->type == PQL_AVRO_BYTES ||
             writer->type == PQL_AVRO_STRING)
        compile_bytes(c, writer, as, node);
    else
        emit(c, codes[writer->type], node->slot, 0, 0)->conversion = (uint8_t)pql_plan_conversion(writer, as);
}

static void compile_union(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *reader,
                          const struct pql_path_node *node)
{
    struct pql_plan *plan = c->plan;
    uint32_t count = (uint32_t)writer->branches_count, first = (uint32_t)plan->targets_count;
    plan->targets =
        pql_xgrow(plan->targets, &plan->targets_capacity, first + 2 * count, sizeof *plan->targets);
    plan->targets_count += 2 * count; /* the second half holds the jumps to mend */
    emit(c, PQL_OP_UNION, PQL_PATH_NO_SLOT, count, first);
    for (uint32_t i = 0; i < count; i++) {
        plan->targets[first + i] = here(c);
        compile_value(c, writer->branches[i], reader, node);
        plan->targets[first + count + i] = here(c);
        emit(c, PQL_OP_JUMP, PQL_PATH_NO_SLOT, 0, 0);
    }
    for (uint32_t i = 0; i < count && !c->failed; i++)
        plan->ops[plan->targets[first + count + i]].arg = here(c);
}

/* The reader's type that a value of the writer's, which is no union, is read as, or NULL. */
static const struct pql_avro *resolved(const struct pql_avro *writer, const struct pql_avro *reader)
{
    if (reader->type == PQL_AVRO_UNION) return reader_branch(writer, reader);
    return same_type(writer, reader) || promotes(writer->type, reader->type) ? reader : NULL;
}

/* node NULL: skipped. */
static void compile_value(struct compiler *c, const struct pql_avro *writer, const struct pql_avro *reader,
                          const struct pql_path_node *node)
{
    static const struct pql_path_node nothing = {.slot = PQL_PATH_NO_SLOT, .index = PQL_PATH_NO_INDEX};
    const struct pql_avro *as =
        reader && node && writer->type != PQL_AVRO_UNION ? resolved(writer, reader) : NULL;
    if (c->failed || (!node && !writer->min_size)) return;
    if (writer->type == PQL_AVRO_UNION)
        compile_union(c, writer, reader, node);
    else if (reader && node && !as)
        emit_fail(c, pql_arena_printf(&c->plan->arena,
                                      "a value of type %s, which the reader's schema does not take",
                                      pql_avro_type_names[writer->type]));
    else if (is_called(writer))
        emit_call(c, writer, as, node);
    else
        compile_scalar(c, writer, as, node ? node : &nothing);
}

/* --- Routines --- */

static const struct pql_avro_field *field_named(const struct pql_avro *record, struct pql_slice name)
{
    for (size_t i = 0; i < record->fields_count; i++)
        if (pql_slice_eq(record->fields[i].name, name)) return &record->fields[i];
    return NULL;
}

/* The writer's field that a reader's field is read from: by name, else by alias. */
static const struct pql_avro_field *written_field(const struct pql_avro *writer,
                                                  const struct pql_avro_field *field)
{
    const struct pql_avro_field *found = field_named(writer, field->name);
    for (size_t i = 0; !found && i < field->aliases_count; i++)
        found = field_named(writer, field->aliases[i]);
    return found;
}

static void compile_record(struct compiler *c, const struct routine *r)
{
    const struct pql_avro *writer = r->writer, *reader = r->reader;
    const struct pql_avro_field **from = pql_xcalloc(writer->fields_count, sizeof *from);
    for (size_t i = 0; r->node && reader && i < reader->fields_count; i++) {
        const struct pql_avro_field *field = &reader->fields[i], *written = written_field(writer, field);
        const struct pql_path_node *kid = pql_path_find(r->node, field->name);
        if (written) from[written - writer->fields] = field;
        if (written || !kid) continue;
        if (!field->default_value)
            fail(c, "neither the writer's schema nor a default has the field", field->name);
        else
            (void)emit_default(c, field->type, field->default_value, kid);
    }
    for (size_t i = 0; i < writer->fields_count; i++) {
        const struct pql_avro_field *field = reader ? from[i] : &writer->fields[i];
        const struct pql_path_node *kid = field && r->node ? pql_path_find(r->node, field->name) : NULL;
        compile_value(c, writer->fields[i].type, reader && field ? field->type : NULL, kid);
    }
    free(from);
    emit(c, PQL_OP_RETURN, PQL_PATH_NO_SLOT, 0, 0);
}

/* A repeated key of a map undoes the first. */
static void emit_clear(struct compiler *c, const struct pql_path_node *node)
{
    if (node->slot >= 0) emit_constant(c, node->slot, pql_null());
    for (size_t i = 0; i < node->kids_count; i++) emit_clear(c, node->kids[i]);
}

static uint32_t compile_item(struct compiler *c, const struct routine *r, const struct pql_path_node *node)
{
    uint32_t pc = here(c);
    if (node && r->writer->type == PQL_AVRO_MAP) emit_clear(c, node);
    compile_value(c, r->writer->items, r->reader ? r->reader->items : NULL, node);
    emit(c, PQL_OP_NEXT, PQL_PATH_NO_SLOT, 0, 0);
    return pc;
}

/* Lengths of the keys, those with dots included, by which nodes below one are reached. */
static uint64_t key_lengths(const struct pql_path_node *node, size_t before)
{
    uint64_t lengths = 0;
    for (size_t i = 0; i < node->kids_count; i++) {
        size_t len = before + node->kids[i]->name.len;
        lengths |= UINT64_C(1) << (len < 63 ? len : 63) | key_lengths(node->kids[i], len + 1);
    }
    return lengths;
}

/* Ids of the nodes below one follow each other. A key with dots reaches nodes further down. */
static void compile_items(struct compiler *c, const struct routine *r, const struct pql_path_node *top,
                          const struct pql_path_node *node, uint32_t *pcs)
{
    for (size_t i = 0; i < node->kids_count; i++) {
        const struct pql_path_node *kid = node->kids[i];
        pcs[kid->id - top->id] = compile_item(c, r, kid);
        if (r->writer->type == PQL_AVRO_MAP) compile_items(c, r, top, kid, pcs);
    }
}

static void compile_block(struct compiler *c, const struct routine *r)
{
    struct pql_plan *plan = c->plan;
    bool is_map = r->writer->type == PQL_AVRO_MAP;
    uint32_t index = (uint32_t)plan->blocks_count;
    struct pql_block block = {.is_map = is_map, .item_size_min = r->writer->items->min_size + is_map};
    plan->blocks = pql_xgrow(plan->blocks, &plan->blocks_capacity, index + 1, sizeof *plan->blocks);
    plan->blocks_count++;
    emit(c, PQL_OP_BLOCK, PQL_PATH_NO_SLOT, index, 0);
    block.skip_pc = compile_item(c, r, NULL);
    if (r->node && r->node->kids_count) {
        uint32_t *pcs = pql_arena_zalloc(&plan->arena, pql_paths_count(plan->paths) * sizeof *pcs);
        compile_items(c, r, r->node, r->node, pcs);
        block.node = r->node;
        block.key_lengths = key_lengths(r->node, 0);
        block.pcs = pcs;
    }
    plan->blocks[index] = block;
}

int pql_plan_compile(struct pql_plan *plan, const struct pql_avro *writer, const struct pql_avro *reader,
                     size_t writer_nodes, struct pql_err *err)
{
    struct compiler c = {.plan = plan, .err = err, .skips = pql_xcalloc(writer_nodes, sizeof *c.skips)};
    for (size_t i = 0; i < writer_nodes; i++) c.skips[i] = NO_PC;
    compile_value(&c, writer, reader, pql_paths_root(plan->paths));
    emit(&c, PQL_OP_END, PQL_PATH_NO_SLOT, 0, 0);
    for (size_t i = 0; i < c.routines_count && !c.failed; i++) {
        struct routine routine = c.routines[i]; /* compiling adds others */
        c.routines[i].pc = here(&c);
        if (routine.writer->type == PQL_AVRO_RECORD)
            compile_record(&c, &routine);
        else
            compile_block(&c, &routine);
    }
    for (size_t i = 0; i < plan->ops_count && !c.failed; i++)
        if (plan->ops[i].code == PQL_OP_CALL) plan->ops[i].arg = c.routines[plan->ops[i].arg].pc;
    free(c.routines);
    free(c.skips);
    return c.failed ? -1 : 0;
}
