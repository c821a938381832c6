/* cpu.c: the backend seam over the kernels and the thread pool: memory, life, norms; the rest is in
 * the files beside it.
 *
 * Owns the kernel table, the pool, the scratch of a step and activation buffers. Several contexts may
 * share one backend; `begin` takes a lock that `end` gives back.
 */
#include "backend/cpu.h"

#include <string.h>

#include "format/ternary.h"
#include "kernels/cpu.h"

/* ---- memory -----------------------------------------------------------------------------------
 */

/* Not zeroed: what a long window never fills of its keys and values stays untouched. */
bitnet_status bitnet_cpu_alloc(bitnet_backend *be, size_t bytes, bitnet_buf **out) {
    size_t block_size = sizeof(bitnet_buf) + bytes + CPU_ALIGN;
    bitnet_buf *buf = bytes < block_size ? bitnet_alloc_raw(&be->allocator, block_size) : NULL;
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
    for (int i = 0; i < CPU_N_SCRATCH; i++)
        cpu_free(be, be->scratch[i]);
    bitnet_cpu_free_arena(be);
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
    be->sparse = desc->sparse;
    be->staged = desc->staged;
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
    bitnet_cpu_tune(be, desc->weight_bits, desc->ternary_size);
    *out = be;
    return BITNET_OK;
}

static void cpu_info(const bitnet_backend *be, bitnet_backend_info *out) {
    out->tier = be->kern.tier;
    out->weights = be->weights_text;
    out->n_threads = bitnet_pool_size(be->pool);
    out->memory_used = be->memory_used;
}

/* K of a ternary row as it is stored. */
static int32_t padded(int32_t k) {
    return (int32_t)(bitnet_ternary_row_size(k) * 4);
}

/* Bytes of the scratch buffers; n's k_ternary is padded. */
static void scratch_sizes(const bitnet_backend *be, const bitnet_backend_need *n,
                          uint64_t size[CPU_N_SCRATCH]) {
    const int32_t n_pool = bitnet_pool_size(be->pool);
    const uint64_t n_threads = (uint64_t)n_pool, n_batch = (uint64_t)n->n_batch;
    size[CPU_QUANT] = n_batch * ((uint64_t)n->k_ternary + sizeof(float) + sizeof(int32_t));
    size[CPU_NONZERO] = bitnet_cpu_nonzero_size(n);
    size[CPU_UNPACKED] = be->is_fives ? n_threads * CPU_UNPACK_BYTES : 0;
    size[CPU_DECODED] = n_threads * CPU_DECODE_ROWS * cpu_decoded_k(be, n) * sizeof(float);
    size[CPU_TILE] = n_threads * 2 * cpu_tile_floats(n->n_batch) * sizeof(float);
    size[CPU_ROWS] = n_batch * (uint64_t)n->n_embd * sizeof(float);
    size[CPU_SCAN] = be->staged == BITNET_OFF ? 0 : bitnet_cpu_scan_size(n, n_pool);
    size[CPU_ATTN] = bitnet_cpu_attn_size(n, n_pool);
}

static uint64_t cpu_plan(const bitnet_backend *be, const bitnet_backend_need *need) {
    bitnet_backend_need n = *need;
    n.k_ternary = padded(n.k_ternary);
    uint64_t size[CPU_N_SCRATCH], sum = 0;
    scratch_sizes(be, &n, size);
    for (int i = 0; i < CPU_N_SCRATCH; i++)
        sum += size[i];
    return sum;
}

static bitnet_status grow(bitnet_backend *be, bitnet_buf **buf, uint64_t bytes) {
    if (*buf && (*buf)->size >= bytes) return BITNET_OK;
    bitnet_buf *bigger;
    bitnet_status st =
        bytes <= SIZE_MAX ? bitnet_cpu_alloc(be, (size_t)bytes, &bigger) : BITNET_E_NOMEM;
    if (st < 0) return st;
    cpu_free(be, *buf);
    *buf = bigger;
    return BITNET_OK;
}

static void raise_to(int32_t *n, int32_t least) {
    if (*n < least) *n = least;
}

