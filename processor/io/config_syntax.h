/* config_syntax.h - what is wrong with a text that libconfig refuses, said at its place. libconfig says
 * "syntax error" and a line, which of a missing bracket is the last one. Source: libconfig 1.5 manual,
 * "Configuration File Grammar". Thread: one. */
#ifndef PQL_IO_CONFIG_SYNTAX_H
#define PQL_IO_CONFIG_SYNTAX_H

#include "io/config_text.h"

/* The first fault, as a message; false: none that this knows. */
bool pql_config_syntax_say(const struct pql_config_text *text, struct pql_diags *diags);

#endif
