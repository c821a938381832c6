/* check.h: our small checkasm (after dav1d's). Every line of kernels.def whose CPU flags this
 * machine has is called on inputs chosen to hurt, and must return the bits of the plain C variant,
 * leave the bytes around its output alone, and agree with an independent definition, so that the C
 * variant is tested too.
 *
 * One check_<slot>.c per slot. Nothing here prints: lines go to the caller's function, so that the
 * same checks run natively and inside a wasm module. The memory of a shape lives in one arena and
 * is gone at the next shape.
 */
#ifndef BITNET_CHECK_H
#define BITNET_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#if defined(__GNUC__)
#define BITNET_CHECK_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define BITNET_CHECK_PRINTF(f, a)
#endif

typedef struct check {
    uint64_t seed; /* of the run; printed with every failure */
    uint64_t rng;  /* starts anew with each variant, so that all get the same inputs */
    const char *slot, *variant;
    char shape[96];
    void (*print)(const char *line);
    int n_checks, n_variants, n_failed; /* comparisons made, kernels called, comparisons failed */
    int n_printed;                      /* failures of this variant that were printed */
    uint8_t *arena;
    size_t used;
    struct {
        uint8_t *start;
        size_t size;
    } buf[16]; /* of this shape */
    int n_buf;
} check;

/* Runs everything. Returns the number of failed checks; the last line printed is the summary. */
int check_kernels_run(uint64_t seed, void (*print)(const char *line));

/* Forgets the buffers of the last shape after looking at their guards; names the new shape. */
void check_shape(check *c, const char *fmt, ...) BITNET_CHECK_PRINTF(2, 3);

/* Memory of this shape, aligned to 64 and filled with CHECK_POISON, between two guards of the same.
 * As a float the poison is -2.6e36, as f16 -64352, as a code 3: using it shows. */
#define CHECK_POISON 0xfb
#define CHECK_GUARD  64
void *check_alloc(check *c, size_t size);

/* What an input holds. Bounds of narrow accumulators are met by MAX and MIN. */
typedef enum check_fill {
    CHECK_RANDOM, /* signs mixed, magnitudes over several powers of two */
    CHECK_ZERO,
    CHECK_MAX,
    CHECK_MIN,   /* the most negative */
    CHECK_SPIKE, /* one large value among small ones */
    CHECK_TINY,  /* denormal f32 and f16; 1 and -1 as int8 */
    CHECK_N_FILLS,
} check_fill;
const char *check_fill_name(check_fill f);

float *check_f32(check *c, size_t n, check_fill f);
uint16_t *check_f16(check *c, size_t n, check_fill f); /* finite */
int8_t *check_i8(check *c, size_t n, check_fill f);
uint8_t *check_codes(check *c, size_t n,
                     check_fill f);             /* n ternary codes, four a byte; MIN is 2 too */
uint32_t check_below(check *c, uint32_t limit); /* random in [0, limit) */
float check_unit(check *c);                     /* random in [-1, 1) */

/* All return true when the check passed. */
typedef enum check_type { CHECK_F32, CHECK_I32, CHECK_I8, CHECK_U16 } check_type;
bool check_same(check *c, const char *what, check_type type, const void *got, const void *want,
                size_t n);
bool check_near(check *c, const char *what, size_t index, double got, double want,
                double tolerance);
bool check_true(check *c, bool ok, const char *fmt, ...) BITNET_CHECK_PRINTF(3, 4);

/* The larger one. In place of fmax: a loop that keeps the largest with fmax is an internal error of
 * GCC 12 for aarch64. */
static inline double check_max(double a, double b) {
    return a > b ? a : b;
}

/* The largest relative error of one rounding to f32. */
#define CHECK_U 0x1p-24

/* fn is the variant under test; each function covers one slot. */
#define X(slot) void check_##slot(check *c, bitnet_##slot##_fn fn);
BITNET_SLOTS(X)
#undef X
void check_expf(check *c);
void check_cpu(check *c);

/* Where flags have AVX512-VNNI but not AMX, AMX kernels run too, one trapped instruction at a time,
 * until stopped (amx_model.c). start: whether they do. stop: whether they released the tiles. */
bool check_amx_model_start(uint32_t flags);
bool check_amx_model_stop(void);

#endif
