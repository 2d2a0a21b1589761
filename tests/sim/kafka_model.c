#include "sim/model_client.h"

#include "core/partition.h"
#include "core/record.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- chance --- */

uint64_t model_next(struct model_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t model_below(struct model_random *random, uint64_t n)
{
    return n ? model_next(random) % n : 0;
}

bool model_chance(struct model_random *random, double p)
{
    return p > 0 && (double)(model_next(random) >> 11) * 0x1p-53 < p;
}

/* --- logs --- */

static struct pql_slice copy_of(struct pql_slice text)
{
    return (struct pql_slice){pql_xstrndup(text.len ? text.ptr : "", text.len), text.len};
}

static void free_slice(struct pql_slice text)
{
    char *bytes;
    memcpy(&bytes, &text.ptr, sizeof bytes); /* it is ours, and only now not const */
    free(bytes);
}

void model_append(struct model_log *log, const struct pql_out_record *record, int txn,
                  enum model_status status, int64_t timestamp_ms)
{
    log->records = pql_xgrow(log->records, &log->capacity, log->count + 1, sizeof(struct model_record *));
    struct model_record *r = pql_xcalloc(1, sizeof *r);
    r->offset = (int64_t)log->count;
    r->timestamp_ms = timestamp_ms;
    r->status = status;
    r->txn = txn;
    if (record) {
        r->has_key = record->has_key;
        r->has_value = record->has_value;
        r->key = copy_of(record->key);
        r->value = copy_of(record->value);
        PQL_ASSERT(record->headers_count <= 16);
        for (size_t i = 0; i < record->headers_count; i++)
            r->headers[r->headers_count++] =
                (struct pql_header){copy_of(record->headers[i].name), copy_of(record->headers[i].value)};
    }
    log->records[log->count++] = r;
}

int64_t model_end(const struct model_log *log)
{
    return (int64_t)log->count;
}

static int64_t stable_end(const struct model_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->records[i]->status == MODEL_OPEN) return (int64_t)i;
    return (int64_t)log->count;
}

static void log_deinit(struct model_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        struct model_record *r = log->records[i];
        free_slice(r->key);
        free_slice(r->value);
        for (size_t h = 0; h < r->headers_count; h++) {
            free_slice(r->headers[h].name);
            free_slice(r->headers[h].value);
        }
        free(r);
    }
    free(log->records);
}

enum { BATCH_HEAD = 61, RECORD_HEAD = 20 };

/* --- the broker --- */

const char *const model_output_names[PQL_OUT_COUNT] = {"pql", "pqa", "state", "alerts", "dlq", "checkpoint"};

