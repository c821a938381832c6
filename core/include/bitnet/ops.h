/* ops.h: any piece of work, measured: begin, say what came of it, end.
 *
 *     bitnet_ops *ops = NULL;
 *     bitnet_ops_create(&ops, &(bitnet_ops_desc){0});
 *     bitnet_op *op = bitnet_op_begin(ops, "resize", "avx2");
 *     bitnet_op_set_sizes(op, 720, 1440);
 *     if (!resize(image)) bitnet_op_fail(op, "row %d is too long", image->row);
 *     bitnet_op_units(op, 64, "frame");
 *     bitnet_op_end(op);
 *     bitnet_ops_free(ops);
 *
 * It needs no engine and no model. Operations never stop the work they measure: where there is no room
 * or no memory bitnet_op_begin gives NULL, every call takes NULL for an operation, and what was not
 * recorded is counted. A finished operation is a record that goes to the listener, to the history and
 * into the statistics (bitnet/op_stats.h). docs/operations.md has the whole of it.
 *
 * Not measured is NaN in a number and "" in a text, never 0.
 */
#ifndef BITNET_OPS_H
#define BITNET_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "bitnet/hooks.h"
#include "bitnet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room with the final NUL. Longer text is cut, never inside a UTF-8 character. */
#define BITNET_OP_NAME_CAP 64        /* type, strategy, unit */
#define BITNET_OP_TEXT_CAP 257       /* error, text of metadata */
#define BITNET_OP_KEY_CAP  65        /* key of metadata */
#define BITNET_OP_LIMIT    (1 << 20) /* of each limit in a desc */
#define BITNET_OP_META_MAX 16        /* entries of metadata */

typedef enum bitnet_op_peak_kind {
    BITNET_OP_PEAK_MEMORY,     /* bytes resident in the process                          */
    BITNET_OP_PEAK_GPU_MEMORY, /* bytes                                                  */
    BITNET_OP_PEAK_CPU,        /* cores in use: 1 is one core busy all the time          */
    BITNET_OP_PEAK_GPU,        /* share of the GPU in use: 1 is all of it                */
    BITNET_OP_PEAK_COUNT
} bitnet_op_peak_kind;

typedef struct bitnet_op_meta {
    const char *key;  /* [a-zA-Z_][a-zA-Z0-9_]{0,63} */
    const char *text; /* NULL: a number */
    double number;
} bitnet_op_meta;

/* An operation as it ended. What it points to is valid where the header of the call says so. */
typedef struct bitnet_op_record {
    uint64_t id, parent; /* 1, 2, 3 ... in the order of beginning; parent 0: it had none */
    const char *type, *strategy;
    uint64_t start_ns, end_ns; /* monotonic clock of the process; 0 when it was another's */
    uint64_t t_ms;             /* its end, since 1970 */
    double duration_s;
    bool ok;
    const char *error; /* "" when ok */
    double units;
    const char *unit;
    double quality; /* 0 to 1 */
    double peak[BITNET_OP_PEAK_COUNT];
    int32_t n_meta;
    const bitnet_op_meta *meta; /* [n_meta] */
} bitnet_op_record;

/* Nothing measured, nothing named: where a record that comes from elsewhere begins. */
BITNET_API void bitnet_op_record_init(bitnet_op_record *r);

/* The record as one JSON object with the names of docs/protocol.md. As snprintf: returns the length of
 * the whole text, writes what fits and a final NUL when cap is not 0. */
BITNET_API size_t bitnet_op_record_write_json(const bitnet_op_record *r, char *buf, size_t cap);

typedef struct bitnet_ops bitnet_ops;
typedef struct bitnet_op bitnet_op;

/* {0} is valid. */
typedef struct bitnet_ops_desc {
    int32_t
        max_active; /* open operations; 0 = 64. Each takes 6 KB, which are kept for the next one */
    int32_t max_history; /* finished ones kept, the oldest goes first; 0 = 256, below 0 = none */
    int32_t max_groups;  /* of the statistics, of each kind; 0 = 64. Each takes 5 KB */
    bool
        without_memory; /* resident memory is not looked up, which takes two system calls or three */
    /* NULL, or: called for each record as it ends, one at a time, by the thread that ended it. The
     * record is valid during the call. It must not block, and not call back. */
    void (*listener)(void *ctx, const bitnet_op_record *record);
    void *listener_ctx;
    bitnet_allocator allocator;
} bitnet_ops_desc;

/* E_NOMEM, or E_INVAL when a limit is above BITNET_OP_LIMIT, or below 0 where that says nothing. */
BITNET_API bitnet_status bitnet_ops_create(bitnet_ops **out, const bitnet_ops_desc *desc);
/* Operations that are still open end here as failures with the error "never ended"; nobody may use them
 * any more. NULL is fine. */
