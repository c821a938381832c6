/* cpu_matmul.c: the CPU backend's operations on matrices: embedding rows and products, of ternary
 * weights with int8 activations and of ordinary ones with f32 activations.
 *
 * Work is cut into groups of sixteen rows, over all products of one input together. A thread takes
 * some groups, computes their products with all tokens of the step, and does at once what follows:
 * the bias, the addition to the residual stream, the gate. F16 and F32 are read where they lie. Every
 * other ordinary type, and a head in planes, is decoded a few rows at a time into memory of the thread
 * that needs them: the values are those of the reference dequantiser, the sum is SUM16, so a type and its
 * F32 conversion give the same bits.
 */
#include "backend/cpu.h"

#include <math.h>
#include <string.h>

#define GROUP BITNET_ROW_GROUP

void bitnet_cpu_decode_row(const bitnet_backend *be, const bitnet_weight *w, int32_t r,
                           float *out) {
    const uint8_t *row = (const uint8_t *)w->data + (size_t)r * w->row_size;
    if (w->is_split)
        bitnet_cpu_planes_row(be, w, r, out);
    else if (w->type == BITNET_TYPE_F16)
        be->kern.f16_to_f32(out, (const uint16_t *)(const void *)row, (size_t)w->k);
    else
        w->decode(out, row, w->k);
}

void bitnet_cpu_embed(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w) {
    size_t k = (size_t)w->k;
    for (int32_t t = 0; t < be->batch->n_tok; t++)
        bitnet_cpu_decode_row(be, w, be->batch->tok[t], cpu_f32(y) + (size_t)t * k);
    cpu_tell_work(be, (size_t)be->batch->n_tok * w->row_size, 0, 0);
}

typedef struct matmul_job matmul_job;
/* Rows r .. r + n - 1 of product i, n_tok tokens; r is a multiple of GROUP. */
typedef void (*rows_fn)(const matmul_job *j, int32_t i, int32_t r, int32_t n, int32_t thread);

struct matmul_job {
    const bitnet_backend *be;
    rows_fn fn;
    int32_t most_rows; /* that fn takes at once */
    bitnet_product p[BITNET_MAX_PRODUCTS];
    int32_t n_groups[BITNET_MAX_PRODUCTS];
    int32_t n_product, n_tok;
    const bitnet_weight *up; /* of a gate, with its function */
    bitnet_gate_relu2_fn gate;
    const float *x; /* [n_tok][k] */
    int32_t k, k_pad;
    int8_t *xq; /* [n_tok][k_pad] */
    float *s;
    int32_t *xsum;
};

/* ---- rows of one matrix --------------------------------------------------------------------------
 */

static const float *decode_rows(const bitnet_backend *be, const bitnet_weight *w, int32_t r,
                                int32_t n, int32_t thread) {
    const size_t size = CPU_DECODE_ROWS * cpu_decoded_k(be, &be->need);
    float *out = cpu_f32(be->scratch[CPU_DECODED]) + (size_t)thread * size;
    for (int32_t i = 0; i < n; i++)
        bitnet_cpu_decode_row(be, w, r + i, out + (size_t)i * (size_t)w->k);
    return out;
}

void bitnet_cpu_ordinary_rows(const bitnet_backend *be, const bitnet_weight *w, bitnet_dense_args a,
                              int32_t r, int32_t thread) {
    const int32_t n_all = a.n;
    bool is_f16 = w->type == BITNET_TYPE_F16 && !w->is_split,
         is_plain = is_f16 || w->type == BITNET_TYPE_F32;
    int32_t step = is_plain ? n_all : CPU_DECODE_ROWS;
    for (int32_t done = 0; done < n_all; done += step, a.y += step) {
        a.n = n_all - done < step ? n_all - done : step;
        a.w = is_plain ? (const void *)((const uint8_t *)w->data + (size_t)r * w->row_size)
                       : decode_rows(be, w, r + done, a.n, thread);
        (is_f16 ? be->kern.f16_matmul : be->kern.f32_matmul)(&a);
        for (int32_t t = 0; w->scale != 1.0f && t < a.m; t++)
            for (int32_t i = 0; i < a.n; i++)
                a.y[t * a.ldy + i] *= w->scale;
    }
}

/* Weights in 1.6 bits and several tokens: into the thread's memory first, where most_rows fit. */
static const uint8_t *unpack(const matmul_job *j, const bitnet_tern_args *a, int32_t thread) {
    uint8_t *groups = j->be->scratch[CPU_UNPACKED]->data + (size_t)thread * CPU_UNPACK_BYTES;
    j->be->kern.tern5_unpack(groups, a->w, (a->n - 1) / GROUP + 1, a->k);
    return groups;
}