static bitnet_status cpu_reserve(bitnet_backend *be, const bitnet_backend_need *n) {
    bitnet_os_mutex_lock(&be->lock);
    bitnet_backend_need need = be->need;
    raise_to(&need.n_batch, n->n_batch);
    raise_to(&need.n_ctx, n->n_ctx);
    raise_to(&need.n_embd, n->n_embd);
    raise_to(&need.n_vocab, n->n_vocab);
    raise_to(&need.n_head, n->n_head);
    raise_to(&need.n_head_kv, n->n_head_kv);
    raise_to(&need.head_dim, n->head_dim);
    raise_to(&need.k_ternary, padded(n->k_ternary));
    raise_to(&need.k_blocks, n->k_blocks);
    uint64_t size[CPU_N_SCRATCH];
    scratch_sizes(be, &need, size);
    bitnet_status st = BITNET_OK;
    for (int i = 0; st >= 0 && i < CPU_N_SCRATCH; i++)
        st = grow(be, &be->scratch[i], size[i]);
    if (st >= 0) be->need = need;
    bitnet_os_mutex_unlock(&be->lock);
    return st;
}

/* ---- one step ---------------------------------------------------------------------------------
 */

static bitnet_status cpu_begin(bitnet_backend *be, const bitnet_batch *batch) {
    bitnet_os_mutex_lock(&be->lock);
    be->batch = batch;
    if (batch->n_tok <= be->need.n_batch) return BITNET_OK;
    bitnet_os_mutex_unlock(&be->lock);
    return BITNET_E_INVAL;
}

static bitnet_status cpu_end(bitnet_backend *be) {
    be->batch = NULL;
    bitnet_os_mutex_unlock(&be->lock);
    return BITNET_OK;
}

typedef struct norm_job {
    const bitnet_backend *be;
    float *y;
    const float *x, *w;
    int32_t k;
    float eps;
} norm_job;

static void rmsnorm_rows(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const norm_job *j = ctx;
    for (int32_t t = begin; t < end; t++) {
        size_t off = (size_t)t * (size_t)j->k;
        j->be->kern.rmsnorm(j->y + off, j->x + off, j->w, j->k, j->eps);
    }
}

static void cpu_rmsnorm(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                        const bitnet_weight *w, float eps) {
    norm_job j = {be, cpu_f32(y), cpu_f32_in(x), w->data, w->k, eps};
    bitnet_pool_run(be->pool, rmsnorm_rows, &j, be->batch->n_tok, cpu_items_a_slice(w->k));
    cpu_tell_work(be, w->row_size, 0, 0);
}

void bitnet_cpu_tell_work(const bitnet_backend *be, size_t bytes, size_t n_mac_i8,
                          size_t n_mac_f32) {
    be->watch->work(be->watch->ctx, bytes, n_mac_i8, n_mac_f32);
}

static void cpu_watch(bitnet_backend *be, const bitnet_watch *w) {
    bitnet_os_mutex_lock(&be->lock);
    be->watch = w;
    bitnet_pool_watch(be->pool, w ? w->slice : NULL, w ? w->ctx : NULL);
    bitnet_os_mutex_unlock(&be->lock);
}

const bitnet_backend_ops bitnet_backend_cpu = {
    .abi = BITNET_BACKEND_ABI,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .info = cpu_info,
    .alloc = bitnet_cpu_alloc,
    .free = cpu_free,
    .write = cpu_write,
    .read = cpu_read,
    .map = cpu_map,
    .bind = bitnet_cpu_bind,
    .bind_plan = bitnet_cpu_bind_plan,
    .unbind = bitnet_cpu_unbind,
    .reserve = cpu_reserve,
    .plan = cpu_plan,
    .begin = cpu_begin,
    .end = cpu_end,
    .embed = bitnet_cpu_embed,
    .rmsnorm = cpu_rmsnorm,
    .matmul = bitnet_cpu_matmul,
    .matmul_add = bitnet_cpu_matmul_add,
    .matmul_gate = bitnet_cpu_matmul_gate,
    .head = bitnet_cpu_head,
    .attend = bitnet_cpu_attend,
    .weights_at = bitnet_cpu_weights_at,
    .watch = cpu_watch,
};
