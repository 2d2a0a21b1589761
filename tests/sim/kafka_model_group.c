/* kafka_model_group.c - the modelled group: members that come, leave, are silent or replaced; sticky
 * assignment, in which a partition moves only after its owner gave it back; generations that a member learns
 * a little later.
 */
#include "sim/model_client.h"

#include <stdio.h>

enum { JOIN_US = 500000, SYNC_US = 300000 };

/* --- the coordinator --- */

static struct model_member *member_of(struct model *m, int id)
{
    for (int i = 0; id && i < MODEL_MEMBERS_MAX; i++)
        if (m->group.members[i].id == id) return &m->group.members[i];
    return NULL;
}

static int load_of(const struct model_group *g, int id, int32_t partitions)
{
    int n = 0;
    for (int32_t p = 0; p < partitions; p++) n += g->target[p] == id;
    return n;
}

/* The member with the fewest partitions (or the most): 0 if there is none. */
static int extreme(const struct model *m, bool most)
{
    const struct model_group *g = &m->group;
    int best = 0, best_load = 0;
    for (int i = 0; i < MODEL_MEMBERS_MAX; i++) {
        int id = g->members[i].id, load = load_of(g, id, m->partitions_count);
        if (!id || (best && (most ? load <= best_load : load >= best_load))) continue;
        best = id;
        best_load = load;
    }
    return best;
}

static void move_one(struct model *m, int from, int to)
{
    for (int32_t p = 0; p < m->partitions_count; p++)
        if (m->group.target[p] == from) {
            m->group.target[p] = to;
            return;
        }
}

static void rebalance(struct model *m)
{
    struct model_group *g = &m->group;
    g->generation++;
    for (int i = 0; i < MODEL_MEMBERS_MAX; i++)
        if (g->members[i].client)
            g->members[i].client->sync_us = m->now_us + model_below(&m->random, SYNC_US);
    for (int32_t p = 0; p < m->partitions_count; p++) {
        if (!member_of(m, g->owner[p])) g->owner[p] = 0;
        if (!member_of(m, g->target[p])) g->target[p] = 0;
        if (!g->target[p]) g->target[p] = extreme(m, false);
    }
    for (;;) {
        int from = extreme(m, true), to = extreme(m, false);
        if (load_of(g, from, m->partitions_count) - load_of(g, to, m->partitions_count) < 2) break;
        move_one(m, from, to);
    }
    for (int32_t p = 0; p < m->partitions_count; p++)
        model_trace(m, "group", "generation %d: partition %d of member %d, to be %d's", g->generation, p,
                    g->owner[p], g->target[p]);
}

static void remove_member(struct model *m, int id)
{
    struct model_member *member = member_of(m, id);
    if (!member) return;
    *member = (struct model_member){0};
    rebalance(m);
}

static bool is_silent(const struct model_client *c)
{
    return !c || c->is_dead || c->is_frozen;
}

void model_group_advance(struct model *m)
{
    for (int i = 0; i < MODEL_MEMBERS_MAX; i++) {
        struct model_member *member = &m->group.members[i];
        if (!member->id) continue;
        if (!is_silent(member->client)) member->seen_us = m->now_us;
        if (m->now_us - member->seen_us > m->group.session_us) remove_member(m, member->id);
    }
}

bool model_group_accepts(const struct model *m, int member, int generation)
{
    for (int i = 0; i < MODEL_MEMBERS_MAX; i++)
        if (member && m->group.members[i].id == member) return generation == m->group.generation;
    return false;
}

/* A static member takes the place of the one with its instance, in the same generation. */
static void join(struct model_client *c)
{
    struct model *m = c->model;
    struct model_member *place = NULL;
    int id = ++m->group.last_id;
    for (int i = 0; *c->instance && i < MODEL_MEMBERS_MAX && !place; i++)
        if (m->group.members[i].id && !strcmp(m->group.members[i].instance, c->instance))
            place = &m->group.members[i];
    bool is_replaced = place != NULL;
    for (int i = 0; i < MODEL_MEMBERS_MAX && !place; i++)
        if (!m->group.members[i].id) place = &m->group.members[i];
    PQL_ASSERT(place);
    for (int32_t p = 0; is_replaced && p < m->partitions_count; p++) {
        if (m->group.owner[p] == place->id) m->group.owner[p] = 0;
        if (m->group.target[p] == place->id) m->group.target[p] = id;
    }
    if (place->client && place->client != c) place->client->is_fenced = true;
    *place = (struct model_member){.id = id, .client = c, .seen_us = m->now_us};
    snprintf(place->instance, sizeof place->instance, "%s", c->instance);
    if (!is_replaced) rebalance(m);
    c->member = id;
    c->generation = m->group.generation;
    c->membership = MEMBER;
}

