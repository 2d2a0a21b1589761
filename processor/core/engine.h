/* engine.h - the state of one task as a pure deterministic machine: state, records = step(state, input).
 *
 *   event ─► duplicate? ─► late? ─► reorder buffer (lateness > 0) ─► expire and fire timers up to its instant
 *         ─► signals that listen to its name ─► definitions that read a signal that changed ─► emit(record)
 *
 * It does no I/O, reads no clock, starts no thread, logs nothing. Owner and thread: the worker that owns the
 * task. Memory: its own heap, counted (pql_engine_bytes). */
#ifndef PQL_CORE_ENGINE_H
#define PQL_CORE_ENGINE_H

#include "base/buf.h"
#include "core/event.h"
#include "core/part.h"
#include "core/program.h"
#include "core/record.h"

struct pql_engine;

/* Called for every record in the engine's order, during pql_engine_apply, _tick, _refresh, _replay_part and
 * _finish. It may call pql_engine_pause, and nothing else of the engine. */
typedef void pql_emit(void *context, const struct pql_record *record);

/* What no record tells, for counters: called during the same calls with emit's context, or not at all. Events
 * that are read again (fill) are not told. NULL: not wanted. */
struct pql_watch {
    void (*signed_up)(void *context, enum pql_subject subject); /* for the first time */
    void (*converted_unqualified)(void *context, const struct pql_definition_conf *conf);
};

struct pql_engine *pql_engine_new(const struct pql_program *program, pql_emit *emit, void *context);
void pql_engine_free(struct pql_engine *engine);
void pql_engine_watch(struct pql_engine *engine, const struct pql_watch *watch); /* must outlive the engine */

enum pql_applied {
    PQL_APPLY_DONE,      /* taken: processed at once, or waiting in the reorder buffer */
    PQL_APPLY_DUPLICATE, /* id remembered: dropped, counted */
    PQL_APPLY_LATE,      /* late and applied by policy, counted */
    PQL_APPLY_LATE_DROPPED,
    PQL_APPLY_LATE_DEAD_LETTER, /* the caller sends the record to the dead-letter topic, reason "late" */
    PQL_APPLY_PART, /* not taken yet: the call stopped in the middle of what is due before it. Call again */
};

/* One accepted event (framing, decoding, mapping and future checks are the caller's). A PQL_EVENT_CLOCK
 * raises `seen` to its time and acts as a tick. An unsupported kind must not reach the engine. */
enum pql_applied pql_engine_apply(struct pql_engine *engine, const struct pql_event *event);

/* An event of this account comes soon (its record's key says so): the memory that it will touch is asked for,
 * so that it is there by then. A guess that is wrong costs a little and changes nothing.
 *
 *   event i + 12: its place in the table    i + 9: the account    i + 6: its cells    i + 3: what is in them
 *
 * The first call of an event returns its hash, the others take it. Only while pql_engine_wants_ahead: events
 * that wait for earlier ones (lateness) are not applied in the order in which they come. */
enum pql_ahead { PQL_AHEAD_ACCOUNT, PQL_AHEAD_CELLS, PQL_AHEAD_ENTRIES };
bool pql_engine_wants_ahead(const struct pql_engine *engine);
uint64_t pql_engine_ahead(const struct pql_engine *engine, struct pql_slice account);
void pql_engine_ahead_more(const struct pql_engine *engine, uint64_t hash, enum pql_ahead what);

/* Moves the clock to t_ms without an event: everything due at or before R happens, R = t for lateness 0, else
 * t - lateness - 1 ms. A t below `seen` changes nothing. False: it stopped in the middle, call again with the
 * same t. */
bool pql_engine_tick(struct pql_engine *engine, int64_t t_ms);

/* A record PQL_SNAPSHOT (origin refresh, with the next version) for every member of every definition, in the
 * order of accounts and within one in that of an evaluation. False: it stopped in the middle, call again. */
bool pql_engine_refresh(struct pql_engine *engine);
/* From now on members of shadow definitions too: for reports, since no topic has their state. */
void pql_engine_refresh_shadow(struct pql_engine *engine);

