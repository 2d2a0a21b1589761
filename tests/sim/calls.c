#include "sim/calls.h"

const char *const call_names[CALL_COUNT] = {
#define NAME_FAILING(name, params, args) #name,
#define NAME_OTHER(name) #name,
    CALLS_FAILING(NAME_FAILING) CALLS_OTHER(NAME_OTHER)};

static bool may_go(const struct calls *c, enum call call, struct pql_err *err)
{
    return c->before(c->context, call, err);
}

static void gone(const struct calls *c, enum call call)
{
    (void)c->after(c->context, call, 0, NULL);
}

#define FAILING(name, params, args)                                                                          \
    static int call_##name params                                                                            \
    {                                                                                                        \
        const struct calls *c = self;                                                                        \
        const struct pql_ports *to = &c->inner;                                                              \
        if (!may_go(c, CALL_##name, err)) return -1;                                                         \
        return c->after(c->context, CALL_##name, to->name args, err);                                        \
    }
CALLS_FAILING(FAILING)

static void call_poll(void *self, int timeout_ms, struct pql_control *out)
{
    const struct calls *c = self;
    *out = (struct pql_control){.kind = PQL_CONTROL_NONE};
    if (!may_go(c, CALL_poll, NULL)) return;
    c->inner.poll(c->inner.self, timeout_ms, out);
    gone(c, CALL_poll);
}

static void call_worker_wait(void *self, unsigned worker, int timeout_ms)
{
    const struct calls *c = self;
    if (!may_go(c, CALL_worker_wait, NULL)) return;
    c->inner.worker_wait(c->inner.self, worker, timeout_ms);
    gone(c, CALL_worker_wait);
}

static void call_worker_wake(void *self, unsigned worker)
{
    const struct calls *c = self;
    if (!may_go(c, CALL_worker_wake, NULL)) return;
    c->inner.worker_wake(c->inner.self, worker);
    gone(c, CALL_worker_wake);
}

static size_t call_worker_poll(void *self, unsigned worker, struct pql_message_view *out, size_t max)
{
    const struct calls *c = self;
    if (!may_go(c, CALL_worker_poll, NULL)) return 0;
    size_t n = c->inner.worker_poll(c->inner.self, worker, out, max);
    gone(c, CALL_worker_poll);
    return n;
}

/* A view that is held is in the process, whatever becomes of the connection. */
static void call_message_headers(void *self, const struct pql_message_view *message, struct pql_arena *arena,
                                 const struct pql_header **headers, size_t *count)
{
    const struct calls *c = self;
    bool is_made = may_go(c, CALL_message_headers, NULL);
    c->inner.message_headers(c->inner.self, message, arena, headers, count);
    if (is_made) gone(c, CALL_message_headers);
}

static void call_message_release(void *self, struct pql_message_view *message)
{
    const struct calls *c = self;
    bool is_made = may_go(c, CALL_message_release, NULL);
    c->inner.message_release(c->inner.self, message);
    if (is_made) gone(c, CALL_message_release);
}

static void call_group_facts(void *self, struct pql_group_facts *facts)
{
    const struct calls *c = self;
    *facts = (struct pql_group_facts){.generation = -1};
    if (!may_go(c, CALL_group_facts, NULL)) return;
    c->inner.group_facts(c->inner.self, facts);
    gone(c, CALL_group_facts);
}

static bool call_assignment_lost(void *self)
{
    const struct calls *c = self;
    if (!may_go(c, CALL_assignment_lost, NULL)) return true;
    bool is_lost = c->inner.assignment_lost(c->inner.self);
    gone(c, CALL_assignment_lost);
    return is_lost;
}

static size_t call_plain_acks(void *self, enum pql_lane lane, struct pql_ack *out, size_t max, int timeout_ms)
{
    const struct calls *c = self;
    if (!may_go(c, CALL_plain_acks, NULL)) return 0;
    size_t n = c->inner.plain_acks(c->inner.self, lane, out, max, timeout_ms);
    gone(c, CALL_plain_acks);
    return n;
}

static void call_log_close(void *self, struct pql_log *log)
{
    const struct calls *c = self;
    bool is_made = may_go(c, CALL_log_close, NULL);
    c->inner.log_close(c->inner.self, log);
    if (is_made) gone(c, CALL_log_close);
}

static int64_t call_wall_ms(void *self)
{
    const struct calls *c = self;
    bool is_made = may_go(c, CALL_wall_ms, NULL);
    int64_t ms = c->inner.wall_ms(c->inner.self);
    if (is_made) gone(c, CALL_wall_ms);
    return ms;
}

static uint64_t call_mono_us(void *self)
{
    const struct calls *c = self;
    bool is_made = may_go(c, CALL_mono_us, NULL);
    uint64_t us = c->inner.mono_us(c->inner.self);
    if (is_made) gone(c, CALL_mono_us);
    return us;
}

void calls_wrap(struct calls *calls)
{
#define SET_FAILING(name, params, args) .name = call_##name,
#define SET_OTHER(name) .name = call_##name,
    calls->table = (struct pql_ports){.self = calls, CALLS_FAILING(SET_FAILING) CALLS_OTHER(SET_OTHER)};
}
