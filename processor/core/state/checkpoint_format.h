/* checkpoint_format.h - the bytes of the checkpoint topic, and the metadata of a committed offset.
 *
 *   record    "PQC" version:u8 type:u8 crc32c:u32 of all that follows
 *   chunk     task, writer, snapshot, number, pages of the engine
 *   manifest  which snapshots make the state at S whole (base.h), where their chunks are, S, program, topics
 *   part      what is too much for one record of a manifest stands before it: task, writer, snapshot, number
 *   journal   one decision that is not a byte of the input, its sequence and the position at which it stands
 *
 * A position is the next offset per input and the journal's last sequence. Inside a long input the offsets
 * stand still and the sequence goes on: each entry PQL_JOURNAL_PART says how far it has come.
 *
 *   offset 17 │ part, part, part │ record 17 │ offset 18 │ part, part, tick │ …
 *
 * Metadata (ASCII): v1;t=<checkpoint topic>;w=<writer>;e=<epoch>;j=<journal>;n=<records>;x=<hash>;
 * m=<manifest|none>[;a=1], in one line.
 *
 * Reading checks every length; damaged bytes are an error, never a crash. A format that is newer than this
 * program is an error of its own (reason "newer_format"). Views live as long as the bytes read. Thread: any.
 */
#ifndef PQL_CORE_STATE_CHECKPOINT_FORMAT_H
#define PQL_CORE_STATE_CHECKPOINT_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/memory.h"
#include "core/part.h"

enum {
    PQL_CHECKPOINT_VERSION = 2,
    PQL_SEMANTICS_VERSION = 1, /* of the engine: what a log means */
    PQL_INPUTS_MAX = 16,
    PQL_TOPIC_ID_MAX = 40,
    PQL_WRITER_MAX = 24,
    PQL_METADATA_TEXT_MAX = 200,
};

/* --- metadata of a committed offset --- */

struct pql_metadata {
    char topic_id[PQL_TOPIC_ID_MAX]; /* of the checkpoint topic; "-": the broker gives none */
    char writer[PQL_WRITER_MAX];
    uint64_t epoch;
    uint64_t journal; /* sequence of the last entry */
    uint64_t records; /* transitions since S, and the sum of the hashes of their ids */
    uint64_t hash;
    int64_t manifest; /* offset in the task's checkpoint partition, or -1 */
    bool is_behind;   /* a=1: the journal may go on after this place, and what it says there holds */
};

void pql_metadata_write(const struct pql_metadata *metadata, char out[PQL_METADATA_TEXT_MAX + 1]);
/* PQL_ERR_CONFIG with reason "foreign_metadata" or "newer_format". */
int pql_metadata_parse(struct pql_slice text, struct pql_metadata *out, struct pql_err *err) PQL_CHECKED;

/* Hash of one event id; the x of metadata is their sum. */
uint64_t pql_checkpoint_hash(const char *event_id, size_t len);

/* 128-bit hash of a program's text, in hex. */
void pql_checkpoint_program_hash(struct pql_slice text, char out[33]);

/* --- records --- */

enum pql_checkpoint_type {
    PQL_CHECKPOINT_CHUNK = 1,
    PQL_CHECKPOINT_MANIFEST = 2,
    PQL_CHECKPOINT_JOURNAL = 3,
    PQL_CHECKPOINT_PART = 4,
};

/* Checks magic, version and checksum; *content is what follows. */
int pql_checkpoint_open(struct pql_slice record, enum pql_checkpoint_type *type, struct pql_slice *content,
                        struct pql_err *err) PQL_CHECKED;
/* Writes the checksum of a record that begins at `start` of buf,. */
void pql_checkpoint_seal(struct pql_buf *buf, size_t start);

struct pql_chunk { /* or a part of a manifest */
    int32_t task;
    struct pql_slice writer;
    uint64_t snapshot;
    uint32_t number;
    struct pql_slice pages;
};

void pql_chunk_write(const struct pql_chunk *chunk, enum pql_checkpoint_type type,
                     struct pql_buf *buf); /* sealed */
int pql_chunk_parse(struct pql_slice content, struct pql_chunk *out, struct pql_err *err) PQL_CHECKED;

/* Where a task stands in its log. */
struct pql_log_place {
    int64_t next[PQL_INPUTS_MAX]; /* next offset per input */
    uint64_t journal;             /* last sequence */
};

/* The last records of a task, one bit each: whether it was bad. Part of the state, so a replay finds the same
 * share. */
enum { PQL_SHARE_WINDOW = 1000, PQL_SHARE_WORDS = (PQL_SHARE_WINDOW + 63) / 64 };
struct pql_share {
    uint64_t bits[PQL_SHARE_WORDS];
    uint32_t next, seen, bad; /* seen stops at the window */
};
void pql_share_add(struct pql_share *share, bool is_bad);