/* The smallest t for which a tick would make something happen (a timer due, a buffered instant complete), or
 * PQL_NO_TIME. A tick exists only if t >= this. Not to be asked while work is open.
 * Exact: timers that were set too early are set again on the way. Amortised O(1). */
int64_t pql_engine_next_tick(struct pql_engine *engine);

/* End of a file: the buffer is flushed and every timer due at or before `seen` fires. Never stops. */
void pql_engine_finish(struct pql_engine *engine);

/* Told of every key that an erasure, or a change that removed its definition, takes the state of, if there
 * may have been a record of it: after its last record, and not of shadow definitions, whose records are no
 * state. Only definition, subject, account_id, user_id and version are filled. NULL, as at first: nobody is
 * told. Same rules as emit. */
void pql_engine_on_erased(struct pql_engine *engine, pql_emit *erased);

/* Makes the next records carry this origin (live by default; replay and back-fill set PQL_ORIGIN_BACKFILL).
 */
void pql_engine_set_origin(struct pql_engine *engine, enum pql_origin origin);

int64_t pql_engine_seen(const struct pql_engine *engine); /* PQL_NO_TIME before the first event */

/* --- Long inputs in parts. ---
 *
 *   apply(event) = PART   apply(event) = PART   apply(event) = DONE
 *   ├── due before the event: A@1 B@1 C@1 │ A@2 B@2 … │ Z@9 ──┤ and only now the event itself
 *                                         └ place: due 1, account C
 *
 * One move of the clock may fire millions of timers, a refresh makes a record for every member. With a limit
 * the engine stops between two accounts' instants; what it has reached and what is left is part of its state,
 * so it may be saved, loaded and gone on with elsewhere. In parts or at once: the same records and state.
 * Work that is open is finished first, whatever is asked next; until then nothing else is taken (an event is
 * not remembered, buffered or counted before all that is due before it has happened; only `seen` has moved).
 * One instant of one account is never cut, nor is an instant that a full reorder buffer releases together
 * with the event that filled it. */

/* A call stops after so many accounts' instants and records together; 0 (at first): never. */
void pql_engine_set_limit(struct pql_engine *engine, uint64_t steps_max);
/* From within emit: the present call stops after this account's instant, if anything is left then. */
void pql_engine_pause(struct pql_engine *engine);
enum pql_work_kind pql_engine_work(const struct pql_engine *engine); /* that is open; for every record */
/* The open work, or kind PQL_WORK_NONE. The account's text stays until the next call. */
struct pql_part pql_engine_part(const struct pql_engine *engine);
/* A replay: does of the work exactly what had been done when pql_engine_part said so, whatever the limit.
 * Error if the engine stands elsewhere. */
int pql_engine_replay_part(struct pql_engine *engine, const struct pql_part *part,
                           struct pql_err *err) PQL_CHECKED;

/* --- Another program under the same state. ---
 *
 *   change ─► fill* ─► settle
 *
 * change: everything due at the present instant happens; then the state is taken over. A signal is known by
 * subject, function, normalised selector and window: what stays keeps its state, what is new begins empty,
 * the rest is freed. Standings belong to a definition's name and subject, so renaming one is removing it and
 * adding another: consumers see the old key left and the new one entered, and the signals are kept.
 *
 * settle: accounts in the order of their bytes, each whole: members of definitions that are gone leave with
 * definition_removed; definitions that are new or differ (eligible, qualify, stay, min_stay, cooldown, once)
 * are evaluated: members that no longer qualify leave with definition_changed, at once or when min_stay is
 * over, and whoever qualifies enters with origin definition_change. What else these flips decide (is(D),
 * users(…)) follows in the same evaluation with the same reason and origin. Unchanged definitions are not
 * looked at. Members of a definition with `once` stay.
 *
 * complete_since of a record: the instant of the change, for definitions that read a signal that was new then
 * (or now needs more than was kept), as long as something before that instant could be missing:
 *   rolling W     until the window lies behind the change: t - W >= that instant
 *   first W       for subjects whose start was not after it
 *   ever, times, attributes   for subjects seen before it; a latest value, last_time, since and ever itself
 *                 are right as soon as there has been an occurrence
 *   members(), share, all_users   for accounts seen before users were kept
 *
 * To settle is work that can be done in parts (see above): it is open from the change on, and whatever input
 * comes next finishes it first. Only fill may come between. */
