/* The reader of configurations: values, places of messages, overrides, includes, secrets. Each test writes
 * its files into a folder of its own. */
#include "core/program.h"
#include "io/config.h"
#include "io/config_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    struct pql_diags diags;
    struct pql_config *config;
    char *printed; /* diags as printed, the folder cut out */
};

static int set_up(void **state)
{
    struct fixture *fixture = pql_xcalloc(1, sizeof *fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/pql-config-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    pql_diags_init(&fixture->diags);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", fixture->folder);
    assert_int_equal(system(command), 0);
    pql_config_free(fixture->config);
    pql_diags_deinit(&fixture->diags);
    free(fixture->printed);
    free(fixture);
    return 0;
}

static void write_file(struct fixture *fixture, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    char *slash = strrchr(path + strlen(fixture->folder) + 1, '/');
    if (slash) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void cut_out(char *text, const char *word)
{
    size_t len = strlen(word);
    for (char *at = text; (at = strstr(at, word));) memmove(at, at + len, strlen(at + len) + 1);
}

/* Loads main.conf; fixture->printed then holds all messages. */
static const struct pql_config *load_with(struct fixture *fixture, char **environment,
                                          const char *const *sets, size_t sets_count)
{
    char path[128], folder[80];
    snprintf(path, sizeof path, "%s/main.conf", fixture->folder);
    snprintf(folder, sizeof folder, "%s/", fixture->folder);
    struct pql_config_request request = {.path = path,
                                         .sets = sets,
                                         .sets_count = sets_count,
                                         .needs_brokers = true,
                                         .environment = environment,
                                         .today_ms = 1795350243127};
    fixture->config = pql_config_load(&request, &fixture->diags);
    size_t size;
    FILE *out = open_memstream(&fixture->printed, &size);
    pql_diags_print(&fixture->diags, out);
    fclose(out);
    cut_out(fixture->printed, folder);
    return fixture->config;
}

static const struct pql_config *load(struct fixture *fixture, const char *text)
{
    write_file(fixture, "main.conf", text);
    return load_with(fixture, NULL, NULL, 0);
}

#define KAFKA "kafka = { bootstrap_servers = \"localhost:9092\"; };\n"
#define INPUT "inputs = ( { topic = \"events\"; format = \"json\"; } );\n"
#define RULES "definitions = ( { name = \"d\"; qualify = \"count(a, 7d) >= 1\"; } );\n"
#define MINIMAL KAFKA INPUT RULES

static void test_defaults(void **state)
{
    struct fixture *fixture = *state;
    const struct pql_config *config = load(fixture, MINIMAL);
    assert_string_equal(fixture->printed, "");
    assert_non_null(config);
    assert_string_equal(config->app, "pqlstream");
    assert_null(config->instance);
    assert_int_equal(config->delivery, PQL_EXACTLY_ONCE);
    assert_true(config->start == PQL_OFFSET_EARLIEST);
    assert_int_equal(config->commit_interval_ms, 100);
    assert_int_equal(config->checkpoint_bandwidth, 20000000);
    assert_int_equal(config->program.settings.exact_max, 1000);
    assert_int_equal(config->program.settings.start_grace_ms, 7 * 86400000);
    assert_int_equal(config->program.settings.buffer_bytes_max, 64 << 20);
    assert_true(config->dlq_max_share == 0.5);
    assert_true(config->misplaced_max == 0.001);
    assert_int_equal(config->inputs_count, 1);
    assert_int_equal(config->inputs[0].format, PQL_FORMAT_JSON);
    assert_int_equal(config->inputs[0].max_future_ms, 600000);
    assert_int_equal(config->mappings_count, 1);
    assert_true(pql_slice_is(config->mappings[0].name, "canonical"));
    assert_string_equal(config->outputs[PQL_OUT_STATE].topic, "pqlstream.state");
    assert_int_equal(config->outputs[PQL_OUT_PQL].format, PQL_FORMAT_JSON);
    assert_int_equal(config->kafka.properties_count, 1);
    assert_string_equal(config->kafka.properties[0].name, "bootstrap.servers");
    assert_int_equal(config->program.definitions_count, 1);
    assert_true(pql_slice_is(config->program.definitions[0].qualify.text, "count(a, 7d) >= 1"));
}

static void test_all_errors_at_once(void **state)
{
    struct fixture *fixture = *state;
    load(fixture, "latenes = \"5m\";\n"
                  "max_future = 10;\n"
                  "commit_interval = \"2h\";\n"
                  "workers = 3000000000;\n"
                  "late_policy = \"aply\";\n"
                  "create_topics = \"yes\";\n"
                  "  tombstones = 3;\n" KAFKA INPUT
                  "definitions = ( { name = \"d\"; qualify = \"count(a, 7d) >= 1\";\n"
                  "                  score = ( ); owner = \"growth\"; } );\n");
    assert_string_equal(
        fixture->printed,
        "main.conf:1:1: unknown setting 'latenes'; did you mean 'lateness'?\n"
        "    latenes = \"5m\";\n"
        "    ^^^^^^^\n"
        "main.conf:2:14: 'max_future' is written as a text with a unit, as in \"90s\", \"36h\" or \"7d\"\n"
        "    max_future = 10;\n"
        "                 ^^\n"
        "main.conf:3:20: 'commit_interval' is outside 5ms to 1m\n"
        "    commit_interval = \"2h\";\n"
        "                       ^^\n"
        "main.conf:4:11: 'workers' is outside 0 to 1024\n"
        "    workers = 3000000000;\n"
        "              ^^^^^^^^^^\n"
        "main.conf:5:16: 'late_policy' must be apply, drop or dead_letter; did you mean 'apply'?\n"
        "    late_policy = \"aply\";\n"
        "                   ^^^^\n"
        "main.conf:6:1: 'create_topics' must be true or false\n"
        "    create_topics = \"yes\";\n"
        "    ^^^^^^^^^^^^^\n"
        "main.conf:7:3: 'tombstones' must be true or false\n"
        "    tombstones = 3;\n"
        "    ^^^^^^^^^^\n"
        "main.conf:11:19: 'score' is empty\n"
        "    score = ( ); owner = \"growth\"; } );\n"
        "    ^^^^^\n");
}

static void test_missing_parts(void **state)
{
    struct fixture *fixture = *state;
    load(fixture, "app = \"a/b\";\n");
    assert_non_null(strstr(fixture->printed, "no brokers"));
    assert_non_null(strstr(fixture->printed, "no input"));
    assert_non_null(strstr(fixture->printed, "no definitions"));
    assert_non_null(strstr(fixture->printed, "'app' begins names of topics"));
}

static void test_places_in_joined_texts(void **state)
{
    struct fixture *fixture = *state;
    const struct pql_config *config =
        load(fixture, KAFKA INPUT "definitions = ( { name = \"d\";\n"
                                  "    qualify = \"count(a, \" /* joined */\n"
                                  "              \"7d) >= 1 and x = \\\"q\\\" end\"; } );\n");
    assert_non_null(config);
    const struct pql_source *source = &config->program.definitions[0].qualify;
    assert_true(pql_slice_is(source->text, "count(a, 7d) >= 1 and x = \"q\" end"));
    struct pql_diags diags;
    pql_diags_init(&diags);
    pql_diag_source(&diags, PQL_SEVERITY_ERROR, source, 6, 1, "a");
    pql_diag_source(&diags, PQL_SEVERITY_ERROR, source, 9, 2, "7d");
    pql_diag_source(&diags, PQL_SEVERITY_ERROR, source, 30, 3, "end");
    assert_int_equal(diags.items[0].line, 4);
    assert_int_equal(diags.items[0].column, 22);
    assert_int_equal(diags.items[1].line, 5);
    assert_int_equal(diags.items[1].column, 16);
    assert_int_equal(diags.items[2].line, 5);
    assert_int_equal(diags.items[2].column, 39);
    pql_diags_deinit(&diags);
}

static void test_includes_follow_their_files(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "a/part.conf", KAFKA "@include \"b.conf\"\n");
    write_file(fixture, "a/b.conf", INPUT "lateness = \"x\";\n");
    load(fixture, "/* @include \"nowhere\" */\n@include \"a/part.conf\"\n" RULES "idle_after = 7;\n");
    assert_string_equal(
        fixture->printed,
        "a/b.conf:2:13: 'lateness' is written as a text with a unit, as in \"90s\", \"36h\" or \"7d\"\n"
        "    lateness = \"x\";\n"
        "                ^\n"
        "main.conf:4:14: 'idle_after' is written as a text with a unit, as in \"90s\", \"36h\" or \"7d\"\n"
        "    idle_after = 7;\n"
        "                 ^\n");
}

static void test_include_in_a_circle(void **state)
{
    struct fixture *fixture = *state;
    assert_null(load(fixture, "\xef\xbb\xbf@include \"main.conf\"\n"));
    assert_non_null(strstr(fixture->printed,
                           "main.conf:1:11: includes are nested more than 10 deep; is there a circle?"));
}

static void test_syntax_error(void **state)
{
    struct fixture *fixture = *state;
    assert_null(load(fixture, KAFKA "inputs = ( { topic = ; } );\n"));
    assert_non_null(strstr(fixture->printed, "main.conf:2:14: the value of 'topic' is missing"));
}

static void test_text_without_end(void **state)
{
    struct fixture *fixture = *state;
    assert_null(load(fixture, KAFKA "app = \"acme;\nlateness = 5;\n"));
    assert_string_equal(fixture->printed,
                        "main.conf:2:1: a text begins here that never ends\n    app = \"acme;\n    ^\n");
}

static void test_nesting_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char text[500] = "a = ";
    memset(text + 4, '(', 200);
    memset(text + 204, ')', 200);
    memcpy(text + 404, ";\n", 3);
    assert_null(load(fixture, text));
    assert_non_null(strstr(fixture->printed, "nested more than 63 deep"));
}

