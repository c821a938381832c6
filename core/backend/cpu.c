/* cpu.c: the backend seam over the kernels and the thread pool.
 *
 * Owns the kernel table, the pool, activation buffers and the int8 copy of the last matmul input.
 * Weights stay where the file's bytes are: layout A is what the kernels read, so binding checks and
 * remembers, and copies nothing. Several contexts may share one backend; `begin` takes a lock that
 * `end` gives back.
 */
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "base/pool.h"
#include "bitnet/backend.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"

#define CPU_ALIGN   64        /* a cache line, and a 512-bit register */
#define ROW_GRAIN   16        /* rows: a cache line of f32 results, a multiple of every row tile */
#define SLICE_BYTES (8 << 10) /* of weights: measured, docs/speed.md */
#define ELEM_GRAIN  4096      /* elements, likewise */

struct bitnet_buf {
    uint8_t *data; /* aligned to CPU_ALIGN */
    size_t size;
    size_t block_size;
};

struct bitnet_weight {
    bitnet_type type;
    int32_t k, n; /* inner size, rows */
    const void *data;
    float scale; /* of I2_S; otherwise 1 */
};

struct bitnet_backend {
    bitnet_kernels kern;
    bitnet_pool *pool;
    bitnet_allocator allocator;
    bitnet_os_mutex lock;         /* held from begin to end: guards everything below */
    _Atomic uint64_t memory_used; /* contexts are created on any thread */

    int32_t max_k;          /* widest ternary input bound so far */
    int32_t n_batch, n_ctx; /* reserved */
    bitnet_buf *quant;      /* xq [n_batch][max_k] i8 | s [n_batch] f32 | xsum [n_batch] i32 */
    bitnet_buf *scores;     /* [n_threads][n_ctx] f32 */
    /* whose int8 copy `quant` holds: q, k and v share one quantisation, gate and up another */
    const bitnet_buf *quant_of;
    int32_t quant_n_tok, quant_k;
};

/* ---- memory -----------------------------------------------------------------------------------
 */

static bitnet_status cpu_alloc(bitnet_backend *be, size_t bytes, bitnet_buf **out) {
    size_t block_size = sizeof(bitnet_buf) + bytes + CPU_ALIGN;
    bitnet_buf *buf = bitnet_alloc(&be->allocator, block_size);
    *out = buf;
    if (!buf) return BITNET_E_NOMEM;
    uintptr_t start = (uintptr_t)(buf + 1);
    buf->data = (uint8_t *)(buf + 1) + (CPU_ALIGN - start % CPU_ALIGN) % CPU_ALIGN;
    buf->size = bytes;
    buf->block_size = block_size;
    be->memory_used += bytes;
    return BITNET_OK;
}

static void cpu_free(bitnet_backend *be, bitnet_buf *buf) {
    if (!buf) return;
    be->memory_used -= buf->size;
    bitnet_free(&be->allocator, buf, buf->block_size);
}

static bool range_is_ok(const bitnet_buf *buf, size_t off, size_t n) {
    return off <= buf->size && n <= buf->size - off;
}

static bitnet_status cpu_write(bitnet_backend *be, bitnet_buf *dst, size_t off, const void *src,
                               size_t n) {
    (void)be;
    if (!range_is_ok(dst, off, n)) return BITNET_E_INVAL;
    memcpy(dst->data + off, src, n);
    return BITNET_OK;
}

static bitnet_status cpu_read(bitnet_backend *be, void *dst, const bitnet_buf *src, size_t off,
                              size_t n) {
    (void)be;
    if (!range_is_ok(src, off, n)) return BITNET_E_INVAL;
    memcpy(dst, src->data + off, n);
    return BITNET_OK;
}

static const void *cpu_map(const bitnet_backend *be, const bitnet_buf *buf) {
    (void)be;
    return buf->data;
}

