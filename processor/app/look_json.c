#include "app/look_json.h"

#include "app/json_put.h"
#include "core/wire/encode.h"

static const char *const modes[] = {
    [PQL_MODE_LIVE] = "live", [PQL_MODE_SHADOW] = "shadow", [PQL_MODE_OFF] = "off"};

static void put_rows(const struct pql_look_definition *definition, struct pql_buf *out)
{
    pql_put_name(out, "rows");
    pql_buf_text(out, "[");
    for (size_t i = 0; i < definition->record.evidence_count; i++) {
        const struct pql_look_row *row = &definition->rows[i];
        pql_buf_text(out, i ? ",{" : "{");
        pql_put_text(out, "condition", row->condition);
        pql_put_text(out, "comparison", row->comparison);
        pql_put_time(out, "next_change", row->next_ms);
        pql_buf_text(out, "}");
    }
    pql_buf_text(out, "]");
}

static void put_definition(const struct pql_look_definition *definition, const struct pql_encoder *encoder,
                           int64_t now_ms, struct pql_buf *out)
{
    pql_buf_text(out, "{");
    pql_put_text(out, "mode", pql_slice_of(modes[definition->conf->mode]));
    pql_put_text(out, "qualify", definition->conf->qualify.text);
    pql_put_text(out, "held_back_by", pql_slice_of(pql_hold_names[definition->hold]));
    pql_put_time(out, "held_back_until", definition->hold_until_ms);
    pql_put_time(out, "leaves_at", definition->leaves_ms);
    put_rows(definition, out);
    pql_put_name(out, "record");
    pql_encode_record(encoder, &definition->record, now_ms, out);
    pql_buf_text(out, "}");
}

static void put_users(const struct pql_look *look, struct pql_buf *out)
{
    pql_put_number(out, "users_count", look->users_count, true);
    pql_put_number(out, "members_count", look->members_count, true);
    pql_put_name(out, "users");
    pql_buf_text(out, "[");
    for (size_t i = 0; i < look->users_shown; i++) {
        if (i) pql_buf_text(out, ",");
        pql_encode_json_text(out, look->users[i]);
    }
    pql_buf_text(out, "]");
}

void pql_look_json(const struct pql_look *look, int32_t partition, int64_t now_ms, struct pql_buf *out)
{
    const struct pql_encode_conf conf = {.format = PQL_ENCODE_JSON};
    struct pql_encoder *encoder = pql_encoder_new(&conf);
    pql_buf_text(out, "{");
    pql_put_text(out, "account", look->account);
    if (look->user.len) pql_put_text(out, "user", look->user);
    pql_put_number(out, "partition", partition, true);
    pql_put_time(out, "as_of", look->as_of_ms);
    pql_put_time(out, "clock", look->clock_ms);
    pql_put_time(out, "start", look->start_ms);
    pql_put_bool(out, "signed_up", look->signed_up);
    if (look->user.len)
        pql_put_bool(out, "member", look->is_member);
    else
        put_users(look, out);
    pql_put_name(out, "definitions");
    pql_buf_text(out, "[");
    for (size_t i = 0; i < look->definitions_count; i++) {
        if (i) pql_buf_text(out, ",");
        put_definition(&look->definitions[i], encoder, now_ms, out);
    }
    pql_buf_text(out, "]}");
    pql_encoder_free(encoder);
}
