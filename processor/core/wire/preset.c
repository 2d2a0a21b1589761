#include "core/wire/mapping.h"

/* One row per shipped mapping. A list of paths is written as PATHS("first", "second"). */
#define PATH(text)                                                                                           \
    {                                                                                                        \
        {(text), sizeof(text) - 1}, NULL, NULL, 0                                                            \
    }
#define LIST(...)                                                                                            \
    {                                                                                                        \
        (const struct pql_source[]){__VA_ARGS__},                                                            \
            sizeof((const struct pql_source[]){__VA_ARGS__}) / sizeof(struct pql_source)                     \
    }
#define TEXT(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

/* Segment's specification: https://segment.com/docs/connections/spec/ */
static const struct pql_kind_alias segment_kinds[] = {
    {TEXT("page"), PQL_EVENT_TRACK, TEXT("page_viewed")},
    {TEXT("screen"), PQL_EVENT_TRACK, TEXT("screen_viewed")},
};

/* The event's name says the kind: https://www.docs.developers.amplitude.com/analytics/apis/http-v2-api/ */
static const struct pql_kind_alias amplitude_kinds[] = {
    {TEXT("$identify"), PQL_EVENT_IDENTIFY, TEXT("")},
    {TEXT("$groupidentify"), PQL_EVENT_GROUP, TEXT("")},
    {TEXT("*"), PQL_EVENT_TRACK, TEXT("")},
};

/* https://posthog.com/docs/data/events */
static const struct pql_kind_alias posthog_kinds[] = {
    {TEXT("$identify"), PQL_EVENT_IDENTIFY, TEXT("")},
    {TEXT("$set"), PQL_EVENT_IDENTIFY, TEXT("")},
    {TEXT("$groupidentify"), PQL_EVENT_GROUP, TEXT("")},
    {TEXT("$create_alias"), PQL_EVENT_ALIAS, TEXT("")},
    {TEXT("$merge_dangerously"), PQL_EVENT_ALIAS, TEXT("")},
    {TEXT("$pageview"), PQL_EVENT_TRACK, TEXT("page_viewed")},
    {TEXT("$screen"), PQL_EVENT_TRACK, TEXT("screen_viewed")},
    {TEXT("*"), PQL_EVENT_TRACK, TEXT("")},
};

#define KINDS(rows) .kinds = rows, .kinds_count = sizeof rows / sizeof *rows

/* Where a format has no field of its own for the account, the record's key stands last: the input must be
 * partitioned by account, so the key is the account unless the producer does it otherwise. */
