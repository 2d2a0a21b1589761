#include "app/health.h"

#include "io/kafka_client.h"
#include "io/registry.h"

static void ask_registry(struct pql_registry *registry, struct pql_health *health)
{
    if (!registry) return;
    struct pql_registry_stats stats = pql_registry_stats(registry);
    if (stats.requests) health->registry_up = !stats.is_down;
    health->registry_requests = (int64_t)stats.requests;
    health->registry_failures = (int64_t)stats.failures;
    health->registry_schemas = (int64_t)stats.found;
    health->registry_refused = (int64_t)stats.refused;
    health->registry_copies = (int64_t)stats.disk_hits;
}

struct pql_health pql_health_of(struct pql_runner *runner, struct pql_monitor *monitor)
{
    struct pql_kafka_counts counts = pql_kafka_counts();
    struct pql_brokers_answer brokers = pql_monitor_brokers(monitor);
    struct pql_health health = {.registry_up = PQL_HEALTH_UNKNOWN,
                                .registry_requests = PQL_HEALTH_UNKNOWN,
                                .registry_failures = PQL_HEALTH_UNKNOWN,
                                .registry_schemas = PQL_HEALTH_UNKNOWN,
                                .registry_refused = PQL_HEALTH_UNKNOWN,
                                .registry_copies = PQL_HEALTH_UNKNOWN,
                                .brokers_up = brokers.is_asked ? brokers.is_up : PQL_HEALTH_UNKNOWN,
                                .brokers_answer_us =
                                    brokers.is_asked ? (int64_t)brokers.took_us : PQL_HEALTH_UNKNOWN,
                                .client_errors = (int64_t)counts.errors,
                                .client_warnings = (int64_t)counts.warnings};
    ask_registry(pql_wiring_registry(pql_runner_wiring(runner)), &health);
    return health;
}