/* One snapshot of a base. Whole in it are the pages of one share: see pql_snapshot_begin. */
struct pql_saved {
    struct pql_slice writer;
    uint64_t number;
    uint32_t modulus, residue;
    const int64_t *chunks; /* offsets, rising; at least one */
    size_t chunks_count;
    uint64_t bytes;
};

/* An earlier manifest. */
struct pql_ancestor {
    int64_t offset;
    uint64_t number, first; /* of the newest and the oldest snapshot of its base */
    int64_t low;            /* the smallest offset that it needs */
};

struct pql_manifest {
    int32_t task;
    struct pql_slice writer;
    uint32_t semantics;
    uint32_t inputs_count;
    struct pql_log_place place;   /* S */
    int64_t journal_from;         /* every entry after S.journal stands at or after this offset */
    const struct pql_saved *base; /* the newest, of this very S, first; at least one */
    size_t base_count;
    const struct pql_ancestor *ancestors; /* the newest first */
    size_t ancestors_count;
    uint64_t accounts, digest;
    struct pql_slice program, program_hash;
    int64_t revision;
    struct pql_slice topic_ids[PQL_INPUTS_MAX]; /* "-": unknown */
    int32_t partitions_count;
    struct pql_slice partitioner;
    int64_t lag_ms;    /* of the events behind the wall clock, or -1 */
    int32_t run_input; /* the input read since the last entry, or -1 */
    struct pql_share share;
    struct pql_slice schemas; /* writer schemas used, as the decoder wants them */
};

/* What a manifest says, and the record that says it: what stands in the parts, then the rest. */
void pql_manifest_body(const struct pql_manifest *manifest, struct pql_buf *buf);
void pql_manifest_write(const int64_t *parts, size_t parts_count, struct pql_slice rest,
                        struct pql_buf *buf); /* sealed */
/* parts lies in the arena. */
int pql_manifest_open(struct pql_slice content, struct pql_arena *arena, const int64_t **parts,
                      size_t *parts_count, struct pql_slice *rest, struct pql_err *err) PQL_CHECKED;
/* What lies in arrays is the arena's. */
int pql_manifest_parse(struct pql_slice body, struct pql_arena *arena, struct pql_manifest *out,
                       struct pql_err *err) PQL_CHECKED;

enum pql_journal_kind {
    PQL_JOURNAL_TICK = 1, /* the clock to time_ms */
    PQL_JOURNAL_PROGRAM, /* configuration := text, revision. The first entry of every task, then a change: its
                            parts follow, and SETTLED */
    PQL_JOURNAL_RUN,     /* nothing but its place: up to here one input was read, from here another */
    PQL_JOURNAL_REFUSED, /* the records at offsets refused_from to place.next[input] - 1, for `reason` */
    PQL_JOURNAL_PART,    /* a long input has come so far: that of the next record, or one of the kinds here,
                            which follows when it is done */
    PQL_JOURNAL_REFRESH, /* a record for every member */
    PQL_JOURNAL_SETTLED, /* a change of the program has reached every account */
    PQL_JOURNAL_ENGINE,  /* semantics := n */
    PQL_JOURNAL_FILLED, /* the back-fill of the change before has ended, or was given up, where fill_next says
                         */
    PQL_JOURNAL_KIND_END,
};

struct pql_journal {
    int32_t task;
    struct pql_slice writer;
    enum pql_journal_kind kind;
    uint32_t inputs_count;
    struct pql_log_place
        place; /* after what came before, the refused records themselves included; journal: own sequence */
    int64_t time_ms;
    uint32_t input;
    int64_t refused_from;
    struct pql_slice reason;
    struct pql_part part;
    struct pql_slice program, program_hash;
    int64_t revision;
    uint32_t semantics; /* PROGRAM: that of the task; ENGINE: the new one */
    struct pql_slice
        topic_ids[PQL_INPUTS_MAX]; /* PROGRAM: of the inputs, where the task began; empty: not told */
    /* PROGRAM: new signals are filled from these offsets up to the place; FILLED: how far that came. */
    bool fills;
    bool is_given_up;     /* FILLED */
    int64_t fill_from_ms; /* from when on they are known then; PQL_NO_TIME: always */
    int64_t fill_next[PQL_INPUTS_MAX];
};

void pql_journal_write(const struct pql_journal *journal, struct pql_buf *buf); /* sealed */
int pql_journal_parse(struct pql_slice content, struct pql_journal *out, struct pql_err *err) PQL_CHECKED;

extern const char *const pql_journal_kind_names[PQL_JOURNAL_KIND_END];

#endif
