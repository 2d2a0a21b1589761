/* server.h - a small HTTP server for the admin endpoint: one thread of its own (libmicrohttpd, epoll),
 * answers made by one function, limits on everything. It shares nothing with the hot path but what its
 * handler reads.
 *
 *   request ─► method and path known? ─► authorized? ─► handler ─► answer
 *
 * Limits: 64 connections, 16 of one address, 10 s of silence, 32 KB of request line and headers, no body is
 * kept. */
#ifndef PQL_IO_SERVER_H
#define PQL_IO_SERVER_H

#include "base/buf.h"
#include "base/err.h"

struct pql_server_conf {
    const char *address;           /* "127.0.0.1:8090", "[::1]:8090"; port 0: any free one */
    const char *token;             /* bearer token, or NULL: then nothing but GET is answered */
    const char *certificate, *key; /* PEM files for TLS, both or none */
};

struct pql_server_request {
    bool is_post;       /* else GET, or HEAD, whose body is left out on the way */
    const char *path;   /* as sent, '%' and all, without query, always with a leading '/' */
    bool is_authorized; /* the token was given, or none is wanted */
};

struct pql_server_answer {
    unsigned status;
    const char *content_type; /* static, as is allow */
    const char *allow;        /* of 405: the methods */
    const char *location;     /* of a redirection: where to, relative; static */
    struct pql_buf body;      /* freed by the server */
};

/* Thread: the server's. Fills answer, which is {404, "text/plain"} and empty. */
typedef void pql_server_handler(void *context, const struct pql_server_request *request,
                                struct pql_server_answer *answer);

struct pql_server;

/* Listens from now on. Class PQL_ERR_CONFIG: the address is none or taken, a file cannot be read or is no
 * PEM. */
struct pql_server *pql_server_start(const struct pql_server_conf *conf, pql_server_handler *handler,
                                    void *context, struct pql_err *err) PQL_CHECKED;
/* Waits for the answers under way. NULL is fine. */
void pql_server_stop(struct pql_server *server);
/* Where it listens, as "127.0.0.1:8090". */
const char *pql_server_address(const struct pql_server *server);

#endif
