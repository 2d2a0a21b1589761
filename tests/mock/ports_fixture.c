#include "mock/ports_fixture.h"

#include <stdlib.h>

char fixture_lines[20000];

void fixture_log(void *context, int level, const char *text)
{
    (void)context;
    size_t used = strlen(fixture_lines);
    snprintf(fixture_lines + used, sizeof(fixture_lines) - used, "%d %s\n", level, text);
}

const char *const fixture_inputs[2] = {"events", "billing"};

struct pql_kafka_ports_conf fixture_conf(struct fixture *fx)
{
    return (struct pql_kafka_ports_conf){
        .kafka = &fx->kafka,
        .log = {.write = fixture_log},
        .inputs = fixture_inputs,
        .inputs_count = 2,
        .outputs = {"a.pql", "a.pqa", "a.state", "a.alerts", "a.shadow", "a.dlq", "a.checkpoint"},
        .workers_count = 2,
    };
}

int ports_set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    struct pql_err err = {0};
    fixture_lines[0] = '\0';
    fx->mock = pql_kafka_mock_new(2, &err);
    assert_non_null(fx->mock);
    fx->properties[0] =
        (struct pql_kafka_property){.name = "bootstrap.servers", .value = pql_kafka_mock_bootstrap(fx->mock)};
    fx->properties[1] = (struct pql_kafka_property){
        .name = "fetch.wait.max.ms", .value = "10", .side = PQL_KAFKA_CONSUMER_SIDE};
    fx->kafka = (struct pql_kafka_conf){
        .properties = fx->properties, .properties_count = 2, .app = "a", .is_mock = true};
    struct pql_kafka_ports_conf conf = fixture_conf(fx);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pql_kafka_mock_create_topic(fx->mock, fixture_inputs[i], 2, &err), 0);
    for (size_t i = 0; i < PQL_OUT_COUNT; i++)
        assert_int_equal(pql_kafka_mock_create_topic(fx->mock, conf.outputs[i], 2, &err), 0);
    fx->ports = pql_kafka_ports_new(&conf, &err);
    assert_non_null(fx->ports);
    fx->table = pql_kafka_ports_table(fx->ports);
    const int64_t sizes[PQL_OUT_COUNT] = {1000000, 1000000, 3000, 1000000, 1000000, 1000000, 1000000};
    assert_int_equal(fx->table.set_sizes(fx->table.self, sizes, &err), 0);
    *state = fx;
    return 0;
}

int ports_tear_down(void **state)
{
    struct fixture *fx = *state;
    pql_kafka_ports_free(fx->ports);
    pql_kafka_mock_free(fx->mock);
    free(fx);
    return 0;
}

struct pql_control fixture_wait_for(struct fixture *fx, enum pql_control_kind kind)
{
    struct pql_control control;
    for (int i = 0; i < 300; i++) {
        fx->table.poll(fx->table.self, 100, &control);
        if (control.kind == kind) return control;
    }
    fail_msg("no control event %d; the log says:\n%s", (int)kind, fixture_lines);
    return control;
}

void fixture_join(struct fixture *fx)
{
    struct pql_err err = {0};
    const unsigned workers[] = {0, 1};
    OK(fx->table.subscribe(fx->table.self, &err));
    struct pql_control control = fixture_wait_for(fx, PQL_CONTROL_ASSIGNED);
    assert_int_equal(control.count, 2);
    unsigned of_task[2] = {workers[control.tasks[0]], workers[control.tasks[1]]};
    OK(fx->table.assign(fx->table.self, control.tasks, of_task, 2, &err));
}