/* y[t * ldy + i] = row r + i of w times token t */
static void rows_of(const matmul_job *j, const bitnet_weight *w, float *y, ptrdiff_t ldy, int32_t r,
                    int32_t n, int32_t thread) {
    const size_t n_mac = (size_t)n * (size_t)w->k * (size_t)j->n_tok;
    if (w->type != BITNET_TYPE_I2_S) {
        bitnet_dense_args d = {.y = y, .ldy = ldy, .x = j->x, .n = n, .k = w->k, .m = j->n_tok};
        cpu_tell_work(j->be, (size_t)n * w->row_size, 0, n_mac);
        bitnet_cpu_ordinary_rows(j->be, w, d, r, thread);
        return;
    }
    bitnet_tern_args a = {.y = y,
                          .ldy = ldy,
                          .w = (const uint8_t *)w->data + (size_t)(r / GROUP) * w->group_size,
                          .xq = j->xq,
                          .s = j->s,
                          .xsum = j->xsum,
                          .w_scale = w->scale,
                          .n = n,
                          .k = j->k_pad,
                          .m = j->n_tok};
    cpu_tell_work(j->be, (size_t)((n - 1) / GROUP + 1) * w->group_size, n_mac, 0);
    const bool is_unpacked = w->is_fives && a.m > BITNET_TERN5_MAX_TOKENS;
    if (is_unpacked) a.w = unpack(j, &a, thread);
    (w->is_fives && !is_unpacked ? j->be->kern.tern5_matvec : j->be->kern.tern_matmul)(&a);
}

static float *tile_of(const matmul_job *j, int32_t thread, int32_t which) {
    size_t floats = (size_t)cpu_tile_floats(j->be->need.n_batch);
    return cpu_f32(j->be->scratch[CPU_TILE]) + ((size_t)thread * 2 + (size_t)which) * floats;
}

/* ---- what is done with them ----------------------------------------------------------------------
 */

static void add_bias(const matmul_job *j, const bitnet_product *p, float *y, ptrdiff_t ldy,
                     int32_t r, int32_t n) {
    for (int32_t t = 0; p->bias && t < j->n_tok; t++)
        j->be->kern.add(y + t * ldy, (const float *)p->bias->data + r, (size_t)n);
}

static void store_rows(const matmul_job *j, int32_t i, int32_t r, int32_t n, int32_t thread) {
    const bitnet_product *p = &j->p[i];
    float *y = cpu_f32(p->y) + r;
    rows_of(j, p->w, y, p->w->n, r, n, thread);
    add_bias(j, p, y, p->w->n, r, n);
}

static void add_rows(const matmul_job *j, int32_t i, int32_t r, int32_t n, int32_t thread) {
    const bitnet_product *p = &j->p[i];
    float *tile = tile_of(j, thread, 0);
    rows_of(j, p->w, tile, n, r, n, thread);
    add_bias(j, p, tile, n, r, n);
    for (int32_t t = 0; t < j->n_tok; t++)
        j->be->kern.add(cpu_f32(p->y) + (size_t)t * (size_t)p->w->n + r, tile + (ptrdiff_t)t * n,
                        (size_t)n);
}

/* A batch has all the rows and columns that any of its tokens has: it runs whole. */
static bool is_sparse(const matmul_job *j, const uint8_t *copy, cpu_quant *x) {
    if (!copy || j->n_tok != 1) return false;
    *x = (cpu_quant){j->xq, *j->s, *j->xsum, j->k_pad};
    return true;
}

static void gate_rows(const matmul_job *j, int32_t i, int32_t r, int32_t n, int32_t thread) {
    const bitnet_product *p = &j->p[i];
    float *gate = tile_of(j, thread, 0), *up = tile_of(j, thread, 1);
    cpu_quant x;
    rows_of(j, p->w, gate, n, r, n, thread);
    if (!is_sparse(j, j->up->rows, &x) || !bitnet_cpu_sparse_up(j->be, j->up, &x, up, gate, r, n))
        rows_of(j, j->up, up, n, r, n, thread);
    for (int32_t t = 0; t < j->n_tok; t++)
        j->gate(cpu_f32(p->y) + (size_t)t * (size_t)p->w->n + r, gate + (ptrdiff_t)t * n,
                up + (ptrdiff_t)t * n, (size_t)n);
}

/* ---- the whole -----------------------------------------------------------------------------------
 */

/* Behind the row's own k elements come zeros for the weights of 0 that pad a ternary row. */
static void quantise_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const matmul_job *j = ctx;
    size_t k = (size_t)j->k, k_pad = (size_t)j->k_pad;
    for (int32_t t = begin; t < end; t++) {
        int8_t *xq = j->xq + (size_t)t * k_pad;
        j->be->kern.act_quant(xq, j->s + t, j->xsum + t, j->x + (size_t)t * k, j->k);
        memset(xq + k, 0, k_pad - k);
    }
}

static void quantise(bitnet_backend *be, matmul_job *j, const bitnet_weight *w) {
    size_t n_batch = (size_t)be->need.n_batch;
    j->k_pad = (int32_t)(w->row_size * 4);
    j->xq = (int8_t *)be->scratch[CPU_QUANT]->data;
    j->s = (float *)(void *)(be->scratch[CPU_QUANT]->data + n_batch * (size_t)be->need.k_ternary);
    j->xsum = (int32_t *)(void *)(j->s + n_batch);
    bitnet_pool_run(be->pool, quantise_rows, j, j->n_tok, cpu_items_a_slice(j->k));
}

