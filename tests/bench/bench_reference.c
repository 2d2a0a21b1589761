/* What the reference job's transitions are, by a second implementation that shares only the events' source
 * with the engine: plain, with every event of the window kept. Prints how many entered and left, and their
 * digest.
 *
 *   bench_reference [--seed N] [--events N] [--span MS] [--count N] [--accounts N] [--users N] [--uniform]
 * [--ordered]
 *                   [--partitions P | --own]
 *
 * The condition: in the last 14 days five project_created, three users with an invite_sent, five days with an
 * event. Without more it is a function of event time alone: evaluated once at each instant of an event and 14
 * days after it, up to the last event. --partitions: events in the order of the source, as P tasks with a
 * clock each take them that wait for nothing; who falls by time falls at that instant. --own: an account's
 * clock is its own newest event, and nothing happens without an event (what is easily written on Kafka
 * Streams). */
#include "bench/source.h"
#include "core/partition.h"

#include <stdio.h>
#include <stdlib.h>

enum { CREATED, INVITED, DAY_MS = 86400000 };
static const int64_t window_ms = INT64_C(14) * DAY_MS;

struct item {
    int64_t time_ms;
    uint32_t user; /* 0: none; else its number and one */
    uint8_t name;
};

struct account {
    struct item *items;
    uint32_t count, capacity, task;
    bool is_in;
    int64_t seen_ms;
    char key[12];
};

struct answer {
    uint64_t entered, left, digest;
};

struct job {
    struct source source;
    uint32_t partitions; /* 0: by event time alone */
    bool is_own;
};

static void *checked(void *memory)
{
    if (!memory) abort();
    return memory;
}

static void keep(struct account *account, const struct source_event *event)
{
    if (account->count == account->capacity) {
        account->capacity = account->capacity ? 2 * account->capacity : 4;
        account->items = checked(realloc(account->items, account->capacity * sizeof *account->items));
    }
    account->items[account->count++] =
        (struct item){event->time_ms, event->user_len ? source_user_number(event) + 1 : 0, event->name};
}

static void tell(struct answer *answer, struct account *account, bool is_in, int64_t at)
{
    account->is_in = is_in;
    *(is_in ? &answer->entered : &answer->left) += 1;
    answer->digest += source_hash((struct pql_slice){account->key, sizeof account->key}, is_in, at);
}

/* Over items whose time is in (now - 14 d, now]; others may be among them. */
static bool holds(const struct item *items, uint32_t count, int64_t now)
{
    uint32_t created = 0, users[3], users_count = 0, days_count = 0;
    uint64_t days = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct item *item = &items[i];
        if (item->time_ms <= now - window_ms || item->time_ms > now) continue;
        created += item->name == CREATED;
        days |= UINT64_C(1) << (item->time_ms / DAY_MS - (now - window_ms) / DAY_MS);
        if (item->name != INVITED || !item->user || users_count == 3) continue;
        uint32_t u = 0;
        while (u < users_count && users[u] != item->user) u++;
        if (u == users_count) users[users_count++] = item->user;
    }
    for (; days; days &= days - 1) days_count++;
    return created >= 5 && users_count >= 3 && days_count >= 5;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct item *)a)->time_ms, y = ((const struct item *)b)->time_ms;
    return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* --- by event time alone --- */

/* What the window holds, counted as it moves, since an account may have a million events. */
struct window {
    uint32_t created, users, days;
    uint32_t *of_user; /* invites of each */
    uint32_t of_day[64];
};

static void count_in(struct window *window, const struct item *item, int64_t first_ms, bool is_in)
{
    uint32_t by = is_in ? 1 : UINT32_MAX;
    uint32_t *day = &window->of_day[(item->time_ms / DAY_MS - first_ms / DAY_MS) % 64];
    window->days -= *day > 0;
    *day += by;
    window->days += *day > 0;
    if (item->name == CREATED) window->created += by;
    if (item->name != INVITED || !item->user) return;
    uint32_t *user = &window->of_user[item->user];
    window->users -= *user > 0;
    *user += by;
    window->users += *user > 0;
}

