/* config_options.h - the one table of settings. A row yields parsing, range check, "did you mean", the
 * commented conf/pqlstream.conf, the list of settings and the mark "changes results". A new setting is one
 * row and one member. Thread: any; the table is constant. */
#ifndef PQL_IO_CONFIG_OPTIONS_H
#define PQL_IO_CONFIG_OPTIONS_H

#include "core/wire/mapping.h"
#include "io/config.h"
#include "io/config_tree.h"

/* Which group of the configuration a setting stands in. */
enum pql_option_group {
    PQL_GROUP_ROOT,
    PQL_GROUP_KAFKA,
    PQL_GROUP_REGISTRY,
    PQL_GROUP_INPUT,
    PQL_GROUP_OUTPUTS,
    PQL_GROUP_OUTPUT,
    PQL_GROUP_OUTPUT_BYTES, /* an output whose format is not a choice */
    PQL_GROUP_MAPPINGS,     /* names are the user's */
    PQL_GROUP_MAPPING,
    PQL_GROUP_KIND,
    PQL_GROUP_RENAME,
    PQL_GROUP_LABEL,
    PQL_GROUP_PERIOD,
    PQL_GROUP_DEFINITION,
    PQL_GROUP_PUBLISH,
    PQL_GROUP_CHOICE, /* of routes and their like */
    PQL_GROUP_ITEM,
    PQL_GROUP_MULTIPLY,
    PQL_GROUP_TIER,
    PQL_GROUP_CAPS,    /* names are the user's */
    PQL_GROUP_SIGNALS, /* names are the user's */
    PQL_GROUP_PARAMETER,
    PQL_GROUP_VALUE, /* of a parameter */
    PQL_GROUP_COUNT,
};

/* What is written, and what the member is that it is read into. */
enum pql_option_type {
    PQL_OPTION_DURATION, /* "90s"; int64_t ms */
    PQL_OPTION_SIZE,     /* "64MiB"; uint64_t bytes */
    PQL_OPTION_INT,      /* int64_t, int32_t or uint32_t by the member's size and the range */
    PQL_OPTION_BOOL,     /* bool */
    PQL_OPTION_SHARE,    /* 0.5 or "50%"; double */
    PQL_OPTION_WORD,     /* one of words, enum in their order; int */
    PQL_OPTION_START,    /* "earliest", "latest", RFC 3339; int64_t */
    PQL_OPTION_STRING,   /* const char * */
    PQL_OPTION_NAME,     /* not empty; struct pql_source */
    PQL_OPTION_SOURCE,   /* an expression or text whose place matters; struct pql_source */
    PQL_OPTION_SOURCES,  /* one text or a list of them; struct pql_path_list */
    PQL_OPTION_CHOICES,  /* one text or a list of groups of `inner`; struct pql_choices_conf */
    PQL_OPTION_NUMBER,   /* 5 or -2.5; struct pql_number */
    PQL_OPTION_VALUE,    /* a number, or the text of an expression; struct pql_source */
    PQL_OPTION_ANY,      /* read by hand; no member */
    PQL_OPTION_GROUP,    /* of `inner`; no member */
    PQL_OPTION_LIST,     /* of groups of `inner`; no member */
};

enum {
    PQL_OPTION_AFFECTS_RESULTS = 1, /* part of the program: a change needs a higher revision */
    PQL_OPTION_REQUIRED = 4,
    PQL_OPTION_IS_ZONE = 8,   /* names a time zone whose clock counts */
    PQL_OPTION_IN_RULES = 16, /* may stand in a file of definitions */
    PQL_OPTION_OPTIONAL = 32, /* the example only shows how it is written: it stays in a comment */
    PQL_OPTION_IS_FILE = 64,  /* names a file whose content counts */
    PQL_OPTION_IS_CONDITION = 128,
    PQL_OPTION_IS_LIVE = 256, /* changes nothing of results, and can be changed while running */
};

struct pql_option {
    enum pql_option_group group;
    const char *name;
    enum pql_option_type type;
    enum pql_option_group inner; /* of GROUP and LIST */
    size_t offset, size;         /* of the member */
    const char *value;           /* default, as written in a file without quotes; NULL: absent */
    int64_t min, max;            /* of DURATION (ms), SIZE (bytes), INT */
    const char *const *words;    /* of WORD, NULL at the end */
    unsigned flags;
    const char *
        example; /* as written in a file: what the commented configuration sets; NULL: it shows the default */
    const char *help;
};

extern const struct pql_option pql_options[];
extern const size_t pql_options_count;

/* What reading needs throughout. */
struct pql_options_reader {
    struct pql_arena *arena;
    struct pql_diags *diags;
};

/* Fills the members at `out` that belong to `group`: the default, then what `setting` says (NULL: nothing).
 * Unknown names, unavailable ones, wrong types and ranges are messages. */
void pql_options_read(const struct pql_options_reader *reader, enum pql_option_group group,
                      const struct pql_setting *setting, void *out);

/* A number, word or yes/no as one way of writing it, ready for a file; false if that is the default, or
 * wrong.
 */
bool pql_option_canonical(const struct pql_option *option, const struct pql_setting *setting, char *out,
                          size_t size);

const struct pql_option *pql_option_find(enum pql_option_group group, const char *name);
/* A setting of type CHOICES into its member; in config_choices.c. */
void pql_config_choices_read(const struct pql_options_reader *reader, const struct pql_setting *setting,
                             struct pql_choices_conf *out);

/* Of pql_decimal_text_fits. */
#define PQL_NUMBER_TOO_LONG "has at most 33 digits before the point and 6 behind it"

/* One of `parameters`, but for its name; in config_parameters.c. */
void pql_config_parameter_read(const struct pql_options_reader *reader, const struct pql_setting *setting,
                               struct pql_lang_parameter *out);

bool pql_option_is_root(const char *name); /* for pql_setting_override_environment */
/* Says that setting's name is none of the group's, with the nearest. */
void pql_option_unknown(const struct pql_options_reader *reader, enum pql_option_group group,
                        const struct pql_setting *setting);

/* The group in the path of a setting, with a point or nothing at its end: "inputs[].", and "" for the root.
 */
const char *pql_option_group_path(enum pql_option_group group);
/* What a value may be: "1s to 5m; changes results", or "". */
void pql_option_describe(const struct pql_option *option, char *out, size_t size);
bool pql_option_is_inner(const struct pql_option *option); /* a group, or a list of groups */

/* Settings with types, ranges, defaults and help: those of the group `first` and the ones after it, and what
 * holds them. PQL_GROUP_ROOT: all; PQL_GROUP_DEFINITION: what definitions are made of. */
void pql_options_print(enum pql_option_group first, FILE *out);
void pql_options_print_template(FILE *out);

#endif