static float *f32_of(bitnet_buf *buf) {
    return (float *)(void *)buf->data;
}
static const float *f32_in(const bitnet_buf *buf) {
    return (const float *)(const void *)buf->data;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void cpu_close(bitnet_backend *be) {
    if (!be) return;
    cpu_free(be, be->quant);
    cpu_free(be, be->scores);
    bitnet_pool_free(be->pool);
    bitnet_os_mutex_destroy(&be->lock);
    bitnet_allocator a = be->allocator;
    bitnet_free(&a, be, sizeof *be);
}

static bitnet_status cpu_open(bitnet_backend **out, const bitnet_backend_desc *desc,
                              bitnet_error *err) {
    *out = NULL;
    bitnet_backend *be = bitnet_alloc(&desc->allocator, sizeof *be);
    if (!be)
        return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory", "cpu backend: out of memory");
    be->allocator = desc->allocator;
    if (bitnet_os_mutex_init(&be->lock) < 0) {
        bitnet_free(&desc->allocator, be, sizeof *be);
        return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory", "cpu backend: no lock to be had");
    }
    bitnet_kernels_init(&be->kern, bitnet_cpu_flags_masked(desc->cpu_mask));
    int32_t n_threads = desc->n_threads > 0 ? desc->n_threads : bitnet_os_n_cpu();
    if (bitnet_pool_create(&be->pool, n_threads, &be->allocator) < 0) {
        cpu_close(be);
        return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory",
                           "cpu backend: out of memory for %d threads", n_threads);
    }
    *out = be;
    return BITNET_OK;
}

static void cpu_info(const bitnet_backend *be, bitnet_backend_info *out) {
    out->tier = be->kern.tier;
    out->n_threads = bitnet_pool_size(be->pool);
    out->memory_used = be->memory_used;
}

static bitnet_status grow(bitnet_backend *be, bitnet_buf **buf, size_t bytes) {
    if (*buf && (*buf)->size >= bytes) return BITNET_OK;
    bitnet_buf *bigger;
    bitnet_status st = cpu_alloc(be, bytes, &bigger);
    if (st < 0) return st;
    cpu_free(be, *buf);
    *buf = bigger;
    return BITNET_OK;
}

static bitnet_status cpu_reserve(bitnet_backend *be, int32_t n_batch, int32_t n_ctx) {
    bitnet_os_mutex_lock(&be->lock);
    if (n_batch > be->n_batch) be->n_batch = n_batch;
    if (n_ctx > be->n_ctx) be->n_ctx = n_ctx;
    size_t per_token = (size_t)be->max_k + sizeof(float) + sizeof(int32_t);
    bitnet_status st = grow(be, &be->quant, (size_t)be->n_batch * per_token);
    if (st >= 0)
        st = grow(be, &be->scores,
                  (size_t)bitnet_pool_size(be->pool) * (size_t)be->n_ctx * sizeof(float));
    be->quant_of = NULL;
    bitnet_os_mutex_unlock(&be->lock);
    return st;
}

/* ---- weights ----------------------------------------------------------------------------------
 */

static bitnet_status cpu_bind(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                              bitnet_error *err) {
    *out = NULL;
    bool is_vector = t->ne[1] == 1;
    if (t->ne[0] > INT32_MAX || t->ne[1] > INT32_MAX)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.shape",
                           "%s: [%lld, %lld] is larger than the 2^31 - 1 a kernel counts to",
                           t->name, (long long)t->ne[0], (long long)t->ne[1]);
    if (t->type == BITNET_TYPE_I2_S && t->ne[0] % BITNET_K_BLOCK != 0)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.shape",
                           "%s: rows of %lld ternary weights; a multiple of %d is needed", t->name,
                           (long long)t->ne[0], BITNET_K_BLOCK);
    if (t->type == BITNET_TYPE_F32 && !is_vector)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.type",
                           "%s: a matrix of type F32 is not supported; F16 and I2_S are", t->name);
    if (t->type == BITNET_TYPE_F16 && is_vector)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.type",
                           "%s: a vector of type F16 is not supported; F32 is", t->name);
    bitnet_weight *w = bitnet_alloc(&be->allocator, sizeof *w);
    if (!w) return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory", "%s: out of memory", t->name);
    *w = (bitnet_weight){t->type, (int32_t)t->ne[0], (int32_t)t->ne[1], t->data, 1.0f};
    if (t->type == BITNET_TYPE_I2_S) {
        size_t packed = (size_t)w->n * (size_t)w->k / 4; /* the scale follows the codes */
        memcpy(&w->scale, (const uint8_t *)t->data + packed, sizeof w->scale);
        if (w->k > be->max_k) be->max_k = w->k;
    }
    *out = w;
    return BITNET_OK;
}

