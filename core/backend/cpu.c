/* cpu.c: the backend seam over the kernels and the thread pool; the products are in cpu_matmul.c.
 *
 * Owns the kernel table, the pool, activation buffers and the int8 copy of the last matmul input.
 * Weights stay where the loader put them: binding checks and remembers, and copies nothing. Several
 * contexts may share one backend; `begin` takes a lock that `end` gives back.
 */
#include "backend/cpu.h"

#include <math.h>
#include <string.h>

#include "format/ternary.h"
#include "kernels/cpu.h"

#define CPU_ALIGN 64 /* a cache line, and a 512-bit register */

/* ---- memory -----------------------------------------------------------------------------------
 */

static bitnet_status cpu_alloc(bitnet_backend *be, size_t bytes, bitnet_buf **out) {
    size_t block_size = sizeof(bitnet_buf) + bytes + CPU_ALIGN;
    bitnet_buf *buf = bytes < block_size ? bitnet_alloc(&be->allocator, block_size) : NULL;
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

/* ---- life -------------------------------------------------------------------------------------
 */

static void cpu_close(bitnet_backend *be) {
    if (!be) return;
    cpu_free(be, be->quant);
    cpu_free(be, be->decoded);
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

/* Bytes of the three scratch buffers. */
typedef struct scratch {
    uint64_t quant, decoded, scores;
} scratch;

static scratch scratch_of(const bitnet_backend *be, const bitnet_backend_need *n) {
    uint64_t n_threads = (uint64_t)bitnet_pool_size(be->pool), n_batch = (uint64_t)n->n_batch;
    return (scratch){n_batch * ((uint64_t)n->k_ternary + sizeof(float) + sizeof(int32_t)),
                     n_threads * CPU_DECODE_ROWS * (uint64_t)n->k_blocks * sizeof(float),
                     n_threads * (uint64_t)n->n_ctx * sizeof(float)};
}

static uint64_t cpu_plan(const bitnet_backend *be, const bitnet_backend_need *need) {
    bitnet_backend_need n = *need;
    n.k_ternary = (int32_t)(bitnet_ternary_row_size(n.k_ternary) * 4);
    scratch s = scratch_of(be, &n);
    return s.quant + s.decoded + s.scores;
}

static bitnet_status grow(bitnet_backend *be, bitnet_buf **buf, uint64_t bytes) {
    if (*buf && (*buf)->size >= bytes) return BITNET_OK;
    bitnet_buf *bigger;
    bitnet_status st = bytes <= SIZE_MAX ? cpu_alloc(be, (size_t)bytes, &bigger) : BITNET_E_NOMEM;
    if (st < 0) return st;
    cpu_free(be, *buf);
    *buf = bigger;
    return BITNET_OK;
}

static bitnet_status cpu_reserve(bitnet_backend *be, int32_t n_batch, int32_t n_ctx) {
    bitnet_os_mutex_lock(&be->lock);
    bitnet_backend_need need = be->need;
    if (n_batch > need.n_batch) need.n_batch = n_batch;
    if (n_ctx > need.n_ctx) need.n_ctx = n_ctx;
    scratch s = scratch_of(be, &need);
    bitnet_status st = grow(be, &be->quant, s.quant);
    if (st >= 0) st = grow(be, &be->decoded, s.decoded);
    if (st >= 0) st = grow(be, &be->scores, s.scores);
    if (st >= 0) be->need = need;
    be->quant_of = NULL;
    bitnet_os_mutex_unlock(&be->lock);
    return st;
}

/* ---- weights ----------------------------------------------------------------------------------
 */

/* A kernel where this CPU has one, otherwise the format's own. */
static bitnet_decode_fn decoder_of(const bitnet_backend *be, bitnet_type type) {
    switch (type) {
    case BITNET_TYPE_Q8_0:
        return be->kern.decode_q8_0;
    case BITNET_TYPE_Q6_K:
        return be->kern.decode_q6_k;
    case BITNET_TYPE_Q4_K:
        return be->kern.decode_q4_k;
    case BITNET_TYPE_Q4_0:
        return be->kern.decode_q4_0;
    default:
        return bitnet_block_decoder(type);
    }
}

static bitnet_status cpu_bind(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                              bitnet_error *err) {
    *out = NULL;
    bool is_ternary = t->type == BITNET_TYPE_I2_S;
    bitnet_decode_fn decode = decoder_of(be, t->type);
    if (t->ne[0] > INT32_MAX - BITNET_K_BLOCK || t->ne[1] > INT32_MAX)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.shape",
                           "%s: [%lld, %lld] is larger than the 2^31 - 1 a kernel counts to",
                           t->name, (long long)t->ne[0], (long long)t->ne[1]);
    if (!is_ternary && !decode)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.type",
                           "%s: the cpu backend does not run type %s", t->name,
                           bitnet_type_name(t->type));
    bitnet_weight *w = bitnet_alloc(&be->allocator, sizeof *w);
    if (!w) return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory", "%s: out of memory", t->name);
    *w = (bitnet_weight){.type = t->type,
                         .k = (int32_t)t->ne[0],
                         .n = (int32_t)t->ne[1],
                         .data = t->data,
                         .scale = t->scale,
                         .decode = decode};
    w->row_size = (size_t)(is_ternary ? bitnet_ternary_row_size(t->ne[0])
                                      : bitnet_row_size(t->type, t->ne[0]));
    bool is_plain = t->type == BITNET_TYPE_F32 || t->type == BITNET_TYPE_F16;
    int32_t *widest = is_ternary ? &be->need.k_ternary : &be->need.k_blocks;
    int32_t k = is_ternary ? (int32_t)(w->row_size * 4) : w->k;
    if (!is_plain && k > *widest) *widest = k;
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
    if (n_tok > be->need.n_batch) {
        bitnet_os_mutex_unlock(&be->lock);
        return BITNET_E_INVAL;
    }
    return BITNET_OK;
}

