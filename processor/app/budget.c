#include "app/budget.h"
#include "app/task.h"

#include "base/log.h"
#include <inttypes.h>

enum { LOOK_US = 50000, SAMPLE_US = 10000000, WARN_US = 60000000, WARN_PERCENT = 80 };

static const struct kind {
    const char *name;
    size_t at; /* in struct pql_memory */
} kinds[PQL_MEMORY_KINDS] = {
    {"state", offsetof(struct pql_memory, state)},         {"epochs", offsetof(struct pql_memory, epochs)},
    {"messages", offsetof(struct pql_memory, messages)},   {"journal", offsetof(struct pql_memory, journal)},
    {"snapshots", offsetof(struct pql_memory, snapshots)}, {"parked", offsetof(struct pql_memory, parked)},
    {"client", offsetof(struct pql_memory, client)},
};

static uint64_t bytes_of(const struct pql_memory *memory, size_t kind)
{
    return *(const uint64_t *)(const void *)((const char *)memory + kinds[kind].at);
}

uint64_t pql_memory_total(const struct pql_memory *memory)
{
    uint64_t total = 0;
    for (size_t i = 0; i < PQL_MEMORY_KINDS; i++) total += bytes_of(memory, i);
    return total;
}

static uint64_t sealed_bytes(const struct pql_task *task)
{
    return task->sealed ? pql_epoch_bytes(task->sealed) : 0;
}

void pql_budget_measure(const struct pql_pipeline *p, struct pql_memory *out)
{
    struct pql_memory m = {.client = p->conf->client_bytes};
    for (size_t i = 0; i < p->count; i++) {
        const struct pql_task *task = p->tasks[i];
        m.state += task->memory.state;
        m.epochs += task->memory.epochs + sealed_bytes(task);
        m.messages += task->memory.messages;
        m.journal += task->memory.journal;
    }
    for (size_t i = 0; i < p->parked_count; i++)
        m.parked += p->parked[i]->memory.state + p->parked[i]->memory.epochs + sealed_bytes(p->parked[i]);
    for (unsigned i = 0; i < p->conf->workers; i++) m.snapshots += p->workers[i].snapshot_bytes;
    *out = m;
}

static void in_words(const struct pql_memory *memory, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < PQL_MEMORY_KINDS; i++) {
        uint64_t bytes = bytes_of(memory, i);
        if (!bytes || used >= size) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%s %.1f MB", used ? ", " : "", kinds[i].name,
                                 (double)bytes / 1e6);
    }
}

/* The growth since a sample some ten seconds old. */
static void warn(struct pql_pipeline *p, const struct pql_memory *memory, uint64_t total, uint64_t now)
{
    struct pql_budget *b = &p->budget;
    char words[300], when[80] = "it does not grow at present";
    if (b->warned_us && now - b->warned_us < WARN_US) return;
    b->warned_us = now;
    double seconds = (double)(now - b->sample_us) / 1e6,
           growth = seconds > 0 && total > b->sample ? (double)(total - b->sample) / seconds : 0;
    if (growth > 0 && b->sample)
        snprintf(when, sizeof when, "at this growth the limit is reached in %.0f minutes",
                 (double)(p->conf->memory_max - total) / growth / 60);
    in_words(memory, words, sizeof words);
    pql_log(PQL_LOG_WARN, "memory is running out", "used_mb=%.1f of_mb=%.1f forecast=%s kinds=%s",
            (double)total / 1e6, (double)p->conf->memory_max / 1e6, when, words);
}

static void stop(struct pql_pipeline *p, const struct pql_memory *memory, uint64_t total)
{
    char words[300];
    struct pql_err err;
    in_words(memory, words, sizeof words);
    PQL_FAIL(
        &err, PQL_ERR_CONFIG,
        "%.1f MB are used of the %.1f MB that `memory` allows: %s. Nothing is lost: with a larger `memory` "
        "it "
        "goes on where it was; or start more instances, each of which takes a part of the partitions, or "
        "keep less (`pqlstream explain` says what each definition keeps)",
        (double)total / 1e6, (double)p->conf->memory_max / 1e6, words);
    err.reason = "memory";
    pql_pipeline_fail(p, PQL_STOP_STATE, &err);
}

void pql_budget_check(struct pql_pipeline *p)
{
    struct pql_budget *b = &p->budget;
    struct pql_memory memory;
    uint64_t now = p->ports->mono_us(p->ports->self), most = p->conf->memory_max;
    if (!most || (b->looked_us && now - b->looked_us < LOOK_US)) return;
    b->looked_us = now;
    pql_lock(p);
    pql_budget_measure(p, &memory);
    pql_unlock(p);
    uint64_t total = pql_memory_total(&memory);
    if (total >= most && memory.parked) {
        pql_log(PQL_LOG_WARN, "parked tasks are given up for want of memory", "tasks=%zu",
                pql_pipeline_give_up_parked(p));
        total -= memory.parked;
        memory.parked = 0;
    }
    if (total >= most)
        stop(p, &memory, total);
    else if (total >= most / 100 * WARN_PERCENT)
        warn(p, &memory, total, now);
    if (b->sample && now - b->sample_us < SAMPLE_US) return;
    b->sample = total;
    b->sample_us = now;
}
