#include "app/runner.h"
#include "app/kafka_say.h"
#include "app/topics.h"
#include "base/log.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { RETRY_MIN_MS = 500, RETRY_MAX_MS = 15000 };

struct pql_runner {
    struct pql_wiring *wiring;
    struct pql_pipeline *pipeline;
    pthread_t thread;
};

static void *run(void *context)
{
    pql_pipeline_run(context);
    return NULL;
}

/* --- topics --- */

static void log_difference(void *context, const struct pql_topic_difference *difference)
{
    struct pql_topic_difference *first = context;
    pql_log(difference->refuses ? PQL_LOG_ERROR : PQL_LOG_WARN, difference->what, "topic=%s mend=%s",
            difference->topic, difference->mend);
    if (difference->refuses && !first->topic) *first = *difference;
}

static void log_created(void *context, const char *topic, int32_t partitions)
{
    (void)context;
    pql_log(PQL_LOG_INFO, "topic created", "topic=%s partitions=%d", topic, partitions);
}

static int see_to_topics(const struct pql_setup *setup, struct pql_kafka *kafka, struct pql_err *err)
{
    const struct pql_config *config = setup->config;
    struct pql_topic_difference first = {0};
    size_t refused;
    if (config->create_topics && pql_topics_create(config, kafka, 0, log_created, NULL, err)) return -1;
    if (pql_topics_verify(config, setup->program, kafka, true, log_difference, &first, &refused, err))
        return -1;
    if (!refused) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "topic %s: %s; this mends it: %s%s", first.topic, first.what,
                    first.mend, refused > 1 ? " (and more, see above)" : "");
}

/* --- starting, with patience --- */

struct patience {
    bool (*should_stop)(void *context);
    void *context;
    int64_t pause_ms;
};

/* True after a pause; false: stop. */
static bool wait_to_retry(struct patience *patience, const struct pql_err *err)
{
    pql_log(PQL_LOG_WARN, "not started yet", "cause=%s retry_ms=%lld", err->msg,
            (long long)patience->pause_ms);
    for (int64_t waited = 0; waited < patience->pause_ms; waited += 50) {
        if (patience->should_stop && patience->should_stop(patience->context)) return false;
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL);
    }
    patience->pause_ms = patience->pause_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : patience->pause_ms * 2;
    return true;
}

/* Each attempt begins with what failed: nothing here is done twice with effect. */
static int try_start(struct pql_runner *runner, const struct pql_setup *setup, struct pql_err *err)
{
    struct pql_wiring *wiring = runner->wiring;
    if (see_to_topics(setup, pql_wiring_admin(wiring), err)) return -1;
    if (pql_wiring_resolve_schemas(wiring, err)) return -1;
    runner->pipeline = pql_pipeline_new(pql_wiring_ports(wiring), pql_wiring_conf(wiring), err);
    return runner->pipeline ? 0 : -1;
}

static int exit_of(enum pql_err_class cls)
{
    return cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
}

static int start(struct pql_runner *runner, const struct pql_setup *setup, struct patience *patience,
                 int *exit_code, struct pql_err *err)
{
    if (pql_kafka_await(pql_wiring_admin(runner->wiring), 0, patience->should_stop, patience->context, err)) {
        *exit_code = err->cls == PQL_ERR_RETRY ? PQL_EXIT_OK : exit_of(err->cls); /* asked to stop */
        return -1;
    }
    while (try_start(runner, setup, err)) {
        *exit_code = exit_of(err->cls);
        if (err->cls != PQL_ERR_RETRY) return -1;
        if (wait_to_retry(patience, err)) continue;
        *exit_code = PQL_EXIT_OK;
        return -1;
    }
    PQL_ASSERT(!pthread_create(&runner->thread, NULL, run, runner->pipeline));
    return 0;
}

struct pql_runner *pql_runner_start(const struct pql_setup *setup, bool (*should_stop)(void *context),
                                    void *context, int *exit_code, struct pql_err *err)
{
    struct patience patience = {should_stop, context, RETRY_MIN_MS};
    struct pql_kafka_log say = pql_kafka_say();
    struct pql_runner *runner = pql_xcalloc(1, sizeof(*runner));
    pql_kafka_log_version(&say);
    runner->wiring = pql_wiring_new(setup, err);
    if (!runner->wiring) {
        *exit_code = exit_of(err->cls);
        free(runner);
        return NULL;
    }
    if (start(runner, setup, &patience, exit_code, err)) {
        pql_wiring_free(runner->wiring);
        free(runner);
        return NULL;
    }
    return runner;
}

/* --- ending --- */

void pql_runner_stop(struct pql_runner *runner)
{
    pql_pipeline_stop(runner->pipeline);
}

bool pql_runner_is_done(struct pql_runner *runner)
{
    enum pql_stop stop;
    struct pql_err err;
    return pql_pipeline_finished(runner->pipeline, &stop, &err);
}

static int exit_of_stop(enum pql_stop stop)
{
    switch (stop) {
    case PQL_STOP_NONE:
    case PQL_STOP_CLEAN: return PQL_EXIT_OK;
    case PQL_STOP_CONFIG: return PQL_EXIT_CONFIG;
    case PQL_STOP_STATE: return PQL_EXIT_OPERATOR;
    case PQL_STOP_FENCED: return PQL_EXIT_FENCED;
    case PQL_STOP_FATAL: return PQL_EXIT_FAILURE;
    }
    return PQL_EXIT_FAILURE;
}

int pql_runner_finish(struct pql_runner *runner, struct pql_err *err)
{
    enum pql_stop stop = PQL_STOP_NONE;
    pthread_join(runner->thread, NULL);
    pql_pipeline_finished(runner->pipeline, &stop, err);
    pql_pipeline_free(runner->pipeline);
    pql_wiring_free(runner->wiring);
    free(runner);
    return exit_of_stop(stop);
}

struct pql_pipeline *pql_runner_pipeline(struct pql_runner *runner)
{
    return runner->pipeline;
}

struct pql_wiring *pql_runner_wiring(struct pql_runner *runner)
{
    return runner->wiring;
}
