#include "core/wire/json.h"

#include "core/reasons.h"
#include "core/wire/path.h"
#include <stdlib.h>

struct pql_json_plan {
    struct pql_paths *paths;
};

struct parser {
    const char *start, *at, *end;
    struct pql_value *slots;
    struct pql_arena *scratch;
    uint64_t
        *seen; /* bit per path node: reached before, so that a repeated key can undo the first; NULL: none */
    int depth;
    const char *wrong; /* set once, at the fault */
};

static bool fail(struct parser *p, const char *wrong)
{
    if (!p->wrong) p->wrong = wrong;
    return false;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')) p->at++;
}

static bool take(struct parser *p, char c)
{
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

/* --- Text --- */

/* Table 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t pql_utf8_len(struct pql_slice text)
{
    const unsigned char *s = (const unsigned char *)text.ptr;
    if (!text.len) return 0;
    if (s[0] < 0x80) return 1;
    size_t len = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (!len || text.len < len) return 0;
    unsigned low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xbf) return 0;
    return len;
}

/* Bytes that end the quick way through a string: controls, quote, backslash, anything beyond ASCII. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The high bit of each of 8 bytes that is not plain, the first byte lowest. Borrows come only from such
 * bytes, so that the lowest bit is right; those above it may be set in vain. */
static inline uint64_t specials(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones * 0x80;
    uint64_t word;
    memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    return (word | (word - ones * 0x20) | (quote - ones) | (slash - ones)) & highs;
}

static inline const char *skip_plain(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t found = specials(at);
        if (found) return at + (__builtin_ctzll(found) >> 3);
    }
    while (at < end && is_plain((unsigned char)*at)) at++;
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool skip_escape(struct parser *p)
{
    p->at++;
    if (p->at == p->end) return fail(p, "a string without end");
    char c = *p->at++;
    if (c != 'u') return c && strchr("\"\\/bfnrt", c) ? true : fail(p, "an unknown escape");
    for (int i = 0; i < 4; i++, p->at++)
        if (p->at == p->end || hex_digit(*p->at) < 0) return fail(p, "\\u without four hexadecimal digits");
    return true;
}

/* From behind the opening quote to behind the closing one; raw is what lies between. */
static bool scan_string(struct parser *p, struct pql_slice *raw, bool *has_escapes)
{
    const char *first = p->at;
    *has_escapes = false;
    for (;;) {
        p->at = skip_plain(p->at, p->end);
        if (p->at == p->end) return fail(p, "a string without end");
        if (*p->at == '"') break;
        if (*p->at == '\\') {
            *has_escapes = true;
            if (!skip_escape(p)) return false;
            continue;
        }
        size_t len = pql_utf8_len((struct pql_slice){p->at, (size_t)(p->end - p->at)});
        if (len < 2)
            return fail(p,
                        (unsigned char)*p->at < 0x20 ? "a control character in a string" : "invalid UTF-8");
        p->at += len;
    }
    *raw = (struct pql_slice){first, (size_t)(p->at - first)};
    p->at++;
    return true;
}

static unsigned hex4(const char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) value = value << 4 | (unsigned)hex_digit(at[i]);
    return value;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(unsigned char)(first[more] | c >> (6 * more));
    while (more-- > 0) *to++ = (char)(unsigned char)(0x80 | (c >> (6 * more) & 0x3f));
    return to;
}

/* `from` stands behind "\u"; returns where it stands after the escape, a second half of a pair included. */
static const char *take_unicode(const char *from, const char *end, char **to)
{
    unsigned c = hex4(from);
    from += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - from >= 6 && from[0] == '\\' && from[1] == 'u') {
        unsigned second = hex4(from + 2);
        if (second >= 0xdc00 && second < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (second - 0xdc00);
            from += 6;
        }
    }
    if (c >= 0xd800 && c < 0xe000) c = 0xfffd;
    *to = put_utf8(*to, c);
    return from;
}

/* raw has been validated; an escape is never shorter than what it stands for. */
static struct pql_slice unescape(struct pql_arena *scratch, struct pql_slice raw)
{
    char *text = pql_arena_alloc(scratch, raw.len), *to = text;
    const char *end = raw.ptr + raw.len;
    for (const char *from = raw.ptr; from < end;) {
        if (*from != '\\') {
            *to++ = *from++;
            continue;
        }
        char c = from[1];
        from += 2;
        switch (c) {
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u': from = take_unicode(from, end, &to); break;
        default: *to++ = c;
        }
    }
    return (struct pql_slice){text, (size_t)(to - text)};
}

/* --- Numbers --- */

struct number_text {
    const char *first, *last; /* digits and at most one dot: [first, last) */
    size_t whole;             /* digits before the dot */
    int64_t exponent;
    bool negative;
};

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at;
}

/* Exponents beyond this, with any number of digits a message can hold, give 0 or the limit. */
#define EXPONENT_MAX INT64_C(1000000000000)

