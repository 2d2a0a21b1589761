#include "core/evidence.h"

#include "core/lang/words.h"
#include "core/score.h"

enum { REASON_TEXT_MAX = 255, EXPIRY_STEPS_MAX = 64 };

/* --- building: one row per comparison or bare boolean call, in text order --- */

static const char *relation_text(const struct pql_expr *expr)
{
    static const char *const words[][2] = {
        [PQL_EXPR_IN] = {"in", "not in"},
        [PQL_EXPR_BETWEEN] = {"between", "not between"},
        [PQL_EXPR_STARTS] = {"starts with", "not starts with"},
        [PQL_EXPR_ENDS] = {"ends with", "not ends with"},
        [PQL_EXPR_CONTAINS] = {"contains", "not contains"},
        [PQL_EXPR_MATCHES] = {"matches", "not matches"},
        [PQL_EXPR_IS_NULL] = {"is null", "is not null"},
    };
    bool has_words = expr->op < sizeof words / sizeof *words && words[expr->op][0];
    if (has_words) return words[expr->op][expr->negated];
    if (expr->op != PQL_EXPR_COMPARE && expr->op != PQL_EXPR_REACHES) return "";
    switch ((int)expr->relation) {
    case PQL_NODE_EQ: return "=";
    case PQL_NODE_NE: return "!=";
    case PQL_NODE_LT: return "<";
    case PQL_NODE_LE: return "<=";
    case PQL_NODE_GT: return ">";
    default: return ">=";
    }
}

/* "invite_sent" is "invite sent" unless a label says "teammates invited". */
static struct pql_slice event_label(struct pql_program *program, const struct pql_node *call)
{
    if (call->steps_count) return (struct pql_slice){"", 0};
    if (call->selector.any) return PQL_SLICE_LITERAL("activity");
    struct pql_slice event = call->selector.events[0];
    for (size_t i = 0; i < program->conf->labels_count; i++)
        if (pql_slice_eq(program->conf->labels[i].event, event)) return program->conf->labels[i].text;
    char *text = pql_arena_alloc(&program->arena, event.len + 1);
    for (size_t i = 0; i < event.len; i++) text[i] = event.ptr[i] == '_' ? ' ' : event.ptr[i];
    return (struct pql_slice){text, event.len};
}

/* Words for what is counted: the event, or the condition inside a quantifier. */
static struct pql_slice label_of(struct pql_program *program, const struct pql_expr *left)
{
    if (left->op == PQL_EXPR_SIGNAL) return event_label(program, left->node);
    if (left->op != PQL_EXPR_USERS && left->op != PQL_EXPR_SHARE) return (struct pql_slice){"", 0};
    return pql_lang_words(left->node->kids[0], program->conf->labels, program->conf->labels_count,
                          &program->arena);
}

static struct pql_row row_of(struct pql_program *program, const struct pql_expr *expr, bool is_bare)
{
    const struct pql_expr *left = is_bare ? expr : expr->kids[0];
    bool has_right =
        !is_bare && expr->op != PQL_EXPR_IN && expr->op != PQL_EXPR_BETWEEN && expr->op != PQL_EXPR_IS_NULL;
    struct pql_row row = {.expr = expr,
                          .left = left,
                          .right = has_right ? expr->kids[1] : NULL,
                          .comparison = is_bare ? "" : relation_text(expr)};
    row.text = pql_lang_text(left->node, &program->arena);
    row.full = pql_lang_text(expr->node, &program->arena);
    if (left->op == PQL_EXPR_SIGNAL) row.window = pql_window_text(&left->node->window, &program->arena);
    row.label = label_of(program, left);
    return row;
}

static size_t count_rows(const struct pql_expr *expr)
{
    size_t n = 1;
    for (size_t i = 0; i < expr->kids_count; i++) n += count_rows(expr->kids[i]);
    return n;
}

