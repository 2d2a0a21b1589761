#include "app/setup.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int64_t pql_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *config_path(const struct pql_config_flags *flags)
{
    const char *named = getenv("PQLSTREAM_CONFIG");
    return flags->path ? flags->path : named && *named ? named : "pqlstream.conf";
}

static bool is_good(const struct pql_setup *setup) { return setup->config && setup->diags.errors_count == 0; }

bool pql_setup_init(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers, int *exit_code)
{
    *setup = (struct pql_setup){0};
    pql_diags_init(&setup->diags);
    const struct pql_config_request request = {
        .path = config_path(flags), .sets = flags->sets.items, .sets_count = flags->sets.count,
        .environment = environ, .today_ms = pql_wall_ms(), .needs_brokers = needs_brokers};
    setup->config = pql_config_load(&request, &setup->diags);
    pql_diags_print(&setup->diags, stderr);
    if (is_good(setup)) {
        pql_log_set_level((enum pql_log_level)setup->config->log_level);
        return true;
    }
    fprintf(stderr, "%zu errors in the configuration\n", setup->diags.errors_count);
    *exit_code = PQL_EXIT_CONFIG;
    return false;
}

void pql_setup_deinit(struct pql_setup *setup)
{
    pql_config_free(setup->config);
    pql_diags_deinit(&setup->diags);
    *setup = (struct pql_setup){0};
}
