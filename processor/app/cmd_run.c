/* run: the pipeline against a cluster, until a signal. */
#include "app/admin.h"
#include "app/reload.h"
#include "app/runner.h"
#include "base/log.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TURN_MS = 500, HELD_MS = 60000, HELD_PAUSE_MS = 2000 };

static sigset_t handled_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return set;
}

/* 0: none within the time. */
static int next_signal(int timeout_ms)
{
    sigset_t set = handled_signals();
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    int found = sigtimedwait(&set, NULL, &timeout);
    return found > 0 ? found : 0;
}

static bool was_asked_to_stop(void *context)
{
    bool *stopped = context;
    int found = next_signal(0);
    if (found == SIGHUP)
        pql_log_text(PQL_LOG_WARN, "SIGHUP comes too early: send it again once the program runs");
    else if (found && found != SIGUSR1)
        *stopped = true;
    return *stopped;
}

static void refresh(struct pql_runner *runner)
{
    pql_log_text(PQL_LOG_INFO, "refresh: a record of every present member goes to the state topic");
    pql_pipeline_refresh(pql_runner_pipeline(runner));
}

/* SIGUSR1 asks for a refresh, SIGHUP for a new look at the configuration. Of the others the first asks for an
 * orderly end, a second does not wait for it. */
static void watch(struct pql_runner *runner, struct pql_monitor *monitor, struct pql_reload *reload)
{
    bool is_stopping = false;
    while (!pql_runner_is_done(runner)) {
        int found = next_signal(TURN_MS);
        bool is_end = found == SIGTERM || found == SIGINT;
        if (is_end && is_stopping) _exit(PQL_EXIT_FAILURE);
        if (found == SIGHUP && !is_stopping) pql_reload_now(reload);
        if (found == SIGUSR1) refresh(runner);
        if (is_end) {
            pql_log(PQL_LOG_INFO, "stopping in order", "signal=%s", found == SIGTERM ? "TERM" : "INT");
            pql_runner_stop(runner);
            is_stopping = true;
        }
        pql_monitor_show(monitor);
    }
}

static int serve(const struct pql_config_flags *flags, const struct pql_setup *setup, struct pql_admin *admin,
                 struct pql_err *err)
{
    bool stopped = false;
    int exit_code = PQL_EXIT_OK;
    struct pql_runner *runner = pql_runner_start(setup, was_asked_to_stop, &stopped, &exit_code, err);
    if (!runner) return exit_code;
    /* As committed offsets and `checkpoint list` name this process. */
    pql_log(PQL_LOG_INFO, "running", "writer=%s", pql_wiring_conf(pql_runner_wiring(runner))->writer);
    struct pql_monitor *monitor = pql_monitor_new(runner, admin != NULL);
    pql_admin_attach(admin, runner, monitor);
    struct pql_reload *reload = pql_reload_new(flags, setup, runner);
    watch(runner, monitor, reload);
    pql_reload_free(reload);
    pql_admin_detach(admin);
    pql_monitor_end(monitor);
    return pql_runner_finish(runner, err);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* With the group protocol `consumer` an instance that was killed is held until its session is over: who takes
 * its place waits for that. After a minute it is taken for alive. */
static int serve_once_free(const struct pql_config_flags *flags, const struct pql_setup *setup,
                           struct pql_admin *admin, struct pql_err *err)
{
    int64_t until_ms = now_ms() + HELD_MS;
    for (;;) {
        int exit_code = serve(flags, setup, admin, err);
        bool is_held =
            exit_code == PQL_EXIT_FENCED && err->reason && !strcmp(err->reason, PQL_REASON_INSTANCE_HELD);
        if (!is_held || now_ms() > until_ms) return exit_code;
        pql_log(PQL_LOG_WARN, "waiting for the instance", "cause=%s", err->msg);
        int found = next_signal(HELD_PAUSE_MS);
        if (found == SIGTERM || found == SIGINT) return PQL_EXIT_OK;
        *err = (struct pql_err){0};
    }
}

static int run(const struct pql_config_flags *flags)
{
    struct pql_setup setup;
    struct pql_err err = {0};
    struct pql_admin *admin = NULL;
    int exit_code = PQL_EXIT_OK;
    sigset_t set = handled_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* for every thread made from here on */
    if (!pql_setup_init(&setup, flags, true, &exit_code)) goto out;
    pql_log(PQL_LOG_INFO, "pqlstream", "version=%s app=%s config=%s delivery=%s", PQL_VERSION,
            setup.config->app, setup.config->path,
            setup.config->delivery == PQL_EXACTLY_ONCE ? "exactly_once" : "at_least_once");
    if (setup.config->http.address && !(admin = pql_admin_start(&setup, &err)))
        exit_code = PQL_EXIT_CONFIG;
    else
        exit_code = serve_once_free(flags, &setup, admin, &err);
    if (exit_code != PQL_EXIT_OK) pql_log(PQL_LOG_ERROR, "ended", "exit=%d cause=%s", exit_code, err.msg);
out:
    pql_admin_stop(admin);
    pql_setup_deinit(&setup);
    return exit_code;
}

int pql_cmd_run(int argc, char **argv)
{
    struct pql_config_flags config = {0};
    const struct pql_flag flags[] = {PQL_CONFIG_FLAGS(&config)};
    int rest, exit_code;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Reads product events and publishes qualifications until SIGTERM or SIGINT, which end it in "
            "order. "
            "Goes on where\nthe consumer group is; topics must be there (pqlstream topics --create). SIGHUP "
            "reads "
            "the configuration\nagain and takes over a higher revision. SIGUSR1: a record of every present "
            "member "
            "of its partitions goes to\nthe state topic (send it to each process of the group).",
            argc, argv, &rest, &exit_code))
        return exit_code;
    return run(&config);
}
