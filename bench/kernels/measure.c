/* measure.c: the pool of weights, the scratch, the clock. */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/rng.h"
#include "bench.h"

#define POOL_SIZE    ((size_t)1 << 30)   /* what the streaming read goes over */
#define ROTATE_SIZE  ((size_t)512 << 20) /* how much of it the copies of a weight take */
#define QUICK_SIZE   ((size_t)4 << 20)
#define SCRATCH_SIZE ((size_t)32 << 20)
#define TILE_SIZE    ((size_t)1 << 20) /* random bytes, repeated over the pool */
#define N_READS      5
#define REP_NS       20000000.0   /* a repetition is as many calls as take this long */
#define CASE_NS      2000000000.0 /* after which a slow case ends early, */
#define MIN_REPS     3            /* but not before this many */

/* ---- memory -------------------------------------------------------------------------------------- */

static void *aligned(size_t size) {
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

void *bench_alloc(bench *b, size_t size) {
    void *at = b->scratch + b->scratch_used;
    b->scratch_used += (size + 63) / 64 * 64;
    if (b->scratch_used > SCRATCH_SIZE) abort(); /* a shape outgrew it: our mistake */
    memset(at, 0, size);
    return at;
}

float *bench_floats(bench *b, size_t n) {
    float *x = bench_alloc(b, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = 2.0f * rng_float(&b->rng) - 1.0f;
    return x;
}

int32_t bench_below(bench *b, int32_t limit) {
    return (int32_t)((rng_next(&b->rng) >> 32) * (uint64_t)limit >> 32);
}

int32_t bench_rows(const bench *b, int32_t n) {
    return b->is_quick && n > 64 ? 64 : n;
}

/* Codes: four of 0, 1, 2 in a byte. Numbers: bytes from 0x20 to 0x37, so that every f16, f32 and scale of
 * a block is an ordinary number: nothing is infinite, nothing denormal, which would be slow. */
static uint8_t random_byte(bench *b, bench_fill fill) {
    uint32_t r = (uint32_t)(rng_next(&b->rng) >> 32), byte = 0;
    if (fill == BENCH_NUMBERS) return (uint8_t)(0x20 + r % 24);
    for (int i = 0; i < 4; i++, r /= 3)
        byte = byte << 2 | r % 3;
    return (uint8_t)byte;
}

static void fill_pool(bench *b, bench_fill fill) {
    if (fill == BENCH_NOTHING || fill == b->filled_with) return;
    for (size_t i = 0; i < TILE_SIZE; i++)
        b->pool[i] = random_byte(b, fill);
    for (size_t at = TILE_SIZE; at < b->pool_size; at += TILE_SIZE)
        memcpy(b->pool + at, b->pool, TILE_SIZE);
    b->filled_with = fill;
}

bool bench_open(bench *b) {
    b->pool_size = b->is_quick ? QUICK_SIZE : POOL_SIZE;
    b->pool = aligned(b->pool_size);
    b->scratch = aligned(SCRATCH_SIZE);
    b->rng = rng_seed(1);
    if (!b->pool || !b->scratch) return false;
    fill_pool(b, BENCH_NUMBERS); /* each page is there before it is timed */
    return true;
}

void bench_close(bench *b) {
    free(b->pool);
    free(b->scratch);
}

double bench_read_rate(const bench *b, bench_read_fn read) {
    static volatile uint64_t sink; /* or the reads would be left out */
    double best = 0;
    for (int i = 0; i < (b->is_quick ? 1 : N_READS); i++) {
        uint64_t start = bitnet_os_now_ns();
        sink = read(b->pool, b->pool_size);
        uint64_t ns = bitnet_os_now_ns() - start;
        double rate = (double)b->pool_size / (double)(ns ? ns : 1);
        if (rate > best) best = rate;
    }
    (void)sink;
    return best;
}

/* ---- time ---------------------------------------------------------------------------------------- */

typedef struct rotation { /* through the copies of a weight */
    size_t stride, n, at;
} rotation;

static rotation make_rotation(const bench *b, const bench_case *c) {
    rotation r = {(c->weight_size + 63) / 64 * 64, 1, 0};
    size_t room = b->pool_size < ROTATE_SIZE ? b->pool_size : ROTATE_SIZE;
    if (c->weight_size > b->pool_size) abort(); /* our mistake, as above */
    if (c->weight_size && room / r.stride > 1) r.n = room / r.stride;
    return r;
}

/* Nanoseconds of n calls. */
static double time_calls(const bench *b, const bench_case *c, rotation *r, int64_t n) {
    uint64_t start = bitnet_os_now_ns();
    for (int64_t i = 0; i < n; i++) {
        c->call(c->args, b->pool + r->at * r->stride);
        if (++r->at == r->n) r->at = 0;
    }
    return (double)(bitnet_os_now_ns() - start);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarize(bench_result *r) {
    double sorted[BENCH_MAX_REPS];
    memcpy(sorted, r->ns, (size_t)r->n * sizeof *sorted);
    qsort(sorted, (size_t)r->n, sizeof *sorted, by_value);
    r->min_ns = sorted[0];
    r->median_ns = (sorted[(r->n - 1) / 2] + sorted[r->n / 2]) / 2;
}

void bench_measure(bench *b, const bench_case *c) {
    bench_result r = {.n = 0};
    fill_pool(b, c->fill);
    rotation turn = make_rotation(b, c);
    double first = time_calls(b, c, &turn, 1), total = first; /* also the warm-up */
    int64_t n_calls = 1;
    for (; !b->is_quick && first * 2 < REP_NS && n_calls < 1 << 24; first *= 2)
        n_calls *= 2;
    for (; r.n < b->n_reps && (r.n < MIN_REPS || total < CASE_NS); r.n++) {
        double ns = time_calls(b, c, &turn, n_calls);
        r.ns[r.n] = (ns > 0 ? ns : 1) / (double)n_calls;
        total += ns;
    }
    summarize(&r);
    b->n_cases++;
    bench_print(b, c, &r);
    b->scratch_used = 0;
}