static const char *scan_exponent(const char *at, const char *end, int64_t *exponent)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    const char *stop = skip_digits(at, end);
    if (stop == at) return NULL;
    int64_t value = 0;
    for (; at < stop; at++)
        if (value < EXPONENT_MAX) value = value * 10 + (*at - '0');
    *exponent = negative ? -value : value;
    return stop;
}

/* Where the number that begins at `at` ends, or NULL if none does. */
static const char *scan_number(const char *at, const char *end, struct number_text *out)
{
    *out = (struct number_text){.negative = at < end && *at == '-'};
    if (out->negative) at++;
    out->first = at;
    const char *stop = skip_digits(at, end);
    if (stop == at || (*at == '0' && stop - at > 1)) return NULL;
    out->whole = (size_t)(stop - at);
    if (stop < end && *stop == '.') {
        at = stop + 1;
        stop = skip_digits(at, end);
        if (stop == at) return NULL;
    }
    out->last = stop;
    if (stop < end && (*stop == 'e' || *stop == 'E')) stop = scan_exponent(stop + 1, end, &out->exponent);
    return stop;
}

/* n counts units of 10^-6 times a power of ten that falls to 0; digits below decide the rounding. */
static pql_decimal number_value(const struct number_text *t)
{
    const pql_udecimal tenth = (pql_udecimal)PQL_DECIMAL_MAX / 10;
    pql_udecimal n = 0;
    int64_t place =
        (int64_t)t->whole - 1 + t->exponent + 6; /* of the next digit; 0: the sixth decimal place */
    int half = 0;                                /* the first digit cut off, against 5: -1, 0 or 1 */
    bool is_half_seen = place < -1, more = false, huge = false;
    if (is_half_seen) half = -1;
    for (const char *at = t->first; at < t->last && !huge; at++) {
        if (*at == '.') continue;
        unsigned digit = (unsigned)(*at - '0');
        if (place >= 0) {
            huge = n > tenth;
            n = n * 10 + digit;
        } else if (place == -1 && !is_half_seen) {
            half = digit > 5 ? 1 : digit == 5 ? 0 : -1;
            is_half_seen = true;
        } else {
            more = more || digit;
        }
        place--;
    }
    for (; place >= 0 && n && !huge; place--) {
        huge = n > tenth;
        n *= 10;
    }
    if (is_half_seen && (half > 0 || (half == 0 && (more || (n & 1))))) n++;
    if (huge || n > (pql_udecimal)PQL_DECIMAL_MAX) n = (pql_udecimal)PQL_DECIMAL_MAX;
    return t->negative ? -(pql_decimal)n : (pql_decimal)n;
}

static pql_decimal number_of(const struct number_text *t)
{
    size_t len = (size_t)(t->last - t->first);
    if (t->exponent || len > 18 || len - t->whole > 7) return number_value(t);
    int64_t n = 0;
    for (const char *at = t->first; at < t->last; at++)
        if (*at != '.') n = n * 10 + (*at - '0');
    pql_decimal value = n;
    for (size_t places = len == t->whole ? 0 : len - t->whole - 1; places < 6; places++) value *= 10;
    return t->negative ? -value : value;
}

bool pql_json_number(struct pql_slice text, pql_decimal *out)
{
    struct number_text t;
    const char *end = text.ptr + text.len;
    if (!text.len || scan_number(text.ptr, end, &t) != end) return false;
    *out = number_of(&t);
    return true;
}

pql_decimal pql_json_scaled(struct pql_slice digits, int64_t exponent, bool negative)
{
    return number_value(
        &(struct number_text){digits.ptr, digits.ptr + digits.len, digits.len, exponent, negative});
}

/* --- Values --- */

static void clear(struct parser *p, const struct pql_path_node *node)
{
    if (node->slot >= 0) p->slots[node->slot] = pql_null();
    for (size_t i = 0; i < node->kids_count; i++) clear(p, node->kids[i]);
}

static void reach(struct parser *p, const struct pql_path_node *node)
{
    uint64_t bit = UINT64_C(1) << (node->id & 63), *word = &p->seen[node->id >> 6];
    if (*word & bit) clear(p, node);
    *word |= bit;
}

static bool parse_value(struct parser *p, const struct pql_path_node *node);

/* A fault inside an embedded text is no fault of the record: the text just has no members. */
static void parse_inside(const struct parser *outer, const struct pql_path_node *node, struct pql_slice text)
{
    struct parser p = *outer;
    p.start = p.at = text.ptr;
    p.end = text.ptr + text.len;
    skip_space(&p);
    if (p.at == p.end || (*p.at != '{' && *p.at != '[')) return;
    bool ok = parse_value(&p, node);
    skip_space(&p);
    if (ok && p.at == p.end) return;
    for (size_t i = 0; i < node->kids_count; i++) clear(&p, node->kids[i]);
}

static bool parse_string(struct parser *p, const struct pql_path_node *node)
{
    struct pql_slice text;
    bool has_escapes;
    p->at++;
    if (!scan_string(p, &text, &has_escapes)) return false;
    if (!node) return true;
    if (has_escapes) text = unescape(p->scratch, text);
    if (node->kids_count) parse_inside(p, node, text);
    if (node->slot >= 0) p->slots[node->slot] = pql_text(text);
    return true;
}

