/* What configurations of a world say: a plain one for tests that look at single steps, and a rich one, which
 * asks for nearly everything that has state. */
#include "sim/world.h"

#include <stdio.h>

#define WORDS(words)                                                                                         \
    {                                                                                                        \
        (words), sizeof(words) - 1                                                                           \
    }
#define NUMBER(digits, number)                                                                               \
    {                                                                                                        \
        .value = (number) * (pql_decimal)1000000, .source.text = WORDS(digits)                               \
    }

static struct pql_definition_conf *define(struct world_program *p, const char *name, enum pql_subject subject,
                                          const char *qualify)
{
    PQL_ASSERT(p->conf.definitions_count < WORLD_DEFINITIONS_MAX);
    struct pql_definition_conf *conf = &p->definitions[p->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name),
                                         .name_source = {pql_slice_of(name), NULL, NULL, 0},
                                         .subject = subject,
                                         .version = 1,
                                         .mode = PQL_MODE_LIVE,
                                         .alert = subject == PQL_SUBJECT_ACCOUNT,
                                         .qualify = {pql_slice_of(qualify), NULL, NULL, 0}};
    return conf;
}

/* Points that come and go by time, tiers, and changes of score that wait for one another. */
static void give_score(struct pql_definition_conf *conf)
{
    static const struct pql_item_conf items[] = {
        {.points = NUMBER("1", 1), .per.text = WORDS("count(x, 20s)")},
        /* only of the rich ones */
        {.points = NUMBER("1", 1), .per.text = WORDS("sum(x.v, 12s)"), .half_life_ms = 3000},
        {.points = NUMBER("-3", -3), .when.text = WORDS("count(y, 4s) >= 1")}};
    static const struct pql_tier_conf tiers[] = {{.name.text = WORDS("low"), .at = NUMBER("6", 6)},
                                                 {.name.text = WORDS("high"), .at = NUMBER("8", 8)}};
    static const struct pql_number min_delta = NUMBER("2", 2);
    conf->score = items;
    conf->score_count = 1;
    conf->tiers = tiers;
    conf->tiers_count = 2;
    conf->publish_scores = PQL_SCORES_ALL;
    conf->min_delta = min_delta;
    conf->min_interval_ms = 3000;
}

/* A definition that stays, ones that come, go, are edited and go into shadow mode, a signal that is new. */
static void define_plain(struct world *world)
{
    struct world_program *p = world->programs;
    define(&p[0], "team", PQL_SUBJECT_ACCOUNT, "count(x, 8s) >= 4");
    define(&p[0], "person", PQL_SUBJECT_USER, "count(x, 5s) >= 2");
    define(&p[1], "team", PQL_SUBJECT_ACCOUNT, "count(x, 8s) >= 3");
    give_score(define(&p[1], "busy", PQL_SUBJECT_ACCOUNT, "score >= 6"));
    define(&p[2], "crew", PQL_SUBJECT_ACCOUNT, "users(is(person)) >= 1 and count(x, 8s) >= 2");
    define(&p[2], "person", PQL_SUBJECT_USER, "count(x, 5s) >= 2")->mode =
        PQL_MODE_SHADOW; /* live again in the first */
    give_score(define(&p[2], "busy", PQL_SUBJECT_ACCOUNT, "score >= 6"));
}

/* Outcomes that end it, bar it for a while and open it again, and a deadline that one of them meets. */
static struct pql_definition_conf *answer(struct pql_definition_conf *conf)
{
    static const struct pql_source won = {.text = WORDS("won")}, lost = {.text = WORDS("lost")},
                                   again = {.text = WORDS("again")}, seen = {.text = WORDS("seen")};
    conf->outcomes[PQL_OUTCOME_CONVERTS] = (struct pql_path_list){&won, 1};
    conf->outcomes[PQL_OUTCOME_DISQUALIFIES] = (struct pql_path_list){&lost, 1};
    conf->outcomes[PQL_OUTCOME_REOPENS] = (struct pql_path_list){&again, 1};
    conf->outcomes[PQL_OUTCOME_ACKNOWLEDGES] = (struct pql_path_list){&seen, 1};
    conf->disqualify_for_ms = 6000;
    conf->sla_ms = 2500;
    return conf;
}

