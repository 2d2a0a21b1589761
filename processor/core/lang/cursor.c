/* What every rule of the grammar is written with: tokens, messages, new nodes. */
#include "core/lang/parse.h"

#include <stdio.h>

void pql_parse_step_as(struct pql_parser *p, bool is_key)
{
    p->end = p->tok.at + p->tok.len;
    p->tok = pql_lex(p->source->text, p->end, is_key);
    if (!p->tok.problem) return;
    PQL_COMPLAIN(p, p->tok.at, p->tok.len, "%s", p->tok.problem);
    if (p->tok.kind == PQL_TOKEN_BAD) p->is_broken = true, p->tok.kind = PQL_TOKEN_END;
}

void pql_parse_step(struct pql_parser *p)
{
    if (!p->is_broken) pql_parse_step_as(p, false);
}

/* The first fault of grammar of a text, at the current token. */
void pql_parse_fail(struct pql_parser *p, const char *format, ...)
{
    if (p->is_broken) return;
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    PQL_COMPLAIN(p, p->tok.at, p->tok.len, "%s", message);
    p->is_broken = true;
    p->tok.kind = PQL_TOKEN_END;
}

const char *pql_parse_found(const struct pql_parser *p)
{
    if (p->tok.kind == PQL_TOKEN_END) return "the text ends";
    int len = p->tok.len > 40 ? 40 : (int)p->tok.len;
    const char *quote = p->tok.kind == PQL_TOKEN_STRING ? "" : "'";
    return pql_arena_printf(p->all->arena, "%s%.*s%s was found", quote, len, p->source->text.ptr + p->tok.at,
                            quote);
}

void pql_parse_expected(struct pql_parser *p, const char *what)
{
    pql_parse_fail(p, "%s is expected here, but %s", what, pql_parse_found(p));
}

bool pql_parse_is_sign(const struct pql_parser *p, const char *sign)
{
    return p->tok.kind == PQL_TOKEN_SIGN && pql_slice_is(p->tok.text, sign);
}

bool pql_parse_accept_sign(struct pql_parser *p, const char *sign)
{
    if (!pql_parse_is_sign(p, sign)) return false;
    pql_parse_step(p);
    return true;
}

void pql_parse_need_sign(struct pql_parser *p, const char *sign)
{
    if (!pql_parse_accept_sign(p, sign)) pql_parse_expected(p, pql_arena_printf(p->all->arena, "'%s'", sign));
}

bool pql_parse_is_word(const struct pql_parser *p, const char *word)
{
    return p->tok.kind == PQL_TOKEN_NAME && pql_slice_is(p->tok.text, word);
}

bool pql_parse_is_same_but_case(struct pql_slice a, const char *word)
{
    size_t i = 0;
    for (; i < a.len && word[i]; i++)
        if ((a.ptr[i] | 0x20) != word[i]) return false;
    return i == a.len && !word[i];
}

/* Where an operand is complete no name can follow, so that AND can only be meant as the word `and`. */
bool pql_parse_is_operator(struct pql_parser *p, const char *word)
{
    if (p->tok.kind != PQL_TOKEN_NAME || !pql_parse_is_same_but_case(p->tok.text, word)) return false;
    if (!pql_slice_is(p->tok.text, word)) {
        PQL_COMPLAIN(p, p->tok.at, p->tok.len, "'%.*s' is written '%s'", PQL_SLICE_ARG(p->tok.text), word);
        p->tok.text = pql_slice_of(word);
    }
    return true;
}

bool pql_parse_accept_operator(struct pql_parser *p, const char *word)
{
    if (!pql_parse_is_operator(p, word)) return false;
    pql_parse_step(p);
    return true;
}

static struct pql_token peek(const struct pql_parser *p)
{
    return pql_lex(p->source->text, p->tok.at + p->tok.len, false);
}

bool pql_parse_is_before_parenthesis(const struct pql_parser *p)
{
    struct pql_token next = peek(p);
    return next.kind == PQL_TOKEN_SIGN && pql_slice_is(next.text, "(");
}