/* A row for each item, in their order, once. */
static void build_items(struct pql_program *program, struct pql_definition *definition)
{
    const struct pql_score *score = definition->score;
    for (size_t i = 0; i < definition->rows_count; i++)
        if (definition->rows[i].item) return;
    for (size_t i = 0; score && i < score->items_count; i++) {
        const struct pql_expr *expr = score->items[i].expr;
        while (expr->op == PQL_EXPR_ACCOUNT) expr = expr->kids[0];
        struct pql_row row = row_of(program, expr, score->items[i].is_per || !*relation_text(expr));
        row.item = &score->items[i];
        definition->rows[definition->rows_count++] = row;
    }
}

/* Does it compare the definition's own score, and nothing made of it? */
static bool is_bar(const struct pql_definition *definition, const struct pql_expr *expr)
{
    if (!*relation_text(expr)) return false;
    for (size_t i = 0; i < expr->kids_count; i++)
        if (expr->kids[i]->op == PQL_EXPR_SCORE && expr->kids[i]->index == definition->unit.index)
            return true;
    return false;
}

static const struct pql_expr *find_bar(const struct pql_definition *definition, const struct pql_expr *expr)
{
    if (is_bar(definition, expr)) return expr;
    for (size_t i = 0; i < expr->kids_count; i++) {
        const struct pql_expr *found = find_bar(definition, expr->kids[i]);
        if (found) return found;
    }
    return NULL;
}

static void build_rows(struct pql_program *program, struct pql_definition *definition,
                       const struct pql_expr *expr)
{
    bool is_join = expr->op == PQL_EXPR_AND || expr->op == PQL_EXPR_OR || expr->op == PQL_EXPR_NOT ||
                   expr->op == PQL_EXPR_AT_LEAST || expr->op == PQL_EXPR_IF || expr->op == PQL_EXPR_ACCOUNT;
    if (expr->op == PQL_EXPR_CONST) return;
    if (is_bar(definition, expr)) {
        definition->bars[definition->bars_count++] = row_of(program, expr, false);
        build_items(program, definition);
        return;
    }
    if (!is_join) {
        definition->rows[definition->rows_count++] = row_of(program, expr, !*relation_text(expr));
        return;
    }
    for (size_t i = 0; i < expr->kids_count; i++) build_rows(program, definition, expr->kids[i]);
}

void pql_rows_build(struct pql_program *program, struct pql_definition *definition)
{
    size_t most = count_rows(definition->qualify) + definition->context_count;
    if (definition->score) most += definition->score->items_count;
    definition->rows = pql_arena_alloc(&program->arena, most * sizeof *definition->rows);
    definition->bars = pql_arena_alloc(&program->arena, most * sizeof *definition->bars);
    build_rows(program, definition, definition->qualify);
    build_items(program, definition);
    const struct pql_expr *stay = definition->score ? find_bar(definition, definition->stay) : NULL;
    if (stay) {
        definition->stay_bar = pql_arena_alloc(&program->arena, sizeof *definition->stay_bar);
        *definition->stay_bar = row_of(program, stay, false);
    }
    for (size_t i = 0; i < definition->context_count; i++)
        definition->rows[definition->rows_count + i] = row_of(program, definition->context[i], true);
}

/* --- filling --- */

static void fill_row(const struct pql_row *row, const struct pql_scope *scope, struct pql_arena *scratch,
                     struct pql_evidence *evidence)
{
    *evidence = (struct pql_evidence){.signal = row->text,
                                      .comparison = pql_slice_of(row->comparison),
                                      .met = pql_expr_holds(row->expr, scope),
                                      .first_at = PQL_NO_TIME,
                                      .last_at = PQL_NO_TIME,
                                      .window = row->window};
    if (row->left->op == PQL_EXPR_SIGNAL || row->left->op == PQL_EXPR_ATTRIBUTE) {
        struct pql_reading reading;
        pql_expr_read(row->left, scope, &reading);
        evidence->value = reading.value;
        evidence->first_at = reading.first_at;
        evidence->last_at = reading.last_at;
        evidence->at_least = reading.at_least;
        evidence->approximate = reading.approximate;
    } else {
        evidence->value = pql_expr_value(row->left, scope);
    }
    if (row->item) {
        evidence->has_points = true;
        evidence->points = pql_item_points(row->item, scope);
        if (row->item->is_per) evidence->met = evidence->points != 0;
    }
    if (row->right) evidence->threshold = pql_expr_value(row->right, scope);
    /* Texts are views of cells: copied, since the cell may move before the record is written. */
    if (evidence->value.kind == PQL_TEXT)
        evidence->value.text = pql_arena_copy(scratch, evidence->value.text);
}

