/* cpu_head.c: the output head, whole or in stages that give the same tokens.
 *
 * A large head takes most of a token's bytes, and nearly all of its rows lose. So 6 bits of each weight
 * (kernels.h, scan6) are read first, of a copy beside the rows or of the rows themselves (cpu_planes.c).
 * With them, for every row r, the logit z_r is known to lie within
 *
 *     e_r = off_r |x| + norm_r |x - x~| + (roundings)
 *
 * of what was computed (Cauchy-Schwarz). With L the n_best-th largest z~ - e, no row whose z~ + e is below
 * L can be among the n_best largest; and what the rows below L add up to is at most the sum of their
 * e^(z~ + e). The others get 2 bits more (scan2), a bound of a quarter, and a second sieve; what is left is
 * computed exactly as the whole head would. When that is too much, or when somebody wants every logit, the
 * whole head runs: slower, never wrong.
 */
#include "backend/cpu_head.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fmath.h"

/* Below this the whole head is as fast: it lies in a cache. */
#define HEAD_BYTES ((uint64_t)32 << 20)
#define MOST_BEST  256 /* of n_best; beyond, the whole head */
/* More rows left after both sieves than one in so many, and the whole head is as fast. After the first
 * there may be any number: 2 bits of all rows are an eighth of the whole head's bytes. */
#define LEFT 8
#define RUN  512 /* rows that are sieved at once */
/* Masses are summed over bins of logits: of STEP each, from AHEAD above the best lower bound down, all that
 * is farther below in the last. Of logits beyond MOST_LOGIT an f32 does not tell bins apart. */
#define BINS       640
#define STEP       0.125
#define AHEAD      32.0
#define MOST_LOGIT 1000.0f
#define BIN_ERROR  0.001 /* an f32 that is rounded may miss its bin by less */
/* |f32 sum - exact sum| <= (k/16 + 6) 2^-24 sum |w x| in SUM16's order, and |w x| sums to at most
 * |w| |x|; scan6 itself rounds five times. */
#define ROUNDINGS(k) ((double)((k) / 16 + 16) * 0x1p-24)

/* ---- the copy ------------------------------------------------------------------------------------
 */

typedef struct pack_job {
    bitnet_backend *be;
    const bitnet_weight *w;
    cpu_head *head;
    uint8_t *more; /* of its one lot */
    float *row;    /* [n_threads][k] */
} pack_job;

static void pack_groups(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const pack_job *j = ctx;
    const bitnet_weight *w = j->w;
    float *row = j->row + (size_t)thread * (size_t)w->k;
    for (int32_t r = begin * BITNET_ROW_GROUP; r < end * BITNET_ROW_GROUP && r < w->n; r++) {
        uint8_t *group = j->head->lots + (size_t)(r / BITNET_ROW_GROUP) * 12 * (size_t)w->k;
        uint8_t *more = j->more + (size_t)r * (size_t)j->head->k_more / 4;
        bitnet_scan_row out;
        bitnet_cpu_decode_row(j->be, w, r, row);
        for (int32_t i = 0; w->scale != 1.0f && i < w->k; i++)
            row[i] *= w->scale;
        bitnet_scan_pack(group, r % BITNET_ROW_GROUP, more, row, w->k, &out);
        j->head->d[r] = out.d;
        j->head->norm[r] = out.norm;
        j->head->off[r] = out.off;
        j->head->off2[r] = out.off2;
    }
}

bool bitnet_cpu_head_pays(const bitnet_backend *be, const bitnet_tensor *t) {
    if (!t->is_head || be->staged == BITNET_OFF || t->ne[0] % 16 != 0 || t->ne[0] >= 1 << 17)
        return false;
    return be->staged == BITNET_ON ||
           (be->kern.scan6 != bitnet_scan6_c && be->kern.scan2 != bitnet_scan2_c &&
            (uint64_t)t->ne[0] * (uint64_t)t->ne[1] * 2 >= HEAD_BYTES);
}

static size_t padded(size_t k) {
    return (k + 255) / 256 * 256;
}

static size_t copy_size(const bitnet_tensor *t) {
    const size_t n = (size_t)t->ne[1];
    return cpu_head_codes_size((int32_t)n, (int32_t)t->ne[0]) + n * padded((size_t)t->ne[0]) / 4 +
           4 * n * sizeof(float);
}

uint64_t bitnet_cpu_head_size(const bitnet_tensor *t) {
    return bitnet_cpu_planes_fit(t) ? bitnet_cpu_planes_size(t) : copy_size(t);
}