void model_trace(const struct model *model, const char *who, const char *format, ...)
{
    va_list args;
    if (!model->is_traced) return;
    fprintf(stderr, "%11.6f s  step %-7" PRIu64 " %-10s ", (double)model->now_us / 1e6, model->steps, who);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void model_init(struct model *model, uint64_t seed, uint32_t inputs_count, int32_t partitions_count)
{
    *model = (struct model){.random = {seed},
                            .inputs_count = inputs_count,
                            .partitions_count = partitions_count,
                            .now_us = 1000000,
                            .txn_timeout_us = 10000000,
                            .checkpoint_bytes_max = 1000000,
                            .max_message_bytes = 1000000,
                            .offsets_retention_us = UINT64_C(7) * 86400 * 1000000,
                            .group.session_us = 3000000};
}

void model_deinit(struct model *model)
{
    for (int p = 0; p < MODEL_PARTITIONS_MAX; p++) {
        for (int i = 0; i < MODEL_INPUTS_MAX; i++) log_deinit(&model->inputs[i][p]);
        for (int i = 0; i < PQL_OUT_COUNT; i++) log_deinit(&model->outputs[i][p]);
    }
}

int64_t model_wall_ms(const struct model *model)
{
    return 1700000000000 + (int64_t)(model->now_us / 1000);
}

/* Ends a transaction: what it wrote gets its status, and a marker in every partition it wrote to. */
static void end_txn(struct model *model, int txn, bool commit)
{
    struct model_txn *t = &model->txns[txn];
    if (t->is_open && model->now_us - t->begun_us > model->longest_txn_us)
        model->longest_txn_us = model->now_us - t->begun_us;
    for (int o = 0; o < PQL_OUT_COUNT; o++) {
        for (int p = 0; p < MODEL_PARTITIONS_MAX; p++) {
            struct model_log *log = &model->outputs[o][p];
            bool wrote = false;
            for (size_t i = log->count; i-- > 0;) {
                struct model_record *r = log->records[i];
                if (r->status != MODEL_OPEN || r->txn != txn) continue;
                r->status = commit ? MODEL_COMMITTED : MODEL_ABORTED;
                wrote = true;
            }
            if (wrote) model_append(log, NULL, txn, MODEL_MARKER, model_wall_ms(model));
        }
    }
    for (uint32_t i = 0; i < MODEL_INPUTS_MAX; i++)
        for (int p = 0; p < MODEL_PARTITIONS_MAX; p++) {
            if (t->has_pending[i][p] && commit) {
                model->offsets[i][p] = t->pending[i][p];
                model->offsets[i][p].committed_us = model->now_us;
                model->has_offset[i][p] = true;
            }
            t->has_pending[i][p] = false;
        }
    if (t->is_open) model->aborted += !commit;
    if (t->is_open) model_trace(model, t->id, "transaction %s", commit ? "committed" : "aborted");
    t->is_open = false;
    t->delayed_epoch = -1;
}

/* Those of the lead topic stay, since the group subscribes to it. */
static void expire_offsets(struct model *model)
{
    for (uint32_t i = 1; i < MODEL_INPUTS_MAX; i++)
        for (int p = 0; p < MODEL_PARTITIONS_MAX; p++)
            if (model->now_us - model->offsets[i][p].committed_us > model->offsets_retention_us)
                model->has_offset[i][p] = false;
}

void model_advance(struct model *model, uint64_t us)
{
    model->now_us += us;
    model_group_advance(model);
    expire_offsets(model);
    for (int i = 0; i < model->txns_count; i++) {
        struct model_txn *t = &model->txns[i];
        if (t->is_open && t->delayed_epoch == t->epoch && t->delayed_us <= model->now_us)
            end_txn(model, i, true);
        if (t->is_open && model->now_us - t->begun_us > model->txn_timeout_us) {
            t->epoch++;
            end_txn(model, i, false);
        }
    }
}

static int txn_of(struct model *model, const char *id)
{
    for (int i = 0; i < model->txns_count; i++)
        if (!strcmp(model->txns[i].id, id)) return i;
    PQL_ASSERT(model->txns_count < 64);
    struct model_txn *t = &model->txns[model->txns_count];
    *t = (struct model_txn){.delayed_epoch = -1};
    snprintf(t->id, sizeof t->id, "%s", id);
    return model->txns_count++;
}

/* --- a client --- */

struct pql_log {
    struct model_client *client;
    int32_t partition;
    int64_t next;
    enum pql_isolation isolation;
    bool told_end;
    int64_t end_told;
};

bool model_happens(struct model_client *c, enum model_fault fault, double p)
{
    if (!model_chance(&c->model->random, p)) return false;
    c->model->counts[fault]++;
    return true;
}

/* Says no with the word, where this is refused; -1 then. */
static int refuse(struct model_client *c, enum model_refused what, enum pql_err_class cls,
                  struct pql_err *err)
{
    struct model *m = c->model;
    if (m->refuses != what || (m->refuses_times && m->refusals >= m->refuses_times)) return 0;
    m->refusals++;
    PQL_FAIL(err, cls, "the broker refuses: %s", m->refusal);
    err->reason = m->refusal;
    return -1;
}

static int pause_feeds(void *self, const struct pql_position *positions, size_t count, struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        struct model_feed *feed = &c->feeds[positions[i].input][positions[i].partition];
        if (!feed->is_paused) feed->stale = (int)model_below(&c->model->random, 4);
        feed->is_paused = true;
    }
    return 0;
}