static int64_t lapse_of(const struct pql_definition *definition, struct pql_scope scope)
{
    if (!pql_expr_holds(definition->stay, &scope)) return PQL_NO_TIME; /* min_stay holds what has lapsed */
    for (int i = 0; i < EXPIRY_STEPS_MAX; i++) {
        int64_t next = pql_expr_next_change(definition->stay, &scope);
        if (next == INT64_MAX) return PQL_NO_TIME;
        scope.t_ms = next;
        scope.scored = NULL; /* as of then */
        if (!pql_expr_holds(definition->stay, &scope)) return next;
    }
    return PQL_NO_TIME;
}

/* --- words --- */

static void put_value(struct pql_buf *out, const struct pql_value *value)
{
    char scratch[PQL_DECIMAL_TEXT_MAX];
    switch (value->kind) {
    case PQL_NULL: pql_buf_text(out, "nothing"); break;
    case PQL_BOOL: pql_buf_text(out, value->boolean ? "true" : "false"); break;
    case PQL_NUMBER: pql_buf_put(out, scratch, pql_decimal_text(value->number, scratch)); break;
    case PQL_TEXT: pql_buf_printf(out, "'%.*s'", PQL_SLICE_ARG(value->text)); break;
    case PQL_DURATION: {
        struct pql_arena arena;
        pql_arena_init(&arena);
        struct pql_slice text = pql_duration_text(value->ms, &arena);
        pql_buf_put(out, text.ptr, text.len);
        pql_arena_deinit(&arena);
        break;
    }
    case PQL_TIME: pql_buf_printf(out, "%lld", (long long)value->ms); break;
    }
}

static void put_slice(struct pql_buf *out, struct pql_slice text)
{
    pql_buf_put(out, text.ptr, text.len);
}

/* "7 days", "36 hours", from the text of a duration. */
static void put_span(struct pql_buf *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *one, *many;
    } units[] = {{86400000, "day", "days"},
                 {3600000, "hour", "hours"},
                 {60000, "minute", "minutes"},
                 {1000, "second", "seconds"},
                 {1, "millisecond", "milliseconds"}};
    size_t i = 0;
    while (ms % units[i].ms) i++;
    int64_t n = ms / units[i].ms;
    struct pql_value number = pql_number(pql_decimal_of_int(n));
    put_value(out, &number);
    pql_buf_text(out, " ");
    pql_buf_text(out, n == 1 ? units[i].one : units[i].many);
}

static void put_window(struct pql_buf *out, const struct pql_window *window)
{
    static const char *const words[] = {
        [PQL_WINDOW_NONE] = "",
        [PQL_WINDOW_ROLLING] = " in ",
        [PQL_WINDOW_PREV] = " in the previous ",
        [PQL_WINDOW_FIRST] = " in the first ",
        [PQL_WINDOW_EVER] = "",
        [PQL_WINDOW_TODAY] = " today",
        [PQL_WINDOW_WEEK] = " this week",
        [PQL_WINDOW_MONTH] = " this month",
        [PQL_WINDOW_QUARTER] = " this quarter",
        [PQL_WINDOW_PERIOD] = " in the ",
    };
    pql_buf_text(out, words[window->kind]);
    if (window->ms) put_span(out, window->ms);
    if (window->period.len) put_slice(out, window->period);
}