static void test_definition_files(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "rules/one.conf",
               "definitions = ( { name = \"one\"; qualify = \"$x\"; review_by = \"2025-01-01\"; } );\n"
               "signals = { x = \"count(a, 7d) >= 1\"; };\n");
    write_file(fixture, "rules/two.conf",
               "definitions = ( { name = \"one\"; qualify = \"$x\"; } );\nlateness = \"1s\";\n");
    load(fixture, KAFKA INPUT "definition_files = [ \"rules/*.conf\", \"more/*.conf\" ];\n");
    assert_non_null(
        strstr(fixture->printed, "rules/one.conf:1:62: warning: 'one' was to be reviewed by 2025-01-01"));
    assert_non_null(strstr(fixture->printed, "rules/two.conf:1:27: a definition 'one' is there already"));
    assert_non_null(strstr(fixture->printed, "rules/two.conf:2:1: 'lateness' belongs into the main file"));
    assert_non_null(strstr(fixture->printed, "main.conf:3:39: no file matches"));
    assert_int_equal(fixture->diags.errors_count, 3);
    assert_int_equal(fixture->config->program.definitions_count, 2);
    assert_int_equal(fixture->config->program.signals_count, 1);
}

static void test_overrides(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "main.conf", "workers = 1;\nlateness = \"1s\";\n" MINIMAL);
    char app[] = "PQLSTREAM_APP=from-env", workers[] = "PQLSTREAM_WORKERS=2",
         late[] = "PQLSTREAM_LATENESS=2s", mechanism[] = "PQLSTREAM_KAFKA__SASL_MECHANISM=PLAIN",
         foreign[] = "PQLSTREAM_PORT_8090_TCP=tcp://10.0.0.1:8090";
    char *environment[] = {app, workers, late, mechanism, foreign, NULL};
    const char *const sets[] = {
        "workers=3",          "inputs[0].topic=other",      "inputs[1].topic=second", "inputs[1].format=json",
        "create_topics=true", "kafka.producer.linger_ms=5", "dlq_max_share=0.25"};
    const struct pql_config *config = load_with(fixture, environment, sets, 7);
    assert_non_null(config);
    assert_string_equal(
        fixture->printed,
        "environment PQLSTREAM_PORT_8090_TCP: warning: no setting 'port_8090_tcp'; left alone\n");
    assert_string_equal(config->app, "from-env");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->program.settings.lateness_ms, 2000);
    assert_true(config->create_topics);
    assert_true(config->dlq_max_share == 0.25);
    assert_int_equal(config->inputs_count, 2);
    assert_string_equal(config->inputs[0].topic, "other");
    assert_string_equal(config->inputs[1].topic, "second");
    assert_string_equal(config->kafka.properties[1].name, "sasl.mechanism");
    assert_string_equal(config->kafka.properties[2].name, "linger.ms");
    assert_int_equal(config->kafka.properties[2].side, PQL_KAFKA_PRODUCER_SIDE);
}

