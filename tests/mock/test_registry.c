/* The client against a registry that misbehaves (tests/support/registry_stub.py): the base path chooses the
 * fault. */
#include "core/reasons.h"
#include "io/registry.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct stub {
    pid_t pid;
    int input; /* the stub ends when it is closed */
    int port;
};
static struct stub stub;
static char folder[64]; /* for copies of schemas */

/* tls: folder for its certificates, or NULL. */
static int start(struct stub *started, const char *tls)
{
    int in[2], out[2];
    if (pipe(in) || pipe(out)) return -1;
    started->pid = fork();
    if (started->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", "tests/support/registry_stub.py", tls ? "--tls" : NULL, tls,
               (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    started->input = in[1];
    FILE *lines = fdopen(out[0], "r");
    int found =
        fscanf(lines, "%d%*1[\n]", &started->port); /* the line whole: the stub is not to lose its reader */
    fclose(lines);
    return found == 1 ? 0 : -1;
}

static int stop(struct stub *started)
{
    close(started->input);
    return waitpid(started->pid, NULL, 0) == started->pid ? 0 : -1;
}

static int start_stub(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pqlstream-registry-XXXXXX");
    setenv("NO_PROXY", "127.0.0.1", 1);
    return mkdtemp(folder) ? start(&stub, NULL) : -1;
}

/* Two levels: the folders of registries, their files. */
static void remove_folder(const char *path, int levels)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        char inner[512];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (levels > 1) remove_folder(inner, levels - 1);
        remove(inner);
    }
    if (dir) closedir(dir);
    rmdir(path);
}

static int stop_stub(void **state)
{
    (void)state;
    remove_folder(folder, 2);
    return stop(&stub);
}

/* --- helpers --- */

static const struct pql_registry_paces quick = {
    .backoff_min_ms = 1, .backoff_max_ms = 20, .attempts_max = 4, .grace_ms = 50, .negative_ms = 100000};

static struct pql_err err;
static struct pql_slice text;

static const char *url_of(const char *fault)
{
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", stub.port, fault);
    return url;
}

static struct pql_registry *registry_with(struct pql_registry_conf conf)
{
    if (!conf.timeout_ms) conf.timeout_ms = 5000;
    struct pql_registry *registry = pql_registry_new(&conf, &quick, NULL, NULL, &err);
    if (!registry) fail_msg("%s", err.msg);
    return registry;
}

static struct pql_registry *registry_at(const char *fault)
{
    return registry_with((struct pql_registry_conf){.url = url_of(fault)});
}

static struct pql_schema_key key_of(uint64_t id)
{
    return (struct pql_schema_key){.kind = PQL_SCHEMA_ID, .low = id};
}

static int wait_for(struct pql_registry *registry, uint64_t id, int64_t ms)
{
    struct pql_schema_key key = key_of(id);
    return pql_registry_wait(registry, &key, ms, &text, &err);
}

static void assert_said(const char *part)
{
    if (!strstr(err.msg, part)) fail_msg("'%s' is not in: %s", part, err.msg);
}

static const char event_schema[] =
    "{\"type\": \"record\", \"name\": \"Event\", \"fields\": [{\"name\": \"name\", \"type\": \"string\"}]}";

static void assert_found_behind(const char *fault)
{
    struct pql_registry *registry = registry_at(fault);
    if (wait_for(registry, 1, 20000)) fail_msg("%s", err.msg);
    assert_true(pql_slice_is(text, event_schema));
    pql_registry_free(registry);
}

/* Until an attempt at schema 1 has failed; then err says how. */
static void wait_for_failure(struct pql_registry *registry)
{
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(wait_for(registry, 1, 20), -1);
        assert_int_equal(err.cls, PQL_ERR_RETRY);
        if (strstr(err.msg, "; the last attempt: ")) return;
    }
    fail_msg("no attempt was made");
}

static void assert_kept_waiting(struct pql_registry_conf conf, const char *said)
{
    struct pql_registry *registry = registry_with(conf);
    wait_for_failure(registry);
    assert_said(said);
    pql_registry_free(registry);
}

static void assert_fault_kept_waiting(const char *fault, const char *said)
{
    assert_kept_waiting((struct pql_registry_conf){.url = url_of(fault)}, said);
    assert_said("http://127.0.0.1:");
}

/* --- finding --- */

