#include "app/report.h"

#include "core/record.h"
#include "core/wire/encode.h"
#include "core/wire/rfc3339.h"

#include <inttypes.h>
#include <math.h>

static void field(struct pql_buf *out, const char *name)
{
    char last = out->len ? out->ptr[out->len - 1] : '{';
    if (last != '{' && last != '[' && last != '\n') pql_buf_text(out, ",");
    if (name) pql_buf_printf(out, "\"%s\":", name);
}

void pql_report_open(struct pql_buf *out, const char *name, char bracket)
{
    field(out, name);
    pql_buf_put(out, &bracket, 1);
}

void pql_report_close(struct pql_buf *out, char bracket)
{
    pql_buf_put(out, &bracket, 1);
}

void pql_report_text(struct pql_buf *out, const char *name, struct pql_slice text)
{
    field(out, name);
    pql_encode_json_text(out, text);
}

void pql_report_flag(struct pql_buf *out, const char *name, bool value)
{
    field(out, name);
    pql_buf_text(out, value ? "true" : "false");
}

void pql_report_count(struct pql_buf *out, const char *name, uint64_t count)
{
    field(out, name);
    pql_buf_printf(out, "%" PRIu64, count);
}

void pql_report_number(struct pql_buf *out, const char *name, double number, int places)
{
    field(out, name);
    if (isfinite(number))
        pql_buf_printf(out, "%.*f", places, number);
    else
        pql_buf_text(out, "null");
}

void pql_report_time(struct pql_buf *out, const char *name, int64_t ms)
{
    char text[PQL_TIME_TEXT_MAX];
    if (ms != PQL_NO_TIME) {
        pql_report_text(out, name, (struct pql_slice){text, pql_time_text(ms, text)});
        return;
    }
    field(out, name);
    pql_buf_text(out, "null");
}

void pql_report_print(const struct pql_buf *out, FILE *file)
{
    if (out->len) (void)!fwrite(out->ptr, 1, out->len, file);
}

const char *pql_percent_text(uint64_t part, uint64_t of, char text[PQL_PERCENT_TEXT_MAX])
{
    if (of)
        snprintf(text, PQL_PERCENT_TEXT_MAX, "%.1f %%", 100 * pql_ratio(part, of));
    else
        snprintf(text, PQL_PERCENT_TEXT_MAX, "-");
    return text;
}

double pql_ratio(uint64_t part, uint64_t of)
{
    return of ? (double)part / (double)of : NAN;
}
