/* profile_backend.c: the backend around a model's own: passes every operation on, and times it.
 *
 * A model's handle for it is the profile itself. Weights and buffers are the inner backend's, so it can be put around
 * a model that has contexts, and taken away again. What lies between begin and end belongs to the thread that holds the
 * inner backend's turn. Weights are counted by the inner backend; keys, values and activations here, from shapes.
 */
#include "tracker/profile.h"

static bitnet_profile *profile_of(const bitnet_backend *be) {
    return (bitnet_profile *)(uintptr_t)(const void *)be;
}

/* ---- passed on ------------------------------------------------------------------------------------
 */

static void pass_close(bitnet_backend *be) {
    bitnet_profile *p = profile_of(be);
    p->inner->close(p->backend);
}
static void pass_info(const bitnet_backend *be, bitnet_backend_info *out) {
    const bitnet_profile *p = profile_of(be);
    p->inner->info(p->backend, out);
}
static bitnet_status pass_alloc(bitnet_backend *be, size_t bytes, bitnet_buf **out) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->alloc(p->backend, bytes, out);
}
static void pass_free(bitnet_backend *be, bitnet_buf *buf) {
    const bitnet_profile *p = profile_of(be);
    p->inner->free(p->backend, buf);
}
static bitnet_status pass_write(bitnet_backend *be, bitnet_buf *dst, size_t off, const void *src,
                                size_t n) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->write(p->backend, dst, off, src, n);
}
static bitnet_status pass_read(bitnet_backend *be, void *dst, const bitnet_buf *src, size_t off,
                               size_t n) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->read(p->backend, dst, src, off, n);
}
static const void *pass_map(const bitnet_backend *be, const bitnet_buf *buf) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->map(p->backend, buf);
}
static bitnet_status pass_bind(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                               bitnet_error *err) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->bind(p->backend, t, out, err);
}
static uint64_t pass_bind_plan(const bitnet_backend *be, const bitnet_tensor *t) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->bind_plan(p->backend, t);
}
static void pass_unbind(bitnet_backend *be, bitnet_weight *w) {
    const bitnet_profile *p = profile_of(be);
    p->inner->unbind(p->backend, w);
}
static bitnet_status pass_reserve(bitnet_backend *be, const bitnet_backend_need *need) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->reserve(p->backend, need);
}
static uint64_t pass_plan(const bitnet_backend *be, const bitnet_backend_need *need) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->plan(p->backend, need);
}
static bool pass_weights_at(const bitnet_backend *be, int32_t i, const void **data, size_t *size) {
    const bitnet_profile *p = profile_of(be);
    return p->inner->weights_at(p->backend, i, data, size);
}
static void pass_watch(bitnet_backend *be, const bitnet_watch *w) {
    const bitnet_profile *p = profile_of(be);
    p->inner->watch(p->backend, w);
}

/* ---- one operation ----------------------------------------------------------------------------------
 */

static void add_work(void *ctx, uint64_t bytes, uint64_t n_mac_i8, uint64_t n_mac_f32) {
    bitnet_profile *p = ctx;
    atomic_fetch_add_explicit(&p->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->n_mac_i8, n_mac_i8, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->n_mac_f32, n_mac_f32, memory_order_relaxed);
}

static void begin_op(bitnet_profile *p, int32_t kernel, int32_t layer) {
    atomic_store_explicit(&p->bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&p->n_mac_i8, 0, memory_order_relaxed);
    atomic_store_explicit(&p->n_mac_f32, 0, memory_order_relaxed);
    p->op_kernel = (uint8_t)kernel;
    p->op_layer = (int16_t)layer;
    p->op_ns = bitnet_os_now_ns();
}

