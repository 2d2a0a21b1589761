/* kafka_model_calls.c - what can befall each call of the modelled client, whichever it is: the process dies
 * before or after it, its request or its reply is lost or late, or the broker is busy. */
#include "sim/model_client.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME(name, word) [MODEL_##name] = word,
const char *const model_call_fault_names[MODEL_CALL_FAULT_COUNT] = {MODEL_CALL_FAULTS(NAME)};

enum { LATE_US = 3000000, VERY_LATE_US = 15000000 };

/* BUSY: the broker may say so, and nothing has happened. AWAY: it leaves the process, and the way is long.
 * DRAWN: faults of it are drawn, too, and not only enumerated. */
enum { COUNTED = 1, BUSY = 2, AWAY = 4, DRAWN = 8, SLOW = 16 };

static const unsigned char kinds[CALL_COUNT] = {
    [CALL_subscribe] = COUNTED,
    [CALL_poll] = COUNTED,
    [CALL_assign] = COUNTED,
    [CALL_unassign] = COUNTED,
    [CALL_leave] = COUNTED | SLOW | DRAWN,
    [CALL_pause] = COUNTED | BUSY,
    [CALL_resume] = COUNTED | BUSY,
    [CALL_seek] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_end_offsets_ask] = COUNTED | BUSY | AWAY | DRAWN,
    [CALL_committed] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_offsets] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_set_sizes] = COUNTED,
    [CALL_txn_init] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_txn_begin] = COUNTED,
    [CALL_txn_produce] = COUNTED | BUSY | AWAY | DRAWN,
    [CALL_txn_send_offsets] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_txn_commit] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_txn_abort] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_txn_recreate] = COUNTED,
    [CALL_group_facts] = COUNTED,
    [CALL_assignment_lost] = COUNTED,
    [CALL_plain_produce] = COUNTED | BUSY | AWAY | DRAWN,
    [CALL_plain_acks] = COUNTED,
    [CALL_commit_offsets] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_checkpoint_ends] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_log_open] = COUNTED | BUSY | SLOW | DRAWN,
    [CALL_log_read] = COUNTED | BUSY | SLOW | DRAWN,
    [CALL_checkpoint_trim] = COUNTED | BUSY | AWAY | SLOW | DRAWN,
    [CALL_input_facts] = COUNTED | AWAY | SLOW,
    [CALL_output_facts] = COUNTED | AWAY | SLOW,
    [CALL_worker_poll] = COUNTED,
};

static bool could(enum call call, enum model_call_fault fault)
{
    if (fault == MODEL_FINE || !(kinds[call] & COUNTED)) return false;
    if (fault == MODEL_LOST_REQUEST || fault == MODEL_LOST_REPLY) return kinds[call] & AWAY;
    if (fault == MODEL_LATE_REQUEST || fault == MODEL_LATE_REPLY) return kinds[call] & (AWAY | SLOW);
    return true;
}

static void remember(struct model_client *c, enum call call)
{
    c->made = pql_xgrow(c->made, &c->made_capacity, c->made_count + 1, 1);
    c->made[c->made_count++] = (uint8_t)call;
}

static enum model_call_fault draw(struct model_client *c, enum call call)
{
    struct model *m = c->model;
    if (model_happens(c, CRASH, m->faults.crash))
        return model_chance(&m->random, 0.5) ? MODEL_DIES_BEFORE : MODEL_DIES_AFTER;
    if (!(kinds[call] & DRAWN)) return MODEL_FINE;
    c->late_us = model_below(&m->random, model_chance(&m->random, 0.2) ? VERY_LATE_US : LATE_US);
    bool request = model_chance(&m->random, 0.5);
    if (kinds[call] & AWAY && model_happens(c, LOST, m->faults.lost))
        return request ? MODEL_LOST_REQUEST : MODEL_LOST_REPLY;
    if (model_happens(c, LATE, m->faults.late)) return request ? MODEL_LATE_REQUEST : MODEL_LATE_REPLY;
    return MODEL_FINE;
}

static enum model_fault class_of(enum model_call_fault fault)
{
    if (fault == MODEL_LOST_REQUEST || fault == MODEL_LOST_REPLY) return LOST;
    return fault == MODEL_LATE_REQUEST || fault == MODEL_LATE_REPLY ? LATE : CRASH;
}

