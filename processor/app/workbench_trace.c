#include "app/workbench_trace.h"
#include "app/report.h"

#include "core/lang/lang.h"
#include "core/wire/rfc3339.h"

static void put_time(struct pql_buf *out, int64_t ms)
{
    char text[PQL_TIME_TEXT_MAX];
    pql_buf_printf(out, "%.*s", (int)pql_time_text(ms, text), text);
}

static void put_value(struct pql_buf *out, const struct pql_value *value)
{
    char number[PQL_DECIMAL_TEXT_MAX];
    struct pql_arena arena;
    switch (value->kind) {
    case PQL_NULL: pql_buf_text(out, "nothing"); break;
    case PQL_BOOL: pql_buf_text(out, value->boolean ? "yes" : "no"); break;
    case PQL_NUMBER: pql_buf_put(out, number, pql_decimal_text(value->number, number)); break;
    case PQL_TEXT: pql_buf_printf(out, "'%.*s'", PQL_SLICE_ARG(value->text)); break;
    case PQL_TIME: put_time(out, value->ms); break;
    case PQL_DURATION:
        pql_arena_init(&arena);
        pql_buf_printf(out, "%.*s", PQL_SLICE_ARG(pql_duration_text(value->ms, &arena)));
        pql_arena_deinit(&arena);
        break;
    }
}

static void put_part(struct pql_buf *out, const char *role, const struct pql_trace_part *part)
{
    pql_buf_printf(out, "    %-10s%*s%.*s: ", part->depth ? "" : role, 2 * (int)part->depth, "",
                   PQL_SLICE_ARG(part->text));
    if (part->at_least) pql_buf_text(out, "at least ");
    put_value(out, &part->value);
    if (part->first_at != PQL_NO_TIME) {
        pql_buf_text(out, part->first_at == part->last_at ? "   (at " : "   (from ");
        put_time(out, part->first_at);
        if (part->last_at != PQL_NO_TIME && part->first_at != part->last_at) {
            pql_buf_text(out, " to ");
            put_time(out, part->last_at);
        }
        pql_buf_text(out, ")");
    }
    pql_buf_text(out, "\n");
}

static void put_trace(struct pql_buf *out, const struct pql_trace *trace)
{
    put_time(out, trace->at_ms);
    pql_buf_printf(out, "  %.*s%s%.*s  ", PQL_SLICE_ARG(trace->account), trace->user.len ? "/" : "",
                   PQL_SLICE_ARG(trace->user));
    if (trace->definition.len)
        pql_buf_printf(out, "%.*s: %s%s", PQL_SLICE_ARG(trace->definition), pql_status_names[trace->status],
                       trace->changed ? ", a record was written" : "");
    else
        pql_buf_text(out, "a condition that others read");
    pql_buf_text(out, trace->by_event ? "; after " : "; as time passed");
    if (trace->by_event && trace->event.len)
        pql_buf_printf(out, "event %.*s", PQL_SLICE_ARG(trace->event));
    else if (trace->by_event)
        pql_buf_text(out, "a change of attributes or members");
    if (trace->by_event && trace->event_id.len)
        pql_buf_printf(out, " (%.*s)", PQL_SLICE_ARG(trace->event_id));
    pql_buf_text(out, "\n");
    for (size_t i = 0; i < trace->trees_count; i++)
        for (size_t k = 0; k < trace->trees[i].count; k++)
            put_part(out, trace->trees[i].role, &trace->trees[i].parts[k]);
}

/* --- JSON: parts inside parts, by their depth --- */

static void json_value(struct pql_buf *out, const struct pql_value *value)
{
    char number[PQL_DECIMAL_TEXT_MAX];
    struct pql_buf text = {0};
    if (value->kind == PQL_BOOL) {
        pql_report_flag(out, "value", value->boolean);
    } else if (value->kind == PQL_NUMBER) {
        number[pql_decimal_text(value->number, number)] = 0;
        pql_buf_printf(out, ",\"value\":%s", number);
    } else if (value->kind == PQL_NULL) {
        pql_buf_text(out, ",\"value\":null");
    } else if (value->kind == PQL_TEXT) {
        pql_report_text(out, "value", value->text);
    } else {
        put_value(&text, value);
        pql_report_text(out, "value", (struct pql_slice){text.ptr, text.len});
    }
    pql_buf_deinit(&text);
}

static void json_tree(struct pql_buf *out, const struct pql_trace_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct pql_trace_part *part = &tree->parts[i];
        unsigned next = i + 1 < tree->count ? tree->parts[i + 1].depth : 0;
        pql_report_open(out, part->depth ? NULL : tree->role, '{');
        pql_report_text(out, "text", part->text);
        json_value(out, &part->value);
        if (part->at_least) pql_report_flag(out, "at_least", true);
        if (part->first_at != PQL_NO_TIME) pql_report_time(out, "first_at", part->first_at);
        if (part->last_at != PQL_NO_TIME) pql_report_time(out, "last_at", part->last_at);
        if (next > part->depth) {
            pql_report_open(out, "parts", '[');
            continue;
        }
        pql_report_close(out, '}');
        for (unsigned depth = part->depth; depth > next; depth--) pql_buf_text(out, "]}");
    }
}

static void json_trace(struct pql_buf *out, const struct pql_trace *trace)
{
    pql_report_open(out, NULL, '{');
    pql_report_time(out, "at", trace->at_ms);
    pql_report_text(out, "account_id", trace->account);
    if (trace->user.len) pql_report_text(out, "user_id", trace->user);
    if (trace->definition.len) {
        pql_report_text(out, "definition", trace->definition);
        pql_report_text(out, "status", pql_slice_of(pql_status_names[trace->status]));
        pql_report_flag(out, "changed", trace->changed);
    }
    pql_report_flag(out, "by_event", trace->by_event);
    if (trace->event.len) pql_report_text(out, "event", trace->event);
    if (trace->event_id.len) pql_report_text(out, "event_id", trace->event_id);
    for (size_t i = 0; i < trace->trees_count; i++) json_tree(out, &trace->trees[i]);
    pql_report_close(out, '}');
    pql_buf_text(out, "\n");
}

void pql_trace_print(void *context, const struct pql_trace *trace)
{
    struct pql_trace_printer *printer = context;
    struct pql_buf out = {0};
    (printer->as_json ? json_trace : put_trace)(&out, trace);
    pql_report_print(&out, stdout);
    pql_buf_deinit(&out);
    printer->count++;
}