static void put_need(struct pql_buf *out, const struct pql_row *row, const struct pql_evidence *evidence)
{
    if (!row->right) {
        if (row->expr != row->left) pql_buf_printf(out, " (needs %.*s)", PQL_SLICE_ARG(row->full));
        return;
    }
    static const struct {
        const char *comparison, *words;
    } words[] = {{">=", ""},          {">", "more than "}, {"<=", "at most "},
                 {"<", "less than "}, {"=", "exactly "},   {"!=", "other than "}};
    pql_buf_text(out, " (needs ");
    const char *found = NULL;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].comparison, row->comparison) == 0) found = words[i].words;
    if (found)
        pql_buf_text(out, found);
    else
        pql_buf_printf(out, "%s ", row->comparison);
    put_value(out, &evidence->threshold);
    pql_buf_text(out, ")");
}

/* How a value is told of: words around the value, then the label, then more. Of what is not here: "TEXT is
 * VALUE". */
static const struct phrase {
    enum pql_expr_op op;
    enum pql_function function; /* of a SIGNAL */
    const char *between;        /* value and label */
    bool names_path;            /* the property stands before `between` */
} phrases[] = {
    {PQL_EXPR_SIGNAL, PQL_FN_COUNT, " ", false},
    {PQL_EXPR_SIGNAL, PQL_FN_DAYS, " days with ", false},
    {PQL_EXPR_SIGNAL, PQL_FN_WEEKS, " weeks with ", false},
    {PQL_EXPR_SIGNAL, PQL_FN_MONTHS, " months with ", false},
    {PQL_EXPR_SIGNAL, PQL_FN_STREAK, " days in a row with ", false},
    {PQL_EXPR_SIGNAL, PQL_FN_DISTINCT, " of ", true},
    {PQL_EXPR_SIGNAL, PQL_FN_SUM, " of ", true},
    {PQL_EXPR_SIGNAL, PQL_FN_SINCE, " since ", false},
    {PQL_EXPR_USERS, PQL_FN_TOTAL, " users with ", false},
    {PQL_EXPR_SHARE, PQL_FN_TOTAL, " of the members with ", false},
    {PQL_EXPR_MEMBERS, PQL_FN_TOTAL, " members", false},
};

static const struct phrase *phrase_of(const struct pql_expr *left)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].op == left->op &&
            (left->op != PQL_EXPR_SIGNAL || phrases[i].function == left->function))
            return &phrases[i];
    return NULL;
}

/* "3 teammates invited", "5 days with login", "2 different invitee of invite sent", "95000 bytes of upload".
 */
static void put_thing(struct pql_buf *out, const struct pql_row *row, const struct pql_evidence *evidence)
{
    const struct pql_expr *left = row->left;
    const struct phrase *phrase = phrase_of(left);
    if (evidence->at_least) pql_buf_text(out, "at least ");
    if (phrase) {
        put_value(out, &evidence->value);
        if (left->op == PQL_EXPR_SIGNAL && left->function == PQL_FN_DISTINCT) pql_buf_text(out, " different");
        if (phrase->names_path) {
            pql_buf_text(out, " ");
            put_slice(out, left->node->selector.path);
        }
        pql_buf_text(out, phrase->between);
        put_slice(out, row->label);
    } else if (left->op == PQL_EXPR_SIGNAL && left->function == PQL_FN_EVER) {
        pql_buf_printf(out, "%s%.*s", evidence->value.boolean ? "" : "no ", PQL_SLICE_ARG(row->label));
    } else if (left == row->expr) { /* a bare boolean */
        pql_buf_printf(out, "%s%.*s", evidence->met ? "" : "not ", PQL_SLICE_ARG(row->text));
    } else {
        put_slice(out, row->text);
        pql_buf_text(out, " is ");
        put_value(out, &evidence->value);
    }
}

/* "5 for ", before what gives them. */
static void put_points(struct pql_buf *out, pql_decimal points)
{
    struct pql_value value = pql_number(points);
    put_value(out, &value);
    pql_buf_text(out, " for ");
}

