/* bench.h: times every kernel of kernels.def that this CPU has, at the shapes of BitNet-b1.58-2B-4T, beside
 * the two bounds that hold on this machine now: bytes a second that one thread streams, and multiply-adds a
 * second that a loop without memory reaches with the variant's instructions (docs/bench.md).
 *
 * Weights come from a pool larger than the last-level cache, another part of it in every call, because in a
 * model they are read once a token; activations are reused, as in a model. One thread.
 */
#ifndef BITNET_BENCH_KERNELS_H
#define BITNET_BENCH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "probe/peak.h"

#define BENCH_MAX_REPS 1000

/* What the weights' bytes must be; any of them is a finite number of either float and every block type. */
typedef enum bench_fill { BENCH_NOTHING, BENCH_NUMBERS, BENCH_CODES } bench_fill;

typedef struct bench {
    int32_t n_reps;
    bool is_quick; /* one call of few rows: does it run? */
    const char *slot, *variant;
    double read_gb_per_s;
    const bench_peak *peak; /* of the variant's instructions; NULL = none is known */
    uint8_t *pool;
    size_t pool_size;
    bench_fill filled_with;
    uint8_t *scratch; /* activations of one case */
    size_t scratch_used;
    uint64_t rng;
    int32_t n_cases; /* of this variant, so far */
} bench;

/* One kernel at one shape. */
typedef struct bench_case {
    char shape[48];
    void (*call)(void *args, const uint8_t *weights);
    void *args;
    size_t weight_size; /* bytes a call reads from the pool; 0 = all it needs stays in the cache */
    bench_fill fill;
    double n_mac; /* multiply-adds of a call, 0 = not a product */
    bool is_int8; /* those of bench_peak.i8, else of .f32 */
    double n_elem;
} bench_case;

typedef struct bench_result {
    double ns[BENCH_MAX_REPS]; /* of one call, mean over those of a repetition */
    int32_t n;
    double min_ns, median_ns;
} bench_result;

bool bench_open(bench *b); /* false: no memory */
void bench_close(bench *b);
/* Bytes a nanosecond over the whole pool, the best of some passes. */
double bench_read_rate(const bench *b, bench_read_fn read);

void *bench_alloc(bench *b, size_t size);      /* scratch of the case at hand, aligned to 64 */
float *bench_floats(bench *b, size_t n);       /* random in [-1, 1) */
int32_t bench_below(bench *b, int32_t limit);  /* random in [0, limit) */
int32_t bench_rows(const bench *b, int32_t n); /* fewer when quick */

/* Measures and prints a line; frees the scratch. */
void bench_measure(bench *b, const bench_case *c);
void bench_print(bench *b, const bench_case *c, const bench_result *r); /* main.c */

/* Every shape of a slot, for one variant. */
#define X(slot) void bench_##slot(bench *b, bitnet_##slot##_fn fn);
BITNET_SLOTS(X)
#undef X

#endif