static const struct pql_mapping_conf presets[] = {
    {
        .name = TEXT("canonical"), /* schemas/product_event */
        .kind = LIST(PATH("type")),
        .event = LIST(PATH("event")),
        .account = LIST(PATH("account_id"), PATH("context.group_id"), PATH("header:account"), PATH("key")),
        .user = LIST(PATH("user_id"), PATH("anonymous_id")),
        .time = LIST(PATH("occurred_at")),
        .id = LIST(PATH("event_id"), PATH("message_id")),
        .previous_user = LIST(PATH("previous_id")),
        .value = LIST(PATH("amount")),
        .properties = LIST(PATH("properties.*"), PATH("amount")),
        .attributes = LIST(PATH("traits.*")),
    },
    {
        .name = TEXT("flat"), /* one JSON object without levels */
        .kind = LIST(PATH("kind")),
        .event = LIST(PATH("event"), PATH("event_name")),
        .account = LIST(PATH("account_id"), PATH("account"), PATH("header:account"), PATH("key")),
        .user = LIST(PATH("user_id"), PATH("user"), PATH("anonymous_id")),
        .time = LIST(PATH("occurred_at"), PATH("timestamp"), PATH("time")),
        .id = LIST(PATH("event_id"), PATH("message_id"), PATH("id")),
        .previous_user = LIST(PATH("previous_id")),
        .value = LIST(PATH("value"), PATH("amount")),
        .properties = LIST(PATH("*")),
        .attributes = LIST(PATH("*")),
    },
    {
        .name = TEXT("segment"),
        .kind = LIST(PATH("type")),
        .event = LIST(PATH("event")),
        .account = LIST(PATH("groupId"), PATH("context.groupId")),
        .user = LIST(PATH("userId"), PATH("anonymousId")),
        .time = LIST(PATH("timestamp")),
        .id = LIST(PATH("messageId")),
        .previous_user = LIST(PATH("previousId")),
        .properties = LIST(PATH("properties.*")),
        .attributes = LIST(PATH("traits.*")),
        KINDS(segment_kinds),
    },
    {
        /* Segment's calls; traits of identify lie in the context, also in a group call, whose own are the
         * account's; a timestamp is added on arrival.
         * https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/ */
        .name = TEXT("rudderstack"),
        .kind = LIST(PATH("type")),
        .event = LIST(PATH("event")),
        .account =
            LIST(PATH("groupId"), PATH("context.groupId"), PATH("context.traits.groupId"), PATH("key")),
        .user = LIST(PATH("userId"), PATH("anonymousId")),
        .time = LIST(PATH("timestamp"), PATH("originalTimestamp")),
        .id = LIST(PATH("messageId")),
        .previous_user = LIST(PATH("previousId")),
        .properties = LIST(PATH("properties.*")),
        .attributes = LIST(PATH("traits.*"), PATH("context.traits.*")),
        .account_attributes = LIST(PATH("traits.*")),
        KINDS(segment_kinds),
    },
    {
        /* Enriched events as JSON: those of the analytics SDKs (contexts and self-describing events as fields
         * of their own) and those with the self-describing JSON as text. A structured event is named by its
         * action. https://docs.snowplow.io/docs/fundamentals/canonical-event/ */
        .name = TEXT("snowplow"),
        .event = LIST(PATH("se_action"), PATH("event_name"), PATH("event")),
        .account = LIST(PATH("account_id"), PATH("contexts.data.0.data.account_id"),
                        PATH("contexts.data.0.data.accountId"), PATH("key")),
        .user = LIST(PATH("user_id"), PATH("domain_userid"), PATH("network_userid")),
        .time = LIST(PATH("derived_tstamp"), PATH("collector_tstamp")),
        .assume_utc = true,
        .id = LIST(PATH("event_id")),
        .properties = LIST(PATH("unstruct_event.data.data.*"), PATH("contexts.data.0.data.*"), PATH("*")),
    },
    {
        .name = TEXT("amplitude"),
        .kind = LIST(PATH("event_type")),
        .event = LIST(PATH("event_type")),
        .account = LIST(PATH("groups.account"), PATH("groups.account.0"), PATH("groups.company"),
                        PATH("groups.company.0"), PATH("groups.org"), PATH("groups.org.0"), PATH("key")),
        .user = LIST(PATH("user_id"), PATH("device_id")),
        .time = LIST(PATH("event_time"), PATH("time")),
        .assume_utc = true,
        .id = LIST(PATH("$insert_id"), PATH("insert_id"), PATH("uuid")),
        .properties = LIST(PATH("event_properties.*")),
        .attributes = LIST(PATH("user_properties.$set.*"), PATH("user_properties.$setOnce.*"),
                           PATH("user_properties.*")),
        .account_attributes = LIST(PATH("group_properties.$set.*"), PATH("group_properties.$setOnce.*"),
                                   PATH("group_properties.*")),
        KINDS(amplitude_kinds),
    },
    {
        /* The libraries of servers send a $groupidentify under an id made of the group's ($company_acme),
         * which is nobody; who is in a group is said by $groups of other events.
         * https://posthog.com/docs/api/capture */
        .name = TEXT("posthog"),
        .kind = LIST(PATH("event")),
        .event = LIST(PATH("event")),
        .account = LIST(PATH("properties.$group_key"), PATH("properties.$groups.company"),
                        PATH("properties.$groups.organization"), PATH("properties.$groups.account"),
                        PATH("properties.$group_0"), PATH("$group_0"), PATH("key")),
        .user = LIST(PATH("distinct_id"), PATH("properties.distinct_id")),
        .time = LIST(PATH("timestamp")),
        .assume_utc = true,
        .group_has_no_user = true,
        .id = LIST(PATH("uuid")),
        .previous_user = LIST(PATH("properties.alias")),
        .properties = LIST(PATH("properties.*")),
        .attributes = LIST(PATH("$set.*"), PATH("properties.$set.*"), PATH("$set_once.*"),
                           PATH("properties.$set_once.*")),
        .account_attributes = LIST(PATH("properties.$group_set.*")),
        KINDS(posthog_kinds),
    },
    {
        /* Structured: attributes and `data` in one JSON object. Binary: attributes in headers, the value is
         * the data. accountid, userid and partitionkey (the key, where a file has none) are extension
         * attributes.
         * https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md */
        .name = TEXT("cloudevents"),
        .event = LIST(PATH("header:ce_type"), PATH("type")),
        .account =
            LIST(PATH("header:ce_accountid"), PATH("accountid"), PATH("data.account_id"), PATH("account_id"),
                 PATH("key"), PATH("header:ce_partitionkey"), PATH("partitionkey")),
        .user = LIST(PATH("header:ce_userid"), PATH("userid"), PATH("data.user_id"), PATH("user_id")),
        .time = LIST(PATH("header:ce_time"), PATH("time")),
        .id = LIST(PATH("header:ce_id"), PATH("id")),
        .properties = LIST(PATH("data.*"), PATH("*")),
    },
};

const char *const pql_mapping_preset_names[] = {
    "canonical", "flat", "segment", "rudderstack", "snowplow", "amplitude", "posthog", "cloudevents", NULL};
_Static_assert(sizeof pql_mapping_preset_names / sizeof(char *) == sizeof presets / sizeof *presets + 1,
               "a name each");

const struct pql_mapping_conf *pql_mapping_preset(struct pql_slice name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (pql_slice_eq(presets[i].name, name)) return &presets[i];
    return NULL;
}
