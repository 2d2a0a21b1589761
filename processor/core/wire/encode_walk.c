#include "core/wire/encode_walk.h"

#include "core/wire/rfc3339.h"

static void put(struct pql_sink *s, const char *name, struct pql_cell cell, const char *doc)
{
    s->ops->cell(s, &(struct pql_label){pql_slice_of(name), doc}, &cell);
}

static struct pql_cell text(struct pql_slice value)
{
    return (struct pql_cell){PQL_CELL_TEXT, false, true, {.text = value}};
}
static struct pql_cell word(const char *value)
{
    return text(pql_slice_of(value));
}
static struct pql_cell integer(int64_t value)
{
    return (struct pql_cell){PQL_CELL_INT, false, true, {.integer = value}};
}
static struct pql_cell large(int64_t value)
{
    return (struct pql_cell){PQL_CELL_LONG, false, true, {.integer = value}};
}
static struct pql_cell instant(int64_t value)
{
    return (struct pql_cell){PQL_CELL_TIME, false, true, {.integer = value}};
}
static struct pql_cell boolean(bool value)
{
    return (struct pql_cell){PQL_CELL_BOOL, false, true, {.boolean = value}};
}

static struct pql_cell text_or_null(struct pql_slice value)
{
    return (struct pql_cell){PQL_CELL_TEXT, true, value.len > 0, {.text = value}};
}

static struct pql_cell large_or_null(bool has, int64_t value)
{
    return (struct pql_cell){PQL_CELL_LONG, true, has, {.integer = value}};
}

static struct pql_cell number_or_null(bool has, pql_decimal value)
{
    return (struct pql_cell){PQL_CELL_NUMBER, true, has, {.number = value}};
}

static struct pql_cell instant_or_null(int64_t value)
{
    return (struct pql_cell){PQL_CELL_TIME, true, value != PQL_NO_TIME, {.integer = value}};
}

/* A value as text: durations in ms, times as RFC 3339. */
static struct pql_slice value_text(const struct pql_value *value, char scratch[PQL_DECIMAL_TEXT_MAX])
{
    switch (value->kind) {
    case PQL_NULL: return (struct pql_slice){NULL, 0};
    case PQL_BOOL: return value->boolean ? PQL_SLICE_LITERAL("true") : PQL_SLICE_LITERAL("false");
    case PQL_NUMBER: return (struct pql_slice){scratch, pql_decimal_text(value->number, scratch)};
    case PQL_TEXT: return value->text;
    case PQL_DURATION: {
        size_t len = pql_decimal_text(pql_decimal_of_int(value->ms), scratch);
        memcpy(scratch + len, "ms", 2);
        return (struct pql_slice){scratch, len + 2};
    }
    case PQL_TIME: return (struct pql_slice){scratch, pql_time_text(value->ms, scratch)};
    }
    return (struct pql_slice){NULL, 0};
}
_Static_assert((int)PQL_DECIMAL_TEXT_MAX >= (int)PQL_TIME_TEXT_MAX, "one scratch for both");

/* A value that may be a number or not, as two fields. */
static void put_value(struct pql_sink *s, const struct pql_value *value, const char *name, const char *doc,
                      const char *name_text, const char *doc_text)
{
    char scratch[PQL_DECIMAL_TEXT_MAX];
    bool is_number = value->kind == PQL_NUMBER, is_other = !is_number && value->kind != PQL_NULL;
    struct pql_cell words = {PQL_CELL_TEXT, true, is_other, {.text = {NULL, 0}}};
    if (is_other) words.text = value_text(value, scratch);
    put(s, name, number_or_null(is_number, is_number ? value->number : 0), doc);
    put(s, name_text, words, doc_text);
}

