/* pipeline.c - life and threads of the pipeline, and what it asks of the topics before it joins the group. */
#include "app/budget.h"
#include "app/remedy.h"
#include "app/task.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum {
    FACTS_MS = 10000,
    ROLE_WAIT_MS = 100,
    WORKERS_MAX = 64,
    RECORD_BYTES_MIN = 1000,
    RECORD_BYTES_MAX = 64 << 20,
    BYTES_UNKNOWN = 1000000
};

struct pql_pipeline_conf pql_pipeline_conf_default(void)
{
    return (struct pql_pipeline_conf){
        .revision = 1,
        .semantics = PQL_SEMANTICS_VERSION,
        .engine_upgrade = true,
        .backfill_from = PQL_OFFSET_LATEST,
        .workers = 1,
        .keepers = 1,
        .commit_interval_ms = 100,
        .max_output_delay_ms = 10,
        .checkpoint_interval_ms = 60000,
        .restore_target_ms = 5000,
        .handover_budget_ms = 5000,
        .park_ms = 600000,
        .checkpoint_bandwidth = 20000000,
        .checkpoint_buffer = 64 << 20,
        .checkpoint_slice = 16 << 10,
        .idle_after_ms = 10000,
        .alert_max_age_ms = 3600000,
        .dlq_max_share = 0.5,
        .misplaced_max = 0.001,
        .epoch_bytes_max = 16 << 20,
        .inbox_max = 1000,
        .inbox_bytes_max = 16 << 20,
        .part_records_max = 20000,
        .cut_bytes = 256 << 10,
        .transaction_bytes = 256 << 10,
        .transaction_bytes_min = 16 << 10,
        .transaction_timeout_ms = 10000,
    };
}

/* --- locks --- */

void pql_lock(struct pql_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
}
void pql_unlock(struct pql_pipeline *p)
{
    pthread_mutex_unlock(&p->lock);
}
void pql_wake_all(struct pql_pipeline *p)
{
    pthread_cond_broadcast(&p->changed);
}

void pql_wait_changed(struct pql_pipeline *p, int ms)
{
    if (ms <= 0) return;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&p->changed, &p->lock, &until);
}

void pql_pipeline_fail(struct pql_pipeline *p, enum pql_stop stop, const struct pql_err *err)
{
    pql_lock(p);
    bool first = p->stop == PQL_STOP_NONE;
    struct pql_err why = *err;
    pql_remedy_add(p->conf, &why);
    if (first) {
        p->stop = stop;
        p->stop_err = why;
    }
    p->stop_wanted = true;
    pql_wake_all(p);
    pql_unlock(p);
    if (first) pql_log(PQL_LOG_ERROR, "stopping", "cause=%s", why.msg);
}

bool pql_pipeline_is_lasting(struct pql_pipeline *p, const char **before, const struct pql_err *err)
{
    if (!err->reason) return false; /* says nothing new: an abort may hide its cause */
    const char *last = *before;
    *before = err->reason;
    if (!last || strcmp(err->reason, last) != 0) return false;
    pql_pipeline_fail(p, PQL_STOP_CONFIG, err);
    return true;
}

void pql_pipeline_partitions_added(struct pql_pipeline *p, uint32_t input, int32_t count)
{
    struct pql_err err;
    PQL_FAIL(
        &err, PQL_ERR_CONFIG,
        "%s has %d partitions now and had %d: accounts are elsewhere from here on. Copy it, by account, into "
        "a topic of the wanted count, and start on that under another `app` name; the offsets that are "
        "committed stay as they are",
        p->conf->inputs[input].topic, count, p->partitions_count);
    pql_pipeline_fail(p, PQL_STOP_CONFIG, &err);
}

/* --- topics --- */

static int no_topic(const char *name, struct pql_err *err)
{
    return PQL_FAIL(err, PQL_ERR_CONFIG,
                    "topic %s does not exist (or may not be seen): `pqlstream topics --create` makes it",
                    name);
}

