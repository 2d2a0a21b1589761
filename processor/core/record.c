#include "core/record.h"

const char *const pql_subject_names[2] = {"user", "account"};
const char *const pql_transition_names[PQL_TRANSITION_COUNT] = {
    [PQL_ENTERED] = "entered",
    [PQL_LEFT] = "left",
    [PQL_TIER_CHANGED] = "tier_changed",
    [PQL_SCORE_CHANGED] = "score_changed",
    [PQL_MISSED] = "missed",
    [PQL_SLA_BREACHED] = "sla_breached",
    [PQL_SNAPSHOT] = "snapshot",
};
const char *const pql_status_names[PQL_STATUS_COUNT] = {
    [PQL_NOT_YET] = "not_yet",
    [PQL_QUALIFIED] = "qualified",
    [PQL_STATUS_LEFT] = "left",
    [PQL_STATUS_MISSED] = "missed",
};
const char *const pql_reason_names[PQL_REASON_COUNT] = {
    [PQL_REASON_CONDITION] = "condition",
    [PQL_REASON_EXPIRED] = "expired",
    [PQL_REASON_DECAYED] = "decayed",
    [PQL_REASON_INELIGIBLE] = "ineligible",
    [PQL_REASON_DISQUALIFIED] = "disqualified",
    [PQL_REASON_CONVERTED] = "converted",
    [PQL_REASON_DEFINITION_CHANGED] = "definition_changed",
    [PQL_REASON_DEFINITION_REMOVED] = "definition_removed",
    [PQL_REASON_MERGED] = "merged",
    [PQL_REASON_FORGOTTEN] = "forgotten",
};
const char *const pql_origin_names[PQL_ORIGIN_COUNT] = {
    [PQL_ORIGIN_LIVE] = "live",
    [PQL_ORIGIN_BACKFILL] = "backfill",
    [PQL_ORIGIN_DEFINITION_CHANGE] = "definition_change",
    [PQL_ORIGIN_REFRESH] = "refresh",
};
