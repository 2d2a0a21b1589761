#include "core/lang/sense.h"

#include "core/lang/parse.h"

/* More of either than people write: then nothing is said. */
enum { SPANS_MAX = 32, COMPARISONS_MAX = 64, PROOF_STEPS = 2000 };

/* Closed spans of values, apart from each other and in order. */
struct set {
    struct {
        pql_decimal low, high;
    } spans[SPANS_MAX];
    size_t count;
    bool is_full; /* not all of them found room: nothing is known */
};

/* A value that is compared, and what it can be. */
struct about {
    struct pql_slice text;
    enum pql_kind kind; /* of the constants; texts are numbered as they come */
    pql_decimal low, high, step;
    bool may_be_null;
    struct pql_slice names[SPANS_MAX];
    size_t names_count;
    bool is_full;
};

struct comparison {
    const struct pql_node *node, *value;
    enum pql_kind kind;
    struct pql_slice text;
};

/* --- sets --- */

static void set_add(const struct about *about, struct set *set, pql_decimal low, pql_decimal high)
{
    if (low < about->low) low = about->low;
    if (high > about->high) high = about->high;
    if (low > high) return;
    size_t i = 0;
    while (i < set->count && set->spans[i].high + about->step < low) i++;
    size_t end = i;
    for (; end < set->count && set->spans[end].low <= high + about->step; end++) {
        if (set->spans[end].low < low) low = set->spans[end].low;
        if (set->spans[end].high > high) high = set->spans[end].high;
    }
    if (end == i && set->count == SPANS_MAX) {
        set->is_full = true;
        return;
    }
    memmove(&set->spans[i + 1], &set->spans[end], (set->count - end) * sizeof set->spans[0]);
    set->count = set->count - (end - i) + 1;
    set->spans[i].low = low;
    set->spans[i].high = high;
}

static struct set everything(const struct about *about)
{
    struct set set = {0};
    set_add(about, &set, about->low, about->high);
    return set;
}

static struct set other(const struct about *about, const struct set *of)
{
    struct set set = {.is_full = of->is_full};
    pql_decimal low = about->low;
    for (size_t i = 0; i < of->count; i++) {
        set_add(about, &set, low, of->spans[i].low - about->step);
        low = of->spans[i].high + about->step;
    }
    set_add(about, &set, low, about->high);
    return set;
}

static struct set joined(const struct about *about, const struct set *a, const struct set *b)
{
    struct set set = *a;
    set.is_full |= b->is_full;
    for (size_t i = 0; i < b->count; i++) set_add(about, &set, b->spans[i].low, b->spans[i].high);
    return set;
}

static struct set common(const struct about *about, const struct set *a, const struct set *b)
{
    struct set set = {.is_full = a->is_full || b->is_full};
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            set_add(about, &set, a->spans[i].low > b->spans[j].low ? a->spans[i].low : b->spans[j].low,
                    a->spans[i].high < b->spans[j].high ? a->spans[i].high : b->spans[j].high);
    return set;
}

static bool is_same(const struct set *a, const struct set *b)
{
    bool is = a->count == b->count && !a->is_full && !b->is_full;
    for (size_t i = 0; is && i < a->count; i++)
        is = a->spans[i].low == b->spans[i].low && a->spans[i].high == b->spans[i].high;
    return is;
}

/* --- comparisons --- */

static bool is_relation(const struct pql_node *node)
{
    return node->kind >= PQL_NODE_EQ && node->kind <= PQL_NODE_BETWEEN;
}

static bool is_ordered(enum pql_node_kind kind)
{
    return (kind >= PQL_NODE_LT && kind <= PQL_NODE_GE) || kind == PQL_NODE_BETWEEN;
}

/* One value with constants of one kind, texts and truth values only for being equal. */
static bool read_comparison(const struct pql_node *node, struct comparison *out)
{
    if (!is_relation(node)) return false;
    size_t value = node->kind < PQL_NODE_IN && node->kids[0]->kind == PQL_NODE_CONST;
    *out =
        (struct comparison){.node = node, .value = node->kids[value], .kind = node->kids[!value]->value.kind};
    if (out->value->kind == PQL_NODE_CONST) return false;
    for (size_t i = 0; i < node->kids_count; i++)
        if (i != value && (node->kids[i]->kind != PQL_NODE_CONST || node->kids[i]->value.kind != out->kind))
            return false;
    if (out->kind == PQL_TEXT || out->kind == PQL_BOOL) return !is_ordered(node->kind);
    return out->kind == PQL_NUMBER || out->kind == PQL_DURATION;
}

