/* rates.c: see rates.h.
 *
 * Inputs are what costs the same as real ones: no kernel looks at the values. Weights are 0x55 bytes: codes
 * of 1, and numbers as f16.
 */
#include "rates.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/pool.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"

#define K        2560 /* n_embd of the 2B model; a multiple of 128 */
#define N_PROMPT 32   /* the engine's n_batch in a page */
#define READ_ROW 4096 /* bytes */
#define ALIGN    64
#define MOST     64 /* threads */

#define MOST_WAIT_NS 30000000u /* for workers that never come */

struct bitnet_probe {
    bitnet_pool *pool;
    bitnet_kernels kern;
    bitnet_probe_reader reader;
    uint8_t *data;                                     /* its own */
    bitnet_probe_memory memory[BITNET_PROBE_MEMORIES]; /* [n_memory]: what it goes over */
    int32_t n_memory, now;
    size_t size, at; /* of each, the smallest; in the one now */
    int8_t xq[N_PROMPT * K];
    float x[K];
    float s[N_PROMPT];
    int32_t xsum[N_PROMPT];
    float normed[K], gated[K];
    int8_t quantised[K];
    struct {
        float y[N_PROMPT * BITNET_ROW_GROUP];
        uint64_t sum;
        char line[ALIGN];
    } out[MOST]; /* by thread */
};

/* One run of the pool over rows [0, n) that lie at w. */
typedef struct job {
    bitnet_probe *p;
    const uint8_t *w;
} job;

static uint64_t read_words(const void *bytes, size_t size) {
    uint64_t sum[4] = {0};
    for (size_t at = 0; at < size; at += 4 * sizeof *sum)
        for (size_t i = 0; i < 4; i++) {
            uint64_t v;
            memcpy(&v, (const uint8_t *)bytes + at + 8 * i, sizeof v);
            sum[i] += v;
        }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static void read_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const job *j = ctx;
    const size_t at = (size_t)begin * READ_ROW, size = (size_t)(end - begin) * READ_ROW;
    j->p->out[thread].sum += j->p->reader(j->w + at, size);
}

static void tern_groups(const job *j, int32_t begin, int32_t end, int32_t thread, int32_t m) {
    bitnet_probe *p = j->p;
    bitnet_tern_args a = {.y = p->out[thread].y, .xq = p->xq, .s = p->s, .xsum = p->xsum};
    a.ldy = BITNET_ROW_GROUP, a.w_scale = 1.0f, a.n = BITNET_ROW_GROUP, a.k = K, a.m = m;
    for (int32_t g = begin; g < end; g++) {
        a.w = j->w + (size_t)g * 4 * K;
        p->kern.tern_matmul(&a);
    }
}

static void tern_one(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    tern_groups(ctx, begin, end, thread, 1);
}
static void tern_prompt(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    tern_groups(ctx, begin, end, thread, N_PROMPT);
}

static void f16_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const job *j = ctx;
    bitnet_dense_args a = {.y = j->p->out[thread].y, .x = j->p->x, .k = K, .m = 1};
    for (int32_t g = begin; g < end; g++) {
        a.w = j->w + (size_t)g * BITNET_ROW_GROUP * 2 * K, a.n = BITNET_ROW_GROUP;
        j->p->kern.f16_matmul(&a);
    }
}

static void scan_groups(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const job *j = ctx;
    const bitnet_probe *p = j->p;
    bitnet_scan6_args a = {.y = j->p->out[thread].y, .hi = p->xq, .lo = p->xq, .hi_sum = p->xsum};
    a.lo_sum = p->xsum, a.d = p->x, a.scale = p->s, a.n = BITNET_ROW_GROUP, a.k = K, a.m = 1;
    for (int32_t g = begin; g < end; g++) {
        a.w = j->w + (size_t)g * 12 * K;
        p->kern.scan6(&a);
    }
}

/* What lies between the products of a layer. */
static void floats(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    bitnet_probe *p = ((const job *)ctx)->p;
    for (int32_t i = begin; i < end; i++) {
        float s;
        int32_t sum;
        p->kern.rmsnorm(p->normed, p->x, p->x, K, 1e-5f);
        p->kern.act_quant(p->quantised, &s, &sum, p->normed, K);
        p->kern.gate_silu(p->gated, p->normed, p->x, K);
    }
}

static void nothing(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)begin, (void)end;
    const job *j = ctx;
    j->p->out[thread].sum++;
}

/* What a kind runs over, and what a unit of it counts for. Without bytes a run has one unit, or one for each
 * thread. */
static const struct {
    bitnet_pool_fn fn;
    size_t bytes;
    double worth;
} kinds[] = {
    [BITNET_PROBE_READ] = {read_rows, READ_ROW, READ_ROW},
    [BITNET_PROBE_TERN] = {tern_one, 4 * K, 4 * K},
    [BITNET_PROBE_PROMPT] = {tern_prompt, 4 * K, (double)BITNET_ROW_GROUP *K *N_PROMPT},
    [BITNET_PROBE_F16] = {f16_rows, BITNET_ROW_GROUP * 2 * K, BITNET_ROW_GROUP * 2 * K},
    [BITNET_PROBE_SCAN] = {scan_groups, 12 * K, 12 * K},
    [BITNET_PROBE_FLOATS] = {floats, 0, 3.0 * K},
    [BITNET_PROBE_FORK] = {nothing, 0, 0.0},
};