static bitnet_status cpu_end(bitnet_backend *be) {
    bitnet_os_mutex_unlock(&be->lock);
    return BITNET_OK;
}

typedef struct elem_job {
    const bitnet_backend *be;
    float *y;
    const float *a, *b;
    int32_t row; /* elements per index of the range */
    float eps;
    bitnet_gate_relu2_fn gate;
} elem_job;

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
    elem_job j = {
        .be = be, .y = cpu_f32(y), .a = cpu_f32_in(x), .b = w->data, .row = w->k, .eps = eps};
    bitnet_pool_run(be->pool, rmsnorm_rows, &j, n_tok, cpu_items_a_slice(w->k));
    cpu_wrote(be, y);
}

static void cpu_rope(bitnet_backend *be, bitnet_buf *x, int32_t n_head, int32_t head_dim,
                     int32_t pos, int32_t n_tok, const bitnet_rope *rope) {
    size_t half = (size_t)rope->n_rot / 2, row = (size_t)n_head * (size_t)head_dim;
    for (int32_t t = 0; t < n_tok; t++) {
        size_t p = (size_t)(pos + t) * half;
        bitnet_rope_args a = {.x = cpu_f32(x) + (size_t)t * row,
                              .cos = cpu_f32_in(rope->cos) + p,
                              .sin = cpu_f32_in(rope->sin) + p,
                              .n_head = n_head,
                              .head_dim = head_dim,
                              .n_rot = rope->n_rot,
                              .is_norm = rope->is_norm};
        be->kern.rope(&a);
    }
    cpu_wrote(be, x);
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
                              .p = cpu_f32(j->be->scores) +
                                   (size_t)thread * (size_t)j->be->need.n_ctx,
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
    float *kc = cpu_f32(kv->k) + layer_off, *vc = cpu_f32(kv->v) + layer_off;
    for (int32_t t = 0; t < n_tok; t++)
        for (size_t h = 0; h < n_kv; h++) {
            size_t from = ((size_t)t * n_kv + h) * dim, to = (h * n_ctx + (size_t)(pos + t)) * dim;
            memcpy(kc + to, cpu_f32_in(k) + from, dim * sizeof(float));
            memcpy(vc + to, cpu_f32_in(v) + from, dim * sizeof(float));
        }
    attend_job j = {
        .be = be, .y = cpu_f32(y), .q = cpu_f32_in(q), .k = kc, .v = vc, .kv = kv, .pos = pos};
    bitnet_pool_run(be->pool, attend_heads, &j, n_tok * kv->n_head,
                    cpu_items_a_slice((pos + n_tok) * kv->head_dim));
    cpu_wrote(be, y);
}

static void gate_range(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const elem_job *j = ctx;
    size_t off = (size_t)begin * (size_t)j->row;
    j->gate(j->y + off, j->a + off, j->b + off, (size_t)(end - begin) * (size_t)j->row);
}

static void cpu_gate(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *gate,
                     const bitnet_buf *up, size_t n, bitnet_act act) {
    elem_job j = {.be = be,
                  .y = cpu_f32(y),
                  .a = cpu_f32_in(gate),
                  .b = cpu_f32_in(up),
                  .row = BITNET_K_BLOCK};
    j.gate = act == BITNET_ACT_SILU ? be->kern.gate_silu : be->kern.gate_relu2;
    size_t n_blocks = n / BITNET_K_BLOCK, done = n_blocks * BITNET_K_BLOCK;
    bitnet_pool_run(be->pool, gate_range, &j, (int32_t)n_blocks, CPU_ELEM_GRAIN / BITNET_K_BLOCK);
    j.gate(j.y + done, j.a + done, j.b + done, n - done);
    cpu_wrote(be, y);
}

static void cpu_bias(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *b, int32_t n_tok) {
    for (int32_t t = 0; t < n_tok; t++)
        be->kern.add(cpu_f32(y) + (size_t)t * (size_t)b->k, b->data, (size_t)b->k);
    cpu_wrote(be, y);
}

static void cpu_add(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, size_t n) {
    be->kern.add(cpu_f32(y), cpu_f32_in(x), n);
    cpu_wrote(be, y);
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
    .plan = cpu_plan,
    .begin = cpu_begin,
    .end = cpu_end,
    .embed = bitnet_cpu_embed,
    .rmsnorm = cpu_rmsnorm,
    .matmul = bitnet_cpu_matmul,
    .matmul_last = bitnet_cpu_matmul_last,
    .rope = cpu_rope,
    .attend = cpu_attend,
    .gate = cpu_gate,
    .bias = cpu_bias,
    .add = cpu_add,
};