static void end_op(bitnet_profile *p, uint64_t activations) {
    const uint64_t end = bitnet_os_now_ns();
    bitnet_work w = {.calls = 1,
                     .ns = end - p->op_ns,
                     .bytes = atomic_load_explicit(&p->bytes, memory_order_relaxed),
                     .activation_bytes = activations * sizeof(float),
                     .n_mac_i8 = atomic_load_explicit(&p->n_mac_i8, memory_order_relaxed),
                     .n_mac_f32 = atomic_load_explicit(&p->n_mac_f32, memory_order_relaxed)};
    w.least_s = bitnet_profile_least(&p->bounds, &w);
    bitnet_profile_add(p, p->op_kernel, p->op_layer, &w);
    p->step.bytes += w.bytes;
    p->step.n_mac_i8 += w.n_mac_i8 + w.n_mac_f32;
    p->step.least_s += w.least_s;
    if (p->spans_cap == 0) return;
    bitnet_profile_end_slices(p, end);
    bitnet_profile_push(p, 0,
                        &(bitnet_profile_span){.begin_ns = p->op_ns,
                                               .end_ns = end,
                                               .bytes = w.bytes,
                                               .n_mac = w.n_mac_i8 + w.n_mac_f32,
                                               .n_tok = p->batch->n_tok,
                                               .layer = p->op_layer,
                                               .kind = BITNET_SPAN_KERNEL,
                                               .kernel = p->op_kernel,
                                               .share = (float)bitnet_work_share(&w)});
}

static uint64_t n_tok(const bitnet_profile *p) {
    return (uint64_t)p->batch->n_tok;
}

/* ---- measured --------------------------------------------------------------------------------------
 */

static bitnet_status pass_begin(bitnet_backend *be, const bitnet_batch *batch) {
    bitnet_profile *p = profile_of(be);
    bitnet_status st = p->inner->begin(p->backend, batch);
    if (st < 0) return st;
    p->batch = batch;
    p->step = (bitnet_work){0};
    p->has_head = false;
    p->forward_ns = bitnet_os_now_ns();
    return st;
}

/* The inner backend's turn is over with its end: what is told of the pass is told before. */
static bitnet_status pass_end(bitnet_backend *be) {
    bitnet_profile *p = profile_of(be);
    const uint64_t end = bitnet_os_now_ns();
    p->step.ns = end - p->forward_ns;
    bitnet_profile_push(p, 0,
                        &(bitnet_profile_span){.begin_ns = p->forward_ns,
                                               .end_ns = end,
                                               .bytes = p->step.bytes,
                                               .n_mac = p->step.n_mac_i8,
                                               .n_tok = p->batch->n_tok,
                                               .layer = -1,
                                               .kind = BITNET_SPAN_FORWARD,
                                               .share = (float)bitnet_work_share(&p->step)});
    p->after_ns = p->has_head ? end : 0;
    p->batch = NULL;
    return p->inner->end(p->backend);
}

static void time_embed(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w) {
    bitnet_profile *p = profile_of(be);
    begin_op(p, PROFILE_EMBED, -1);
    p->inner->embed(p->backend, y, w);
    end_op(p, n_tok(p) * (uint64_t)bitnet_profile_find(p, w)->k);
}

static void time_rmsnorm(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                         const bitnet_weight *w, float eps) {
    bitnet_profile *p = profile_of(be);
    const profile_weight *of = bitnet_profile_find(p, w);
    begin_op(p, of->kernel, of->layer);
    p->inner->rmsnorm(p->backend, y, x, w, eps);
    end_op(p, 2 * n_tok(p) * (uint64_t)of->k);
}

static void time_matmul(bitnet_backend *be, const bitnet_product *product, int32_t n,
                        const bitnet_buf *x) {
    bitnet_profile *p = profile_of(be);
    const profile_weight *of = bitnet_profile_find(p, product[0].w);
    uint64_t columns = (uint64_t)of->k;
    for (int32_t i = 0; i < n; i++)
        columns += (uint64_t)bitnet_profile_find(p, product[i].w)->n;
    begin_op(p, of->kernel, of->layer);
    p->inner->matmul(p->backend, product, n, x);
    end_op(p, n_tok(p) * columns);
}

static void time_matmul_add(bitnet_backend *be, const bitnet_product *product,
                            const bitnet_buf *x) {
    bitnet_profile *p = profile_of(be);
    const profile_weight *of = bitnet_profile_find(p, product->w);
    begin_op(p, of->kernel, of->layer);
    p->inner->matmul_add(p->backend, product, x);
    end_op(p, n_tok(p) * ((uint64_t)of->k + 2 * (uint64_t)of->n)); /* y is read and written */
}

