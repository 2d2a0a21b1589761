#include "io/config_syntax.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A bracket that is open. The text as a whole is a group without one. */
struct open {
    char bracket;
    const char *at;
    bool has_value; /* behind a setting or element, before what separates it from the next */
    size_t names;   /* of those before */
};

struct syntax {
    const struct pql_config_text *text;
    struct pql_diags *diags;
    const char *at, *end;
    struct open stack[PQL_CONFIG_DEPTH_MAX];
    size_t depth;
    struct pql_slice *names; /* of the groups that are open */
    size_t names_count, names_capacity;
};

static bool fault(struct syntax *s, const char *at, size_t span, const char *format, ...) PQL_PRINTF(4, 5);
static bool fault(struct syntax *s, const char *at, size_t span, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct pql_config_spot spot = pql_config_text_spot(s->text, at);
    pql_diag_place(s->diags, PQL_SEVERITY_ERROR, spot.file, spot.line, spot.column, span, "%s", text);
    return true;
}

static int line_of(const struct syntax *s, const char *at)
{
    return pql_config_text_spot(s->text, at).line;
}

static char closing_of(char bracket)
{
    return (char)(bracket == '{' ? '}' : bracket == '(' ? ')' : ']');
}

static bool is_group(const struct open *open)
{
    return open->bracket == '{';
}

/* Up to what cannot be part of a number or word. */
static size_t token_len(const struct syntax *s)
{
    size_t len = 0;
    while (s->at + len < s->end && !isspace((unsigned char)s->at[len]) && !strchr(",;=(){}[]\"", s->at[len]))
        len++;
    return len;
}

static bool is_number(struct pql_slice token)
{
    size_t i = token.len && (token.ptr[0] == '-' || token.ptr[0] == '+'), digits = 0;
    bool is_hex = token.len - i > 2 && token.ptr[i] == '0' && (token.ptr[i + 1] | 0x20) == 'x';
    if (is_hex) i += 2;
    for (; i < token.len; i++) {
        bool is_digit = is_hex ? isxdigit((unsigned char)token.ptr[i]) : isdigit((unsigned char)token.ptr[i]);
        if (!is_digit && !strchr(".eE+-Ll", token.ptr[i])) return false;
        digits += is_digit;
    }
    return digits > 0;
}

static bool is_word(struct pql_slice token)
{
    static const char *const words[] = {"true", "false"};
    for (size_t w = 0; w < 2; w++) {
        size_t i = 0;
        while (i < token.len && words[w][i] && (token.ptr[i] | 0x20) == words[w][i]) i++;
        if (i == token.len && !words[w][i]) return true;
    }
    return false;
}

/* True: a fault, and said. */
static bool take_scalar(struct syntax *s)
{
    const char *from, *to;
    if (*s->at == '"') {
        while (pql_config_next_string(&s->at, s->end, &from, &to)) continue;
        return false;
    }
    struct pql_slice token = {s->at, token_len(s)};
    if (!token.len) return fault(s, s->at, 1, "a value is expected here, but '%c' was found", *s->at);
    if (!is_number(token) && !is_word(token))
        return fault(s, token.ptr, token.len,
                     "'%.*s' is no value: a text stands in double quotes, else it is a number, true or false",
                     PQL_SLICE_ARG(token));
    s->at += token.len;
    return false;
}

static bool take_value(struct syntax *s)
{
    struct open *open = &s->stack[s->depth];
    s->at = pql_config_skip_space(s->at, s->end);
    if (s->at >= s->end) return false;
    if (!strchr("{([", *s->at)) {
        open->has_value = true;
        return take_scalar(s);
    }
    if (open->bracket == '[')
        return fault(s, s->at, 1, "[ … ] holds texts and numbers; groups stand in a list ( … )");
    if (s->depth + 1 == PQL_CONFIG_DEPTH_MAX)
        return fault(s, s->at, 1, "groups and lists are nested more than %d deep", PQL_CONFIG_DEPTH_MAX - 1);
    s->stack[++s->depth] = (struct open){*s->at, s->at, false, s->names_count};
    s->at++;
    return false;
}