static void test_bad_overrides(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "main.conf", MINIMAL);
    const char *const sets[] = {"workers",      "wrkers=3", "inputs[5].topic=x",
                                "workers=many", "app..x=1", "within=14d"};
    load_with(fixture, NULL, sets, 6);
    assert_non_null(strstr(fixture->printed, "'workers' is not written path=value"));
    assert_non_null(strstr(fixture->printed, "unknown setting 'wrkers'; did you mean 'workers'?"));
    assert_non_null(
        strstr(fixture->printed, "unknown setting 'within'; `pqlstream check --settings` lists them"));
    assert_non_null(strstr(fixture->printed, "there is no element [5]; the next one is [1]"));
    assert_non_null(strstr(fixture->printed, "'workers' must be a whole number"));
    assert_int_equal(fixture->diags.errors_count, 7);
}

static void test_secrets(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "password", "s3cret\n");
    setenv("PQL_TEST_TOKEN", "t0ken", 1);
    const struct pql_config *config = load(
        fixture, MINIMAL
        "registry = { url = \"http://ann:pa55@r,http://bob:pa55@s/x\"; password = \"${file:password}\";\n"
        "             token = \"a${env:PQL_TEST_TOKEN}b\"; };\n");
    assert_non_null(config);
    assert_string_equal(config->registry.password, "s3cret");
    assert_string_equal(config->registry.token, "at0kenb");
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    pql_config_print(config, out);
    fclose(out);
    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(text, "t0ken"));
    assert_null(strstr(text, "pa55"));
    assert_non_null(strstr(text, "registry.url = http://***@r,http://***@s/x "));
    assert_non_null(strstr(text, "registry.password = ***"));
    free(text);
}

