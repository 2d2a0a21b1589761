/* kafka_security.h - what of TLS and SASL can be wrong before anybody is connected to: files that cannot be
 * read, a key that is not the certificate's, a mechanism without what it needs. */
#ifndef PQL_IO_KAFKA_SECURITY_H
#define PQL_IO_KAFKA_SECURITY_H

#include "base/diag.h"
#include "io/kafka_conf.h"

/* Each fault at the property that has it. Reads the files; opens no connection. */
void pql_kafka_check_security(const struct pql_kafka_conf *conf, struct pql_diags *diags);

#endif