static void cpu_unbind(bitnet_backend *be, bitnet_weight *w) {
    bitnet_free(&be->allocator, w, sizeof *w);
}

/* ---- one step ---------------------------------------------------------------------------------
 */

static bitnet_status cpu_begin(bitnet_backend *be, int32_t n_tok) {
    bitnet_os_mutex_lock(&be->lock);
    be->quant_of = NULL;
    if (n_tok > be->n_batch) {
        bitnet_os_mutex_unlock(&be->lock);
        return BITNET_E_INVAL;
    }
    return BITNET_OK;
}

static bitnet_status cpu_end(bitnet_backend *be) {
    bitnet_os_mutex_unlock(&be->lock);
    return BITNET_OK;
}

/* Every operation that writes y calls this: an int8 copy of y is out of date from now on. */
static void wrote(bitnet_backend *be, const bitnet_buf *y) {
    if (be->quant_of == y) be->quant_of = NULL;
}

/* How much of an operation is worth a thread: rows of row_size bytes against n_tok tokens, */
static int32_t rows_a_slice(size_t row_size, int32_t n_tok) {
    size_t rows = SLICE_BYTES / (row_size * (size_t)n_tok);
    return (int32_t)(rows / ROW_GRAIN + 1) * ROW_GRAIN;
}

/* or items of n elements each. */
static int32_t tokens_a_slice(int32_t n) {
    return ELEM_GRAIN / n + 1;
}

typedef struct elem_job {
    const bitnet_backend *be;
    float *y;
    const float *a, *b;
    int32_t row; /* elements per index of the range */
    float eps;
    bitnet_gate_relu2_fn gate;
} elem_job;

static void cpu_embed(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w,
                      const bitnet_token *ids, int32_t n_tok) {
    const uint16_t *rows = w->data;
    for (int32_t t = 0; t < n_tok; t++)
        be->kern.f16_to_f32(f32_of(y) + (size_t)t * (size_t)w->k,
                            rows + (size_t)ids[t] * (size_t)w->k, (size_t)w->k);
    wrote(be, y);
}

static void rmsnorm_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const elem_job *j = ctx;
    for (int32_t t = begin; t < end; t++) {
        size_t off = (size_t)t * (size_t)j->row;
        j->be->kern.rmsnorm(j->y + off, j->a + off, j->b, j->row, j->eps);
    }
}

static void cpu_rmsnorm(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                        const bitnet_weight *w, int32_t n_tok, float eps) {
    elem_job j = {.be = be, .y = f32_of(y), .a = f32_in(x), .b = w->data, .row = w->k, .eps = eps};
    bitnet_pool_run(be->pool, rmsnorm_rows, &j, n_tok, tokens_a_slice(w->k));
    wrote(be, y);
}

typedef struct matmul_job {
    const bitnet_backend *be;
    const bitnet_weight *w;
    float *y;
    const float *x;
    int8_t *xq;
    float *s;
    int32_t *xsum;
    int32_t n_tok;
} matmul_job;

static void quantise_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const matmul_job *j = ctx;
    for (int32_t t = begin; t < end; t++) {
        size_t off = (size_t)t * (size_t)j->w->k;
        j->be->kern.act_quant(j->xq + off, j->s + t, j->xsum + t, j->x + off, j->w->k);
    }
}