static void walk_evidence_row(struct pql_sink *s, const struct pql_evidence *row)
{
    const struct pql_nested nested = {.nest = PQL_NEST_RECORD, .type_name = "Evidence"};
    s->ops->open(s, &nested);
    put(s, "signal", text(row->signal), "What was measured, in the words of the definition.");
    put_value(s, &row->value, "value", "Its value where that is a number.", "value_text",
              "Its value where that is something else.");
    put_value(s, &row->threshold, "threshold", "What it is compared with where that is a number.",
              "threshold_text", "What it is compared with where that is something else.");
    put(s, "comparison", text_or_null(row->comparison),
        "=, !=, <, <=, > or >=; null for a condition without comparison.");
    put(s, "met", boolean(row->met), "Whether this part of the condition holds.");
    put(s, "points", number_or_null(row->has_points, row->points), "What it gives to a score.");
    put(s, "first_at", instant_or_null(row->first_at), "Event time of the first occurrence counted.");
    put(s, "last_at", instant_or_null(row->last_at), "Event time of the last occurrence counted.");
    put(s, "window", text(row->window), "Such as 'first 7d' or '14d'; empty if there is none.");
    put(s, "approximate", boolean(row->approximate),
        "Older occurrences were counted in panes, not one by one.");
    put(s, "at_least", boolean(row->at_least), "The true value may be greater; no more than this is kept.");
    s->ops->close(s, &nested);
}

static void walk_evidence(struct pql_sink *s, const struct pql_record *r)
{
    const struct pql_nested nested = {
        {PQL_SLICE_LITERAL("evidence"), "One row for each comparison of the condition, in its order."},
        PQL_NEST_ARRAY,
        NULL,
        false,
        r->evidence_count};
    s->ops->open(s, &nested);
    for (size_t i = 0; i < r->evidence_count; i++) walk_evidence_row(s, &r->evidence[i]);
    s->ops->close(s, &nested);
}

static void walk_missing(struct pql_sink *s, const struct pql_record *r)
{
    const struct pql_nested nested = {{PQL_SLICE_LITERAL("missing"), "What does not hold yet."},
                                      PQL_NEST_ARRAY,
                                      NULL,
                                      false,
                                      r->missing_count};
    s->ops->open(s, &nested);
    for (size_t i = 0; i < r->missing_count; i++) {
        struct pql_cell item = text(r->missing[i]);
        s->ops->cell(s, &(struct pql_label){{NULL, 0}, NULL}, &item);
    }
    s->ops->close(s, &nested);
}

static void walk_source(struct pql_sink *s, const struct pql_record *r, struct pql_slice topic)
{
    const struct pql_nested nested = {
        {PQL_SLICE_LITERAL("source"), "The last event that led to this; null where only time passed."},
        PQL_NEST_RECORD,
        "Source",
        true,
        0};
    if (!r->has_source) {
        s->ops->absent(s, &nested.label);
        return;
    }
    s->ops->open(s, &nested);
    put(s, "topic", text(topic), "Its topic.");
    put(s, "partition", integer(r->source_partition), "Its partition.");
    put(s, "offset", large(r->source_offset), "Its offset.");
    put(s, "message_id", text_or_null(r->source_message_id), "Its own id.");
    s->ops->close(s, &nested);
}

static void walk_attributes(struct pql_sink *s, const struct pql_record *r)
{
    const struct pql_nested nested = {
        {PQL_SLICE_LITERAL("attributes"), "Attributes that the definition includes, as text."},
        PQL_NEST_MAP,
        NULL,
        false,
        r->attributes_count};
    s->ops->open(s, &nested);
    for (size_t i = 0; i < r->attributes_count; i++) {
        const struct pql_attribute *attribute = &r->attributes[i];
        char scratch[PQL_DECIMAL_TEXT_MAX];
        struct pql_cell cell = {PQL_CELL_TEXT, true, attribute->value.kind != PQL_NULL, {.text = {NULL, 0}}};
        cell.text = value_text(&attribute->value, scratch);
        s->ops->cell(s, &(struct pql_label){attribute->name, NULL}, &cell);
    }
    s->ops->close(s, &nested);
}

