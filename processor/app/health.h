/* health.h - how what a running pipeline stands on is: registry, brokers, librdkafka. */
#ifndef PQL_APP_HEALTH_H
#define PQL_APP_HEALTH_H

#include "app/monitor.h"

/* PQL_HEALTH_UNKNOWN: there is none, or it was not asked yet. */
#define PQL_HEALTH_UNKNOWN INT64_C(-1)
struct pql_health {
    int64_t registry_up; /* 1: the last question had an answer; 0: it had none */
    int64_t registry_requests, registry_failures, registry_schemas, registry_refused, registry_copies;
    int64_t brokers_up; /* likewise of the brokers, which are asked every second */
    int64_t brokers_answer_us;
    int64_t client_errors, client_warnings; /* of librdkafka, all handles */
};

/* Thread: any. */
struct pql_health pql_health_of(struct pql_runner *runner, struct pql_monitor *monitor);

#endif