static int check_inputs(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                        struct pql_topic_facts *lead, char (*ids)[PQL_TOPIC_ID_MAX], struct pql_err *err)
{
    for (uint32_t i = 0; i < conf->inputs_count; i++) {
        struct pql_topic_facts facts;
        if (ports->input_facts(ports->self, i, &facts, FACTS_MS, err)) return -1;
        if (!facts.exists) return no_topic(conf->inputs[i].topic, err);
        if (ids) memcpy(ids[i], facts.id, sizeof facts.id);
        if (!i) *lead = facts;
        if (facts.partitions_count != lead->partitions_count)
            return PQL_FAIL(
                err, PQL_ERR_CONFIG,
                "%s has %d partitions and %s %d: inputs are joined partition by partition, so the counts "
                "must be "
                "equal; re-key one of them into a topic of the other's count (`pqlstream topics` shows both)",
                conf->inputs[0].topic, lead->partitions_count, conf->inputs[i].topic, facts.partitions_count);
        int64_t lag_ms = PQL_REPLAY_INTERVALS * conf->checkpoint_interval_ms;
        if (facts.has_configuration && facts.is_compacted && facts.compaction_lag_ms < lag_ms)
            return PQL_FAIL(
                err, PQL_ERR_CONFIG,
                "%s is compacted: a replay would miss records. Use a topic with cleanup.policy=delete, or "
                "let "
                "nothing be compacted that a replay may need: kafka-configs.sh --bootstrap-server %s --alter "
                "--entity-type topics --entity-name %s --add-config min.compaction.lag.ms=%" PRId64,
                conf->inputs[i].topic, conf->brokers ? conf->brokers : "BROKER", conf->inputs[i].topic,
                lag_ms);
        if (facts.has_configuration && facts.retention_ms >= 0 && facts.retention_ms < lag_ms)
            pql_log(PQL_LOG_WARN, "the input is kept for hardly longer than a snapshot takes to come",
                    "topic=%s retention_ms=%" PRId64 " checkpoint_interval_ms=%" PRId64
                    " mend=kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config "
                    "retention.ms=%" PRId64,
                    conf->inputs[i].topic, facts.retention_ms, conf->checkpoint_interval_ms,
                    conf->inputs[i].topic, lag_ms);
    }
    return 0;
}

static int check_checkpoint(const struct pql_pipeline_conf *conf, const struct pql_topic_facts *facts,
                            int32_t partitions, struct pql_err *err)
{
    const char *name = conf->outputs[PQL_OUT_CHECKPOINT];
    if (facts->partitions_count != partitions)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "%s has %d partitions and the input %d: `pqlstream topics --create` says what to do",
                        name, facts->partitions_count, partitions);
    if (!facts->has_configuration) {
        pql_log(PQL_LOG_INFO, "the broker does not show its topics' settings; they were not checked",
                "topic=%s", name);
        return 0;
    }
    if (facts->is_compacted || facts->retention_ms >= 0 || facts->retention_bytes >= 0)
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "%s would lose the state: it needs cleanup.policy=delete, retention.ms=-1, retention.bytes=-1; "
            "`pqlstream topics --create` sets them",
            name);
    return 0;
}

static int check_outputs(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                         int32_t partitions, struct pql_pipeline *p, struct pql_err *err)
{
    for (int i = 0; i < PQL_OUT_COUNT; i++) {
        struct pql_topic_facts facts;
        if (ports->output_facts(ports->self, (enum pql_output)i, &facts, FACTS_MS, err)) return -1;
        if (!facts.exists) return no_topic(conf->outputs[i], err);
        if (i == PQL_OUT_CHECKPOINT && check_checkpoint(conf, &facts, partitions, err)) return -1;
        if (facts.max_message_bytes < RECORD_BYTES_MIN)
            return PQL_FAIL(err, PQL_ERR_CONFIG,
                            "%s has max.message.bytes=%" PRId64 ", too little for any record",
                            conf->outputs[i], facts.max_message_bytes);
        if (p)
            p->max_bytes[i] =
                facts.max_message_bytes < RECORD_BYTES_MAX ? facts.max_message_bytes : RECORD_BYTES_MAX;
        if (p && i == PQL_OUT_CHECKPOINT) memcpy(p->checkpoint_id, facts.id, sizeof p->checkpoint_id);
    }
    return 0;
}

