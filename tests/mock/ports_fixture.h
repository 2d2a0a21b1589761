/* ports_fixture.h - the ports on librdkafka with its mock cluster: two inputs of two partitions, all outputs,
 * two brokers; what librdkafka says is kept. */
#ifndef PQL_TESTS_MOCK_PORTS_FIXTURE_H
#define PQL_TESTS_MOCK_PORTS_FIXTURE_H

#include "io/kafka_admin.h"
#include "io/kafka_mock.h"
#include "io/kafka_ports.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
// cmocka wants the four above before it
#include <cmocka.h>

struct fixture {
    struct pql_kafka_mock *mock;
    struct pql_kafka_property properties[2];
    struct pql_kafka_conf kafka;
    struct pql_kafka_ports *ports;
    struct pql_ports table;
};

extern const char *const fixture_inputs[2];
extern char fixture_lines[20000];

void fixture_log(void *context, int level, const char *text);
struct pql_kafka_ports_conf fixture_conf(struct fixture *fx);

/* Of cmocka: *state is a struct fixture. */
int ports_set_up(void **state);
int ports_tear_down(void **state);

/* err is in scope. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        if (call) fail_msg("%s: class %d: %s", #call, (int)err.cls, err.msg);                                \
    } while (0)

struct pql_control fixture_wait_for(struct fixture *fx, enum pql_control_kind kind);
/* Joins; tasks 0 and 1 to workers 0 and 1. */
void fixture_join(struct fixture *fx);

#endif