static void test_missing_secret(void **state)
{
    struct fixture *fixture = *state;
    load(fixture, MINIMAL "instance = \"${env:PQL_NO_SUCH_VARIABLE}\";\n");
    assert_non_null(
        strstr(fixture->printed,
               "main.conf:4:13: ${env:PQL_NO_SUCH_VARIABLE}: the environment has no such variable"));
}

static void test_mapping(void **state)
{
    struct fixture *fixture = *state;
    const struct pql_config *config = load(
        fixture, KAFKA RULES
        "inputs = ( { topic = \"e\"; format = \"json\"; mapping = \"own\"; } );\n"
        "mappings = { unused = { event = \"x\"; activity = \"not this\"; };\n"
        "  own = { preset = \"segment\"; account = [ \"a\", \"header:b\" ]; time = [ \"t\", "
        "\"broker:timestamp\" ];\n"
        "    time_unit = \"s\"; rename = ( { from = \"A B\"; to = \"a_b\"; } ); ignore = \"bot = true\";\n"
        "    labels = ( { event = \"a_b\"; text = \"things done\"; } ); activity = [ \"login\" ];\n"
        "    kinds = ( { from = \"page\"; kind = \"trak\"; } ); start_events = \"signed_up\"; }; };\n");
    assert_string_equal(
        fixture->printed,
        "main.conf:8:40: unknown kind 'trak'; did you mean 'track'?\n"
        "    kinds = ( { from = \"page\"; kind = \"trak\"; } ); start_events = \"signed_up\"; }; };\n"
        "                                       ^^^^\n");
    const struct pql_mapping_conf *own = &config->mappings[0];
    assert_int_equal(config->mappings_count, 1);
    assert_true(pql_slice_is(own->event.paths[0].text, "event"));
    assert_int_equal(own->account.count, 2);
    assert_int_equal(own->time.count, 1);
    assert_true(own->time_from_broker);
    assert_int_equal(own->time_unit, PQL_UNIT_S);
    assert_true(pql_slice_is(own->renames[0].to, "a_b"));
    assert_int_equal(config->program.activity_count, 1);
    assert_true(pql_slice_is(config->program.activity[0], "login"));
    assert_true(pql_slice_is(config->program.start_events[0], "signed_up"));
    assert_true(pql_slice_is(config->program.labels[0].text, "things done"));
    assert_true(pql_slice_is(config->program.ignore.text, "bot = true"));
}