/* --- the client --- */

void model_group_forget(struct model_client *c)
{
    struct model_member *member = member_of(c->model, c->member);
    if (member && member->client == c) member->client = NULL;
}

/* Broken: with a subscription to all inputs, each is assigned by itself; partition p of the second goes with
 * partition p + 1 of the first. */
static bool owns(const struct model_client *c, uint32_t input, int32_t partition)
{
    const struct model *m = c->model;
    int32_t lead = m->subscribes_to_all && input ? (partition + 1) % m->partitions_count : partition;
    return c->member && m->group.owner[lead] == c->member;
}

static bool wants(const struct model_client *c, int32_t partition)
{
    bool wanted = false;
    for (uint32_t i = 0; i < c->model->inputs_count; i++) wanted |= owns(c, i, partition);
    return wanted;
}

void model_group_heartbeat(struct model_client *c)
{
    if (c->membership <= JOINING || c->is_lost) return;
    if (!member_of(c->model, c->member) || c->is_fenced) {
        c->is_lost = true;
        c->generation = -1;
    } else if (c->model->now_us >= c->sync_us) {
        c->generation = c->model->group.generation;
    }
}

static bool tell(struct model_client *c, struct pql_control *out, enum pql_control_kind kind,
                 enum model_membership membership, const bool *which)
{
    out->kind = kind;
    out->tasks = c->tasks;
    out->count = 0;
    for (int32_t p = 0; p < c->model->partitions_count; p++)
        if (which[p]) c->tasks[out->count++] = p;
    if (!out->count) out->kind = PQL_CONTROL_NONE;
    if (out->count || membership == TOLD_LOST) c->membership = membership;
    return out->count > 0;
}

static void rejoin(struct model_client *c)
{
    c->membership = JOINING;
    c->member = 0;
    c->generation = -1;
    c->is_lost = false;
    c->join_us = c->model->now_us + model_below(&c->model->random, JOIN_US);
}

static bool tell_lost(struct model_client *c, struct pql_control *out)
{
    c->is_lost = true;
    c->generation = -1;
    if (tell(c, out, PQL_CONTROL_LOST, TOLD_LOST, c->has)) return true;
    rejoin(c);
    return false;
}

/* A session that expires on the client, since the broker is silent, is not always over at the broker. */
static void disturb(struct model_client *c)
{
    struct model *m = c->model;
    if (model_chance(&m->random, 0.3)) {
        if (model_chance(&m->random, 0.5))
            remove_member(m, c->member);
        else
            model_group_forget(c);
        c->is_lost = true;
        return;
    }
    int32_t p = (int32_t)model_below(&m->random, (uint64_t)m->partitions_count),
            q = (int32_t)model_below(&m->random, (uint64_t)m->partitions_count);
    int target = m->group.target[p];
    m->group.target[p] = m->group.target[q];
    m->group.target[q] = target;
    if (model_chance(&m->random, 0.3))
        for (p = 0; p < m->partitions_count - 1; p++) c->bounces[p] = c->has[p];
    c->bounces[p] = c->has[p];
}

static bool tell_revoked(struct model_client *c, struct pql_control *out)
{
    struct model *m = c->model;
    bool leaves[MODEL_PARTITIONS_MAX] = {false};
    for (int32_t p = 0; p < m->partitions_count; p++) {
        bool moves = m->group.owner[p] == c->member && m->group.target[p] != c->member;
        leaves[p] = c->has[p] && (moves || c->bounces[p] || !wants(c, p));
        c->bounces[p] = false;
    }
    return tell(c, out, PQL_CONTROL_REVOKED, TOLD_REVOKED, leaves);
}

static bool tell_assigned(struct model_client *c, struct pql_control *out)
{
    struct model *m = c->model;
    bool comes[MODEL_PARTITIONS_MAX] = {false};
    for (int32_t p = 0; p < m->partitions_count; p++)
        if (m->group.target[p] == c->member && !m->group.owner[p]) m->group.owner[p] = c->member;
    for (int32_t p = 0; p < m->partitions_count; p++) comes[p] = wants(c, p) && !c->has[p];
    return tell(c, out, PQL_CONTROL_ASSIGNED, TOLD_ASSIGNED, comes);
}

