#include "io/config_options.h"

#include "core/wire/rfc3339.h"
#include "io/config_fields.h"

#include <inttypes.h>
#include <stdlib.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define MIB (INT64_C(1) << 20)
#define TIB (INT64_C(1) << 40)

#define AT(type, member) offsetof(struct type, member), sizeof(((struct type *)NULL)->member)
#define NO_MEMBER 0, 0

#define RESULTS PQL_OPTION_AFFECTS_RESULTS
#define REQUIRED PQL_OPTION_REQUIRED
#define RULES PQL_OPTION_IN_RULES
#define SHOWN PQL_OPTION_OPTIONAL
#define CONTENT PQL_OPTION_IS_FILE
#define CONDITION PQL_OPTION_IS_CONDITION
#define LIVE PQL_OPTION_IS_LIVE
#define ZONE PQL_OPTION_IS_ZONE

static const char *const group_protocol_words[] = {"classic", "consumer", NULL};
static const char *const delivery_words[] = {"exactly_once", "at_least_once", NULL};
static const char *const upgrade_words[] = {"auto", "manual", NULL};
static const char *const log_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const late_words[] = {"apply", "drop", "dead_letter", NULL};
static const char *const clock_words[] = {"wall", "events", NULL};
static const char *const bad_input_words[] = {"block", "exit", NULL};
static const char *const format_words[] = {"avro", "json", NULL};
static const char *const framing_words[] = {"auto", "prefix", "single_object", "bare", "header", NULL};
static const char *const user_events_words[] = {"account", "all_partitions", NULL};
static const char *const partitioning_words[] = {"murmur2", "crc32", "trusted", NULL};
static const char *const json_time_words[] = {"rfc3339", "ms", NULL};
static const char *const unit_words[] = {"ms", "s", "us", NULL};
static const char *const subject_words[] = {"user", "account", NULL};
static const char *const scores_words[] = {"qualified", "all", NULL};
static const char *const mode_words[] = {"live", "shadow", "off", NULL};

/* Columns: group, name, type, inner group, offset and size of the member, default, min, max, words, flags,
 * example, help. */
#define DURATION(group, name, member, value, min, max, flags, help)                                          \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_DURATION, PQL_GROUP_ROOT, member, value, min, max, NULL, flags,  \
            NULL, help                                                                                       \
    }
#define SIZE(group, name, member, value, min, max, flags, help)                                              \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_SIZE, PQL_GROUP_ROOT, member, value, min, max, NULL, flags,      \
            NULL, help                                                                                       \
    }
#define INT(group, name, member, value, min, max, flags, help)                                               \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_INT, PQL_GROUP_ROOT, member, value, min, max, NULL, flags, NULL, \
            help                                                                                             \
    }
#define BOOL(group, name, member, value, flags, help)                                                        \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_BOOL, PQL_GROUP_ROOT, member, value, 0, 0, NULL, flags, NULL,    \
            help                                                                                             \
    }
#define SHARE(group, name, member, value, flags, help)                                                       \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_SHARE, PQL_GROUP_ROOT, member, value, 0, 0, NULL, flags, NULL,   \
            help                                                                                             \
    }
#define WORD(group, name, member, value, words, flags, help)                                                 \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_WORD, PQL_GROUP_ROOT, member, value, 0, 0, words, flags, NULL,   \
            help                                                                                             \
    }
#define TEXT(group, name, type, member, value, flags, example, help)                                         \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_##type, PQL_GROUP_ROOT, member, value, 0, 0, NULL, flags,        \
            example, help                                                                                    \
    }
#define GROUP(group, name, type, inner, flags, help)                                                         \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_##type, PQL_GROUP_##inner, NO_MEMBER, NULL, 0, 0, NULL, flags,   \
            NULL, help                                                                                       \
    }
#define CHOICES(group, name, member, example, help)                                                          \
    {                                                                                                        \
        PQL_GROUP_##group, name, PQL_OPTION_CHOICES, PQL_GROUP_CHOICE, member, NULL, 0, 0, NULL,             \
            RESULTS | SHOWN, example, help                                                                   \
    }

