/* kv.h: the KV cache of one context: two backend buffers, [layer][n_head_kv][n_ctx][head_dim] f32.
 * f32, because f16 changes greedy tokens against the reference (docs/speed.md).
 *
 * A head's positions lie side by side, so attention over them is one linear read.
 */
#ifndef BITNET_KV_H
#define BITNET_KV_H

#include "model/weights.h"

uint64_t bitnet_kv_size(const bitnet_hparams *hp, int32_t n_ctx); /* bytes of K and V together */
bitnet_status bitnet_kv_open(bitnet_kv *kv, const bitnet_hparams *hp, int32_t n_ctx,
                             const bitnet_backend_ops *ops, bitnet_backend *be);
void bitnet_kv_close(bitnet_kv *kv, const bitnet_backend_ops *ops, bitnet_backend *be);

#endif
