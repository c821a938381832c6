/* kv.c: see kv.h. */
#include "model/kv.h"

#include "format/blocks.h"

static uint64_t size_of(const bitnet_model *m, bitnet_type type, int32_t n_ctx) {
    /* at most 512 * 1024 * 1024 * 2^20 * 4 bytes by the hyper-parameters' ranges: no overflow */
    return (uint64_t)m->hp.n_layer * (uint64_t)m->hp.n_head_kv *
           bitnet_row_size(type, m->hp.head_dim) * (uint64_t)n_ctx;
}

uint64_t bitnet_kv_size(const bitnet_model *m, int32_t n_ctx) {
    return size_of(m, m->type_k, n_ctx) + size_of(m, m->type_v, n_ctx);
}

bitnet_status bitnet_kv_open(bitnet_kv *kv, const bitnet_model *m, int32_t n_ctx) {
    *kv = (bitnet_kv){.type_k = m->type_k,
                      .type_v = m->type_v,
                      .n_ctx = n_ctx,
                      .n_head = m->hp.n_head,
                      .n_head_kv = m->hp.n_head_kv,
                      .head_dim = m->hp.head_dim};
    uint64_t k = size_of(m, m->type_k, n_ctx), v = size_of(m, m->type_v, n_ctx);
    if (k > SIZE_MAX / 2 || v > SIZE_MAX / 2) return BITNET_E_NOMEM;
    bitnet_status st = m->ops->alloc(m->backend, (size_t)k, &kv->k);
    return st < 0 ? st : m->ops->alloc(m->backend, (size_t)v, &kv->v);
}

void bitnet_kv_close(bitnet_kv *kv, const bitnet_model *m) {
    m->ops->free(m->backend, kv->k);
    m->ops->free(m->backend, kv->v);
}
