#include "app/demo_traffic.h"
#include "base/memory.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum { USERS_MAX = 12, BROKEN_ONE_IN = 4000, NAME_MAX_LEN = 40 };

/* --- what accounts are like --- */

enum profile { QUIET, TRIAL, TEAM, HEAVY, LEAVING, PROFILE_COUNT };

struct habit {
    const char *event;
    unsigned weight;
    const char *property; /* NULL: none */
    unsigned kinds;       /* different values of the property; 0: a number in thousands */
};

static const struct habit everyday[] = {
    {"login", 30, NULL, 0},
    {"message_sent", 20, "channel", 40},
    {"project_created", 9, "template", 6},
    {"document_created", 8, "folder", 12},
    {"saved_query_run", 6, "query", 30},
    {"api_called", 10, "endpoint", 20},
    {"upload", 4, "bytes", 0},
    {"invite_sent", 4, "invitee", 400},
    {"collaborator_invited", 2, "invitee", 400},
    {"integration_connected", 1, "app", 8},
    {"team_invited", 1, NULL, 0},
    {"workflow_built", 2, NULL, 0},
    {"paywall_hit", 1, "feature", 5},
    {"paid_feature_attempted", 1, "feature", 5},
};
enum { HABITS = sizeof(everyday) / sizeof(*everyday) };

static const struct behaviour {
    unsigned share;   /* of all accounts, in hundredths */
    int64_t pause_ms; /* average time between two events of a user */
    unsigned users_max;
    unsigned joins_one_in; /* events until another colleague joins, about */
    int64_t stays_ms;      /* then silence; 0: for good */
} behaviours[PROFILE_COUNT] = {
    [QUIET] = {42, 90 * HOUR, 2, 60, 0},        [TRIAL] = {25, 20 * HOUR, 4, 12, 5 * DAY},
    [TEAM] = {18, 22 * HOUR, USERS_MAX, 7, 0},  [HEAVY] = {8, 9 * HOUR, 6, 20, 0},
    [LEAVING] = {7, 18 * HOUR, 8, 8, 12 * DAY},
};

struct account {
    char id[NAME_MAX_LEN];
    enum profile profile;
    unsigned users;   /* joined */
    unsigned greeted; /* of which the first event was their sign-up */
    bool is_known;    /* its group event was sent */
    int64_t began_ms;
    int64_t next_ms;
};

struct pql_traffic {
    struct pql_traffic_conf conf;
    uint64_t random;
    uint64_t count;
    struct account *accounts;
    size_t *heap; /* indexes of accounts by next_ms, the smallest first */
    size_t heap_count;
};

/* --- chance (splitmix64) --- */