static void tern_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const matmul_job *j = ctx;
    const bitnet_weight *w = j->w;
    bitnet_tern_args a = {.y = j->y + begin,
                          .ldy = w->n,
                          .w = (const uint8_t *)w->data + (size_t)begin * (size_t)w->k / 4,
                          .xq = j->xq,
                          .s = j->s,
                          .xsum = j->xsum,
                          .w_scale = w->scale,
                          .n = end - begin,
                          .k = w->k,
                          .m = j->n_tok};
    j->be->kern.tern_matmul(&a);
}

static void f16_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const matmul_job *j = ctx;
    const bitnet_weight *w = j->w;
    bitnet_f16_args a = {.y = j->y + begin,
                         .ldy = w->n,
                         .w = (const uint16_t *)w->data + (size_t)begin * (size_t)w->k,
                         .x = j->x,
                         .n = end - begin,
                         .k = w->k,
                         .m = j->n_tok};
    j->be->kern.f16_matmul(&a);
}

/* x is row `first` of buffer xb and what follows. */
static void matmul_rows(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *xb, int32_t first,
                        const bitnet_weight *w, int32_t n_tok) {
    matmul_job j = {.be = be, .w = w, .y = f32_of(y), .n_tok = n_tok};
    j.x = f32_in(xb) + (size_t)first * (size_t)w->k;
    if (w->type == BITNET_TYPE_I2_S) {
        size_t n_batch = (size_t)be->n_batch;
        j.xq = (int8_t *)be->quant->data;
        j.s = (float *)(void *)(be->quant->data + n_batch * (size_t)be->max_k);
        j.xsum = (int32_t *)(void *)(j.s + n_batch);
        bool is_quantised =
            be->quant_of == xb && first == 0 && be->quant_n_tok == n_tok && be->quant_k == w->k;
        if (!is_quantised) {
            bitnet_pool_run(be->pool, quantise_rows, &j, n_tok, tokens_a_slice(w->k));
            be->quant_of = first == 0 ? xb : NULL;
            be->quant_n_tok = n_tok, be->quant_k = w->k;
        }
        bitnet_pool_run(be->pool, tern_rows, &j, w->n, rows_a_slice((size_t)w->k / 4, n_tok));
    } else {
        bitnet_pool_run(be->pool, f16_rows, &j, w->n,
                        rows_a_slice((size_t)w->k * sizeof(uint16_t), n_tok));
    }
    wrote(be, y);
}

static void cpu_matmul(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                       const bitnet_weight *w, int32_t n_tok) {
    matmul_rows(be, y, x, 0, w, n_tok);
}

static void cpu_matmul_last(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                            const bitnet_weight *w, int32_t n_tok) {
    matmul_rows(be, y, x, n_tok - 1, w, 1);
}

static void cpu_rope(bitnet_backend *be, bitnet_buf *x, int32_t n_head, int32_t head_dim,
                     int32_t pos, int32_t n_tok, const bitnet_rope *rope) {
    size_t half = (size_t)rope->n_rot / 2, row = (size_t)n_head * (size_t)head_dim;
    for (int32_t t = 0; t < n_tok; t++) {
        size_t p = (size_t)(pos + t) * half;
        be->kern.rope(f32_of(x) + (size_t)t * row, f32_in(rope->cos) + p, f32_in(rope->sin) + p,
                      n_head, head_dim, rope->n_rot);
    }
    wrote(be, x);
}

typedef struct attend_job {
    const bitnet_backend *be;
    float *y;
    const float *q;
    const float *k, *v; /* of the layer: [n_head_kv][n_ctx][D] */
    const bitnet_kv *kv;
    int32_t pos;
} attend_job;