static pql_decimal name_number(struct about *about, struct pql_slice name)
{
    size_t i = 0;
    while (i < about->names_count && !pql_slice_eq(about->names[i], name)) i++;
    if (i == SPANS_MAX) {
        about->is_full = true;
        return 0;
    }
    if (i == about->names_count) about->names[about->names_count++] = name;
    return (pql_decimal)(2 * i); /* 1 between them: names are no neighbours */
}

static pql_decimal constant(struct about *about, const struct pql_node *node)
{
    if (node->value.kind == PQL_TEXT) return name_number(about, node->value.text);
    if (node->value.kind == PQL_BOOL) return node->value.boolean ? 2 : 0;
    return node->value.kind == PQL_DURATION ? node->value.ms : node->value.number;
}

/* Whole numbers up from c, or down from it. */
static pql_decimal up(const struct about *about, pql_decimal c)
{
    pql_decimal rest = c % about->step;
    return rest > 0 ? c + about->step - rest : c - rest;
}

static pql_decimal down(const struct about *about, pql_decimal c)
{
    return -up(about, -c);
}

static struct set set_of(struct about *about, const struct comparison *comparison)
{
    const struct pql_node *node = comparison->node;
    bool is_turned = comparison->value == node->kids[1];
    enum pql_node_kind kind = is_turned ? pql_check_turned_round(node->kind) : node->kind;
    pql_decimal c = constant(about, node->kids[!is_turned]);
    struct set set = {0};
    if (kind == PQL_NODE_IN)
        for (size_t i = 1; i < node->kids_count; i++) {
            pql_decimal item = constant(about, node->kids[i]);
            set_add(about, &set, up(about, item), down(about, item));
        }
    else if (kind == PQL_NODE_BETWEEN)
        set_add(about, &set, up(about, c), down(about, constant(about, node->kids[2])));
    else if (kind == PQL_NODE_EQ || kind == PQL_NODE_NE)
        set_add(about, &set, up(about, c), down(about, c));
    else if (kind == PQL_NODE_GE || kind == PQL_NODE_GT)
        set_add(about, &set, up(about, kind == PQL_NODE_GT ? c + 1 : c), about->high);
    else
        set_add(about, &set, about->low, down(about, kind == PQL_NODE_LT ? c - 1 : c));
    return (kind == PQL_NODE_NE) != node->negated ? other(about, &set) : set;
}

static void about_init(struct about *about, const struct comparison *comparison)
{
    const pql_decimal most = PQL_DECIMAL_MAX - PQL_DECIMAL_MAX % PQL_DECIMAL_ONE;
    *about = (struct about){.text = comparison->text,
                            .kind = comparison->kind,
                            .low = -most,
                            .high = most,
                            .step = 1,
                            .may_be_null = true};
    struct pql_check_range range = pql_check_range_of(comparison->value);
    if (comparison->kind != PQL_NUMBER || !range.has_range) return;
    about->low = pql_decimal_of_int(range.low);
    if (range.high) about->high = pql_decimal_of_int(range.high);
    if (range.is_whole) about->step = PQL_DECIMAL_ONE;
    about->may_be_null = range.may_be_null;
}

/* --- conditions --- */

struct reading {
    struct comparison items[COMPARISONS_MAX];
    size_t count;
    bool is_full;
};

static void gather(const struct pql_node *node, struct pql_arena *arena, struct reading *out)
{
    struct comparison comparison;
    if (node->kind == PQL_NODE_AND || node->kind == PQL_NODE_OR || node->kind == PQL_NODE_NOT) {
        for (size_t i = 0; i < node->kids_count && !out->is_full; i++) gather(node->kids[i], arena, out);
    } else if (read_comparison(node, &comparison)) {
        out->is_full = out->count == COMPARISONS_MAX;
        if (out->is_full) return;
        comparison.text = pql_lang_text(comparison.value, arena);
        out->items[out->count++] = comparison;
    }
}

