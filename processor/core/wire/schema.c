#include "core/wire/schema.h"

#include "base/memory.h"
#include <jansson.h>
#include <stdlib.h>
#include <xxhash.h>

const char *const pql_avro_type_names[PQL_AVRO_TYPE_COUNT] = {
    [PQL_AVRO_NULL] = "null",   [PQL_AVRO_BOOLEAN] = "boolean", [PQL_AVRO_INT] = "int",
    [PQL_AVRO_LONG] = "long",   [PQL_AVRO_FLOAT] = "float",     [PQL_AVRO_DOUBLE] = "double",
    [PQL_AVRO_BYTES] = "bytes", [PQL_AVRO_STRING] = "string",   [PQL_AVRO_RECORD] = "record",
    [PQL_AVRO_ENUM] = "enum",   [PQL_AVRO_ARRAY] = "array",     [PQL_AVRO_MAP] = "map",
    [PQL_AVRO_UNION] = "union", [PQL_AVRO_FIXED] = "fixed",
};

struct pql_schema {
    struct pql_arena arena;
    json_t *json; /* defaults are views of it */
    const struct pql_avro *root;
    struct pql_avro **nodes;
    size_t nodes_count, nodes_capacity;
};

struct named {
    uint64_t hash;
    const struct pql_avro *node;
};

/* Where in the schema the parser is, for messages: a list from the innermost step outwards. */
struct place {
    const struct place *outer;
    const char *step; /* "fields", "type", "items" */
    size_t index;     /* of a list, or NO_INDEX */
};
#define NO_INDEX SIZE_MAX

struct parse {
    struct pql_schema *schema;
    struct pql_err *err;
    struct named *names;
    size_t names_count, names_capacity;
    int depth;
};

/* --- Messages --- */

static void put_place(struct pql_buf *out, const struct place *place)
{
    if (!place) return;
    put_place(out, place->outer);
    if (out->len && place->step[0]) pql_buf_u8(out, '.');
    pql_buf_text(out, place->step);
    if (place->index != NO_INDEX) pql_buf_printf(out, "[%zu]", place->index);
}

static void *fail(struct parse *p, const struct place *place, const char *what, struct pql_slice name)
{
    struct pql_buf at = {0};
    put_place(&at, place);
    pql_buf_text(&at, at.len ? ": " : "");
    pql_buf_u8(&at, 0);
    pql_err_set(p->err, PQL_ERR_RECORD, __FILE__, __LINE__, name.ptr ? "%s%s '%.*s'" : "%s%s", at.ptr, what,
                PQL_SLICE_ARG(name));
    pql_buf_deinit(&at);
    return NULL;
}

static void *fail_plain(struct parse *p, const struct place *place, const char *what)
{
    return fail(p, place, what, (struct pql_slice){NULL, 0});
}

/* --- Reading members --- */

static struct pql_slice text_of(const json_t *json)
{
    if (!json_is_string(json)) return (struct pql_slice){NULL, 0};
    return (struct pql_slice){json_string_value(json), json_string_length(json)};
}

