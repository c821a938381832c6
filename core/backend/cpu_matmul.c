/* cpu_matmul.c: the CPU backend's operations on matrices: embedding rows and products, of ternary
 * weights with int8 activations and of ordinary ones with f32 activations.
 *
 * F16 and F32 are read where they lie. Every other ordinary type is decoded a few rows at a time into
 * memory of the thread that needs them, once for all tokens of the step: the values are those of the
 * reference dequantiser, the sum is SUM16, so a type and its F32 conversion give the same bits.
 */
#include "backend/cpu.h"

#include <string.h>

void bitnet_cpu_embed(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w,
                      const bitnet_token *ids, int32_t n_tok) {
    size_t k = (size_t)w->k;
    for (int32_t t = 0; t < n_tok; t++) {
        float *out = cpu_f32(y) + (size_t)t * k;
        const uint8_t *row = (const uint8_t *)w->data + (size_t)ids[t] * w->row_size;
        if (w->type == BITNET_TYPE_F16)
            be->kern.f16_to_f32(out, (const uint16_t *)(const void *)row, k);
        else
            w->decode(out, row, w->k);
    }
    cpu_wrote(be, y);
}

typedef struct matmul_job {
    const bitnet_backend *be;
    const bitnet_weight *w;
    float *y;
    const float *x;
    int8_t *xq; /* [n_tok][k_pad] */
    float *s;
    int32_t *xsum;
    int32_t n_tok, k_pad;
} matmul_job;

/* Rows worth a thread, of row_size bytes against n_tok tokens. */
static int32_t rows_a_slice(size_t row_size, int32_t n_tok) {
    size_t rows = CPU_SLICE_BYTES / (row_size * (size_t)n_tok);
    return (int32_t)(rows / CPU_ROW_GRAIN + 1) * CPU_ROW_GRAIN;
}

/* ---- ternary ---------------------------------------------------------------------------------
 */

/* Behind the row's own k elements come zeros for the weights of 0 that pad a ternary row. */
static void quantise_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const matmul_job *j = ctx;
    size_t k = (size_t)j->w->k, k_pad = (size_t)j->k_pad;
    for (int32_t t = begin; t < end; t++) {
        int8_t *xq = j->xq + (size_t)t * k_pad;
        j->be->kern.act_quant(xq, j->s + t, j->xsum + t, j->x + (size_t)t * k, j->w->k);
        memset(xq + k, 0, k_pad - k);
    }
}

static void ternary_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const matmul_job *j = ctx;
    const bitnet_weight *w = j->w;
    bitnet_tern_args a = {.y = j->y + begin,
                          .ldy = w->n,
                          .w = (const uint8_t *)w->data + (size_t)begin * w->row_size,
                          .xq = j->xq,
                          .s = j->s,
                          .xsum = j->xsum,
                          .w_scale = w->scale,
                          .n = end - begin,
                          .k = j->k_pad,
                          .m = j->n_tok};
    j->be->kern.tern_matmul(&a);
}

/* first: the row of xb that j->x points to; only whole inputs are remembered. */
static void ternary_product(bitnet_backend *be, matmul_job *j, const bitnet_buf *xb,
                            int32_t first) {
    const bitnet_weight *w = j->w;
    size_t n_batch = (size_t)be->need.n_batch;
    j->k_pad = (int32_t)(w->row_size * 4);
    j->xq = (int8_t *)be->quant->data;
    j->s = (float *)(void *)(be->quant->data + n_batch * (size_t)be->need.k_ternary);
    j->xsum = (int32_t *)(void *)(j->s + n_batch);
    bool is_quantised =
        be->quant_of == xb && first == 0 && be->quant_n_tok == j->n_tok && be->quant_k == w->k;
    if (!is_quantised) {
        bitnet_pool_run(be->pool, quantise_rows, j, j->n_tok, cpu_items_a_slice(w->k));
        be->quant_of = first == 0 ? xb : NULL;
        be->quant_n_tok = j->n_tok, be->quant_k = w->k;
    }
    bitnet_pool_run(be->pool, ternary_rows, j, w->n, rows_a_slice(w->row_size, j->n_tok));
}

/* ---- ordinary --------------------------------------------------------------------------------
 */

/* The decoded copy of rows r .. r + n - 1, in this thread's memory. */
static const float *decode_rows(const matmul_job *j, int32_t r, int32_t n, int32_t thread) {
    const bitnet_weight *w = j->w;
    size_t k_blocks = (size_t)j->be->need.k_blocks;
    float *out = cpu_f32(j->be->decoded) + (size_t)thread * CPU_DECODE_ROWS * k_blocks;
    for (int32_t i = 0; i < n; i++)
        w->decode(out + (size_t)i * (size_t)w->k,
                  (const uint8_t *)w->data + (size_t)(r + i) * w->row_size, w->k);
    return out;
}

static void ordinary_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const matmul_job *j = ctx;
    const bitnet_weight *w = j->w;
    bool is_f16 = w->type == BITNET_TYPE_F16, is_plain = is_f16 || w->type == BITNET_TYPE_F32;
    int32_t step = is_plain ? end - begin : CPU_DECODE_ROWS;
    for (int32_t r = begin; r < end; r += step) {
        int32_t n = end - r < step ? end - r : step;
        bitnet_dense_args a = {
            .y = j->y + r, .ldy = w->n, .x = j->x, .n = n, .k = w->k, .m = j->n_tok};
        a.w = is_plain ? (const void *)((const uint8_t *)w->data + (size_t)r * w->row_size)
                       : decode_rows(j, r, n, thread);
        (is_f16 ? j->be->kern.f16_matmul : j->be->kern.f32_matmul)(&a);
        for (int32_t t = 0; w->scale != 1.0f && t < j->n_tok; t++)
            for (int32_t i = 0; i < n; i++)
                a.y[(size_t)t * (size_t)w->n + (size_t)i] *= w->scale;
    }
}

/* ----------------------------------------------------------------------------------------------
 */

/* x is row `first` of buffer xb and what follows. */
static void matmul_rows(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *xb, int32_t first,
                        const bitnet_weight *w, int32_t n_tok) {
    matmul_job j = {.be = be, .w = w, .y = cpu_f32(y), .n_tok = n_tok};
    j.x = cpu_f32_in(xb) + (size_t)first * (size_t)w->k;
    if (w->type == BITNET_TYPE_I2_S)
        ternary_product(be, &j, xb, first);
    else
        bitnet_pool_run(be->pool, ordinary_rows, &j, w->n, rows_a_slice(w->row_size, n_tok));
    cpu_wrote(be, y);
}

void bitnet_cpu_matmul(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                       const bitnet_weight *w, int32_t n_tok) {
    matmul_rows(be, y, x, 0, w, n_tok);
}

void bitnet_cpu_matmul_last(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                            const bitnet_weight *w, int32_t n_tok) {
    matmul_rows(be, y, x, n_tok - 1, w, 1);
}
