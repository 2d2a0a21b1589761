/* config_read.h - the parts of reading a configuration that share one state: config.c (whole), config_rules.c
 * (definitions, signals, parameters, mappings). */
#ifndef PQL_IO_CONFIG_READ_H
#define PQL_IO_CONFIG_READ_H

#include "io/config_options.h"

enum pql_config_names { PQL_CONFIG_ACTIVITY, PQL_CONFIG_START_EVENTS, PQL_CONFIG_NAMES_COUNT };

/* What may stand in several files, collected until all are read. */
struct pql_config_rules {
    struct pql_definition_conf *definitions;
    size_t definitions_count, definitions_capacity;
    struct pql_slice *off; /* names of definitions that are */
    size_t off_count, off_capacity;
    struct pql_lang_signal *signals;
    size_t signals_count, signals_capacity;
    struct pql_lang_parameter *parameters;
    size_t parameters_count, parameters_capacity;
    struct pql_config_mapping {
        struct pql_mapping_conf conf;
        struct pql_path_list names[PQL_CONFIG_NAMES_COUNT];
        struct pql_source ignore;
        const struct pql_period_conf *periods;
        size_t periods_count;
        const struct pql_label *labels;
        size_t labels_count;
    } * mappings;
    size_t mappings_count, mappings_capacity;
    size_t *used; /* mappings that inputs use, in order of first use; the others are no part of the program */
    size_t used_count, used_capacity;
};
void pql_config_rules_deinit(struct pql_config_rules *rules);

/* Adds what a tree holds of them. today_ms: review_by before it is warned about; PQL_NO_TIME: not compared.
 */
void pql_config_rules_read(const struct pql_options_reader *reader, const struct pql_setting *root,
                           int64_t today_ms, struct pql_config_rules *rules);

/* Of a definition: everything about its score. */
void pql_config_score_read(const struct pql_options_reader *reader, const struct pql_setting *definition,
                           struct pql_definition_conf *conf);

/* Marks the mapping of that name as used, a shipped one too; its index in config->mappings, or SIZE_MAX:
 * unknown. */
size_t pql_config_rules_mapping(struct pql_config_rules *rules, struct pql_slice name);

/* The trees that were read: the main file's, with what is put over it, then those of definition_files. */
struct pql_config_trees {
    struct pql_setting *const *roots;
    size_t count;
    bool is_program; /* schemas are texts already */
    const struct pql_config_rules *rules;
};
/* Does an input use the mapping of this name? */
bool pql_config_trees_use(const struct pql_config_trees *trees, const char *mapping);
/* For config->program.text. In the arena. */
struct pql_slice pql_config_program_text(const struct pql_config_trees *trees, struct pql_arena *arena);

/* Copies everything into config. */
void pql_config_rules_finish(const struct pql_options_reader *reader, const struct pql_config_rules *rules,
                             struct pql_config *config);

#endif
