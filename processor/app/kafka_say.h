/* kafka_say.h - what librdkafka says, into the log. Thread: any. */
#ifndef PQL_APP_KAFKA_SAY_H
#define PQL_APP_KAFKA_SAY_H

#include "io/kafka_client.h"

struct pql_kafka_log pql_kafka_say(void);

#endif
