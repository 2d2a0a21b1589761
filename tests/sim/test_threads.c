/* The pipeline with its threads, on the modelled Kafka behind one lock: what the steps share must hold under
 * real interleaving. Rebalances and faults meanwhile; everything is committed at the end, and it ends in
 * order. Another thread asks meanwhile how it stands. */
#include "app/lookup.h"
#include "base/log.h"
#include "sim/calls.h"
#include "sim/world.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { EVENTS = 3000, TURNS_MAX = 20000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}
static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}
static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static void worker_wait(void *self, unsigned worker, int timeout_ms)
{
    (void)self;
    (void)worker;
    (void)timeout_ms;
    nap();
}

static bool before(void *context, enum call call, struct pql_err *err)
{
    (void)context;
    (void)err;
    if (call != CALL_worker_wait) lock();
    return true;
}

static int after(void *context, enum call call, int result, struct pql_err *err)
{
    (void)context;
    (void)err;
    if (call != CALL_worker_wait) unlock();
    return result;
}

static void *run(void *pipeline)
{
    pql_pipeline_run(pipeline);
    return NULL;
}

/* As the admin endpoint, the monitor and a signal do, all the time. */
struct observer {
    struct pql_pipeline *pipeline;
    struct world_program *programs; /* that take turns */
    bool stops;                     /* under the lock */
    uint64_t looks, answers;        /* answers: subjects that were found */
};

static bool is_observed(const struct observer *o)
{
    lock();
    bool stops = o->stops;
    unlock();
    return !stops;
}

/* One of the accounts, or a user that may be none. */
static void look_up(struct observer *o)
{
    static const char *const accounts[] = {"a0", "a1", "a2", "a3", "nobody"}, *const users[] = {"", "u1"};
    struct pql_buf out = {0};
    int32_t partition;
    enum pql_lookup_result result =
        pql_pipeline_lookup(o->pipeline, pql_slice_of(accounts[o->looks % 5]),
                            pql_slice_of(users[o->looks / 5 % 2]), &partition, &out);
    o->answers += result == PQL_LOOKUP_FOUND;
    assert_true((result == PQL_LOOKUP_FOUND) == (out.len > 0));
    pql_buf_deinit(&out);
}

static void *observe(void *context)
{
    struct observer *o = context;
    for (; is_observed(o); o->looks++) {
        struct pql_pipeline_stats stats;
        int64_t revision;
        size_t count;
        pql_pipeline_stats(o->pipeline, &stats);
        free(pql_pipeline_standing(o->pipeline, &count));
        (void)pql_pipeline_program(o->pipeline, &revision);
        look_up(o);
        free(pql_pipeline_recent(o->pipeline));
        struct pql_scoreboard_view scores = pql_pipeline_scores(o->pipeline);
        pql_scoreboard_view_free(&scores);
        if (o->looks % 100 == 50) pql_pipeline_refresh(o->pipeline);
        if (o->looks % 500 == 250) {
            uint64_t turn = o->looks / 500 + 1;
            pql_pipeline_revise(o->pipeline, &o->programs[turn % 2].edition, 1 + (int64_t)turn,
                                PQL_OFFSET_EARLIEST);
        }
        pql_pipeline_give_up_parked(o->pipeline);
        nap();
    }
    return NULL;
}

/* Time passes while the threads work; true once `done` says so. */
static bool pass_time_until(struct world *world, bool (*done)(const struct world *world))
{
    for (int i = 0; i < TURNS_MAX; i++) {
        lock();
        model_advance(&world->model, 2000);
        if (world->produced < EVENTS) world_produce(world);
        bool is_done = done(world);
        unlock();
        if (is_done) return true;
        nap();
    }
    return false;
}

static bool all_produced(const struct world *world)
{
    return world->produced == EVENTS;
}

static void threads(void **state)
{
    (void)state;
    const struct world_plan plan = {.seed = 5,
                                    .inputs_count = 2,
                                    .partitions_count = 4,
                                    .workers = 2,
                                    .bad = 0.02,
                                    .checkpoint_interval_ms = 300};
    struct world world;
    struct model_client *client;
    enum pql_stop stop;
    struct pql_err err = {0};
    pthread_t thread, observing;
    world_init(&world, &plan);
    world.conf.keepers = 2;
    world.conf.is_watched = true;
    world.conf.edition = &world.programs[0].edition;
    snprintf(world.conf.writer, sizeof world.conf.writer, "threads");
    client = model_client_new(&world.model, "pql-0", "");
    struct calls calls = {.before = before, .after = after};
    model_client_ports(client, &calls.inner);
    calls.inner.worker_wait = worker_wait;
    calls_wrap(&calls);
    struct pql_pipeline *pipeline = pql_pipeline_new(&calls.table, &world.conf, &err);
    assert_non_null(pipeline);
    struct observer observer = {.pipeline = pipeline, .programs = world.programs};
    assert_int_equal(pthread_create(&thread, NULL, run, pipeline), 0);
    assert_int_equal(pthread_create(&observing, NULL, observe, &observer), 0);
    lock();
    world.model.faults = (struct model_faults){
        .retry = 0.01, .abortable = 0.01, .lost_commit = 0.02, .seek = 0.1, .ack = 0.05, .rebalance = 0.002};
    unlock();
    assert_true(pass_time_until(&world, all_produced));
    lock();
    world.model.faults = (struct model_faults){0};
    unlock();
    assert_true(pass_time_until(&world, world_all_committed));
    pql_pipeline_stop(pipeline);
    for (int i = 0; i < TURNS_MAX && !pql_pipeline_finished(pipeline, &stop, &err); i++) {
        lock();
        model_advance(&world.model, 2000);
        unlock();
        nap();
    }
    assert_true(pql_pipeline_finished(pipeline, &stop, &err));
    assert_int_equal(stop, PQL_STOP_CLEAN);
    pthread_join(thread, NULL);
    lock();
    observer.stops = true;
    unlock();
    pthread_join(observing, NULL);
    assert_true(observer.looks > 100);
    assert_true(observer.answers > 0);
    pql_pipeline_free(pipeline);
    model_client_free(client);
    world_deinit(&world);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
