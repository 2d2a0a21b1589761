/* topics.h - the topics that a configuration needs: what they should be, what they are, and the command that
 * mends each difference. `topics` prints, creates and verifies them; `run` refuses to start over a difference
 * that would hurt. */
#ifndef PQL_APP_TOPICS_H
#define PQL_APP_TOPICS_H

#include "core/program.h"
#include "io/config.h"
#include "io/kafka_admin.h"

enum { PQL_TOPIC_SETTINGS_MAX = 8 };

/* One topic as it should be. */
struct pql_topic_plan {
    const char *name;
    bool is_input;
    int32_t partitions; /* 0: an input whose number is not known */
    int32_t replicas;
    struct pql_kafka_extra settings[PQL_TOPIC_SETTINGS_MAX]; /* ends with name NULL */
};

/* All topics of the configuration: inputs first, then outputs. partitions: of inputs. Returns how many; at
 * most pql_topics_max(config). */
size_t pql_topics_plan(const struct pql_config *config, int32_t partitions, struct pql_topic_plan *out);
size_t pql_topics_max(const struct pql_config *config);

/* All that `run` needs in the cluster as commands of Kafka's own tools, to be copied as they stand: the
 * topics (the inputs among them if creates_inputs), their settings where they are there already, and the
 * rights of a principal ("User:pqlstream"), no more than it uses. */
struct pql_topics_print {
    int32_t partitions; /* of the inputs */
    bool creates_inputs;
    const char *principal;
};
void pql_topics_print(const struct pql_config *config, const struct pql_topics_print *what, FILE *out);

/* A difference between plan and cluster. */
struct pql_topic_difference {
    bool refuses; /* run does not start over it; else it is a warning */
    const char *topic;
    char what[600];
    char mend[500]; /* a command, or what to decide */
};

/* What an input's retention means for definitions that look further back; false: nothing. brokers: for the
 * command. */
bool pql_topics_see_reach(const struct pql_program *program, const char *topic, const char *brokers,
                          int64_t retention_ms, struct pql_topic_difference *out);

/* Compares; calls tell for each difference. *refused: how many refuse. -1 where the cluster cannot be asked.
 * waits: a topic counts as missing only after some seconds, since brokers hear of a new one a moment later.
 */
int pql_topics_verify(const struct pql_config *config, const struct pql_program *program,
                      struct pql_kafka *kafka, bool waits,
                      void (*tell)(void *context, const struct pql_topic_difference *difference),
                      void *context, size_t *refused, struct pql_err *err) PQL_CHECKED;

/* Creates what is missing, also inputs if input_partitions > 0, and waits until the cluster shows it. tell
 * hears the name of each topic created. */
int pql_topics_create(const struct pql_config *config, struct pql_kafka *kafka, int32_t input_partitions,
                      void (*tell)(void *context, const char *topic, int32_t partitions), void *context,
                      struct pql_err *err) PQL_CHECKED;

/* Deletes the outputs and the checkpoint, never an input. */
int pql_topics_delete(const struct pql_config *config, struct pql_kafka *kafka,
                      void (*tell)(void *context, const char *topic, int32_t partitions), void *context,
                      struct pql_err *err) PQL_CHECKED;

#endif
