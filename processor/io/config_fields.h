/* config_fields.h - what groups of the configuration are read into where that is not the final struct. */
#ifndef PQL_IO_CONFIG_FIELDS_H
#define PQL_IO_CONFIG_FIELDS_H

#include "io/config.h"

struct pql_config_unit {
    const char *name;
    int64_t size;
};

struct root_fields {
    struct pql_config config; /* first: rows of struct pql_config are at the same offsets */
    struct pql_path_list schemas, definition_files;
};

struct input_fields {
    struct pql_input_conf conf; /* first */
    struct pql_source mapping;
};

struct mapping_fields {
    struct pql_mapping_conf conf;
    struct pql_source preset, ignore;
    struct pql_path_list activity, start_events;
};

struct kind_fields {
    struct pql_source from, kind, event;
};

struct period_fields {
    struct pql_period_conf conf;
    struct pql_source name;
};

struct pair_fields {
    struct pql_source from, to;
};

struct definition_fields {
    struct pql_definition_conf conf;
    struct pql_path_list context, include_attributes;
    const char *owner, *description;
    struct pql_source review_by, timezone;
};

struct choice_fields {
    struct pql_source to, is, when;
};

struct parameter_fields {
    struct pql_source name, by;
};

#endif
