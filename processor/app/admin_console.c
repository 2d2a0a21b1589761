#include "app/admin_console.h"

#include "app/embedded.h"
#include "app/json_put.h"
#include "core/wire/encode.h"
#include <stdio.h>
#include <stdlib.h>

/* --- files --- */

static const struct {
    const char *name, *path, *content_type;
} files[] = {
    {"", "processor/app/console/console.html", "text/html; charset=utf-8"},
    {"console.css", "processor/app/console/console.css", "text/css; charset=utf-8"},
    {"console.js", "processor/app/console/console.js", "text/javascript; charset=utf-8"},
    {"icon.svg", "processor/app/console/icon.svg", "image/svg+xml"},
};

void pql_console_file(const char *name, struct pql_server_answer *answer)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(files[i].name, name) != 0) continue;
        struct pql_slice text = pql_embedded_text(files[i].path);
        answer->content_type = files[i].content_type;
        pql_buf_put(&answer->body, text.ptr, text.len);
        return;
    }
    answer->status = 404;
    pql_buf_text(&answer->body, "no such file; the page is /console/\n");
}

/* --- what happened last --- */

static void put_record(const struct pql_recent_record *record, struct pql_buf *out)
{
    pql_buf_text(out, "{");
    pql_put_text(out, "definition", pql_slice_of(record->definition));
    pql_put_text(out, "account", pql_slice_of(record->account));
    pql_put_optional(out, "user", record->user);
    pql_put_text(out, "transition", pql_slice_of(pql_transition_names[record->transition]));
    pql_put_text(out, "reason", pql_slice_of(pql_reason_names[record->reason]));
    pql_put_text(out, "words", pql_slice_of(record->words));
    pql_put_optional(out, "tier", record->tier);
    pql_put_bool(out, "shadow", record->is_shadow);
    pql_put_time(out, "occurred_at", record->occurred_ms);
    pql_put_time(out, "produced_at", record->made_ms);
    pql_buf_text(out, "}");
}

static void put_letter(const struct pql_recent_letter *letter, struct pql_buf *out)
{
    pql_buf_text(out, "{");
    pql_put_text(out, "reason", pql_slice_of(letter->reason));
    pql_put_text(out, "topic", pql_slice_of(letter->topic));
    pql_put_number(out, "partition", letter->partition, true);
    pql_put_number(out, "offset", letter->offset, true);
    pql_put_time(out, "at", letter->at_ms);
    pql_buf_text(out, "}");
}

static void put_reasons(const struct pql_scoreboard_view *scores, struct pql_buf *out)
{
    size_t n = 0;
    pql_put_name(out, "dead_letters_by_reason");
    pql_buf_text(out, "[");
    for (int i = 0; i < PQL_REJECT_COUNT; i++) {
        if (!scores->refused[i]) continue;
        pql_buf_text(out, n++ ? ",{" : "{");
        pql_put_text(out, "reason", pql_slice_of(pql_rejects[i].word));
        pql_put_text(out, "means", pql_slice_of(pql_rejects[i].help));
        pql_put_number(out, "count", (int64_t)scores->refused[i], true);
        pql_buf_text(out, "}");
    }
    pql_buf_text(out, "]");
}

void pql_console_recent(struct pql_pipeline *pipeline, struct pql_buf *out)
{
    struct pql_recent_view *view = pql_pipeline_recent(pipeline);
    struct pql_scoreboard_view scores = pql_pipeline_scores(pipeline);
    pql_buf_text(out, "{");
    pql_put_name(out, "transitions");
    pql_buf_text(out, "[");
    for (size_t i = 0; i < view->records_count; i++) {
        if (i) pql_buf_text(out, ",");
        put_record(&view->records[i], out);
    }
    pql_buf_text(out, "]");
    put_reasons(&scores, out);
    pql_put_name(out, "dead_letters");
    pql_buf_text(out, "[");
    for (size_t i = 0; i < view->letters_count; i++) {
        if (i) pql_buf_text(out, ",");
        put_letter(&view->letters[i], out);
    }
    pql_buf_text(out, "]}\n");
    pql_scoreboard_view_free(&scores);
    free(view);
}

/* --- definitions --- */

void pql_console_scores(const struct pql_scoreboard_view *scores, const struct pql_definition_conf *conf,
                        struct pql_buf *out)
{
    const struct pql_scoreboard_definition none = {0}, *found = &none;
    size_t index = 0;
    for (size_t i = 0; i < scores->definitions_count; i++)
        if (scores->definitions[i].subject == conf->subject &&
            pql_slice_eq(scores->definitions[i].definition, conf->name))
            found = &scores->definitions[index = i];
    pql_put_number(out, "members", found->members, true);
    pql_put_number(out, "entered", (int64_t)found->transitions[PQL_ENTERED], true);
    pql_put_number(out, "left", (int64_t)found->transitions[PQL_LEFT], true);
    pql_put_number(out, "entered_today", (int64_t)found->today, true);
    pql_put_name(out, "tiers");
    pql_buf_text(out, "[");
    for (size_t i = 0, n = 0; found != &none && i < scores->tiers_count; i++) {
        if (scores->tiers[i].definition != index) continue;
        pql_buf_text(out, n++ ? ",{" : "{");
        pql_put_text(out, "tier", scores->tiers[i].tier);
        pql_put_number(out, "members", scores->tiers[i].members, true);
        pql_buf_text(out, "}");
    }
    pql_buf_text(out, "]");
}
