/* fill.c - a back-fill: after a change the inputs are read again, from an offset up to the place of the task,
 * for the signals that are new. Input by input, so that a replay reads in the same order; nothing is
 * published, the place of the task does not move, and no snapshot is taken until it has ended; then one is,
 * at once. A process that dies leaves the journaled change behind: the next one reads from the beginning of
 * the back-fill again. It is given up when a higher revision without backfill_from comes, or when the input
 * was deleted meanwhile; what is new is then known from the change on, as without it. */
#include "app/task.h"

#include "base/log.h"

enum { CALL_MS = 5000, TELL_US = 3000000 };

/* Nothing of the feeds is taken before they are where they shall be. */
static void seek(struct pql_worker *w, struct pql_task *task)
{
    pql_lock(w->pipeline);
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++) {
        task->accepts[i] = task->ended[i] = false;
        task->feed_from[i] = pql_fill_next(task, i);
        task->feed[i] = PQL_FEED_PAUSE;
    }
    pql_wake_all(w->pipeline);
    pql_unlock(w->pipeline);
    w->did_something = true;
}

static uint64_t left_of(const struct pql_worker *w, const struct pql_task *task)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        left += (uint64_t)(task->fill.end[i] - task->fill.next[i]);
    return left;
}

void pql_fill_open(struct pql_worker *w, struct pql_task *task, const struct pql_journal *program,
                   const struct pql_journal *filled)
{
    struct pql_fill *fill = &task->fill;
    *fill = (struct pql_fill){.is_open = true,
                              .is_fresh = true,
                              .is_laid_down = filled != NULL,
                              .from_ms = program->fill_from_ms,
                              .begun_us = w->now_us,
                              .told_us = w->now_us};
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++) {
        fill->next[i] = program->fill_next[i];
        fill->end[i] = filled ? filled->fill_next[i] : task->place.next[i];
    }
    fill->of = left_of(w, task);
    pql_log(PQL_LOG_INFO, "back-fill begins",
            "partition=%d revision=%lld of=%llu cancel=\"a higher revision without backfill_from\"",
            task->partition, (long long)task->revision, (unsigned long long)fill->of);
    seek(w, task);
}

bool pql_fill_close(struct pql_worker *w, struct pql_task *task, const char *given_up)
{
    struct pql_fill *fill = &task->fill;
    bool is_short = false;
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        is_short |= fill->next[i] < task->place.next[i];
    fill->is_open = false;
    if (is_short) seek(w, task);
    if (given_up)
        pql_log(PQL_LOG_WARN, "back-fill given up: new signals are known from the change on",
                "partition=%d records=%llu of=%llu why=\"%s\"", task->partition,
                (unsigned long long)fill->records, (unsigned long long)fill->of, given_up);
    else
        pql_log(PQL_LOG_INFO, "back-fill done", "partition=%d records=%llu", task->partition,
                (unsigned long long)fill->records);
    return is_short;
}

bool pql_fill_wants(const struct pql_task *task, uint32_t input)
{
    if (task->fill.is_fresh) return false;
    for (uint32_t i = 0; i < input; i++)
        if (task->fill.next[i] < task->fill.end[i]) return false;
    return task->fill.next[input] < task->fill.end[input];
}

bool pql_fill_is_done(const struct pql_worker *w, const struct pql_task *task)
{
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        if (task->fill.next[i] < task->fill.end[i]) return false;
    return true;
}

int64_t pql_fill_next(const struct pql_task *task, uint32_t input)
{
    const struct pql_fill *fill = &task->fill;
    bool is_read = !fill->is_open || fill->next[input] >= fill->end[input];
    return is_read ? task->place.next[input] : fill->next[input];
}

void pql_fill_reached(struct pql_task *task, uint32_t input, int64_t offset)
{
    struct pql_fill *fill = &task->fill;
    if (fill->is_open && !fill->is_fresh && offset >= fill->end[input]) fill->next[input] = fill->end[input];
}

/* Offsets stand for records: an estimate. */
static void tell(struct pql_worker *w, struct pql_task *task)
{
    struct pql_fill *fill = &task->fill;
    if (w->now_us - fill->told_us < TELL_US) return;
    fill->told_us = w->now_us;
    uint64_t left = left_of(w, task), done = fill->of - left, ms = (w->now_us - fill->begun_us) / 1000;
    pql_log(PQL_LOG_INFO, "back-fill", "partition=%d records=%llu of=%llu percent=%llu eta_s=%llu",
            task->partition, (unsigned long long)fill->records, (unsigned long long)fill->of,
            (unsigned long long)(done * 100 / (fill->of + 1)),
            (unsigned long long)(left * ms / 1000 / (done + 1)));
}

/* By the broker's time only: a replay decides as this does. */
static bool is_future(const struct pql_task *task, const struct pql_message_view *m, int64_t time_ms)
{
    int64_t max = task->edition->max_future_ms[m->input];
    return m->timestamp_is_append && max >= 0 && time_ms > m->timestamp_ms && time_ms - m->timestamp_ms > max;
}

int pql_fill_take(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m,
                  struct pql_err *err)
{
    struct pql_fill *fill = &task->fill;
    struct pql_event event;
    pql_arena_reset(&w->scratch);
    int rc =
        m->has_value ? w->pipeline->conf->decoding.decode(task->decoders, m, &w->scratch, &event, err) : -1;
    if (rc && m->has_value && err->cls != PQL_ERR_RECORD) return -1;
    if (!rc && !is_future(task, m, event.time_ms)) {
        event.input = m->input;
        event.partition = m->partition;
        event.offset = m->offset;
        if (fill->from_ms == PQL_FILL_FROM_FIRST) fill->from_ms = event.time_ms;
        pql_engine_fill(task->engine, &event, fill->from_ms);
    }
    fill->next[m->input] = m->offset + 1;
    fill->records++;
    w->stats.filled++;
    w->did_something = true;
    tell(w, task);
    return 0;
}

void pql_fill_ask(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_position positions[PQL_INPUTS_MAX] = {{0}};
    struct pql_err err = {0};
    uint32_t n = p->conf->inputs_count;
    pql_lock(p);
    int64_t from = task->fill_ask_from;
    pql_unlock(p);
    for (uint32_t i = 0; i < n; i++)
        positions[i] = (struct pql_position){.input = i, .partition = task->partition, .offset = from};
    if (p->ports->offsets(p->ports->self, positions, n, CALL_MS, &err)) {
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "a back-fill waits",
                        "partition=%d cause=%s", task->partition, err.msg);
        return;
    }
    pql_lock(p);
    for (uint32_t i = 0; i < n; i++) task->fill_offsets[i] = positions[i].offset;
    task->fill_asking = PQL_ASKING_KNOWN;
    pql_unlock(p);
    p->ports->worker_wake(p->ports->self, task->worker);
}
