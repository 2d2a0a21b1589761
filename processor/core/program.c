#include "core/program_build.h"

#include "core/expr.h"
#include "core/hash.h"
#include <stdlib.h>

struct pql_settings pql_settings_default(void)
{
    return (struct pql_settings){.start_grace_ms = INT64_C(7) * 86400000,
                                 .exact_max = 1000,
                                 .evidence_max = 50,
                                 .buffer_bytes_max = UINT64_C(64) << 20};
}

/* count(E, prev W) keeps what count(E, W) needs: that one is read from the same cell, and its readers are
 * told by the same event. */
static void join_twin(struct pql_program *program, struct pql_signal_def *prev)
{
    const struct pql_signal *mine = &prev->signal;
    struct pql_signal_def *twin = NULL;
    for (size_t i = 0; i < program->signals_count && !twin; i++) {
        struct pql_signal_def *def = program->signals[i];
        if (def->signal.kind == PQL_SIGNAL_COUNT && def->signal.window.kind == PQL_WINDOW_ROLLING &&
            def->signal.subject == mine->subject && def->signal.window.ms == mine->window.ms &&
            pql_slice_eq(pql_zone_name(def->signal.zone), pql_zone_name(mine->zone)) &&
            pql_slice_eq(def->selector_text, prev->selector_text))
            twin = def;
    }
    if (!twin) return;
    prev->signal.twin = &twin->signal;
    twin->storage = prev;
    for (size_t i = 0; i < twin->dependents.count; i++)
        pql_build_depend(&prev->dependents, twin->dependents.items[i].unit,
                         PQL_CHANGE_TWIN | (twin->dependents.items[i].mask & PQL_CHANGE_AGE),
                         twin->dependents.items[i].via);
}

/* What is read as a number is exact up to exact_max, and further where a comparison asks for more. */
static void limit_newest(struct pql_signal_def *def)
{
    struct pql_signal *signal = &def->signal;
    bool is_number = signal->read_as_number || signal->kind == PQL_SIGNAL_SUM;
    if (signal->kind == PQL_SIGNAL_COUNT || signal->kind == PQL_SIGNAL_SUM) {
        bool is_prev = signal->window.kind == PQL_WINDOW_PREV;
        signal->has_panes = is_number || is_prev || def->storage;
        if (signal->k > signal->exact_max) signal->exact_max = signal->k;
        const struct pql_signal *twin = signal->twin;
        if (twin && twin->k > signal->exact_max) signal->exact_max = twin->k;
        if (twin && twin->exact_max > signal->exact_max) signal->exact_max = twin->exact_max;
    }
    if (signal->function == PQL_FN_COUNT && is_number) signal->k = 0;
}

static void finish_signals(struct pql_builder *b)
{
    for (size_t i = 0; i < b->program->signals_count; i++) {
        struct pql_signal_def *def = b->program->signals[i];
        if (def->signal.kind == PQL_SIGNAL_COUNT && def->signal.window.kind == PQL_WINDOW_PREV)
            join_twin(b->program, def);
    }
    /* A twin has its limit still when that of what it is read from is found. */
    for (int of_twins = 0; of_twins < 2; of_twins++)
        for (size_t i = 0; i < b->program->signals_count; i++)
            if ((b->program->signals[i]->storage != NULL) == of_twins) limit_newest(b->program->signals[i]);
    for (size_t i = 0; i < b->program->signals_count; i++) {
        struct pql_signal_def *def = b->program->signals[i];
        def->signal.bounds = def->bounds.items;
        def->signal.bounds_count = def->bounds.count;
        enum pql_signal_kind kind = def->signal.kind;
        if (kind == PQL_SIGNAL_SEQUENCE || kind == PQL_SIGNAL_SEQUENCE_FIRST || kind == PQL_SIGNAL_TIMES ||
            kind == PQL_SIGNAL_LATEST || kind == PQL_SIGNAL_EARLIEST || kind == PQL_SIGNAL_FIRST_VALUE ||
            kind == PQL_SIGNAL_SUM || kind == PQL_SIGNAL_SUM_EVER)
            def->signal.k = 0;
    }
}

