/* mapping.h - from decoded fields to an event: compiled once per (mapping, program).
 *
 *   paths of the mapping + names of the program ─► wanted paths (what decoders deliver, one slot each)
 *   slots + headers + key ─► struct pql_event, or a named reason to reject
 *
 * A path is text with dots: "properties.plan"; keys of records, maps and JSON objects, indexes of arrays, and
 * through JSON text inside a string. "header:name" and "key" read the message's. "traits.*" stands for every
 * name the program asks for. */
#ifndef PQL_CORE_WIRE_MAPPING_H
#define PQL_CORE_WIRE_MAPPING_H

#include "base/diag.h"
#include "core/event.h"

enum pql_time_unit { PQL_UNIT_MS, PQL_UNIT_S, PQL_UNIT_US };

/* A value as a time: ISO 8601, or a number in that unit. False: it is none. */
bool pql_time_of_value(const struct pql_value *value, enum pql_time_unit unit, bool assume_utc, int64_t *ms);

/* A list of paths: the first that is present wins. */
struct pql_path_list {
    const struct pql_source *paths;
    size_t count;
};

/* One mapping of the configuration: plain data. An empty list: the field is not mapped. */
struct pql_mapping_conf {
    struct pql_slice name;
    const char *file; /* where it is written; NULL: it ships with the program */
    int line, column;
    struct pql_path_list kind, event, account, user, time, id, previous_user, value, properties, attributes;
    struct pql_path_list account_attributes; /* where not the same as those of users; presets alone say so */
    enum pql_time_unit time_unit;
    bool time_from_broker;  /* time = "timestamp": the record's own */
    bool assume_utc;        /* a time without offset is UTC, not an error */
    bool group_has_no_user; /* of a group event the user's id is none of a member; presets alone say so */
    /* Values of the kind field and what they mean; without an entry the kind's own name is meant. Segment's
     * "page" and "screen" are track with the event name "page_viewed", say. From "*": every other value. */
    const struct pql_kind_alias {
        struct pql_slice from;
        enum pql_event_kind kind;
        struct pql_slice event; /* or empty: the event field */
    } * kinds;
    size_t kinds_count;
    const struct pql_rename {
        struct pql_slice from, to;
    } * renames;
    size_t renames_count;
};

/* A mapping that ships with the program (preset.c has one row each), or NULL. Static storage. */
const struct pql_mapping_conf *pql_mapping_preset(struct pql_slice name);
/* Their names, NULL at the end. */
extern const char *const pql_mapping_preset_names[];

struct pql_header {
    struct pql_slice name, value;
};

/* What a message has beside its value. Headers are asked for only if the mapping wants one. */
struct pql_message {
    struct pql_slice key;
    bool has_key;
    const struct pql_header *headers;
    size_t headers_count;
    int64_t timestamp_ms; /* the broker's, or PQL_NO_TIME (-2^63) */
    uint32_t input;
    int32_t partition;
    int64_t offset;
    bool has_user_events; /* identify and forget of a user may lack the account: they are in all partitions */
};

struct pql_mapping;

/* NULL after errors in diags. All texts are copied, but for those of names, which must outlive the mapping.
 */
struct pql_mapping *pql_mapping_new(const struct pql_mapping_conf *conf, const struct pql_names *names,
                                    struct pql_diags *diags);
void pql_mapping_free(struct pql_mapping *mapping);

/* The paths whose values pql_mapping_apply wants in slots, in this order. */
const struct pql_slice *pql_mapping_wanted(const struct pql_mapping *mapping, size_t *count);
bool pql_mapping_wants_headers(const struct pql_mapping *mapping);

/* slots: one value per wanted path, null where absent. event's arrays live in scratch. On -1 err->reason is
 * one of no_event, no_account, bad_time … (see reasons.h) and err->msg says it in words;
 * class PQL_ERR_RECORD. Allocates nothing but from scratch. */
int pql_mapping_apply(const struct pql_mapping *mapping, const struct pql_value *slots,
                      const struct pql_message *message, struct pql_arena *scratch, struct pql_event *event,
                      struct pql_err *err) PQL_CHECKED;

#endif
