#include "io/registry_reply.h"

#include "base/memory.h"
#include <jansson.h>
#include <stdlib.h>

enum { DEPTH_MAX = 64 };

static json_t *load_object(struct pql_slice body, struct pql_err *err)
{
    json_error_t where;
    json_t *root = json_loadb(body.ptr ? body.ptr : "", body.len, 0, &where);
    if (!root) {
        PQL_FAIL(err, PQL_ERR_RETRY, "the answer is not JSON: %s at byte %d of %zu", where.text,
                 where.position, body.len);
        return NULL;
    }
    if (json_is_object(root)) return root;
    json_decref(root);
    PQL_FAIL(err, PQL_ERR_RETRY, "the answer is not a JSON object");
    return NULL;
}

static char *copy_string(const json_t *string)
{
    return pql_xstrndup(json_string_value(string), json_string_length(string));
}

static int read_references(const json_t *list, struct pql_registry_schema *schema, struct pql_err *err)
{
    size_t count = json_array_size(list); /* 0 where the member is absent or null */
    if (count > PQL_REGISTRY_REFERENCES_MAX)
        return PQL_FAIL(err, PQL_ERR_RECORD, "the schema has %zu references, at most %d are read", count,
                        PQL_REGISTRY_REFERENCES_MAX);
    schema->references = pql_xcalloc(count, sizeof *schema->references);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i), *subject = json_object_get(item, "subject");
        const json_t *version = json_object_get(item, "version");
        if (!json_is_string(subject) || !json_is_integer(version))
            return PQL_FAIL(err, PQL_ERR_RETRY, "reference %zu of the schema lacks subject or version", i);
        schema->references[i].subject = copy_string(subject);
        schema->references[i].version = json_integer_value(version);
        schema->references_count++;
    }
    return 0;
}

int pql_registry_parse_schema(struct pql_slice body, struct pql_registry_schema *out, struct pql_err *err)
{
    json_t *root = load_object(body, err);
    if (!root) return -1;
    int result = -1;
    struct pql_registry_schema schema = {0};
    const json_t *type = json_object_get(root, "schemaType"), *text = json_object_get(root, "schema");
    if (json_is_string(type) && strcmp(json_string_value(type), "AVRO") != 0) {
        PQL_FAIL(err, PQL_ERR_RECORD, "the schema is of type %.40s, only AVRO can be read",
                 json_string_value(type));
        goto out;
    }
    if (!json_is_string(text) || json_string_length(text) == 0) {
        PQL_FAIL(err, PQL_ERR_RETRY, "the answer has no text in 'schema'");
        goto out;
    }
    if (read_references(json_object_get(root, "references"), &schema, err)) goto out;
    schema.text = copy_string(text);
    *out = schema;
    schema = (struct pql_registry_schema){0};
    result = 0;
out:
    pql_registry_schema_deinit(&schema);
    json_decref(root);
    return result;
}

void pql_registry_schema_deinit(struct pql_registry_schema *schema)
{
    for (size_t i = 0; i < schema->references_count; i++) free(schema->references[i].subject);
    free(schema->references);
    free(schema->text);
    *schema = (struct pql_registry_schema){0};
}

int pql_registry_parse_id(struct pql_slice body, uint32_t *id, struct pql_err *err)
{
    json_t *root = load_object(body, err);
    if (!root) return -1;
    const json_t *member = json_object_get(root, "id");
    json_int_t value = json_is_integer(member) ? json_integer_value(member) : -1;
    json_decref(root);
    if (value < 0 || value > UINT32_MAX)
        return PQL_FAIL(err, PQL_ERR_RETRY, "the answer has no 'id' of 4 bytes");
    *id = (uint32_t)value;
    return 0;
}

/* The text on one line without control characters, cut to fit. */
static void one_line(const json_t *text, char out[200])
{
    const char *from = json_is_string(text) ? json_string_value(text) : "";
    size_t len = 0;
    for (; from[len] && len < 199; len++) out[len] = (unsigned char)from[len] < 0x20 ? ' ' : from[len];
    out[len] = 0;
}

