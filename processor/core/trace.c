#include "core/trace.h"

#include "core/engine_state.h"
#include "core/score.h"

#include <stdlib.h>

struct pql_tracer {
    struct pql_slice account, user;
    pql_trace_sink *sink;
    void *context;
    struct pql_arena arena; /* of one evaluation */
    struct pql_trace_part *parts;
    size_t count, capacity;
};

void pql_engine_trace(struct pql_engine *engine, struct pql_slice account, struct pql_slice user,
                      pql_trace_sink *sink, void *context)
{
    PQL_ASSERT(!engine->tracer);
    struct pql_tracer *tracer = pql_xcalloc(1, sizeof *tracer);
    *tracer = (struct pql_tracer){.account = account, .user = user, .sink = sink, .context = context};
    pql_arena_init(&tracer->arena);
    engine->tracer = tracer;
}

void pql_tracer_free(struct pql_tracer *tracer)
{
    if (!tracer) return;
    pql_arena_deinit(&tracer->arena);
    free(tracer->parts);
    free(tracer);
}

/* Joins by their word: their text is that of what they join. */
static struct pql_slice text_of(struct pql_tracer *tracer, const struct pql_expr *expr)
{
    switch ((int)expr->op) {
    case PQL_EXPR_NOT: return PQL_SLICE_LITERAL("not");
    case PQL_EXPR_AND: return PQL_SLICE_LITERAL("and");
    case PQL_EXPR_OR: return PQL_SLICE_LITERAL("or");
    case PQL_EXPR_AT_LEAST:
        return pql_slice_of(pql_arena_printf(&tracer->arena, "at_least %u of", expr->threshold));
    case PQL_EXPR_IF: return PQL_SLICE_LITERAL("if");
    default: return pql_lang_text(expr->node, &tracer->arena);
    }
}

static void push(struct pql_tracer *tracer, const struct pql_trace_part *part)
{
    tracer->parts = pql_xgrow(tracer->parts, &tracer->capacity, tracer->count + 1, sizeof *tracer->parts);
    tracer->parts[tracer->count++] = *part;
}

static void add_parts(struct pql_tracer *tracer, const struct pql_expr *expr, const struct pql_scope *scope,
                      unsigned depth);

/* What each item gives before its family's cap, and below it why. */
static void add_items(struct pql_tracer *tracer, const struct pql_score *score, const struct pql_scope *scope,
                      unsigned depth)
{
    for (size_t i = 0; i < score->items_count; i++) {
        const struct pql_item *item = &score->items[i];
        struct pql_slice family = item->conf->family.text;
        struct pql_trace_part part = {.depth = depth,
                                      .first_at = PQL_NO_TIME,
                                      .last_at = PQL_NO_TIME,
                                      .value = pql_number(pql_item_points(item, scope))};
        part.text =
            family.len
                ? pql_slice_of(pql_arena_printf(&tracer->arena, "points of %.*s", PQL_SLICE_ARG(family)))
                : PQL_SLICE_LITERAL("points");
        push(tracer, &part);
        add_parts(tracer, item->expr, scope, depth + 1);
    }
}

static void add_parts(struct pql_tracer *tracer, const struct pql_expr *expr, const struct pql_scope *scope,
                      unsigned depth)
{
    if (expr->op == PQL_EXPR_CONST && depth) return;
    struct pql_trace_part part = {.depth = depth, .first_at = PQL_NO_TIME, .last_at = PQL_NO_TIME};
    part.text = text_of(tracer, expr);
    if (expr->op == PQL_EXPR_SIGNAL) {
        struct pql_reading reading;
        pql_expr_read(expr, scope, &reading);
        part.value = reading.value;
        part.first_at = reading.first_at;
        part.last_at = reading.last_at;
        part.at_least = reading.at_least;
    } else {
        part.value = pql_expr_value(expr, scope);
    }
    push(tracer, &part);
    if (expr->op == PQL_EXPR_SCORE) {
        add_items(tracer, scope->program->definitions[expr->index].score, scope, depth + 1);
        return;
    }
    for (size_t i = 0; i < expr->kids_count; i++) add_parts(tracer, expr->kids[i], scope, depth + 1);
}

/* Parts move while they are added, so that a tree holds the number of its first one until all are there. */
static void add_tree(struct pql_tracer *tracer, struct pql_trace *trace, size_t *firsts, const char *role,
                     const struct pql_expr *expr, const struct pql_scope *scope)
{
    size_t first = tracer->count;
    add_parts(tracer, expr, scope, 0);
    firsts[trace->trees_count] = first;
    trace->trees[trace->trees_count++] =
        (struct pql_trace_tree){.role = role, .count = tracer->count - first};
}

static void describe_definition(struct pql_tracer *tracer, struct pql_trace *trace, size_t *firsts,
                                const struct pql_definition *definition, const struct pql_scope *scope)
{
    trace->definition = definition->conf->name;
    if (definition->eligible) add_tree(tracer, trace, firsts, "eligible", definition->eligible, scope);
    add_tree(tracer, trace, firsts, "qualify", definition->qualify, scope);
    if (definition->stay != definition->qualify)
        add_tree(tracer, trace, firsts, "stay", definition->stay, scope);
    const struct pql_subject_state *state = scope->user ? &scope->user->state : &scope->account->state;
    const struct pql_standing *standing = pql_standing_of(state, definition);
    trace->status = standing ? standing->status : PQL_NOT_YET;
}

static bool is_traced(const struct pql_tracer *tracer, const struct pql_scope *scope)
{
    if (!pql_slice_eq(scope->account->id, tracer->account)) return false;
    return !tracer->user.len || (scope->user && pql_slice_eq(scope->user->id, tracer->user));
}

void pql_trace_unit(const struct pql_engine *engine, const struct pql_unit *unit,
                    const struct pql_scope *scope, enum pql_cause by, uint64_t records_before)
{
    struct pql_tracer *tracer = engine->tracer;
    size_t firsts[PQL_TRACE_TREES_MAX];
    if (!is_traced(tracer, scope)) return;
    struct pql_trace trace = {.at_ms = engine->t_ms,
                              .account = scope->account->id,
                              .user = scope->user ? scope->user->id : (struct pql_slice){"", 0},
                              .by_event = by == PQL_BY_EVENT,
                              .changed = engine->stats.records != records_before};
    if (engine->source) {
        trace.event = engine->source->name;
        trace.event_id = engine->source->id;
    }
    tracer->count = 0;
    if (unit->is_condition)
        add_tree(tracer, &trace, firsts, "condition", engine->program->conditions[unit->index]->expr, scope);
    else
        describe_definition(tracer, &trace, firsts, &engine->program->definitions[unit->index], scope);
    for (size_t i = 0; i < trace.trees_count; i++) trace.trees[i].parts = &tracer->parts[firsts[i]];
    tracer->sink(tracer->context, &trace);
    pql_arena_reset(&tracer->arena);
}
