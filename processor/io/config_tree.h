/* config_tree.h - the settings as they were written, with their places: libconfig's tree, joined with what
 * libconfig 1.5 does not keep (columns, the digits of numbers, where the parts of a joined string stand),
 * with includes resolved against the including file, secrets put in, environment and command line on top.
 *
 *   file ─► text with includes spliced in, and whose line each line is ─┬─► libconfig: syntax, values
 *                                                                      └─► scan: places, in the same order
 *
 * Sources: libconfig 1.5 manual, "Configuration Files". Owner: the arena given. Thread: one. */
#ifndef PQL_IO_CONFIG_TREE_H
#define PQL_IO_CONFIG_TREE_H

#include "base/buf.h"
#include "base/diag.h"

enum pql_setting_kind {
    PQL_SETTING_GROUP,
    PQL_SETTING_LIST,
    PQL_SETTING_TEXT,
    PQL_SETTING_NUMBER,
    PQL_SETTING_BOOL
};

struct pql_setting {
    enum pql_setting_kind kind;
    const char *name;        /* NULL: an element of a list, or the root */
    struct pql_source value; /* TEXT: after ${…}; NUMBER and BOOL: as written. NUL-terminated */
    bool is_secret;          /* has ${…}: never printed */
    bool is_override;        /* from environment or command line: a text may stand for any scalar */
    const char *file;        /* or "--set …", "environment …" */
    int line, column;        /* of the name; of an element: of the value. 0: not from a file */
    size_t span;
    struct pql_setting *kids, *next; /* in the order written */
};

/* The tree of a file, or NULL after errors. `folders` of relative paths: that of the file each stands in.
 * asked: the text that names the file; NULL: the command line did. */
struct pql_setting *pql_setting_read(const char *path, const struct pql_source *asked,
                                     struct pql_arena *arena, struct pql_diags *diags);

/* The same of bytes in memory, as if they stood in the file of that path, which need not exist. */
struct pql_setting *pql_setting_read_text(const char *path, struct pql_slice bytes, struct pql_arena *arena,
                                          struct pql_diags *diags);

/* The tree of a text in memory, taken literally: no includes, no ${…}. name: for messages, lives as long as
 * the arena. */
struct pql_setting *pql_setting_parse(const char *name, struct pql_slice bytes, struct pql_arena *arena,
                                      struct pql_diags *diags);

/* Puts "kafka.bootstrap_servers=…" or "inputs[0].topic=…" over what is there. */
void pql_setting_override(struct pql_setting *root, const char *assignment, struct pql_arena *arena,
                          struct pql_diags *diags);
/* The same for every PQLSTREAM_KAFKA__BOOTSTRAP_SERVERS=… of an environment: upper case, `__` between levels,
 * a number as an index. is_known(name) says whether a first level exists: others may be of somebody else
 * (Kubernetes names a service's address so) and are only warned about. */
void pql_setting_override_environment(struct pql_setting *root, char **environment,
                                      bool (*is_known)(const char *name), struct pql_arena *arena,
                                      struct pql_diags *diags);

/* The kid of a group, or NULL. */
struct pql_setting *pql_setting_find(const struct pql_setting *group, const char *name);
size_t pql_setting_count(const struct pql_setting *parent);

/* A message about the setting's name, or about its value where it is a scalar. */
void pql_setting_diag(const struct pql_setting *setting, struct pql_diags *diags, enum pql_severity severity,
                      const char *format, ...) PQL_PRINTF(4, 5);
void pql_setting_diag_value(const struct pql_setting *setting, struct pql_diags *diags, const char *format,
                            ...) PQL_PRINTF(3, 4);

/* `path` as seen from the folder of `file`; absolute paths stay. */
const char *pql_setting_path(const char *file, const char *path, struct pql_arena *arena);

#endif
