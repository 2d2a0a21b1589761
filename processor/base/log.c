#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const pql_log_level_names[PQL_LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

static _Atomic int log_level = PQL_LOG_INFO;

void pql_log_set_level(enum pql_log_level level)
{
    atomic_store(&log_level, (int)level);
}
bool pql_log_wants(enum pql_log_level level)
{
    return (int)level >= atomic_load(&log_level);
}

struct line {
    char *out;
    size_t len;
    bool cut;
};

/* Room for the mark of a cut line and the newline is always kept. */
enum { LINE_ROOM = PQL_LOG_LINE_MAX - 4 };

static void put(struct line *line, const char *bytes, size_t len)
{
    if (line->cut) return;
    if (len > LINE_ROOM - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->out + line->len, bytes, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static bool is_bare(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
    }
    return len > 0;
}

/* A newline inside a value must never begin a line of its own: everything below a space is escaped. */
static void put_value(struct line *line, const char *text, size_t len)
{
    if (is_bare(text, len)) {
        put(line, text, len);
        return;
    }
    put(line, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char escaped[8];
        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (c == '\n')
            snprintf(escaped, sizeof escaped, "\\n");
        else if (c < ' ' || c == 0x7f)
            snprintf(escaped, sizeof escaped, "\\x%02x", c);
        else
            snprintf(escaped, sizeof escaped, "%c", c);
        put_text(line, escaped);
    }
    put(line, "\"", 1);
}

/* One conversion of printf. */
struct conversion {
    int precision;        /* -1: none */
    bool precision_given; /* by an argument */
    char modifier;        /* 0, 'l', 'L' (ll), 'z', 'j' */
    char type;
};

static const char *parse_conversion(const char *at, struct conversion *conversion)
{
    *conversion = (struct conversion){.precision = -1};
    if (*at == '.') {
        at++;
        conversion->precision = 0;
        conversion->precision_given = *at == '*';
        if (*at == '*') at++;
        while (*at >= '0' && *at <= '9') conversion->precision = conversion->precision * 10 + (*at++ - '0');
    }
    while (*at == 'l' || *at == 'z' || *at == 'j')
        conversion->modifier = conversion->modifier == 'l' ? 'L' : *at, at++;
    conversion->type = *at;
    return *at ? at + 1 : at;
}

/* va_list is handed by pointer, since each conversion takes its own arguments from it. */
struct arguments {
    va_list list;
};

static long long take_signed(struct arguments *args, char modifier)
{
    switch (modifier) {
    case 'l': return va_arg(args->list, long);
    case 'L': return va_arg(args->list, long long);
    case 'z': return (long long)va_arg(args->list, size_t);
    case 'j': return (long long)va_arg(args->list, intmax_t);
    default: return va_arg(args->list, int);
    }
}

static unsigned long long take_unsigned(struct arguments *args, char modifier)
{
    return modifier ? (unsigned long long)take_signed(args, modifier) : va_arg(args->list, unsigned);
}

static void put_string(struct line *line, const struct conversion *conversion, struct arguments *args)
{
    int max = conversion->precision_given ? va_arg(args->list, int) : conversion->precision;
    const char *text = va_arg(args->list, const char *);
    if (!text) text = "";
    put_value(line, text, max >= 0 ? strnlen(text, (size_t)max) : strlen(text));
}

static void put_conversion(struct line *line, const struct conversion *conversion, struct arguments *args)
{
    char text[64] = "";
    switch (conversion->type) {
    case 's': put_string(line, conversion, args); return;
    case 'd':
    case 'i': snprintf(text, sizeof text, "%lld", take_signed(args, conversion->modifier)); break;
    case 'u': snprintf(text, sizeof text, "%llu", take_unsigned(args, conversion->modifier)); break;
    case 'x': snprintf(text, sizeof text, "%llx", take_unsigned(args, conversion->modifier)); break;
    case 'c': {
        char c = (char)va_arg(args->list, int);
        put_value(line, &c, 1);
        return;
    }
    case 'f':
    case 'g':
        snprintf(text, sizeof text, conversion->type == 'f' ? "%.*f" : "%.*g",
                 conversion->precision < 0 ? 6 : conversion->precision, va_arg(args->list, double));
        break;
    case '%': put_text(line, "%"); return;
    default: PQL_ASSERT(!"a conversion that log.h does not name");
    }
    put_text(line, text);
}

static void put_fields(struct line *line, const char *fields, struct arguments *args)
{
    const char *at = fields;
    while (*at) {
        size_t plain = strcspn(at, "%");
        put(line, at, plain);
        at += plain;
        if (!*at) break;
        struct conversion conversion;
        at = parse_conversion(at + 1, &conversion);
        put_conversion(line, &conversion, args);
    }
}

static void put_time(struct line *line, int64_t ts_ms)
{
    time_t seconds = (time_t)(ts_ms / 1000);
    struct tm tm;
    char text[48] = "";
    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof text - len, ".%03dZ", (int)(ts_ms % 1000));
    put_text(line, text);
}

size_t pql_log_line(char out[PQL_LOG_LINE_MAX], int64_t ts_ms, enum pql_log_level level, const char *msg,
                    const char *fields, va_list args)
{
    struct line line = {.out = out};
    struct arguments arguments;
    va_copy(arguments.list, args);
    put_text(&line, "ts=");
    put_time(&line, ts_ms);
    put_text(&line, " level=");
    put_text(&line, pql_log_level_names[level]);
    put_text(&line, " msg=");
    put_value(&line, msg, strlen(msg));
    if (*fields) put_text(&line, " ");
    put_fields(&line, fields, &arguments);
    va_end(arguments.list);
    if (line.cut) {
        memcpy(out + line.len, "…", sizeof "…" - 1);
        line.len += sizeof "…" - 1;
    }
    out[line.len++] = '\n';
    return line.len;
}

static void write_line(enum pql_log_level level, const char *msg, const char *fields, va_list args)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char line[PQL_LOG_LINE_MAX];
    size_t len =
        pql_log_line(line, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, level, msg, fields, args);
    /* One write per line, so that lines of several threads do not mix. A log that cannot be written is no
     * error. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

void pql_log(enum pql_log_level level, const char *msg, const char *fields, ...)
{
    if (!pql_log_wants(level)) return;
    va_list args;
    va_start(args, fields);
    write_line(level, msg, fields, args);
    va_end(args);
}

static void log_plain(enum pql_log_level level, const char *msg, ...)
{
    va_list args;
    va_start(args, msg);
    write_line(level, msg, "", args);
    va_end(args);
}

void pql_log_text(enum pql_log_level level, const char *msg)
{
    if (pql_log_wants(level)) log_plain(level, msg);
}

bool pql_log_allow(struct pql_log_site *site, int64_t now_ms, uint32_t *dropped)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!site->started || now_ms - site->window_ms >= PQL_LOG_WINDOW_MS || now_ms < site->window_ms) {
        site->started = true;
        site->window_ms = now_ms;
        site->lines = 0;
    }
    bool allowed = site->lines < PQL_LOG_BURST;
    *dropped = allowed ? site->dropped : 0;
    if (allowed) {
        site->lines++;
        site->dropped = 0;
    } else {
        site->dropped++;
    }
    pthread_mutex_unlock(&lock);
    return allowed;
}
