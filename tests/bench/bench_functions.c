/* What each function costs: time per event and bytes per subject, beside what it is meant to keep; then how
 * that grows with definitions that an event does not touch, with users of an account, and with different
 * values of one. Each run's transitions are checked by their digest.
 *
 *   bench_functions [--events N] [--functions | --definitions | --users | --values]
 *
 * One line of JSON a figure; of 100,000 and of 1,000,000 events with the digest that is right. */
#include "bench/source.h"
#include "core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Events of 30 days: account i % ACCOUNTS, x twice and y once of three, ten users each, p of 0 … 99.99, s of
 * 20 texts. */
enum { ACCOUNTS = 5000, NAME_MAX_BYTES = 160, DEFINITIONS_MAX = 1001 };
static const int64_t begin_ms = INT64_C(1767225600000), span_ms = INT64_C(30) * 86400000;

enum { DAY_MS = 86400000 };
static const struct row {
    const char *qualify; /* or, with half_life_ms, the number of an item whose score must reach `bar` */
    const char *figure;  /* bytes meant to be kept; n: occurrences in the window, k: how many are wanted */
    uint64_t digests[2]; /* of 100,000 and of 1,000,000 events */
    int64_t half_life_ms, bar;
} rows[] = {
    {"count(never, 7d) >= 1", "0", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"count(x, ever) >= 100", "4", {0x0000000000000000, 0xcb6d066242216f66}, 0, 0},
    {"sum(x.p, ever) >= 5000", "16", {0x0000000000000000, 0x819b7b7bc459ee6a}, 0, 0},
    {"ever(x)", "8 or 16", {0xc6af72cc0ced84bb, 0x71c8d2237964ea03}, 0, 0},
    {"since(x) > 2d", "8 or 16", {0x1483cf1e5e24d807, 0x0000000000000000}, 0, 0},
    {"nth(x, 3) > first_time(y)", "8 n = 24, and 16", {0x1a7cd3595b1b444d, 0xe40c4c2600acf234}, 0, 0},
    {"count(x, 7d) >= 45", "8 n = 250, at most 8 k = 400", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"count(x, 7d) * 1 >= 45", "8 n = 250", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"3 * count(x, 7d) < count(x, prev 7d)",
     "8 in 2 W = 500",
     {0x418d581c1496c956, 0x0000000000000000},
     0,
     0},
    {"sum(x.p, 7d) >= 2700", "16 n = 500", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"avg(x.p, 7d) >= 75", "16 n = 500", {0x37dbc63fe6f6cf2c, 0x3086f013be5675a1}, 0, 0},
    {"max(x.p, 7d) >= 99", "16 per candidate", {0xb74219fede249c95, 0xe96b5192de9837d8}, 0, 0},
    {"latest(x.s) = 's3'", "16 + value", {0xca500b7669d2eb81, 0xf7cefc3db19e5df6}, 0, 0},
    {"latest(x.p, 7d) > 90", "16 + value", {0xa818de4e791e66e2, 0x6850c3f3682e373c}, 0, 0},
    {"earliest(x.s) = 's3'", "16 + value", {0x804c323e9848a7d4, 0x893f49015ff3adfd}, 0, 0},
    {"usage(x.p, 99) >= 1", "16 + value", {0xb3c11bf97d8e9650, 0x8e30fcca1cb41f21}, 0, 0},
    {"distinct(x.s, 7d) >= 17", "32 k = 640", {0x0000000000000000, 0x7130d1486b3272c5}, 0, 0},
    {"distinct(x.p, 7d) >= 45", "32 n = 1,000, at most 32 k", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"distinct(x.p, ever) >= 50", "8 k = 400", {0x0000000000000000, 0xf52f67208aab0e7f}, 0, 0},
    {"distinct(x.p, ever) * 1 >= 130", "8 k = 1,070", {0x0000000000000000, 0xae08f04f230e8857}, 0, 0},
    {"days(any, 14d) >= 14", "12 k = 168", {0x0000000000000000, 0x6554de8d3644fe3b}, 0, 0},
    {"weeks(any, 28d) >= 4", "12 k = 60", {0x181c3bc4c43c2adf, 0x737cdf553b3650b8}, 0, 0},
    {"months(any, 60d) >= 2", "12 k = 24", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"streak(any) >= 7", "16", {0x0000000000000000, 0xfec933b5fca4ec42}, 0, 0},
    {"count(x, today) >= 12", "4 + 4", {0x0000000000000000, 0x0000000000000000}, 0, 0},
    {"sum(x.p, this week) >= 1500", "16 + 4", {0x0000000000000000, 0x4c061cb7724438d1}, 0, 0},
    {"count(x, first 7d) >= 30", "8 n = 250, then 4 to 8", {0x0000000000000000, 0x7ab2e066c4585505}, 0, 0},
    {"sequence(y then x, 1d)", "16 (m - 1) + 8 = 24", {0x0000000000000000, 0xcb9823c521c97b9e}, 0, 0},
    {"sequence(y then x then y by s within 12h)",
     "16 (m - 1) + 24 per open value",
     {0x0000000000000000, 0x0000000000000000},
     0,
     0},
    {"age() > 3d", "9", {0x3e10343e8d0c59dc, 0xa00722faefff9386}, 0, 0},
    {"count(x, 7d)", "16 n = 500", {0x0000000000000000, 0x0000000000000000}, 7 * DAY_MS, 30},
    {"sum(x.p, ever)", "12 per step", {0x0000000000000000, 0x0000000000000000}, 7 * DAY_MS, 3000},
    {"days(any, 14d)", "12 k = 168", {0x0000000000000000, 0x0000000000000000}, 7 * DAY_MS, 12},
    {"users(count(x, 7d) >= 9) >= 3",
     "per user 8 n = 25, and a bit",
     {0x0000000000000000, 0x0000000000000000},
     0,
     0},
};
enum { ROWS = sizeof rows / sizeof *rows };

