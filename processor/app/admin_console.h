/* admin_console.h - what the console page is made of: its files, and answers in JSON that only it asks for.
 * Thread: the server's. */
#ifndef PQL_APP_ADMIN_CONSOLE_H
#define PQL_APP_ADMIN_CONSOLE_H

#include "app/pipeline.h"
#include "io/server.h"

/* name: "", "console.css" …; 404 where there is none. */
void pql_console_file(const char *name, struct pql_server_answer *answer);

/* The last transitions, and dead letters by reason and place. */
void pql_console_recent(struct pql_pipeline *pipeline, struct pql_buf *out);
/* How a definition does: members of the object that describes it. scores may be empty. */
void pql_console_scores(const struct pql_scoreboard_view *scores, const struct pql_definition_conf *conf,
                        struct pql_buf *out);

#endif