static int resume_feeds(void *self, const struct pql_position *positions, size_t count, struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        struct model_feed *feed = &c->feeds[positions[i].input][positions[i].partition];
        PQL_ASSERT(!feed->is_assigned || feed->is_sought);
        feed->is_paused = false;
        feed->is_sought = false;
    }
    return 0;
}

static int seek(void *self, struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    for (size_t i = 0; i < count; i++) {
        struct model_feed *feed = &c->feeds[positions[i].input][positions[i].partition];
        if (model_happens(c, SEEK, c->model->faults.seek)) {
            positions[i].failed = PQL_ERR_RETRY;
            return PQL_FAIL(err, PQL_ERR_RETRY, "seek failed");
        }
        PQL_ASSERT(feed->is_paused || !feed->is_assigned);
        feed->next = positions[i].offset;
        feed->stale = 0;
        feed->end_told = -1;
        feed->is_sought = true;
        positions[i].failed = PQL_ERR_NONE;
    }
    return 0;
}

static int end_offsets_ask(void *self, const struct pql_position *positions, size_t count,
                           struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    if (c->asked_count) return 0;
    for (size_t i = 0; i < count; i++) c->asked[i] = positions[i];
    c->asked_count = count;
    c->asked_us = c->model->now_us;
    c->answer_us = c->asked_us + model_below(&c->model->random, 20000);
    if (c->fault == MODEL_LATE_REQUEST || c->fault == MODEL_LATE_REPLY) c->answer_us += c->late_us;
    if (c->fault == MODEL_LOST_REQUEST || c->fault == MODEL_LOST_REPLY) c->asked_count = 0;
    return 0;
}

static void worker_wait(void *self, unsigned worker, int timeout_ms)
{
    (void)self;
    (void)worker;
    (void)timeout_ms;
}

static void worker_wake(void *self, unsigned worker)
{
    (void)self;
    (void)worker;
}

static bool deliver(struct model_client *c, uint32_t input, int32_t partition, struct pql_message_view *out)
{
    struct model_feed *feed = &c->feeds[input][partition];
    const struct model_log *log = &c->model->inputs[input][partition];
    if (feed->is_paused && feed->stale-- <= 0) return false;
    *out = (struct pql_message_view){.input = input, .partition = partition, .timestamp_ms = PQL_NO_TIME};
    if (feed->next < log->low) {
        out->kind = PQL_MESSAGE_ERROR;
        out->offset = feed->next;
        out->value = PQL_SLICE_LITERAL("offset out of range");
        feed->is_paused = true;
        feed->stale = 0;
    } else if (feed->next < model_end(log)) {
        const struct model_record *r = log->records[feed->next];
        out->kind = PQL_MESSAGE_RECORD;
        out->offset = feed->next++;
        out->timestamp_ms = r->timestamp_ms;
        out->has_key = r->has_key;
        out->has_value = r->has_value;
        out->key = r->key;
        out->value = r->value;
    } else {
        if (feed->end_told == model_end(log)) return false;
        out->kind = PQL_MESSAGE_END;
        out->offset = feed->end_told = model_end(log);
    }
    out->handle = pql_xmalloc(1);
    c->views++;
    return true;
}

static size_t worker_poll(void *self, unsigned worker, struct pql_message_view *out, size_t max)
{
    struct model_client *c = self;
    size_t n = 0;
    for (uint32_t k = 0; k < c->model->inputs_count; k++)
        for (int32_t p = 0; p < c->model->partitions_count; p++) {
            size_t most = model_below(&c->model->random, 12);
            if (!c->feeds[k][p].is_assigned || c->feeds[k][p].worker != worker) continue;
            for (size_t i = 0; i < most && n < max && deliver(c, k, p, &out[n]); i++) n++;
        }
    return n;
}