static int learn_topics(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                        struct pql_pipeline *p, struct pql_err *err)
{
    struct pql_topic_facts lead = {0};
    if (check_inputs(ports, conf, &lead, p ? p->input_ids : NULL, err)) return -1;
    if (p) p->partitions_count = lead.partitions_count;
    return check_outputs(ports, conf, lead.partitions_count, p, err);
}

int pql_pipeline_check(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                       struct pql_err *err)
{
    return learn_topics(ports, conf, NULL, err);
}

/* --- life --- */

static void init_locks(struct pql_pipeline *p)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&p->lock, NULL);
    p->scoreboard = pql_scoreboard_new();
    p->recent = p->conf->is_watched ? pql_recent_new() : NULL;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void init_workers(struct pql_pipeline *p)
{
    p->workers = pql_xcalloc(p->conf->workers, sizeof *p->workers);
    p->keeper_turns = pql_xcalloc(p->conf->keepers, sizeof *p->keeper_turns);
    for (unsigned i = 0; i < p->conf->workers; i++) {
        struct pql_worker *w = &p->workers[i];
        w->pipeline = p;
        w->index = i;
        w->batch = pql_xcalloc(PQL_BATCH, sizeof *w->batch);
        w->ahead = pql_xcalloc(PQL_BATCH, sizeof *w->ahead);
        pql_arena_init(&w->scratch);
    }
}

/* Records are made to fit the topics, and batches the smallest of them. */
static int tell_sizes(struct pql_pipeline *p, struct pql_err *err)
{
    int64_t sizes[PQL_OUT_COUNT];
    for (int i = 0; i < PQL_OUT_COUNT; i++)
        sizes[i] = PQL_BREAKS(p, BATCH_REFUSAL) ? BYTES_UNKNOWN : p->max_bytes[i];
    return p->ports->set_sizes(p->ports->self, sizes, err);
}

struct pql_pipeline *pql_pipeline_new(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                                      struct pql_err *err)
{
    PQL_ASSERT(conf->workers > 0 && conf->workers <= WORKERS_MAX && conf->keepers > 0 &&
               conf->keepers <= WORKERS_MAX);
    PQL_ASSERT(conf->inputs_count > 0 && conf->inputs_count <= PQL_INPUTS_MAX && conf->writer[0]);
    struct pql_pipeline *p = pql_xcalloc(1, sizeof *p);
    p->ports = ports;
    p->conf = conf;
    init_locks(p);
    pql_pipeline_revise(p, conf->edition, conf->revision, conf->backfill_from);
    init_workers(p);
    pql_arena_init(&p->committer.arena);
    if (learn_topics(ports, conf, p, err) || tell_sizes(p, err) || ports->subscribe(ports->self, err)) {
        if (err) pql_remedy_add(conf, err);
        pql_pipeline_free(p);
        return NULL;
    }
    return p;
}

static void free_worker(struct pql_worker *w)
{
    pql_snapshots_deinit(w);
    for (size_t i = 0; i < w->count; i++)
        for (size_t k = 0; k < PQL_INPUTS_MAX; k++)
            for (size_t m = 0; m < w->tasks[i]->inbox[k].count; m++)
                w->pipeline->ports->message_release(
                    w->pipeline->ports->self, &w->tasks[i]->inbox[k].items[w->tasks[i]->inbox[k].head + m]);
    free(w->tasks);
    free(w->by_partition);
    free(w->batch);
    free(w->ahead);
    free(w->acks.items);
    free(w->acks_taken.items);
    pql_buf_deinit(&w->value);
    pql_arena_deinit(&w->scratch);
}

void pql_pipeline_free(struct pql_pipeline *p)
{
    if (!p) return;
    for (unsigned i = 0; i < p->conf->workers; i++) free_worker(&p->workers[i]);
    for (size_t i = 0; i < p->gone_count; i++) pql_task_free(p->gone[i]);
    free(p->gone);
    for (size_t i = 0; i < p->count; i++) pql_task_free(p->tasks[i]);
    for (size_t i = 0; i < p->parked_count; i++) pql_task_free(p->parked[i]);
    pql_editions_free(p);
    pql_lookup_drop(p);
    pql_arena_deinit(&p->committer.arena);
    free(p->committer.tasks);
    free(p->committer.positions);
    free(p->tasks);
    free(p->parked);
    free(p->settled);
    free(p->workers);
    free(p->keeper_turns);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    pql_scoreboard_free(p->scoreboard);
    pql_recent_free(p->recent);
    free(p);
}