/* clang-format off */
const struct pql_option pql_options[] = {
    /* --- who this is --- */
    TEXT(ROOT, "app", STRING, AT(pql_config, app), "pqlstream", RESULTS, "\"acme-pql\"",
         "Name of the application: consumer group, beginning of transactional ids and of topic names."),
    TEXT(ROOT, "backfill_from", START, AT(pql_config, backfill_from), "latest", LIVE, "\"2026-03-01T00:00:00Z\"",
         "When a higher revision is taken over, signals that are new read the inputs again from here, while the task "
         "waits: a time, earliest, or latest (not at all: they begin empty). A still higher revision without it gives up a "
         "back-fill under way, by SIGHUP or a restart."),
    INT(ROOT, "revision", AT(pql_config, revision), "1", 1, INT32_MAX, LIVE,
        "Number of this configuration. Raise it with every change of what changes results: a state takes over a higher "
        "number, stays with its own program under a lower one, and refuses another program under the same."),
    TEXT(ROOT, "instance", STRING, AT(pql_config, instance), NULL, SHOWN, "\"pql-0\"",
         "Name of this process, such as the pod's: static group membership and a stable transactional id. Two live "
         "processes must not share it."),
    WORD(ROOT, "group_protocol", AT(pql_config, group_protocol), "classic", group_protocol_words, 0,
         "Who assigns partitions: the members (classic, every broker) or the broker (consumer: KIP-848, Kafka 4.0 and "
         "later, where session and heartbeat are settings of the broker or of the group there)."),
    WORD(ROOT, "log_level", AT(pql_config, log_level), "info", log_words, LIVE, "Lines of the log below it are left out."),

    /* --- Kafka --- */
    GROUP(ROOT, "kafka", GROUP, KAFKA, 0,
          "Brokers, and any property of librdkafka with _ for . as in security_protocol; sub-groups consumer and "
          "producer hold those of one side."),
    TEXT(KAFKA, "bootstrap_servers", ANY, NO_MEMBER, NULL, 0, "\"localhost:9092\"", "Brokers as host:port, separated by commas."),
    GROUP(ROOT, "registry", GROUP, REGISTRY, 0, "Schema registry (Confluent's protocol)."),
    TEXT(REGISTRY, "url", STRING, AT(pql_registry_conf, url), NULL, 0, "\"http://localhost:8081\"",
         "Base address, which may have a path; several separated by commas."),
    TEXT(REGISTRY, "user", STRING, AT(pql_registry_conf, user), NULL, SHOWN, "\"pqlstream\"", "User of basic authentication."),
    TEXT(REGISTRY, "password", STRING, AT(pql_registry_conf, password), NULL, SHOWN, "\"${env:REGISTRY_PASSWORD}\"",
         "Password of basic authentication: best as ${env:NAME} or ${file:/path}."),
    TEXT(REGISTRY, "token", STRING, AT(pql_registry_conf, token), NULL, SHOWN, "\"${env:REGISTRY_TOKEN}\"", "Bearer token."),
    TEXT(REGISTRY, "ca", STRING, AT(pql_registry_conf, ca), NULL, SHOWN, "\"/etc/ssl/certs/ca-certificates.crt\"", "File of the authorities to trust (PEM)."),
    TEXT(REGISTRY, "certificate", STRING, AT(pql_registry_conf, certificate), NULL, SHOWN, "\"client.pem\"", "File of the client's certificate (PEM)."),
    TEXT(REGISTRY, "key", STRING, AT(pql_registry_conf, key), NULL, SHOWN, "\"client.key\"", "File of the client's key (PEM)."),
    TEXT(REGISTRY, "cache_dir", STRING, AT(pql_registry_conf, cache_dir), NULL, SHOWN, "\"/var/lib/pqlstream/schemas\"",
         "Folder that keeps the schemas met, so that a start needs no registry."),
    DURATION(REGISTRY, "timeout", AT(pql_registry_conf, timeout_ms), "10s", SECOND, 5 * MINUTE, 0, "How long one request may take."),

    /* --- what comes in --- */
    GROUP(ROOT, "inputs", LIST, INPUT, RESULTS,
          "Input topics, all with the same number of partitions and partitioned by account. The first is the one "
          "that the group subscribes to."),
    TEXT(INPUT, "topic", STRING, AT(pql_input_conf, topic), NULL, REQUIRED, "\"product-events\"", "Name of the topic."),
    WORD(INPUT, "format", AT(pql_input_conf, format), "avro", format_words, RESULTS, "Of the values."),
    WORD(INPUT, "framing", AT(pql_input_conf, framing), "auto", framing_words, RESULTS,
         "How an Avro value names its schema: prefix (00 and an id before it, as Confluent's serializers write), header (__value_schema_id), "
         "single_object (C3 01 and a fingerprint), bare (not at all); auto recognises single_object, else prefix "
         "where there is a registry, else bare."),
    TEXT(INPUT, "mapping", SOURCE, AT(input_fields, mapping), "canonical", RESULTS, NULL,
         "Which fields mean what: one of `mappings`, or one that ships with the program (canonical, segment)."),
    TEXT(INPUT, "schema", STRING, AT(pql_input_conf, schema), NULL, RESULTS | SHOWN | CONTENT, "\"product_event.avsc\"",
         "File with the schema of bare values; else the first of `schemas`."),
    TEXT(INPUT, "reader_schema", STRING, AT(pql_input_conf, reader_schema), NULL, RESULTS | SHOWN | CONTENT, "\"product_event.avsc\"",
         "File with the schema that is expected: what writers wrote is resolved to it (aliases, defaults, promotion)."),
    WORD(INPUT, "partitioning", AT(pql_input_conf, partitioning), "murmur2", partitioning_words, 0,
         "How producers choose the partition of an account: murmur2 (Java clients), crc32 (librdkafka's own); trusted: "
         "not checked."),
    DURATION(INPUT, "max_future", AT(pql_input_conf, max_future_ms), NULL, 0, 100 * YEAR, RESULTS,
             "As the setting of that name below, for this input."),
    TEXT(INPUT, "start", START, AT(pql_input_conf, start), NULL, SHOWN, "\"2026-03-01T00:00:00Z\"", "As the setting of that name below, for this input."),
    WORD(INPUT, "user_events", AT(pql_input_conf, user_events), "account", user_events_words, RESULTS,
         "Where identify and forget of a user are: account (with its account, in its partition), all_partitions (without an "
         "account they are in every partition, and mean every account of which the user is a member)."),
    TEXT(ROOT, "schemas", SOURCES, AT(root_fields, schemas), NULL, RESULTS | SHOWN | CONTENT, "[ \"product_event.avsc\" ]",
         "Files of writer schemas (.avsc) for values without a registry: found by fingerprint, the first for bare values."),
    TEXT(ROOT, "start", START, AT(pql_config, start), "earliest", 0, NULL,
         "Where an input begins that was never read: earliest, latest, or a time (RFC 3339)."),
    GROUP(ROOT, "mappings", GROUP, MAPPINGS, RESULTS | RULES,
          "Mappings by name: which fields of a record mean what. A path has dots (context.group_id), and may be "
          "header:name or key; of several the first that is present counts."),
    TEXT(MAPPING, "preset", SOURCE, AT(mapping_fields, preset), NULL, RESULTS | SHOWN, "\"segment\"",
         "A mapping that ships with the program, from which fields not given here are taken: canonical, flat, segment, rudderstack, "
         "snowplow, amplitude, posthog or cloudevents."),
    TEXT(MAPPING, "kind", SOURCES, AT(mapping_fields, conf.kind), NULL, RESULTS | SHOWN, "\"type\"",
         "Path of the kind: track, identify, group, leave_group, alias, outcome, forget or clock; absent: everything is track."),
    TEXT(MAPPING, "event", SOURCES, AT(mapping_fields, conf.event), NULL, RESULTS, "\"event\"", "Path of the event's name."),
    TEXT(MAPPING, "account", SOURCES, AT(mapping_fields, conf.account), NULL, RESULTS,
         "[ \"account_id\", \"context.group_id\", \"header:account\", \"key\" ]", "Path of the account's id."),
    TEXT(MAPPING, "user", SOURCES, AT(mapping_fields, conf.user), NULL, RESULTS, "[ \"user_id\", \"anonymous_id\" ]", "Path of the user's id."),
    TEXT(MAPPING, "time", SOURCES, AT(mapping_fields, conf.time), NULL, RESULTS, "\"occurred_at\"",
         "Path of the event's time; broker:timestamp is the record's own."),
    WORD(MAPPING, "time_unit", AT(mapping_fields, conf.time_unit), "ms", unit_words, RESULTS, "Of times that are plain numbers."),
    BOOL(MAPPING, "assume_utc", AT(mapping_fields, conf.assume_utc), "false", RESULTS, "A date and time without offset is UTC; else such a record is refused."),
    TEXT(MAPPING, "id", SOURCES, AT(mapping_fields, conf.id), NULL, RESULTS, "\"event_id\"", "Path of the message id, by which duplicates are known."),
    TEXT(MAPPING, "previous_user", SOURCES, AT(mapping_fields, conf.previous_user), NULL, RESULTS | SHOWN, "\"previous_id\"", "Path of the previous user in an alias event: from then on its id means the user of the event."),
    TEXT(MAPPING, "value", SOURCES, AT(mapping_fields, conf.value), NULL, RESULTS | SHOWN, "\"amount\"", "Path of an outcome's value."),
    TEXT(MAPPING, "properties", SOURCES, AT(mapping_fields, conf.properties), NULL, RESULTS, "\"properties.*\"",
         "Where definitions find bare names; the first path that is present wins."),
    TEXT(MAPPING, "attributes", SOURCES, AT(mapping_fields, conf.attributes), NULL, RESULTS, "\"traits.*\"",
         "Of identify and group: where user.x and account.x come from."),
    GROUP(MAPPING, "kinds", LIST, KIND, RESULTS, "What values of the kind field mean, where they are not the kinds' own names."),
    TEXT(KIND, "from", NAME, AT(kind_fields, from), NULL, REQUIRED | RESULTS, "\"page\"", "Value of the kind field; *: every other."),
    TEXT(KIND, "kind", NAME, AT(kind_fields, kind), NULL, REQUIRED | RESULTS, "\"track\"", "The kind that it means."),
    TEXT(KIND, "event", SOURCE, AT(kind_fields, event), NULL, RESULTS, "\"page_viewed\"", "The event's name; absent: that of the event field."),
    GROUP(MAPPING, "rename", LIST, RENAME, RESULTS, "Other names for events, before anything else sees them."),
    TEXT(RENAME, "from", NAME, AT(pair_fields, from), NULL, REQUIRED | RESULTS, "\"Project Created\"", "Name as it comes."),
    TEXT(RENAME, "to", NAME, AT(pair_fields, to), NULL, REQUIRED | RESULTS, "\"project_created\"", "Name as definitions use it."),
    GROUP(MAPPING, "labels", LIST, LABEL, RESULTS, "Words for the reasons in records."),
    TEXT(LABEL, "event", NAME, AT(pair_fields, from), NULL, REQUIRED | RESULTS, "\"invite_sent\"", "Name of an event."),
    TEXT(LABEL, "text", NAME, AT(pair_fields, to), NULL, REQUIRED | RESULTS, "\"teammates invited\"", "What a reader may call several of it."),
    TEXT(MAPPING, "activity", SOURCES, AT(mapping_fields, activity), NULL, RESULTS | SHOWN, "[ \"login\", \"page_viewed\" ]", "Events that `any` means; absent: every track."),
    TEXT(MAPPING, "start_events", SOURCES, AT(mapping_fields, start_events), NULL, RESULTS | SHOWN, "\"signed_up\"",
         "Events that start a user's or account's clock, as in \"signed_up\" or \"kind:identify\"; absent: the earliest event."),
    TEXT(MAPPING, "ignore", SOURCE, AT(mapping_fields, ignore), NULL, RESULTS | SHOWN | CONDITION, "\"user.email ends with '@acme.com' or bot = true\"", "Condition; an event for which it holds does nothing, also an erasure (forget)."),
    GROUP(MAPPING, "periods", LIST, PERIOD, RESULTS, "Windows that all of an account share, as in count(login, trial)."),
    TEXT(PERIOD, "name", NAME, AT(period_fields, name), NULL, REQUIRED | RESULTS, "\"trial\"", "Used as a window."),
    TEXT(PERIOD, "start", NAME, AT(period_fields, conf.start), NULL, REQUIRED | RESULTS, "\"account.trial_started_at\"", "Attribute of the account: when it starts (ISO 8601, or a number in time_unit). Without it nothing is inside."),
    TEXT(PERIOD, "end", SOURCE, AT(period_fields, conf.end), NULL, RESULTS | SHOWN, "\"account.trial_ends_at\"", "Attribute that says when it ends; else `length`."),
    DURATION(PERIOD, "length", AT(period_fields, conf.length_ms), "0s", 0, 100 * YEAR, RESULTS, "How long it is; 0s: `end` says it."),

    /* --- time --- */
    DURATION(ROOT, "lateness", AT(pql_config, program.settings.lateness_ms), "0s", 0, YEAR, RESULTS,
             "How long events wait for earlier ones. 0s: they are taken in the order read."),
    WORD(ROOT, "late_policy", AT(pql_config, program.settings.late_policy), "apply", late_words, RESULTS, "What becomes of an event that is later still."),
    SIZE(ROOT, "reorder_buffer", AT(pql_config, program.settings.buffer_bytes_max), "64MiB", MIB, TIB, RESULTS,
         "Most that may wait for earlier events, per task."),
    DURATION(ROOT, "max_future", AT(pql_config, max_future_ms), "10m", 0, 100 * YEAR, RESULTS,
             "An event further ahead of the broker's time goes to the dead letters. Off in replay of files."),
    WORD(ROOT, "clock", AT(pql_config, clock), "wall", clock_words, RESULTS,
         "wall: time goes on when an input is idle; events: only events move it (back-fills, tests)."),
    DURATION(ROOT, "idle_after", AT(pql_config, idle_after_ms), "10s", SECOND, DAY, 0, "How long an input must be silent to be idle."),
    DURATION(ROOT, "dedup_horizon", AT(pql_config, program.settings.dedup_horizon_ms), "0s", 0, 10 * YEAR, RESULTS,
             "How long message ids are remembered to drop repeated events; 0s: not at all. About 12 bytes per event."),
    INT(ROOT, "dedup_ids_max", AT(pql_config, program.settings.dedup_ids_max), "0", 0, 1000000000000, RESULTS,
        "Most message ids that a partition remembers; over it the oldest tenth of the horizon is forgotten early. 0: no limit."),
    DURATION(ROOT, "start_grace", AT(pql_config, program.settings.start_grace_ms), "7d", 0, YEAR, RESULTS,
             "How long after its end a `first` window still follows a start that moves."),

    /* --- results --- */
    INT(ROOT, "exact_max", AT(pql_config, program.settings.exact_max), "1000", 1, 10000000, RESULTS, "Occurrences of a rolling signal that are kept one by one."),
    INT(ROOT, "evidence_max", AT(pql_config, program.settings.evidence_max), "50", 0, 10000, RESULTS, "Occurrences of a signal that are kept at least, however few a condition needs, so that evidence says how many there were."),
    DURATION(ROOT, "alert_max_age", AT(pql_config, alert_max_age_ms), "1h", 0, 100 * YEAR, 0,
             "What is published longer than this after it happened counts as back-fill and alerts nobody."),
    GROUP(ROOT, "outputs", GROUP, OUTPUTS, 0, "Output topics."),
    GROUP(OUTPUTS, "pql", GROUP, OUTPUT, 0, "Transitions of user definitions."),
    GROUP(OUTPUTS, "pqa", GROUP, OUTPUT, 0, "Transitions of account definitions."),
    GROUP(OUTPUTS, "state", GROUP, OUTPUT, 0, "Current state; compacted, the last value wins."),
    GROUP(OUTPUTS, "alerts", GROUP, OUTPUT, 0, "What definitions with `alert` newly say."),
    GROUP(OUTPUTS, "shadow", GROUP, OUTPUT, 0, "Transitions of definitions whose mode is shadow; absent: as pql is."),
    GROUP(OUTPUTS, "dlq", GROUP, OUTPUT_BYTES, 0, "Records that could not be used, as they came."),
    GROUP(OUTPUTS, "checkpoint", GROUP, OUTPUT_BYTES, 0, "State of pqlstream itself."),
    TEXT(OUTPUT, "topic", STRING, AT(pql_output_conf, topic), NULL, SHOWN, "\"acme-pql.%s\"", "Name; else app, a dot and the output's name."),
    TEXT(OUTPUT, "format", ANY, NO_MEMBER, NULL, SHOWN, "\"json\"", "avro or json; else avro where there is a registry, json where not."),
    TEXT(OUTPUT, "schema", ANY, NO_MEMBER, NULL, SHOWN, "\"bare\"",
         "Of Avro: \"look_up\" (the registry must have it under <topic>-value; the default), \"register\", \"bare\" (no "
         "prefix), or a number: the id to write."),
    WORD(OUTPUT, "json_times", AT(pql_output_conf, json_times), "rfc3339", json_time_words, 0, "How JSON writes times."),
    BOOL(OUTPUT, "connect_schema", AT(pql_output_conf, connect_schema), "false", 0, "JSON with the schema that Kafka Connect's JsonConverter reads."),
    INT(OUTPUT, "partitions", AT(pql_output_conf, partitions), "0", 0, 10000, 0, "Where pqlstream creates the topic; 0: as many as the first input has."),
    TEXT(OUTPUT_BYTES, "topic", STRING, AT(pql_output_conf, topic), NULL, SHOWN, "\"acme-pql.%s\"", "Name; else app, a dot and the output's name."),

    /* --- delivery and checkpoint --- */
    WORD(ROOT, "delivery", AT(pql_config, delivery), "exactly_once", delivery_words, 0,
         "at_least_once is for brokers without transactions."),
    DURATION(ROOT, "commit_interval", AT(pql_config, commit_interval_ms), "100ms", 5, MINUTE, 0, "Longest time between commits while anything moves."),
    DURATION(ROOT, "max_output_delay", AT(pql_config, max_output_delay_ms), "10ms", 0, MINUTE, 0, "Longest time that a finished record waits for its commit."),
    DURATION(ROOT, "checkpoint_interval", AT(pql_config, checkpoint_interval_ms), "1m", SECOND, DAY, 0, "Shortest time between two snapshots of a task."),
    DURATION(ROOT, "restore_target", AT(pql_config, restore_target_ms), "5s", SECOND, HOUR, 0, "A snapshot is due when replaying the input since the last would take longer."),
    SIZE(ROOT, "checkpoint_bandwidth", AT(pql_config, checkpoint_bandwidth), "20MB", 64 * 1024, TIB, 0, "Most that snapshots write per second, per process."),
    DURATION(ROOT, "handover_budget", AT(pql_config, handover_budget_ms), "5s", 0, 5 * MINUTE, 0, "Longest time for a last snapshot when a task moves away or the process ends."),
    WORD(ROOT, "engine_upgrade", AT(pql_config, engine_upgrade), "auto", upgrade_words, 0,
         "When a newer program brings a newer engine: auto takes states to it at once, and processes of the release before wait for them "
         "from then on; manual leaves them as they are, with a warning, until it is auto: after the last process was replaced."),
    BOOL(ROOT, "create_topics", AT(pql_config, create_topics), "false", 0, "run creates missing topics itself, instead of naming the command that does."),
    INT(ROOT, "replication_factor", AT(pql_config, replication_factor), "3", 1, 100, 0, "Of topics that pqlstream creates; 1 where there is a single broker."),

    /* --- resources and faults --- */
    INT(ROOT, "workers", AT(pql_config, workers), "0", 0, 1024, 0, "Threads that process events; 0: one per processor."),
    SIZE(ROOT, "memory", AT(pql_config, memory), "0MB", 0, TIB, 0,
         "Most memory that state, outputs on their way, buffers and the Kafka client's queues may take; at the limit the program ends in time and says what takes how much. 0MB: three quarters of what the machine or container has."),
    SHARE(ROOT, "dlq_max_share", AT(pql_config, dlq_max_share), "50%", 0,
           "If more of a task's last 1,000 records are bad, the task stops there instead of draining the topic into the dead letters."),
    WORD(ROOT, "on_bad_input", AT(pql_config, on_bad_input), "block", bad_input_words, 0, "What happens then: the task waits, or the process ends."),
    SHARE(ROOT, "misplaced_max", AT(pql_config, misplaced_max), "0.1%", 0,
           "Largest share of accounts found in another partition than their key's."),
    TEXT(ROOT, "http", STRING, AT(pql_config, http.address), NULL, SHOWN, "\"127.0.0.1:8090\"",
         "Address of the admin endpoint (metrics, health, status), by its number; absent: none."),
    TEXT(ROOT, "http_token", STRING, AT(pql_config, http.token), NULL, SHOWN, "\"${env:PQLSTREAM_TOKEN}\"",
         "Bearer token that it wants, but for /live and /ready; without one it answers nothing but GET."),
    TEXT(ROOT, "http_certificate", STRING, AT(pql_config, http.certificate), NULL, SHOWN, "\"admin.pem\"", "File of its certificate (PEM); with http_key it speaks TLS."),
    TEXT(ROOT, "http_key", STRING, AT(pql_config, http.key), NULL, SHOWN, "\"admin.key\"", "File of the certificate's key (PEM)."),
    BOOL(ROOT, "tombstones", AT(pql_config, tombstones), "false", 0, "What is erased, or of a definition that is gone, also gets a null value on the state topic."),

    /* --- what is looked for --- */
    TEXT(ROOT, "definition_files", SOURCES, AT(root_fields, definition_files), NULL, RESULTS | SHOWN, "[ \"rules/*.conf\" ]",
         "More files with definitions, signals, parameters and mappings (libconfig files)."),
    GROUP(ROOT, "definitions", LIST, DEFINITION, RESULTS | RULES, "Definitions, in the order in which they are evaluated."),
    TEXT(DEFINITION, "name", NAME, AT(definition_fields, conf.name_source), NULL, REQUIRED | RESULTS, "\"inviter\"", "Name; part of the records' keys."),
    WORD(DEFINITION, "subject", AT(definition_fields, conf.subject), "user", subject_words, RESULTS, "Who qualifies."),
    TEXT(DEFINITION, "qualify", SOURCE, AT(definition_fields, conf.qualify), NULL, REQUIRED | RESULTS | CONDITION,
         "\"count(invite_sent, first 7d) >= 2\"", "Condition to enter, and to stay unless `stay` is given."),
    TEXT(DEFINITION, "stay", SOURCE, AT(definition_fields, conf.stay), NULL, RESULTS | SHOWN | CONDITION, "\"count(invite_sent, first 7d) >= 1\"", "Condition to stay: a lower bar, so that nobody flickers."),
    TEXT(DEFINITION, "eligible", SOURCE, AT(definition_fields, conf.eligible), NULL, RESULTS | SHOWN | CONDITION, "\"account.plan = 'trial'\"", "Condition without which nobody enters, and everybody leaves at once."),
    DURATION(DEFINITION, "min_stay", AT(definition_fields, conf.min_stay_ms), "0s", 0, 100 * YEAR, RESULTS, "Shortest time between entering and leaving."),
    DURATION(DEFINITION, "cooldown", AT(definition_fields, conf.cooldown_ms), "0s", 0, 100 * YEAR, RESULTS, "Time after leaving in which nobody enters again."),
    BOOL(DEFINITION, "once", AT(definition_fields, conf.once), "false", RESULTS, "Whoever entered stays."),
    TEXT(DEFINITION, "convert_on", SOURCES, AT(definition_fields, conf.outcomes[PQL_OUTCOME_CONVERTS]), NULL, RESULTS | SHOWN, "[ \"closed_won\" ]", "Outcomes (events of that kind, by their names) after which a member leaves with `converted` and never enters again, also if they come before it ever entered."),
    TEXT(DEFINITION, "reopen_on", SOURCES, AT(definition_fields, conf.outcomes[PQL_OUTCOME_REOPENS]), NULL, RESULTS | SHOWN, "[ \"reopened\" ]", "Outcomes that take a conversion back."),
    TEXT(DEFINITION, "disqualify_on", SOURCES, AT(definition_fields, conf.outcomes[PQL_OUTCOME_DISQUALIFIES]), NULL, RESULTS | SHOWN, "[ \"bad_fit\" ]", "Outcomes after which a member leaves with `disqualified` and does not enter for disqualify_for."),
    DURATION(DEFINITION, "disqualify_for", AT(definition_fields, conf.disqualify_for_ms), "90d", SECOND, 100 * YEAR, RESULTS | SHOWN, "How long that holds, from the outcome's own time."),
    DURATION(DEFINITION, "sla", AT(definition_fields, conf.sla_ms), "0s", 0, 100 * YEAR, RESULTS, "Time after entering within which a member is to be acknowledged; 0s: no deadline. When it is over there is a record sla_breached, also for the topic of alerts."),
    TEXT(DEFINITION, "acknowledge_on", SOURCES, AT(definition_fields, conf.outcomes[PQL_OUTCOME_ACKNOWLEDGES]), NULL, RESULTS | SHOWN, "[ \"contacted\" ]", "Outcomes that meet that deadline. Leaving, and so a conversion, ends it too."),
    INT(DEFINITION, "version", AT(definition_fields, conf.version), "1", 1, INT32_MAX, RESULTS, "Number of the definition, shown in records."),
    WORD(DEFINITION, "mode", AT(definition_fields, conf.mode), "live", mode_words, RESULTS, "shadow: evaluated, and published to the topic of shadow definitions alone, to be compared with what is live; off: not evaluated."),
    BOOL(DEFINITION, "alert", AT(definition_fields, conf.alert), "false", RESULTS, "Entries, rises to a higher tier and missed deadlines go to the topic of alerts as well."),
    TEXT(DEFINITION, "reason", SOURCE, AT(definition_fields, conf.reason), NULL, RESULTS | SHOWN, "\"sent {1} invitations in the first week\"", "Words of the reason; {1} and so on are rows of evidence. Absent: made from the condition."),
    TEXT(DEFINITION, "context", SOURCES, AT(definition_fields, context), NULL, RESULTS | SHOWN | CONDITION, "[ \"latest(report_run.name)\" ]", "Expressions that decide nothing and are shown in the evidence."),
    TEXT(DEFINITION, "include_attributes", SOURCES, AT(definition_fields, include_attributes), NULL, RESULTS | SHOWN, "[ \"user.role\", \"account.plan\" ]", "Attributes copied into records, by their names."),
    TEXT(DEFINITION, "timezone", SOURCE, AT(definition_fields, timezone), "UTC", RESULTS | ZONE | SHOWN, "\"America/New_York\"", "Of calendar days, weeks and months, hour() and weekday(): a name of the system's time zone database; absent: UTC."),
    GROUP(DEFINITION, "publish", GROUP, PUBLISH, RESULTS, "What is published beside entering and leaving."),
    BOOL(PUBLISH, "missed", AT(pql_definition_conf, publish_missed), "false", RESULTS, "Also that somebody can no longer qualify."),
    WORD(PUBLISH, "scores", AT(pql_definition_conf, publish_scores), "qualified", scores_words, RESULTS, "Whose changes of score: of those who are qualified, or of all."),
    TEXT(PUBLISH, "min_delta", NUMBER, AT(pql_definition_conf, min_delta), NULL, RESULTS | SHOWN, "5", "Least change of the score that is published, to the state topic alone; absent: none is."),
    DURATION(PUBLISH, "min_interval", AT(pql_definition_conf, min_interval_ms), "0s", 0, 100 * YEAR, RESULTS, "Least time from a record to the next change of score: what is true then is published."),
    TEXT(DEFINITION, "owner", STRING, AT(definition_fields, owner), NULL, SHOWN, "\"growth\"", "Who answers for it; for readers."),
    TEXT(DEFINITION, "review_by", SOURCE, AT(definition_fields, review_by), NULL, SHOWN, "\"2099-12-31\"", "Date (2027-03-31); a later `check` warns."),
    TEXT(DEFINITION, "description", STRING, AT(definition_fields, description), NULL, SHOWN, "\"Invited two teammates in the first week\"", "For readers."),
    GROUP(DEFINITION, "score", LIST, ITEM, RESULTS, "Items that give points; `score` in conditions is their sum."),
    TEXT(ITEM, "family", SOURCE, AT(pql_item_conf, family), NULL, RESULTS | SHOWN, "\"intent\"", "Items of one family together give at most the family's cap."),
    TEXT(ITEM, "points", NUMBER, AT(pql_item_conf, points), NULL, REQUIRED | RESULTS | SHOWN, "5", "What the item gives; below 0: takes."),
    TEXT(ITEM, "when", SOURCE, AT(pql_item_conf, when), NULL, RESULTS | SHOWN | CONDITION, "", "when = \"count(campaign_sent, 14d) >= 1\": condition for the points, in place of `per`."),
    TEXT(ITEM, "per", SOURCE, AT(pql_item_conf, per), NULL, RESULTS | SHOWN | CONDITION, "\"count(feature_used, 90d)\"", "Instead of `when`: the points are for each unit of this number."),
    TEXT(ITEM, "max", NUMBER, AT(pql_item_conf, max), NULL, RESULTS | SHOWN, "5", "Of `per`: most units that count."),
    DURATION(ITEM, "half_life", AT(pql_item_conf, half_life_ms), "0s", 0, 100 * YEAR, RESULTS, "Of `per`, where it is one count, sum, days or distinct: what was so long ago counts half; 0s: all of it until it leaves the window."),
    DURATION(ITEM, "fades_over", AT(pql_item_conf, fades_over_ms), "0s", 0, 100 * YEAR, RESULTS, "The same evenly, until after so long nothing is left."),
    GROUP(DEFINITION, "caps", GROUP, CAPS, RESULTS, "Most that the positive items of a family give together, by its name: a number, or \"none\". Else what a single one of them can give."),
    GROUP(DEFINITION, "multiply", LIST, MULTIPLY, RESULTS, "Factors of the score, one after the other."),
    TEXT(MULTIPLY, "when", SOURCE, AT(pql_multiply_conf, when), NULL, RESULTS | SHOWN | CONDITION, "\"account.industry in ('software', 'finance')\"", "Condition for the factor; absent: always."),
    TEXT(MULTIPLY, "by", VALUE, AT(pql_multiply_conf, by), NULL, REQUIRED | RESULTS | SHOWN | CONDITION, "1.5", "The factor: a number, or an expression in quotes; null is 1."),
    GROUP(DEFINITION, "tiers", LIST, TIER, RESULTS, "Names for members by their score: the highest that it reaches, else the lowest."),
    TEXT(TIER, "name", NAME, AT(pql_tier_conf, name), NULL, REQUIRED | RESULTS | SHOWN, "\"hot\"", "Name of the tier."),
    TEXT(TIER, "at", NUMBER, AT(pql_tier_conf, at), NULL, REQUIRED | RESULTS | SHOWN, "15", "Score from which on it holds."),
    DURATION(DEFINITION, "decay_step", AT(definition_fields, conf.decay_step_ms), "0s", 0, 100 * YEAR, RESULTS, "Items that decay count less at each such step of the clock; 0s: 1d, and 1h where half of it is gone in less than 7d."),
    INT(DEFINITION, "exact_max", AT(definition_fields, conf.exact_max), "0", 0, 10000000, RESULTS, "exact_max of what this definition reads; of several readers of one signal the largest holds. 0: as at the top level."),
    CHOICES(DEFINITION, "routes", AT(definition_fields, conf.choices[PQL_CHOICE_ROUTE]),
            "( { to = \"senior_ae\"; when = \"account.size >= 200\"; }, { to = \"sdr\"; } )",
            "Who should act, shown in records: a text, or a list of which the first counts whose `when` holds as the record is written."),
    CHOICES(DEFINITION, "segment", AT(definition_fields, conf.choices[PQL_CHOICE_SEGMENT]),
            "( { is = \"enterprise\"; when = \"account.size >= 1000\"; }, { is = \"smb\"; } )", "Of whom it is, likewise."),
    CHOICES(DEFINITION, "motion", AT(definition_fields, conf.choices[PQL_CHOICE_MOTION]), "\"sales_assisted\"", "How to act, likewise."),
    CHOICES(DEFINITION, "priority", AT(definition_fields, conf.choices[PQL_CHOICE_PRIORITY]), "\"high\"", "How soon, likewise."),
    TEXT(CHOICE, "to", NAME, AT(choice_fields, to), NULL, RESULTS, "\"sdr\"", "The text, in routes."),
    TEXT(CHOICE, "is", NAME, AT(choice_fields, is), NULL, RESULTS, "\"smb\"", "The same, in the others."),
    TEXT(CHOICE, "when", SOURCE, AT(choice_fields, when), NULL, RESULTS | CONDITION, "\"members() >= 20\"", "Condition of the subject; absent: always."),
    GROUP(ROOT, "signals", GROUP, SIGNALS, RESULTS | RULES, "Named conditions, as in active = \"count(any, 7d) >= 3\", used as $active."),
    GROUP(ROOT, "parameters", LIST, PARAMETER, RESULTS | RULES, "Named constants: $days as a window, $bar in conditions."),
    TEXT(PARAMETER, "name", NAME, AT(parameter_fields, name), NULL, REQUIRED | RESULTS, "\"days\"", "Used as $name."),
    TEXT(PARAMETER, "default", ANY, NO_MEMBER, NULL, REQUIRED | RESULTS, "\"21d\"", "A number, a text, or a duration such as \"21d\"."),
    TEXT(PARAMETER, "by", SOURCE, AT(parameter_fields, by), NULL, RESULTS | SHOWN, "\"account.segment\"", "Attribute that decides which of `values` counts; such a parameter is no window."),
    GROUP(PARAMETER, "values", LIST, VALUE, RESULTS, "The values, by those of the attribute; `default` for any other, and where it is absent."),
    TEXT(VALUE, "is", ANY, NO_MEMBER, NULL, REQUIRED | RESULTS, "\"enterprise\"", "Value of the attribute: a text, a number, true or false."),
    TEXT(VALUE, "value", ANY, NO_MEMBER, NULL, REQUIRED | RESULTS, "\"60d\"", "What the parameter is then; of the same type as `default`."),
};
/* clang-format on */
const size_t pql_options_count = sizeof pql_options / sizeof *pql_options;