/* The one list of fields: order, types and words of every form. */
static void walk_fields(struct pql_sink *s, const struct pql_record *r, struct pql_slice topic,
                        int64_t produced_at)
{
    put(s, "event_id", word(r->event_id), "UUID of this record: the same input gives the same id.");
    put(s, "definition", text(r->definition), "Name of the definition.");
    put(s, "definition_version", integer(r->definition_version), "Its version as configured.");
    put(s, "definition_hash", text(r->definition_hash), "Hash of its normalised text.");
    put(s, "subject", word(pql_subject_names[r->subject]), "user or account.");
    put(s, "account_id", text(r->account_id), "The account.");
    put(s, "user_id", text_or_null(r->user_id), "The user, of records about users.");
    put(s, "transition", word(pql_transition_names[r->transition]),
        "entered, left, tier_changed, score_changed, missed, sla_breached or snapshot.");
    put(s, "status", word(pql_status_names[r->status]), "not_yet, qualified, left or missed.");
    put(s, "previous_status", word(pql_status_names[r->previous_status]), "The status before.");
    put(s, "reason", word(pql_reason_names[r->reason]),
        "condition, expired, decayed, ineligible, disqualified, converted, definition_changed, "
        "definition_removed, "
        "merged "
        "or forgotten.");
    put(s, "reason_text", text(r->reason_text), "The reason in words, at most 255 bytes.");
    put(s, "tier", text_or_null(r->tier), "The tier of the score.");
    put(s, "previous_tier", text_or_null(r->previous_tier), "The tier before.");
    put(s, "score", number_or_null(r->has_score, r->score), "The score, of definitions that have one.");
    put(s, "previous_score", number_or_null(r->has_previous_score, r->previous_score), "The score before.");
    walk_evidence(s, r);
    walk_missing(s, r);
    put(s, "members", large_or_null(r->has_members, r->members), "Known users of the account.");
    put(s, "qualified_members", large_or_null(r->has_members, r->qualified_members),
        "Those for whom the shared condition holds.");
    put(s, "share", number_or_null(r->has_members, r->share), "Their share, 0 to 1.");
    put(s, "first_qualified_at", instant_or_null(r->first_qualified_at), "Event time of the first entry.");
    put(s, "qualified_at", instant_or_null(r->qualified_at), "Event time of the latest entry.");
    put(s, "left_at", instant_or_null(r->left_at), "Event time of the latest leaving.");
    put(s, "expires_at", instant_or_null(r->expires_at),
        "When it would lapse if nothing more happened, where that is known.");
    put(s, "qualification_count", large(r->qualification_count), "How many times it was entered.");
    put(s, "route", text_or_null(r->route), "Who should act.");
    put(s, "segment", text_or_null(r->segment), "As the definition says.");
    put(s, "motion", text_or_null(r->motion), "As the definition says.");
    put(s, "priority", text_or_null(r->priority), "As the definition says.");
    put(s, "sla_due_at", instant_or_null(r->sla_due_at), "By when it should be acknowledged.");
    put(s, "origin", word(pql_origin_names[r->origin]), "live, backfill, definition_change or refresh.");
    put(s, "complete_since", instant_or_null(r->complete_since), "Events before this are not all counted.");
    put(s, "occurred_at", instant(r->occurred_at), "Event time of the change.");
    put(s, "clock", instant(r->clock), "The newest event time seen by then.");
    put(s, "produced_at", instant(produced_at), "Wall clock of writing this record.");
    put(s, "version", large(r->version), "Rises strictly for each key: keep the highest.");
    walk_source(s, r, topic);
    walk_attributes(s, r);
}

void pql_encode_walk(struct pql_sink *sink, const struct pql_record *record, struct pql_slice topic,
                     int64_t produced_at_ms)
{
    const struct pql_nested nested = {
        {{NULL, 0}, "A change of what a user or an account qualifies for, with its reason in numbers."},
        PQL_NEST_RECORD,
        "Qualification",
        false,
        0};
    sink->ops->open(sink, &nested);
    walk_fields(sink, record, topic, produced_at_ms);
    sink->ops->close(sink, &nested);
}

void pql_encode_walk_sample(struct pql_sink *sink)
{
    const struct pql_slice none = {"", 0};
    const struct pql_evidence row = {.first_at = 0};
    const struct pql_attribute attribute = {.name = none};
    const struct pql_record sample = {.evidence = &row,
                                      .evidence_count = 1,
                                      .missing = &none,
                                      .missing_count = 1,
                                      .has_source = true,
                                      .attributes = &attribute,
                                      .attributes_count = 1};
    pql_encode_walk(sink, &sample, none, 0);
}