static struct pql_definition_conf *give_rich_score(struct pql_definition_conf *conf)
{
    give_score(conf);
    conf->score_count = 3;
    conf->decay_step_ms = 1000;
    return conf;
}

static void define_rich(struct world *world)
{
    struct world_program *p = world->programs;
    struct pql_definition_conf *conf =
        answer(define(&p[0], "team", PQL_SUBJECT_ACCOUNT, "count(x, 8s) >= 4"));
    conf->cooldown_ms = 1500;
    conf = answer(define(&p[0], "person", PQL_SUBJECT_USER, "count(x, 5s) >= 2"));
    conf->eligible.text = pql_slice_of("not (user.role = 'out')");
    conf = define(&p[0], "trial", PQL_SUBJECT_USER, "sum(x.v, 6s) >= 4");
    conf->mode = PQL_MODE_SHADOW;
    conf->alert = true;
    conf = answer(define(&p[1], "team", PQL_SUBJECT_ACCOUNT, "count(x, 8s) >= 3"));
    conf->min_stay_ms = 3000;
    give_rich_score(define(&p[1], "busy", PQL_SUBJECT_ACCOUNT, "score >= 6"));
    conf = define(&p[1], "fresh", PQL_SUBJECT_USER, "count(x, first 4s) >= 3");
    conf->publish_missed = true;
    define(&p[1], "trial", PQL_SUBJECT_USER, "sum(x.v, 6s) >= 4")->alert = true;
    define(&p[2], "crew", PQL_SUBJECT_ACCOUNT,
           "users(is(person)) >= 1 and count(x, 8s) >= 2 and not (account.plan = 'small')");
    answer(define(&p[2], "person", PQL_SUBJECT_USER, "count(x, 5s) >= 2"))->mode = PQL_MODE_SHADOW;
    give_rich_score(define(&p[2], "busy", PQL_SUBJECT_ACCOUNT, "score >= 6"))->sla_ms = 2000;
    define(&p[2], "pair", PQL_SUBJECT_USER, "sequence(x then y within 3s, 8s)")->once = true;
}

void world_make_programs(struct world *world)
{
    static const int64_t max_future_ms[MODEL_INPUTS_MAX] = {600000, 600000};
    static const struct pql_slice starts[] = {WORDS("kind:identify")};
    pql_diags_init(&world->diags);
    for (size_t i = 0; i < WORLD_PROGRAMS; i++) {
        struct world_program *p = &world->programs[i];
        snprintf(p->text, sizeof p->text, "program %zu", i);
        p->conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("sim"),
                                            .settings = pql_settings_default(),
                                            .definitions = p->definitions,
                                            .text = pql_slice_of(p->text)};
        p->conf.settings.lateness_ms = world->plan->lateness_ms;
        p->conf.settings.dedup_horizon_ms = world->plan->dedup_horizon_ms;
        if (world->plan->late_dead_letter) p->conf.settings.late_policy = PQL_LATE_DEAD_LETTER;
        if (!world->plan->is_rich) continue;
        p->conf.settings.start_grace_ms = 5000;
        p->conf.start_events = starts;
        p->conf.start_events_count = 1;
    }
    if (world->plan->is_rich)
        define_rich(world);
    else
        define_plain(world);
    for (size_t i = 0; i < WORLD_PROGRAMS; i++) {
        struct world_program *p = &world->programs[i];
        p->program = pql_program_new(&p->conf, &world->diags);
        if (!p->program) pql_diags_print(&world->diags, stderr);
        PQL_ASSERT(p->program);
        p->edition = (struct pql_edition){
            .program = p->program, .ticks = true, .max_future_ms = max_future_ms, .context = world};
    }
    world->revision = 1;
}