static bool parse_member(struct parser *p, const struct pql_path_node *node)
{
    struct pql_slice key;
    bool has_escapes;
    skip_space(p);
    if (!take(p, '"')) return fail(p, "a key in quotes is missing");
    if (!scan_string(p, &key, &has_escapes)) return false;
    const struct pql_path_node *kid = NULL;
    if (node && node->kids_count) {
        if (has_escapes) key = unescape(p->scratch, key);
        kid = pql_path_find(node, key);
        if (kid) reach(p, kid);
    }
    skip_space(p);
    if (!take(p, ':')) return fail(p, "':' is missing after a key");
    return parse_value(p, kid);
}

static bool parse_object(struct parser *p, const struct pql_path_node *node)
{
    p->at++;
    skip_space(p);
    if (take(p, '}')) return true;
    for (;;) {
        if (!parse_member(p, node)) return false;
        skip_space(p);
        if (take(p, '}')) return true;
        if (!take(p, ',')) return fail(p, "',' or '}' is missing");
    }
}

static bool parse_array(struct parser *p, const struct pql_path_node *node)
{
    p->at++;
    skip_space(p);
    if (take(p, ']')) return true;
    for (size_t i = 0;; i++) {
        const struct pql_path_node *kid = node ? pql_path_at(node, i) : NULL;
        if (kid) reach(p, kid);
        if (!parse_value(p, kid)) return false;
        skip_space(p);
        if (take(p, ']')) return true;
        if (!take(p, ',')) return fail(p, "',' or ']' is missing");
    }
}

static bool parse_container(struct parser *p, const struct pql_path_node *node)
{
    if (p->depth == PQL_JSON_DEPTH_MAX) return fail(p, "nested too deep");
    p->depth++;
    bool ok = *p->at == '{' ? parse_object(p, node) : parse_array(p, node);
    p->depth--;
    return ok;
}

static bool parse_word(struct parser *p, const struct pql_path_node *node, struct pql_slice word,
                       struct pql_value value)
{
    if ((size_t)(p->end - p->at) < word.len || memcmp(p->at, word.ptr, word.len) != 0)
        return fail(p, "a value is missing");
    p->at += word.len;
    if (node && node->slot >= 0) p->slots[node->slot] = value;
    return true;
}

static bool parse_number(struct parser *p, const struct pql_path_node *node)
{
    struct number_text t;
    const char *stop = scan_number(p->at, p->end, &t);
    if (!stop) return fail(p, "a malformed number");
    p->at = stop;
    if (node && node->slot >= 0) p->slots[node->slot] = pql_number(number_of(&t));
    return true;
}

static bool parse_value(struct parser *p, const struct pql_path_node *node)
{
    skip_space(p);
    if (p->at == p->end) return fail(p, "a value is missing");
    switch (*p->at) {
    case '{':
    case '[': return parse_container(p, node);
    case '"': return parse_string(p, node);
    case 't': return parse_word(p, node, PQL_SLICE_LITERAL("true"), pql_bool(true));
    case 'f': return parse_word(p, node, PQL_SLICE_LITERAL("false"), pql_bool(false));
    case 'n': return parse_word(p, node, PQL_SLICE_LITERAL("null"), pql_null());
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': return parse_number(p, node);
    default: return fail(p, "a value is missing");
    }
}

/* --- Plans --- */

struct pql_json_plan *pql_json_plan_new(const struct pql_slice *wanted, size_t count)
{
    struct pql_paths *paths = pql_paths_new(wanted, count);
    if (!paths) return NULL;
    struct pql_json_plan *plan = pql_xcalloc(1, sizeof *plan);
    plan->paths = paths;
    return plan;
}

void pql_json_plan_free(struct pql_json_plan *plan)
{
    if (!plan) return;
    pql_paths_free(plan->paths);
    free(plan);
}

int pql_json_plan_run(const struct pql_json_plan *plan, const void *bytes, size_t len,
                      struct pql_arena *scratch, struct pql_value *slots, struct pql_err *err)
{
    const char *text = len ? bytes : "";
    size_t words = (pql_paths_count(plan->paths) + 63) / 64;
    struct parser p = {.start = text, .at = text, .end = text + len, .slots = slots, .scratch = scratch};
    p.seen = pql_arena_zalloc(scratch, words * sizeof *p.seen);
    for (size_t i = 0, count = pql_paths_slots(plan->paths); i < count; i++) slots[i] = pql_null();
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) p.at += 3;
    if (parse_value(&p, pql_paths_root(plan->paths))) {
        skip_space(&p);
        if (p.at == p.end) return 0;
        fail(&p, "something follows the value");
    }
    pql_err_set(err, PQL_ERR_RECORD, __FILE__, __LINE__, "byte %zu: %s", (size_t)(p.at - p.start), p.wrong);
    if (err) err->reason = pql_rejects[PQL_REJECT_BAD_JSON].word;
    return -1;
}