static bool make_copy(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t, cpu_head *h) {
    const size_t n = (size_t)w->n, k = (size_t)w->k;
    const size_t row_size = (size_t)bitnet_pool_size(be->pool) * k * sizeof(float);
    float *row = bitnet_alloc_raw(&be->allocator, row_size);
    uint8_t *p = row ? bitnet_cpu_arena_alloc(be, copy_size(t)) : NULL;
    if (p) {
        uint8_t *more = p + cpu_head_codes_size(w->n, w->k);
        float *f = (float *)(void *)(more + n * padded(k) / 4);
        *h = (cpu_head){.lots = p,
                        .n_together = w->n,
                        .n = w->n,
                        .k = w->k,
                        .k_more = (int32_t)padded(k),
                        .d = f,
                        .norm = f + n,
                        .off = f + 2 * n,
                        .off2 = f + 3 * n};
        pack_job j = {be, w, h, more, row};
        bitnet_pool_run(be->pool, pack_groups, &j, (w->n - 1) / BITNET_ROW_GROUP + 1, 16);
    }
    bitnet_free(&be->allocator, row, row_size);
    return p != NULL;
}

bitnet_status bitnet_cpu_head_bind(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t) {
    cpu_head *h = bitnet_alloc(&be->allocator, sizeof *h);
    if (!h) return BITNET_E_NOMEM;
    w->head = h;
    const bool is_made =
        bitnet_cpu_planes_fit(t) ? bitnet_cpu_planes_make(be, w, t, h) : make_copy(be, w, t, h);
    return is_made ? BITNET_OK : BITNET_E_NOMEM;
}

void bitnet_cpu_head_unbind(bitnet_backend *be, bitnet_weight *w) {
    bitnet_free(&be->allocator, w->head, sizeof *w->head);
}

/* ---- one step ------------------------------------------------------------------------------------
 */

/* Rows by where their bounds lie. */
typedef struct weighing {
    int32_t upper[BINS], lower[BINS];
} weighing;

uint64_t bitnet_cpu_scan_size(const bitnet_backend_need *n, int32_t n_threads) {
    if (n->n_vocab < 1) return 0;
    return (uint64_t)n->n_vocab * sizeof(int32_t) +
           (uint64_t)n_threads * (MOST_BEST * sizeof(float) + sizeof(weighing)) +
           2 * (CPU_HEAD_TOKENS * (uint64_t)n->n_embd + 256);
}

typedef struct head_job {
    bitnet_backend *be;
    const bitnet_weight *w;
    const float *x; /* [m][k] */
    float *y;       /* [m][n]: first about, then exact or -FLT_MAX */
    int32_t m;
    int8_t *hi, *lo; /* [m][k], and room behind them that scan2 may read */
    int32_t hi_sum[CPU_HEAD_TOKENS], lo_sum[CPU_HEAD_TOKENS];
    float scale[CPU_HEAD_TOKENS];
    /* of the token at hand */
    int32_t t, n_best;
    float off_factor, norm_factor; /* e_r = off_r * one + norm_r * other */
    float least;                   /* L: what is below may go */
    float top;                     /* where the bins begin: the largest lower bound + AHEAD */
    bitnet_tail tail;
    float *best;        /* [n_threads][MOST_BEST] largest lower bounds, a heap each */
    weighing *weighed;  /* [n_threads] */
    int32_t *candidate; /* [n] */
    atomic_int n_candidate;
    const float *off; /* of the rows: after 6 bits, after 8 */
} head_job;

/* x ~ scale (128 hi + lo): 14 bits and a sign. */
static void split_token(head_job *j, int32_t t, float max) {
    const size_t k = (size_t)j->w->k;
    const float *x = j->x + (size_t)t * k, inverse = 16256.0f / max;
    int8_t *hi = j->hi + (size_t)t * k, *lo = j->lo + (size_t)t * k;
    j->scale[t] = max / 16256.0f;
    j->hi_sum[t] = j->lo_sum[t] = 0;
    for (size_t i = 0; i < k; i++) {
        int32_t v = (int32_t)(x[i] * inverse + (x[i] < 0.0f ? -0.5f : 0.5f));
        int32_t h = (v + 64) >> 7; /* |v| <= 16256 = 127 * 128 */
        hi[i] = (int8_t)h, lo[i] = (int8_t)(v - 128 * h);
        j->hi_sum[t] += 32 * h;
        j->lo_sum[t] += 32 * (v - 128 * h);
    }
}

/* Outside these a split, a product or a bound may not fit f32: the whole head runs then. In a NaN no
 * comparison holds. */
#define LEAST_X 1e-30f
#define MOST_X  1e15f