static void message_headers(void *self, const struct pql_message_view *message, struct pql_arena *arena,
                            const struct pql_header **headers, size_t *count)
{
    (void)self;
    (void)message;
    (void)arena;
    *headers = NULL;
    *count = 0;
}

static void message_release(void *self, struct pql_message_view *message)
{
    struct model_client *c = self;
    PQL_ASSERT(message->handle && c->views);
    free(message->handle);
    message->handle = NULL;
    c->views--;
}

/* --- offsets --- */

static int committed(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                     struct pql_err *err)
{
    struct model_client *c = self;
    struct model *m = c->model;
    (void)timeout_ms;
    for (size_t i = 0; i < count && !m->reads_unstable; i++)
        for (int t = 0; t < m->txns_count; t++)
            if (m->txns[t].has_pending[positions[i].input][positions[i].partition])
                return PQL_FAIL(err, PQL_ERR_RETRY, "a transaction holds the offset");
    for (size_t i = 0; i < count; i++) {
        const struct model_offset *offset = &m->offsets[positions[i].input][positions[i].partition];
        bool has = m->has_offset[positions[i].input][positions[i].partition];
        positions[i].offset = has ? offset->offset : PQL_OFFSET_NONE;
        snprintf(positions[i].metadata, sizeof positions[i].metadata, "%s", has ? offset->metadata : "");
    }
    return 0;
}

static int64_t offset_of(const struct model_log *log, int64_t wanted)
{
    if (wanted == PQL_OFFSET_EARLIEST) return log->low;
    if (wanted == PQL_OFFSET_LATEST) return model_end(log);
    PQL_ASSERT(wanted >= 0);
    int64_t at = log->low;
    while (at < model_end(log) && log->records[at]->timestamp_ms < wanted) at++;
    return at;
}

static int offsets(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                   struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        const struct model_log *log = &c->model->inputs[positions[i].input][positions[i].partition];
        positions[i].offset = offset_of(log, positions[i].offset);
    }
    return 0;
}

/* --- transactions --- */

static int fenced(struct model_client *c, struct pql_err *err)
{
    c->is_fatal = true;
    PQL_FAIL(err, PQL_ERR_FENCED, "a newer producer has this transactional id, or the transaction timed out");
    err->reason = "fenced";
    return -1;
}

static int abortable(struct pql_err *err)
{
    return PQL_FAIL(err, PQL_ERR_ABORT_TXN, "the transaction must be aborted");
}

static struct model_txn *own_txn(struct model_client *c)
{
    return &c->model->txns[c->txn];
}

static bool is_stale(struct model_client *c)
{
    return c->is_fatal || own_txn(c)->epoch != c->epoch;
}

static int txn_init(void *self, int timeout_ms, struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    PQL_ASSERT(c->txn >= 0 && !c->is_fatal);
    if (refuse(c, MODEL_REFUSES_INIT, PQL_ERR_CONFIG, err)) return -1;
    struct model_txn *t = own_txn(c);
    t->epoch++;
    if (t->is_open) end_txn(c->model, c->txn, false);
    t->delayed_epoch = -1;
    c->epoch = t->epoch;
    c->produced_us = 0;
    c->is_ready = true;
    c->in_txn = false;
    return 0;
}

static int txn_begin(void *self, struct pql_err *err)
{
    struct model_client *c = self;
    PQL_ASSERT(c->is_ready && !c->in_txn);
    if (c->is_fatal) return fenced(c, err);
    c->in_txn = true;
    c->batch_refused = c->has_refused = c->lost_record = false;
    memset(c->batch, 0, sizeof c->batch);
    return 0;
}

static void open_txn(struct model_client *c)
{
    struct model_txn *t = own_txn(c);
    if (t->is_open) return;
    t->is_open = true;
    t->begun_us = c->model->now_us;
    t->delayed_epoch = -1;
}

