#include "core/value.h"

/* 10^32, the largest number, has 33 digits. */
enum { DIGITS_EXACT = 32 };

/* A number, or a text that is one. Unlike in arithmetic a boolean is none. */
static bool is_numeric(const struct pql_value *value, pql_decimal *out)
{
    if (value->kind == PQL_TEXT) return pql_decimal_of_text(value->text, out);
    if (value->kind == PQL_NUMBER) *out = value->number;
    return value->kind == PQL_NUMBER;
}

static bool is_boolean(const struct pql_value *value, bool *out)
{
    if (value->kind == PQL_BOOL) {
        *out = value->boolean;
        return true;
    }
    if (value->kind != PQL_TEXT) return false;
    *out = pql_slice_is(value->text, "true");
    return *out || pql_slice_is(value->text, "false");
}

bool pql_value_as_number(const struct pql_value *value, pql_decimal *out)
{
    if (value->kind != PQL_BOOL) return is_numeric(value, out);
    *out = value->boolean ? PQL_DECIMAL_ONE : 0;
    return true;
}

bool pql_value_holds(const struct pql_value *value)
{
    bool holds;
    return is_boolean(value, &holds) && holds;
}

/* An integer of more digits than a number can have keeps all of them. */
static bool is_exact(struct pql_slice text)
{
    size_t i = text.len && text.ptr[0] == '-', digits = 0;
    while (i < text.len && text.ptr[i] == '0') i++;
    while (i + digits < text.len && text.ptr[i + digits] != '.') digits++;
    return digits <= DIGITS_EXACT;
}

bool pql_value_same(const struct pql_value *a, const struct pql_value *b)
{
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case PQL_NULL: return true;
    case PQL_BOOL: return a->boolean == b->boolean;
    case PQL_NUMBER: return a->number == b->number;
    case PQL_TEXT: return pql_slice_eq(a->text, b->text);
    case PQL_DURATION:
    case PQL_TIME: break;
    }
    return a->ms == b->ms;
}

struct pql_slice pql_value_canonical(const struct pql_value *value, char scratch[PQL_DECIMAL_TEXT_MAX])
{
    pql_decimal number = 0;
    switch (value->kind) {
    case PQL_NULL: return (struct pql_slice){"", 0};
    case PQL_BOOL: return value->boolean ? PQL_SLICE_LITERAL("true") : PQL_SLICE_LITERAL("false");
    case PQL_TEXT:
        if (!pql_decimal_of_text(value->text, &number) || !is_exact(value->text)) return value->text;
        break;
    case PQL_NUMBER: number = value->number; break;
    case PQL_DURATION:
    case PQL_TIME: number = pql_decimal_of_int(value->ms); break;
    }
    return (struct pql_slice){scratch, pql_decimal_text(number, scratch)};
}

static int order(bool less, bool equal)
{
    return less ? -1 : !equal;
}

static int relate_booleans(const struct pql_value *a, const struct pql_value *b)
{
    bool x, y;
    if (!is_boolean(a, &x) || !is_boolean(b, &y)) return PQL_UNKNOWN;
    return x == y ? 0 : PQL_DIFFERENT;
}

static int relate_numbers(const struct pql_value *a, const struct pql_value *b)
{
    pql_decimal x, y;
    if (!is_numeric(a, &x) || !is_numeric(b, &y)) return PQL_UNKNOWN;
    return order(x < y, x == y);
}

static int relate_texts(const struct pql_value *a, const struct pql_value *b)
{
    if (a->kind != PQL_TEXT || b->kind != PQL_TEXT) return PQL_DIFFERENT;
    int c = pql_slice_cmp(a->text, b->text);
    return order(c < 0, c == 0);
}

static int relate_open(const struct pql_value *a, const struct pql_value *b)
{
    int numbers = relate_numbers(a, b);
    if (numbers != PQL_UNKNOWN) return numbers;
    if (a->kind != b->kind) return PQL_UNKNOWN;
    if (a->kind == PQL_TEXT) return relate_texts(a, b);
    if (a->kind == PQL_BOOL) return relate_booleans(a, b);
    return order(a->ms < b->ms, a->ms == b->ms);
}

int pql_value_relate(const struct pql_value *a, const struct pql_value *b, enum pql_kind known)
{
    if (a->kind == PQL_NULL || b->kind == PQL_NULL) return PQL_UNKNOWN;
    switch (known) {
    case PQL_NULL: return relate_open(a, b);
    case PQL_BOOL: return relate_booleans(a, b);
    case PQL_NUMBER: return relate_numbers(a, b);
    case PQL_TEXT: return relate_texts(a, b);
    case PQL_DURATION:
    case PQL_TIME: break;
    }
    return a->kind == known && b->kind == known ? order(a->ms < b->ms, a->ms == b->ms) : PQL_UNKNOWN;
}

bool pql_value_equal(const struct pql_value *a, const struct pql_value *b)
{
    return pql_value_relate(a, b, PQL_NULL) == 0;
}

int pql_value_compare(const struct pql_value *a, const struct pql_value *b)
{
    int c = pql_value_relate(a, b, PQL_NULL);
    return c == PQL_UNKNOWN ? PQL_DIFFERENT : c;
}