static bool split_tokens(head_job *j) {
    const size_t k = (size_t)j->w->k;
    for (int32_t t = 0; t < j->m; t++) {
        float max = LEAST_X;
        for (size_t i = 0; i < k; i++) {
            const float v = fabsf(j->x[(size_t)t * k + i]);
            if (!(v <= MOST_X)) return false;
            max = v > max ? v : max;
        }
        split_token(j, t, max);
    }
    return true;
}

/* The factors of e_r, from what x and its split really are. */
static void bound_token(head_job *j, int32_t t) {
    const size_t k = (size_t)j->w->k;
    const float *x = j->x + (size_t)t * k;
    double norm = 0.0, off = 0.0;
    for (size_t i = 0; i < k; i++) {
        int32_t v = 128 * j->hi[(size_t)t * k + i] + j->lo[(size_t)t * k + i];
        double e = (double)x[i] - (double)v * (double)j->scale[t];
        norm += (double)x[i] * (double)x[i];
        off += e * e;
    }
    norm = sqrt(norm), off = sqrt(off);
    /* |w~| <= norm_r + off_r; upwards, and some for the additions in f32 here and below */
    j->off_factor = (float)((norm + off) * 1.00001);
    j->norm_factor = (float)((off + norm * 3.0 * ROUNDINGS(k)) * 1.00001);
}

/* Rows r .. r + n - 1 of one lot. */
static void scan_rows(const head_job *j, int32_t r, int32_t n) {
    const cpu_head *h = j->w->head;
    const int32_t g = (r - cpu_head_first(h, r)) / BITNET_ROW_GROUP;
    bitnet_scan6_args a = {.y = j->y + r,
                           .ldy = j->w->n,
                           .w = cpu_head_lot(h, r) + (size_t)g * 12 * (size_t)h->k,
                           .d = h->d + r,
                           .hi = j->hi,
                           .lo = j->lo,
                           .hi_sum = j->hi_sum,
                           .lo_sum = j->lo_sum,
                           .scale = j->scale,
                           .n = n,
                           .k = h->k,
                           .m = j->m};
    j->be->kern.scan6(&a);
}

static void scan_groups(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const head_job *j = ctx;
    const int32_t last = end * BITNET_ROW_GROUP;
    for (int32_t r = begin * BITNET_ROW_GROUP, until; r < last && r < j->w->n; r = until) {
        until = cpu_head_end(j->w->head, r);
        if (until > last) until = last;
        scan_rows(j, r, until - r);
    }
}

/* e_r, of the token at hand */
static inline float bound(const head_job *j, int32_t r) {
    return j->off[r] * j->off_factor + j->w->head->norm[r] * j->norm_factor;
}

/* heap[0] is the smallest of n; v takes its place and sinks. */
static void replace_smallest(float *heap, int32_t n, float v) {
    int32_t i = 0;
    for (int32_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && heap[c + 1] < heap[c]) c++;
        if (heap[c] >= v) break;
        heap[i] = heap[c];
    }
    heap[i] = v;
}

static void keep_if_best(const head_job *j, int32_t thread, float low) {
    float *best = j->best + (size_t)thread * MOST_BEST;
    if (low > best[0]) replace_smallest(best, j->n_best, low);
}

static float *logits_of(const head_job *j) {
    return j->y + (size_t)j->t * (size_t)j->w->n;
}

static void sieve_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const head_job *j = ctx;
    for (int32_t r = begin; r < end; r++)
        keep_if_best(j, thread, logits_of(j)[r] - bound(j, r));
}

/* Rows come to the list in ascending runs: what is read for them next lies together. */
static void keep_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    head_job *j = ctx;
    float *y = logits_of(j);
    for (int32_t first = begin; first < end; first += RUN) {
        int32_t run[RUN], n = 0;
        for (int32_t r = first; r < end && r < first + RUN; r++) {
            const bool is_left = y[r] + bound(j, r) >= j->least;
            run[n] = r;
            n += is_left;
            if (!is_left) y[r] = -FLT_MAX;
        }
        int32_t *to = j->candidate + atomic_fetch_add(&j->n_candidate, n);
        memcpy(to, run, (size_t)n * sizeof *run);
    }
}

