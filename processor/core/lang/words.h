/* words.h - a checked condition as a sentence, for `explain` and for people who do not write definitions:
 *
 *   count(invite_sent, first 7d) >= 2 and users(ever(login)) >= 3
 *   at least 2 teammates invited in the first 7 days, and at least 3 members with (login at least once)
 *
 * Thread: any. The text is of the arena. */
#ifndef PQL_CORE_LANG_WORDS_H
#define PQL_CORE_LANG_WORDS_H

#include "core/program_conf.h"

struct pql_slice pql_lang_words(const struct pql_node *condition, const struct pql_label *labels,
                                size_t labels_count, struct pql_arena *arena);
/* Of a number that points are given for: one unit of it, "invite_sent event in the last 90 days". */
struct pql_slice pql_lang_unit_words(const struct pql_node *number, const struct pql_label *labels,
                                     size_t labels_count, struct pql_arena *arena);

#endif