/* "score 8 (needs 8): " */
static void put_score(struct pql_buf *out, const struct pql_definition *definition,
                      const struct pql_scope *scope, const struct pql_record *record)
{
    const struct pql_row *bar = definition->bars_count ? &definition->bars[0] : NULL;
    if (record->transition == PQL_LEFT && definition->stay_bar) bar = definition->stay_bar;
    struct pql_value score = pql_number(record->score);
    pql_buf_text(out, "score ");
    put_value(out, &score);
    if (bar) {
        struct pql_evidence evidence = {0};
        if (bar->right) evidence.threshold = pql_expr_value(bar->right, scope);
        put_need(out, bar, &evidence);
    }
    pql_buf_text(out, ": ");
}

static bool same_window(const struct pql_row *a, const struct pql_row *b)
{
    return a->left->op == PQL_EXPR_SIGNAL && b->left->op == PQL_EXPR_SIGNAL && a->window.len &&
           pql_slice_eq(a->window, b->window);
}

/* The clauses of the rows that explain the transition, cut at a clause. Rows of one window in a row name it
 * once. */
static void put_clauses(struct pql_buf *out, const struct pql_definition *definition,
                        const struct pql_record *record)
{
    bool is_left = record->transition == PQL_LEFT || record->transition == PQL_MISSED;
    const struct pql_row *before = NULL;
    size_t clauses = 0;
    struct pql_buf clause = {0};
    for (size_t i = 0; i < definition->rows_count; i++) {
        const struct pql_row *row = &definition->rows[i];
        if (row->item ? !record->evidence[i].points : is_left == record->evidence[i].met) continue;
        clause.len = 0;
        if (before && before->left->op == PQL_EXPR_SIGNAL && !same_window(before, row))
            put_window(&clause, &before->left->node->window);
        if (clauses) pql_buf_text(&clause, " and ");
        if (row->item) put_points(&clause, record->evidence[i].points);
        put_thing(&clause, row, &record->evidence[i]);
        if (!row->item) put_need(&clause, row, &record->evidence[i]);
        if (out->len + clause.len + 40 > REASON_TEXT_MAX) break;
        pql_buf_put(out, clause.ptr, clause.len);
        before = row;
        clauses++;
    }
    if (before && before->left->op == PQL_EXPR_SIGNAL) put_window(out, &before->left->node->window);
    pql_buf_deinit(&clause);
}

/* The definition's own template: {1} is the value of the first row of evidence. */
static void put_template(struct pql_buf *out, struct pql_slice text, const struct pql_record *record)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t end = i + 1;
        unsigned row = 0;
        while (text.ptr[i] == '{' && end < text.len && end - i < 5 && text.ptr[end] >= '0' &&
               text.ptr[end] <= '9')
            row = row * 10 + (unsigned)(text.ptr[end++] - '0');
        if (row && end < text.len && text.ptr[end] == '}' && row <= record->evidence_count) {
            put_value(out, &record->evidence[row - 1].value);
            i = end;
        } else {
            pql_buf_put(out, &text.ptr[i], 1);
        }
    }
}

static struct pql_slice cut_utf8(struct pql_slice text, size_t max)
{
    if (text.len <= max) return text;
    while (max && ((unsigned char)text.ptr[max] & 0xc0) == 0x80) max--;
    return (struct pql_slice){text.ptr, max};
}

static void fill_text(const struct pql_definition *definition, const struct pql_scope *scope,
                      struct pql_arena *scratch, struct pql_record *record)
{
    struct pql_buf text = {0};
    bool is_left = record->transition == PQL_LEFT;
    if (is_left && record->reason != PQL_REASON_CONDITION) {
        pql_buf_text(&text, pql_reason_names[record->reason]);
        pql_buf_text(&text, ": ");
    }
    if (definition->conf->reason.text.len && !is_left)
        put_template(&text, definition->conf->reason.text, record);
    else {
        if (definition->score) put_score(&text, definition, scope, record);
        put_clauses(&text, definition, record);
    }
    struct pql_slice whole = {text.ptr, text.len};
    if (whole.len >= 2 && memcmp(whole.ptr + whole.len - 2, ": ", 2) == 0) whole.len -= 2;
    record->reason_text = pql_arena_copy(scratch, cut_utf8(whole, REASON_TEXT_MAX));
    pql_buf_deinit(&text);
}