int pql_registry_parse_compatible(struct pql_slice body, bool *compatible, char why[200], struct pql_err *err)
{
    json_t *root = load_object(body, err);
    if (!root) return -1;
    const json_t *member = json_object_get(root, "is_compatible");
    bool known = json_is_boolean(member), value = json_is_true(member);
    if (known) {
        one_line(json_array_get(json_object_get(root, "messages"), 0), why);
        *compatible = value;
    }
    json_decref(root);
    return known ? 0 : PQL_FAIL(err, PQL_ERR_RETRY, "the answer has no 'is_compatible'");
}

int64_t pql_registry_parse_error(struct pql_slice body, char message[200])
{
    message[0] = 0;
    json_t *root = load_object(body, NULL);
    if (!root) return 0;
    one_line(json_object_get(root, "message"), message);
    int64_t code = json_integer_value(json_object_get(root, "error_code")); /* 0 where it is no integer */
    json_decref(root);
    return code;
}

/* --- references put in place ---
 * Named types are known by full name: the enclosing namespace applies to names without a dot (Avro 1.11,
 * "Names"). A definition that moves into another schema states its namespace, also an empty one, or it would
 * inherit there. */

struct expansion {
    json_t *definitions; /* full name to definition, from the other schemas; borrowed inside them */
    json_t *known;       /* full names defined so far in the result */
    struct pql_err *err;
};

static bool is_primitive(const char *name)
{
    static const char *const names[] = {"null",  "boolean", "int",   "long",
                                        "float", "double",  "bytes", "string"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static bool is_definition(const json_t *schema)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (!type || !json_is_string(json_object_get(schema, "name"))) return false;
    return strcmp(type, "record") == 0 || strcmp(type, "error") == 0 || strcmp(type, "enum") == 0 ||
           strcmp(type, "fixed") == 0;
}

static json_t *full_name(const char *name, const char *space)
{
    return strchr(name, '.') || !*space ? json_string(name) : json_sprintf("%s.%s", space, name);
}

static json_t *definition_name(json_t *schema, const char *space)
{
    const char *own = json_string_value(json_object_get(schema, "namespace"));
    return full_name(json_string_value(json_object_get(schema, "name")), own ? own : space);
}

/* The namespace of a full name, as text of its own. */
static json_t *space_of(const json_t *name)
{
    const char *text = json_string_value(name), *dot = strrchr(text, '.');
    return json_stringn(text, dot ? (size_t)(dot - text) : 0);
}

static json_t *expand(struct expansion *expansion, json_t *schema, const char *space, int depth);

static json_t *expand_list(struct expansion *expansion, json_t *list, const char *space, int depth)
{
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_array_append_new(out, expand(expansion, json_array_get(list, i), space, depth + 1))) {
            json_decref(out);
            return NULL;
        }
    return out;
}