static int32_t partition_of(const struct model *m, const struct pql_out_record *record)
{
    if (record->partition >= 0) return record->partition;
    return record->has_key ? (int32_t)pql_partition_murmur2(record->key, (uint32_t)m->partitions_count) : 0;
}

static int txn_fault(struct model_client *c, struct pql_err *err)
{
    if (model_happens(c, FENCE, c->model->faults.fence)) {
        own_txn(c)->epoch++;
        end_txn(c->model, c->txn, false);
    }
    if (is_stale(c)) return fenced(c, err);
    if (model_happens(c, ABORTABLE, c->model->faults.abortable)) return abortable(err);
    return 0;
}

static int set_sizes(void *self, const int64_t *max_bytes, struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    c->batch_bytes = max_bytes[0];
    for (int i = 0; i < PQL_OUT_COUNT; i++)
        if (max_bytes[i] < c->batch_bytes) c->batch_bytes = max_bytes[i];
    c->batch_bytes -= BATCH_HEAD + RECORD_HEAD;
    return 0;
}

/* The broker refuses a batch as a whole, and the client never splits one; a record that is larger than a
 * batch may be is one by itself. Nothing is known of it before the transaction is to be committed. */
static void add_to_batch(struct model_client *c, const struct pql_out_record *record, int32_t partition)
{
    const struct model *m = c->model;
    int64_t most = record->output == PQL_OUT_CHECKPOINT ? m->checkpoint_bytes_max : m->max_message_bytes,
            *batch = &c->batch[record->output][partition],
            bytes = (int64_t)(record->key.len + record->value.len) + RECORD_HEAD;
    for (size_t i = 0; i < record->headers_count; i++)
        bytes += (int64_t)(record->headers[i].name.len + record->headers[i].value.len);
    if (*batch && *batch + bytes > c->batch_bytes) *batch = 0;
    *batch += bytes + (*batch ? 0 : BATCH_HEAD);
    c->batch_refused |= *batch > most;
}

/* Records are on their way for as long as the pace of the network says. */
static void take_time(struct model_client *c, const struct pql_out_record *record)
{
    const struct model *m = c->model;
    if (!m->produce_bytes_per_s) return;
    if (c->produced_us < m->now_us) c->produced_us = m->now_us;
    c->produced_us += (record->key.len + record->value.len) * 1000000 / m->produce_bytes_per_s;
}

static int txn_produce(void *self, const struct pql_out_record *record, struct pql_err *err)
{
    struct model_client *c = self;
    PQL_ASSERT(c->in_txn);
    if (txn_fault(c, err)) return -1;
    open_txn(c);
    int32_t partition = partition_of(c->model, record);
    add_to_batch(c, record, partition);
    take_time(c, record);
    c->has_refused |= record->output == c->model->refused_output;
    c->lost_record |= c->fault == MODEL_LOST_REQUEST || c->fault == MODEL_LOST_REPLY;
    if (c->fault == MODEL_LATE_REQUEST || c->fault == MODEL_LATE_REPLY)
        c->produced_us = c->model->now_us + c->late_us;
    if (c->fault != MODEL_LOST_REQUEST)
        model_append(&c->model->outputs[record->output][partition], record, c->txn, MODEL_OPEN,
                     record->timestamp_ms);
    model_trace(c->model, c->name, "  %s %d: %.*s", model_output_names[record->output], partition,
                PQL_SLICE_ARG(record->key));
    return 0;
}

static int txn_send_offsets(void *self, const struct pql_position *positions, size_t count, int timeout_ms,
                            struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    PQL_ASSERT(c->in_txn);
    if (txn_fault(c, err) || refuse(c, MODEL_REFUSES_OFFSETS, PQL_ERR_ABORT_TXN, err)) return -1;
    /* As the real broker: no member, no fence. */
    if (c->sent_generation >= 0 && !model_group_accepts(c->model, c->sent_member, c->sent_generation))
        return abortable(err);
    open_txn(c);
    for (size_t i = 0; i < count; i++) {
        struct model_offset *pending = &own_txn(c)->pending[positions[i].input][positions[i].partition];
        own_txn(c)->has_pending[positions[i].input][positions[i].partition] = true;
        pending->offset = positions[i].offset;
        snprintf(pending->metadata, sizeof pending->metadata, "%s", positions[i].metadata);
        model_trace(c->model, c->name, "  input %u %d@%" PRId64 " %s", positions[i].input,
                    positions[i].partition, positions[i].offset, positions[i].metadata);
    }
    return 0;
}