/* Units of one run: as many whole ones as the piece and the buffer have. */
static int32_t units_of(const bitnet_probe *p, bitnet_probe_kind kind, size_t piece) {
    if (kind == BITNET_PROBE_FORK) return bitnet_pool_size(p->pool);
    if (kinds[kind].bytes == 0) return 1;
    return (int32_t)((piece < p->size ? piece : p->size) / kinds[kind].bytes);
}

/* Where size bytes are left. */
static const bitnet_probe_memory *next_piece(bitnet_probe *p, size_t size) {
    if (p->at + size > p->memory[p->now].size) {
        p->at = 0;
        p->now = (p->now + 1) % p->n_memory;
    }
    return &p->memory[p->now];
}

double bitnet_probe_rate(bitnet_probe *p, bitnet_probe_kind kind, size_t piece, double ms) {
    const int32_t n = units_of(p, kind, piece);
    const size_t size = (size_t)n * kinds[kind].bytes;
    const double worth = kind == BITNET_PROBE_FORK ? 1.0 : (double)n * kinds[kind].worth;
    const uint64_t start = bitnet_os_now_ns();
    uint64_t ns;
    double done = 0.0;
    if (n == 0) return 0.0;
    do {
        const bitnet_probe_memory *memory = next_piece(p, size);
        job j = {p, memory->data + p->at};
        bitnet_pool_run(p->pool, kinds[kind].fn, &j, n, 1);
        done += worth;
        p->at += kind == BITNET_PROBE_PROMPT ? 0 : size; /* stays where it is: in a cache */
        ns = bitnet_os_now_ns() - start;
    } while ((double)ns < ms * 1e6);
    return ns > 0 ? done / ((double)ns * 1e-9) : 0.0;
}

/* The caller waits a little, so that a worker that is awake takes the next slice. */
static void be_seen(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)begin, (void)end;
    const job *j = ctx;
    j->p->out[thread].sum = 1;
    if (thread == 0) bitnet_os_yield();
}

/* A worker takes its first message some milliseconds after it was told to start. */
static void wait_for_workers(bitnet_probe *p) {
    const int32_t n = bitnet_pool_size(p->pool);
    const uint64_t start = bitnet_os_now_ns();
    job j = {p, NULL};
    int32_t n_seen;
    for (int32_t i = 0; i < n; i++)
        p->out[i].sum = 0;
    do {
        bitnet_pool_run(p->pool, be_seen, &j, n, 1);
        n_seen = 0;
        for (int32_t i = 0; i < n; i++)
            n_seen += p->out[i].sum != 0;
    } while (n_seen < n && bitnet_os_now_ns() - start < MOST_WAIT_NS);
}

int32_t bitnet_probe_threads(bitnet_probe *p, int32_t n_threads) {
    bitnet_pool_free(p->pool);
    p->pool = NULL;
    if (n_threads > MOST) n_threads = MOST;
    if (bitnet_pool_create(&p->pool, n_threads, NULL) < 0) return 0;
    wait_for_workers(p);
    return bitnet_pool_size(p->pool);
}

void bitnet_probe_free(bitnet_probe *p) {
    if (!p) return;
    bitnet_pool_free(p->pool);
    free(p->data);
    free(p);
}

void bitnet_probe_go_over(bitnet_probe *p, const bitnet_probe_memory *memory, int32_t n) {
    p->n_memory = n < BITNET_PROBE_MEMORIES ? n : BITNET_PROBE_MEMORIES;
    p->size = memory[0].size;
    for (int32_t i = 0; i < p->n_memory; i++) {
        p->memory[i] = memory[i];
        if (memory[i].size < p->size) p->size = memory[i].size;
    }
    p->now = 0, p->at = 0;
}

void bitnet_probe_use(bitnet_probe *p, uint32_t cpu_mask, bitnet_probe_reader reader) {
    bitnet_kernels_init(&p->kern, bitnet_cpu_flags_masked(cpu_mask));
    p->reader = reader;
}

bitnet_probe *bitnet_probe_create(size_t size) {
    bitnet_probe *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    const size_t block = (size + ALIGN - 1) / ALIGN * ALIGN;
    p->data = block >= size ? aligned_alloc(ALIGN, block) : NULL;
    if (!p->data || bitnet_probe_threads(p, 1) < 1) {
        bitnet_probe_free(p);
        return NULL;
    }
    bitnet_probe_use(p, 0, read_words);
    memset(p->data, 0x55, block);
    bitnet_probe_go_over(p, &(bitnet_probe_memory){p->data, block}, 1);
    memset(p->xq, 1, sizeof p->xq);
    for (int i = 0; i < K; i++)
        p->x[i] = (float)(i % 17 - 8);
    for (int i = 0; i < N_PROMPT; i++)
        p->s[i] = 1.0f, p->xsum[i] = K;
    return p;
}