const struct pql_option *pql_option_find(enum pql_option_group group, const char *name)
{
    for (size_t i = 0; i < pql_options_count; i++)
        if (pql_options[i].group == group && strcmp(pql_options[i].name, name) == 0) return &pql_options[i];
    return NULL;
}

bool pql_option_is_root(const char *name)
{
    return pql_option_find(PQL_GROUP_ROOT, name) != NULL;
}

void pql_option_unknown(const struct pql_options_reader *reader, enum pql_option_group group,
                        const struct pql_setting *setting)
{
    const char *names[sizeof pql_options / sizeof *pql_options];
    size_t count = 0;
    for (size_t i = 0; i < pql_options_count; i++)
        if (pql_options[i].group == group) names[count++] = pql_options[i].name;
    const char *nearest = pql_nearest(pql_slice_of(setting->name), names, count);
    pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR,
                     nearest ? "unknown setting '%s'; did you mean '%s'?"
                             : "unknown setting '%s'; `pqlstream check --settings` lists them",
                     setting->name, nearest);
}

/* --- values ---
 * A parser gets the text as written and the member; false: not of the type. Range checks are here too, since
 * what a range means follows from the type. `why` then has the message. */

struct value {
    const struct pql_option *option;
    const struct pql_setting *setting; /* NULL: the default */
    struct pql_slice text;
    void *member;
    char why[300];
};

