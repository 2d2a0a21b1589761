/* The retention of an input beside the windows of definitions. */
#include "app/topics.h"
#include "core/lang/lang.h"
#include <inttypes.h>

enum { SHOWN_MAX = 100 };

#define SHOWN(text) (int)((text).len < SHOWN_MAX ? (text).len : SHOWN_MAX), (text).ptr

/* State remembers what it has read, however old. What must be read again cannot be older than the topic:
 * signals of a new definition, and state that was lost. */
bool pql_topics_see_reach(const struct pql_program *program, const char *topic, const char *brokers,
                          int64_t retention_ms, struct pql_topic_difference *out)
{
    struct pql_reach reach;
    struct pql_arena arena;
    if (retention_ms < 0 || !pql_program_reach(program, retention_ms, &reach)) return false;
    pql_arena_init(&arena);
    struct pql_slice kept = pql_duration_text(retention_ms, &arena),
                     back = pql_duration_text(reach.ms, &arena);
    *out = (struct pql_topic_difference){.topic = topic};
    int used = snprintf(out->what, sizeof out->what,
                        "retention.ms is %" PRId64 " (%.*s), and %.*s of definition '%.*s' looks back %.*s",
                        retention_ms, PQL_SLICE_ARG(kept), SHOWN(reach.signal), SHOWN(reach.definition),
                        PQL_SLICE_ARG(back));
    if (reach.definitions_count > 1)
        used += snprintf(out->what + used, sizeof out->what - (size_t)used,
                         " (%zu definitions look back further than the topic)", reach.definitions_count);
    snprintf(out->what + used, sizeof out->what - (size_t)used,
             ": state keeps what it has read, but a definition that is new, or state that was lost, is "
             "filled from "
             "the topic alone and counts from then on (complete_since)");
    snprintf(
        out->mend, sizeof out->mend,
        "kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config "
        "retention.ms=%" PRId64,
        brokers, topic, reach.ms);
    pql_arena_deinit(&arena);
    return true;
}