#define PROGRAM                                                                                              \
    KAFKA "registry = { url = \"http://r\"; }; lateness = \"90s\";\n"                                        \
          "inputs = ( { topic = \"e\"; mapping = \"m\"; schema = \"a.avsc\"; }, { topic = \"f\"; } );\n"     \
          "mappings = { m = { preset = \"canonical\"; user = [ \"u\" ]; time = [ \"t\" ];\n"                 \
          "  labels = ( { event = \"a\"; text = \"b \\\"c\\\"\"; } ); rename = ( { from = \"a\"; to = "      \
          "\"b\"; } );\n"                                                                                    \
          "  kinds = ( { from = \"page\"; kind = \"track\"; } ); };\n"                                       \
          "  unused = { user = \"v\"; }; };\n"                                                               \
          "signals = { active = \"count(any, 7d)  >= 3\"; };\n"                                              \
          "parameters = ( { name = \"bar\"; default = 2; } );\n"                                             \
          "definition_files = [ \"more.conf\" ];\n"                                                          \
          "definitions = ( { name = \"d\"; subject = \"user\"; cooldown = \"24h\"; alert = true;\n"          \
          "  timezone = \"Europe/Berlin\";\n"                                                                \
          "  qualify = \"$active and\"\n  \" count(x where p = 'a  b', 7d) >= $bar\"; },\n"                  \
          "  { name = \"unused\"; mode = \"off\"; qualify = \"ever(x)\"; } );\n"

/* The text of a program: another one for whatever changes results, the same for names, topics and ways of
 * writing. */
