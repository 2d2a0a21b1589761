/* fill.c - a back-fill: after a change the inputs are read again, from an offset up to the place of the task,
 * for the signals that are new. Input by input, so that a replay reads in the same order; nothing is
 * published, the place of the task does not move, and no snapshot is taken. A process that dies leaves the
 * journaled change behind: the next one reads from the beginning of the back-fill again. */
#include "app/task.h"

#include "base/log.h"

enum { CALL_MS = 5000 };

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
    pql_lock(w->pipeline);
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++) {
        fill->next[i] = program->fill_next[i];
        fill->end[i] = filled ? filled->fill_next[i] : task->place.next[i];
        task->accepts[i] = task->ended[i] = false;
        task->feed_from[i] = fill->next[i];
        task->feed[i] = PQL_FEED_PAUSE;
    }
    pql_wake_all(w->pipeline);
    pql_unlock(w->pipeline);
    w->did_something = true;
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

static void tell(struct pql_worker *w, struct pql_task *task)
{
    struct pql_fill *fill = &task->fill;
    if (w->now_us - fill->told_us < 1000000) return;
    fill->told_us = w->now_us;
    uint64_t left = 0, ms = (w->now_us - fill->begun_us) / 1000 + 1;
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        left += (uint64_t)(fill->end[i] - fill->next[i]);
    pql_log(PQL_LOG_INFO, "back-fill", "partition=%d records=%llu left=%llu percent=%llu eta_s=%llu",
            task->partition, (unsigned long long)fill->records, (unsigned long long)left,
            (unsigned long long)(fill->records * 100 / (fill->records + left + 1)),
            (unsigned long long)(left * ms / 1000 / (fill->records + 1)));
}

/* What cannot be used now could not be used then, or would go to the dead letters: it is passed over. */
bool pql_fill_take(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m)
{
    struct pql_fill *fill = &task->fill;
    struct pql_event event;
    struct pql_err err = {0};
    pql_arena_reset(&w->scratch);
    int rc = w->pipeline->conf->decoding.decode(task->decoders, m, &w->scratch, &event, &err);
    if (rc && err.cls == PQL_ERR_RETRY) return false;
    event.input = m->input;
    event.partition = m->partition;
    event.offset = m->offset;
    if (!rc && fill->from_ms == PQL_FILL_FROM_FIRST) fill->from_ms = event.time_ms;
    if (!rc) pql_engine_fill(task->engine, &event, fill->from_ms);
    fill->next[m->input] = m->offset + 1;
    fill->records++;
    w->stats.filled++;
    w->did_something = true;
    tell(w, task);
    return true;
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
