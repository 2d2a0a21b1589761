/* probe.h - one question to the admin endpoint of a process on this machine. Thread: any, one at a time. */
#ifndef PQL_IO_PROBE_H
#define PQL_IO_PROBE_H

#include "io/server.h"

enum { PQL_PROBE_TIMEOUT_MS = 2000, PQL_PROBE_BODY_MAX = 4096 };

/* GET of a path that wants no token, at conf's address; with TLS, the certificate must be conf's own. The
 * body, cut at PQL_PROBE_BODY_MAX, is put into `body`, which the caller frees. Class PQL_ERR_RETRY: no answer
 * within the time. */
int pql_probe(const struct pql_server_conf *conf, const char *path, long *status, struct pql_buf *body,
              struct pql_err *err) PQL_CHECKED;

#endif
