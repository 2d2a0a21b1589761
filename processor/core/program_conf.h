/* program_conf.h - what the configuration says of the engine: plain data, filled by io/config (or a test),
 * read by pql_program_new. Everything here is part of the program of a task: it affects results. Strings and
 * arrays belong to whoever filled the struct and must outlive the program. */
#ifndef PQL_CORE_PROGRAM_CONF_H
#define PQL_CORE_PROGRAM_CONF_H

#include "base/zone.h"
#include "core/lang/lang.h"
#include "core/wire/mapping.h"

enum pql_late_policy { PQL_LATE_APPLY, PQL_LATE_DROP, PQL_LATE_DEAD_LETTER };

struct pql_settings {
    int64_t lateness_ms; /* 0 */
    enum pql_late_policy late_policy;
    int64_t dedup_horizon_ms; /* 0: off */
    int64_t start_grace_ms;   /* 7d */
    uint32_t exact_max;       /* 1000 */
    uint32_t evidence_max;    /* 50 */
    uint64_t
        buffer_bytes_max; /* reorder buffer, counted as 64 + length of the mapped fields per event; 64 MiB */
    uint64_t dedup_ids_max; /* of a task; 0: no limit but memory */
};
struct pql_settings pql_settings_default(void);

/* What an outcome of the CRM does to a definition that names it. */
enum pql_outcome_effect {
    PQL_OUTCOME_CONVERTS,     /* convert_on: leaves, and never enters again */
    PQL_OUTCOME_DISQUALIFIES, /* disqualify_on: leaves, and does not enter for disqualify_for */
    PQL_OUTCOME_REOPENS,      /* reopen_on: a conversion holds no more */
    PQL_OUTCOME_ACKNOWLEDGES, /* acknowledge_on: the deadline of `sla` is met */
    PQL_OUTCOME_EFFECTS,
};

enum pql_mode { PQL_MODE_LIVE, PQL_MODE_SHADOW, PQL_MODE_OFF };

/* What a record says for whoever acts on it: each a list, of which the first counts whose `when` holds as the
 * record is written. */
enum pql_choice {
    PQL_CHOICE_ROUTE,
    PQL_CHOICE_SEGMENT,
    PQL_CHOICE_MOTION,
    PQL_CHOICE_PRIORITY,
    PQL_CHOICE_COUNT
};
struct pql_choices_conf {
    const struct pql_choice_conf {
        struct pql_source source; /* the text that is said */
        struct pql_source when;   /* an empty text: always */
    } * items;
    size_t count;
};

/* A number and where it stands; an empty text: not given. */
struct pql_number {
    pql_decimal value;
    struct pql_source source;
};

/* Points for a condition, or for each unit of a number. */
struct pql_item_conf {
    struct pql_source family;            /* empty: of none */
    struct pql_number points;            /* not 0 */
    struct pql_source when, per;         /* one of the two */
    struct pql_number max;               /* of per: most units that count */
    int64_t half_life_ms, fades_over_ms; /* of per: how what it counts decays; 0: not, at most one of them */
};

struct pql_cap_conf {
    struct pql_source family;
    struct pql_number cap; /* not given: none */
};

struct pql_multiply_conf {
    struct pql_source when; /* empty: always */
    struct pql_source by;   /* a number, or an expression */
};

enum { PQL_TIERS_MAX = 100 };

struct pql_tier_conf {
    struct pql_source name;
    struct pql_number at;
};

/* Whose changes of score are published. */
enum pql_publish_scores { PQL_SCORES_QUALIFIED, PQL_SCORES_ALL };

struct pql_definition_conf {
    struct pql_slice name;
    struct pql_source name_source; /* for messages about the definition as a whole */
    enum pql_subject subject;
    int32_t version; /* 1 */
    enum pql_mode mode;
    struct pql_source eligible, qualify, stay; /* an empty text: not given */
    const struct pql_zone *zone;               /* of calendar days; NULL: UTC */
    struct pql_source reason;                  /* template; {1} … are evidence rows; empty: generated */
    int64_t min_stay_ms, cooldown_ms;
    struct pql_path_list outcomes[PQL_OUTCOME_EFFECTS]; /* names of outcomes, by what they do */
    int64_t disqualify_for_ms;                          /* 90d; from the outcome's own time */
    int64_t sla_ms;                                     /* from entering; 0: no deadline */
    bool once;
    bool publish_missed;
    bool alert;
    const struct pql_item_conf *score; /* items */
    size_t score_count;                /* 0: a definition without score */
    int64_t decay_step_ms;             /* 0: 1 d, of a half-life below 7 d 1 h */
    uint32_t exact_max;                /* of what it reads; 0: as in the settings */
    const struct pql_multiply_conf *multiply;
    size_t multiply_count;
    const struct pql_cap_conf *caps;
    size_t caps_count;
    const struct pql_tier_conf *tiers; /* in any order */
    size_t tiers_count;
    enum pql_publish_scores publish_scores;
    struct pql_number min_delta; /* changes of score from this on are published; not given: none */
    int64_t min_interval_ms;     /* between two of them */
    const struct pql_source *include_attributes; /* "user.role", "account.plan" */
    size_t include_attributes_count;
    const struct pql_source *context; /* expressions that decide nothing and are shown */
    size_t context_count;
    struct pql_choices_conf choices[PQL_CHOICE_COUNT];
};

/* What conditions know of a definition. */
static inline struct pql_lang_definition pql_definition_known(const struct pql_definition_conf *conf)
{
    return (struct pql_lang_definition){conf->name, conf->subject, conf->score_count, conf->tiers_count,
                                        conf->mode == PQL_MODE_SHADOW};
}

struct pql_label {
    struct pql_slice event, text; /* "invite_sent" -> "teammates invited" */
};

/* A window that all subjects of an account share: trial, pilot. */
struct pql_period_conf {
    struct pql_slice name;
    struct pql_source start, end; /* "account.trial_started_at"; end: empty: the length says it */
    int64_t length_ms;
    enum pql_time_unit time_unit; /* of times that are plain numbers */
};

struct pql_program_conf {
    struct pql_slice app;
    struct pql_settings settings;
    const struct pql_definition_conf *definitions;
    size_t definitions_count;
    const struct pql_slice *off; /* names of those whose mode is off, which are not among them */
    size_t off_count;
    const struct pql_lang_signal *signals;
    size_t signals_count;
    const struct pql_lang_parameter *parameters;
    size_t parameters_count;
    const struct pql_label *labels; /* of all mappings */
    size_t labels_count;
    const struct pql_period_conf *periods; /* of all mappings */
    size_t periods_count;
    /* What `any` means: names of events; none: every track. */
    const struct pql_slice *activity;
    size_t activity_count;
    /* Sign-ups: names of events, or "kind:identify", "kind:group". */
    const struct pql_slice *start_events;
    size_t start_events_count;
    struct pql_source ignore; /* condition over properties and attributes; empty: none */
    /* All that affects results, formats and mappings included, in a form of whoever fills the struct, from
     * which it can be filled again: two equal texts are one program. Read by nobody else; may be empty in
     * tests. */
    struct pql_slice text;
};

#endif