struct made {
    struct pql_program_conf conf;
    struct pql_definition_conf definitions[DEFINITIONS_MAX];
    char texts[DEFINITIONS_MAX][NAME_MAX_BYTES], names[DEFINITIONS_MAX][16];
    struct pql_item_conf item;
    struct pql_program *program;
};

struct measured {
    double ns;    /* per event */
    double bytes; /* per account */
    uint64_t records, digest;
};

static void count(void *context, const struct pql_record *record)
{
    struct measured *m = context;
    m->records++;
    m->digest += source_hash(record->account_id, record->transition == PQL_ENTERED, record->occurred_at);
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void define(struct made *made, const char *qualify)
{
    size_t i = made->conf.definitions_count++;
    snprintf(made->names[i], sizeof made->names[i], "d%zu", i);
    snprintf(made->texts[i], sizeof made->texts[i], "%s", qualify);
    made->definitions[i] = (struct pql_definition_conf){.name = pql_slice_of(made->names[i]),
                                                        .subject = PQL_SUBJECT_ACCOUNT,
                                                        .version = 1,
                                                        .qualify.text = pql_slice_of(made->texts[i])};
}

/* A score of one item that decays. */
static void define_score(struct made *made, const struct row *row)
{
    char bar[32];
    struct pql_definition_conf *conf = &made->definitions[made->conf.definitions_count];
    snprintf(bar, sizeof bar, "score >= %d", (int)row->bar);
    define(made, bar);
    made->item =
        (struct pql_item_conf){.points = {.value = PQL_DECIMAL_ONE, .source.text = PQL_SLICE_LITERAL("1")},
                               .per.text = pql_slice_of(row->qualify),
                               .half_life_ms = row->half_life_ms};
    conf->score = &made->item;
    conf->score_count = 1;
}

static struct made *made_new(void)
{
    struct made *made = calloc(1, sizeof *made);
    if (!made) abort();
    made->conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("bench"),
                                           .settings = pql_settings_default(),
                                           .definitions = made->definitions};
    return made;
}

static void build(struct made *made)
{
    struct pql_diags diags;
    pql_diags_init(&diags);
    made->program = pql_program_new(&made->conf, &diags);
    if (!made->program) {
        pql_diags_print(&diags, stderr);
        exit(1);
    }
    pql_diags_deinit(&diags);
}

static void made_free(struct made *made)
{
    pql_program_free(made->program);
    free(made);
}

/* What an event says is made as it comes; `over none` takes that out of the figure. */
static void apply(struct pql_engine *engine, const struct pql_program *program, uint64_t i, uint64_t events,
                  uint32_t accounts, uint32_t users)
{
    static const char *const names[] = {"x", "y", "x"};
    const struct pql_names *asked = pql_program_names(program);
    uint64_t random = (i * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    struct pql_value properties[4] = {{0}};
    char account[16], user[16], text[8];
    int account_len = snprintf(account, sizeof account, "a%u", (unsigned)(i % accounts));
    int user_len = snprintf(user, sizeof user, "u%u", (unsigned)(random % users));
    snprintf(text, sizeof text, "s%u", (unsigned)(random / 16 % 20));
    for (size_t p = 0; p < asked->properties_count && p < 4; p++)
        properties[p] = pql_slice_is(asked->properties[p], "s")
                            ? pql_text(pql_slice_of(text))
                            : pql_number((pql_decimal)(random % 10000) * (PQL_DECIMAL_ONE / 100));
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(names[random / 7 % 3]),
                              .account = {account, (size_t)account_len},
                              .user = {user, (size_t)user_len},
                              .time_ms = begin_ms + (int64_t)((double)i * ((double)span_ms / (double)events)),
                              .properties = properties,
                              .offset = (int64_t)i};
    (void)pql_engine_apply(engine, &event);
}