static atomic_int wakes;
static void count_wake(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void the_first_question_does_not_wait(void **state)
{
    (void)state;
    struct pql_registry_conf conf = {.url = url_of("ok"), .timeout_ms = 5000};
    struct pql_registry *registry = pql_registry_new(&conf, &quick, count_wake, &wakes, &err);
    struct pql_schema_key key = key_of(1);
    assert_int_equal(pql_registry_find(registry, &key, &text, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_RETRY);
    assert_string_equal(err.msg, "schema id 1 is being fetched");
    assert_int_equal(wait_for(registry, 1, 20000), 0);
    const char *first = text.ptr;
    for (int i = 0; i < 1000; i++) assert_int_equal(pql_registry_find(registry, &key, &text, &err), 0);
    assert_ptr_equal(text.ptr, first);
    assert_int_equal(pql_registry_stats(registry).requests, 1);
    pql_registry_free(registry);
    assert_int_equal(atomic_load(&wakes), 1);
}

static void guids_are_found(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    struct pql_schema_key key = {PQL_SCHEMA_GUID, UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    assert_int_equal(pql_registry_wait(registry, &key, 20000, &text, &err), 0);
    assert_true(pql_slice_is(text, event_schema));
    pql_registry_free(registry);
}

static void fingerprints_are_not_asked_for(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    struct pql_schema_key key = {PQL_SCHEMA_FINGERPRINT, 0, 7};
    assert_int_equal(pql_registry_find(registry, &key, &text, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_UNKNOWN_SCHEMA].word);
    assert_int_equal(pql_registry_stats(registry).requests, 0);
    pql_registry_free(registry);
}

static void references_are_put_in_place(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    assert_int_equal(wait_for(registry, 3, 20000), 0);
    assert_true(
        pql_slice_is(text, "{\"type\":\"record\",\"name\":\"Signup\",\"fields\":[{\"name\":\"user\",\"type\":"
                           "{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"shared\",\"fields\":"
                           "[{\"name\":\"id\",\"type\":\"string\"}]}}],\"namespace\":\"\"}"));
    assert_int_equal(pql_registry_stats(registry).requests, 2);
    assert_int_equal(wait_for(registry, 5, 20000), 0); /* refers to itself: asked once more, not for ever */
    assert_true(pql_slice_is(text, "[]"));
    assert_int_equal(pql_registry_stats(registry).requests, 4);
    pql_registry_free(registry);
}

static void passing_faults_are_overcome(void **state)
{
    (void)state;
    assert_found_behind("status-429-2");
    assert_found_behind("status-500-3");
    assert_found_behind("status-503-1");
    assert_found_behind("status-408-1");
    assert_found_behind("delay-100");
}

static void what_is_registered_within_the_grace_is_found(void **state)
{
    (void)state;
    struct pql_registry_conf conf = {.url = url_of("learns-2"), .timeout_ms = 5000};
    struct pql_registry_paces paces = quick;
    paces.grace_ms = 60000; /* three questions take how long they take */
    struct pql_registry *registry = pql_registry_new(&conf, &paces, NULL, NULL, &err);
    if (!registry || wait_for(registry, 1, 20000)) fail_msg("%s", err.msg);
    assert_true(pql_slice_is(text, event_schema));
    pql_registry_free(registry);
}

static void lasting_faults_keep_the_partition_waiting_and_name_the_remedy(void **state)
{
    (void)state;
    assert_fault_kept_waiting("status-500-100000", "HTTP 500: on purpose");
    assert_fault_kept_waiting("html-404",
                              "HTTP 404 without error_code; this is no schema registry, check the path");
    assert_fault_kept_waiting("html-200", "the answer is not JSON");
    assert_fault_kept_waiting("json", "the answer is not a JSON object");
    assert_fault_kept_waiting("truncated", "transfer closed");
    assert_fault_kept_waiting("huge", "longer than 1 MB");
    assert_fault_kept_waiting("redirect", "redirects are not followed");
    assert_fault_kept_waiting("basic-alice-secret", "HTTP 401: Unauthorized; check registry.user");
}

static void a_slow_answer_is_given_up(void **state)
{
    (void)state;
    assert_kept_waiting((struct pql_registry_conf){.url = url_of("delay-30000"), .timeout_ms = 100},
                        "registry.timeout may be longer");
}

static void freeing_does_not_wait_for_an_answer(void **state)
{
    (void)state;
    struct pql_registry *registry =
        registry_with((struct pql_registry_conf){.url = url_of("delay-600000"), .timeout_ms = 500000});
    assert_int_equal(wait_for(registry, 1, 100), -1);
    pql_registry_free(registry); /* else the test's own limit ends it */
}

static void nobody_listening_is_said(void **state)
{
    (void)state;
    assert_kept_waiting((struct pql_registry_conf){.url = "http://127.0.0.1:1"},
                        "http://127.0.0.1:1/schemas/ids/1");
    assert_said("does the registry run, and is registry.url right?");
}

static void an_unknown_id_is_refused_after_grace_and_then_not_asked_again(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    assert_int_equal(wait_for(registry, 99, 20000), -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_UNKNOWN_SCHEMA].word);
    assert_said("schema id 99: ");
    assert_said("Schema not found (error_code 40403)");
    struct pql_registry_stats before = pql_registry_stats(registry);
    assert_true(before.requests > 1);
    assert_int_equal(before.refused, 1);
    for (int i = 0; i < 100; i++) assert_int_equal(wait_for(registry, 99, 0), -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_int_equal(pql_registry_stats(registry).requests, before.requests);
    pql_registry_free(registry);
}

static void a_partition_that_waits_is_told_when_it_is_asked_again(void **state)
{
    (void)state;
    const struct pql_registry_paces slow = {
        .backoff_min_ms = 60000, .backoff_max_ms = 60000, .attempts_max = 1, .grace_ms = 90000};
    const struct pql_registry_conf conf = {.url = url_of("ok"), .timeout_ms = 5000};
    struct pql_registry *registry = pql_registry_new(&conf, &slow, NULL, NULL, &err);
    struct pql_schema_key key = key_of(99);
    int tries = 0;
    do {
        assert_int_equal(pql_registry_find(registry, &key, &text, &err), -1);
        assert_int_equal(err.cls, PQL_ERR_RETRY);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    } while (!strstr(err.msg, "the last attempt") && ++tries < 500);
    assert_said("Schema not found");
    assert_said("; asked again in ");
    assert_said(", refused as unknown_schema if it is still not there in ");
    pql_registry_free(registry);
}

static void a_refused_id_is_asked_again_when_the_negative_time_is_over(void **state)
{
    (void)state;
    struct pql_registry_paces paces = quick;
    paces.grace_ms = 0;
    paces.negative_ms = 1;
    struct pql_registry_conf conf = {.url = url_of("learns-3"), .timeout_ms = 5000};
    struct pql_registry *registry = pql_registry_new(&conf, &paces, NULL, NULL, &err);
    int refused = 0;
    while (wait_for(registry, 2, 20000)) {
        assert_int_equal(err.cls, PQL_ERR_RECORD);
        refused++;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    assert_in_range(refused, 1, 3);
    assert_int_equal(pql_registry_stats(registry).requests, 4);
    pql_registry_free(registry);
}

static void a_schema_of_another_kind_is_refused(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    assert_int_equal(wait_for(registry, 4, 20000), -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_said("the schema is of type PROTOBUF, only AVRO can be read");
    pql_registry_free(registry);
}

static void the_next_url_serves_when_one_does_not(void **state)
{
    (void)state;
    char urls[512];
    snprintf(urls, sizeof urls,
             "http://127.0.0.1:1, http://127.0.0.1:%d/status-500-9999,http://127.0.0.1:%d/ok/", stub.port,
             stub.port);
    struct pql_registry *registry = registry_with((struct pql_registry_conf){.url = urls});
    assert_int_equal(wait_for(registry, 1, 20000), 0);
    assert_int_equal(pql_registry_stats(registry).requests, 3);
    assert_int_equal(wait_for(registry, 2, 20000), 0); /* that which answered is asked first */
    assert_int_equal(pql_registry_stats(registry).requests, 4);
    pql_registry_free(registry);
}

static void assert_let_in(struct pql_registry_conf conf)
{
    struct pql_registry *registry = registry_with(conf);
    if (wait_for(registry, 1, 5000)) fail_msg("%s", err.msg);
    pql_registry_free(registry);
}

static void credentials_are_sent(void **state)
{
    (void)state;
    assert_let_in((struct pql_registry_conf){
        .url = url_of("basic-alice-se:cret"), .user = "alice", .password = "se:cret"});
    assert_let_in((struct pql_registry_conf){.url = url_of("bearer-t0ken"), .token = "t0ken"});
    char with_user[256];
    snprintf(with_user, sizeof with_user, "http://alice:p%%40ss@127.0.0.1:%d/basic-alice-p@ss", stub.port);
    assert_let_in((struct pql_registry_conf){.url = with_user});
}

static void assert_refused_at_start(struct pql_registry_conf conf, const char *message)
{
    assert_null(pql_registry_new(&conf, NULL, NULL, NULL, &err));
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_string_equal(err.msg, message);
}

static void secrets_are_in_no_message(void **state)
{
    (void)state;
    char with_user[256];
    snprintf(with_user, sizeof with_user, "http://alice:hunter2@127.0.0.1:%d/basic-bob-other", stub.port);
    struct pql_registry *registry = registry_with((struct pql_registry_conf){.url = with_user});
    wait_for_failure(registry);
    assert_said("HTTP 401");
    assert_null(strstr(err.msg, "hunter2"));
    assert_null(strstr(err.msg, "alice"));
    pql_registry_free(registry);
    assert_refused_at_start((struct pql_registry_conf){.url = "ftp://alice:hunter2@host"},
                            "URL 1 of registry.url: it must be http:// or https://, without '?'");
    assert_refused_at_start(
        (struct pql_registry_conf){.url = "http://fine,http://alice:hunter2@host:port"},
        "URL 2 of registry.url: Port number was not a decimal number between 0 and 65535");
    assert_refused_at_start((struct pql_registry_conf){.url = " , "}, "registry.url is empty");
}

static void tls_is_verified_and_a_certificate_shown(void **state)
{
    (void)state;
    struct stub secure;
    char certificates[64] = "/tmp/pqlstream-registry-XXXXXX", ca[96], certificate[96], key[96], any[64],
         known[64];
    assert_non_null(mkdtemp(certificates));
    assert_int_equal(start(&secure, certificates), 0);
    snprintf(ca, sizeof ca, "%s/ca.pem", certificates);
    snprintf(certificate, sizeof certificate, "%s/client.pem", certificates);
    snprintf(key, sizeof key, "%s/client.key", certificates);
    snprintf(any, sizeof any, "https://127.0.0.1:%d/ok", secure.port);
    snprintf(known, sizeof known, "https://127.0.0.1:%d/certificate", secure.port);
    assert_let_in((struct pql_registry_conf){.url = any, .ca = ca});
    assert_let_in((struct pql_registry_conf){.url = known, .ca = ca, .certificate = certificate, .key = key});
    assert_kept_waiting((struct pql_registry_conf){.url = any},
                        "if the CA is your own, name its file in registry.ca");
    assert_kept_waiting((struct pql_registry_conf){.url = any, .ca = "/nowhere.pem"},
                        "registry.ca must be a readable PEM file");
    assert_kept_waiting((struct pql_registry_conf){.url = known, .ca = ca}, "HTTP 401");
    assert_kept_waiting((struct pql_registry_conf){.url = known, .ca = ca, .certificate = ca, .key = key},
                        "registry.certificate and registry.key must be a PEM pair");
    assert_int_equal(stop(&secure), 0);
    remove_folder(certificates, 1);
}

/* --- copies on disk --- */

static int wait_with_copies(const char *url, uint64_t id, struct pql_registry_stats *stats)
{
    struct pql_registry *registry =
        registry_with((struct pql_registry_conf){.url = url, .cache_dir = folder});
    int result = wait_for(registry, id, 3000);
    *stats = pql_registry_stats(registry);
    pql_registry_free(registry);
    return result;
}

/* The first URL names the registry: a copy is made through the second and read when only the first is asked.
 */
static void make_copy(const char *down)
{
    struct pql_registry_stats stats;
    char urls[512];
    snprintf(urls, sizeof urls, "%s,%s", down, url_of("ok"));
    assert_int_equal(wait_with_copies(urls, 1, &stats), 0);
    assert_int_equal(stats.disk_hits, 0);
    assert_int_equal(stats.disk_failures, 0);
}

static void a_copy_on_disk_outlives_the_registry(void **state)
{
    (void)state;
    struct pql_registry_stats stats;
    make_copy("http://127.0.0.1:1/copies");
    assert_int_equal(wait_with_copies("http://127.0.0.1:1/copies", 1, &stats), 0);
    assert_int_equal(stats.disk_hits, 1);
    assert_int_equal(wait_with_copies("http://127.0.0.1:1/copies", 2, &stats), -1);
    assert_int_equal(wait_with_copies("http://127.0.0.1:1/another", 1, &stats),
                     -1); /* not of this registry */
    assert_int_equal(stats.disk_failures, 0);
}

/* Every copy of schema 1 in the folder. */
static int damage_copies(void)
{
    int damaged = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s/id-1", folder, entry->d_name);
        FILE *file = fopen(path, "r+");
        if (!file) continue;
        fseek(file, -3, SEEK_END);
        fputc('X', file);
        fclose(file);
        damaged++;
    }
    closedir(dir);
    return damaged;
}

static void a_damaged_copy_is_not_believed(void **state)
{
    (void)state;
    struct pql_registry_stats stats;
    make_copy("http://127.0.0.1:1/damaged");
    assert_true(damage_copies() > 0);
    assert_int_equal(wait_with_copies("http://127.0.0.1:1/damaged", 1, &stats), -1);
    assert_true(stats.disk_failures > 0);
    assert_int_equal(stats.disk_hits, 0);
}

static void a_folder_that_cannot_be_made_is_said_at_start(void **state)
{
    (void)state;
    assert_refused_at_start(
        (struct pql_registry_conf){.url = "http://127.0.0.1:1", .cache_dir = "/proc/no/such/place"},
        "registry.cache: /proc/no/such/place: No such file or directory");
}

/* --- calls that wait --- */

static void registering_gives_the_id_again_and_again(void **state)
{
    (void)state;
    static const char subject[] = "acme.pql/v?1-value";
    struct pql_slice schema = pql_slice_of("{\"type\":\"string\",\"doc\":\"\\\"quoted\\\" é\"}");
    struct pql_registry *registry = registry_at("status-503-1");
    uint32_t first = 0, id = 0;
    assert_int_equal(pql_registry_register(registry, subject, schema, &first, &err), 0);
    assert_true(first >= 100);
    assert_int_equal(pql_registry_register(registry, subject, schema, &id, &err), 0);
    assert_int_equal(id, first);
    assert_int_equal(pql_registry_lookup(registry, subject, schema, &id, &err), 0);
    assert_int_equal(id, first);
    assert_int_equal(wait_for(registry, first, 20000), 0);
    assert_true(pql_slice_eq(text, schema));
    pql_registry_free(registry);
}

static void what_the_registry_refuses_is_for_the_operator(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    struct pql_slice schema = PQL_SLICE_LITERAL("\"int\"");
    uint32_t id = 0;
    assert_int_equal(pql_registry_register(registry, "strict", schema, &id, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_said("subject 'strict': http://");
    assert_said("HTTP 409: Schema being registered is incompatible (error_code 409); use another subject");
    assert_int_equal(pql_registry_register(registry, "invalid", schema, &id, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_int_equal(pql_registry_lookup(registry, "nobody", schema, &id, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_said("register it there, or say schema = \"register\" in the output");
    pql_registry_free(registry);
}

static void compatibility_is_asked(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("ok");
    struct pql_slice schema = PQL_SLICE_LITERAL("\"int\"");
    assert_int_equal(pql_registry_check_compatible(registry, "fine", schema, &err), 0);
    assert_int_equal(pql_registry_check_compatible(registry, "new", schema, &err), 0);
    assert_int_equal(pql_registry_check_compatible(registry, "strict", schema, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_said("not compatible with the latest version: field lacks a default");
    pql_registry_free(registry);
}

static void calls_give_up_in_the_end(void **state)
{
    (void)state;
    struct pql_registry *registry = registry_at("status-500-100000");
    uint32_t id;
    assert_int_equal(pql_registry_register(registry, "s", PQL_SLICE_LITERAL("\"int\""), &id, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_RETRY);
    assert_int_equal(pql_registry_stats(registry).requests, 4);
    pql_registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_question_does_not_wait),
        cmocka_unit_test(guids_are_found),
        cmocka_unit_test(fingerprints_are_not_asked_for),
        cmocka_unit_test(references_are_put_in_place),
        cmocka_unit_test(passing_faults_are_overcome),
        cmocka_unit_test(what_is_registered_within_the_grace_is_found),
        cmocka_unit_test(lasting_faults_keep_the_partition_waiting_and_name_the_remedy),
        cmocka_unit_test(a_slow_answer_is_given_up),
        cmocka_unit_test(freeing_does_not_wait_for_an_answer),
        cmocka_unit_test(nobody_listening_is_said),
        cmocka_unit_test(an_unknown_id_is_refused_after_grace_and_then_not_asked_again),
        cmocka_unit_test(a_partition_that_waits_is_told_when_it_is_asked_again),
        cmocka_unit_test(a_refused_id_is_asked_again_when_the_negative_time_is_over),
        cmocka_unit_test(a_schema_of_another_kind_is_refused),
        cmocka_unit_test(the_next_url_serves_when_one_does_not),
        cmocka_unit_test(credentials_are_sent),
        cmocka_unit_test(secrets_are_in_no_message),
        cmocka_unit_test(tls_is_verified_and_a_certificate_shown),
        cmocka_unit_test(a_copy_on_disk_outlives_the_registry),
        cmocka_unit_test(a_damaged_copy_is_not_believed),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_said_at_start),
        cmocka_unit_test(registering_gives_the_id_again_and_again),
        cmocka_unit_test(what_the_registry_refuses_is_for_the_operator),
        cmocka_unit_test(compatibility_is_asked),
        cmocka_unit_test(calls_give_up_in_the_end),
    };
    return cmocka_run_group_tests(tests, start_stub, stop_stub);
}
