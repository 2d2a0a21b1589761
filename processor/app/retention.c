/* retention.c - a restore reads the inputs from the snapshot on: warns before the broker deletes what it
 * would read. */
#include "app/task.h"

#include "base/log.h"

void pql_needed_init(struct pql_task *task)
{
    for (size_t i = 0; i < PQL_INPUTS_MAX; i++)
        task->needed_ms[i] = task->needed_next_ms[i] = task->shown_needed_ms[i] = PQL_NO_TIME;
}

/* Also of a record that has to wait: it is needed, and grows old. */
void pql_needed_note(struct pql_task *task, const struct pql_message_view *m)
{
    if (m->offset < task->place.next[m->input]) return;
    if (task->needed_ms[m->input] == PQL_NO_TIME) task->needed_ms[m->input] = m->timestamp_ms;
    if (task->needed_next_ms[m->input] == PQL_NO_TIME) task->needed_next_ms[m->input] = m->timestamp_ms;
}

void pql_needed_snapshot(struct pql_task *task)
{
    for (size_t i = 0; i < PQL_INPUTS_MAX; i++) task->needed_next_ms[i] = PQL_NO_TIME;
}

void pql_needed_written(struct pql_task *task)
{
    memcpy(task->needed_ms, task->needed_next_ms, sizeof task->needed_ms);
}

void pql_needed_show(struct pql_task *task)
{
    memcpy(task->shown_needed_ms, task->needed_ms, sizeof task->shown_needed_ms);
}

static void tell(const struct pql_pipeline *p, const struct pql_task *task, uint32_t input,
                 const struct pql_topic_facts *facts, int64_t left_ms)
{
    const char *topic = p->conf->inputs[input].topic;
    pql_log(
        PQL_LOG_WARN, "the input will soon not have what a restore needs",
        "topic=%s partition=%d left_s=%lld retention_ms=%lld mend=\"kafka-configs.sh --bootstrap-server "
        "%.*s --alter --entity-type topics --entity-name %.*s --add-config retention.ms=%lld, and see why no "
        "snapshot was written: the warnings before this one\"",
        topic, task->partition, (long long)(left_ms / 1000), (long long)facts->retention_ms, 200,
        p->conf->brokers ? p->conf->brokers : "BROKER", 300, topic, (long long)facts->retention_ms * 2);
}

/* Once, until there is plenty of time again. */
static void watch_task(const struct pql_pipeline *p, struct pql_task *task, uint32_t input,
                       const struct pql_topic_facts *facts)
{
    if (task->shown_needed_ms[input] == PQL_NO_TIME) return;
    int64_t margin_ms = PQL_REPLAY_INTERVALS * p->conf->checkpoint_interval_ms;
    int64_t age_ms = p->ports->wall_ms(p->ports->self) - task->shown_needed_ms[input];
    int64_t left_ms = age_ms < facts->retention_ms ? facts->retention_ms - age_ms : 0;
    if (left_ms < margin_ms && !task->retention_told) tell(p, task, input, facts, left_ms);
    if (left_ms < margin_ms || left_ms >= 2 * margin_ms) task->retention_told = left_ms < margin_ms;
}

void pql_retention_watch(struct pql_pipeline *p, uint32_t input, const struct pql_topic_facts *facts)
{
    if (!facts->has_configuration || facts->retention_ms < 0) return;
    pql_lock(p);
    for (size_t i = 0; i < p->count; i++) watch_task(p, p->tasks[i], input, facts);
    pql_unlock(p);
}