static struct measured measure(const struct made *made, uint64_t events, uint32_t accounts, uint32_t users)
{
    struct measured m = {0};
    struct pql_engine *engine = pql_engine_new(made->program, count, &m);
    double begin = cpu_seconds();
    for (uint64_t i = 0; i < events; i++) apply(engine, made->program, i, events, accounts, users);
    m.ns = (cpu_seconds() - begin) * 1e9 / (double)events;
    m.bytes = (double)pql_engine_bytes(engine) / (double)accounts;
    pql_engine_free(engine);
    return m;
}

/* One account, an event x a minute, of so many values in turn or at random. */
static struct measured measure_values(const struct made *made, uint64_t events, uint32_t values)
{
    struct measured m = {0};
    struct pql_engine *engine = pql_engine_new(made->program, count, &m);
    double begin = cpu_seconds();
    for (uint64_t i = 0; i < events; i++) {
        uint64_t random = (i * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
        struct pql_value p = pql_number((pql_decimal)(random % values) * PQL_DECIMAL_ONE);
        struct pql_event event = {.kind = PQL_EVENT_TRACK,
                                  .name = PQL_SLICE_LITERAL("x"),
                                  .account = PQL_SLICE_LITERAL("a"),
                                  .user = PQL_SLICE_LITERAL("u"),
                                  .time_ms = begin_ms + (int64_t)(i * 1000),
                                  .properties = &p,
                                  .offset = (int64_t)i};
        (void)pql_engine_apply(engine, &event);
    }
    m.ns = (cpu_seconds() - begin) * 1e9 / (double)events;
    m.bytes = (double)pql_engine_bytes(engine);
    pql_engine_free(engine);
    return m;
}

static void put_json(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

/* One line. digests: of 100,000 and of 1,000,000 events; NULL: not known. */
static bool tell(const char *group, const char *name, const struct measured *m, const char *more,
                 uint64_t events, const uint64_t *digests)
{
    printf("{\"group\": \"%s\", \"name\": ", group);
    put_json(name);
    printf(", \"ns\": %.1f, %s, \"events\": %llu, \"records\": %llu, \"digest\": \"%016llx\"", m->ns, more,
           (unsigned long long)events, (unsigned long long)m->records, (unsigned long long)m->digest);
    bool is_known = digests && (events == 100000 || events == 1000000);
    uint64_t expected = is_known ? digests[events == 1000000] : m->digest;
    if (is_known) printf(", \"expected\": \"%016llx\"", (unsigned long long)expected);
    puts("}");
    fflush(stdout);
    return expected == m->digest;
}

static bool functions(uint64_t events)
{
    struct measured none = {0};
    bool is_right = true;
    for (size_t i = 0; i < ROWS; i++) {
        struct made *made = made_new();
        char name[64], more[160];
        snprintf(name, sizeof name, "%s%s", rows[i].qualify,
                 rows[i].half_life_ms ? ", half of it in 7d" : "");
        if (rows[i].half_life_ms)
            define_score(made, &rows[i]);
        else
            define(made, rows[i].qualify);
        build(made);
        struct measured m = measure(made, events, ACCOUNTS, 10);
        if (i == 0) none = m;
        snprintf(more, sizeof more, "\"over_ns\": %.1f, \"account_bytes\": %.1f, \"meant\": \"%s\"",
                 m.ns - none.ns, m.bytes - none.bytes, rows[i].figure);
        is_right &= tell("functions", name, &m, more, events, rows[i].digests);
        made_free(made);
    }
    return is_right;
}

/* Of so many definitions an event touches three at most; the others listen to names that do not come. */
static bool definitions(uint64_t events)
{
    static const struct {
        int count;
        uint64_t digests[2];
    } sizes[] = {{1, {0x0000000000000000, 0x0000000000000000}},
                 {10, {0x0000000000000000, 0x6554de8d3644fe3b}},
                 {100, {0x0000000000000000, 0x6554de8d3644fe3b}},
                 {1000, {0x0000000000000000, 0x6554de8d3644fe3b}}};
    bool is_right = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct made *made = made_new();
        static const char *const touched[] = {"count(x, 7d) >= 45", "days(any, 14d) >= 14",
                                              "sum(y.p, 7d) >= 1600"};
        char name[64], more[64];
        for (int d = 0; d < sizes[i].count; d++) {
            char text[NAME_MAX_BYTES];
            snprintf(text, sizeof text, "count(other_%d, 7d) >= 2 and distinct(another_%d.s, 7d) >= 3", d, d);
            define(made, d < 3 ? touched[d] : text);
        }
        build(made);
        struct measured m = measure(made, events, ACCOUNTS, 10);
        snprintf(name, sizeof name, "%d definitions, of which an event touches three", sizes[i].count);
        snprintf(more, sizeof more, "\"account_bytes\": %.1f", m.bytes);
        is_right &= tell("definitions", name, &m, more, events, sizes[i].digests);
        made_free(made);
    }
    return is_right;
}

/* The same events of accounts with so many users. */
static bool users(uint64_t events)
{
    static const struct {
        uint32_t accounts, users;
        uint64_t digests[2];
    } sizes[] = {{100000, 1, {0x0000000000000000, 0x0000000000000000}},
                 {100, 1000, {0x0f8d8401765d2b65, 0xbfde6cae8c12d87a}},
                 {1, 100000, {0xe313d00c1d61884a, 0xd60ffa08f582a87a}}};
    bool is_right = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct made *made = made_new();
        define(made, "users(count(x, 7d) >= 2) >= 3");
        build(made);
        struct measured m = measure(made, events, sizes[i].accounts, sizes[i].users);
        char name[96], more[64];
        snprintf(name, sizeof name, "users(count(x, 7d) >= 2) >= 3, accounts x users %u x %u",
                 (unsigned)sizes[i].accounts, (unsigned)sizes[i].users);
        snprintf(more, sizeof more, "\"user_bytes\": %.1f", m.bytes / (double)sizes[i].users);
        is_right &= tell("users", name, &m, more, events, sizes[i].digests);
        made_free(made);
    }
    return is_right;
}