static void time_matmul_gate(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                             const bitnet_weight *gate, const bitnet_weight *up, bitnet_act act) {
    bitnet_profile *p = profile_of(be);
    const profile_weight *of = bitnet_profile_find(p, gate);
    begin_op(p, of->kernel, of->layer);
    p->inner->matmul_gate(p->backend, y, x, gate, up, act);
    end_op(p, n_tok(p) * ((uint64_t)of->k + (uint64_t)of->n));
}

static void time_head(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                      const bitnet_weight *w, bitnet_head_row *row, int32_t n) {
    bitnet_profile *p = profile_of(be);
    const profile_weight *of = bitnet_profile_find(p, w);
    begin_op(p, PROFILE_HEAD, -1);
    p->inner->head(p->backend, y, x, w, row, n);
    end_op(p, (uint64_t)n * ((uint64_t)of->k + (uint64_t)of->n));
    p->has_head = true;
}

/* Bytes of n values of a cache; of the types that it may have. */
static uint64_t cache_bytes(bitnet_type type, uint64_t n) {
    return type == BITNET_TYPE_F32 ? 4 * n : type == BITNET_TYPE_F16 ? 2 * n : n / 32 * 34;
}

/* A timeline's keys and values are read once for all its tokens of the step, and the new ones written. Token i
 * multiplies its query with pos + i + 1 keys, and its weights with as many values. */
static void add_attention(bitnet_profile *p) {
    uint64_t bytes = 0, n_pairs = 0;
    const bitnet_kv *kv = NULL;
    for (int32_t i = 0; i < p->batch->n_span; i++) {
        const bitnet_kv_span *s = &p->batch->span[i];
        const uint64_t pos = (uint64_t)s->pos, n = (uint64_t)s->n_tok;
        kv = s->kv;
        const uint64_t values = (pos + n + n) * (uint64_t)kv->n_head_kv * (uint64_t)kv->head_dim;
        bytes += cache_bytes(kv->type_k, values) + cache_bytes(kv->type_v, values);
        n_pairs += n * pos + n * (n + 1) / 2;
    }
    if (kv) add_work(p, bytes, 0, 2 * n_pairs * (uint64_t)kv->n_head * (uint64_t)kv->head_dim);
}

static void time_attend(bitnet_backend *be, bitnet_buf *y, bitnet_buf *q, bitnet_buf *k,
                        const bitnet_buf *v, const bitnet_rope *rope, int32_t layer) {
    bitnet_profile *p = profile_of(be);
    const bitnet_kv *kv = p->batch->span[0].kv;
    begin_op(p, PROFILE_ATTENTION, layer < p->n_layer ? layer : -1);
    p->inner->attend(p->backend, y, q, k, v, rope, layer);
    add_attention(p);
    end_op(p, 2 * n_tok(p) * (uint64_t)(kv->n_head + kv->n_head_kv) * (uint64_t)kv->head_dim);
}

void bitnet_profile_wrap(bitnet_profile *p) {
    p->watch = (bitnet_watch){p, add_work, p->spans_cap > 0 ? bitnet_profile_slice : NULL};
    p->ops = (bitnet_backend_ops){
        .abi = p->inner->abi,
        .name = p->inner->name,
        .open = p->inner->open,
        .close = pass_close,
        .info = pass_info,
        .alloc = pass_alloc,
        .free = pass_free,
        .write = pass_write,
        .read = pass_read,
        .map = pass_map,
        .bind = pass_bind,
        .bind_plan = pass_bind_plan,
        .unbind = pass_unbind,
        .reserve = pass_reserve,
        .plan = pass_plan,
        .begin = pass_begin,
        .end = pass_end,
        .embed = time_embed,
        .rmsnorm = time_rmsnorm,
        .matmul = time_matmul,
        .matmul_add = time_matmul_add,
        .matmul_gate = time_matmul_gate,
        .head = time_head,
        .attend = time_attend,
        .weights_at = pass_weights_at,
        .watch = pass_watch,
    };
}
