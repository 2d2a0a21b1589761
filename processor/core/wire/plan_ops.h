/* plan_ops.h - the operations of a plan: written by resolve.c, run by plan.c, known to nobody else.
 *
 *   pc 0: code of the root … END
 *         code of each record, array and map below it, called by CALL
 *   a record's code ends with RETURN; an array's or map's is BLOCK, which runs, for each item, the code at
 * the pc of that item, ended by NEXT, and returns after the last UNION jumps by the branch read */
#ifndef PQL_CORE_WIRE_PLAN_OPS_H
#define PQL_CORE_WIRE_PLAN_OPS_H

#include "core/wire/path.h"
#include "core/wire/plan.h"

enum pql_op_code {
    /* reads a value into its slot, or skips it where slot is PQL_PATH_NO_SLOT */
    PQL_OP_BOOLEAN,
    PQL_OP_INT,
    PQL_OP_LONG,
    PQL_OP_FLOAT,
    PQL_OP_DOUBLE,
    PQL_OP_BYTES,
    PQL_OP_FIXED, /* arg: size */
    PQL_OP_ENUM,  /* arg: how many symbols, more: the first of them in symbols */
    /* control */
    PQL_OP_CONST, /* arg: in constants */
    PQL_OP_UNION, /* arg: how many branches, more: the first of their pcs in targets */
    PQL_OP_BLOCK, /* arg: in blocks */
    PQL_OP_NEXT,
    PQL_OP_JUMP, /* arg: pc */
    PQL_OP_CALL, /* arg: pc */
    PQL_OP_RETURN,
    PQL_OP_FAIL, /* arg: in messages */
    PQL_OP_END,
};

/* What becomes of what was read. */
enum pql_conversion {
    PQL_AS_IS,   /* number, text */
    PQL_AS_DAYS, /* since 1970, to a time */
    PQL_AS_MILLIS,
    PQL_AS_MICROS,
    PQL_AS_NANOS,
    PQL_AS_FLOAT, /* promoted: the nearest float */
    PQL_AS_DOUBLE,
    PQL_AS_DECIMAL, /* big endian two's complement; more: scale */
    PQL_AS_UUID,    /* 16 bytes to text */
    PQL_AS_JSON,    /* text with wanted paths inside; more: in insides */
};

struct pql_op {
    uint8_t code, conversion;
    int32_t slot;
    uint32_t arg, more;
};

/* An array or a map. pcs: of the wanted items, by id of the path node less that of `node`. */
struct pql_block {
    bool is_map;
    uint32_t item_size_min;
    uint32_t skip_pc;
    const struct pql_path_node *node; /* NULL: no item is wanted */
    uint64_t key_lengths; /* of a map: bit n: a key of n bytes may be wanted, bit 63: of 63 or more */
    const uint32_t *pcs;
};

struct pql_inside {
    struct pql_json_plan *plan;
    const int32_t *slots;
    size_t count;
};

struct pql_plan {
    struct pql_arena arena;
    struct pql_paths *paths;
    struct pql_op *ops;
    uint32_t *targets;
    struct pql_block *blocks;
    struct pql_inside *insides;
    struct pql_slice *symbols; /* ptr NULL: the reader has none for it */
    struct pql_value *constants;
    const char **messages;
    size_t ops_count, ops_capacity, targets_count, targets_capacity, blocks_count, blocks_capacity,
        insides_count, insides_capacity, symbols_count, symbols_capacity, constants_count, constants_capacity,
        messages_count, messages_capacity;
};

/* How values of `writer` become values of `as`, which is the same type or one it is promoted to. */
enum pql_conversion pql_plan_conversion(const struct pql_avro *writer, const struct pql_avro *as);
struct pql_value pql_plan_integer(enum pql_conversion conversion, int64_t value);
struct pql_value pql_plan_bytes(enum pql_conversion conversion, uint32_t scale, struct pql_slice bytes,
                                struct pql_arena *arena);

/* Fills an empty plan (paths are set). resolve.c */
int pql_plan_compile(struct pql_plan *plan, const struct pql_avro *writer, const struct pql_avro *reader,
                     size_t writer_nodes, struct pql_err *err) PQL_CHECKED;

#endif
