/* Parameters: a constant, or one by the value of an attribute. */
#include "io/config_fields.h"
#include "io/config_options.h"

#include "core/lang/lang.h"

static void check_digits(const struct pql_options_reader *reader, const struct pql_setting *setting)
{
    if (!pql_decimal_text_fits(setting->value.text))
        pql_setting_diag_value(setting, reader->diags, "'%s' " PQL_NUMBER_TOO_LONG, setting->name);
}

/* Of an attribute: as it is compared with `=`. */
static struct pql_value attribute_value(const struct pql_options_reader *reader,
                                        const struct pql_setting *setting)
{
    pql_decimal number;
    if (setting->kind == PQL_SETTING_TEXT) return pql_text(setting->value.text);
    if (setting->kind == PQL_SETTING_BOOL)
        return pql_bool(setting->value.text.ptr[0] == 't' || setting->value.text.ptr[0] == 'T');
    if (setting->kind == PQL_SETTING_NUMBER && pql_decimal_of_text(setting->value.text, &number)) {
        check_digits(reader, setting);
        return pql_number(number);
    }
    pql_setting_diag_value(setting, reader->diags, "'is' must be a text, a number, true or false");
    return pql_null();
}

static struct pql_value value_of(const struct pql_options_reader *reader, const struct pql_setting *setting)
{
    int64_t ms;
    pql_decimal number;
    bool is_text = setting->kind == PQL_SETTING_TEXT;
    if ((!is_text || setting->is_override) && pql_decimal_of_text(setting->value.text, &number)) {
        check_digits(reader, setting);
        return pql_number(number);
    }
    if (is_text)
        return pql_duration_parse(setting->value.text, &ms) ? pql_duration(ms)
                                                            : pql_text(setting->value.text);
    pql_setting_diag_value(setting, reader->diags,
                           "'%s' must be a number (digits and a point), a text, or a duration in quotes",
                           setting->name);
    return pql_null();
}

static const char *words_of(enum pql_kind kind)
{
    return kind == PQL_NUMBER ? "a number" : kind == PQL_DURATION ? "a duration" : "a text";
}

static void read_value(const struct pql_options_reader *reader, const struct pql_setting *setting,
                       const struct pql_lang_parameter *parameter, struct pql_lang_value *out)
{
    int nothing;
    pql_options_read(reader, PQL_GROUP_VALUE, setting, &nothing);
    const struct pql_setting *is = pql_setting_find(setting, "is"),
                             *value = pql_setting_find(setting, "value");
    if (!is || !value) return;
    *out = (struct pql_lang_value){attribute_value(reader, is), value_of(reader, value)};
    for (size_t i = 0; i < parameter->values_count; i++)
        if (pql_value_same(&parameter->values[i].is, &out->is))
            pql_setting_diag_value(is, reader->diags, "there is a value for this already");
    enum pql_kind usual = parameter->value.kind;
    if (out->value.kind != usual && out->value.kind != PQL_NULL && usual != PQL_NULL)
        pql_setting_diag_value(value, reader->diags,
                               "the values of a parameter are of one type: 'default' is %s, this is %s",
                               words_of(usual), words_of(out->value.kind));
}

static void read_values(const struct pql_options_reader *reader, const struct pql_setting *list,
                        struct pql_lang_parameter *parameter)
{
    struct pql_lang_value *values =
        pql_arena_zalloc(reader->arena, pql_setting_count(list) * sizeof *values + 1);
    parameter->values = values;
    for (const struct pql_setting *kid = list->kids; kid; kid = kid->next) {
        if (kid->kind == PQL_SETTING_GROUP)
            read_value(reader, kid, parameter, &values[parameter->values_count]);
        else
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR,
                             "'values' holds groups { is = …; value = …; }");
        parameter->values_count++;
    }
}

static bool is_attribute(struct pql_slice text)
{
    bool of_user = text.len > 5 && memcmp(text.ptr, "user.", 5) == 0;
    return of_user || (text.len > 8 && memcmp(text.ptr, "account.", 8) == 0);
}

void pql_config_parameter_read(const struct pql_options_reader *reader, const struct pql_setting *setting,
                               struct pql_lang_parameter *out)
{
    struct parameter_fields fields = {0};
    pql_options_read(reader, PQL_GROUP_PARAMETER, setting, &fields);
    const struct pql_setting *usual = pql_setting_find(setting, "default"),
                             *by = pql_setting_find(setting, "by"),
                             *values = pql_setting_find(setting, "values");
    *out = (struct pql_lang_parameter){.name = fields.name.text, .by = fields.by};
    if (usual) out->value = value_of(reader, usual);
    if (values && values->kind == PQL_SETTING_LIST) read_values(reader, values, out);
    if (by && !is_attribute(fields.by.text))
        pql_setting_diag_value(by, reader->diags,
                               "'by' is an attribute, user.NAME or account.NAME, as in \"account.segment\"");
    if (by && !out->values_count)
        pql_setting_diag(by, reader->diags, PQL_SEVERITY_ERROR,
                         "'by' needs values, as in values = ( { is = \"enterprise\"; value = 12; } )");
    if (values && !by)
        pql_setting_diag(
            values, reader->diags, PQL_SEVERITY_ERROR,
            "'values' needs 'by', the attribute that they go by, as in by = \"account.segment\"");
    if (!is_attribute(fields.by.text)) out->values_count = 0; /* said above */
}