/* 2 bits more for n candidates of one lot. */
static void refine(const head_job *j, const int32_t *candidate, int32_t n) {
    const cpu_head *h = j->w->head;
    const size_t at = (size_t)j->t * (size_t)h->k;
    const int32_t first = cpu_head_first(h, candidate[0]), end = cpu_head_end(h, candidate[0]);
    int32_t row[RUN];
    for (int32_t i = 0; i < n; i++)
        row[i] = candidate[i] - first;
    bitnet_scan2_args a = {.y = logits_of(j) + first,
                           .row = row,
                           .w = cpu_head_lot(h, first) + cpu_head_codes_size(end - first, h->k),
                           .d = h->d + first,
                           .hi = j->hi + at,
                           .lo = j->lo + at,
                           .hi_sum = j->hi_sum[j->t] / 32 * 3,
                           .lo_sum = j->lo_sum[j->t] / 32 * 3,
                           .scale = j->scale[j->t],
                           .n = n,
                           .k = h->k_more};
    j->be->kern.scan2(&a);
}

static void refine_candidates(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const head_job *j = ctx;
    const float *y = logits_of(j);
    for (int32_t i = begin, n; i < end; i += n) {
        const int32_t first = cpu_head_first(j->w->head, j->candidate[i]);
        for (n = 1; n < RUN && i + n < end; n++)
            if (cpu_head_first(j->w->head, j->candidate[i + n]) != first) break;
        refine(j, j->candidate + i, n);
    }
    for (int32_t i = begin; i < end; i++)
        keep_if_best(j, thread, y[j->candidate[i]] - bound(j, j->candidate[i]));
}

static void compute_candidates(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const head_job *j = ctx;
    const size_t k = (size_t)j->w->k, n = (size_t)j->w->n;
    for (int32_t i = begin; i < end; i++) {
        const int32_t r = j->candidate[i];
        bitnet_dense_args a = {.y = j->y + (size_t)j->t * n + (size_t)r,
                               .ldy = 1,
                               .x = j->x + (size_t)j->t * k,
                               .n = 1,
                               .k = j->w->k,
                               .m = 1};
        bitnet_cpu_ordinary_rows(j->be, j->w, a, r, thread);
    }
}

static void start_sieve(head_job *j, const float *off) {
    j->off = off;
    for (int32_t i = 0; i < bitnet_pool_size(j->be->pool) * MOST_BEST; i++)
        j->best[i] = -FLT_MAX;
}

/* L, from what the threads kept; downwards. */
static void end_sieve(head_job *j, float within) {
    for (int32_t t = 1; t < bitnet_pool_size(j->be->pool); t++)
        for (int32_t i = 0; i < j->n_best; i++)
            keep_if_best(j, 0, j->best[t * MOST_BEST + i]);
    j->least = j->best[0] - within;
    if (within > 0.0f) j->least -= 1e-6f * (fabsf(j->best[0]) + within);
}

/* Of the candidates, those at or above L stay. */
static int32_t sieve_candidates(head_job *j, int32_t n) {
    float *y = logits_of(j);
    int32_t n_left = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t r = j->candidate[i];
        if (y[r] + bound(j, r) >= j->least)
            j->candidate[n_left++] = r;
        else
            y[r] = -FLT_MAX;
    }
    return n_left;
}

/* ---- masses --------------------------------------------------------------------------------------
 */

static int32_t bin_of(const head_job *j, float z) {
    const float at = (j->top - z) * (float)(1.0 / STEP);
    return at < 0.0f ? 0 : at < (float)(BINS - 1) ? (int32_t)at : BINS - 1;
}

static void weigh(const head_job *j, int32_t thread, int32_t r) {
    weighing *w = &j->weighed[thread];
    const float z = logits_of(j)[r], e = bound(j, r);
    w->upper[bin_of(j, z + e)]++;
    w->lower[bin_of(j, z - e)]++;
}

static void weigh_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    for (int32_t r = begin; r < end; r++)
        weigh(ctx, thread, r);
}

static void weigh_candidates(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const head_job *j = ctx;
    for (int32_t i = begin; i < end; i++)
        weigh(j, thread, j->candidate[i]);
}

/* Lowers L, of n items, until those below it leave the tail within `share` of the whole, and adds them to
 * the tail. False: logits that the bins do not hold. */
static bool grow_tail(head_job *j, bitnet_pool_fn fn, int32_t n, double share) {
    const int32_t n_threads = bitnet_pool_size(j->be->pool);
    memset(j->weighed, 0, (size_t)n_threads * sizeof *j->weighed);
    bitnet_pool_run(j->be->pool, fn, j, n, 4096);
    weighing *all = &j->weighed[0];
    double lower = 0.0, mass = (double)j->tail.mass;
    for (int32_t b = 0; b < BINS; b++) {
        for (int32_t t = 1; t < n_threads; t++)
            all->upper[b] += j->weighed[t].upper[b], all->lower[b] += j->weighed[t].lower[b];
        if (b < BINS - 1) /* the last has no lower end */
            lower += all->lower[b] * fmath_exp(AHEAD - STEP * (b + 1) - BIN_ERROR);
    }
    if (all->upper[0] > 0) return false; /* it has no upper end */
    float least = -INFINITY;
    for (int32_t b = BINS - 1; b > 0; b--) {
        const float end = j->top - (float)(STEP * b + BIN_ERROR);
        mass += all->upper[b] * fmath_exp(AHEAD - STEP * b + BIN_ERROR);
        if (mass > share * lower || end > j->least) break;
        j->tail.mass = (float)(mass * 1.000001);
        least = end;
    }
    j->least = least;
    return true;
}

