/* admin_look.h - /accounts/{id} and /accounts/{id}/users/{id}: one account or user of a running pipeline, or
 * who has it. Ids are percent-encoded as in a URL. Thread: the server's. */
#ifndef PQL_APP_ADMIN_LOOK_H
#define PQL_APP_ADMIN_LOOK_H

#include "app/runner.h"
#include "io/server.h"

/* path: what is behind "/accounts/". */
void pql_admin_look(struct pql_runner *runner, const char *instance, const char *path,
                    struct pql_server_answer *answer);

/* Of such a path account and user, if it has one; false where it is none. Both are the caller's to free. */
bool pql_admin_look_path(const char *path, struct pql_buf *account, struct pql_buf *user);

#endif