static bool refuse(struct value *value, const char *format, ...) PQL_PRINTF(2, 3);
static bool refuse(struct value *value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(value->why, sizeof value->why, format, args);
    va_end(args);
    return false;
}

static bool is_plain_number(struct pql_slice text)
{
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    return i < text.len && strspn(text.ptr + i, "0123456789") == text.len - i;
}

/* Largest unit that divides the number, for messages and the list of settings. */
static const char *unit_text(int64_t number, const struct pql_config_unit *units, char out[48])
{
    size_t i = 0;
    while (units[i + 1].name && number % units[i].size != 0) i++;
    if (number == 0)
        snprintf(out, 48, "0");
    else
        snprintf(out, 48, "%" PRId64 "%s", number / units[i].size, units[i].name);
    return out;
}

static const struct pql_config_unit duration_units[] = {{"d", DAY},    {"h", HOUR}, {"m", MINUTE},
                                                        {"s", SECOND}, {"ms", 1},   {NULL, 0}};
static const struct pql_config_unit size_units[] = {
    {"TiB", TIB},       {"GiB", TIB >> 10}, {"MiB", MIB}, {"KiB", 1024}, {"TB", 1000000000000},
    {"GB", 1000000000}, {"MB", 1000000},    {"KB", 1000}, {"B", 1},      {NULL, 0}};