static void choose(struct model_client *c, enum call call)
{
    c->fault = draw(c, call);
    if (c->made_count == c->fault_call && could(call, c->fault_then)) {
        c->fault = c->fault_then;
        c->late_us = c->late_then_us;
        c->model->counts[class_of(c->fault)]++;
    }
    if (c->fault != MODEL_FINE)
        model_trace(c->model, c->name, "FAULT %s of %s", model_call_fault_names[c->fault], call_names[call]);
}

static bool dead(struct pql_err *err)
{
    PQL_FAIL(err, PQL_ERR_RETRY, "the process is dead");
    return false;
}

/* Records and questions wait in the client: their functions see to it. */
static bool is_queued(enum call call)
{
    return call == CALL_txn_produce || call == CALL_plain_produce || call == CALL_end_offsets_ask;
}

static bool lost(struct model_client *c, enum call call, struct pql_err *err)
{
    if (call == CALL_txn_commit)
        model_unknown(c, err);
    else
        PQL_FAIL(err, PQL_ERR_RETRY, "no answer");
    return false;
}

static bool before(void *context, enum call call, struct pql_err *err)
{
    struct model_client *c = context;
    struct model *m = c->model;
    if (!(kinds[call] & COUNTED)) return true;
    if (c->is_dead) return dead(err);
    remember(c, call);
    choose(c, call);
    if (c->fault == MODEL_DIES_BEFORE) {
        c->is_dead = true;
        return dead(err);
    }
    if (kinds[call] & BUSY && model_happens(c, RETRY, m->faults.retry)) {
        PQL_FAIL(err, PQL_ERR_RETRY, "the broker is busy");
        return false;
    }
    if (is_queued(call)) return true;
    if (c->fault == MODEL_LOST_REQUEST) return lost(c, call, err);
    if (c->fault == MODEL_LATE_REQUEST && call != CALL_txn_commit) model_advance(m, c->late_us);
    return true;
}

/* It has happened, and the client does not know. */
static int lose_reply(struct model_client *c, enum call call, struct pql_err *err)
{
    if (call == CALL_txn_init) c->is_ready = false;
    if (call == CALL_txn_abort) c->in_txn = true;
    lost(c, call, err);
    return -1;
}

/* What happens all the time is no story. */
static bool is_told(enum call call, int result)
{
    return result || !(call == CALL_poll || call == CALL_worker_poll || call == CALL_plain_acks ||
                       call == CALL_log_read || call == CALL_assignment_lost || call == CALL_group_facts ||
                       call == CALL_end_offsets_ask || call == CALL_plain_produce);
}

static int after(void *context, enum call call, int result, struct pql_err *err)
{
    struct model_client *c = context;
    if (!(kinds[call] & COUNTED)) return result;
    if (c->fault == MODEL_LOST_REPLY && !result && !is_queued(call)) result = lose_reply(c, call, err);
    if (is_told(call, result))
        model_trace(c->model, c->name, "%s%s%s", call_names[call], result ? ": " : "",
                    result && err ? err->msg : "");
    if (c->fault == MODEL_DIES_AFTER) c->is_dead = true;
    if (c->fault == MODEL_LATE_REPLY && !is_queued(call)) model_advance(c->model, c->late_us);
    return result;
}

void model_calls_wrap(struct model_client *c)
{
    c->calls.context = c;
    c->calls.before = before;
    c->calls.after = after;
    calls_wrap(&c->calls);
}

bool model_client_is_dead(const struct model_client *c)
{
    return c->is_dead;
}

void model_client_kill(struct model_client *c)
{
    c->is_dead = true;
}

uint64_t model_client_calls(const struct model_client *c)
{
    return c->made_count;
}

void model_client_fault_at(struct model_client *c, uint64_t calls, enum model_call_fault fault,
                           uint64_t late_us)
{
    c->fault_call = c->made_count + calls;
    c->fault_then = fault;
    c->late_then_us = late_us;
}

bool model_client_could(const struct model_client *c, uint64_t n, enum model_call_fault fault)
{
    PQL_ASSERT(n && n <= c->made_count);
    return could((enum call)c->made[n - 1], fault);
}