void pql_pipeline_stop(struct pql_pipeline *p)
{
    pql_lock(p);
    p->stop_wanted = true;
    pql_wake_all(p);
    pql_unlock(p);
}

void pql_pipeline_refresh(struct pql_pipeline *p)
{
    pql_lock(p);
    p->refresh_wanted++;
    for (unsigned i = 0; i < p->conf->workers; i++) p->ports->worker_wake(p->ports->self, i);
    pql_unlock(p);
}

bool pql_pipeline_finished(struct pql_pipeline *p, enum pql_stop *stop, struct pql_err *err)
{
    pql_lock(p);
    bool done = p->is_done;
    if (stop) *stop = p->stop;
    if (err) *err = p->stop_err;
    pql_unlock(p);
    return done;
}

/* --- threads --- */

struct role {
    struct pql_pipeline *pipeline;
    unsigned index;
    void (*step)(struct pql_pipeline *pipeline, unsigned index, int wait_ms);
    pthread_t thread;
};

static void committer_role(struct pql_pipeline *p, unsigned index, int wait_ms)
{
    (void)index;
    pql_committer_step(p, wait_ms);
}

static void *run_role(void *context)
{
    struct role *role = context;
    while (!pql_pipeline_finished(role->pipeline, NULL, NULL))
        role->step(role->pipeline, role->index, ROLE_WAIT_MS);
    return NULL;
}

void pql_pipeline_run(struct pql_pipeline *p)
{
    size_t n = 0, total = p->conf->workers + p->conf->keepers + 1;
    struct role *roles = pql_xcalloc(total, sizeof *roles);
    for (unsigned i = 0; i < p->conf->workers; i++)
        roles[n++] = (struct role){.pipeline = p, .index = i, .step = pql_worker_step};
    for (unsigned i = 0; i < p->conf->keepers; i++)
        roles[n++] = (struct role){.pipeline = p, .index = i, .step = pql_keeper_step};
    roles[n++] = (struct role){.pipeline = p, .step = committer_role};
    for (size_t i = 0; i < total; i++)
        PQL_ASSERT(!pthread_create(&roles[i].thread, NULL, run_role, &roles[i]));
    while (!pql_pipeline_finished(p, NULL, NULL)) pql_control_step(p, ROLE_WAIT_MS);
    for (size_t i = 0; i < total; i++) pthread_join(roles[i].thread, NULL);
    free(roles);
}

/* --- what can be seen --- */

const int pql_commit_ms[PQL_COMMIT_BUCKETS - 1] = {5, 10, 20, 50, 100, 250, 1000, 5000, 30000};

static void add_worker_stats(const struct pql_worker *w, struct pql_pipeline_stats *out)
{
    out->messages += w->shown.messages;
    out->bytes += w->shown.bytes;
    out->replayed += w->shown.replayed;
    out->refused += w->shown.refused;
    out->late += w->shown.late;
    out->duplicates += w->shown.duplicates;
    out->snapshots += w->shown.snapshots;
    out->snapshots_abandoned += w->shown.snapshots_abandoned;
    out->snapshot_bytes += w->shown.snapshot_bytes;
    out->ticks += w->shown.ticks;
    out->changes += w->shown.changes;
    out->filled += w->shown.filled;
    out->parts += w->shown.parts;
    out->refreshes += w->shown.refreshes;
    out->waiting += w->shown.waiting;
}