static bool parse_with_unit(struct value *value, const struct pql_config_unit *units, const char *example)
{
    size_t digits = strspn(value->text.ptr, "0123456789");
    int64_t number = 0, size = 0;
    for (size_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, value->text.ptr[i] - '0', &number))
            return refuse(value, "too large");
    for (size_t i = 0; units[i].name; i++)
        if (strcmp(value->text.ptr + digits, units[i].name) == 0) size = units[i].size;
    if (!digits || !size) return refuse(value, "is written as a text with a unit, as in %s", example);
    char low[48], high[48];
    if (__builtin_mul_overflow(number, size, &number) || number < value->option->min ||
        number > value->option->max)
        return refuse(value, "is outside %s to %s", unit_text(value->option->min, units, low),
                      unit_text(value->option->max, units, high));
    memcpy(value->member, &number, sizeof number);
    return true;
}

static bool parse_duration(struct value *value)
{
    return parse_with_unit(value, duration_units, "\"90s\", \"36h\" or \"7d\"");
}
static bool parse_size(struct value *value)
{
    return parse_with_unit(value, size_units, "\"64MiB\" or \"20MB\"");
}

/* Digits as written, since libconfig 1.5 cuts integers to 32 bits without a word; an L at the end is
 * libconfig's mark of a long one. */
