#include "app/workbench.h"

#include "base/date.h"
#include "core/hash.h"

#include <stdlib.h>

enum { EVENTS_MAX = 1000 }; /* names that are remembered */

void pql_workbench_init(struct pql_workbench *bench, const struct pql_program *program)
{
    *bench = (struct pql_workbench){.program = program};
    pql_arena_init(&bench->arena);
    bench->tallies = pql_xcalloc(pql_program_definitions_count(program), sizeof *bench->tallies);
}

void pql_workbench_deinit(struct pql_workbench *bench)
{
    if (!bench->program) return;
    for (size_t i = 0; i < pql_program_definitions_count(bench->program); i++) {
        free(bench->tallies[i].tiers.items);
        free(bench->tallies[i].segments.items);
    }
    free(bench->tallies);
    free(bench->people);
    free(bench->events.items);
    pql_arena_deinit(&bench->arena);
}

/* --- people: open addressing over all of them --- */

static uint64_t hash_of(struct pql_slice account, struct pql_slice user)
{
    return pql_hash_slice(user, pql_hash_slice(account, 0));
}

static struct pql_person **slot_of(const struct pql_workbench *bench, struct pql_slice account,
                                   struct pql_slice user)
{
    size_t mask = bench->people_capacity - 1, i = hash_of(account, user) & mask;
    while (bench->people[i] &&
           (!pql_slice_eq(bench->people[i]->account, account) || !pql_slice_eq(bench->people[i]->user, user)))
        i = (i + 1) & mask;
    return &bench->people[i];
}

static void grow_people(struct pql_workbench *bench)
{
    struct pql_person **old = bench->people;
    size_t old_capacity = bench->people_capacity;
    bench->people_capacity = old_capacity ? old_capacity * 2 : 1024;
    bench->people = pql_xcalloc(bench->people_capacity, sizeof(struct pql_person *));
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i]) *slot_of(bench, old[i]->account, old[i]->user) = old[i];
    free(old);
}

const struct pql_person *pql_workbench_find(const struct pql_workbench *bench, struct pql_slice account,
                                            struct pql_slice user)
{
    return bench->people_capacity ? *slot_of(bench, account, user) : NULL;
}

static struct pql_person *person_of(struct pql_workbench *bench, struct pql_slice account,
                                    struct pql_slice user)
{
    if (bench->people_count * 2 >= bench->people_capacity) grow_people(bench);
    struct pql_person **slot = slot_of(bench, account, user);
    if (*slot) return *slot;
    struct pql_person *person = pql_arena_zalloc(&bench->arena, sizeof *person);
    person->account = pql_arena_copy(&bench->arena, account);
    person->user = pql_arena_copy(&bench->arena, user);
    bench->people_count++;
    return *slot = person;
}

/* --- cases --- */

static uint32_t word_of(struct pql_workbench *bench, struct pql_words *words, struct pql_slice text)
{
    if (!text.len) return PQL_WORD_NONE;
    for (size_t i = 0; i < words->count; i++)
        if (pql_slice_eq(words->items[i], text)) return (uint32_t)i;
    words->items = pql_xgrow(words->items, &words->capacity, words->count + 1, sizeof *words->items);
    words->items[words->count] = pql_arena_copy(&bench->arena, text);
    return (uint32_t)words->count++;
}

static struct pql_case *find_case(const struct pql_person *person, size_t definition)
{
    struct pql_case *found = person ? person->cases : NULL;
    while (found && found->definition != definition) found = found->next;
    return found;
}

const struct pql_case *pql_case_of(const struct pql_person *person, size_t definition)
{
    return find_case(person, definition);
}

size_t pql_workbench_definition(const struct pql_workbench *bench, struct pql_slice name)
{
    size_t count = pql_program_definitions_count(bench->program), i = 0;
    while (i < count && !pql_slice_eq(pql_program_definition(bench->program, i)->name, name)) i++;
    return i;
}

static struct pql_case *case_made(struct pql_workbench *bench, const struct pql_record *record,
                                  uint32_t definition)
{
    struct pql_person *person = person_of(bench, record->account_id, record->user_id);
    struct pql_case *made = find_case(person, definition);
    if (made) return made;
    struct pql_definition_tally *tally = &bench->tallies[definition];
    made = pql_arena_zalloc(&bench->arena, sizeof *made);
    *made = (struct pql_case){.definition = definition,
                              .tier = PQL_WORD_NONE,
                              .segment = word_of(bench, &tally->segments, record->segment),
                              .reason = pql_arena_copy(&bench->arena, record->reason_text),
                              .next = person->cases};
    tally->ever++;
    return person->cases = made;
}