/* A copy of an object in which the schema at `place`, if there is one, is expanded. */
static json_t *expand_at(struct expansion *expansion, json_t *object, const char *place, const char *space,
                         int depth)
{
    json_t *out = json_copy(object), *inner = json_object_get(object, place);
    if (!inner || json_object_set_new(out, place, expand(expansion, inner, space, depth + 1)) == 0)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *expand_fields(struct expansion *expansion, json_t *record, const char *space, int depth)
{
    json_t *fields = json_object_get(record, "fields"), *out = json_copy(record), *copies = json_array();
    json_object_set_new(out, "fields", copies);
    for (size_t i = 0; i < json_array_size(fields); i++)
        if (json_array_append_new(
                copies, expand_at(expansion, json_array_get(fields, i), "type", space, depth + 1))) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static json_t *expand_definition(struct expansion *expansion, json_t *schema, const char *space, int depth)
{
    json_t *name = definition_name(schema, space);
    if (json_object_get(expansion->known, json_string_value(name))) return name;
    json_object_set_new(expansion->known, json_string_value(name), json_true());
    json_t *inner_space = space_of(name);
    json_t *out = json_is_array(json_object_get(schema, "fields"))
                      ? expand_fields(expansion, schema, json_string_value(inner_space), depth)
                      : json_copy(schema);
    if (out && !strchr(json_string_value(json_object_get(schema, "name")), '.'))
        json_object_set(out, "namespace", inner_space);
    json_decref(inner_space);
    json_decref(name);
    return out;
}

static json_t *expand_name(struct expansion *expansion, const char *text, const char *space, int depth)
{
    if (is_primitive(text)) return json_string(text);
    json_t *name = full_name(text, space);
    const char *key = json_string_value(name);
    json_t *definition = json_object_get(expansion->definitions, key);
    if (json_object_get(expansion->known, key) || !definition) return name;
    json_t *home = space_of(name);
    json_t *out = expand_definition(expansion, definition, json_string_value(home), depth);
    json_decref(home);
    json_decref(name);
    return out;
}

/* NULL if it is no schema or nested too deeply; jansson's setters take NULL for a failure and pass it on. */
static json_t *expand(struct expansion *expansion, json_t *schema, const char *space, int depth)
{
    if (depth > DEPTH_MAX) {
        PQL_FAIL(expansion->err, PQL_ERR_RECORD, "the schema with its references is nested deeper than %d",
                 DEPTH_MAX);
        return NULL;
    }
    if (json_is_string(schema)) return expand_name(expansion, json_string_value(schema), space, depth);
    if (json_is_array(schema)) return expand_list(expansion, schema, space, depth);
    if (is_definition(schema)) return expand_definition(expansion, schema, space, depth);
    if (json_is_object(schema)) {
        const char *type = json_string_value(json_object_get(schema, "type"));
        const char *place = !type                    ? "type"
                            : !strcmp(type, "array") ? "items"
                            : !strcmp(type, "map")   ? "values"
                                                     : "type";
        return expand_at(expansion, schema, place, space, depth);
    }
    PQL_FAIL(expansion->err, PQL_ERR_RECORD, "the schema holds something that is no schema");
    return NULL;
}

/* Notes every definition inside a schema under its full name. */
static void collect(json_t *definitions, json_t *schema, const char *space, int depth)
{
    if (!schema || depth > DEPTH_MAX) return;
    size_t i;
    json_t *item;
    if (json_is_array(schema)) {
        json_array_foreach(schema, i, item) collect(definitions, item, space, depth + 1);
        return;
    }
    json_t *inner_space = NULL;
    if (is_definition(schema)) {
        json_t *name = definition_name(schema, space);
        json_object_set(definitions, json_string_value(name), schema);
        inner_space = space_of(name);
        json_decref(name);
        space = json_string_value(inner_space);
        json_array_foreach(json_object_get(schema, "fields"), i, item)
            collect(definitions, json_object_get(item, "type"), space, depth + 1);
    }
    collect(definitions, json_object_get(schema, "items"), space, depth + 1);
    collect(definitions, json_object_get(schema, "values"), space, depth + 1);
    json_decref(inner_space);
}

static json_t *load_schema(const char *text, struct pql_err *err)
{
    json_error_t where;
    json_t *schema = json_loads(text, JSON_DECODE_ANY, &where);
    if (!schema) PQL_FAIL(err, PQL_ERR_RECORD, "the schema is not JSON: %s", where.text);
    return schema;
}

int pql_registry_inline(const char *text, const char *const *others, size_t others_count, char **out,
                        struct pql_err *err)
{
    int result = -1;
    struct expansion expansion = {json_object(), json_object(), err};
    json_t *expanded = NULL, *schema = load_schema(text, err);
    if (!schema) goto out;
    for (size_t i = 0; i < others_count; i++) {
        json_t *other = load_schema(others[i], err);
        if (!other) goto out;
        collect(expansion.definitions, other, "", 0);
        json_decref(other);
    }
    expanded = expand(&expansion, schema, "", 0);
    if (!expanded) goto out;
    *out = json_dumps(expanded, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    result =
        *out ? 0 : PQL_FAIL(err, PQL_ERR_RECORD, "the schema with its references cannot be written as JSON");
out:
    json_decref(expanded);
    json_decref(schema);
    json_decref(expansion.definitions);
    json_decref(expansion.known);
    return result;
}