/* ---- what it takes -------------------------------------------------------------------------------
 */

/* Both halves of the tokens are multiplied; bounds and scales are 4 floats a row. */
static void tell_scan(const head_job *j) {
    const size_t n = (size_t)j->w->n, k = (size_t)j->w->k;
    cpu_tell_work(j->be, cpu_head_codes_size(j->w->n, j->w->k) + n * 4 * sizeof(float),
                  2 * n * k * (size_t)j->m, 0);
}
static void tell_refine(const head_job *j, int32_t n) {
    const size_t k = (size_t)j->w->head->k_more;
    cpu_tell_work(j->be, (size_t)n * k / 4, 2 * (size_t)n * k, 0);
}
static void tell_compute(const head_job *j, int32_t n) {
    cpu_tell_work(j->be, (size_t)n * j->w->row_size, 0, (size_t)n * (size_t)j->w->k);
}

/* ---- both sieves ---------------------------------------------------------------------------------
 */

/* False: too many rows are left. */
static bool finish_token(head_job *j, bitnet_head_row *row) {
    const cpu_head *h = j->w->head;
    const bitnet_want *want = &row->want;
    bitnet_pool *pool = j->be->pool;
    const int32_t n = j->w->n, grain = 4096;
    const bool has_mass = want->mass > 0.0f;
    j->n_best = want->n_best;
    j->tail.mass = 0.0f;
    bound_token(j, j->t);

    start_sieve(j, h->off);
    bitnet_pool_run(pool, sieve_rows, j, n, grain);
    end_sieve(j, want->within);
    j->top = j->best[0] + (float)AHEAD;
    if (has_mass &&
        !(fabsf(j->best[0]) <= MOST_LOGIT && grow_tail(j, weigh_rows, n, 0.5 * (double)want->mass)))
        return false;
    j->tail.below = j->least;
    atomic_store(&j->n_candidate, 0);
    bitnet_pool_run(pool, keep_rows, j, n, grain);
    int32_t n_left = atomic_load(&j->n_candidate);
    if (has_mass && n_left > n / 2) return false;

    start_sieve(j, h->off2);
    bitnet_pool_run(pool, refine_candidates, j, n_left, 64);
    tell_refine(j, n_left);
    end_sieve(j, want->within);
    if (has_mass && !grow_tail(j, weigh_candidates, n_left, (double)want->mass)) return false;
    if (j->least > j->tail.below) j->tail.below = j->least;
    n_left = sieve_candidates(j, n_left);
    if (n_left > n / LEFT) return false;
    bitnet_pool_run(pool, compute_candidates, j, n_left, 16);
    tell_compute(j, n_left);
    if (!has_mass) j->tail.mass = INFINITY;
    row->tail = j->tail;
    return true;
}

static bool wants_few(const bitnet_head_row *row, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (row[i].want.n_best < 1 || row[i].want.n_best > MOST_BEST) return false;
    return true;
}

bool bitnet_cpu_head_in_stages(bitnet_backend *be, float *y, const float *x, const bitnet_weight *w,
                               bitnet_head_row *row, int32_t m) {
    if (!w->head || m > CPU_HEAD_TOKENS || !wants_few(row, m)) return false;
    head_job j = {.be = be, .w = w, .x = x, .y = y, .m = m};
    const size_t n_threads = (size_t)bitnet_pool_size(be->pool);
    j.candidate = (int32_t *)(void *)be->scratch[CPU_SCAN]->data;
    j.best = (float *)(void *)(j.candidate + be->need.n_vocab);
    j.weighed = (weighing *)(void *)(j.best + n_threads * MOST_BEST);
    j.hi = (int8_t *)(j.weighed + n_threads);
    j.lo = j.hi + (size_t)m * (size_t)w->k + 256;
    if (!split_tokens(&j)) return false;
    bitnet_pool_run(be->pool, scan_groups, &j, (w->n - 1) / BITNET_ROW_GROUP + 1, 4);
    tell_scan(&j);
    for (j.t = 0; j.t < m; j.t++)
        if (!finish_token(&j, &row[j.t])) return false;
    return true;
}