void pql_pipeline_stats(struct pql_pipeline *p, struct pql_pipeline_stats *out)
{
    uint64_t now_us = p->ports->mono_us(p->ports->self);
    *out = (struct pql_pipeline_stats){0};
    pql_lock(p);
    for (unsigned i = 0; i < p->conf->workers; i++) add_worker_stats(&p->workers[i], out);
    for (size_t i = 0; i < p->count; i++) {
        const struct pql_task *task = p->tasks[i];
        out->tasks++;
        out->live += task->phase == PQL_PHASE_LIVE;
        out->blocked += task->phase == PQL_PHASE_BLOCKED;
        out->restoring += task->phase < PQL_PHASE_LIVE;
        out->accounts += task->accounts;
    }
    for (size_t i = 0; i < p->parked_count; i++) out->parked_accounts += p->parked[i]->accounts;
    out->parked = p->parked_count;
    out->partitions = (uint64_t)p->partitions_count;
    out->resumed = p->resumed;
    pql_budget_measure(p, &out->memory);
    out->records = p->committer.records;
    out->epochs = p->committer.epochs;
    out->aborted = p->committer.aborted;
    out->unknown = p->committer.unknown;
    out->transaction_bytes_max = p->committer.size_max;
    out->last_commit_us = (int64_t)p->committer.took_us;
    out->memory_max = p->conf->memory_max;
    out->commits = p->committer.commits;
    out->outputs = p->committer.outputs;
    if (p->committer.waiting_us && now_us > p->committer.waiting_us)
        out->commit_waits_us = now_us - p->committer.waiting_us;
    pql_unlock(p);
}

struct pql_scoreboard_view pql_pipeline_scores(struct pql_pipeline *p)
{
    return pql_scoreboard_view(p->scoreboard);
}

struct pql_recent_view *pql_pipeline_recent(struct pql_pipeline *p)
{
    return pql_recent_view(p->recent);
}

static int64_t snapshot_age_ms(const struct pql_task *task, uint64_t now_us)
{
    if (task->phase != PQL_PHASE_LIVE || !task->shown_snapshot_us) return -1;
    return now_us > task->shown_snapshot_us ? (int64_t)(now_us - task->shown_snapshot_us) / 1000 : 0;
}

struct pql_task_standing *pql_pipeline_standing(struct pql_pipeline *p, size_t *count)
{
    uint64_t now_us = p->ports->mono_us(p->ports->self);
    pql_lock(p);
    struct pql_task_standing *standing = pql_xcalloc(p->count + 1, sizeof *standing);
    for (size_t i = 0; i < p->count; i++) {
        const struct pql_task *task = p->tasks[i];
        standing[i] = (struct pql_task_standing){.partition = task->partition,
                                                 .phase = pql_phase_names[task->phase],
                                                 .accounts = task->accounts,
                                                 .revision = task->shown_revision,
                                                 .seen_ms = task->shown_seen_ms,
                                                 .snapshot_age_ms = snapshot_age_ms(task, now_us),
                                                 .load_left_ms = -1};
        if (task->phase == PQL_PHASE_RESTORE) {
            standing[i].load_done = task->load_done;
            standing[i].load_of = task->load_of;
            if (task->load_of) standing[i].load_left_ms = (int64_t)task->load_left_ms;
        }
        if (task->phase == PQL_PHASE_BLOCKED)
            snprintf(standing[i].blocked, sizeof standing[i].blocked, "%.199s", task->blocked.msg);
        memcpy(standing[i].committed, p->tasks[i]->committed.next, sizeof standing[i].committed);
    }
    *count = p->count;
    pql_unlock(p);
    return standing;
}

static bool is_at_rest(const struct pql_pipeline *p, const struct pql_task *task)
{
    return task->phase == PQL_PHASE_LIVE && !task->sealed && !(task->open && task->open->moved) &&
           pql_engine_work(task->engine) == PQL_WORK_NONE && !task->fill.is_open &&
           task->script.next == task->script.count && task->revised == p->wanted_serial;
}

bool pql_pipeline_inspect(struct pql_pipeline *p, int32_t partition, uint64_t *digest,
                          struct pql_log_place *place)
{
    for (size_t i = 0; i < p->count; i++) {
        struct pql_task *task = p->tasks[i];
        if (task->partition != partition || !is_at_rest(p, task)) continue;
        *digest = pql_engine_digest(task->engine);
        *place = task->place;
        return true;
    }
    return false;
}

bool pql_pipeline_rests(const struct pql_pipeline *p, size_t *tasks)
{
    for (size_t i = 0; i < p->count; i++)
        if (!is_at_rest(p, p->tasks[i])) return false;
    *tasks = p->count;
    return true;
}