/* The old program is not used any more. Not while work is open: who wants in parts what is due at the present
 * instant ticks to pql_engine_seen before. PQL_ERR_CONFIG: programs of different applications. */
int pql_engine_change(struct pql_engine *engine, const struct pql_program *program,
                      struct pql_err *err) PQL_CHECKED;
/* An event that was applied before the change, for the signals that are new: read again from the input, in
 * its order. from_ms: where this reading begins; what is missing lies before it, not before the change. */
void pql_engine_fill(struct pql_engine *engine, const struct pql_event *event, int64_t from_ms);
/* Reading again was given up: what is missing lies before the change, as if nothing had been read. */
void pql_engine_fill_stop(struct pql_engine *engine);
/* False: it stopped in the middle, call again. */
bool pql_engine_settle(struct pql_engine *engine);

struct pql_engine_stats {
    uint64_t events, duplicates, late, ignored, records, buffer_releases;
    uint64_t accounts, users, timers, buffered, dedup_ids, dedup_dropped;
};
struct pql_engine_stats pql_engine_stats(const struct pql_engine *engine); /* O(1) */
/* Bytes that the state takes of the allocator, about, by own accounting. O(1): counted where it grows. */
uint64_t pql_engine_bytes(const struct pql_engine *engine);
/* For tests: how far the count of accounts and users is from a walk over all of them. */
int64_t pql_engine_bytes_off(const struct pql_engine *engine);

/* --- Snapshots: state as pages (state/page.h, state/snapshot.h). At most one at a time. ---
 *
 * begin fixes the present state S. Between steps the engine goes on; a page about to change that is not yet
 * written is serialised first (copy on update). step appends whole pages to out until about bytes_max are
 * added, a bounded amount of work, and returns true when the snapshot is complete.
 *
 * A snapshot holds what changed since the last one that was `saved`, and all that has its turn: the accounts
 * and ids of one of `modulus` shares. So the newest snapshots whose turns cover all shares make a base:
 * loaded from the newest to the oldest, each cut anywhere, they make an engine of the same program whole
 * again. modulus 1: the snapshot is whole by itself. */
void pql_snapshot_begin(struct pql_engine *engine, uint32_t modulus, uint32_t residue);
/* Nothing of the present state was saved yet: the next snapshot is whole whatever its share is. */
bool pql_snapshot_is_first(const struct pql_engine *engine);
bool pql_snapshot_step(struct pql_engine *engine, struct pql_buf *out, size_t bytes_max);
/* Bytes serialised ahead that no step has given out yet. */
uint64_t pql_snapshot_backlog(const struct pql_engine *engine);
/* The attempt is dropped; what it held is part of the next one. */
void pql_snapshot_abandon(struct pql_engine *engine);
/* The last snapshot, complete, is where it can be loaded from: the next one builds on it. */
void pql_snapshot_saved(struct pql_engine *engine);

/* Loads the next bytes of a snapshot into a fresh engine. Every read is checked: damaged bytes are an error,
 * never a crash. */
int pql_snapshot_load(struct pql_engine *engine, const void *bytes, size_t len,
                      struct pql_err *err) PQL_CHECKED;
/* One snapshot of the base was read, an older one follows. */
int pql_snapshot_load_older(struct pql_engine *engine, struct pql_err *err) PQL_CHECKED;
/* After the last bytes: recounts what is derived, sets timers. Error if the state is not whole. Its digest is
 * pql_snapshot_digest then, of the pages as they were read. */
int pql_snapshot_loaded(struct pql_engine *engine, struct pql_err *err) PQL_CHECKED;

/* Sum of keyed hashes of all page bytes: equal states give equal digests, whatever the history of the
 * process. Walks the whole state. */
uint64_t pql_engine_digest(struct pql_engine *engine);
/* The digest of the state at S of the last snapshot, known once step returned true: nothing is walked. */
uint64_t pql_snapshot_digest(const struct pql_engine *engine);
/* About how many bytes all pages would take, judged by those that had their turn; known once step returned
 * true. */
uint64_t pql_snapshot_state_bytes(const struct pql_engine *engine);

#endif
