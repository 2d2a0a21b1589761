/* The records of a world: how they are made and read again, and what is said of each record of the engine. */
#include "sim/world.h"

#include "core/reasons.h"
#include <inttypes.h>
#include <stdio.h>

enum { ACCOUNTS = 12 };

/* --- reading --- */

static bool field(struct pql_slice *rest, struct pql_slice *out)
{
    const char *bar = memchr(rest->ptr, '|', rest->len);
    if (!bar) return false;
    *out = (struct pql_slice){rest->ptr, (size_t)(bar - rest->ptr)};
    *rest = (struct pql_slice){bar + 1, rest->len - out->len - 1};
    return true;
}

/* Its digits. */
static uint64_t number_in(struct pql_slice text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= '0' && text.ptr[i] <= '9') number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    return number;
}

/* `new=previous`, or `user!` for one who is forgotten. */
static void read_user(struct pql_event *event)
{
    const char *alias = memchr(event->user.ptr, '=', event->user.len);
    if (alias) {
        event->kind = PQL_EVENT_ALIAS;
        event->previous_user.ptr = alias + 1;
        event->previous_user.len = (size_t)(event->user.ptr + event->user.len - alias - 1);
        event->user.len -= event->previous_user.len + 1;
    } else if (event->user.len && event->user.ptr[event->user.len - 1] == '!') {
        event->kind = PQL_EVENT_FORGET;
        event->user.len--;
    }
}

/* What stands behind the last bar: a letter that says what it is, and what it is about. */
static void read_what(struct pql_event *event, struct pql_slice what, struct pql_arena *arena)
{
    /* Programs read one property and one attribute of each kind, so every one of them finds it at 0. */
    struct pql_value *properties = pql_arena_zalloc(arena, sizeof *properties),
                     *of_user = pql_arena_zalloc(arena, sizeof *of_user),
                     *of_account = pql_arena_zalloc(arena, sizeof *of_account);
    event->properties = properties;
    event->user_attributes = of_user;
    event->account_attributes = of_account;
    if (event->kind != PQL_EVENT_TRACK) return;
    event->name = pql_slice_of("x");
    if (!what.len) return;
    struct pql_slice word = {what.ptr + 1, what.len - 1};
    struct pql_value value = pql_text(word);
    event->name = (struct pql_slice){"", 0};
    switch (what.ptr[0]) {
    case 'x':
    case 'y':
        event->name = (struct pql_slice){what.ptr, 1};
        *properties = value;
        break;
    case 'o':
        event->kind = PQL_EVENT_OUTCOME;
        event->name = word;
        break;
    case 'i':
        event->kind = PQL_EVENT_IDENTIFY;
        *of_user = value;
        break;
    case 'g':
        event->kind = PQL_EVENT_GROUP;
        *of_account = value;
        break;
    case 'l': event->kind = PQL_EVENT_LEAVE_GROUP; break;
    case 'c': event->kind = PQL_EVENT_CLOCK; break;
    default: PQL_ASSERT(!"a record that nobody makes");
    }
}

int world_decode(void *decoders, const struct pql_message_view *message, struct pql_arena *arena,
                 struct pql_event *event, struct pql_err *err)
{
    const struct world *world = decoders;
    struct pql_slice rest = message->value, schema, time;
    *event = (struct pql_event){.kind = PQL_EVENT_TRACK};
    if (!field(&rest, &schema) || !field(&rest, &event->account) || !field(&rest, &event->user) ||
        !field(&rest, &time)) {
        PQL_FAIL(err, PQL_ERR_RECORD, "this record is bad");
        err->reason = pql_rejects[PQL_REJECT_BAD_AVRO].word;
        return -1;
    }
    if (pql_slice_is(schema, "later") && world->model.now_us < world->schema_known_us)
        return PQL_FAIL(err, PQL_ERR_RETRY, "the registry does not answer yet");
    if (schema.len && schema.ptr[0] == 'L' && world->model.now_us < number_in(schema)) {
        PQL_FAIL(err, PQL_ERR_RECORD, "the registry does not know the schema");
        err->reason = pql_rejects[PQL_REJECT_UNKNOWN_SCHEMA].word;
        return -1;
    }
    if (pql_slice_is(schema, "fatal")) return PQL_FAIL(err, PQL_ERR_FATAL, "no decoder");
    const char *end = message->value.ptr + message->value.len;
    event->id = (struct pql_slice){event->account.ptr, (size_t)(end - event->account.ptr)};
    event->time_ms = (int64_t)number_in(time);
    if (event->account.len && event->account.ptr[event->account.len - 1] == '!') { /* it is forgotten */
        event->kind = PQL_EVENT_FORGET;
        event->account.len--;
    }
    read_user(event);
    read_what(event, rest, arena);
    return 0;
}

/* --- making --- */