static bool parse_int(struct value *value)
{
    struct pql_slice text = value->text;
    while (text.len && (text.ptr[text.len - 1] == 'L' || text.ptr[text.len - 1] == 'l')) text.len--;
    char digits[32], *end;
    if (text.len == 0 || text.len >= sizeof digits) return refuse(value, "must be a whole number");
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = 0;
    bool is_hex = strncmp(digits, "0x", 2) == 0 || strncmp(digits, "0X", 2) == 0;
    if (!is_hex && !is_plain_number((struct pql_slice){digits, text.len}))
        return refuse(value, "must be a whole number");
    long long number = strtoll(digits, &end, is_hex ? 16 : 10);
    if (*end) return refuse(value, "must be a whole number");
    if (number < value->option->min || number > value->option->max)
        return refuse(value, "is outside %" PRId64 " to %" PRId64, value->option->min, value->option->max);
    if (value->option->size == sizeof(int32_t)) {
        int32_t small = (int32_t)number; /* the range of the row fits the member, signed or not */
        memcpy(value->member, &small, sizeof small);
    } else {
        int64_t large = number;
        memcpy(value->member, &large, sizeof large);
    }
    return true;
}

static bool parse_bool(struct value *value)
{
    bool is_true = pql_slice_is(value->text, "true");
    if (value->setting && value->setting->kind == PQL_SETTING_BOOL)
        is_true = value->text.ptr[0] == 't' || value->text.ptr[0] == 'T';
    else if (!is_true && !pql_slice_is(value->text, "false"))
        return refuse(value, "must be true or false");
    *(bool *)value->member = is_true;
    return true;
}

static bool parse_share(struct value *value)
{
    char *end;
    double share = strtod(value->text.ptr, &end);
    if (end == value->text.ptr) return refuse(value, "must be a share, as in 0.5 or \"50%%\"");
    if (strcmp(end, "%") == 0)
        share /= 100;
    else if (*end)
        return refuse(value, "must be a share, as in 0.5 or \"50%%\"");
    if (!(share >= 0 && share <= 1)) return refuse(value, "is outside 0 to 1");
    *(double *)value->member = share;
    return true;
}

static bool parse_word(struct value *value)
{
    const char *const *words = value->option->words;
    size_t count = 0, used = 0;
    for (; words[count]; count++) {
        if (!pql_slice_is(value->text, words[count])) continue;
        int number = (int)count;
        memcpy(value->member, &number, sizeof number);
        return true;
    }
    char all[200] = "";
    for (size_t i = 0; i < count && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s",
                                 i ? i + 1 < count ? ", " : " or " : "", words[i]);
    const char *nearest = pql_nearest(value->text, words, count);
    return nearest ? refuse(value, "must be %s; did you mean '%s'?", all, nearest)
                   : refuse(value, "must be %s", all);
}

static bool parse_start(struct value *value)
{
    int64_t start;
    if (pql_slice_is(value->text, "earliest"))
        start = PQL_OFFSET_EARLIEST;
    else if (pql_slice_is(value->text, "latest"))
        start = PQL_OFFSET_LATEST;
    else if (!pql_time_parse(value->text, &start))
        return refuse(value, "must be earliest, latest or a time as in \"2026-03-01T00:00:00Z\"");
    memcpy(value->member, &start, sizeof start);
    return true;
}

/* A blank text would do nothing, or stand for something nobody asked for. */
static bool refuse_blank(struct value *value)
{
    bool is_needed = value->option->flags & PQL_OPTION_REQUIRED;
    return refuse(value, is_needed ? "is empty" : "is empty: leave it out");
}

static bool is_blank(struct pql_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n", text.ptr[i])) return false;
    return true;
}

/* An empty variable of the environment is none. */
static bool parse_string(struct value *value)
{
    bool is_unset = value->setting && value->setting->is_override && !value->text.len;
    if (is_blank(value->text) && !is_unset) return refuse_blank(value);
    *(const char **)value->member = value->text.len ? value->text.ptr : NULL;
    return true;
}

static bool parse_source(struct value *value)
{
    if (is_blank(value->text)) return refuse_blank(value);
    *(struct pql_source *)value->member =
        value->setting ? value->setting->value : (struct pql_source){.text = value->text};
    return true;
}

static bool parse_number(struct value *value)
{
    struct pql_number number = {.source = {.text = value->text}};
    if (value->setting) number.source = value->setting->value;
    if (!pql_decimal_of_text(value->text, &number.value))
        return refuse(value, "must be a number of digits and a point, as in 5 or -2.5");
    if (!pql_decimal_text_fits(value->text)) return refuse(value, "%s", PQL_NUMBER_TOO_LONG);
    memcpy(value->member, &number, sizeof number);
    return true;
}

static bool (*const parsers[])(struct value *) = {
    [PQL_OPTION_DURATION] = parse_duration, [PQL_OPTION_SIZE] = parse_size,
    [PQL_OPTION_INT] = parse_int,           [PQL_OPTION_BOOL] = parse_bool,
    [PQL_OPTION_SHARE] = parse_share,       [PQL_OPTION_WORD] = parse_word,
    [PQL_OPTION_START] = parse_start,       [PQL_OPTION_STRING] = parse_string,
    [PQL_OPTION_NAME] = parse_source,       [PQL_OPTION_SOURCE] = parse_source,
    [PQL_OPTION_NUMBER] = parse_number,     [PQL_OPTION_VALUE] = parse_source,
};