static void test_program_text(void **state)
{
    struct fixture *fixture = *state;
    static const char *const same[] = {
        "inputs[0].topic=x", "mappings.unused.user=w", "lateness=90000ms",       "commit_interval=1s",
        "revision=9",        "outputs.pql.topic=o",    "definitions[1].name=no", "definitions[0].owner=me"};
    static const char *const others[] = {"inputs[0].format=json",
                                         "inputs[0].mapping=segment",
                                         "mappings.m.time_unit=s",
                                         "mappings.m.user[0]=who",
                                         "mappings.m.time[0]=broker:timestamp",
                                         "mappings.m.rename[0].to=c",
                                         "mappings.m.kinds[0].kind=identify",
                                         "mappings.m.labels[0].text=y",
                                         "app=other",
                                         "lateness=91s",
                                         "parameters[0].default=3",
                                         "signals.active=count(any, 7d) >= 4",
                                         "definitions[0].alert=false",
                                         "definitions[0].timezone=Europe/Paris",
                                         "definitions[1].mode=live",
                                         "definitions[0].exact_max=7",
                                         "max_future=1h"};
    enum { SAME = sizeof same / sizeof *same, OTHERS = sizeof others / sizeof *others };
    write_file(fixture, "a.avsc", "\"string\"\n");
    write_file(fixture, "more.conf",
               "definitions = ( { name = \"e\"; subject = \"account\"; qualify = \"ever(y)\"; } );");
    write_file(fixture, "main.conf", PROGRAM);
    struct pql_slice text = load_with(fixture, NULL, NULL, 0)->program.text;
    char *first = pql_xcalloc(1, text.len + 1);
    memcpy(first, text.ptr, text.len);
    assert_string_equal(fixture->printed, "");
    assert_non_null(strstr(first, "schema = \"\\\"string\\\"\\x0a\";"));
    assert_null(strstr(first, "unused"));
    assert_non_null(strstr(first, "CET-1CEST,M3.5.0,M10.5.0/3\""));
    for (size_t i = 0; i < SAME + OTHERS; i++) {
        const char *set = i < SAME ? same[i] : others[i - SAME];
        pql_config_free(fixture->config);
        free(fixture->printed);
        const struct pql_config *config = load_with(fixture, NULL, &set, 1);
        assert_string_equal(fixture->printed, "");
        if (pql_slice_is(config->program.text, first) != (i < SAME)) fail_msg("%s", set);
    }
    free(first);
}

/* A program is made again of its text alone: the same definitions, mappings, settings. */
static void test_program_of_its_text(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "a.avsc", "\"string\"\n");
    write_file(fixture, "more.conf",
               "definitions = ( { name = \"e\"; subject = \"account\"; qualify = \"ever(y)\"; } );");
    const struct pql_config *config = load(fixture, PROGRAM);
    assert_string_equal(fixture->printed, "");
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_config *again = pql_config_load(&(struct pql_config_request){.path = "stored",
                                                                            .program = config->program.text,
                                                                            .today_ms = PQL_NO_TIME},
                                               &diags);
    assert_int_equal(diags.count, 0);
    const struct pql_program_conf *a = &config->program, *b = &again->program;
    assert_int_equal(b->definitions_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(pql_slice_eq(a->definitions[i].name, b->definitions[i].name));
        assert_int_equal(a->definitions[i].subject, b->definitions[i].subject);
        assert_int_equal(a->definitions[i].cooldown_ms, b->definitions[i].cooldown_ms);
        assert_int_equal(a->definitions[i].alert, b->definitions[i].alert);
    }
    assert_true(
        pql_slice_is(b->definitions[0].qualify.text, "$active and count(x where p = 'a  b', 7d) >= $bar"));
    assert_memory_equal(&a->settings, &b->settings, sizeof a->settings);
    assert_true(pql_slice_is(pql_zone_name(b->definitions[0].zone), "Europe/Berlin"));
    assert_null(b->definitions[1].zone);
    assert_true(pql_slice_is(b->labels[0].text, "b \"c\""));
    assert_int_equal(again->inputs_count, 2);
    assert_string_equal(again->inputs[0].schema, "\"string\"\n");
    assert_int_equal(again->mappings_count, config->mappings_count);
    assert_int_equal(again->mappings[0].renames_count, 1);
    assert_true(pql_slice_eq(a->text, b->text));
    struct pql_program *program = pql_program_new(b, &diags);
    assert_non_null(program);
    pql_program_free(program);
    pql_config_free(again);
    pql_diags_deinit(&diags);
}

