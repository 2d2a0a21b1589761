/* secret.h - which settings are secrets, by their names, and how a line that has one is shown. */
#ifndef PQL_BASE_SECRET_H
#define PQL_BASE_SECRET_H

#include <stdbool.h>

/* "sasl_password", "registry.token", "ssl.key.pem" …: a word of the name says so. */
bool pql_secret_name(const char *name);

/* Puts stars over each value in a line of a configuration whose name says so, and over user and password of a
 * URL, of the same width. */
void pql_secret_mask(char *line);

#endif
