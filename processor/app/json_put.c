#include "app/json_put.h"

#include "core/record.h"
#include "core/wire/encode.h"
#include "core/wire/rfc3339.h"
#include <inttypes.h>

void pql_put_name(struct pql_buf *out, const char *name)
{
    pql_buf_text(out, out->len && out->ptr[out->len - 1] != '{' ? ",\n  " : "\n  ");
    pql_encode_json_text(out, pql_slice_of(name));
    pql_buf_text(out, ": ");
}

void pql_put_text(struct pql_buf *out, const char *name, struct pql_slice text)
{
    pql_put_name(out, name);
    pql_encode_json_text(out, text);
}

void pql_put_optional(struct pql_buf *out, const char *name, const char *text)
{
    if (text && *text) {
        pql_put_text(out, name, pql_slice_of(text));
        return;
    }
    pql_put_name(out, name);
    pql_buf_text(out, "null");
}

void pql_put_number(struct pql_buf *out, const char *name, int64_t number, bool is_known)
{
    pql_put_name(out, name);
    if (is_known)
        pql_buf_printf(out, "%" PRId64, number);
    else
        pql_buf_text(out, "null");
}

void pql_put_bool(struct pql_buf *out, const char *name, bool value)
{
    pql_put_name(out, name);
    pql_buf_text(out, value ? "true" : "false");
}

void pql_put_time(struct pql_buf *out, const char *name, int64_t ms)
{
    char text[PQL_TIME_TEXT_MAX];
    if (ms == PQL_NO_TIME) {
        pql_put_optional(out, name, NULL);
        return;
    }
    size_t len = pql_time_text(ms, text);
    pql_put_text(out, name, (struct pql_slice){text, len});
}