static void publish_names(struct pql_builder *b)
{
    struct pql_program *program = b->program;
    struct pql_arena *arena = &program->arena;
    struct pql_slice *lists[3] = {b->properties, b->attributes[PQL_SUBJECT_USER],
                                  b->attributes[PQL_SUBJECT_ACCOUNT]};
    size_t counts[3] = {b->properties_count, b->attributes_count[PQL_SUBJECT_USER],
                        b->attributes_count[PQL_SUBJECT_ACCOUNT]};
    struct pql_slice *copies[3];
    for (int i = 0; i < 3; i++) {
        copies[i] = pql_arena_alloc(arena, counts[i] * sizeof(struct pql_slice));
        for (size_t j = 0; j < counts[i]; j++) copies[i][j] = pql_arena_copy(arena, lists[i][j]);
    }
    program->names = (struct pql_names){copies[0], counts[0], copies[1], counts[1], copies[2], counts[2]};
    for (int subject = 0; subject < 2; subject++) {
        uint32_t *copy = pql_arena_alloc(arena, b->attributes_count[subject] * sizeof(uint32_t));
        if (b->attributes_count[subject])
            memcpy(copy, b->attribute_signals[subject], b->attributes_count[subject] * sizeof(uint32_t));
        *(subject == PQL_SUBJECT_USER ? &program->user_attributes : &program->account_attributes) = copy;
    }
}

/* An erasure mostly carries nothing but its subject, and `not environment = 'production'` holds for what has
 * no environment. */
static void check_ignore(struct pql_builder *b)
{
    const struct pql_program *program = b->program;
    const struct pql_source *source = &program->conf->ignore;
    struct pql_event bare = {.kind = PQL_EVENT_FORGET};
    struct pql_scope scope = {.program = program, .event = &bare, .own_attributes = true};
    if (program->ignore && pql_expr_holds(program->ignore, &scope))
        pql_diag_source(
            b->diags, PQL_SEVERITY_WARNING, source, 0, source->text.len,
            "this also holds for an event that carries nothing else: such an erasure (forget) does "
            "nothing; ask for values that are there, as in environment = 'staging'");
}

static void compile_all(struct pql_builder *b)
{
    struct pql_program *program = b->program;
    size_t n = program->conf->definitions_count;
    uint32_t **uses = pql_xcalloc(n ? n : 1, sizeof(uint32_t *));
    size_t *uses_count = pql_xcalloc(n ? n : 1, sizeof *uses_count);
    for (uint32_t i = 0; i < n; i++) pql_build_parse_score(b, i);
    for (uint32_t i = 0; i < n; i++) {
        b->uses = NULL;
        b->uses_count = b->uses_capacity = 0;
        pql_build_definition(b, i);
        uses[i] = b->uses;
        uses_count[i] = b->uses_count;
    }
    b->definition = PQL_NO_INDEX;
    b->unit = NULL;
    b->zone = NULL;
    program->ignore = pql_build_text(b, &program->conf->ignore, PQL_PLACE_IGNORE);
    finish_signals(b);
    enum { SLOTS_MAX = UINT16_MAX / 2 }; /* the rest is for definitions that a change removes */
    if (program->signals_count + n > SLOTS_MAX)
        pql_diag_place(b->diags, PQL_SEVERITY_ERROR, NULL, 0, 0, 1,
                       "more than %d signals and definitions together", SLOTS_MAX);
    if (!b->diags->errors_count && pql_build_order(b, uses, uses_count)) {
        pql_build_join_scores(b);
        for (size_t i = 0; i < program->conditions_count; i++)
            program->conditions[i]->unit.at_birth =
                pql_build_is_at_birth(program, program->conditions[i]->expr);
        for (size_t i = 0; i < n; i++) pql_build_finish(b, &program->definitions[i]);
        pql_build_subject(program, PQL_SUBJECT_USER);
        pql_build_subject(program, PQL_SUBJECT_ACCOUNT);
        pql_build_listeners(program);
        publish_names(b);
        check_ignore(b);
    }
    for (size_t i = 0; i < n; i++) free(uses[i]);
    free(uses);
    free(uses_count);
}

