/* kv.c: see kv.h. */
#include "model/kv.h"

uint64_t bitnet_kv_size(const bitnet_hparams *hp, int32_t n_ctx) {
    /* at most 512 * 1024 * 1024 * 2^20 * 8 bytes by the hyper-parameters' ranges: no overflow */
    return (uint64_t)hp->n_layer * (uint64_t)hp->n_head_kv * (uint64_t)hp->head_dim *
           (uint64_t)n_ctx * sizeof(float) * 2;
}

bitnet_status bitnet_kv_open(bitnet_kv *kv, const bitnet_hparams *hp, int32_t n_ctx,
                             const bitnet_backend_ops *ops, bitnet_backend *be) {
    uint64_t size = bitnet_kv_size(hp, n_ctx);
    *kv = (bitnet_kv){
        .n_ctx = n_ctx, .n_head = hp->n_head, .n_head_kv = hp->n_head_kv, .head_dim = hp->head_dim};
    if (size > SIZE_MAX / 2) return BITNET_E_NOMEM;
    bitnet_status st = ops->alloc(be, (size_t)(size / 2), &kv->k);
    return st < 0 ? st : ops->alloc(be, (size_t)(size / 2), &kv->v);
}

void bitnet_kv_close(bitnet_kv *kv, const bitnet_backend_ops *ops, bitnet_backend *be) {
    ops->free(be, kv->k);
    ops->free(be, kv->v);
}