static bool poll_group(struct model_client *c, struct pql_control *out)
{
    struct model *m = c->model;
    if (c->is_fenced && !c->was_told) {
        c->was_told = true;
        out->kind = PQL_CONTROL_ERROR;
        PQL_FAIL(&out->err, PQL_ERR_FENCED, "another process runs as instance '%s'", c->instance);
        return true;
    }
    if (c->membership == JOINING && m->now_us >= c->join_us) join(c);
    if (c->membership != MEMBER) return false;
    if (model_happens(c, REBALANCE, m->faults.rebalance)) disturb(c);
    if (c->is_lost || c->is_fenced || !member_of(m, c->member)) return tell_lost(c, out);
    return tell_revoked(c, out) || tell_assigned(c, out);
}

static int subscribe(void *self, struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    c->membership = JOINING;
    c->join_us = c->model->now_us + model_below(&c->model->random, JOIN_US);
    return 0;
}

static void answer_ends(struct model_client *c, struct pql_control *out)
{
    if (!c->asked_count || c->answer_us > c->model->now_us) return;
    for (size_t i = 0; i < c->asked_count; i++)
        c->asked[i].offset = model_end(&c->model->inputs[c->asked[i].input][c->asked[i].partition]);
    out->kind = PQL_CONTROL_OFFSETS;
    out->offsets = c->asked;
    out->offsets_count = c->asked_count;
    out->asked_us = c->asked_us;
    c->asked_count = 0;
}

static void poll_control(void *self, int timeout_ms, struct pql_control *out)
{
    struct model_client *c = self;
    (void)timeout_ms;
    *out = (struct pql_control){.kind = PQL_CONTROL_NONE};
    if (!poll_group(c, out)) answer_ends(c, out);
}

static int assign(void *self, const int32_t *tasks, const unsigned *workers, size_t count,
                  struct pql_err *err)
{
    struct model_client *c = self;
    (void)err;
    PQL_ASSERT(c->membership == TOLD_ASSIGNED);
    c->membership = MEMBER;
    for (size_t i = 0; i < count; i++) {
        PQL_ASSERT(!c->has[tasks[i]]);
        c->has[tasks[i]] = true;
        for (uint32_t k = 0; k < c->model->inputs_count; k++)
            c->feeds[k][tasks[i]] = (struct model_feed){
                .is_assigned = owns(c, k, tasks[i]), .is_paused = true, .worker = workers[i], .end_told = -1};
    }
    return 0;
}

/* What was given back may be assigned anew, in another generation. */
static int unassign(void *self, const int32_t *tasks, size_t count, struct pql_err *err)
{
    struct model_client *c = self;
    struct model *m = c->model;
    (void)err;
    PQL_ASSERT(c->membership == TOLD_REVOKED || c->membership == TOLD_LOST);
    for (size_t i = 0; i < count; i++) {
        PQL_ASSERT(c->has[tasks[i]]);
        c->has[tasks[i]] = false;
        for (uint32_t k = 0; k < m->inputs_count; k++) c->feeds[k][tasks[i]].is_assigned = false;
        if (c->member && m->group.owner[tasks[i]] == c->member) m->group.owner[tasks[i]] = 0;
    }
    if (c->membership == TOLD_LOST) {
        rejoin(c);
        return 0;
    }
    c->membership = MEMBER;
    if (member_of(m, c->member)) rebalance(m);
    return 0;
}

/* A static member stays one until its session is over. */
static int leave(void *self, int timeout_ms, struct pql_err *err)
{
    struct model_client *c = self;
    (void)timeout_ms;
    (void)err;
    if (*c->instance)
        model_group_forget(c);
    else
        remove_member(c->model, c->member);
    c->membership = OUTSIDE;
    c->member = 0;
    c->generation = -1;
    return 0;
}

/* A heartbeat may tell a member that it is none any more long before the program asks for events. */
static void group_facts(void *self, struct pql_group_facts *facts)
{
    struct model_client *c = self;
    struct model *m = c->model;
    *facts = (struct pql_group_facts){.generation = -1};
    c->sent_member = 0;
    c->sent_generation = -1;
    if (model_happens(c, NO_MEMBER, m->faults.no_member)) c->no_member_until_us = m->now_us + 200000;
    if (m->now_us < c->no_member_until_us) return;
    if (model_chance(&m->random, 0.8)) model_group_heartbeat(c);
    c->sent_member = c->member;
    c->sent_generation = c->generation;
    facts->generation = c->generation;
    facts->has_member_id = c->generation >= 0;
}

static bool assignment_lost(void *self)
{
    const struct model_client *c = self;
    return c->is_lost;
}

void model_group_fill(struct pql_ports *ports)
{
    ports->subscribe = subscribe;
    ports->poll = poll_control;
    ports->assign = assign;
    ports->unassign = unassign;
    ports->leave = leave;
    ports->group_facts = group_facts;
    ports->assignment_lost = assignment_lost;
}
