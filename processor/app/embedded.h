/* embedded.h - files of the repository that the program carries inside, so that it needs none beside it: the
 * schema of what it writes, and the ready definitions. CMake makes the table from the files. */
#ifndef PQL_APP_EMBEDDED_H
#define PQL_APP_EMBEDDED_H

#include "base/slice.h"

struct pql_embedded {
    const char *path; /* from the repository's root: "schemas/qualification/v1.avsc" */
    struct pql_slice text;
};
extern const struct pql_embedded pql_embedded_files[];
extern const size_t pql_embedded_count;

/* The text of one; it must be there. */
struct pql_slice pql_embedded_text(const char *path);

#endif