static uint64_t draw(struct pql_traffic *traffic)
{
    uint64_t z = traffic->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t below(struct pql_traffic *traffic, uint64_t limit)
{
    return draw(traffic) % limit;
}

/* Around `average`, mostly shorter and sometimes much longer. */
static int64_t pause(struct pql_traffic *traffic, int64_t average)
{
    uint64_t spread = below(traffic, 100);
    int64_t base = average / 4 + (int64_t)below(traffic, (uint64_t)average);
    return spread < 80 ? base : base * 3;
}

/* --- accounts --- */

static enum profile draw_profile(struct pql_traffic *traffic)
{
    unsigned at = (unsigned)below(traffic, 100), sum = 0;
    for (int i = 0; i < PROFILE_COUNT; i++)
        if (at < (sum += behaviours[i].share)) return (enum profile)i;
    return QUIET;
}

static void name_account(struct pql_traffic *traffic, size_t index, char out[NAME_MAX_LEN])
{
    static const char *const first[] = {"north",  "blue",   "silver", "oak",    "river",  "stone",
                                        "bright", "ember",  "maple",  "harbor", "summit", "cedar",
                                        "lunar",  "copper", "willow", "atlas"};
    static const char *const second[] = {"wind", "field", "works", "bridge", "point", "ware",
                                         "line", "peak",  "gate",  "forge",  "path",  "cast",
                                         "grid", "leaf",  "port",  "craft"};
    static const char *const third[] = {"labs", "inc", "gmbh", "co", "studio", "systems", "health", "energy"};
    snprintf(out, NAME_MAX_LEN, "%s%s-%s-%zu", first[below(traffic, 16)], second[below(traffic, 16)],
             third[below(traffic, 8)], index + 1);
}

/* A third is there from the beginning, the others sign up one after the other. */
static void make_account(struct pql_traffic *traffic, size_t index)
{
    struct account *account = &traffic->accounts[index];
    int64_t span = traffic->conf.to_ms - traffic->conf.from_ms;
    name_account(traffic, index, account->id);
    account->profile = draw_profile(traffic);
    int64_t late = (int64_t)below(traffic, (uint64_t)(span * 3 / 4));
    account->began_ms = traffic->conf.from_ms + (index % 3 == 0 ? late / 30 : late);
    account->next_ms = account->began_ms;
    account->users = 1;
}

static bool is_before(const struct pql_traffic *traffic, size_t a, size_t b)
{
    const struct account *x = &traffic->accounts[traffic->heap[a]], *y = &traffic->accounts[traffic->heap[b]];
    return x->next_ms < y->next_ms || (x->next_ms == y->next_ms && traffic->heap[a] < traffic->heap[b]);
}

static void sink(struct pql_traffic *traffic, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < traffic->heap_count; child++)
            if (is_before(traffic, child, least)) least = child;
        if (least == at) return;
        size_t swap = traffic->heap[at];
        traffic->heap[at] = traffic->heap[least];
        traffic->heap[least] = swap;
        at = least;
    }
}

struct pql_traffic *pql_traffic_new(const struct pql_traffic_conf *conf)
{
    struct pql_traffic *traffic = pql_xcalloc(1, sizeof(*traffic));
    traffic->conf = *conf;
    traffic->random = conf->seed;
    traffic->accounts = pql_xcalloc(conf->accounts, sizeof(*traffic->accounts));
    traffic->heap = pql_xcalloc(conf->accounts, sizeof(*traffic->heap));
    traffic->heap_count = conf->accounts;
    for (size_t i = 0; i < conf->accounts; i++) {
        make_account(traffic, i);
        traffic->heap[i] = i;
    }
    for (size_t i = conf->accounts; i-- > 0;) sink(traffic, i);
    return traffic;
}

void pql_traffic_free(struct pql_traffic *traffic)
{
    if (!traffic) return;
    free(traffic->accounts);
    free(traffic->heap);
    free(traffic);
}

int64_t pql_traffic_next_ms(const struct pql_traffic *traffic)
{
    if (traffic->heap_count == 0) return traffic->conf.to_ms;
    int64_t next_ms = traffic->accounts[traffic->heap[0]].next_ms;
    return next_ms < traffic->conf.to_ms ? next_ms : traffic->conf.to_ms;
}

/* --- records --- */

static void begin(struct pql_traffic *traffic, const char *type, const struct account *account,
                  struct pql_buf *value)
{
    pql_buf_printf(value,
                   "{\"type\":\"%s\",\"event_id\":\"%" PRIx64 "-%" PRIx64 "\",\"occurred_at\":%" PRId64
                   ",\"account_id\":\"%s\"",
                   type, traffic->conf.seed, traffic->count, account->next_ms, account->id);
}

static void write_group(struct pql_traffic *traffic, struct account *account, struct pql_buf *value)
{
    static const char *const plans[] = {"free", "trial", "trial", "starter", "pro"};
    begin(traffic, "group", account, value);
    pql_buf_printf(value, ",\"traits\":{\"plan\":\"%s\",\"size\":%u,\"storage_limit\":%u}}",
                   plans[account->profile == TRIAL ? 1 : below(traffic, 5)],
                   5 + (unsigned)below(traffic, 400), 20000 + 10000 * (unsigned)below(traffic, 8));
    account->is_known = true;
}

