/* The pipeline with its threads, on the modelled Kafka behind one lock: what the steps share must hold under
 * real interleaving. Rebalances and faults meanwhile; everything is committed at the end, and it ends in
 * order. */
#include "base/log.h"
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
static struct pql_ports real;

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

static void locked_worker_wait(void *self, unsigned worker, int timeout_ms)
{
    (void)self;
    (void)worker;
    (void)timeout_ms;
    nap();
}

static int locked_subscribe(void *self, struct pql_err *err)
{
    lock();
    int result = real.subscribe(self, err);
    unlock();
    return result;
}

static void locked_poll(void *self, int timeout_ms, struct pql_control *out)
{
    lock();
    real.poll(self, timeout_ms, out);
    unlock();
}

static int locked_assign(void *self, const int32_t *tasks, const unsigned *workers, size_t count,
                         struct pql_err *err)
{
    lock();
    int result = real.assign(self, tasks, workers, count, err);
    unlock();
    return result;
}

static int locked_unassign(void *self, const int32_t *tasks, size_t count, struct pql_err *err)
{
    lock();
    int result = real.unassign(self, tasks, count, err);
    unlock();
    return result;
}

static int locked_leave(void *self, int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.leave(self, timeout_ms, err);
    unlock();
    return result;
}

static int locked_pause(void *self, const struct pql_position *positions, size_t count, struct pql_err *err)
{
    lock();
    int result = real.pause(self, positions, count, err);
    unlock();
    return result;
}

static int locked_resume(void *self, const struct pql_position *positions, size_t count, struct pql_err *err)
{
    lock();
    int result = real.resume(self, positions, count, err);
    unlock();
    return result;
}

static int locked_seek(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                       struct pql_err *err)
{
    lock();
    int result = real.seek(self, positions, count, timeout_ms, err);
    unlock();
    return result;
}

static int locked_end_offsets_ask(void *self, const struct pql_position *positions, size_t count,
                                  struct pql_err *err)
{
    lock();
    int result = real.end_offsets_ask(self, positions, count, err);
    unlock();
    return result;
}

static void locked_worker_wake(void *self, unsigned worker)
{
    lock();
    real.worker_wake(self, worker);
    unlock();
}

static size_t locked_worker_poll(void *self, unsigned worker, struct pql_message_view *out, size_t max)
{
    lock();
    size_t result = real.worker_poll(self, worker, out, max);
    unlock();
    return result;
}

static void locked_message_headers(void *self, const struct pql_message_view *message,
                                   struct pql_arena *arena, const struct pql_header **headers, size_t *count)
{
    lock();
    real.message_headers(self, message, arena, headers, count);
    unlock();
}

static void locked_message_release(void *self, struct pql_message_view *message)
{
    lock();
    real.message_release(self, message);
    unlock();
}

static int locked_committed(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                            struct pql_err *err)
{
    lock();
    int result = real.committed(self, positions, count, timeout_ms, err);
    unlock();
    return result;
}

static int locked_offsets(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                          struct pql_err *err)
{
    lock();
    int result = real.offsets(self, positions, count, timeout_ms, err);
    unlock();
    return result;
}

static int locked_set_sizes(void *self, const int64_t *max_bytes, struct pql_err *err)
{
    lock();
    int result = real.set_sizes(self, max_bytes, err);
    unlock();
    return result;
}

static int locked_txn_init(void *self, int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.txn_init(self, timeout_ms, err);
    unlock();
    return result;
}

static int locked_txn_begin(void *self, struct pql_err *err)
{
    lock();
    int result = real.txn_begin(self, err);
    unlock();
    return result;
}

static int locked_txn_produce(void *self, const struct pql_out_record *record, struct pql_err *err)
{
    lock();
    int result = real.txn_produce(self, record, err);
    unlock();
    return result;
}

static void locked_group_facts(void *self, struct pql_group_facts *facts)
{
    lock();
    real.group_facts(self, facts);
    unlock();
}

static bool locked_assignment_lost(void *self)
{
    lock();
    bool result = real.assignment_lost(self);
    unlock();
    return result;
}

static int locked_txn_send_offsets(void *self, const struct pql_position *positions, size_t count,
                                   int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.txn_send_offsets(self, positions, count, timeout_ms, err);
    unlock();
    return result;
}

static int locked_txn_commit(void *self, int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.txn_commit(self, timeout_ms, err);
    unlock();
    return result;
}

static int locked_txn_abort(void *self, int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.txn_abort(self, timeout_ms, err);
    unlock();
    return result;
}

static int locked_txn_recreate(void *self, struct pql_err *err)
{
    lock();
    int result = real.txn_recreate(self, err);
    unlock();
    return result;
}

static int locked_plain_produce(void *self, enum pql_lane lane, const struct pql_out_record *record,
                                uint64_t cookie, struct pql_err *err)
{
    lock();
    int result = real.plain_produce(self, lane, record, cookie, err);
    unlock();
    return result;
}