int model_unknown(struct model_client *c, struct pql_err *err)
{
    c->is_fatal = true;
    return PQL_FAIL(err, PQL_ERR_FENCED, "the commit timed out");
}

static int txn_commit(void *self, int timeout_ms, struct pql_err *err)
{
    struct model_client *c = self;
    struct model *m = c->model;
    (void)timeout_ms;
    PQL_ASSERT(c->in_txn);
    if (c->produced_us > m->now_us && !is_stale(c))
        return PQL_FAIL(err, PQL_ERR_RETRY, "records are still on their way");
    if (txn_fault(c, err)) return -1;
    if (c->batch_refused) {
        abortable(err);
        err->reason = "record_too_large";
        return -1;
    }
    if (c->has_refused && refuse(c, MODEL_REFUSES_RECORDS, PQL_ERR_ABORT_TXN, err)) return -1;
    if (c->lost_record) return abortable(err); /* it was sent again until its time was over */
    if (c->fault == MODEL_LATE_REQUEST || model_happens(c, DELAYED_COMMIT, m->faults.delayed_commit)) {
        own_txn(c)->delayed_epoch = c->epoch;
        own_txn(c)->delayed_us = m->now_us + model_below(&m->random, 400000);
        return model_unknown(c, err);
    }
    bool is_lost = model_happens(c, LOST_COMMIT, m->faults.lost_commit);
    if (!is_lost || model_chance(&m->random, 0.5)) end_txn(m, c->txn, true);
    c->in_txn = false;
    return is_lost ? model_unknown(c, err) : 0;
}

static int txn_abort(void *self, int timeout_ms, struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    PQL_ASSERT(c->in_txn);
    if (is_stale(c)) return fenced(c, err);
    if (own_txn(c)->is_open) end_txn(c->model, c->txn, false);
    c->produced_us = 0;
    c->in_txn = false;
    return 0;
}

static int txn_recreate(void *self, struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    c->is_fatal = c->is_ready = c->in_txn = false;
    if (c->model->has_new_ids && c->model->txns_count < 60) {
        char id[32];
        snprintf(id, sizeof id, "again-%d", c->model->txns_count);
        c->txn = txn_of(c->model, id);
    }
    return 0;
}

/* --- plain producer --- */

static int plain_produce(void *self, enum pql_lane lane, const struct pql_out_record *record, uint64_t cookie,
                         struct pql_err *err)
{
    struct model_client *c = self;
    struct model *m = c->model;
    if (record->output == PQL_OUT_CHECKPOINT && (int64_t)record->value.len > m->checkpoint_bytes_max)
        return PQL_FAIL(err, PQL_ERR_FATAL, "the record is too large");
    struct model_acks *acks = &c->acks[lane];
    struct model_pending_ack ack = {{.cookie = cookie, .offset = PQL_OFFSET_NONE},
                                    m->now_us + model_below(&m->random, 3000)};
    bool faulty = model_happens(c, ACK, m->faults.ack);
    uint64_t kind = c->fault == MODEL_LOST_REQUEST                                   ? 0
                    : c->fault == MODEL_LOST_REPLY                                   ? 1
                    : c->fault == MODEL_LATE_REQUEST || c->fault == MODEL_LATE_REPLY ? 3
                    : faulty ? model_below(&m->random, 4)
                             : 9;
    struct model_log *log = &m->outputs[record->output][partition_of(m, record)];
    struct pql_err refused;
    if (record->output == m->refused_output && refuse(c, MODEL_REFUSES_RECORDS, PQL_ERR_CONFIG, &refused)) {
        ack.ack.failed = refused.cls;
        ack.ack.reason = refused.reason;
        kind = 0;
    } else if (kind == 0) {
        ack.ack.failed = PQL_ERR_RETRY; /* not written */
    }
    if (kind != 0) model_append(log, record, -1, MODEL_COMMITTED, record->timestamp_ms);
    if (kind == 1) ack.ack.failed = PQL_ERR_RETRY; /* written, and not told */
    if (kind >= 3) ack.ack.offset = model_end(log) - 1;
    if (kind == 3) ack.due_us += 2000000;
    acks->items = pql_xgrow(acks->items, &acks->capacity, acks->count + 1, sizeof *acks->items);
    acks->items[acks->count++] = ack;
    return 0;
}