static bool close_bracket(struct syntax *s)
{
    const struct open *open = &s->stack[s->depth];
    if (s->depth == 0) return fault(s, s->at, 1, "this '%c' closes nothing", *s->at);
    if (*s->at != closing_of(open->bracket))
        return fault(s, s->at, 1, "a '%c' for the '%c' of line %d is missing before this '%c'",
                     closing_of(open->bracket), open->bracket, line_of(s, open->at), *s->at);
    s->names_count = open->names;
    s->depth--;
    s->stack[s->depth].has_value = true;
    s->at++;
    return false;
}

static bool check_twice(struct syntax *s, struct pql_slice name)
{
    for (size_t i = s->stack[s->depth].names; i < s->names_count; i++)
        if (pql_slice_eq(s->names[i], name))
            return fault(s, name.ptr, name.len, "'%.*s' is given twice; the first is on line %d",
                         PQL_SLICE_ARG(name), line_of(s, s->names[i].ptr));
    s->names = pql_xgrow(s->names, &s->names_capacity, s->names_count + 1, sizeof *s->names);
    s->names[s->names_count++] = name;
    return false;
}

static bool take_setting(struct syntax *s)
{
    size_t len = 0;
    while (s->at + len < s->end && pql_config_is_name_byte(s->at[len])) len++;
    if (!len || (!isalpha((unsigned char)*s->at) && *s->at != '*'))
        return fault(s, s->at, 1,
                     "a setting is expected here, as in name = value; a text inside a condition stands in "
                     "single quotes");
    struct pql_slice name = {s->at, len};
    if (check_twice(s, name)) return true;
    s->at = pql_config_skip_space(s->at + len, s->end);
    bool is_setting = s->at < s->end && (*s->at == '=' || *s->at == ':');
    if (!is_setting && s->stack[s->depth].has_value)
        return fault(s, name.ptr, len,
                     "'%.*s' does not belong here: a text inside a condition stands in single quotes, and a "
                     "setting ends with ';'",
                     PQL_SLICE_ARG(name));
    if (!is_setting)
        return fault(s, name.ptr, len, "'=' and a value are missing after '%.*s'", PQL_SLICE_ARG(name));
    s->at = pql_config_skip_space(s->at + 1, s->end);
    if (s->at >= s->end || strchr(";,})]", *s->at))
        return fault(s, name.ptr, len, "the value of '%.*s' is missing", PQL_SLICE_ARG(name));
    return take_value(s);
}

static bool take_separator(struct syntax *s)
{
    struct open *open = &s->stack[s->depth];
    if (*s->at == ';' && !is_group(open))
        return fault(s, s->at, 1, "the elements of a list are separated by ',', not by ';'");
    if (!open->has_value) return fault(s, s->at, 1, "nothing stands before this '%c'", *s->at);
    open->has_value = false;
    s->at++;
    return false;
}

static bool take_next(struct syntax *s)
{
    const struct open *open = &s->stack[s->depth];
    if (strchr("})]", *s->at)) return close_bracket(s);
    if (strchr(";,", *s->at)) return take_separator(s);
    if (is_group(open)) return take_setting(s);
    if (open->has_value) return fault(s, s->at, 1, "a ',' is missing before this");
    return take_value(s);
}

bool pql_config_syntax_say(const struct pql_config_text *text, struct pql_diags *diags)
{
    struct pql_slice bytes = pql_config_text_bytes(text);
    struct syntax s = {.text = text, .diags = diags, .at = bytes.ptr, .end = bytes.ptr + bytes.len};
    s.stack[0].bracket = '{';
    bool is_said = false;
    while (!is_said) {
        s.at = pql_config_skip_space(s.at, s.end);
        if (s.at >= s.end) break;
        is_said = take_next(&s);
    }
    if (!is_said && s.depth) {
        const struct open *open = &s.stack[s.depth];
        is_said = fault(&s, open->at, 1, "this '%c' is never closed", open->bracket);
    }
    free(s.names);
    return is_said;
}