/* Which kind of value a type is written as, beside overrides, which are always texts. */
static bool kind_fits(enum pql_option_type type, enum pql_setting_kind kind)
{
    switch (type) {
    case PQL_OPTION_NUMBER:
    case PQL_OPTION_INT: return kind == PQL_SETTING_NUMBER;
    case PQL_OPTION_VALUE: return kind == PQL_SETTING_NUMBER || kind == PQL_SETTING_TEXT;
    case PQL_OPTION_BOOL: return kind == PQL_SETTING_BOOL;
    case PQL_OPTION_SHARE: return kind == PQL_SETTING_NUMBER || kind == PQL_SETTING_TEXT;
    case PQL_OPTION_DURATION: /* a number without unit gets the message about units */
    case PQL_OPTION_SIZE: return kind == PQL_SETTING_NUMBER || kind == PQL_SETTING_TEXT;
    case PQL_OPTION_WORD:
    case PQL_OPTION_START:
    case PQL_OPTION_STRING:
    case PQL_OPTION_NAME:
    case PQL_OPTION_SOURCE: return kind == PQL_SETTING_TEXT;
    case PQL_OPTION_SOURCES:
    case PQL_OPTION_CHOICES: return kind == PQL_SETTING_TEXT || kind == PQL_SETTING_LIST;
    case PQL_OPTION_GROUP: return kind == PQL_SETTING_GROUP;
    case PQL_OPTION_LIST: return kind == PQL_SETTING_LIST;
    case PQL_OPTION_ANY: return true;
    }
    return false;
}

static const char *type_words(enum pql_option_type type)
{
    switch (type) {
    case PQL_OPTION_INT: return "a whole number";
    case PQL_OPTION_NUMBER: return "a number";
    case PQL_OPTION_VALUE: return "a number, or an expression in quotes";
    case PQL_OPTION_BOOL: return "true or false";
    case PQL_OPTION_SHARE: return "a share, as in 0.5 or \"50%\"";
    case PQL_OPTION_DURATION: return "a duration, as in \"90s\"";
    case PQL_OPTION_SIZE: return "a size, as in \"64MiB\"";
    case PQL_OPTION_WORD:
    case PQL_OPTION_START:
    case PQL_OPTION_STRING:
    case PQL_OPTION_NAME:
    case PQL_OPTION_SOURCE: return "a text";
    case PQL_OPTION_SOURCES: return "a text or a list of texts";
    case PQL_OPTION_CHOICES: return "a text or a list ( { to = …; when = … }, … )";
    case PQL_OPTION_GROUP: return "a group { … }";
    case PQL_OPTION_LIST: return "a list ( … )";
    case PQL_OPTION_ANY: return "a value";
    }
    return "";
}

static void read_sources(const struct pql_options_reader *reader, const struct pql_setting *setting,
                         struct pql_path_list *out)
{
    bool is_one = setting->kind == PQL_SETTING_TEXT;
    size_t count = is_one ? 1 : pql_setting_count(setting), used = 0;
    struct pql_source *items = pql_arena_zalloc(reader->arena, (count + 1) * sizeof *items);
    for (const struct pql_setting *kid = is_one ? setting : setting->kids; kid;
         kid = is_one ? NULL : kid->next) {
        if (kid->kind != PQL_SETTING_TEXT)
            pql_setting_diag_value(kid, reader->diags, "'%s' holds texts", setting->name);
        else if (is_blank(kid->value.text))
            pql_setting_diag_value(kid, reader->diags, "'%s' holds an empty text: leave it out",
                                   setting->name);
        else
            items[used++] = kid->value;
    }
    if (!count)
        pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR, "'%s' is an empty list: leave it out",
                         setting->name);
    *out = (struct pql_path_list){items, used};
}

static void read_one(const struct pql_options_reader *reader, const struct pql_option *option,
                     const struct pql_setting *setting, void *out)
{
    bool fits = kind_fits(option->type, setting->kind);
    if (setting->is_override && option->type != PQL_OPTION_GROUP && option->type != PQL_OPTION_LIST)
        fits = true;
    if (!fits) {
        pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR, "'%s' must be %s", option->name,
                         type_words(option->type));
        return;
    }
    if (!option->size) return;
    void *member = (char *)out + option->offset;
    if (option->type == PQL_OPTION_SOURCES) {
        read_sources(reader, setting, member);
        return;
    }
    if (option->type == PQL_OPTION_CHOICES) {
        pql_config_choices_read(reader, setting, member);
        return;
    }
    struct value value = {
        .option = option, .setting = setting, .text = setting->value.text, .member = member};
    if (!parsers[option->type](&value))
        pql_setting_diag_value(setting, reader->diags, "'%s' %s", option->name, value.why);
}

static void set_default(const struct pql_option *option, void *out)
{
    void *member = (char *)out + option->offset;
    struct value value = {.option = option, .member = member};
    bool is_list = option->type == PQL_OPTION_SOURCES || option->type == PQL_OPTION_CHOICES;
    if (!option->size || is_list || !option->value) return;
    value.text = pql_slice_of(option->value);
    bool is_good = parsers[option->type](&value);
    PQL_ASSERT(is_good);
}

void pql_options_read(const struct pql_options_reader *reader, enum pql_option_group group,
                      const struct pql_setting *setting, void *out)
{
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        if (option->group != group) continue;
        set_default(option, out);
        if (setting && option->flags & PQL_OPTION_REQUIRED && !pql_setting_find(setting, option->name))
            pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR, "'%s' is missing", option->name);
    }
    for (const struct pql_setting *kid = setting ? setting->kids : NULL; kid; kid = kid->next) {
        const struct pql_option *option = pql_option_find(group, kid->name);
        if (option)
            read_one(reader, option, kid, out);
        else
            pql_option_unknown(reader, group, kid);
    }
}

/* --- one way of writing --- */

union scalar {
    char bytes[sizeof(struct pql_number)];
    int64_t large;
    int32_t small;
    bool truth;
    double share;
    struct pql_number number;
};

static void write_scalar(const struct pql_option *option, const union scalar *scalar, char *out, size_t size)
{
    bool is_small = option->size == sizeof(int32_t);
    int64_t number = is_small ? scalar->small : scalar->large;
    if (option->type == PQL_OPTION_NUMBER) {
        char digits[PQL_DECIMAL_TEXT_MAX];
        snprintf(out, size, "%.*s", (int)pql_decimal_text(scalar->number.value, digits), digits);
    } else if (option->type == PQL_OPTION_BOOL)
        snprintf(out, size, "%s", scalar->truth ? "true" : "false");
    else if (option->type == PQL_OPTION_SHARE)
        snprintf(out, size, "%.17g", scalar->share);
    else if (option->type == PQL_OPTION_WORD)
        snprintf(out, size, "\"%s\"", option->words[number]);
    else if (option->type == PQL_OPTION_DURATION)
        snprintf(out, size, "\"%" PRId64 "ms\"", number);
    else if (option->type == PQL_OPTION_SIZE)
        snprintf(out, size, "\"%" PRId64 "B\"", number);
    else
        snprintf(out, size, is_small ? "%" PRId64 : "%" PRId64 "L", number);
}

bool pql_option_canonical(const struct pql_option *option, const struct pql_setting *setting, char *out,
                          size_t size)
{
    union scalar given = {0}, usual = {0};
    struct value value = {
        .option = option, .setting = setting, .text = setting->value.text, .member = &given};
    PQL_ASSERT(option->size <= sizeof given);
    if (!parsers[option->type](&value)) return false;
    write_scalar(option, &given, out, size);
    if (!option->value) return true; /* also every number */
    struct value standard = {.option = option, .text = pql_slice_of(option->value), .member = &usual};
    bool is_good = parsers[option->type](&standard);
    PQL_ASSERT(is_good);
    return memcmp(&given, &usual, sizeof given) != 0;
}

