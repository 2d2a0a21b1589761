#include "core/event.h"

const char *const pql_event_kind_names[PQL_EVENT_KIND_COUNT] = {
    [PQL_EVENT_TRACK] = "track",   [PQL_EVENT_IDENTIFY] = "identify",
    [PQL_EVENT_GROUP] = "group",   [PQL_EVENT_LEAVE_GROUP] = "leave_group",
    [PQL_EVENT_ALIAS] = "alias",   [PQL_EVENT_OUTCOME] = "outcome",
    [PQL_EVENT_FORGET] = "forget", [PQL_EVENT_CLOCK] = "clock",
};