static const struct comparison *find(const struct reading *reading, const struct pql_node *node)
{
    for (size_t i = 0; i < reading->count; i++)
        if (reading->items[i].node == node) return &reading->items[i];
    return NULL;
}

/* The values with which the condition may hold (is_most), or holds whatever the rest of it says. */
static struct set values(struct about *about, const struct reading *reading, const struct pql_node *node,
                         bool is_most)
{
    struct set all = everything(about), set = all, none = {0};
    bool is_and = node->kind == PQL_NODE_AND;
    if (is_and || node->kind == PQL_NODE_OR) {
        if (!is_and) set = none;
        for (size_t i = 0; i < node->kids_count; i++) {
            struct set kid = values(about, reading, node->kids[i], is_most);
            set = is_and ? common(about, &set, &kid) : joined(about, &set, &kid);
        }
        return set;
    }
    if (node->kind == PQL_NODE_NOT && !about->may_be_null) {
        set = values(about, reading, node->kids[0], !is_most);
        return other(about, &set);
    }
    const struct comparison *comparison = find(reading, node);
    bool is_known =
        comparison && comparison->kind == about->kind && pql_slice_eq(comparison->text, about->text);
    return is_known ? set_of(about, comparison) : is_most ? all : none;
}

/* Is the value of comparison `first` met here first, and again? What is so of one comparison alone was said
 * of it. */
static bool is_worth(struct about *about, const struct reading *reading, size_t first)
{
    struct set all = everything(about);
    size_t met = 0;
    for (size_t i = 0; i < reading->count; i++) {
        if (reading->items[i].kind != about->kind || !pql_slice_eq(reading->items[i].text, about->text))
            continue;
        if (i < first) return false;
        struct set set = set_of(about, &reading->items[i]);
        if (set.count == 0 || is_same(&set, &all)) return false;
        met++;
    }
    return met > 1;
}

static bool warn(const struct pql_node *node, struct pql_arena *arena, struct pql_diags *diags)
{
    struct reading reading = {.count = 0};
    gather(node, arena, &reading);
    for (size_t i = 0; i < reading.count && !reading.is_full; i++) {
        struct about about;
        about_init(&about, &reading.items[i]);
        if (!is_worth(&about, &reading, i)) continue;
        struct set most = values(&about, &reading, node, true), least = values(&about, &reading, node, false);
        struct set all = everything(&about);
        bool is_never = most.count == 0 && !most.is_full;
        if (about.is_full || (!is_never && (about.may_be_null || !is_same(&least, &all)))) continue;
        pql_diag_source(diags, PQL_SEVERITY_WARNING, node->source, node->at, node->span,
                        is_never ? "this can never hold: its comparisons of %.*s exclude each other"
                                 : "this always holds: its comparisons of %.*s leave no value out",
                        PQL_SLICE_ARG(about.text));
        return true;
    }
    return false;
}

static void check(const struct pql_node *node, struct pql_arena *arena, struct pql_diags *diags)
{
    bool is_joined = node->kind == PQL_NODE_AND || node->kind == PQL_NODE_OR;
    if (is_joined && warn(node, arena, diags)) return;
    for (size_t i = 0; i < node->kids_count; i++) check(node->kids[i], arena, diags);
    if (node->selector.where) check(node->selector.where, arena, diags);
    for (size_t i = 0; i < node->steps_count; i++)
        if (node->steps[i].where) check(node->steps[i].where, arena, diags);
}

void pql_sense_check(const struct pql_node *node, struct pql_diags *diags)
{
    struct pql_arena arena;
    pql_arena_init(&arena);
    check(node, &arena, diags);
    pql_arena_deinit(&arena);
}

/* --- one condition and another --- */

/* Long conditions are compared part by part only so far. */
struct proof {
    struct pql_arena arena;
    unsigned steps_left;
};

static bool implies(struct proof *proof, const struct pql_node *a, const struct pql_node *b);

