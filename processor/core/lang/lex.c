#include "core/lang/lex.h"

#include "core/lang/lang.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_digits(struct pql_slice text, size_t at)
{
    while (at < text.len && is_digit(text.ptr[at])) at++;
    return at;
}

static size_t skip_name(struct pql_slice text, size_t at)
{
    while (at < text.len && (is_letter(text.ptr[at]) || is_digit(text.ptr[at]))) at++;
    return at;
}

bool pql_is_name(struct pql_slice text)
{
    return text.len && is_letter(text.ptr[0]) && skip_name(text, 0) == text.len;
}

bool pql_is_reserved(struct pql_slice text)
{
    static const char *const words[] = {
        "and",   "or",   "not",  "in",    "is",   "between", "starts",  "ends",  "contains", "matches",
        "where", "then", "by",   "of",    "any",  "within",  "one_of",  "prev",  "first",    "ever",
        "today", "this", "true", "false", "null", "user",    "account", "event",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (pql_slice_is(text, words[i])) return true;
    return false;
}

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};

static int64_t unit_ms(struct pql_slice name)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (pql_slice_is(name, units[i].name)) return units[i].ms;
    return 0;
}

bool pql_duration_parse(struct pql_slice text, int64_t *ms)
{
    const int64_t longest = INT64_C(36525) * 86400000;
    size_t digits = skip_digits(text, 0);
    int64_t unit = unit_ms((struct pql_slice){text.ptr + digits, text.len - digits}), n = 0;
    if (digits == 0 || unit == 0) return false;
    for (size_t i = 0; i < digits; i++) {
        n = n * 10 + (text.ptr[i] - '0');
        if (n > longest / unit) return false;
    }
    *ms = n * unit;
    return true;
}

/* `len` bytes at `at` as they are. */
static struct pql_token token(enum pql_token_kind kind, struct pql_slice text, size_t at, size_t len)
{
    return (struct pql_token){.kind = kind, .at = at, .len = len, .text = {text.ptr + at, len}};
}

static struct pql_token bad(struct pql_slice text, size_t at, size_t len, const char *problem)
{
    struct pql_token t = token(PQL_TOKEN_BAD, text, at, len);
    t.problem = problem;
    return t;
}

static struct pql_token lex_number(struct pql_slice text, size_t at, bool is_key)
{
    size_t end = skip_digits(text, at);
    if (is_key) return token(PQL_TOKEN_NUMBER, text, at, end - at);
    size_t whole = end - at, places = 0;
    if (end + 1 < text.len && text.ptr[end] == '.' && is_digit(text.ptr[end + 1])) {
        size_t dot = end;
        end = skip_digits(text, end + 1);
        places = end - dot - 1;
    }
    size_t name = end;
    end = skip_name(text, end);
    if (end > name) {
        if (unit_ms((struct pql_slice){text.ptr + name, end - name}) == 0)
            return bad(text, at, end - at,
                       "neither a number nor a duration (7d; the units are ms, s, m, h, d, w)");
        if (places) return bad(text, at, end - at, "a duration has no decimals: 36h, not 1.5d");
        return token(PQL_TOKEN_DURATION, text, at, end - at);
    }
    if (places > 6) return bad(text, at, end - at, "a number has at most 6 decimals");
    if (whole > 33) return bad(text, at, end - at, "a number has at most 33 digits before the point");
    return token(PQL_TOKEN_NUMBER, text, at, end - at);
}

static struct pql_token lex_string(struct pql_slice text, size_t at)
{
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.ptr[i] != '\'') continue;
        if (i + 1 < text.len && text.ptr[i + 1] == '\'') {
            i++;
            continue;
        }
        struct pql_token t = token(PQL_TOKEN_STRING, text, at, i + 1 - at);
        t.text = (struct pql_slice){text.ptr + at + 1, i - at - 1};
        return t;
    }
    return bad(text, at, text.len - at, "the closing ' is missing");
}

/* Spellings of other languages: read as what they mean, and refused all the same. */
static const struct spelling {
    const char *written;
    enum pql_token_kind kind;
    const char *meant, *problem; /* problem NULL: a sign of this language */
} signs[] = {
    {"===", PQL_TOKEN_SIGN, "=", "'===' is written '='"},
    {"!==", PQL_TOKEN_SIGN, "!=", "'!==' is written '!='"},
    {"==", PQL_TOKEN_SIGN, "=", "'==' is written '='"},
    {"<>", PQL_TOKEN_SIGN, "!=", "'<>' is written '!='"},
    {"=>", PQL_TOKEN_SIGN, ">=", "'=>' is written '>='"},
    {"=<", PQL_TOKEN_SIGN, "<=", "'=<' is written '<='"},
    {"&&", PQL_TOKEN_NAME, "and", "'&&' is written 'and'"},
    {"||", PQL_TOKEN_NAME, "or", "'||' is written 'or'"},
    {"!=", PQL_TOKEN_SIGN, "!=", NULL},
    {"<=", PQL_TOKEN_SIGN, "<=", NULL},
    {">=", PQL_TOKEN_SIGN, ">=", NULL},
    {"!", PQL_TOKEN_NAME, "not", "'!' is written 'not'"},
    {"(", PQL_TOKEN_SIGN, "(", NULL},
    {")", PQL_TOKEN_SIGN, ")", NULL},
    {",", PQL_TOKEN_SIGN, ",", NULL},
    {".", PQL_TOKEN_SIGN, ".", NULL},
    {"$", PQL_TOKEN_SIGN, "$", NULL},
    {"+", PQL_TOKEN_SIGN, "+", NULL},
    {"-", PQL_TOKEN_SIGN, "-", NULL},
    {"*", PQL_TOKEN_SIGN, "*", NULL},
    {"/", PQL_TOKEN_SIGN, "/", NULL},
    {"=", PQL_TOKEN_SIGN, "=", NULL},
    {"<", PQL_TOKEN_SIGN, "<", NULL},
    {">", PQL_TOKEN_SIGN, ">", NULL},
};

static struct pql_token lex_sign(struct pql_slice text, size_t at)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t len = strlen(signs[i].written);
        if (len > text.len - at || memcmp(text.ptr + at, signs[i].written, len) != 0) continue;
        return (struct pql_token){signs[i].kind, at, len, pql_slice_of(signs[i].meant), signs[i].problem};
    }
    if (text.ptr[at] == '"') return bad(text, at, 1, "a text stands in single quotes: 'like this'");
    if (text.ptr[at] == '%') return bad(text, at, 1, "a share is written from 0 to 1: 0.5 for 50 %");
    size_t end = at + 1; /* the whole of a UTF-8 sequence */
    while (end < text.len && ((unsigned char)text.ptr[end] & 0xc0) == 0x80) end++;
    return bad(text, at, end - at,
               "this character means nothing here; a name with it stands in single quotes");
}

struct pql_token pql_lex(struct pql_slice text, size_t at, bool is_key)
{
    while (at < text.len && is_space(text.ptr[at])) at++;
    if (at >= text.len) return (struct pql_token){.kind = PQL_TOKEN_END, .at = text.len};
    char c = text.ptr[at];
    if (is_letter(c)) return token(PQL_TOKEN_NAME, text, at, skip_name(text, at) - at);
    if (is_digit(c)) return lex_number(text, at, is_key);
    if (c == '\'') return lex_string(text, at);
    return lex_sign(text, at);
}