/* Events of so many different values, of one account each. */
static bool values(uint64_t events)
{
    static const char *const conditions[] = {
        "distinct(x.p, 7d) * 1 < 0",         "distinct(x.p, ever) * 1 < 0",
        "distinct(x.p, first 30d) * 1 < 0",  "sequence(x then y by p, 7d)",
        "sequence(x then y by p within 7d)", "sequence(x then y by p)",
        "sequence(x then y by p, first 30d)"};
    static const uint32_t sizes[] = {10, 100, 1000, 10000};
    enum { CONDITIONS = sizeof conditions / sizeof *conditions, SIZES = sizeof sizes / sizeof *sizes };
    static const uint64_t nobody[2] = {0, 0};
    bool is_right = true;
    for (size_t c = 0; c < CONDITIONS; c++) {
        for (size_t s = 0; s < SIZES; s++) {
            struct made *made = made_new();
            char name[96], more[64];
            define(made, conditions[c]);
            made->conf.settings.exact_max = 10000;
            build(made);
            struct measured m = measure_values(made, events, sizes[s]);
            snprintf(name, sizeof name, "%s, %u different values", conditions[c], (unsigned)sizes[s]);
            snprintf(more, sizeof more, "\"bytes_each\": %.1f", m.bytes / (double)sizes[s]);
            is_right &= tell("values", name, &m, more, events, nobody);
            made_free(made);
        }
    }
    return is_right;
}

int main(int argc, char **argv)
{
    uint64_t events = 1000000;
    bool all = true, is_right = true;
    const char *only = "";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--events") && i + 1 < argc)
            events = strtoull(argv[++i], NULL, 10);
        else
            only = argv[i], all = false;
    }
    if (!events || (!all && strcmp(only, "--functions") && strcmp(only, "--definitions") &&
                    strcmp(only, "--users") && strcmp(only, "--values"))) {
        fputs("usage: bench_functions [--events N] [--functions | --definitions | --users | --values]\n",
              stderr);
        return 2;
    }
    if (all || !strcmp(only, "--functions")) is_right &= functions(events);
    if (all || !strcmp(only, "--definitions")) is_right &= definitions(events);
    if (all || !strcmp(only, "--users")) is_right &= users(events);
    if (all || !strcmp(only, "--values")) is_right &= values(events / 10);
    return is_right ? 0 : 1;
}
