/* kafka_speaks.h - what a listener speaks, found out by asking: a client that speaks otherwise is only hung
 * up on, and cannot tell that from a broker that is starting. Sockets only; at most two seconds.
 *
 *   ApiVersions, plain ──► answered with its number: PLAIN (SASL or not)
 *   ClientHello ──► a record of TLS comes back: TLS */
#ifndef PQL_IO_KAFKA_SPEAKS_H
#define PQL_IO_KAFKA_SPEAKS_H

#include <stddef.h>

enum pql_speaks { PQL_SPEAKS_UNKNOWN, PQL_SPEAKS_PLAIN, PQL_SPEAKS_TLS };

/* servers: as bootstrap.servers; the first is asked, and named in `asked`. */
enum pql_speaks pql_kafka_speaks(const char *servers, char *asked, size_t size);

#endif
