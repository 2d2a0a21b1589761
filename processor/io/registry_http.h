/* registry_http.h - one request to a schema registry: the URLs in turn until one answers, with authentication
 * and TLS. No answer, or one that may change (408, 429, 5xx), moves on to the next URL; that which answered
 * is asked first from then on. Thread: one at a time, but for pql_http_stop. */
#ifndef PQL_IO_REGISTRY_HTTP_H
#define PQL_IO_REGISTRY_HTTP_H

#include "base/err.h"
#include "base/slice.h"
#include "io/registry_conf.h"

enum { PQL_HTTP_BODY_MAX = 1 << 20 };

struct pql_http;

/* Class PQL_ERR_CONFIG: a URL that cannot be used. */
struct pql_http *pql_http_new(const struct pql_registry_conf *conf, struct pql_err *err) PQL_CHECKED;
void pql_http_free(struct pql_http *http);
/* A call under way and all later ones fail soon, class PQL_ERR_RETRY. Thread: any. */
void pql_http_stop(struct pql_http *http);

/* The first URL without user and password: names the registry. */
const char *pql_http_first_url(const struct pql_http *http);

struct pql_http_answer {
    long status;           /* 2xx; or 4xx with an error_code, which the caller interprets */
    int64_t error_code;    /* 0 with 2xx */
    char message[200];     /* the registry's words on an error */
    char url[300];         /* as asked, without user and password, cut where longer */
    struct pql_slice body; /* valid until the next call */
};

/* GET where body.ptr is NULL, else POST. path begins with "/", is escaped already and is put behind the base
 * URL. Class PQL_ERR_RETRY: no answer from any URL; PQL_ERR_CONFIG: it will not get better by itself
 * (credentials, TLS, redirect, something else than a registry). The message names URL, cause and remedy. */
int pql_http_call(struct pql_http *http, const char *path, struct pql_slice body,
                  struct pql_http_answer *answer, struct pql_err *err) PQL_CHECKED;

/* text percent-encoded for one segment of a path. The caller frees it. */
char *pql_http_escape(struct pql_slice text);

/* Requests sent, and those without a usable answer. */
void pql_http_counts(const struct pql_http *http, uint64_t *requests, uint64_t *failures);
/* The last call had no usable answer of any URL. Thread: any. */
bool pql_http_is_down(const struct pql_http *http);

#endif
