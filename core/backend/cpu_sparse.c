/* cpu_sparse.c: the feed-forward network of a squared ReLU model when one token is decoded, without what
 * is multiplied by zero: rows of `up` whose gate is not positive, and columns of `down` whose input
 * act_quant made 0. Both need a layout of their own, so such a matrix is kept twice; the other copy is
 * for prompts and batches, whose tokens together leave little out, and for the token that has few zeros.
 *
 * Why tokens stay the same. What is computed is computed from the same integer sum in the same way. A row
 * of `up` left out gives 0 * 0 where the whole product gives (0 * 0) * up, which is 0 or -0 as `up` is
 * finite (`is_finite` below), and the two differ nowhere after: squares and absolute values are equal,
 * act_quant rounds both to 0, and a sum of 16 lanes that begin at +0 never becomes -0. A column of
 * `down` left out adds code * 0 to an integer.
 */
#include "backend/cpu.h"

#include <math.h>
#include <string.h>

#include "format/ternary.h"

/* Smaller matrices lie in a cache and the whole product is as fast: docs/speed.md. */
#define SPARSE_BYTES ((uint64_t)1 << 20)
/* More left than this of 16, and the whole product is as fast: likewise. */
#define MOST_ROWS 10
#define MOST_COLS 9
#define CHUNK     1024 /* rows listed at once */

/* ---- the copies ----------------------------------------------------------------------------------
 */

typedef struct pack_job {
    uint8_t *cols;
    size_t cols_size, row_size;
    const uint8_t *rows;
    int32_t n;
} pack_job;

static void pack_pieces(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const pack_job *j = ctx;
    for (int32_t i = begin; i < end; i++) {
        const int32_t r = i * BITNET_COL_ROWS;
        bitnet_tern_pack_cols(j->cols + 64 * (size_t)i, (ptrdiff_t)j->cols_size,
                              j->rows + (size_t)r * j->row_size, j->n - r,
                              (int32_t)(4 * j->row_size));
    }
}

bool bitnet_cpu_sparse_pays(const bitnet_backend *be, const bitnet_tensor *t) {
    return t->relu2 != BITNET_RELU2_NONE && be->sparse != BITNET_OFF &&
           be->kern.tern_rows != bitnet_tern_rows_c && be->kern.tern_cols != bitnet_tern_cols_c &&
           t->ne[0] < 1 << 17 && (be->sparse == BITNET_ON || t->size >= SPARSE_BYTES);
}

static size_t cols_size_of(int32_t n) {
    return 64 * (size_t)((n - 1) / BITNET_COL_ROWS + 1);
}

uint64_t bitnet_cpu_sparse_size(const bitnet_tensor *t) {
    const uint64_t row_size = bitnet_ternary_row_size(t->ne[0]);
    return t->relu2 == BITNET_RELU2_UP ? (uint64_t)t->ne[1] * row_size
                                       : 4 * row_size * cols_size_of((int32_t)t->ne[1]);
}

bool bitnet_cpu_sparse_bind(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t) {
    const size_t cols_size = cols_size_of(w->n);
    uint8_t *p = bitnet_cpu_arena_alloc(be, (size_t)bitnet_cpu_sparse_size(t));
    if (!p) return false;
    if (t->relu2 == BITNET_RELU2_UP) {
        memcpy(p, t->data, (size_t)w->n * w->row_size);
        w->rows = p;
        return true;
    }
    pack_job j = {p, cols_size, w->row_size, t->data, w->n};
    bitnet_pool_run(be->pool, pack_pieces, &j, (int32_t)(cols_size / 64), 1);
    w->cols = p;
    w->cols_size = cols_size;
    return true;
}

/* ---- up ------------------------------------------------------------------------------------------
 */

/* Whether every product with w is: |acc| <= 127 k. */
static bool is_finite(const bitnet_weight *w, const cpu_quant *x) {
    return isfinite(127.0f * (float)x->k / x->s * w->scale);
}

bool bitnet_cpu_sparse_up(const bitnet_backend *be, const bitnet_weight *w, const cpu_quant *x,
                          float *up, const float *gate, int32_t r, int32_t n) {
    int32_t row[CHUNK], n_left = 0;
    for (int32_t i = 0; i < n; i++)
        n_left += gate[i] > 0.0f;
    if ((int64_t)n_left * 16 > (int64_t)n * MOST_ROWS || !is_finite(w, x)) return false;
    memset(up, 0, (size_t)n * sizeof *up);
    for (int32_t begin = 0; begin < n; begin += CHUNK) {
        const int32_t end = n - begin < CHUNK ? n : begin + CHUNK;
        bitnet_tern_rows_args a = {.y = up,
                                   .row = row,
                                   .w = w->rows + (size_t)r * w->row_size,
                                   .xq = x->xq,
                                   .s = x->s,
                                   .xsum = x->xsum,
                                   .w_scale = w->scale,
                                   .k = x->k};
        for (int32_t i = begin; i < end; i++) {
            row[a.n] = i;
            a.n += gate[i] > 0.0f;
        }
        be->kern.tern_rows(&a);
    }
    cpu_tell_work(be, (size_t)n_left * w->row_size, (size_t)n_left * (size_t)w->k, 0);
    return true;
}

/* ---- down ----------------------------------------------------------------------------------------
 */

uint64_t bitnet_cpu_nonzero_size(const bitnet_backend_need *need) {
    return (uint64_t)need->k_ternary * (sizeof(int32_t) + 1);
}

typedef struct down_job {
    const bitnet_backend *be;
    const bitnet_weight *w;
    const bitnet_product *p;
    bitnet_tern_cols_args a;
} down_job;

/* Pieces of BITNET_COL_ROWS rows. */
static void down_pieces(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const down_job *j = ctx;
    float y[BITNET_COL_ROWS];
    for (int32_t i = begin; i < end; i++) {
        const int32_t r = i * BITNET_COL_ROWS;
        bitnet_tern_cols_args a = j->a;
        a.y = y;
        a.w = j->w->cols + 64 * (size_t)i;
        a.n = j->w->n - r < BITNET_COL_ROWS ? j->w->n - r : BITNET_COL_ROWS;
        j->be->kern.tern_cols(&a);
        if (j->p->bias) j->be->kern.add(y, (const float *)j->p->bias->data + r, (size_t)a.n);
        j->be->kern.add(cpu_f32(j->p->y) + r, y, (size_t)a.n);
    }
}

bool bitnet_cpu_sparse_down(bitnet_backend *be, const bitnet_weight *w, const cpu_quant *x,
                            const bitnet_product *p) {
    int32_t *col = (int32_t *)(void *)be->scratch[CPU_NONZERO]->data, n_col = 0;
    int8_t *value = (int8_t *)(col + be->need.k_ternary);
    for (int32_t i = 0; i < w->k; i++) {
        col[n_col] = i;
        value[n_col] = x->xq[i];
        n_col += x->xq[i] != 0;
    }
    if ((int64_t)n_col * 16 > (int64_t)w->k * MOST_COLS) return false;
    down_job j = {be, w, p, {.ld = (ptrdiff_t)w->cols_size, .col = col, .x = value, .s = x->s}};
    j.a.xsum = x->xsum, j.a.w_scale = w->scale, j.a.n_col = n_col;
    bitnet_pool_run(be->pool, down_pieces, &j, (w->n - 1) / BITNET_COL_ROWS + 1, 1);
    cpu_tell_work(be, (size_t)n_col * w->cols_size, (size_t)n_col * (size_t)w->n, 0);
    return true;
}