static void fill_members(const struct pql_definition *definition, const struct pql_scope *scope,
                         struct pql_record *record)
{
    if (!definition->has_share) return;
    const struct pql_account *account = scope->account;
    record->has_members = true;
    record->members = (int64_t)account->members;
    record->qualified_members = definition->share ? (int64_t)account->holding[definition->share->index] : 0;
    uint64_t of = definition->share && definition->share->of_index != PQL_NO_INDEX
                      ? account->holding[definition->share->of_index]
                      : account->members;
    record->share = 0;
    (void)pql_decimal_div(pql_decimal_of_int(record->qualified_members), pql_decimal_of_int((int64_t)of),
                          &record->share);
}

static void fill_attributes(const struct pql_definition *definition, const struct pql_scope *scope,
                            struct pql_arena *scratch, struct pql_record *record)
{
    if (!definition->shown_count) return;
    struct pql_attribute *attributes = pql_arena_alloc(scratch, definition->shown_count * sizeof *attributes);
    for (size_t i = 0; i < definition->shown_count; i++) {
        struct pql_expr expr = {
            .op = PQL_EXPR_ATTRIBUTE, .index = definition->shown[i], .function = PQL_FN_LATEST};
        struct pql_value value = pql_expr_value(&expr, scope);
        if (value.kind == PQL_TEXT) value.text = pql_arena_copy(scratch, value.text);
        attributes[i] = (struct pql_attribute){definition->shown_names[i], value};
    }
    record->attributes = attributes;
    record->attributes_count = definition->shown_count;
}

static void fill_choices(const struct pql_definition *definition, const struct pql_scope *scope,
                         struct pql_record *record)
{
    struct pql_slice *const fields[PQL_CHOICE_COUNT] = {[PQL_CHOICE_ROUTE] = &record->route,
                                                        [PQL_CHOICE_SEGMENT] = &record->segment,
                                                        [PQL_CHOICE_MOTION] = &record->motion,
                                                        [PQL_CHOICE_PRIORITY] = &record->priority};
    for (int c = 0; c < PQL_CHOICE_COUNT; c++) {
        const struct pql_choices_conf *conf = &definition->conf->choices[c];
        size_t i = 0;
        while (i < conf->count && definition->choices[c][i] &&
               !pql_expr_holds(definition->choices[c][i], scope))
            i++;
        if (i < conf->count) *fields[c] = conf->items[i].source.text;
    }
}

void pql_evidence_fill(const struct pql_definition *definition, const struct pql_scope *scope,
                       struct pql_arena *scratch, struct pql_record *record)
{
    size_t rows = definition->rows_count + definition->context_count;
    struct pql_evidence *evidence = pql_arena_alloc(scratch, (rows + 1) * sizeof *evidence);
    struct pql_slice *missing =
        pql_arena_alloc(scratch, (definition->bars_count + definition->rows_count + 1) * sizeof *missing);
    record->missing_count = 0;
    for (size_t i = 0; i < definition->bars_count; i++)
        if (!pql_expr_holds(definition->bars[i].expr, scope))
            missing[record->missing_count++] = definition->bars[i].full;
    for (size_t i = 0; i < definition->rows_count; i++) {
        fill_row(&definition->rows[i], scope, scratch, &evidence[i]);
        if (!definition->rows[i].item && !evidence[i].met)
            missing[record->missing_count++] = definition->rows[i].full;
    }
    for (size_t i = definition->rows_count; i < rows; i++) {
        fill_row(&definition->rows[i], scope, scratch, &evidence[i]);
        evidence[i].met = true; /* it decides nothing */
    }
    record->evidence = evidence;
    record->evidence_count = rows;
    record->missing = missing;
    record->expires_at =
        record->status == PQL_QUALIFIED && definition->lapses ? lapse_of(definition, *scope) : PQL_NO_TIME;
    fill_members(definition, scope, record);
    fill_attributes(definition, scope, scratch, record);
    fill_choices(definition, scope, record);
    fill_text(definition, scope, scratch, record);
}
