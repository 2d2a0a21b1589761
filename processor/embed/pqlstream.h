/* pqlstream.h - qualification inside your own program: events in, records of who crossed a bar out.
 *
 *   definitions ─┐
 *   event (JSON) ┼─► struct pqlstream ─► take(record as JSON), for each transition, before the call returns
 *   time ────────┘        │  ▲
 *                  pqlstream_save, pqlstream_restore: its state as bytes
 *
 * The engine of the program `pqlstream`, without Kafka: one object is what one partition is there. The same
 * definitions over the same events give the same records, here, in `pqlstream replay` and in `pqlstream run`.
 *
 * Thread: an object is one thread's at a time; different objects are independent. Nothing is started, logged
 * or printed; files are opened by pqlstream_open_file and pqlstream_open_text alone (definitions, what they
 * include, schemas, time zones). The wall clock is read for `produced_at` and `origin`, and decides nothing
 * else.
 * Time: milliseconds since 1970-01-01 UTC. Texts: UTF-8, with their length where a length is given, else
 * ending in NUL.
 * Errors: functions that can fail return 0 or -1; after -1 nothing has changed, and pqlstream_error says what
 * was wrong, until the next call. Where memory cannot be had the process ends with exit code 1 and a line on
 * standard error; a bug that the library notices in itself ends it by abort().
 * ABI: conf/embed/README.md of the project says what stays as it is. */
#ifndef PQLSTREAM_H
#define PQLSTREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PQLSTREAM_API __attribute__((visibility("default")))

/* No time: nothing is due, or no event has been seen. */
#define PQLSTREAM_NEVER INT64_MIN

struct pqlstream;

/* What a record is for, as `pqlstream run` writes it to its topics. */
enum {
    PQLSTREAM_TRANSITION = 1, /* <app>.pql or <app>.pqa: who entered, left, changed tier, missed … */
    PQLSTREAM_STATE = 2,      /* <app>.state: the present state of this key; keep the last */
    PQLSTREAM_ALERT = 4,      /* <app>.alerts: of a definition with `alert`, and news */
    PQLSTREAM_SHADOW = 8,     /* <app>.shadow: of a definition that is only tried */
};

/* One record. It and its texts are the library's, valid until take returns. */
struct pqlstream_record {
    const char *json; /* one object, the fields of schemas/qualification/v1.schema.json; ends in NUL */
    size_t json_len;
    const char *key; /* definition/account or definition/account/user, percent-encoded; ends in NUL */
    size_t key_len;
    unsigned outputs; /* PQLSTREAM_TRANSITION | …; at least one */
};

/* Called with the context given for each record, in order, inside the call that made it and on its thread. It
 * may call nothing of the object: what can fail does. */
typedef void pqlstream_take(void *context, const struct pqlstream_record *record);

/* An object without definitions. Never NULL. pqlstream_free(NULL) is fine. */
PQLSTREAM_API struct pqlstream *pqlstream_new(pqlstream_take *take, void *context);
PQLSTREAM_API void pqlstream_free(struct pqlstream *stream);

/* Once, first: a configuration as `pqlstream replay` reads it (app, inputs, mappings, definitions; what
 * concerns Kafka is checked, not used). Without definitions an error names every fault with file, line,
 * column and a caret; the object may then be given another. of_text: the configuration itself; path names it
 * in errors, and relative paths in it are seen from the folder of path, which need not exist. The environment
 * overrides nothing, but "${env:NAME}" is read. */
PQLSTREAM_API int pqlstream_open_file(struct pqlstream *stream, const char *path);
PQLSTREAM_API int pqlstream_open_text(struct pqlstream *stream, const char *path, const char *text,
                                      size_t text_len);

/* One event, as JSON in the shape that the mapping of the input `topic` reads; NULL: of the first input. The
 * bytes are not kept. 0 also for what the definitions do not look at, what is remembered as a duplicate and
 * what is late, which the settings decide (dedup_horizon, lateness, late_policy); pqlstream_stats counts it.
 * -1: with pqlstream_reason the event cannot be used and the next one can be given; without it the call was
 * wrong. Events are taken in the order given: those of one account must be in one object. max_future is not
 * applied: the caller knows what its clocks are. A key or headers that a mapping asks for are absent. */
PQLSTREAM_API int pqlstream_event(struct pqlstream *stream, const char *topic, const char *json,
                                  size_t json_len);

/* The clock to to_ms, as if an event of that time had come: everything due until then happens (windows that
 * expire, deadlines), less the lateness that is configured. Before that time events are late afterwards. A
 * time that is past changes nothing. */
PQLSTREAM_API int pqlstream_advance(struct pqlstream *stream, int64_t to_ms);
/* The smallest to_ms for which pqlstream_advance makes something happen, or PQLSTREAM_NEVER: how long a quiet
 * host may sleep. */
PQLSTREAM_API int64_t pqlstream_next(struct pqlstream *stream);
/* The clock: the largest time seen, or PQLSTREAM_NEVER. */
PQLSTREAM_API int64_t pqlstream_clock(const struct pqlstream *stream);
/* No earlier event will come: what waits for one (lateness) happens, and all that is due at the clock. */
PQLSTREAM_API int pqlstream_finish(struct pqlstream *stream);
/* A record with transition "snapshot" for every member of every definition, for outputs PQLSTREAM_STATE. */
PQLSTREAM_API int pqlstream_refresh(struct pqlstream *stream);

/* The whole state as bytes, which are the object's until the next call. They hold ids and attributes as they
 * came: keep them as you keep the events. Equal states give equal bytes. */
PQLSTREAM_API int pqlstream_save(struct pqlstream *stream, const void **bytes, size_t *len);
/* Puts a saved state in the place of the present one, after pqlstream_open_…. Bytes that are damaged, of
 * another `app`, or of a newer library are refused. Where the definitions or mappings have changed since, the
 * configuration must have a higher `revision`: state that still means the same is kept, new signals begin
 * empty, and who leaves or enters by the change is told to take at once. */
PQLSTREAM_API int pqlstream_restore(struct pqlstream *stream, const void *bytes, size_t len);

/* Of the last call that failed: what and where, one fault a line, ending in NUL. Empty: it did not fail.
 * After an open that did not fail: its warnings. Valid until the next call. */
PQLSTREAM_API const char *pqlstream_error(const struct pqlstream *stream);
/* The stable word for an event that cannot be used (bad_json, no_account, bad_time, late …), as in the dead
 * letters of `pqlstream run`; NULL: the last call did not fail by its event. */
PQLSTREAM_API const char *pqlstream_reason(const struct pqlstream *stream);

/* Counts since the object was opened; accounts, users and bytes are of the present state. */
struct pqlstream_stats {
    uint64_t events, records, refused, duplicates, late, ignored;
    uint64_t accounts, users;
    uint64_t bytes; /* of the state, by own accounting: what to hold against a budget */
};
/* size: sizeof(struct pqlstream_stats) of the caller, so that a later library may know more. */
PQLSTREAM_API void pqlstream_stats(const struct pqlstream *stream, struct pqlstream_stats *stats,
                                   size_t size);

/* "0.1.0". */
PQLSTREAM_API const char *pqlstream_version(void);

#ifdef __cplusplus
}
#endif

#endif