/* users(c) >= 2 and its like: they grow with the users for whom c holds. */
static bool is_grown_by_users(const struct pql_node *node)
{
    if (node->kind != PQL_NODE_CALL) return false;
    return node->function == PQL_FN_USERS || node->function == PQL_FN_ANY_USER ||
           node->function == PQL_FN_ALL_USERS || (node->function == PQL_FN_SHARE && node->kids_count == 1);
}

static bool implies_more_users(struct proof *proof, const struct pql_node *a, const struct pql_node *b)
{
    return is_grown_by_users(a) && is_grown_by_users(b) && a->function == b->function &&
           a->of_account == b->of_account && implies(proof, a->kids[0], b->kids[0]);
}

static bool implies_compared(struct proof *proof, const struct pql_node *a, const struct pql_node *b)
{
    struct comparison left, right;
    if (!read_comparison(a, &left) || !read_comparison(b, &right) || left.kind != right.kind) return false;
    left.text = pql_lang_text(left.value, &proof->arena);
    bool is_at_least = a->kind == b->kind && (a->kind == PQL_NODE_GE || a->kind == PQL_NODE_GT) &&
                       left.value == a->kids[0] && right.value == b->kids[0];
    if (!pql_slice_eq(left.text, pql_lang_text(right.value, &proof->arena)) &&
        !(is_at_least && implies_more_users(proof, left.value, right.value)))
        return false;
    struct about about;
    about_init(&about, &left);
    struct set from = set_of(&about, &left), to = set_of(&about, &right), both = common(&about, &from, &to);
    return is_same(&both, &from) && !about.is_full;
}

static bool implies(struct proof *proof, const struct pql_node *a, const struct pql_node *b)
{
    if (!proof->steps_left) return false;
    proof->steps_left--;
    if (pql_slice_eq(pql_lang_text(a, &proof->arena), pql_lang_text(b, &proof->arena))) return true;
    bool is_all = true, is_any = false;
    if (b->kind == PQL_NODE_AND) {
        for (size_t i = 0; i < b->kids_count && is_all; i++) is_all = implies(proof, a, b->kids[i]);
        return is_all;
    }
    if (a->kind == PQL_NODE_OR) {
        for (size_t i = 0; i < a->kids_count && is_all; i++) is_all = implies(proof, a->kids[i], b);
        return is_all;
    }
    if (a->kind == PQL_NODE_AND)
        for (size_t i = 0; i < a->kids_count && !is_any; i++) is_any = implies(proof, a->kids[i], b);
    if (b->kind == PQL_NODE_OR)
        for (size_t i = 0; i < b->kids_count && !is_any; i++) is_any = implies(proof, a, b->kids[i]);
    if (is_any) return true;
    if (a->kind == PQL_NODE_CALL && a->type == PQL_TYPE_BOOL) return implies_more_users(proof, a, b);
    return implies_compared(proof, a, b);
}

bool pql_sense_is_stricter(const struct pql_node *a, const struct pql_node *b)
{
    struct proof proof = {.steps_left = PROOF_STEPS};
    pql_arena_init(&proof.arena);
    bool is = implies(&proof, a, b) && !implies(&proof, b, a) && proof.steps_left;
    pql_arena_deinit(&proof.arena);
    return is;
}

/* --- share --- */

bool pql_sense_asks_for_members(const struct pql_node *node)
{
    bool is_joined = node->kind == PQL_NODE_AND, asks = false;
    if (!is_joined && !is_relation(node)) return false;
    for (size_t i = 0; i < node->kids_count && !asks; i++) {
        const struct pql_node *kid = node->kids[i];
        asks = is_joined ? is_relation(kid) && pql_sense_asks_for_members(kid)
                         : kid->kind == PQL_NODE_CALL &&
                               (kid->function == PQL_FN_MEMBERS || kid->function == PQL_FN_USERS);
    }
    return asks;
}

const struct pql_node *pql_sense_bare_share(const struct pql_node *node)
{
    if (node->kind == PQL_NODE_CALL && node->function == PQL_FN_SHARE) return node;
    if (node->kind == PQL_NODE_AND && pql_sense_asks_for_members(node)) return NULL;
    for (size_t i = 0; i < node->kids_count; i++) {
        const struct pql_node *found = pql_sense_bare_share(node->kids[i]);
        if (found) return found;
    }
    return NULL;
}