/* Groups begin .. end - 1, counted over all products. */
static void run_groups(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const matmul_job *j = ctx;
    int32_t first = 0;
    for (int32_t i = 0; i < j->n_product; first += j->n_groups[i++]) {
        int32_t g0 = begin > first ? begin - first : 0, g1 = end - first;
        if (g1 > j->n_groups[i]) g1 = j->n_groups[i];
        int32_t r = g0 * GROUP, r_end = g1 * GROUP < j->p[i].w->n ? g1 * GROUP : j->p[i].w->n;
        for (; r < r_end; r += j->most_rows)
            j->fn(j, i, r, r_end - r < j->most_rows ? r_end - r : j->most_rows, thread);
    }
}

/* row_size is that of the matrix with the longest rows. */
static int32_t most_rows(const matmul_job *j, size_t row_size) {
    size_t rows = j->fn == store_rows
                      ? (size_t)INT32_MAX
                      : (size_t)cpu_tile_floats(j->be->need.n_batch) / (size_t)j->n_tok;
    if (j->n_tok > 1 && rows > CPU_UNPACK_BYTES / row_size) rows = CPU_UNPACK_BYTES / row_size;
    rows -= rows % GROUP;
    return rows < GROUP ? GROUP : rows > (1 << 20) ? 1 << 20 : (int32_t)rows;
}

static void run(bitnet_backend *be, matmul_job *j) {
    int32_t n_groups = 0;
    const bitnet_weight *ternary = NULL;
    size_t row_size = j->up ? j->up->row_size : 0;
    for (int32_t i = 0; i < j->n_product; i++) {
        const bitnet_weight *w = j->p[i].w;
        if (w->row_size > row_size) row_size = w->row_size;
        j->n_groups[i] = (w->n - 1) / GROUP + 1;
        n_groups += j->n_groups[i];
        if (w->type == BITNET_TYPE_I2_S) ternary = w;
    }
    if (j->up && j->up->type == BITNET_TYPE_I2_S) ternary = j->up;
    j->be = be;
    j->k = j->p[0].w->k;
    j->most_rows = most_rows(j, row_size);
    if (ternary) quantise(be, j, ternary);
    cpu_quant x;
    if (j->fn == add_rows && is_sparse(j, j->p[0].w->cols, &x) &&
        bitnet_cpu_sparse_down(be, j->p[0].w, &x, j->p))
        return;
    /* whole tiles of the kernels, and enough bytes to be worth a thread */
    size_t grain = CPU_SLICE_BYTES / (j->p[0].w->row_size * GROUP * (size_t)j->n_tok);
    bitnet_pool_run(be->pool, run_groups, j, n_groups, grain < 4 ? 4 : (int32_t)grain);
}

void bitnet_cpu_matmul(bitnet_backend *be, const bitnet_product *p, int32_t n,
                       const bitnet_buf *x) {
    matmul_job j = {
        .fn = store_rows, .n_product = n, .n_tok = be->batch->n_tok, .x = cpu_f32_in(x)};
    memcpy(j.p, p, (size_t)n * sizeof *p);
    run(be, &j);
}

void bitnet_cpu_matmul_add(bitnet_backend *be, const bitnet_product *p, const bitnet_buf *x) {
    matmul_job j = {
        .fn = add_rows, .p = {*p}, .n_product = 1, .n_tok = be->batch->n_tok, .x = cpu_f32_in(x)};
    run(be, &j);
}

void bitnet_cpu_matmul_gate(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                            const bitnet_weight *gate, const bitnet_weight *up, bitnet_act act) {
    matmul_job j = {.fn = gate_rows,
                    .p = {{y, gate, NULL}},
                    .n_product = 1,
                    .up = up,
                    .gate = act == BITNET_ACT_SILU ? be->kern.gate_silu : be->kern.gate_relu2,
                    .n_tok = be->batch->n_tok,
                    .x = cpu_f32_in(x)};
    run(be, &j);
}

void bitnet_cpu_head(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, const bitnet_weight *w,
                     bitnet_head_row *row, int32_t n) {
    const size_t k = (size_t)w->k;
    matmul_job j = {.fn = store_rows, .p = {{y, w, NULL}}, .n_product = 1, .n_tok = n};
    j.x = cpu_f32_in(x) + (size_t)row[0].row * k;
    if (row[n - 1].row - row[0].row != n - 1) { /* they do not lie together */
        float *rows = cpu_f32(be->scratch[CPU_ROWS]);
        for (int32_t i = 0; i < n; i++)
            memcpy(rows + (size_t)i * k, cpu_f32_in(x) + (size_t)row[i].row * k, k * sizeof(float));
        j.x = rows;
    }
    if (bitnet_cpu_head_in_stages(be, cpu_f32(y), j.x, w, row, n)) return;
    for (int32_t i = 0; i < n; i++)
        row[i].tail = (bitnet_tail){-INFINITY, 0.0f};
    run(be, &j);
}
