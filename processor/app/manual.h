/* manual.h - pages for man(1) and completions for shells, all of it from the tables of commands (cli.h) and
 * of settings (config_options.h): what is added there is added here. Thread: the first. */
#ifndef PQL_APP_MANUAL_H
#define PQL_APP_MANUAL_H

#include "base/slice.h"

#include <stdio.h>

void pql_manual_commands(FILE *out); /* pqlstream.1, as roff with the man macros */
void pql_manual_settings(FILE *out); /* pqlstream.conf.5 */
void pql_completion_bash(FILE *out);
void pql_completion_zsh(FILE *out);
void pql_completion_fish(FILE *out);

/* The next of the words that are written `a | b | c`, up to the first thing in brackets; an empty slice: no
 * more. *usage moves on. */
struct pql_slice pql_manual_next_word(const char **usage);

#endif
