/* uuid.h - name-based UUIDs, version 5 (RFC 9562, 5.5), so that any language can compute an event_id again.
 */
#ifndef PQL_CORE_UUID_H
#define PQL_CORE_UUID_H

#include "base/slice.h"
#include <stdint.h>

struct pql_uuid {
    uint8_t bytes[16];
};

/* SHA-1 over the namespace and the name, first 16 bytes, version and variant set. */
struct pql_uuid pql_uuid5(const struct pql_uuid *space, struct pql_slice name);
/* "xxxxxxxx-xxxx-5xxx-xxxx-xxxxxxxxxxxx" and a NUL. */
void pql_uuid_text(const struct pql_uuid *uuid, char out[37]);
/* The namespace of an application's events: uuid5 of the DNS namespace and "pqlstream.<app>". */
struct pql_uuid pql_uuid_of_app(struct pql_slice app);

#endif