static void fold_whole(struct account *account, uint32_t users, int64_t end_ms, struct answer *answer)
{
    uint32_t n = account->count, from = 0, to = 0;
    if (!n) return;
    struct item *items = account->items;
    qsort(items, n, sizeof *items, by_time);
    int64_t *instants = checked(malloc(2 * n * sizeof *instants));
    for (uint32_t i = 0; i < n; i++) {
        instants[2 * i] = items[i].time_ms;
        instants[2 * i + 1] = items[i].time_ms + window_ms;
    }
    qsort(instants, 2 * n, sizeof *instants, by_value);
    struct window window = {.of_user = checked(calloc(users + 1, sizeof *window.of_user))};
    for (uint32_t i = 0; i < 2 * n && instants[i] <= end_ms; i++) {
        if (i && instants[i] == instants[i - 1]) continue;
        while (to < n && items[to].time_ms <= instants[i])
            count_in(&window, &items[to++], items[0].time_ms, true);
        while (from < to && items[from].time_ms <= instants[i] - window_ms)
            count_in(&window, &items[from++], items[0].time_ms, false);
        bool is_in = window.created >= 5 && window.users >= 3 && window.days >= 5;
        if (is_in != account->is_in) tell(answer, account, is_in, instants[i]);
    }
    free(window.of_user);
    free(instants);
}

/* --- in the order of the source --- */

/* What a member loses by time after it was seen last, and up to `to`. */
static void fall(struct account *account, int64_t to, struct answer *answer)
{
    uint32_t n = 0;
    if (!account->is_in) return;
    int64_t *due = checked(malloc((account->count + 1) * sizeof *due));
    for (uint32_t i = 0; i < account->count; i++) {
        int64_t at = account->items[i].time_ms + window_ms;
        if (at > account->seen_ms && at <= to) due[n++] = at;
    }
    qsort(due, n, sizeof *due, by_value);
    for (uint32_t i = 0; i < n && account->is_in; i++)
        if (!holds(account->items, account->count, due[i])) tell(answer, account, false, due[i]);
    free(due);
}

static void forget(struct account *account, int64_t now)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < account->count; i++)
        if (account->items[i].time_ms > now - window_ms) account->items[kept++] = account->items[i];
    account->count = kept;
}

static void take(struct account *account, const struct source_event *event, int64_t *clock, bool is_own,
                 struct answer *answer)
{
    int64_t now = event->time_ms > *clock ? event->time_ms : *clock;
    if (!is_own) fall(account, now - 1, answer);
    *clock = now;
    account->seen_ms = now;
    forget(account, now);
    if (event->time_ms <= now - window_ms) return;
    keep(account, event);
    bool is_in = holds(account->items, account->count, now);
    if (is_in != account->is_in) tell(answer, account, is_in, now);
}

static struct answer answer_of(const struct job *job)
{
    struct answer answer = {0};
    const struct source *source = &job->source;
    struct account *accounts = checked(calloc(source->accounts, sizeof *accounts));
    int64_t *clocks = checked(calloc(job->partitions + 1, sizeof *clocks)), end_ms = 0;
    for (uint64_t i = 0; i < (source->count ? source->count : source->events); i++) {
        struct source_event event;
        source_event(source, i, &event);
        struct account *account = &accounts[source_account_number(&event)];
        if (event.time_ms > end_ms) end_ms = event.time_ms;
        memcpy(account->key, event.account, sizeof account->key);
        if (job->partitions)
            account->task =
                pql_partition_murmur2((struct pql_slice){account->key, sizeof account->key}, job->partitions);
        if (job->is_own)
            take(account, &event, &account->seen_ms, true, &answer);
        else if (job->partitions)
            take(account, &event, &clocks[account->task], false, &answer);
        else
            keep(account, &event);
    }
    for (uint32_t i = 0; i < source->accounts; i++) {
        if (!job->is_own && !job->partitions)
            fold_whole(&accounts[i], source->users ? source->users : 10, end_ms, &answer);
        else if (!job->is_own)
            fall(&accounts[i], clocks[accounts[i].task], &answer);
        free(accounts[i].items);
    }
    free(clocks);
    free(accounts);
    return answer;
}

int main(int argc, char **argv)
{
    struct job job = {.source = {.seed = 42, .events = 5000000, .accounts = 100000}};
    for (int i = 1; i < argc; i++) {
        if (source_option(&job.source, argc, argv, &i)) continue;
        if (!strcmp(argv[i], "--partitions") && i + 1 < argc) {
            job.partitions = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--own")) {
            job.is_own = true;
        } else {
            fputs("bench_reference: the options are in the head of bench_reference.c\n", stderr);
            return 2;
        }
    }
    struct answer answer = answer_of(&job);
    printf("{\"entered\": %llu, \"left\": %llu, \"digest\": \"%016llx\"}\n",
           (unsigned long long)answer.entered, (unsigned long long)answer.left,
           (unsigned long long)answer.digest);
    return 0;
}