static void note_entry(struct pql_workbench *bench, struct pql_case *of, int64_t at_ms)
{
    struct pql_entry *entry = pql_arena_zalloc(&bench->arena, sizeof *entry);
    entry->at_ms = at_ms;
    if (of->newest)
        of->newest->next = entry;
    else
        of->entries = entry;
    of->newest = entry;
}

/* --- marks --- */

static void mark_person(struct pql_workbench *bench, struct pql_person *person, uint32_t mark, bool by_user,
                        int64_t at_ms)
{
    struct pql_marked *known = person->marks;
    while (known && (known->mark != mark || known->by_user != by_user)) known = known->next;
    if (!known) {
        known = pql_arena_zalloc(&bench->arena, sizeof *known);
        *known = (struct pql_marked){mark, by_user, at_ms, person->marks};
        person->marks = known;
    }
    if (at_ms < known->at_ms) known->at_ms = at_ms;
}

/* What the feedback of a CRM says of a user concerns no definition of the account. */
static void set_marks(struct pql_workbench *bench, bool is_definition, struct pql_slice name,
                      struct pql_slice account, struct pql_slice user, bool is_feedback, int64_t at_ms)
{
    for (uint32_t i = 0; i < bench->marks_count && account.len; i++) {
        const struct pql_mark *mark = &bench->marks[i];
        if (mark->is_definition != is_definition || !pql_slice_eq(mark->name, name)) continue;
        if (mark->is_feedback && !is_feedback) continue;
        mark_person(bench, person_of(bench, account, user), i, user.len != 0, at_ms);
        if (user.len && !is_feedback)
            mark_person(bench, person_of(bench, account, (struct pql_slice){"", 0}), i, true, at_ms);
    }
}

static int64_t marked_of(const struct pql_person *person, uint32_t mark, bool with_users)
{
    int64_t at_ms = PQL_NO_TIME;
    for (const struct pql_marked *known = person ? person->marks : NULL; known; known = known->next)
        if (known->mark == mark && (with_users || !known->by_user) &&
            (at_ms == PQL_NO_TIME || known->at_ms < at_ms))
            at_ms = known->at_ms;
    return at_ms;
}

int64_t pql_workbench_marked(const struct pql_workbench *bench, struct pql_slice account,
                             struct pql_slice user, uint32_t mark)
{
    const struct pql_slice nobody = {"", 0};
    int64_t own = marked_of(pql_workbench_find(bench, account, user), mark, true);
    if (!user.len) return own;
    int64_t common = marked_of(pql_workbench_find(bench, account, nobody), mark, false);
    if (own == PQL_NO_TIME || common == PQL_NO_TIME) return own == PQL_NO_TIME ? common : own;
    return own < common ? own : common;
}

void pql_workbench_event(struct pql_workbench *bench, const struct pql_event *event)
{
    if (!bench->marks_count || !event->name.len) return;
    if (bench->events.count < EVENTS_MAX) (void)word_of(bench, &bench->events, event->name);
    set_marks(bench, false, event->name, event->account, event->user, event->kind == PQL_EVENT_OUTCOME,
              event->time_ms);
}

/* --- records --- */

/* The best one stays. */
static void note_tier(struct pql_workbench *bench, struct pql_case *of, const struct pql_record *record)
{
    const struct pql_definition_conf *conf = pql_program_definition(bench->program, of->definition);
    for (size_t i = 0; i < conf->tiers_count; i++) {
        if (!pql_slice_eq(conf->tiers[i].name.text, record->tier)) continue;
        if (of->tier != PQL_WORD_NONE && conf->tiers[i].at.value <= of->tier_at) continue;
        of->tier = word_of(bench, &bench->tallies[of->definition].tiers, record->tier);
        of->tier_at = conf->tiers[i].at.value;
    }
}

void pql_workbench_record(struct pql_workbench *bench, const struct pql_record *record)
{
    size_t definition = pql_workbench_definition(bench, record->definition);
    struct pql_definition_tally *tally = &bench->tallies[definition];
    if (record->transition == PQL_LEFT) {
        tally->left++;
        if (record->reason != PQL_REASON_CONVERTED) return;
        tally->converted++;
        tally->days += (double)(record->occurred_at - record->qualified_at) / PQL_DAY_MS;
        return;
    }
    if (record->transition != PQL_ENTERED && record->transition != PQL_TIER_CHANGED) return;
    struct pql_case *of = case_made(bench, record, (uint32_t)definition);
    if (record->transition == PQL_ENTERED) {
        tally->entered++;
        note_entry(bench, of, record->occurred_at);
        set_marks(bench, true, record->definition, record->account_id, record->user_id, false,
                  record->occurred_at);
    }
    note_tier(bench, of, record);
}

void pql_workbench_unforeseen(struct pql_workbench *bench, const struct pql_definition_conf *conf)
{
    bench->tallies[pql_workbench_definition(bench, conf->name)].unforeseen++;
}