static size_t plain_acks(void *self, enum pql_lane lane, struct pql_ack *out, size_t max, int timeout_ms)
{
    struct model_client *c = self;
    size_t n = 0, kept = 0;
    (void)timeout_ms;
    struct model_acks *acks = &c->acks[lane];
    for (size_t i = 0; i < acks->count; i++) {
        if (n < max && acks->items[i].due_us <= c->model->now_us)
            out[n++] = acks->items[i].ack;
        else
            acks->items[kept++] = acks->items[i];
    }
    acks->count = kept;
    return n;
}

static int commit_offsets(void *self, const struct pql_position *positions, size_t count, int timeout_ms,
                          struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    if (refuse(c, MODEL_REFUSES_OFFSETS, PQL_ERR_CONFIG, err)) return -1;
    model_group_heartbeat(c);
    if (!model_group_accepts(c->model, c->member, c->generation)) return abortable(err);
    for (size_t i = 0; i < count; i++) {
        struct model_offset *offset = &c->model->offsets[positions[i].input][positions[i].partition];
        c->model->has_offset[positions[i].input][positions[i].partition] = true;
        offset->offset = positions[i].offset;
        offset->committed_us = c->model->now_us;
        snprintf(offset->metadata, sizeof offset->metadata, "%s", positions[i].metadata);
    }
    return 0;
}

/* --- checkpoint topic --- */

static struct model_log *checkpoint(struct model_client *c, int32_t partition)
{
    return &c->model->outputs[PQL_OUT_CHECKPOINT][partition];
}

static int checkpoint_ends(void *self, int32_t partition, int64_t *low, int64_t *end, int timeout_ms,
                           struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    (void)err;
    *low = checkpoint(c, partition)->low;
    *end = model_end(checkpoint(c, partition));
    return 0;
}

static int log_open(void *self, int32_t partition, int64_t from, enum pql_isolation isolation,
                    struct pql_log **log, struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    *log = pql_xcalloc(1, sizeof **log);
    int64_t low = checkpoint(c, partition)->low;
    **log = (struct pql_log){
        .client = c, .partition = partition, .next = from < low ? low : from, .isolation = isolation};
    return 0;
}

static int log_read(void *self, struct pql_log *log, int timeout_ms, struct pql_log_record *record,
                    struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    const struct model_log *partition = checkpoint(c, log->partition);
    (void)err;
    int64_t end = log->isolation == PQL_READ_COMMITTED ? stable_end(partition) : model_end(partition);
    for (; log->next < end; log->next++) {
        const struct model_record *r = partition->records[log->next];
        if (r->status == MODEL_MARKER || (r->status == MODEL_ABORTED && log->isolation == PQL_READ_COMMITTED))
            continue;
        *record = (struct pql_log_record){
            .kind = PQL_LOG_RECORD, .offset = log->next++, .key = r->key, .value = r->value};
        return 0;
    }
    *record = (struct pql_log_record){
        .kind = log->told_end && log->end_told == end ? PQL_LOG_NOTHING : PQL_LOG_END, .offset = end};
    log->told_end = true;
    log->end_told = end;
    return 0;
}

