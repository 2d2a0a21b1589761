/* admin.h - the admin endpoint of a process: what answers under which path is one table in admin.c. It
 * listens before the process asks for a broker, so that a probe is answered from the first moment; what is
 * asked of the pipeline is answered from copies and counters while one is attached, and with 503 while none
 * is. */
#ifndef PQL_APP_ADMIN_H
#define PQL_APP_ADMIN_H

#include "app/monitor.h"

struct pql_admin;

/* Listens from now on at setup->config->http. setup must outlive it. Class PQL_ERR_CONFIG. */
struct pql_admin *pql_admin_start(const struct pql_setup *setup, struct pql_err *err) PQL_CHECKED;
/* Both must live until the detach. Thread: that of start. */
void pql_admin_attach(struct pql_admin *admin, struct pql_runner *runner, struct pql_monitor *monitor);
/* Waits for an answer under way. */
void pql_admin_detach(struct pql_admin *admin);
/* NULL is fine, here as above. */
void pql_admin_stop(struct pql_admin *admin);

#endif
