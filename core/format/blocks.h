/* blocks.h: the block formats of GGUF, exactly: n weights <-> bytes (ggml-quants.c; formats page 1.5,
 * 1.6). Decoding gives the f32 that ggml's reference dequantiser gives, bit for bit; encoding is
 * ggml's reference quantiser. Pure functions, no state.
 *
 * A row holds a multiple of the type's block; callers have checked that.
 */
#ifndef BITNET_BLOCKS_H
#define BITNET_BLOCKS_H

#include "format/tensors.h"

/* F32 F16 BF16 Q8_0 Q6_K Q4_0 Q4_K TQ1_0 TQ2_0; NULL for every other type */
typedef void (*bitnet_decode_fn)(float *out, const void *blocks, int64_t n);
bitnet_decode_fn bitnet_block_decoder(uint32_t type);

/* F32 F16 BF16 Q8_0 Q6_K Q4_0 TQ1_0 TQ2_0; NULL for every other type. x is finite. Q4_K is read only. */
typedef void (*bitnet_encode_fn)(void *blocks, const float *x, int64_t n);
bitnet_encode_fn bitnet_block_encoder(uint32_t type);

/* Codes 0, 1, 2 (weight + 1) of one TQ1_0 block, [256]. */
void bitnet_tq1_0_codes(uint8_t *code, const uint8_t *block);

/* Bytes of a row of n weights, without I2_S's tail. */
uint64_t bitnet_row_size(uint32_t type, int64_t n);
/* "I2_S", "i2_s" -> 36; -1 for no GGUF type */
int32_t bitnet_type_parse(const char *name);

#endif
