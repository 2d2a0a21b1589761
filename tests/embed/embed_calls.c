/* embed_calls.c - every function of pqlstream.h, its errors, and what a host must be able to rely on. Built
 * against the installed library, as C and as C++. */
#include <pqlstream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "embed_calls.c:%d: %s does not hold\n", __LINE__, #condition);                   \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define HEAD                                                                                                 \
    "app = \"acme\";\n"                                                                                      \
    "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"                          \
    "mappings = { own = { event = \"event\"; account = \"account\"; user = \"user\"; time = \"time\"; "      \
    "id = \"id\"; }; };\n"                                                                                   \
    "dedup_horizon = \"1d\";\n"
#define INVITER                                                                                              \
    "{ name = \"inviter\"; subject = \"user\"; alert = true; qualify = \"count(invite, 1d) >= 2\"; }"
#define TRIED "{ name = \"tried\"; subject = \"user\"; mode = \"shadow\"; qualify = \"ever(login)\"; }"
#define TEAM "{ name = \"team\"; subject = \"account\"; qualify = \"members() >= 1\"; }"
#define DAY INT64_C(86400000)

static const char plain[] = HEAD "definitions = ( " INVITER ", " TRIED " );\n";
static const char changed[] = HEAD "revision = 2; definitions = ( " TEAM " );\n";
static const char other[] = HEAD "definitions = ( " TEAM " );\n";
static const char foreign[] =
    "app = \"else\";\n"
    "inputs = ( { topic = \"events\"; mapping = \"canonical\"; format = \"json\"; } );\n"
    "definitions = ( " TEAM " );\n";

struct heard {
    struct pqlstream *stream; /* called from within take */
    unsigned count, outputs;
    char last[4000], key[200];
};

static void take(void *context, const struct pqlstream_record *record)
{
    struct heard *heard = (struct heard *)context;
    CHECK(strlen(record->json) == record->json_len && strlen(record->key) == record->key_len);
    CHECK(record->json[0] == '{' && record->json[record->json_len - 1] == '}' && record->outputs);
    heard->count++;
    heard->outputs = record->outputs;
    snprintf(heard->last, sizeof heard->last, "%s", record->json);
    snprintf(heard->key, sizeof heard->key, "%s", record->key);
    if (!heard->stream) return;
    CHECK(pqlstream_event(heard->stream, NULL, "{}", 2) == -1);
    CHECK(strstr(pqlstream_error(heard->stream), "from within take"));
    CHECK(pqlstream_finish(heard->stream) == -1 && pqlstream_next(heard->stream) == PQLSTREAM_NEVER);
}

static struct pqlstream *fresh(struct heard *heard)
{
    memset(heard, 0, sizeof *heard);
    return pqlstream_new(take, heard);
}

static struct pqlstream *opened(struct heard *heard, const char *text)
{
    struct pqlstream *stream = fresh(heard);
    if (pqlstream_open_text(stream, "memory.conf", text, strlen(text)))
        fprintf(stderr, "%s\n", pqlstream_error(stream));
    CHECK(!*pqlstream_error(stream));
    return stream;
}

static int event(struct pqlstream *stream, const char *name, const char *account, const char *user,
                 int64_t time)
{
    static int id;
    char json[300];
    snprintf(json, sizeof json,
             "{\"event\":\"%s\",\"account\":\"%s\",\"user\":\"%s\",\"time\":%lld,\"id\":\"%d\"}", name,
             account, user, (long long)time, ++id);
    return pqlstream_event(stream, "events", json, strlen(json));
}