static struct pql_slice member_text(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

/* --- Names --- */

static bool is_name(struct pql_slice name)
{
    if (!name.len || (name.ptr[0] >= '0' && name.ptr[0] <= '9')) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static const char *last_dot(struct pql_slice name)
{
    for (size_t i = name.len; i-- > 0;)
        if (name.ptr[i] == '.') return name.ptr + i;
    return NULL;
}

struct pql_slice pql_avro_short_name(struct pql_slice full)
{
    const char *dot = last_dot(full);
    return dot ? (struct pql_slice){dot + 1, (size_t)(full.ptr + full.len - dot - 1)} : full;
}

static struct pql_slice space_of(struct pql_slice full)
{
    const char *dot = last_dot(full);
    return dot ? (struct pql_slice){full.ptr, (size_t)(dot - full.ptr)} : (struct pql_slice){"", 0};
}

static bool is_full_name(struct pql_slice name)
{
    for (;;) {
        const char *dot = memchr(name.ptr, '.', name.len);
        if (!dot) return is_name(name);
        if (!is_name((struct pql_slice){name.ptr, (size_t)(dot - name.ptr)})) return false;
        name = (struct pql_slice){dot + 1, (size_t)(name.ptr + name.len - dot - 1)};
    }
}

/* A name with a dot is full; else it is in the given namespace. */
static struct pql_slice full_name(struct parse *p, struct pql_slice name, struct pql_slice space)
{
    struct pql_arena *arena = &p->schema->arena;
    if (last_dot(name) || !space.len) return pql_arena_copy(arena, name);
    return pql_slice_of(pql_arena_printf(arena, "%.*s.%.*s", PQL_SLICE_ARG(space), PQL_SLICE_ARG(name)));
}

static const struct pql_avro *find_named(const struct parse *p, struct pql_slice full)
{
    uint64_t hash = XXH3_64bits(full.ptr, full.len);
    for (size_t i = 0; i < p->names_count; i++)
        if (p->names[i].hash == hash && pql_slice_eq(p->names[i].node->name, full)) return p->names[i].node;
    return NULL;
}

static void add_named(struct parse *p, const struct pql_avro *node)
{
    p->names = pql_xgrow(p->names, &p->names_capacity, p->names_count + 1, sizeof *p->names);
    p->names[p->names_count++] = (struct named){XXH3_64bits(node->name.ptr, node->name.len), node};
}

/* A list of texts, each copied; as full names of the namespace unless it is NULL. False after an error. */
static bool read_names(struct parse *p, const json_t *list, const struct place *place,
                       const struct pql_slice *space, const struct pql_slice **out, size_t *count)
{
    size_t n = json_array_size(list);
    if (list && !json_is_array(list)) return fail_plain(p, place, "is no list");
    if (n > PQL_SCHEMA_FIELDS_MAX) return fail_plain(p, place, "is too long a list");
    struct pql_slice *names = pql_arena_zalloc(&p->schema->arena, n * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        struct pql_slice name = text_of(json_array_get(list, i));
        if (!name.ptr || !(space ? is_full_name(name) : is_name(name)))
            return fail(p, place, "holds no name:", name);
        names[i] = full_name(p, name, space ? *space : (struct pql_slice){"", 0});
        for (size_t j = 0; j < i; j++)
            if (pql_slice_eq(names[i], names[j])) return fail(p, place, "holds twice", name);
    }
    *out = names;
    *count = n;
    return true;
}

/* --- Nodes --- */

static struct pql_avro *new_node(struct parse *p, enum pql_avro_type type)
{
    struct pql_schema *schema = p->schema;
    struct pql_avro *node = pql_arena_zalloc(&schema->arena, sizeof *node);
    node->type = type;
    node->default_symbol = -1;
    node->id = (uint32_t)schema->nodes_count;
    schema->nodes =
        pql_xgrow(schema->nodes, &schema->nodes_capacity, schema->nodes_count + 1, sizeof *schema->nodes);
    schema->nodes[schema->nodes_count++] = node;
    return node;
}

static const struct pql_avro *parse_type(struct parse *p, const json_t *json, struct pql_slice space,
                                         const struct place *place);

static bool is_primitive(enum pql_avro_type type)
{
    return type <= PQL_AVRO_STRING;
}

static bool type_of_word(struct pql_slice word, enum pql_avro_type *out)
{
    for (int type = 0; type < PQL_AVRO_TYPE_COUNT; type++)
        if (pql_slice_is(word, pql_avro_type_names[type])) {
            *out = (enum pql_avro_type)type;
            return true;
        }
    *out = PQL_AVRO_RECORD;
    return pql_slice_is(word, "error"); /* of protocols: a record */
}

/* --- Logical types: which fit which type. --- */

static const struct {
    const char *word;
    enum pql_avro_type type;
} logicals[PQL_LOGICAL_COUNT] = {
    [PQL_LOGICAL_DATE] = {"date", PQL_AVRO_INT},
    [PQL_LOGICAL_TIME_MILLIS] = {"time-millis", PQL_AVRO_INT},
    [PQL_LOGICAL_TIME_MICROS] = {"time-micros", PQL_AVRO_LONG},
    [PQL_LOGICAL_TIMESTAMP_MILLIS] = {"timestamp-millis", PQL_AVRO_LONG},
    [PQL_LOGICAL_TIMESTAMP_MICROS] = {"timestamp-micros", PQL_AVRO_LONG},
    [PQL_LOGICAL_TIMESTAMP_NANOS] = {"timestamp-nanos", PQL_AVRO_LONG},
    [PQL_LOGICAL_LOCAL_TIMESTAMP_MILLIS] = {"local-timestamp-millis", PQL_AVRO_LONG},
    [PQL_LOGICAL_LOCAL_TIMESTAMP_MICROS] = {"local-timestamp-micros", PQL_AVRO_LONG},
    [PQL_LOGICAL_LOCAL_TIMESTAMP_NANOS] = {"local-timestamp-nanos", PQL_AVRO_LONG},
    [PQL_LOGICAL_DECIMAL] = {"decimal", PQL_AVRO_BYTES}, /* or fixed */
    [PQL_LOGICAL_UUID] = {"uuid", PQL_AVRO_STRING},      /* or fixed of 16 bytes */
    [PQL_LOGICAL_DURATION] = {"duration", PQL_AVRO_FIXED},
};

static bool logical_fits(const struct pql_avro *node, enum pql_avro_logical logical)
{
    if (logical == PQL_LOGICAL_DECIMAL && node->type == PQL_AVRO_FIXED) return true;
    if (logical == PQL_LOGICAL_UUID && node->type == PQL_AVRO_FIXED) return node->size == 16;
    if (logical == PQL_LOGICAL_DURATION && node->size != 12) return false;
    return logicals[logical].type == node->type;
}

static bool decimal_is_valid(const json_t *json, int *scale)
{
    const json_t *given = json_object_get(json, "scale");
    json_int_t precision = json_integer_value(json_object_get(json, "precision"));
    json_int_t value = json_integer_value(given);
    if ((given && !json_is_integer(given)) || precision < 1 || value < 0 || value > precision ||
        precision > 1000000)
        return false;
    *scale = (int)value;
    return true;
}

static void read_logical(struct pql_avro *node, const json_t *json)
{
    struct pql_slice word = member_text(json, "logicalType");
    for (int logical = PQL_LOGICAL_NONE + 1; word.ptr && logical < PQL_LOGICAL_COUNT; logical++) {
        if (!pql_slice_is(word, logicals[logical].word) ||
            !logical_fits(node, (enum pql_avro_logical)logical))
            continue;
        if (logical == PQL_LOGICAL_DECIMAL && !decimal_is_valid(json, &node->scale)) continue;
        node->logical = (enum pql_avro_logical)logical;
    }
}

/* --- Named types --- */

static struct pql_avro *parse_named(struct parse *p, const json_t *json, enum pql_avro_type type,
                                    struct pql_slice space, const struct place *place)
{
    struct pql_slice name = member_text(json, "name"), own = member_text(json, "namespace");
    if (!name.ptr) return fail_plain(p, place, "has no name");
    if (!is_full_name(name)) return fail(p, place, "cannot have the name", name);
    if (own.ptr && own.len && !is_full_name(own)) return fail(p, place, "cannot have the namespace", own);
    struct pql_avro *node = new_node(p, type);
    node->name = full_name(p, name, own.ptr ? own : space);
    enum pql_avro_type word;
    if (type_of_word(node->name, &word) && is_primitive(word))
        return fail(p, place, "cannot have the name", name);
    if (find_named(p, node->name)) return fail(p, place, "defines again", node->name);
    add_named(p, node);
    struct pql_slice inner = space_of(node->name);
    struct place aliases = {place, "aliases", NO_INDEX};
    if (!read_names(p, json_object_get(json, "aliases"), &aliases, &inner, &node->aliases,
                    &node->aliases_count))
        return NULL;
    return node;
}

static bool parse_field(struct parse *p, const json_t *json, struct pql_slice space,
                        const struct place *place, struct pql_avro_field *field)
{
    if (!json_is_object(json)) return fail_plain(p, place, "is no object");
    struct pql_slice name = member_text(json, "name");
    if (!name.ptr) return fail_plain(p, place, "has no name");
    if (!is_name(name)) return fail(p, place, "cannot have the name", name);
    struct place aliases = {place, "aliases", NO_INDEX}, type = {place, "type", NO_INDEX};
    if (!read_names(p, json_object_get(json, "aliases"), &aliases, NULL, &field->aliases,
                    &field->aliases_count))
        return false;
    field->name = pql_arena_copy(&p->schema->arena, name);
    field->default_value = json_object_get(json, "default");
    field->type = parse_type(p, json_object_get(json, "type"), space, &type);
    return field->type != NULL;
}

static const struct pql_avro *parse_record(struct parse *p, const json_t *json, struct pql_slice space,
                                           const struct place *place)
{
    struct pql_avro *node = parse_named(p, json, PQL_AVRO_RECORD, space, place);
    const json_t *list = json_object_get(json, "fields");
    size_t count = json_array_size(list);
    if (!node) return NULL;
    if (!json_is_array(list)) return fail_plain(p, place, "needs a list of fields");
    if (count > PQL_SCHEMA_FIELDS_MAX) return fail_plain(p, place, "has too many fields");
    struct pql_avro_field *fields = pql_arena_zalloc(&p->schema->arena, count * sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        struct place at = {place, "fields", i};
        if (!parse_field(p, json_array_get(list, i), space_of(node->name), &at, &fields[i])) return NULL;
        for (size_t j = 0; j < i; j++)
            if (pql_slice_eq(fields[i].name, fields[j].name))
                return fail(p, &at, "is a second field", fields[i].name);
    }
    node->fields = fields;
    node->fields_count = count;
    return node;
}

static const struct pql_avro *parse_enum(struct parse *p, const json_t *json, struct pql_slice space,
                                         const struct place *place)
{
    struct pql_avro *node = parse_named(p, json, PQL_AVRO_ENUM, space, place);
    struct pql_slice chosen = member_text(json, "default");
    struct place symbols = {place, "symbols", NO_INDEX};
    if (!node) return NULL;
    if (!read_names(p, json_object_get(json, "symbols"), &symbols, NULL, &node->symbols,
                    &node->symbols_count))
        return NULL;
    if (!node->symbols_count) return fail_plain(p, place, "needs a list of symbols");
    for (size_t i = 0; chosen.ptr && i < node->symbols_count; i++)
        if (pql_slice_eq(node->symbols[i], chosen)) node->default_symbol = (int32_t)i;
    if (chosen.ptr && node->default_symbol < 0)
        return fail(p, place, "has a default that is no symbol:", chosen);
    return node;
}

static const struct pql_avro *parse_fixed(struct parse *p, const json_t *json, struct pql_slice space,
                                          const struct place *place)
{
    struct pql_avro *node = parse_named(p, json, PQL_AVRO_FIXED, space, place);
    const json_t *size = json_object_get(json, "size");
    if (!node) return NULL;
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > PQL_SCHEMA_FIXED_MAX)
        return fail_plain(p, place, "needs a size from 0 to 1048576");
    node->size = (size_t)json_integer_value(size);
    read_logical(node, json);
    return node;
}

/* --- The others --- */

static const struct pql_avro *parse_items(struct parse *p, const json_t *json, enum pql_avro_type type,
                                          struct pql_slice space, const struct place *place)
{
    const char *key = type == PQL_AVRO_ARRAY ? "items" : "values";
    struct place at = {place, key, NO_INDEX};
    struct pql_avro *node = new_node(p, type);
    node->items = parse_type(p, json_object_get(json, key), space, &at);
    return node->items ? node : NULL;
}

/* Two branches may not be told apart: the same type unnamed, or the same name. */
static bool same_branch(const struct pql_avro *a, const struct pql_avro *b)
{
    return a->type == b->type && pql_slice_eq(a->name, b->name);
}

static const struct pql_avro *parse_union(struct parse *p, const json_t *list, struct pql_slice space,
                                          const struct place *place)
{
    size_t count = json_array_size(list);
    if (!count) return fail_plain(p, place, "is an empty union");
    if (count > PQL_SCHEMA_FIELDS_MAX) return fail_plain(p, place, "has too many branches");
    struct pql_avro *node = new_node(p, PQL_AVRO_UNION);
    const struct pql_avro **branches = pql_arena_zalloc(&p->schema->arena, count * sizeof *branches);
    for (size_t i = 0; i < count; i++) {
        struct place at = {place, "", i};
        branches[i] = parse_type(p, json_array_get(list, i), space, &at);
        if (!branches[i]) return NULL;
        if (branches[i]->type == PQL_AVRO_UNION) return fail_plain(p, &at, "is a union inside a union");
        for (size_t j = 0; j < i; j++)
            if (same_branch(branches[i], branches[j]))
                return fail_plain(p, &at, "is a branch that the union has already");
    }
    node->branches = branches;
    node->branches_count = count;
    return node;
}

static const struct pql_avro *parse_word(struct parse *p, struct pql_slice word, const json_t *object,
                                         struct pql_slice space, const struct place *place)
{
    enum pql_avro_type type;
    if (!type_of_word(word, &type) || (!object && !is_primitive(type))) {
        const struct pql_avro *named = find_named(p, full_name(p, word, space));
        if (!named) named = find_named(p, word);
        return named ? named : fail(p, place, "is of an unknown type", word);
    }
    if (type == PQL_AVRO_RECORD) return parse_record(p, object, space, place);
    if (type == PQL_AVRO_ENUM) return parse_enum(p, object, space, place);
    if (type == PQL_AVRO_FIXED) return parse_fixed(p, object, space, place);
    if (type == PQL_AVRO_ARRAY || type == PQL_AVRO_MAP) return parse_items(p, object, type, space, place);
    if (type == PQL_AVRO_UNION) return fail(p, place, "is of an unknown type", word);
    struct pql_avro *node = new_node(p, type);
    if (object) read_logical(node, object);
    return node;
}

static const struct pql_avro *parse_object(struct parse *p, const json_t *json, struct pql_slice space,
                                           const struct place *place)
{
    struct pql_slice word = member_text(json, "type");
    struct place at = {place, "type", NO_INDEX};
    if (word.ptr) return parse_word(p, word, json, space, place);
    return parse_type(p, json_object_get(json, "type"), space,
                      &at); /* {"type": {"type": …}} means the inner one */
}

static const struct pql_avro *parse_type(struct parse *p, const json_t *json, struct pql_slice space,
                                         const struct place *place)
{
    const struct pql_avro *node = NULL;
    if (p->depth == PQL_SCHEMA_DEPTH_MAX) return fail_plain(p, place, "is nested too deep");
    if (p->schema->nodes_count == PQL_SCHEMA_NODES_MAX) return fail_plain(p, place, "is one type too many");
    p->depth++;
    if (json_is_string(json))
        node = parse_word(p, text_of(json), NULL, space, place);
    else if (json_is_object(json))
        node = parse_object(p, json, space, place);
    else if (json_is_array(json))
        node = parse_union(p, json, space, place);
    else
        fail_plain(p, place, json ? "is no type" : "is missing");
    p->depth--;
    return node;
}

/* --- The fewest bytes of a value --- */

enum { MIN_SIZE_MAX = 1 << 20, MIN_SIZE_ROUNDS = 64 };

static uint32_t sum_limited(uint32_t a, uint32_t b)
{
    return a + b < MIN_SIZE_MAX ? a + b : MIN_SIZE_MAX;
}

static uint32_t min_size(const struct pql_avro *node)
{
    uint32_t size = 0;
    switch (node->type) {
    case PQL_AVRO_NULL: return 0;
    case PQL_AVRO_BOOLEAN:
    case PQL_AVRO_INT:
    case PQL_AVRO_LONG:
    case PQL_AVRO_BYTES:
    case PQL_AVRO_STRING:
    case PQL_AVRO_ENUM:
    case PQL_AVRO_ARRAY:
    case PQL_AVRO_MAP: return 1;
    case PQL_AVRO_FLOAT: return 4;
    case PQL_AVRO_DOUBLE: return 8;
    case PQL_AVRO_FIXED: return sum_limited((uint32_t)node->size, 0);
    case PQL_AVRO_RECORD:
        for (size_t i = 0; i < node->fields_count; i++)
            size = sum_limited(size, node->fields[i].type->min_size);
        return size;
    case PQL_AVRO_UNION:
        size = MIN_SIZE_MAX;
        for (size_t i = 0; i < node->branches_count; i++)
            if (node->branches[i]->min_size < size) size = node->branches[i]->min_size;
        return sum_limited(size, 1);
    case PQL_AVRO_TYPE_COUNT: break;
    }
    return 0;
}

/* Every round from 0 upwards is a lower bound, so that stopping early (recursive schemas grow for ever) is
 * safe; but not while a type still turns out to have bytes at all: what is left at 0 has none, or no value of
 * an end. Inner types come later in nodes. */
static void set_min_sizes(struct pql_schema *schema)
{
    bool changed = true, found = true;
    for (int round = 0; found || (changed && round < MIN_SIZE_ROUNDS); round++) {
        changed = found = false;
        for (size_t i = schema->nodes_count; i-- > 0;) {
            uint32_t size = min_size(schema->nodes[i]), before = schema->nodes[i]->min_size;
            changed = changed || size != before;
            found = found || (size && !before);
            schema->nodes[i]->min_size = size;
        }
    }
}

/* --- Schemas --- */

struct pql_schema *pql_schema_parse(struct pql_slice text, struct pql_err *err)
{
    json_error_t fault;
    struct pql_schema *schema = pql_xcalloc(1, sizeof *schema);
    struct parse p = {.schema = schema, .err = err};
    pql_arena_init(&schema->arena);
    if (text.len > PQL_SCHEMA_TEXT_MAX) {
        fail_plain(&p, NULL, "the schema is longer than 1 MiB");
    } else if (!(schema->json = json_loadb(text.len ? text.ptr : "", text.len,
                                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault))) {
        pql_err_set(err, PQL_ERR_RECORD, __FILE__, __LINE__, "line %d, column %d: %s", fault.line,
                    fault.column, fault.text);
    } else {
        schema->root = parse_type(&p, schema->json, (struct pql_slice){"", 0}, NULL);
    }
    free(p.names);
    if (schema->root) {
        set_min_sizes(schema);
        return schema;
    }
    pql_schema_free(schema);
    return NULL;
}

void pql_schema_free(struct pql_schema *schema)
{
    if (!schema) return;
    json_decref(schema->json);
    pql_arena_deinit(&schema->arena);
    free(schema->nodes);
    free(schema);
}

const struct pql_avro *pql_schema_root(const struct pql_schema *schema)
{
    return schema->root;
}
size_t pql_schema_count(const struct pql_schema *schema)
{
    return schema->nodes_count;
}

/* --- Parsing Canonical Form. All names are plain, so nothing needs escapes. --- */

static void put_canonical(struct pql_buf *out, const struct pql_avro *node, bool *written);

static void put_named(struct pql_buf *out, const struct pql_avro *node, bool *written)
{
    written[node->id] = true;
    pql_buf_printf(out, "{\"name\":\"%.*s\",\"type\":\"%s\",", PQL_SLICE_ARG(node->name),
                   pql_avro_type_names[node->type]);
    if (node->type == PQL_AVRO_FIXED) {
        pql_buf_printf(out, "\"size\":%zu}", node->size);
        return;
    }
    pql_buf_text(out, node->type == PQL_AVRO_ENUM ? "\"symbols\":[" : "\"fields\":[");
    for (size_t i = 0; i < node->symbols_count; i++)
        pql_buf_printf(out, "%s\"%.*s\"", i ? "," : "", PQL_SLICE_ARG(node->symbols[i]));
    for (size_t i = 0; i < node->fields_count; i++) {
        pql_buf_printf(out, "%s{\"name\":\"%.*s\",\"type\":", i ? "," : "",
                       PQL_SLICE_ARG(node->fields[i].name));
        put_canonical(out, node->fields[i].type, written);
        pql_buf_u8(out, '}');
    }
    pql_buf_text(out, "]}");
}

/* As deep as the text of the schema: a named type is written out once. */
static void put_canonical(struct pql_buf *out, const struct pql_avro *node, bool *written)
{
    if (is_primitive(node->type)) {
        pql_buf_printf(out, "\"%s\"", pql_avro_type_names[node->type]);
    } else if (node->type == PQL_AVRO_UNION) {
        for (size_t i = 0; i < node->branches_count; i++) {
            pql_buf_u8(out, i ? ',' : '[');
            put_canonical(out, node->branches[i], written);
        }
        pql_buf_u8(out, ']');
    } else if (node->items) {
        bool is_array = node->type == PQL_AVRO_ARRAY;
        pql_buf_text(out, is_array ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":");
        put_canonical(out, node->items, written);
        pql_buf_u8(out, '}');
    } else if (written[node->id]) {
        pql_buf_printf(out, "\"%.*s\"", PQL_SLICE_ARG(node->name));
    } else {
        put_named(out, node, written);
    }
}

void pql_schema_canonical(const struct pql_schema *schema, struct pql_buf *out)
{
    bool *written = pql_xcalloc(schema->nodes_count, sizeof *written);
    put_canonical(out, schema->root, written);
    free(written);
}

uint64_t pql_crc64_avro(const void *bytes, size_t len)
{
    const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
    const unsigned char *at = bytes;
    uint64_t crc = empty;
    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (empty & -(crc & 1));
    }
    return crc;
}

uint64_t pql_schema_fingerprint(const struct pql_schema *schema)
{
    struct pql_buf text = {0};
    pql_schema_canonical(schema, &text);
    uint64_t fingerprint = pql_crc64_avro(text.ptr, text.len);
    pql_buf_deinit(&text);
    return fingerprint;
}
