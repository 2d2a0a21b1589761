#include "core/program_build.h"

#include "core/hash.h"

static bool has_name(const struct pql_slice *names, size_t count, struct pql_slice name)
{
    for (size_t i = 0; i < count; i++)
        if (pql_slice_eq(names[i], name)) return true;
    return false;
}

bool pql_program_selects(const struct pql_program *program, const struct pql_selector *selector,
                         struct pql_slice name)
{
    const struct pql_program_conf *conf = program->conf;
    bool is_activity = !conf->activity_count || has_name(conf->activity, conf->activity_count, name);
    return (selector->any && is_activity) || has_name(selector->events, selector->events_count, name);
}

static bool listens(const struct pql_program *program, const struct pql_signal_def *def,
                    struct pql_slice name)
{
    return !def->is_attribute && !def->storage && pql_program_selects(program, def->selector, name);
}

static void fill_listener(struct pql_program *program, struct pql_listener *listener)
{
    uint32_t *signals = pql_arena_alloc(&program->arena, program->signals_count * sizeof *signals);
    listener->count = 0;
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (listens(program, program->signals[i], listener->name)) signals[listener->count++] = i;
    listener->signals = signals;
    listener->answers_count = pql_build_answers(program, listener->name, &listener->answers);
    listener->is_start =
        has_name(program->conf->start_events, program->conf->start_events_count, listener->name);
}

static struct pql_listener *listener_slot(const struct pql_program *program, struct pql_slice name)
{
    size_t mask = program->listeners_capacity - 1;
    for (size_t i = (size_t)pql_hash_slice(name, 0) & mask;; i = (i + 1) & mask) {
        struct pql_listener *listener = &program->listeners[i];
        if (!listener->name.ptr || pql_slice_eq(listener->name, name)) return listener;
    }
}

const struct pql_listener *pql_program_listener(const struct pql_program *program, struct pql_slice name)
{
    const struct pql_listener *listener = listener_slot(program, name);
    return listener->name.ptr ? listener : &program->others;
}

static void add_listener(struct pql_program *program, struct pql_slice name)
{
    struct pql_listener *listener = listener_slot(program, name);
    if (listener->name.ptr) return;
    listener->name = name;
    fill_listener(program, listener);
}

void pql_build_listeners(struct pql_program *program)
{
    const struct pql_program_conf *conf = program->conf;
    size_t names = conf->activity_count + conf->start_events_count;
    for (size_t i = 0; i < program->signals_count; i++)
        if (!program->signals[i]->is_attribute) names += program->signals[i]->selector->events_count;
    for (size_t d = 0; d < conf->definitions_count; d++)
        for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++)
            names += conf->definitions[d].outcomes[effect].count;
    program->listeners_capacity = 16;
    while (program->listeners_capacity < names * 2) program->listeners_capacity *= 2;
    program->listeners =
        pql_arena_zalloc(&program->arena, program->listeners_capacity * sizeof *program->listeners);
    for (size_t i = 0; i < program->signals_count; i++) {
        const struct pql_signal_def *def = program->signals[i];
        for (size_t j = 0; !def->is_attribute && j < def->selector->events_count; j++)
            add_listener(program, def->selector->events[j]);
    }
    for (size_t i = 0; i < conf->activity_count; i++) add_listener(program, conf->activity[i]);
    for (size_t i = 0; i < conf->start_events_count; i++) add_listener(program, conf->start_events[i]);
    for (size_t d = 0; d < conf->definitions_count; d++)
        for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++) {
            const struct pql_path_list *list = &conf->definitions[d].outcomes[effect];
            for (size_t i = 0; i < list->count; i++) add_listener(program, list->paths[i].text);
        }
    program->others.name = (struct pql_slice){"", 0};
    fill_listener(program, &program->others);
    program->start_on_identify =
        has_name(conf->start_events, conf->start_events_count, pql_slice_of("kind:identify"));
    program->start_on_group =
        has_name(conf->start_events, conf->start_events_count, pql_slice_of("kind:group"));
}

static bool reads_first_of(const struct pql_program *program, const struct pql_expr *expr,
                           enum pql_subject subject)
{
    if (pql_build_is_first(program, expr) && program->signals[expr->index]->signal.subject == subject)
        return true;
    for (size_t i = 0; i < expr->kids_count; i++)
        if (reads_first_of(program, expr->kids[i], subject)) return true;
    return false;
}

static void build_first(struct pql_program *program, enum pql_subject subject)
{
    size_t n = 0, units = 0, definitions = program->conf->definitions_count;
    program->first_signals[subject] =
        pql_arena_alloc(&program->arena, program->signals_count * sizeof(uint32_t));
    program->first_units[subject] = pql_arena_alloc(&program->arena, definitions * sizeof(struct pql_unit *));
    for (uint32_t i = 0; i < program->signals_count; i++) {
        const struct pql_signal *signal = &program->signals[i]->signal;
        if (pql_has_end(signal) && signal->subject == subject) program->first_signals[subject][n++] = i;
    }
    for (uint32_t i = 0; i < definitions; i++)
        if (reads_first_of(program, program->definitions[i].qualify, subject))
            program->first_units[subject][units++] = &program->definitions[i].unit;
    program->first_signals_count[subject] = n;
    program->first_units_count[subject] = units;
}

void pql_build_subject(struct pql_program *program, enum pql_subject subject)
{
    size_t n = program->conf->definitions_count;
    uint32_t *slots = pql_arena_alloc(&program->arena, (program->signals_count + n) * sizeof *slots);
    uint32_t count = 0;
    for (uint32_t i = 0; i < program->signals_count; i++) {
        if (program->signals[i]->signal.subject != subject || program->signals[i]->storage) continue;
        program->signals[i]->slot = count;
        slots[count++] = i;
    }
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (program->signals[i]->storage) program->signals[i]->slot = program->signals[i]->storage->slot;
    struct pql_unit **birth =
        pql_arena_alloc(&program->arena, program->units_count * sizeof(struct pql_unit *));
    size_t birth_count = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct pql_definition *definition = &program->definitions[i];
        if (definition->conf->subject != subject) continue;
        definition->slot = count;
        slots[count++] = PQL_SLOT_DEFINITION | i;
    }
    for (size_t i = 0; i < program->units_count; i++)
        if (program->units[i]->subject == subject && program->units[i]->at_birth)
            birth[birth_count++] = program->units[i];
    program->slots[subject] = slots;
    program->slots_count[subject] = count;
    program->birth_units[subject] = birth;
    program->birth_units_count[subject] = birth_count;
    build_first(program, subject);
}
