/* Routes and their like: one text, or a list of { to = …; when = …; }. */
#include "io/config_fields.h"
#include "io/config_options.h"

static void read_choice(const struct pql_options_reader *reader, const struct pql_setting *setting,
                        struct pql_choice_conf *out)
{
    struct choice_fields fields = {0};
    pql_options_read(reader, PQL_GROUP_CHOICE, setting, &fields);
    bool has_to = pql_setting_find(setting, "to"), has_is = pql_setting_find(setting, "is");
    if (has_to == has_is)
        pql_setting_diag(
            setting, reader->diags, PQL_SEVERITY_ERROR,
            has_to ? "'to' and 'is' mean the same here: give one of them"
                   : "what is chosen is missing, as in { to = \"sdr\"; when = \"members() >= 20\"; }");
    *out = (struct pql_choice_conf){has_to ? fields.to : fields.is, fields.when};
}

void pql_config_choices_read(const struct pql_options_reader *reader, const struct pql_setting *setting,
                             struct pql_choices_conf *out)
{
    bool is_text = setting->kind != PQL_SETTING_LIST;
    size_t count = is_text ? 1 : pql_setting_count(setting), i = 0;
    struct pql_choice_conf *items = pql_arena_zalloc(reader->arena, count * sizeof *items + 1);
    if (is_text) items[i++] = (struct pql_choice_conf){.source = setting->value};
    for (const struct pql_setting *kid = setting->kids; kid; kid = kid->next) {
        if (kid->kind == PQL_SETTING_GROUP)
            read_choice(reader, kid, &items[i++]);
        else
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR,
                             "'%s' is one text or holds groups { to = …; when = …; }", setting->name);
    }
    *out = (struct pql_choices_conf){items, i};
}
