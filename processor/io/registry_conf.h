/* registry_conf.h - what the configuration says of the schema registry: plain data. Texts end in NUL; NULL:
 * not set. */
#ifndef PQL_IO_REGISTRY_CONF_H
#define PQL_IO_REGISTRY_CONF_H

#include <stdint.h>

struct pql_registry_conf {
    const char *url;             /* base URL with its path; several, separated by commas; NULL: no registry */
    const char *user, *password; /* basic */
    const char *token;           /* bearer */
    const char *ca, *certificate, *key; /* files, PEM */
    const char *cache_dir;              /* NULL: only in memory */
    int64_t timeout_ms;
};

#endif
