#include "app/reload.h"

#include "base/log.h"
#include "core/state/checkpoint_format.h"
#include <stdlib.h>

struct pql_reload {
    const struct pql_config_flags *flags;
    const struct pql_setup *first;
    struct pql_runner *runner;
    char hash[33]; /* of the program that runs */
    int64_t revision;
};

static void hash_of(const struct pql_setup *setup, char out[33])
{
    pql_checkpoint_program_hash(pql_program_text(setup->program), out);
}

struct pql_reload *pql_reload_new(const struct pql_config_flags *flags, const struct pql_setup *setup,
                                  struct pql_runner *runner)
{
    struct pql_reload *reload = pql_xcalloc(1, sizeof *reload);
    *reload = (struct pql_reload){
        .flags = flags, .first = setup, .runner = runner, .revision = setup->config->revision};
    hash_of(setup, reload->hash);
    return reload;
}

void pql_reload_free(struct pql_reload *reload)
{
    free(reload);
}

static void tell_diags(const struct pql_diags *diags)
{
    for (size_t i = 0; i < diags->count; i++) {
        const struct pql_diag *diag = &diags->items[i];
        bool is_error = diag->severity == PQL_SEVERITY_ERROR;
        pql_log(is_error ? PQL_LOG_ERROR : PQL_LOG_WARN, is_error ? "configuration wrong" : "configuration",
                "at=%s:%d:%d cause=%s", diag->file ? diag->file : "?", diag->line, diag->column,
                diag->message);
    }
}

static void tell_difference(void *context, const char *name)
{
    (void)context;
    pql_log(PQL_LOG_WARN, "a changed setting needs a restart", "setting=%s", name);
}

static bool is_wanted(const struct pql_reload *reload, const struct pql_setup *fresh, const char *hash)
{
    switch (pql_revise(reload->hash, reload->revision, hash, fresh->config->revision)) {
    case PQL_REVISING_NOTHING:
        pql_log(PQL_LOG_INFO, "configuration read again: the same program", "revision=%lld",
                (long long)reload->revision);
        return false;
    case PQL_REVISING_NUMBER:
    case PQL_REVISING_CHANGE: return true;
    case PQL_REVISING_STAY:
        pql_log(PQL_LOG_ERROR, "the configuration has a lower revision; the one before goes on",
                "revision=%lld running=%lld mend=\"to go back, give the old text a higher revision\"",
                (long long)fresh->config->revision, (long long)reload->revision);
        return false;
    case PQL_REVISING_REFUSE:
        pql_log(PQL_LOG_ERROR, "the configuration differs under the same revision; the one before goes on",
                "revision=%lld mend=\"raise `revision` and send SIGHUP again\"", (long long)reload->revision);
        return false;
    }
    return false;
}

static void take_over(struct pql_reload *reload, struct pql_setup *fresh)
{
    char hash[33];
    struct pql_edition *edition;
    struct pql_err err = {0};
    int64_t revision = fresh->config->revision, from = fresh->config->backfill_from;
    hash_of(fresh, hash);
    pql_log_set_level((enum pql_log_level)fresh->config->log_level);
    if (!is_wanted(reload, fresh, hash)) return;
    if (pql_wiring_edition(pql_runner_wiring(reload->runner), fresh, &edition, &err)) {
        pql_log(PQL_LOG_ERROR, "the configuration cannot be taken over; the one before goes on", "cause=%s",
                err.msg);
        return;
    }
    pql_log(PQL_LOG_INFO, "configuration taken over", "from_revision=%lld to_revision=%lld",
            (long long)reload->revision, (long long)revision);
    memcpy(reload->hash, hash, sizeof reload->hash);
    reload->revision = revision;
    pql_pipeline_revise(pql_runner_pipeline(reload->runner), edition, revision, from);
}

void pql_reload_now(struct pql_reload *reload)
{
    struct pql_setup fresh;
    bool is_good = pql_setup_load(&fresh, reload->flags, true);
    tell_diags(&fresh.diags);
    if (is_good) {
        pql_config_compare(reload->first->config, fresh.config, tell_difference, NULL);
        take_over(reload, &fresh);
    } else {
        pql_log(PQL_LOG_ERROR, "the configuration is wrong; the one before goes on",
                "errors=%zu revision=%lld", fresh.diags.errors_count, (long long)reload->revision);
    }
    pql_setup_deinit(&fresh);
}
