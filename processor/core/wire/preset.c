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

static const struct pql_kind_alias segment_kinds[] = {
    {TEXT("page"), PQL_EVENT_TRACK, TEXT("page_viewed")},
    {TEXT("screen"), PQL_EVENT_TRACK, TEXT("screen_viewed")},
};

static const struct pql_mapping_conf presets[] = {
    {
        .name = TEXT("canonical"),
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
        .kinds = segment_kinds,
        .kinds_count = sizeof segment_kinds / sizeof *segment_kinds,
    },
};

const char *const pql_mapping_preset_names[] = {"canonical", "segment", NULL};
_Static_assert(sizeof pql_mapping_preset_names / sizeof(char *) == sizeof presets / sizeof *presets + 1,
               "a name each");

const struct pql_mapping_conf *pql_mapping_preset(struct pql_slice name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (pql_slice_eq(presets[i].name, name)) return &presets[i];
    return NULL;
}
