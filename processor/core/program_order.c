#include "core/program_build.h"

#include <stdlib.h>

static void report_cycle(struct pql_builder *b, const bool *done, size_t n)
{
    /* Walking along needs from any definition that is not done must meet one twice. */
    size_t at = 0;
    while (done[at]) at++;
    struct pql_buf names = {0};
    bool *met = pql_xcalloc(n, sizeof *met);
    for (int round = 0; round < 2; round++) {
        memset(met, 0, n);
        names.len = 0;
        while (!met[at]) {
            met[at] = true;
            pql_buf_printf(&names, "%s%.*s", names.len ? " -> " : "",
                           PQL_SLICE_ARG(b->program->conf->definitions[at].name));
            for (size_t to = 0; to < n; to++)
                if (b->needs[at * n + to] && !done[to]) {
                    at = to;
                    break;
                }
        }
    }
    const struct pql_definition_conf *conf = &b->program->conf->definitions[at];
    pql_diag_source(b->diags, PQL_SEVERITY_ERROR, &conf->name_source, 0, conf->name.len ? conf->name.len : 1,
                    "definitions refer to each other in a circle: %.*s -> %.*s", (int)names.len, names.ptr,
                    PQL_SLICE_ARG(conf->name));
    free(met);
    pql_buf_deinit(&names);
}

static bool is_ready(const struct pql_builder *b, const bool *done, size_t index, size_t n)
{
    for (size_t to = 0; to < n; to++)
        if (b->needs[index * n + to] && !done[to]) return false;
    return true;
}

static void add_unit(struct pql_program *program, struct pql_unit *unit)
{
    if (unit->order != PQL_NO_INDEX) return;
    unit->order = (uint32_t)program->units_count;
    program->units[program->units_count++] = unit;
}

bool pql_build_order(struct pql_builder *b, uint32_t *const *uses, const size_t *uses_count)
{
    struct pql_program *program = b->program;
    size_t n = program->conf->definitions_count;
    bool *done = pql_xcalloc(n, sizeof *done);
    program->units =
        pql_arena_alloc(&program->arena, (n + program->conditions_count) * sizeof(struct pql_unit *));
    bool ok = true;
    for (size_t ordered = 0; ordered < n && ok;) {
        size_t next = 0;
        while (next < n && (done[next] || !is_ready(b, done, next, n))) next++;
        ok = next < n;
        if (!ok) {
            report_cycle(b, done, n);
            break;
        }
        for (size_t i = 0; i < uses_count[next]; i++)
            add_unit(program, &program->conditions[uses[next][i]]->unit);
        add_unit(program, &program->definitions[next].unit);
        done[next] = true;
        ordered++;
    }
    free(done);
    return ok;
}