static void attend_heads(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const attend_job *j = ctx;
    const bitnet_kv *kv = j->kv;
    size_t dim = (size_t)kv->head_dim, n_ctx = (size_t)kv->n_ctx;
    for (int32_t i = begin; i < end; i++) { /* i = token * n_head + head */
        int32_t t = i / kv->n_head, head = i % kv->n_head;
        size_t head_kv = (size_t)(head / (kv->n_head / kv->n_head_kv));
        bitnet_attn_args a = {.y = j->y + (size_t)i * dim,
                              .q = j->q + (size_t)i * dim,
                              .k = j->k + head_kv * n_ctx * dim,
                              .v = j->v + head_kv * n_ctx * dim,
                              .stride = (ptrdiff_t)dim,
                              .p = f32_of(j->be->scores) + (size_t)thread * (size_t)j->be->n_ctx,
                              .scale = 1.0f / sqrtf((float)kv->head_dim),
                              .n_pos = j->pos + t + 1,
                              .head_dim = kv->head_dim};
        j->be->kern.attn(&a);
    }
}

static void cpu_attend(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *q, const bitnet_buf *k,
                       const bitnet_buf *v, const bitnet_kv *kv, int32_t layer, int32_t pos,
                       int32_t n_tok) {
    size_t dim = (size_t)kv->head_dim, n_kv = (size_t)kv->n_head_kv, n_ctx = (size_t)kv->n_ctx;
    size_t layer_off = (size_t)layer * n_kv * n_ctx * dim;
    float *kc = f32_of(kv->k) + layer_off, *vc = f32_of(kv->v) + layer_off;
    for (int32_t t = 0; t < n_tok; t++)
        for (size_t h = 0; h < n_kv; h++) {
            size_t from = ((size_t)t * n_kv + h) * dim, to = (h * n_ctx + (size_t)(pos + t)) * dim;
            memcpy(kc + to, f32_in(k) + from, dim * sizeof(float));
            memcpy(vc + to, f32_in(v) + from, dim * sizeof(float));
        }
    attend_job j = {
        .be = be, .y = f32_of(y), .q = f32_in(q), .k = kc, .v = vc, .kv = kv, .pos = pos};
    bitnet_pool_run(be->pool, attend_heads, &j, n_tok * kv->n_head,
                    tokens_a_slice((pos + n_tok) * kv->head_dim));
    wrote(be, y);
}

static void gate_range(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const elem_job *j = ctx;
    size_t off = (size_t)begin * (size_t)j->row;
    j->gate(j->y + off, j->a + off, j->b + off, (size_t)(end - begin) * (size_t)j->row);
}

static void cpu_gate(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *gate,
                     const bitnet_buf *up, size_t n, bitnet_act act) {
    elem_job j = {
        .be = be, .y = f32_of(y), .a = f32_in(gate), .b = f32_in(up), .row = BITNET_K_BLOCK};
    j.gate = act == BITNET_ACT_SILU ? be->kern.gate_silu : be->kern.gate_relu2;
    size_t n_blocks = n / BITNET_K_BLOCK, done = n_blocks * BITNET_K_BLOCK;
    bitnet_pool_run(be->pool, gate_range, &j, (int32_t)n_blocks, ELEM_GRAIN / BITNET_K_BLOCK);
    j.gate(j.y + done, j.a + done, j.b + done, n - done);
    wrote(be, y);
}

static void cpu_add(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, size_t n) {
    be->kern.add(f32_of(y), f32_in(x), n);
    wrote(be, y);
}

const bitnet_backend_ops bitnet_backend_cpu = {
    .abi = BITNET_BACKEND_ABI,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .info = cpu_info,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .write = cpu_write,
    .read = cpu_read,
    .map = cpu_map,
    .bind = cpu_bind,
    .unbind = cpu_unbind,
    .reserve = cpu_reserve,
    .begin = cpu_begin,
    .end = cpu_end,
    .embed = cpu_embed,
    .rmsnorm = cpu_rmsnorm,
    .matmul = cpu_matmul,
    .matmul_last = cpu_matmul_last,
    .rope = cpu_rope,
    .attend = cpu_attend,
    .gate = cpu_gate,
    .add = cpu_add,
};
