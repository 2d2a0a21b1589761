/* checkpoint_tool.h - looking at the checkpoint topic and the group's offsets, and setting them right: what
 * `pqlstream checkpoint` does, over the ports. Each call waits for what it asks, at most a minute of silence.
 */
#ifndef PQL_APP_CHECKPOINT_TOOL_H
#define PQL_APP_CHECKPOINT_TOOL_H

#include "core/program.h"
#include "core/state/checkpoint_format.h"
#include "io/ports.h"

struct pql_tool {
    const struct pql_ports *ports;
    const struct pql_program *program; /* verify, digest */
    const char *const *inputs;         /* topics */
    uint32_t inputs_count;
    FILE *out;
};

/* What the group and the checkpoint topic say about one task. */
struct pql_tool_task {
    int32_t partition;
    int64_t low, end; /* of its checkpoint partition */
    int64_t committed[PQL_INPUTS_MAX];
    bool has_offset, is_ours; /* of any input; all of one commit whose metadata can be read */
    char text[PQL_METADATA_MAX];
    struct pql_metadata metadata;
    bool has_manifest;
    struct pql_manifest manifest; /* views of bytes and arena */
    struct pql_buf bytes;
    struct pql_arena arena;
};

int pql_tool_read(const struct pql_tool *tool, int32_t partition, struct pql_tool_task *task,
                  struct pql_err *err);
void pql_tool_task_deinit(struct pql_tool_task *task);

/* One line about the task. */
void pql_tool_list(const struct pql_tool *tool, const struct pql_tool_task *task);
/* Every record of its partition from an offset on that is still there, one line each; damaged ones say so. */
int pql_tool_dump(const struct pql_tool *tool, int32_t partition, int64_t from, struct pql_err *err);
/* Reads every chunk, loads the state, compares its digest, follows the journal to the committed offset.
 * Prints what it found; -1 where something is wrong. quiet: the digest alone. */
int pql_tool_verify(const struct pql_tool *tool, const struct pql_tool_task *task, bool quiet,
                    struct pql_err *err);
/* The newest readable manifest of the partition into task->manifest, its offset into *offset (-1: none);
 * *journal: the last sequence that committed entries have. */
int pql_tool_newest(const struct pql_tool *tool, struct pql_tool_task *task, int64_t *offset,
                    uint64_t *journal, struct pql_err *err);
/* Where a task whose offsets were lost or set by hand goes on: the newest manifest, or the entry with which
 * its journal begins. Fills one position per input, metadata included; what the journal holds after it is
 * obeyed by the next restore (metadata a=1), and what was published after it is published again, with equal
 * ids; but where several inputs were read exactly once, the order between them after the last entry was the
 * lost offsets' to tell, and records of that stretch may differ. Reads only: the caller commits the positions
 * for a group without members. */
int pql_tool_adopt(const struct pql_tool *tool, struct pql_tool_task *task, const char *topic_id,
                   struct pql_position *positions, struct pql_err *err);

#endif
