/* What of inputs and mappings affects results, as a text by which two configurations are compared. Texts of
 * users stand with their length, so that no two lists read the same. */
#include "base/buf.h"
#include "io/config_read.h"

static void put_text(struct pql_buf *buf, struct pql_slice text)
{
    pql_buf_printf(buf, " %zu:%.*s", text.len, PQL_SLICE_ARG(text));
}

static void put_paths(struct pql_buf *buf, const char *name, const struct pql_path_list *list)
{
    if (!list->count) return;
    pql_buf_printf(buf, "  %s", name);
    for (size_t i = 0; i < list->count; i++) put_text(buf, list->paths[i].text);
    pql_buf_text(buf, "\n");
}

static void put_mapping(struct pql_buf *buf, const struct pql_mapping_conf *conf)
{
    const struct {
        const char *name;
        const struct pql_path_list *list;
    } lists[] = {{"kind", &conf->kind},
                 {"event", &conf->event},
                 {"account", &conf->account},
                 {"user", &conf->user},
                 {"time", &conf->time},
                 {"id", &conf->id},
                 {"previous_user", &conf->previous_user},
                 {"value", &conf->value},
                 {"properties", &conf->properties},
                 {"attributes", &conf->attributes}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) put_paths(buf, lists[i].name, lists[i].list);
    pql_buf_printf(buf, "  unit %d broker %d utc %d\n", (int)conf->time_unit, (int)conf->time_from_broker,
                   (int)conf->assume_utc);
    for (size_t i = 0; i < conf->kinds_count; i++) {
        pql_buf_printf(buf, "  kind %s", pql_event_kind_names[conf->kinds[i].kind]);
        put_text(buf, conf->kinds[i].from);
        put_text(buf, conf->kinds[i].event);
        pql_buf_text(buf, "\n");
    }
    for (size_t i = 0; i < conf->renames_count; i++) {
        pql_buf_text(buf, "  rename");
        put_text(buf, conf->renames[i].from);
        put_text(buf, conf->renames[i].to);
        pql_buf_text(buf, "\n");
    }
}

struct pql_slice pql_config_inputs_text(const struct pql_config *config, struct pql_arena *arena)
{
    struct pql_buf buf = {0};
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_input_conf *input = &config->inputs[i];
        pql_buf_printf(&buf, "input %zu format %d framing %d\n", i, input->format, input->framing);
        if (input->mapping < config->mappings_count) put_mapping(&buf, &config->mappings[input->mapping]);
    }
    struct pql_slice text = pql_arena_copy(arena, (struct pql_slice){buf.ptr, buf.len});
    pql_buf_deinit(&buf);
    return text;
}