/* --- printing --- */

enum { TEXT_WIDTH = 108 };

static void print_wrapped(const char *text, const char *prefix, FILE *out)
{
    size_t room = TEXT_WIDTH - strlen(prefix);
    while (*text) {
        size_t len = strlen(text);
        if (len > room) {
            len = room;
            while (len && text[len] != ' ') len--;
            if (!len) len = strcspn(text, " ");
        }
        fprintf(out, "%s%.*s\n", prefix, (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

void pql_option_describe(const struct pql_option *option, char *out, size_t size)
{
    size_t used = 0;
    char low[48], high[48];
    out[0] = 0;
    const struct pql_config_unit *units = option->type == PQL_OPTION_DURATION ? duration_units
                                          : option->type == PQL_OPTION_SIZE   ? size_units
                                                                              : NULL;
    if (units)
        used = (size_t)snprintf(out, size, "%s to %s", unit_text(option->min, units, low),
                                unit_text(option->max, units, high));
    else if (option->type == PQL_OPTION_INT)
        used = (size_t)snprintf(out, size, "%" PRId64 " to %" PRId64, option->min, option->max);
    for (size_t i = 0; option->words && option->words[i] && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? " | " : "", option->words[i]);
    if (option->flags & PQL_OPTION_REQUIRED && used < size)
        used += (size_t)snprintf(out + used, size - used, "%srequired", used ? "; " : "");
    if (option->flags & PQL_OPTION_AFFECTS_RESULTS && used < size)
        snprintf(out + used, size - used, "%schanges results", used ? "; " : "");
}

static void print_help(const struct pql_option *option, const char *prefix, FILE *out)
{
    char about[300], text[700];
    pql_option_describe(option, about, sizeof about);
    snprintf(text, sizeof text, about[0] ? "%s [%s]" : "%s", option->help, about);
    print_wrapped(text, prefix, out);
}

static bool is_text(enum pql_option_type type)
{
    return type != PQL_OPTION_INT && type != PQL_OPTION_BOOL;
}

bool pql_option_is_inner(const struct pql_option *option)
{
    return option->type == PQL_OPTION_GROUP || option->type == PQL_OPTION_LIST;
}

/* Whether the commented configuration sets it, or anything of it. Groups nest at most four deep, by the
 * table. */
static bool is_set(const struct pql_option *option)
{
    bool is_optional = option->inner == PQL_GROUP_MAPPINGS || option->inner == PQL_GROUP_PARAMETER;
    if (!pql_option_is_inner(option)) return option->example && !(option->flags & PQL_OPTION_OPTIONAL);
    for (size_t i = 0; i < pql_options_count && !is_optional; i++)
        if (pql_options[i].group == option->inner && is_set(&pql_options[i])) return true;
    return false;
}

static void print_group(enum pql_option_group group, const char *parent, size_t indent, bool is_shown,
                        FILE *out);

static void print_inner(const struct pql_option *option, const char *prefix, size_t indent, bool is_shown,
                        FILE *out)
{
    bool is_list = option->type == PQL_OPTION_LIST;
    fprintf(out, "%s%s = %s\n", prefix, option->name, is_list ? "( {" : "{");
    if (option->inner == PQL_GROUP_MAPPINGS) {
        fprintf(out, "%s    own = {\n", prefix);
        print_group(PQL_GROUP_MAPPING, NULL, indent + 8, is_shown, out);
        fprintf(out, "%s    };\n", prefix);
    } else if (option->inner == PQL_GROUP_SIGNALS) {
        fprintf(out, "%s    active = \"count(any, 7d) >= 3\";\n", prefix);
    } else if (option->inner == PQL_GROUP_CAPS) {
        fprintf(out, "%s    intent = 20;\n", prefix);
    } else {
        print_group(option->inner, option->name, indent + 4, is_shown, out);
    }
    fprintf(out, "%s%s\n", prefix, is_list ? "} );" : "};");
}

/* An example may have %s for the name of its group. */
static void print_scalar(const struct pql_option *option, const char *parent, const char *prefix, FILE *out)
{
    const struct pql_option *general = pql_option_find(PQL_GROUP_ROOT, option->name); /* of an input's own */
    const char *value = option->example ? option->example
                        : option->value ? option->value
                        : general       ? general->value
                                        : "";
    const char *quote = !option->example && is_text(option->type) ? "\"" : "", *hole = strstr(value, "%s");
    fprintf(out, "%s%s = %s", prefix, option->name, quote);
    if (hole)
        fprintf(out, "%.*s%s%s", (int)(hole - value), value, parent, hole + 2);
    else
        fputs(value, out);
    fprintf(out, "%s;\n", quote);
}

/* What need not be written stands behind #. */
static void print_group(enum pql_option_group group, const char *parent, size_t indent, bool is_shown,
                        FILE *out)
{
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        if (option->group != group) continue;
        bool is_written = is_shown && is_set(option);
        char help[64], prefix[64];
        snprintf(help, sizeof help, "%s%*s// ", is_shown ? "" : "# ", (int)indent, "");
        snprintf(prefix, sizeof prefix, "%s%*s", is_written ? "" : "# ", (int)indent, "");
        if (indent == 0) fputc('\n', out);
        print_help(option, help, out);
        bool is_told = option->example && !*option->example; /* by the help alone */
        if (pql_option_is_inner(option))
            print_inner(option, prefix, indent, is_written, out);
        else if (!is_told)
            print_scalar(option, parent, prefix, out);
    }
}

void pql_options_print_template(FILE *out)
{
    fputs("// Every setting of pqlstream. What stands behind # is the default, or shows how it is written.\n"
          "// Printed by: pqlstream check --print-config-template\n",
          out);
    print_group(PQL_GROUP_ROOT, NULL, 0, true, out);
}

static const char *const group_paths[PQL_GROUP_COUNT] = {
    [PQL_GROUP_ROOT] = "",
    [PQL_GROUP_KAFKA] = "kafka.",
    [PQL_GROUP_REGISTRY] = "registry.",
    [PQL_GROUP_INPUT] = "inputs[].",
    [PQL_GROUP_OUTPUTS] = "outputs.",
    [PQL_GROUP_OUTPUT] = "outputs.NAME.",
    [PQL_GROUP_OUTPUT_BYTES] = "outputs.dlq|checkpoint.",
    [PQL_GROUP_MAPPINGS] = "mappings.",
    [PQL_GROUP_MAPPING] = "mappings.NAME.",
    [PQL_GROUP_KIND] = "mappings.NAME.kinds[].",
    [PQL_GROUP_RENAME] = "mappings.NAME.rename[].",
    [PQL_GROUP_LABEL] = "mappings.NAME.labels[].",
    [PQL_GROUP_PERIOD] = "mappings.NAME.periods[].",
    [PQL_GROUP_DEFINITION] = "definitions[].",
    [PQL_GROUP_PUBLISH] = "definitions[].publish.",
    [PQL_GROUP_CHOICE] = "definitions[].routes|segment|motion|priority[].",
    [PQL_GROUP_ITEM] = "definitions[].score[].",
    [PQL_GROUP_MULTIPLY] = "definitions[].multiply[].",
    [PQL_GROUP_TIER] = "definitions[].tiers[].",
    [PQL_GROUP_CAPS] = "definitions[].caps.",
    [PQL_GROUP_SIGNALS] = "signals.",
    [PQL_GROUP_PARAMETER] = "parameters[].",
    [PQL_GROUP_VALUE] = "parameters[].values[].",
};

const char *pql_option_group_path(enum pql_option_group group)
{
    return group_paths[group];
}

void pql_options_print(enum pql_option_group first, FILE *out)
{
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        if (option->group < first && option->inner < first) continue;
        fprintf(out, "%s%s", group_paths[option->group], option->name);
        if (option->value) fprintf(out, " = %s", option->value);
        fputc('\n', out);
        print_help(option, "    ", out);
    }
}