static void log_close(void *self, struct pql_log *log)
{
    (void)self;
    free(log);
}

static int checkpoint_trim(void *self, int32_t partition, int64_t before, int timeout_ms, struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    (void)err;
    if (checkpoint(c, partition)->low < before) checkpoint(c, partition)->low = before;
    return 0;
}

/* --- topics, clock --- */

static int input_facts(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                       struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    (void)err;
    *facts = (struct pql_topic_facts){.exists = true,
                                      .partitions_count = c->model->partitions_count,
                                      .has_configuration = true,
                                      .max_message_bytes = c->model->max_message_bytes,
                                      .retention_ms = -1,
                                      .retention_bytes = -1,
                                      .is_deleted = true};
    snprintf(facts->id, sizeof facts->id, "input-%u", input);
    return 0;
}

static int output_facts(void *self, enum pql_output output, struct pql_topic_facts *facts, int timeout_ms,
                        struct pql_err *err)
{
    if (input_facts(self, 0, facts, timeout_ms, err)) return -1;
    if (output == PQL_OUT_CHECKPOINT)
        facts->max_message_bytes = ((struct model_client *)self)->model->checkpoint_bytes_max;
    snprintf(facts->id, sizeof facts->id, "output-%d", (int)output);
    if (output == PQL_OUT_CHECKPOINT) snprintf(facts->id, sizeof facts->id, MODEL_CHECKPOINT_ID);
    return 0;
}

static int64_t wall_ms(void *self)
{
    return model_wall_ms(((struct model_client *)self)->model);
}
static uint64_t mono_us(void *self)
{
    return ((struct model_client *)self)->model->now_us;
}

struct model_client *model_client_new(struct model *model, const char *transactional_id, const char *instance)
{
    struct model_client *c = pql_xcalloc(1, sizeof *c);
    c->model = model;
    snprintf(c->instance, sizeof c->instance, "%s", instance);
    c->txn = *transactional_id ? txn_of(model, transactional_id) : -1;
    c->generation = -1;
    snprintf(c->name, sizeof c->name, "%s#%d", *instance ? instance : transactional_id, ++model->clients);
    return c;
}

void model_client_free(struct model_client *c)
{
    PQL_ASSERT(c->views == 0);
    model_group_forget(c);
    for (int i = 0; i < PQL_LANE_COUNT; i++) free(c->acks[i].items);
    free(c->made);
    free(c);
}

void model_client_freeze(struct model_client *c, bool is_frozen)
{
    c->is_frozen = is_frozen;
}

/* Without faults of calls. */
static void fill(struct model_client *c)
{
    c->calls.inner = (struct pql_ports){
        .self = c,
        .pause = pause_feeds,
        .resume = resume_feeds,
        .seek = seek,
        .end_offsets_ask = end_offsets_ask,
        .worker_wait = worker_wait,
        .worker_wake = worker_wake,
        .worker_poll = worker_poll,
        .message_headers = message_headers,
        .message_release = message_release,
        .committed = committed,
        .offsets = offsets,
        .set_sizes = set_sizes,
        .txn_init = txn_init,
        .txn_begin = txn_begin,
        .txn_produce = txn_produce,
        .txn_send_offsets = txn_send_offsets,
        .txn_commit = txn_commit,
        .txn_abort = txn_abort,
        .txn_recreate = txn_recreate,
        .plain_produce = plain_produce,
        .plain_acks = plain_acks,
        .commit_offsets = commit_offsets,
        .checkpoint_ends = checkpoint_ends,
        .log_open = log_open,
        .log_read = log_read,
        .log_close = log_close,
        .checkpoint_trim = checkpoint_trim,
        .input_facts = input_facts,
        .output_facts = output_facts,
        .wall_ms = wall_ms,
        .mono_us = mono_us,
    };
    model_group_fill(&c->calls.inner);
}

void model_client_ports(struct model_client *c, struct pql_ports *ports)
{
    fill(c);
    model_calls_wrap(c);
    *ports = c->calls.table;
}
