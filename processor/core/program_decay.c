#include "core/program_build.h"

static const int64_t hour_ms = 3600000, day_ms = 86400000;

struct pql_decay *pql_build_decay(struct pql_builder *b, const struct pql_definition_conf *conf,
                                  const struct pql_item_conf *item, const struct pql_node *per)
{
    int64_t span = item->half_life_ms ? item->half_life_ms : item->fades_over_ms;
    bool is_call =
        per->kind == PQL_NODE_CALL && (per->function == PQL_FN_COUNT || per->function == PQL_FN_SUM ||
                                       per->function == PQL_FN_DAYS || per->function == PQL_FN_DISTINCT);
    if (!span) return NULL;
    if (!is_call) {
        pql_diag_source(
            b->diags, PQL_SEVERITY_ERROR, &item->per, 0, item->per.text.len,
            "what decays is one count, sum, days or distinct; without '%s' 'per' may be any number",
            item->half_life_ms ? "half_life" : "fades_over");
        return NULL;
    }
    struct pql_arena *arena = &b->program->arena;
    struct pql_decay *decay = pql_arena_zalloc(arena, sizeof *decay);
    int64_t usual = span >= 7 * day_ms ? day_ms : hour_ms;
    *decay = (struct pql_decay){.step_ms = conf->decay_step_ms ? conf->decay_step_ms : usual,
                                .span_ms = span,
                                .is_linear = item->fades_over_ms > 0};
    size_t count = pql_decay_table_size(decay);
    pql_decay_table_fill(decay, pql_arena_alloc(arena, count * sizeof *decay->weights), count);
    return decay;
}

const struct pql_expr *pql_build_item(struct pql_builder *b, const struct pql_item *item)
{
    b->decay = item->decay;
    const struct pql_expr *expr = pql_build_expr(b, item->node);
    b->decay = NULL;
    return expr;
}

static bool is_same(const struct pql_decay *a, const struct pql_decay *b)
{
    return a->step_ms == b->step_ms && a->span_ms == b->span_ms && a->is_linear == b->is_linear;
}

void pql_build_add_decay(struct pql_builder *b, struct pql_signal_def *def, const struct pql_decay *decay)
{
    struct pql_signal *signal = &def->signal;
    for (size_t i = 0; i < signal->decays_count; i++)
        if (is_same(signal->decays[i], decay)) return;
    const struct pql_decay **more =
        pql_arena_alloc(&b->program->arena, (signal->decays_count + 1) * sizeof(more[0]));
    for (size_t i = 0; i < signal->decays_count; i++) more[i] = signal->decays[i];
    more[signal->decays_count++] = decay;
    signal->decays = more;
}

static bool is_rolling(const struct pql_node *call)
{
    return call->window.kind == PQL_WINDOW_ROLLING || call->window.kind == PQL_WINDOW_PREV;
}

enum pql_signal_kind pql_build_decaying_kind(const struct pql_node *call)
{
    bool has_end = call->window.kind == PQL_WINDOW_FIRST || call->window.kind == PQL_WINDOW_PERIOD;
    if (is_rolling(call) || has_end) return PQL_SIGNAL_KIND_COUNT;
    bool is_added = call->function == PQL_FN_COUNT || call->function == PQL_FN_SUM;
    return is_added ? PQL_SIGNAL_STEPS : PQL_SIGNAL_LAST;
}

void pql_build_put_decay(struct pql_builder *b, const struct pql_decay *decay, struct pql_buf *out)
{
    struct pql_slice span = pql_duration_text(decay->span_ms, &b->program->arena);
    struct pql_slice step = pql_duration_text(decay->step_ms, &b->program->arena);
    pql_buf_printf(out, " %s %.*s step %.*s", decay->is_linear ? "fades_over" : "half_life",
                   PQL_SLICE_ARG(span), PQL_SLICE_ARG(step));
}

const char *pql_build_decay_mark(struct pql_builder *b, const struct pql_node *call)
{
    struct pql_buf out = {0};
    if (!b->decay || is_rolling(call)) return "";
    pql_build_put_decay(b, b->decay, &out);
    const char *mark = pql_arena_printf(&b->program->arena, "%.*s", (int)out.len, out.ptr);
    pql_buf_deinit(&out);
    return mark;
}
