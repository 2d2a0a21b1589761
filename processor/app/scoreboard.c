#include "app/scoreboard.h"

#include "base/date.h"
#include "base/log.h"
#include "core/inspect.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum { DOUBLE = 2, WARNS_FROM = 20, USUAL_DAYS = 7 };

const int pql_convert_days[PQL_CONVERT_BUCKETS - 1] = {1, 7, 14, 30, 60, 90};

/* Members of one definition in one task, by tier. */
struct membership {
    int32_t partition;
    size_t definition;
    struct pql_slice tier;
    int64_t members;
};

struct pql_scoreboard {
    pthread_mutex_t lock;
    struct pql_arena arena; /* of texts */
    struct pql_scoreboard_row *rows;
    size_t rows_count, rows_capacity;
    struct pql_scoreboard_definition *definitions;
    size_t definitions_count, definitions_capacity;
    struct membership *memberships;
    size_t memberships_count, memberships_capacity;
    uint64_t sign_ups[2];
    uint64_t refused[PQL_REJECT_COUNT];
};

struct pql_scoreboard *pql_scoreboard_new(void)
{
    struct pql_scoreboard *board = pql_xcalloc(1, sizeof *board);
    pthread_mutex_init(&board->lock, NULL);
    pql_arena_init(&board->arena);
    return board;
}

void pql_scoreboard_free(struct pql_scoreboard *board)
{
    if (!board) return;
    free(board->rows);
    free(board->definitions);
    free(board->memberships);
    pql_arena_deinit(&board->arena);
    pthread_mutex_destroy(&board->lock);
    free(board);
}

/* --- rows, made when they are first needed; few, so that they are looked through --- */

static size_t definition_of(struct pql_scoreboard *board, struct pql_slice name, enum pql_subject subject)
{
    for (size_t i = 0; i < board->definitions_count; i++)
        if (board->definitions[i].subject == subject && pql_slice_eq(board->definitions[i].definition, name))
            return i;
    board->definitions = pql_xgrow(board->definitions, &board->definitions_capacity,
                                   board->definitions_count + 1, sizeof *board->definitions);
    board->definitions[board->definitions_count] = (struct pql_scoreboard_definition){
        .definition = pql_arena_copy(&board->arena, name), .subject = subject, .warned = INT64_MIN};
    return board->definitions_count++;
}

static struct pql_scoreboard_row *row_of(struct pql_scoreboard *board, struct pql_slice name, int32_t version,
                                         enum pql_subject subject, struct pql_slice segment)
{
    for (size_t i = 0; i < board->rows_count; i++) {
        struct pql_scoreboard_row *row = &board->rows[i];
        if (row->version == version && row->subject == subject && pql_slice_eq(row->definition, name) &&
            pql_slice_eq(row->segment, segment))
            return row;
    }
    board->rows = pql_xgrow(board->rows, &board->rows_capacity, board->rows_count + 1, sizeof *board->rows);
    struct pql_scoreboard_row *row = &board->rows[board->rows_count++];
    *row = (struct pql_scoreboard_row){.definition = pql_arena_copy(&board->arena, name),
                                       .segment = pql_arena_copy(&board->arena, segment),
                                       .version = version,
                                       .subject = subject};
    return row;
}

static struct membership *membership_of(struct pql_scoreboard *board, int32_t partition, size_t definition,
                                        struct pql_slice tier)
{
    for (size_t i = 0; i < board->memberships_count; i++)
        if (board->memberships[i].partition == partition && board->memberships[i].definition == definition &&
            pql_slice_eq(board->memberships[i].tier, tier))
            return &board->memberships[i];
    board->memberships = pql_xgrow(board->memberships, &board->memberships_capacity,
                                   board->memberships_count + 1, sizeof *board->memberships);
    struct membership *membership = &board->memberships[board->memberships_count++];
    *membership = (struct membership){partition, definition, pql_arena_copy(&board->arena, tier), 0};
    return membership;
}

/* --- members --- */

struct counting {
    struct pql_scoreboard *board;
    int32_t partition;
};

static void forget_members(struct pql_scoreboard *board, int32_t partition)
{
    for (size_t i = 0; i < board->memberships_count; i++)
        if (board->memberships[i].partition == partition) board->memberships[i].members = 0;
}

static void count_members(void *context, const struct pql_definition_conf *conf, struct pql_slice tier,
                          uint64_t members)
{
    const struct counting *counting = context;
    struct pql_scoreboard *board = counting->board;
    pthread_mutex_lock(&board->lock);
    size_t definition = definition_of(board, conf->name, conf->subject);
    board->definitions[definition].version = conf->version;
    membership_of(board, counting->partition, definition, tier)->members = (int64_t)members;
    pthread_mutex_unlock(&board->lock);
}

void pql_scoreboard_begin(struct pql_scoreboard *board, int32_t partition, const struct pql_engine *engine)
{
    struct counting counting = {board, partition};
    pthread_mutex_lock(&board->lock);
    forget_members(board, partition);
    pthread_mutex_unlock(&board->lock);
    pql_engine_count_members(engine, count_members, &counting);
}

void pql_scoreboard_end(struct pql_scoreboard *board, int32_t partition)
{
    pthread_mutex_lock(&board->lock);
    forget_members(board, partition);
    pthread_mutex_unlock(&board->lock);
}

/* --- what happens --- */

static void next_day(struct pql_scoreboard_definition *definition, int64_t day)
{
    if (definition->day) {
        uint64_t days = definition->days < USUAL_DAYS ? definition->days + 1 : USUAL_DAYS;
        definition->usual += ((double)definition->today - definition->usual) / (double)days;
        definition->days = days;
    }
    definition->day = day;
    definition->today = 0;
}

