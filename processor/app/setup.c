#include "app/setup.h"

#include "io/kafka_client.h"

#include <time.h>
#include <unistd.h>

extern char **environ;

int64_t pql_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void check_kafka(const struct pql_config *config, struct pql_diags *diags)
{
    pql_kafka_check(&config->kafka, diags);
}

bool pql_setup_load(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers)
{
    const struct pql_config_request request = {.path = flags->path ? flags->path : "pqlstream.conf",
                                               .sets = flags->sets.items,
                                               .sets_count = flags->sets.count,
                                               .environment = environ,
                                               .today_ms = pql_wall_ms(),
                                               .needs_brokers = needs_brokers};
    return pql_setup_read(setup, &request, needs_brokers ? check_kafka : NULL);
}

bool pql_setup_init(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers,
                    int *exit_code)
{
    bool is_good = pql_setup_load(setup, flags, needs_brokers);
    pql_diags_print(&setup->diags, stderr);
    if (is_good) {
        pql_log_set_level((enum pql_log_level)setup->config->log_level);
        return true;
    }
    fprintf(stderr, "%zu error%s; nothing was touched\n", setup->diags.errors_count,
            setup->diags.errors_count == 1 ? "" : "s");
    *exit_code = PQL_EXIT_CONFIG;
    return false;
}
