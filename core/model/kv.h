/* kv.h: the KV cache of one context: two backend buffers, [layer][n_head_kv][n_ctx] rows of head_dim
 * values.
 *
 * A head's positions lie side by side, so attention over them is one linear read.
 */
#ifndef BITNET_KV_H
#define BITNET_KV_H

#include "model/model.h"

/* bytes of K and V together */
uint64_t bitnet_kv_size(const bitnet_model *m, int32_t n_ctx);
bitnet_status bitnet_kv_open(bitnet_kv *kv, const bitnet_model *m, int32_t n_ctx);
void bitnet_kv_close(bitnet_kv *kv, const bitnet_model *m);

#endif
