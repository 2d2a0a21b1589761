#include "core/wire/schema_union.h"

#include "core/wire/schema.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_LEN = 1024 };

/* One of the schemas while its names are changed. Depth and sizes are known to be bounded: it was parsed. */
struct version {
    size_t number;
};

static bool is_primitive(const char *name)
{
    static const char *const names[] = {"null",  "boolean", "int",   "long",
                                        "float", "double",  "bytes", "string"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static bool is_named(const char *type)
{
    return strcmp(type, "record") == 0 || strcmp(type, "error") == 0 || strcmp(type, "enum") == 0 ||
           strcmp(type, "fixed") == 0;
}

/* "acme.Login", or "Login" in "acme": to "acme.v2.Login". */
static void rename_to(const struct version *version, const char *name, const char *namespace, char *out)
{
    const char *dot = strrchr(name, '.');
    int len = dot ? (int)(dot - name) : (int)strlen(namespace);
    snprintf(out, NAME_MAX_LEN, "%.*s%sv%zu.%s", len, dot ? name : namespace, len ? "." : "", version->number,
             dot ? dot + 1 : name);
}

static json_t *renamed(const struct version *version, json_t *type, const char *namespace);

static json_t *renamed_all(const struct version *version, json_t *list, const char *namespace)
{
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_array_append_new(out, renamed(version, json_array_get(list, i), namespace));
    return out;
}

static json_t *renamed_fields(const struct version *version, json_t *fields, const char *namespace)
{
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(fields); i++) {
        json_t *field = json_copy(json_array_get(fields, i));
        json_object_set_new(field, "type", renamed(version, json_object_get(field, "type"), namespace));
        json_array_append_new(out, field);
    }
    return out;
}

/* The namespace inside a named type: that of its full name. */
static void namespace_of(json_t *object, const char *outer, char *out)
{
    const char *name = json_string_value(json_object_get(object, "name")), *dot = strrchr(name, '.');
    const char *own = json_string_value(json_object_get(object, "namespace"));
    if (dot)
        snprintf(out, NAME_MAX_LEN, "%.*s", (int)(dot - name), name);
    else
        snprintf(out, NAME_MAX_LEN, "%s", own ? own : outer);
}

static json_t *renamed_named(const struct version *version, json_t *object, const char *outer)
{
    char namespace[NAME_MAX_LEN], name[NAME_MAX_LEN];
    namespace_of(object, outer, namespace);
    rename_to(version, json_string_value(json_object_get(object, "name")), namespace, name);
    json_t *out = json_copy(object);
    json_object_set_new(out, "name", json_string(name));
    json_object_del(out, "namespace");
    json_object_del(out, "aliases"); /* a writer's mean nothing to a reader */
    json_t *fields = json_object_get(object, "fields");
    if (fields) json_object_set_new(out, "fields", renamed_fields(version, fields, namespace));
    return out;
}

static json_t *renamed_object(const struct version *version, json_t *object, const char *namespace)
{
    json_t *type = json_object_get(object, "type");
    const char *word = json_string_value(type);
    if (word && is_named(word)) return renamed_named(version, object, namespace);
    json_t *out = json_copy(object);
    static const char *const inner[] = {"items", "values"};
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(object, inner[i]))
            json_object_set_new(out, inner[i],
                                renamed(version, json_object_get(object, inner[i]), namespace));
    bool is_container = word && (strcmp(word, "array") == 0 || strcmp(word, "map") == 0);
    if (!is_container) json_object_set_new(out, "type", renamed(version, type, namespace));
    return out;
}

static json_t *renamed(const struct version *version, json_t *type, const char *namespace)
{
    char name[NAME_MAX_LEN];
    if (json_is_array(type)) return renamed_all(version, type, namespace);
    if (json_is_object(type)) return renamed_object(version, type, namespace);
    const char *word = json_string_value(type);
    if (!word || is_primitive(word)) return json_incref(type);
    rename_to(version, word, namespace, name);
    return json_string(name);
}

static int append_branch(json_t *branches, struct pql_slice text, size_t number, struct pql_err *err)
{
    struct pql_schema *schema = pql_schema_parse(text, err);
    if (!schema) return -1;
    bool is_union = pql_schema_root(schema)->type == PQL_AVRO_UNION;
    pql_schema_free(schema);
    if (is_union)
        return PQL_FAIL(err, PQL_ERR_RECORD, "a schema that is a union cannot stand in another one");
    json_t *json = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);
    PQL_ASSERT(json); /* it was parsed */
    const struct version version = {number};
    json_array_append_new(branches, number > 1 ? renamed(&version, json, "") : json_incref(json));
    json_decref(json);
    return 0;
}

int pql_schema_union(const struct pql_slice *schemas, size_t count, struct pql_buf *out, struct pql_err *err)
{
    if (count == 1) {
        pql_buf_put(out, schemas[0].ptr, schemas[0].len);
        return 0;
    }
    json_t *branches = json_array();
    int result = 0;
    for (size_t i = 0; !result && i < count; i++) result = append_branch(branches, schemas[i], i + 1, err);
    char *text = result ? NULL : json_dumps(branches, JSON_COMPACT);
    if (text) {
        struct pql_schema *whole = pql_schema_parse(pql_slice_of(text), err); /* two of one unnamed type … */
        if (whole)
            pql_buf_text(out, text);
        else
            result = -1;
        pql_schema_free(whole);
    }
    free(text);
    json_decref(branches);
    return result;
}