/* Mostly what counts; now and then one of the others. */
static const char *draw_what(struct model_random *random, struct world_sent *sent, char text[16])
{
    static const char *const answers[] = {"owon", "olost", "oagain", "oseen"};
    static const char *const others[] = {"l", "c", "iout", "ipro", "gsmall", "gbig"};
    uint64_t kind = model_below(random, 100);
    bool is_of_account = model_chance(random, 0.3);
    if (kind < 80) {
        snprintf(text, 16, "%c%u", kind < 62 ? 'x' : 'y', 1 + (unsigned)model_below(random, 3));
        return text;
    }
    if (kind < 90) {
        if (is_of_account) sent->user[0] = '\0';
        return answers[model_below(random, 4)];
    }
    if (kind < 96) return others[model_below(random, 6)];
    size_t len = strlen(sent->user);
    if (kind == 99 && is_of_account) {
        snprintf(sent->account_said, sizeof sent->account_said, "%s!", sent->account);
        sent->user[0] = '\0';
    } else {
        snprintf(sent->user + len, sizeof sent->user - len, "!");
    }
    return "";
}

static void produce_event(struct world *world, struct world_sent *sent)
{
    struct model_random *random = &world->random;
    unsigned users = world->plan->users;
    char text[16];
    const char *what = "";
    snprintf(sent->account, sizeof sent->account, "a%u", (unsigned)model_below(random, users ? 2 : ACCOUNTS));
    snprintf(sent->account_said, sizeof sent->account_said, "%s", sent->account);
    char schema[32] = "known";
    bool bad = model_chance(random, world->plan->bad),
         is_new = !bad && model_chance(random, world->plan->unknown_schema);
    /* A back-fill decides anew what cannot be read. */
    bool may_learn = world->plan->is_rich && world->plan->backfill <= 0;
    bool waits = is_new && (!may_learn || model_chance(random, 0.5));
    if (waits) snprintf(schema, sizeof schema, "later");
    if (waits && world->schema_known_us < world->model.now_us)
        world->schema_known_us = world->model.now_us + model_below(random, 2000000);
    if (is_new && !waits)
        snprintf(schema, sizeof schema, "L%" PRIu64, world->model.now_us + model_below(random, 2000000));
    int64_t time = model_wall_ms(&world->model) - (int64_t)model_below(random, 3000);
    /* Of few users there come others. */
    unsigned user = (unsigned)model_below(random, users ? users : 3);
    if (!users) user += (unsigned)(world->produced / 200) * 2;
    snprintf(sent->user, sizeof sent->user, "u%u", user);
    if (world->produced % 29 == 7)
        snprintf(sent->user, sizeof sent->user, "u%u=u%u", user, user + 1);
    else if (world->plan->is_rich)
        what = draw_what(random, sent, text);
    snprintf(sent->value, sizeof sent->value, "%s|%s|%s|%" PRId64 "|%s", schema, sent->account_said,
             sent->user, time, what);
    if (bad) snprintf(sent->value, sizeof sent->value, "bad");
    sent->input = (uint32_t)model_below(random, world->plan->inputs_count);
    sent->partition =
        (int32_t)pql_partition_murmur2(pql_slice_of(sent->account), (uint32_t)world->plan->partitions_count);
}

void world_produce(struct world *world)
{
    struct world_sent *sent = &world->last;
    bool again = world->produced && model_chance(&world->random, world->plan->twice);
    if (!again) produce_event(world, sent);
    world_put(world, sent->input, sent->partition, sent->account, sent->value);
    model_trace(&world->model, "producer", "input %u %d@%" PRId64 " %s", sent->input, sent->partition,
                model_end(&world->model.inputs[sent->input][sent->partition]) - 1, sent->value);
    world->produced++;
}

/* --- records of the engine --- */

static void number(struct pql_buf *out, char letter, int64_t value)
{
    if (value != PQL_NO_TIME) pql_buf_printf(out, " %c%" PRId64, letter, value);
}

/* All that is decided by the engine and may be decided otherwise. */
void world_encode(const struct pql_record *record, struct pql_buf *out)
{
    pql_buf_printf(out, "%s %" PRId64 " %s", record->event_id, record->version,
                   pql_transition_names[record->transition]);
    pql_buf_printf(out, " %s<%s %s %s x%" PRId64, pql_status_names[record->status],
                   pql_status_names[record->previous_status], pql_reason_names[record->reason],
                   pql_origin_names[record->origin], record->qualification_count);
    pql_buf_printf(out, " %.*s<%.*s", PQL_SLICE_ARG(record->tier), PQL_SLICE_ARG(record->previous_tier));
    if (record->has_score) pql_buf_printf(out, " =%" PRId64, (int64_t)record->score);
    number(out, 'o', record->occurred_at);
    number(out, 'c', record->clock);
    number(out, 'q', record->qualified_at);
    number(out, 'l', record->left_at);
    number(out, 'e', record->expires_at);
    number(out, 'd', record->sla_due_at);
    number(out, 's', record->complete_since);
    if (record->has_source) pql_buf_printf(out, " @%u:%" PRId64, record->source_input, record->source_offset);
    for (size_t i = 0; i < record->evidence_count; i++) {
        char scratch[PQL_DECIMAL_TEXT_MAX];
        struct pql_slice text = pql_value_canonical(&record->evidence[i].value, scratch);
        pql_buf_printf(out, " %.*s", PQL_SLICE_ARG(text));
    }
}