static void faults_are_told_with_their_place(void)
{
    static const char wrong[] =
        HEAD "definitions = (\n  { name = \"a\"; subject = \"user\"; qualify = \"cuont(x, 1d) >= 2\"; "
             "} );\nnonsense = 1;\n";
    struct heard heard;
    struct pqlstream *stream = fresh(&heard);
    const void *bytes;
    size_t len;
    CHECK(event(stream, "login", "A", "u", DAY) == -1 &&
          strstr(pqlstream_error(stream), "no definitions yet"));
    CHECK(pqlstream_save(stream, &bytes, &len) == -1 && pqlstream_clock(stream) == PQLSTREAM_NEVER);
    CHECK(pqlstream_open_text(stream, "memory.conf", wrong, strlen(wrong)) == -1);
    CHECK(strstr(pqlstream_error(stream),
                 "memory.conf:6:46: unknown function 'cuont'; did you mean 'count'?\n"
                 "    { name = \"a\"; subject = \"user\"; qualify = \"cuont(x"));
    CHECK(strstr(pqlstream_error(stream), "memory.conf:7:1: ") &&
          strstr(pqlstream_error(stream), "\n    ^^^^^^^^\n"));
    CHECK(pqlstream_open_file(stream, "/nowhere/at.conf") == -1);
    CHECK(strstr(pqlstream_error(stream), "/nowhere/at.conf"));
    CHECK(pqlstream_open_text(stream, "memory.conf", "a\0b", 3) == -1);
    CHECK(pqlstream_open_text(stream, "memory.conf", "", 0) == -1);
    CHECK(pqlstream_open_text(stream, "memory.conf", plain, strlen(plain)) == 0 && !*pqlstream_error(stream));
    CHECK(pqlstream_open_text(stream, "memory.conf", plain, strlen(plain)) == -1);
    CHECK(pqlstream_restore(stream, "PQ", 2) == -1 && strstr(pqlstream_error(stream), "no saved state"));
    pqlstream_free(stream);
    pqlstream_free(NULL);
}

static void includes_are_seen_from_the_folder_of_the_path(const char *folder)
{
    char path[1000], text[2000];
    struct heard heard;
    struct pqlstream *stream = fresh(&heard);
    snprintf(path, sizeof path, "%s/rules.conf", folder);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fprintf(file, "definitions = ( " TEAM " );\n");
    fclose(file);
    snprintf(path, sizeof path, "%s/memory.conf", folder);
    snprintf(text, sizeof text, HEAD "@include \"rules.conf\"\n");
    CHECK(pqlstream_open_text(stream, path, text, strlen(text)) == 0);
    CHECK(event(stream, "login", "A", "u", DAY) == 0 && heard.count == 1);
    pqlstream_free(stream);
}

static void events_become_records(void)
{
    struct heard heard;
    struct pqlstream *stream = opened(&heard, plain);
    struct pqlstream_stats stats;
    struct {
        uint64_t events, records;
    } few;
    int64_t now = (int64_t)time(NULL) * 1000;
    heard.stream = stream;
    CHECK(pqlstream_next(stream) == PQLSTREAM_NEVER && pqlstream_clock(stream) == PQLSTREAM_NEVER);
    CHECK(event(stream, "login", "A/1", "ann", now - 2000) == 0 && heard.outputs == PQLSTREAM_SHADOW);
    CHECK(event(stream, "invite", "A/1", "ann", now - 1000) == 0 && heard.count == 1);
    CHECK(pqlstream_event(stream, NULL, "{\"event\":\"invite\"", 17) == -1);
    CHECK(!strcmp(pqlstream_reason(stream), "bad_json") && *pqlstream_error(stream));
    CHECK(pqlstream_event(stream, NULL, "{\"event\":\"invite\",\"time\":1}", 27) == -1);
    CHECK(!strcmp(pqlstream_reason(stream), "no_account"));
    CHECK(pqlstream_event(stream, "else", "{}", 2) == -1 && !pqlstream_reason(stream));
    CHECK(strstr(pqlstream_error(stream), "no input 'else'; the first is 'events'"));
    CHECK(event(stream, "invite", "A/1", "ann", now) == 0 && heard.count == 2);
    CHECK(heard.outputs == (PQLSTREAM_TRANSITION | PQLSTREAM_STATE | PQLSTREAM_ALERT));
    CHECK(!strcmp(heard.key, "inviter/A%2F1/ann") && strstr(heard.last, "\"origin\":\"live\""));
    CHECK(strstr(heard.last, "\"transition\":\"entered\"") &&
          strstr(heard.last, "\"topic\":\"events\",\"partition\":0,\"offset\":2"));
    CHECK(pqlstream_clock(stream) == now && pqlstream_next(stream) == now - 1000 + DAY);
    CHECK(pqlstream_advance(stream, now - 1000 + DAY - 1) == 0 && heard.count == 2);
    CHECK(pqlstream_refresh(stream) == 0 && heard.count == 3 && heard.outputs == PQLSTREAM_STATE);
    CHECK(pqlstream_advance(stream, pqlstream_next(stream)) == 0 && heard.count == 4);
    CHECK(strstr(heard.last, "\"transition\":\"left\"") && strstr(heard.last, "\"reason\":\"expired\""));
    CHECK(pqlstream_advance(stream, INT64_MAX) == -1 && pqlstream_finish(stream) == 0);
    pqlstream_stats(stream, &stats, sizeof stats);
    CHECK(stats.events == 3 && stats.refused == 2 && stats.accounts == 1 && stats.users == 1 &&
          stats.bytes > 100);
    pqlstream_stats(stream, (struct pqlstream_stats *)(void *)&few, sizeof few);
    CHECK(few.events == 3 && few.records == stats.records);
    CHECK(!strcmp(pqlstream_version(), VERSION));
    pqlstream_free(stream);
}

