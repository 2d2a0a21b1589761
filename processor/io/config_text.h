/* config_text.h - the text of a configuration with its includes spliced in, and where everything in it
 * stands. An included path is seen from the folder of the file that includes it (libconfig 1.5 knows one
 * folder for all, so includes are resolved here). Owner: the caller; file names live in the arena. Thread:
 * one. */
#ifndef PQL_IO_CONFIG_TEXT_H
#define PQL_IO_CONFIG_TEXT_H

#include "base/buf.h"
#include "base/diag.h"

enum {
    PQL_CONFIG_BYTES_MAX = 16 * 1024 * 1024,
    PQL_CONFIG_INCLUDE_DEPTH_MAX = 10,
    PQL_CONFIG_DEPTH_MAX = 64
};

struct pql_config_text;

/* NULL after errors (a file that cannot be read, includes in a circle). asked: the text that names the file;
 * NULL: the command line did. */
struct pql_config_text *pql_config_text_read(const char *path, const struct pql_source *asked,
                                             struct pql_arena *arena, struct pql_diags *diags);
/* The same of bytes in memory, as if they stood in the file of that path: includes are seen from its folder.
 */
struct pql_config_text *pql_config_text_given(const char *path, struct pql_slice bytes,
                                              struct pql_arena *arena, struct pql_diags *diags);
/* Of bytes in memory, without includes; name: for messages. */
struct pql_config_text *pql_config_text_of(const char *name, struct pql_slice bytes, struct pql_diags *diags);
void pql_config_text_free(struct pql_config_text *text);
struct pql_slice pql_config_text_bytes(const struct pql_config_text *text); /* NUL-terminated */

struct pql_config_spot {
    const char *file;
    int line, column; /* 1-based; bytes */
};
/* `at` points into the bytes. */
struct pql_config_spot pql_config_text_spot(const struct pql_config_text *text, const char *at);
/* Of the n-th line of the bytes, 1-based: what follows its indentation, *span bytes. */
struct pql_config_spot pql_config_text_line(const struct pql_config_text *text, int line, size_t *span);

/* One setting or element, in the order written, a group or list before what it holds. */
struct pql_config_place {
    const char *name;              /* NULL: an element of a list */
    const char *value, *value_end; /* a scalar: its token or tokens; else the opening bracket */
};
/* All places of a text that libconfig found well formed. *places is the caller's. -1: nested too deep. */
int pql_config_scan(const struct pql_config_text *text, struct pql_config_place **places, size_t *count,
                    struct pql_diags *diags);

/* Past blanks and comments. */
const char *pql_config_skip_space(const char *at, const char *end);
bool pql_config_is_name_byte(char c); /* may stand in the name of a setting */

/* The next string token between *at and end, without its quotes; false after the last. */
bool pql_config_next_string(const char **at, const char *end, const char **from, const char **to);

/* Appends a whole file; class CONFIG if it cannot be read, has a NUL byte or more than max bytes. */
int pql_config_read_file(const char *path, size_t max, struct pql_buf *out, struct pql_err *err) PQL_CHECKED;

#endif