static void test_parameters(void **state)
{
    struct fixture *fixture = *state;
    const struct pql_config *config =
        load(fixture, MINIMAL
             "parameters = ( { name = \"days\"; default = \"21d\"; }, { name = \"bar\"; default = 8.5; },\n"
             "  { name = \"plan\"; default = \"pro\"; }, { name = \"bar\"; default = 1; } );\n"
             "signals = { plan = \"ever(a)\"; };\n");
    assert_non_null(strstr(fixture->printed, "main.conf:5:40: a signal or parameter 'bar' is there already"));
    assert_non_null(strstr(fixture->printed, "a signal or parameter 'plan' is there already"));
    const struct pql_lang_parameter *parameters = config->program.parameters;
    assert_int_equal(parameters[0].value.kind, PQL_DURATION);
    assert_int_equal(parameters[0].value.ms, 21 * INT64_C(86400000));
    assert_int_equal(parameters[1].value.kind, PQL_NUMBER);
    assert_true(parameters[1].value.number == 8500000);
    assert_int_equal(parameters[2].value.kind, PQL_TEXT);
}

static void test_outputs(void **state)
{
    struct fixture *fixture = *state;
    const struct pql_config *config =
        load(fixture, MINIMAL
             "app = \"acme\";\nregistry = { url = \"http://r\"; };\n"
             "outputs = { pql = { topic = \"leads\"; schema = \"register\"; }; pqa = { schema = 17; };\n"
             "  state = { format = \"json\"; json_times = \"ms\"; }; };\n");
    assert_string_equal(fixture->printed, "");
    assert_string_equal(config->outputs[PQL_OUT_PQL].topic, "leads");
    assert_int_equal(config->outputs[PQL_OUT_PQL].format, PQL_FORMAT_AVRO);
    assert_true(config->outputs[PQL_OUT_PQL].registers);
    assert_int_equal(config->outputs[PQL_OUT_PQA].schema_id, 17);
    assert_int_equal(config->outputs[PQL_OUT_STATE].format, PQL_FORMAT_JSON);
    assert_int_equal(config->outputs[PQL_OUT_STATE].json_times, PQL_JSON_MS);
    assert_string_equal(config->outputs[PQL_OUT_DLQ].topic, "acme.dlq");
}

static void test_avro_output_needs_a_schema(void **state)
{
    struct fixture *fixture = *state;
    load(fixture, MINIMAL "outputs = { pql = { format = \"avro\"; }; };\n");
    assert_non_null(strstr(fixture->printed, "main.conf:4:13: Avro output needs a registry"));
}

static void test_avro_input_needs_a_schema(void **state)
{
    struct fixture *fixture = *state;
    load(fixture, KAFKA RULES "inputs = ( { topic = \"a\"; }, { topic = \"b\"; framing = \"bare\"; } );\n");
    assert_non_null(strstr(fixture->printed, "main.conf:3:12: Avro needs a registry"));
    assert_non_null(strstr(fixture->printed, "main.conf:3:30: bare Avro needs a schema file"));
    assert_int_equal(fixture->diags.errors_count, 2);
}

static void test_a_topic_has_one_purpose(void **state)
{
    struct fixture *fixture = *state;
    load(fixture, MINIMAL "outputs = { pql = { topic = \"events\"; }; pqa = { topic = \"x\"; }; dlq = { "
                          "topic = \"x\"; }; };\n");
    assert_non_null(strstr(fixture->printed, "topic 'events' has two purposes"));
    assert_non_null(strstr(fixture->printed, "topic 'x' has two purposes"));
    assert_int_equal(fixture->diags.errors_count, 2);
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = pql_xcalloc(1, 100000);
    assert_true(fread(text, 1, 99999, file) < 99999);
    fclose(file);
    return text;
}

static void test_shipped_configuration_is_the_printed_one(void **state)
{
    (void)state;
    char *printed, *shipped = read_whole("conf/pqlstream.conf");
    size_t size;
    FILE *out = open_memstream(&printed, &size);
    pql_config_print_template(out);
    fclose(out);
    assert_string_equal(shipped,
                        printed); /* else: pqlstream check --print-config-template >conf/pqlstream.conf */
    free(printed);
    free(shipped);
}

static void test_shipped_configuration_loads(void **state)
{
    struct fixture *fixture = *state;
    char *text = read_whole("conf/pqlstream.conf");
    assert_non_null(load(fixture, text));
    assert_string_equal(fixture->printed, "");
    free(text);
}