static void *copy(const void *bytes, size_t len)
{
    void *own = malloc(len);
    memcpy(own, bytes, len);
    return own;
}

static void a_saved_state_goes_on_elsewhere(void)
{
    struct heard first, second;
    struct pqlstream *stream = opened(&first, plain), *successor = opened(&second, plain);
    const void *bytes, *again;
    size_t len, again_len;
    for (int i = 0; i < 200; i++) {
        char account[20], user[20];
        snprintf(account, sizeof account, "A%d", i % 9);
        snprintf(user, sizeof user, "u%d", i % 4);
        CHECK(event(stream, i % 3 ? "invite" : "login", account, user, DAY + i * INT64_C(600000)) == 0);
    }
    CHECK(pqlstream_save(stream, &bytes, &len) == 0);
    void *saved = copy(bytes, len);
    CHECK(pqlstream_save(stream, &again, &again_len) == 0 && again_len == len && !memcmp(saved, again, len));
    CHECK(event(successor, "invite", "Z", "z", 9 * DAY) == 0); /* gone by then */
    CHECK(pqlstream_restore(successor, saved, len) == 0);
    CHECK(pqlstream_save(successor, &again, &again_len) == 0 && again_len == len &&
          !memcmp(saved, again, len));
    unsigned before = first.count;
    second.count = 0;
    CHECK(pqlstream_advance(stream, 40 * DAY) == 0 && pqlstream_advance(successor, 40 * DAY) == 0);
    CHECK(second.count && second.count == first.count - before && !strcmp(first.key, second.key));
    CHECK(pqlstream_save(successor, &again, &again_len) == 0);
    void *later = copy(again, again_len);
    size_t later_len = again_len;
    for (size_t i = 0; i < len;
         i += i < 300 ? 1 : 13) { /* whatever byte is damaged: refused, and nothing has changed */
        ((char *)saved)[i] = (char)(((char *)saved)[i] ^ 0x20);
        CHECK(pqlstream_restore(successor, saved, len) == -1 && *pqlstream_error(successor));
        ((char *)saved)[i] = (char)(((char *)saved)[i] ^ 0x20);
        CHECK(pqlstream_restore(successor, saved, i) == -1);
    }
    CHECK(pqlstream_save(successor, &again, &again_len) == 0 && again_len == later_len);
    CHECK(!memcmp(later, again, again_len));
    free(saved);
    free(later);
    pqlstream_free(stream);
    pqlstream_free(successor);
}

static void other_definitions_want_a_higher_revision(void)
{
    struct heard first, second;
    struct pqlstream *stream = opened(&first, plain);
    const void *bytes;
    size_t len;
    CHECK(event(stream, "invite", "A", "ann", DAY) == 0 && event(stream, "invite", "A", "ann", DAY + 1) == 0);
    CHECK(pqlstream_save(stream, &bytes, &len) == 0);
    struct pqlstream *successor = opened(&second, other);
    CHECK(pqlstream_restore(successor, bytes, len) == -1 &&
          strstr(pqlstream_error(successor), "set revision = 2"));
    pqlstream_free(successor);
    successor = opened(&second, foreign);
    CHECK(pqlstream_restore(successor, bytes, len) == -1 &&
          strstr(pqlstream_error(successor), "of app 'acme'"));
    pqlstream_free(successor);
    successor = opened(&second, changed);
    CHECK(pqlstream_restore(successor, bytes, len) == 0 && second.count == 2);
    CHECK(strstr(second.last, "\"definition\":\"team\"") &&
          strstr(second.last, "\"transition\":\"entered\""));
    CHECK(strstr(second.last, "\"origin\":\"backfill\"") ||
          strstr(second.last, "\"origin\":\"definition_change\""));
    CHECK(event(successor, "login", "B", "bob", 3 * DAY) == 0 && second.count == 3);
    CHECK(pqlstream_save(successor, &bytes, &len) == 0);
    pqlstream_free(successor);
    pqlstream_free(stream);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    faults_are_told_with_their_place();
    includes_are_seen_from_the_folder_of_the_path(argv[1]);
    events_become_records();
    a_saved_state_goes_on_elsewhere();
    other_definitions_want_a_higher_revision();
    return 0;
}