static void count_entry(struct pql_scoreboard_definition *definition, const struct pql_record *record,
                        int64_t now_ms)
{
    int64_t day = pql_floor_div(now_ms, PQL_DAY_MS);
    definition->version = record->definition_version;
    if (record->origin != PQL_ORIGIN_LIVE) return;
    if (definition->day < day) next_day(definition, day);
    definition->today++;
    if (!definition->days || definition->warned == day || definition->today < WARNS_FROM ||
        (double)definition->today < DOUBLE * definition->usual)
        return;
    definition->warned = day;
    pql_log(PQL_LOG_WARN, "entries of a definition double",
            "definition=%.*s version=%" PRId32 " today=%" PRIu64 " usual=%.0f",
            PQL_SLICE_ARG(definition->definition), definition->version, definition->today, definition->usual);
}

static void count_conversion(struct pql_scoreboard_row *row, const struct pql_record *record)
{
    double days = (double)(record->occurred_at - record->qualified_at) / PQL_DAY_MS;
    int bucket = 0;
    while (bucket < PQL_CONVERT_BUCKETS - 1 && days > pql_convert_days[bucket]) bucket++;
    row->converted++;
    row->days[bucket]++;
    row->days_sum += days;
}

static void move(struct pql_scoreboard *board, int32_t partition, size_t definition,
                 const struct pql_record *record)
{
    if (record->transition == PQL_LEFT || record->transition == PQL_TIER_CHANGED)
        membership_of(board, partition, definition, record->previous_tier)->members--;
    if (record->transition == PQL_ENTERED || record->transition == PQL_TIER_CHANGED)
        membership_of(board, partition, definition, record->tier)->members++;
}

void pql_scoreboard_record(struct pql_scoreboard *board, int32_t partition, const struct pql_record *record,
                           int64_t now_ms)
{
    pthread_mutex_lock(&board->lock);
    size_t definition = definition_of(board, record->definition, record->subject);
    board->definitions[definition].transitions[record->transition]++;
    move(board, partition, definition, record);
    if (record->transition == PQL_ENTERED || record->transition == PQL_LEFT) {
        struct pql_scoreboard_row *row =
            row_of(board, record->definition, record->definition_version, record->subject, record->segment);
        row->qualified += record->transition == PQL_ENTERED;
        if (record->transition == PQL_ENTERED)
            count_entry(&board->definitions[definition], record, now_ms);
        else if (record->reason == PQL_REASON_CONVERTED)
            count_conversion(row, record);
    }
    pthread_mutex_unlock(&board->lock);
}

void pql_scoreboard_refused(struct pql_scoreboard *board, const char *reason)
{
    pthread_mutex_lock(&board->lock);
    for (size_t i = 0; i < PQL_REJECT_COUNT; i++)
        if (!strcmp(pql_rejects[i].word, reason)) board->refused[i]++;
    pthread_mutex_unlock(&board->lock);
}

void pql_scoreboard_signed_up(struct pql_scoreboard *board, enum pql_subject subject)
{
    pthread_mutex_lock(&board->lock);
    board->sign_ups[subject]++;
    pthread_mutex_unlock(&board->lock);
}

void pql_scoreboard_unforeseen(struct pql_scoreboard *board, const struct pql_definition_conf *conf)
{
    const struct pql_slice none = {"", 0};
    pthread_mutex_lock(&board->lock);
    row_of(board, conf->name, conf->version, conf->subject, none)->unforeseen++;
    pthread_mutex_unlock(&board->lock);
}

/* --- the view --- */

/* Of all tasks together. */
static void add_tier(struct pql_scoreboard_view *view, const struct membership *membership)
{
    size_t i = 0;
    while (i < view->tiers_count && (view->tiers[i].definition != membership->definition ||
                                     !pql_slice_eq(view->tiers[i].tier, membership->tier)))
        i++;
    if (i == view->tiers_count)
        view->tiers[view->tiers_count++] =
            (struct pql_scoreboard_tier){membership->definition, membership->tier, 0};
    view->tiers[i].members += membership->members;
}

struct pql_scoreboard_view pql_scoreboard_view(struct pql_scoreboard *board)
{
    struct pql_scoreboard_view view = {0};
    pthread_mutex_lock(&board->lock);
    view.rows_count = board->rows_count;
    view.definitions_count = board->definitions_count;
    view.rows = pql_xcalloc(view.rows_count + 1, sizeof *view.rows);
    view.definitions = pql_xcalloc(view.definitions_count + 1, sizeof *view.definitions);
    for (size_t i = 0; i < view.rows_count; i++) view.rows[i] = board->rows[i];
    for (size_t i = 0; i < view.definitions_count; i++) view.definitions[i] = board->definitions[i];
    view.tiers = pql_xcalloc(board->memberships_count + 1, sizeof *view.tiers);
    for (size_t i = 0; i < board->memberships_count; i++) {
        view.definitions[board->memberships[i].definition].members += board->memberships[i].members;
        if (board->memberships[i].tier.len) add_tier(&view, &board->memberships[i]);
    }
    memcpy(view.refused, board->refused, sizeof view.refused);
    view.sign_ups[0] = board->sign_ups[0];
    view.sign_ups[1] = board->sign_ups[1];
    pthread_mutex_unlock(&board->lock);
    return view;
}

void pql_scoreboard_view_free(struct pql_scoreboard_view *view)
{
    free(view->rows);
    free(view->definitions);
    free(view->tiers);
}
