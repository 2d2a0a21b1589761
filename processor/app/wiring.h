/* wiring.h - from a configuration that is known to be good to a pipeline that can run: decoders, registry,
 * encoders, Kafka. `run` and `demo` differ in where the configuration comes from and in what they show. */
#ifndef PQL_APP_WIRING_H
#define PQL_APP_WIRING_H

#include "app/pipeline.h"
#include "app/setup.h"
#include "io/kafka_ports.h"

struct pql_wiring;

/* Makes handles and reads schema files; touches no network. setup must outlive it. */
struct pql_wiring *pql_wiring_new(const struct pql_setup *setup, struct pql_err *err) PQL_CHECKED;
/* After the pipeline is gone. */
void pql_wiring_free(struct pql_wiring *wiring);

/* Asks the registry for the ids of output schemas, where the configuration wants ids. Waits for answers. */
int pql_wiring_resolve_schemas(struct pql_wiring *wiring, struct pql_err *err) PQL_CHECKED;

/* The program of another configuration, which is taken over with what it needs of *setup (empty then); for
 * pql_pipeline_revise. */
int pql_wiring_edition(struct pql_wiring *wiring, struct pql_setup *setup, struct pql_edition **edition,
                       struct pql_err *err) PQL_CHECKED;

const struct pql_ports *pql_wiring_ports(const struct pql_wiring *wiring);
struct pql_kafka *pql_wiring_admin(struct pql_wiring *wiring);             /* for questions to the cluster */
struct pql_registry *pql_wiring_registry(const struct pql_wiring *wiring); /* NULL: none is configured */
const struct pql_pipeline_conf *pql_wiring_conf(const struct pql_wiring *wiring);

#endif