static const struct pql_slice *period_names(struct pql_program *program)
{
    const struct pql_program_conf *conf = program->conf;
    struct pql_slice *names = pql_arena_alloc(&program->arena, conf->periods_count * sizeof *names + 1);
    program->periods = pql_arena_zalloc(&program->arena, conf->periods_count * sizeof *program->periods + 1);
    program->periods_count = conf->periods_count;
    for (size_t i = 0; i < conf->periods_count; i++) {
        names[i] = conf->periods[i].name;
        program->periods[i].conf = &conf->periods[i];
    }
    return names;
}

struct pql_program *pql_program_new(const struct pql_program_conf *conf, struct pql_diags *diags)
{
    struct pql_program *program = pql_xcalloc(1, sizeof *program);
    pql_arena_init(&program->arena);
    program->conf = conf;
    program->space = pql_uuid_of_app(conf->app);
    program->key = pql_hash_key(conf->app);
    size_t n = conf->definitions_count, errors = diags->errors_count;
    program->definitions = pql_arena_zalloc(&program->arena, n * sizeof *program->definitions);
    struct pql_lang_definition *known = pql_arena_alloc(&program->arena, n * sizeof *known);
    for (uint32_t i = 0; i < n; i++) {
        known[i] = pql_definition_known(&conf->definitions[i]);
        program->definitions[i].conf = &conf->definitions[i];
        program->definitions[i].unit =
            (struct pql_unit){.subject = conf->definitions[i].subject, .index = i, .order = PQL_NO_INDEX};
    }
    struct pql_builder b = {.program = program, .diags = diags, .definition = PQL_NO_INDEX};
    b.needs = pql_xcalloc(n * n + 1, sizeof *b.needs);
    program->env = (struct pql_lang_env){.definitions = known,
                                         .definitions_count = n,
                                         .signals = conf->signals,
                                         .signals_count = conf->signals_count,
                                         .parameters = conf->parameters,
                                         .parameters_count = conf->parameters_count,
                                         .periods = period_names(program),
                                         .periods_count = conf->periods_count,
                                         .off = conf->off,
                                         .off_count = conf->off_count};
    compile_all(&b);
    free(b.needs);
    free(b.properties);
    free(b.scores);
    free(b.told);
    for (int subject = 0; subject < 2; subject++) {
        free(b.attributes[subject]);
        free(b.attribute_signals[subject]);
    }
    if (diags->errors_count == errors) return program;
    pql_program_free(program);
    return NULL;
}

static void ago_deinit(struct pql_ago *ago)
{
    free(ago->bounds.items);
    free(ago->dependents.items);
}

void pql_program_free(struct pql_program *program)
{
    if (!program) return;
    for (size_t i = 0; i < program->signals_count; i++) {
        free(program->signals[i]->dependents.items);
        free(program->signals[i]->bounds.items);
    }
    for (size_t i = 0; i < program->conditions_count; i++) free(program->conditions[i]->dependents.items);
    for (size_t i = 0; i < program->conf->definitions_count; i++) {
        free(program->definitions[i].dependents.items);
        ago_deinit(&program->definitions[i].changed);
    }
    ago_deinit(&program->ages[PQL_SUBJECT_USER]);
    ago_deinit(&program->ages[PQL_SUBJECT_ACCOUNT]);
    for (size_t i = 0; i < program->spreads_count; i++) free(program->spreads[i]->dependents.items);
    free(program->spreads);
    free(program->members_dependents.items);
    free(program->signals);
    free(program->conditions);
    pql_arena_deinit(&program->arena);
    free(program);
}

const struct pql_names *pql_program_names(const struct pql_program *program)
{
    return &program->names;
}
const struct pql_settings *pql_program_settings(const struct pql_program *program)
{
    return &program->conf->settings;
}
struct pql_slice pql_program_app(const struct pql_program *program)
{
    return program->conf->app;
}
size_t pql_program_definitions_count(const struct pql_program *program)
{
    return program->conf->definitions_count;
}
const struct pql_definition_conf *pql_program_definition(const struct pql_program *program, size_t index)
{
    return &program->conf->definitions[index];
}
const struct pql_lang_env *pql_program_env(const struct pql_program *program)
{
    return &program->env;
}
struct pql_slice pql_program_text(const struct pql_program *program)
{
    return program->conf->text;
}