static size_t locked_plain_acks(void *self, enum pql_lane lane, struct pql_ack *out, size_t max,
                                int timeout_ms)
{
    lock();
    size_t result = real.plain_acks(self, lane, out, max, timeout_ms);
    unlock();
    return result;
}

static int locked_commit_offsets(void *self, const struct pql_position *positions, size_t count,
                                 int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.commit_offsets(self, positions, count, timeout_ms, err);
    unlock();
    return result;
}

static int locked_checkpoint_ends(void *self, int32_t partition, int64_t *low, int64_t *end, int timeout_ms,
                                  struct pql_err *err)
{
    lock();
    int result = real.checkpoint_ends(self, partition, low, end, timeout_ms, err);
    unlock();
    return result;
}

static int locked_log_open(void *self, int32_t partition, int64_t from, enum pql_isolation isolation,
                           struct pql_log **log, struct pql_err *err)
{
    lock();
    int result = real.log_open(self, partition, from, isolation, log, err);
    unlock();
    return result;
}

static int locked_log_read(void *self, struct pql_log *log, int timeout_ms, struct pql_log_record *record,
                           struct pql_err *err)
{
    lock();
    int result = real.log_read(self, log, timeout_ms, record, err);
    unlock();
    return result;
}

static void locked_log_close(void *self, struct pql_log *log)
{
    lock();
    real.log_close(self, log);
    unlock();
}

static int locked_checkpoint_trim(void *self, int32_t partition, int64_t before, int timeout_ms,
                                  struct pql_err *err)
{
    lock();
    int result = real.checkpoint_trim(self, partition, before, timeout_ms, err);
    unlock();
    return result;
}

static int locked_input_facts(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                              struct pql_err *err)
{
    lock();
    int result = real.input_facts(self, input, facts, timeout_ms, err);
    unlock();
    return result;
}

static int locked_output_facts(void *self, enum pql_output output, struct pql_topic_facts *facts,
                               int timeout_ms, struct pql_err *err)
{
    lock();
    int result = real.output_facts(self, output, facts, timeout_ms, err);
    unlock();
    return result;
}

static int64_t locked_wall_ms(void *self)
{
    lock();
    int64_t result = real.wall_ms(self);
    unlock();
    return result;
}

static uint64_t locked_mono_us(void *self)
{
    lock();
    uint64_t result = real.mono_us(self);
    unlock();
    return result;
}

static struct pql_ports locked_ports(void)
{
    return (struct pql_ports){
        .self = real.self,
        .worker_wait = locked_worker_wait,
        .subscribe = locked_subscribe,
        .poll = locked_poll,
        .assign = locked_assign,
        .unassign = locked_unassign,
        .leave = locked_leave,
        .pause = locked_pause,
        .resume = locked_resume,
        .seek = locked_seek,
        .end_offsets_ask = locked_end_offsets_ask,
        .worker_wake = locked_worker_wake,
        .worker_poll = locked_worker_poll,
        .message_headers = locked_message_headers,
        .message_release = locked_message_release,
        .committed = locked_committed,
        .offsets = locked_offsets,
        .set_sizes = locked_set_sizes,
        .txn_init = locked_txn_init,
        .txn_begin = locked_txn_begin,
        .txn_produce = locked_txn_produce,
        .group_facts = locked_group_facts,
        .assignment_lost = locked_assignment_lost,
        .txn_send_offsets = locked_txn_send_offsets,
        .txn_commit = locked_txn_commit,
        .txn_abort = locked_txn_abort,
        .txn_recreate = locked_txn_recreate,
        .plain_produce = locked_plain_produce,
        .plain_acks = locked_plain_acks,
        .commit_offsets = locked_commit_offsets,
        .checkpoint_ends = locked_checkpoint_ends,
        .log_open = locked_log_open,
        .log_read = locked_log_read,
        .log_close = locked_log_close,
        .checkpoint_trim = locked_checkpoint_trim,
        .input_facts = locked_input_facts,
        .output_facts = locked_output_facts,
        .wall_ms = locked_wall_ms,
        .mono_us = locked_mono_us,
    };
}

static void *run(void *pipeline)
{
    pql_pipeline_run(pipeline);
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
    pthread_t thread;
    world_init(&world, &plan);
    world.conf.keepers = 2;
    world.conf.edition = &world.programs[0].edition;
    snprintf(world.conf.writer, sizeof world.conf.writer, "threads");
    client = model_client_new(&world.model, "pql-0", "");
    model_client_ports(client, &real);
    struct pql_ports ports = locked_ports();
    struct pql_pipeline *pipeline = pql_pipeline_new(&ports, &world.conf, &err);
    assert_non_null(pipeline);
    assert_int_equal(pthread_create(&thread, NULL, run, pipeline), 0);
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