/* Every setting that the commented configuration shows is one that can be written so. */
static void test_shipped_configuration_loads_without_its_comments(void **state)
{
    struct fixture *fixture = *state;
    char *text = read_whole("conf/pqlstream.conf");
    for (char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (*at == '#') *at = ' ';
    setenv("REGISTRY_PASSWORD", "a", 1);
    setenv("REGISTRY_TOKEN", "b", 1);
    setenv("PQLSTREAM_TOKEN", "c", 1);
    write_file(fixture, "rules/one.conf", "");
    const struct pql_config *config = load(fixture, text);
    assert_string_equal(fixture->printed, "");
    assert_string_equal(config->registry.password, "a");
    free(text);
}

/* What the loader sets without a file is what the table says, and every row is found by its name. */
static void test_table_agrees_with_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        assert_ptr_equal(pql_option_find(option->group, option->name), option);
        assert_true(strlen(option->help) > 0);
        assert_true((option->type == PQL_OPTION_WORD) == (option->words != NULL));
        if (option->words && option->value) {
            size_t word = 0;
            while (option->words[word] && strcmp(option->words[word], option->value) != 0) word++;
            assert_non_null(option->words[word]);
        }
    }
}

/* Every row is printed with the whole path of its group. */
static void test_list_of_settings(void **state)
{
    (void)state;
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    pql_options_print(PQL_GROUP_ROOT, out);
    fclose(out);
    assert_null(strstr(page, "(null)"));
    assert_non_null(strstr(page, "\nmappings.NAME.periods[].start\n"));
    assert_non_null(strstr(page, "\ncommit_interval = 100ms\n"));
    assert_non_null(strstr(
        page, "\ndefinitions[].name\n    Name; part of the records' keys. [required; changes results]\n"));
    free(page);
}

/* Text that a slip of the hand or an enemy wrote: messages, never a crash. */
static void test_damaged_text(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = MINIMAL
        "mappings = { m = { event = [ \"a\" \"b\", \"c\\x41\\\"\" ]; // c\n  ignore = \"x\"\n \"y\"; }; };"
        "signals : { s = \"a\"; } /* c */ # d\nparameters = ( { name = \"n\", default = 0x1FL } )";
    char damaged[sizeof text];
    unsigned seed = 20261122;
    print_message("seed %u\n", seed);
    for (int i = 0; i < 600; i++) {
        memcpy(damaged, text, sizeof text);
        for (int k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1103515245 + 12345;
            damaged[(seed >> 16) % (sizeof text - 1)] = "\"{}()[];,=:/*#\\ \n$@a0"[(seed >> 8) % 21];
        }
        load(fixture, damaged);
        pql_config_free(fixture->config);
        fixture->config = NULL;
        free(fixture->printed);
        fixture->printed = NULL;
        pql_diags_deinit(&fixture->diags);
        pql_diags_init(&fixture->diags);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_all_errors_at_once),
        TEST(test_missing_parts),
        TEST(test_places_in_joined_texts),
        TEST(test_includes_follow_their_files),
        TEST(test_include_in_a_circle),
        TEST(test_syntax_error),
        TEST(test_text_without_end),
        TEST(test_nesting_is_bounded),
        TEST(test_definition_files),
        TEST(test_overrides),
        TEST(test_bad_overrides),
        TEST(test_secrets),
        TEST(test_missing_secret),
        TEST(test_mapping),
        TEST(test_program_text),
        TEST(test_program_of_its_text),
        TEST(test_parameters),
        TEST(test_outputs),
        TEST(test_avro_output_needs_a_schema),
        TEST(test_avro_input_needs_a_schema),
        TEST(test_a_topic_has_one_purpose),
        TEST(test_shipped_configuration_is_the_printed_one),
        TEST(test_shipped_configuration_loads),
        TEST(test_shipped_configuration_loads_without_its_comments),
        TEST(test_table_agrees_with_itself),
        TEST(test_list_of_settings),
        TEST(test_damaged_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
