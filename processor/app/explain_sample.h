/* explain_sample.h - names that definitions read, against the names that a file of events has shown. */
#ifndef PQL_APP_EXPLAIN_SAMPLE_H
#define PQL_APP_EXPLAIN_SAMPLE_H

#include "app/setup.h"

/* Warns on standard error, with place and the nearest name that was shown, of every event, property and
 * attribute that a definition reads and no event of the file has; a property is looked for in the events that
 * it is read of. The file is read as by replay. An exit code; warnings are no failure. */
int pql_explain_sample(const struct pql_config_flags *flags, const char *path);

#endif