struct pql_slice pql_parse_unquoted(struct pql_parser *p, const struct pql_token *tok)
{
    char *out = pql_arena_alloc(p->all->arena, tok->text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < tok->text.len; i++) {
        out[n++] = tok->text.ptr[i];
        if (tok->text.ptr[i] == '\'') i++;
    }
    out[n] = 0;
    return (struct pql_slice){out, n};
}

/* "; did you mean 'x'?" or nothing. */
const char *pql_parse_suggestion(struct pql_parser *p, struct pql_slice name, const char *const *words,
                                 size_t count)
{
    const char *nearest = pql_nearest(name, words, count);
    return nearest ? pql_arena_printf(p->all->arena, "; did you mean '%s'?", nearest) : "";
}

/* ---- nodes ---- */

struct pql_node *pql_parse_new_node(struct pql_parser *p, enum pql_node_kind kind, size_t at)
{
    if (++p->all->nodes_count > PQL_LANG_NODES_MAX && !p->is_broken) {
        if (!p->all->is_full)
            pql_parse_fail(p, "this has more than %d parts with all its $signals", PQL_LANG_NODES_MAX);
        p->all->is_full = p->is_broken = true;
        p->tok.kind = PQL_TOKEN_END;
    }
    struct pql_node *node = pql_arena_zalloc(p->all->arena, sizeof *node);
    node->kind = kind;
    node->source = p->source;
    node->at = at;
    node->height = 1;
    return node;
}

struct pql_node *pql_parse_constant(struct pql_parser *p, size_t at, enum pql_type type,
                                    struct pql_value value)
{
    struct pql_node *node = pql_parse_new_node(p, PQL_NODE_CONST, at);
    node->type = type;
    node->value = value;
    node->span = p->end > at ? p->end - at : 0;
    return node;
}

/* What stands for a part that was reported already. */
struct pql_node *pql_parse_nothing(struct pql_parser *p, size_t at)
{
    return pql_parse_constant(p, at, PQL_TYPE_OPEN, pql_null());
}

void pql_parse_add_kid(struct pql_parser *p, struct pql_kids *kids, const struct pql_node *kid)
{
    if (kids->count == kids->capacity) {
        size_t capacity = kids->capacity ? kids->capacity * 2 : 4;
        const struct pql_node **items = pql_arena_alloc(p->all->arena, capacity * sizeof *items);
        for (size_t i = 0; i < kids->count; i++) items[i] = kids->items[i];
        kids->items = items;
        kids->capacity = capacity;
    }
    kids->items[kids->count++] = kid;
}

struct pql_node *pql_parse_finish(struct pql_parser *p, struct pql_node *node, const struct pql_kids *kids)
{
    node->kids = kids->items;
    node->kids_count = kids->count;
    node->span = p->end > node->at ? p->end - node->at : 0;
    pql_check(p, node);
    if (node->height <= PQL_LANG_HEIGHT_MAX) return node;
    pql_parse_fail(p, "this is more than %d levels deep; a sum of so many terms needs parentheses",
                   PQL_LANG_HEIGHT_MAX);
    return pql_parse_nothing(p, node->at);
}

/* `and` of `and`s is one node, wherever the parentheses stood. */
void pql_parse_add_flat(struct pql_parser *p, enum pql_node_kind kind, struct pql_kids *kids,
                        const struct pql_node *kid)
{
    if (kid->kind != kind) {
        pql_parse_add_kid(p, kids, kid);
        return;
    }
    for (size_t i = 0; i < kid->kids_count; i++) pql_parse_add_kid(p, kids, kid->kids[i]);
}

bool pql_parse_enter(struct pql_parser *p)
{
    if (++p->all->depth <= PQL_LANG_DEPTH_MAX) return true;
    pql_parse_fail(p, "more than %d levels inside each other", PQL_LANG_DEPTH_MAX);
    return false;
}

void pql_parse_leave(struct pql_parser *p)
{
    p->all->depth--;
}