BITNET_API void bitnet_ops_free(bitnet_ops *ops);

/* ---- one operation: calls for different ones, and for the same one, may come from any thread ---- */

/* Text is copied. `strategy` is what does the work, a backend or kernel tier; "" or NULL: there is no
 * choice. Returns NULL, which all calls below accept, when ops is NULL, when max_active are open and
 * when memory is refused; the last two are counted. */
BITNET_API bitnet_op *bitnet_op_begin(bitnet_ops *ops, const char *type, const char *strategy);
/* As a part of `parent`, which is open and of the same ops; NULL: of nothing. */
BITNET_API bitnet_op *bitnet_op_begin_in(bitnet_ops *ops, const bitnet_op *parent, const char *type,
                                         const char *strategy);

/* Another look at the resident memory, which is otherwise taken at begin and end. */
BITNET_API void bitnet_op_update(bitnet_op *op);
/* Metadata; the same key again replaces. Refused and counted: a key that is not as above, the 17th key,
 * a number that is not finite. */
BITNET_API void bitnet_op_set_number(bitnet_op *op, const char *key, double value);
BITNET_API void bitnet_op_set_text(bitnet_op *op, const char *key, const char *text);
/* The numbers "input_size", "output_size" and "factor": the second by the first, NaN when that
 * is 0. */
BITNET_API void bitnet_op_set_sizes(bitnet_op *op, double input, double output);
/* Adds n finished units. Refused and counted: n below 0 or not finite, another unit than before. */
BITNET_API void bitnet_op_units(bitnet_op *op, double n, const char *unit);
/* 0 to 1, anything else is refused and counted. */
BITNET_API void bitnet_op_quality(bitnet_op *op, double quality);
/* The largest of the values given is kept; below 0 or not finite is refused and counted. */
BITNET_API void bitnet_op_peak(bitnet_op *op, bitnet_op_peak_kind kind, double value);
/* It will end as a failure. The first error stays. */
BITNET_API void bitnet_op_fail(bitnet_op *op, const char *fmt, ...) BITNET_PRINTF(2, 3);
/* Success unless it failed. `op` is gone then. */
BITNET_API void bitnet_op_end(bitnet_op *op);

/* Declares `op`, which ends when its block is left: at the closing brace, by return, break, continue or
 * goto. Ended earlier by bitnet_op_end it must be set to NULL. gcc and clang, C and C++.
 *
 *     for (int i = 0; i < n; i++) {
 *         BITNET_OP_SCOPE(op, ops, "resize", "avx2");
 *         if (!resize(&image[i])) break;
 *     }
 */
#if defined(__GNUC__)
static inline void bitnet_op_end_scope(bitnet_op **op) {
    bitnet_op_end(*op);
}
#define BITNET_OP_SCOPE(op, ops, type, strategy)                                                   \
    bitnet_op *op __attribute__((cleanup(bitnet_op_end_scope))) =                                  \
        bitnet_op_begin(ops, type, strategy)
#define BITNET_OP_SCOPE_IN(op, ops, parent, type, strategy)                                        \
    bitnet_op *op __attribute__((cleanup(bitnet_op_end_scope))) =                                  \
        bitnet_op_begin_in(ops, parent, type, strategy)
#endif

/* ---- what has been recorded ---------------------------------------------------------------------- */

typedef struct bitnet_ops_counts {
    int32_t n_active;
    uint64_t n_begun, n_ended, n_failed;
    uint64_t n_unrecorded; /* operations that found no room or no memory when they began */
    uint64_t n_refused;    /* values that were not taken: see each call */
} bitnet_ops_counts;
BITNET_API void bitnet_ops_get_counts(bitnet_ops *ops, bitnet_ops_counts *out);

/* Statistics and history (bitnet/op_stats.h), held still until unlock; operations that begin or end
 * wait meanwhile. */
typedef struct bitnet_op_stats bitnet_op_stats;
BITNET_API const bitnet_op_stats *bitnet_ops_lock(bitnet_ops *ops);
BITNET_API void bitnet_ops_unlock(bitnet_ops *ops);

/* Between lock and unlock: the i-th open operation, in no order, as it would be if it ended now; false
 * when there are no more than i. */
BITNET_API bool bitnet_ops_get_active(const bitnet_ops *ops, int32_t i, bitnet_op_record *out);

/* {"summary","by_type","by_strategy","by_type_and_strategy","recent","trends","dropped"}: see
 * docs/operations.md. As snprintf. */
BITNET_API size_t bitnet_ops_write_json(bitnet_ops *ops, char *buf, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