static void write_sign_up(struct pql_traffic *traffic, struct account *account, struct pql_buf *value)
{
    static const char *const roles[] = {"member", "member", "member", "admin", "owner"};
    begin(traffic, "identify", account, value);
    pql_buf_printf(value, ",\"user_id\":\"u%u@%s\",\"traits\":{\"role\":\"%s\",\"department\":\"%s\"}}",
                   account->greeted + 1, account->id,
                   account->greeted == 0 ? "owner" : roles[below(traffic, 5)],
                   below(traffic, 2) ? "growth" : "engineering");
    account->greeted++;
}

static const struct habit *draw_habit(struct pql_traffic *traffic)
{
    unsigned total = 0;
    for (size_t i = 0; i < HABITS; i++) total += everyday[i].weight;
    unsigned at = (unsigned)below(traffic, total), sum = 0;
    for (size_t i = 0; i < HABITS; i++)
        if (at < (sum += everyday[i].weight)) return &everyday[i];
    return &everyday[0];
}

static void write_track(struct pql_traffic *traffic, const struct account *account, struct pql_buf *value)
{
    const struct habit *habit = draw_habit(traffic);
    begin(traffic, "track", account, value);
    pql_buf_printf(value, ",\"user_id\":\"u%u@%s\",\"event\":\"%s\"",
                   1 + (unsigned)below(traffic, account->greeted), account->id, habit->event);
    if (habit->property && habit->kinds)
        pql_buf_printf(value, ",\"properties\":{\"%s\":\"%s-%u\"}", habit->property, habit->property,
                       (unsigned)below(traffic, habit->kinds));
    else if (habit->property)
        pql_buf_printf(value, ",\"properties\":{\"%s\":%u}", habit->property,
                       1000 * (1 + (unsigned)below(traffic, 9)));
    pql_buf_text(value, "}");
}

/* What real producers get wrong. */
static void write_broken(struct pql_traffic *traffic, const struct account *account, struct pql_buf *value)
{
    switch (below(traffic, 4)) {
    case 0: pql_buf_text(value, "{\"type\":\"track\",\"event\":\"login\",\"account_id\":\"cut off"); break;
    case 1:
        pql_buf_printf(value, "{\"type\":\"track\",\"account_id\":\"%s\",\"occurred_at\":%" PRId64 "}",
                       account->id, account->next_ms);
        break;
    case 2:
        pql_buf_printf(
            value,
            "{\"type\":\"track\",\"event\":\"login\",\"account_id\":\"%s\",\"occurred_at\":\"yesterday\"}",
            account->id);
        break;
    default:
        pql_buf_printf(value,
                       "{\"type\":\"track\",\"event\":\"login\",\"account_id\":\"%s\",\"user_id\":\"u1@%s\","
                       "\"occurred_at\":%" PRId64 "}",
                       account->id, account->id, traffic->conf.to_ms + 400 * DAY);
    }
}

/* When the account does something next; never again: beyond the end. */
static void schedule(struct pql_traffic *traffic, struct account *account)
{
    const struct behaviour *behaviour = &behaviours[account->profile];
    if (account->greeted < account->users) { /* signing up takes minutes, not days */
        account->next_ms += 1000 + (int64_t)below(traffic, (uint64_t)(20 * MINUTE));
        return;
    }
    account->next_ms += pause(traffic, behaviour->pause_ms / (int64_t)account->users) + 1;
    if (behaviour->stays_ms && account->next_ms > account->began_ms + behaviour->stays_ms)
        account->next_ms = INT64_MAX;
    if (account->users < behaviour->users_max && below(traffic, behaviour->joins_one_in) == 0)
        account->users++;
}

bool pql_traffic_write(struct pql_traffic *traffic, struct pql_buf *key, struct pql_buf *value)
{
    if (pql_traffic_next_ms(traffic) >= traffic->conf.to_ms) return false;
    struct account *account = &traffic->accounts[traffic->heap[0]];
    key->len = value->len = 0;
    traffic->count++;
    pql_buf_text(key, account->id);
    if (!account->is_known)
        write_group(traffic, account, value);
    else if (account->greeted < account->users)
        write_sign_up(traffic, account, value);
    else if (below(traffic, BROKEN_ONE_IN) == 0)
        write_broken(traffic, account, value);
    else
        write_track(traffic, account, value);
    schedule(traffic, account);
    sink(traffic, 0);
    return true;
}
