/* config.h - the whole configuration as one struct of plain data.
 *
 *   files (libconfig, @include) ─┐
 *   environment PQLSTREAM_…     ─┼─► tree of settings with places ──option table──► struct pql_config
 *   --set path=value            ─┘        (config_tree.h)           (config_options.h)   │
 *                                                    program, mappings, kafka: as their modules want them
 *
 * One rule for all: nothing is ignored in silence. An unknown name, a value out of range, a setting that this
 * version does not have: each is a message with place and suggestion, and all are found in one run. Texts end
 * in NUL; NULL or an empty slice: not given. Owner: the struct's arena. Thread: any, read only. */
#ifndef PQL_IO_CONFIG_H
#define PQL_IO_CONFIG_H

#include "base/log.h"
#include "core/program_conf.h"
#include "core/wire/decoder.h"
#include "core/wire/mapping.h"
#include "io/kafka_conf.h"
#include "io/ports.h"
#include "io/server.h"
#include "io/registry_conf.h"

enum pql_delivery { PQL_EXACTLY_ONCE, PQL_AT_LEAST_ONCE };
enum pql_engine_upgrade { PQL_UPGRADE_AUTO, PQL_UPGRADE_MANUAL };
enum pql_clock_mode { PQL_CLOCK_WALL, PQL_CLOCK_EVENTS }; /* EVENTS: no ticks */
enum pql_on_bad_input { PQL_BAD_INPUT_BLOCK, PQL_BAD_INPUT_EXIT };
enum pql_partitioning { PQL_PARTITIONING_MURMUR2, PQL_PARTITIONING_CRC32, PQL_PARTITIONING_TRUSTED };
enum pql_user_events { PQL_USER_EVENTS_ACCOUNT, PQL_USER_EVENTS_ALL_PARTITIONS };
enum pql_json_times { PQL_JSON_RFC3339, PQL_JSON_MS };

struct pql_input_conf {
    const char *topic;
    int format;         /* enum pql_format */
    int framing;        /* enum pql_framing */
    size_t mapping;     /* index into pql_config.mappings */
    const char *schema; /* file with the writer's schema of bare messages; NULL: the first of `schemas` */
    const char *reader_schema; /* file with the schema that writers' are resolved to (aliases, defaults);
                                  NULL: none */
    int partitioning;          /* enum pql_partitioning */
    int user_events;           /* enum pql_user_events */
    int64_t max_future_ms;
    int64_t start; /* without a committed offset: PQL_OFFSET_EARLIEST, PQL_OFFSET_LATEST, or a time in ms */
};

/* One output topic. */
struct pql_output_conf {
    const char *topic;
    int format;          /* enum pql_format */
    bool registers;      /* Avro: the schema is registered under <topic>-value; else it is looked up there */
    int64_t schema_id;   /* Avro: a fixed id, and no question to the registry; -1: none */
    bool is_bare;        /* Avro without prefix */
    int json_times;      /* enum pql_json_times */
    int64_t partitions;  /* where pqlstream creates it; 0: as many as the lead input has */
    bool connect_schema; /* JSON: with the schema envelope that Kafka Connect's JsonConverter reads */
};

struct pql_config {
    struct pql_arena arena;
    const char *path;                   /* of the main file */
    const struct pql_setting *settings; /* as written, for pql_config_print */
    bool is_program; /* from the text of a program: inputs have numbers for topics, and where files of schemas
                        are named stand the schemas themselves */

    const char *app, *instance;      /* instance NULL: none */
    int64_t revision, backfill_from; /* PQL_OFFSET_LATEST: not at all */
    int delivery;                    /* enum pql_delivery */
    int group_protocol;              /* enum pql_group_protocol */
    int log_level;                   /* enum pql_log_level */
    int64_t start;
    bool create_topics, tombstones;
    int64_t replication_factor;

    int64_t workers; /* 0: one per core */
    uint64_t memory; /* bytes; 0: three quarters of what there is */
    int64_t commit_interval_ms, max_output_delay_ms;
    int64_t checkpoint_interval_ms, restore_target_ms, handover_budget_ms;
    uint64_t checkpoint_bandwidth; /* bytes per second */
    int engine_upgrade;            /* enum pql_engine_upgrade */

    int clock; /* enum pql_clock_mode */
    int64_t idle_after_ms, max_future_ms, alert_max_age_ms;
    double dlq_max_share, misplaced_max; /* 0 to 1 */
    int on_bad_input;                    /* enum pql_on_bad_input */

    struct pql_kafka_conf kafka;
    struct pql_registry_conf registry;
    struct pql_server_conf http; /* address NULL: none */
    const char *const *schemas;  /* files of writer schemas, paths as they can be opened */
    size_t schemas_count;

    const struct pql_input_conf *inputs; /* the first is the lead */
    size_t inputs_count;
    struct pql_output_conf outputs[PQL_OUT_COUNT];

    const struct pql_mapping_conf *mappings; /* those that inputs use */
    size_t mappings_count;
    struct pql_program_conf program; /* without definitions whose mode is off */
};

/* What the caller has beside the file. */
struct pql_config_request {
    const char *path; /* of the main file; with `program`: a name for messages */
    const struct pql_slice *text; /* what stands in the main file, which is not read then; NULL: it is read */
    struct pql_slice
        program; /* the text of a program (program.text of a configuration), read instead of a file */
    const char *const *sets; /* "path=value", in order */
    size_t sets_count;
    char **environment; /* "NAME=value" …, NULL at the end; NULL: none */
    int64_t today_ms;   /* for review_by; PQL_NO_TIME: not compared */
    bool needs_brokers; /* false: replay */
};

/* Reads everything; it opens files and nothing else. NULL: no tree could be read. Otherwise errors may be in
 * diags too (errors_count); the struct then serves only to find further errors, those of the program among
 * them. */
struct pql_config *pql_config_load(const struct pql_config_request *request, struct pql_diags *diags);
void pql_config_free(struct pql_config *config);

/* Names every setting that was changed and that neither makes the program nor can be changed while running.
 */
void pql_config_compare(const struct pql_config *before, const struct pql_config *now,
                        void (*tell)(void *context, const char *name), void *context);

/* The commented configuration with every setting at its default: conf/pqlstream.conf. */
void pql_config_print_template(FILE *out);

/* Whether the setting of this path, as in "kafka.sasl_password", is a secret. */
bool pql_config_is_secret(const char *path);

/* What the main file, environment and command line set, one setting a line; secrets as "***". */
void pql_config_print(const struct pql_config *config, FILE *out);

#endif
