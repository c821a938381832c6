/* state.h: a timeline as one block of bytes, to go on from after a reload or elsewhere.
 *
 *     0  "BITNETKV"            8  version, u32           12  type of keys, u32 (GGML's number)
 *    16  type of values, u32  20  n tokens, u32         24  fingerprint of the model, u64
 *    32  size of the cache, u64                          40  checksum of what follows, u64
 *    48  tokens, i32 [n]       then the cache's bytes as bitnet_ctx_save writes them
 *
 * Little-endian. The checksum finds damage, not malice: whoever can change the bytes can change what the
 * model reads as its past, and nothing worse.
 */
#ifndef BITNET_ENGINE_STATE_H
#define BITNET_ENGINE_STATE_H

#include "bitnet/context.h"
#include "model/model.h"

/* Bytes that write needs for what ctx holds now. */
uint64_t bitnet_state_size(const bitnet_ctx *ctx, const bitnet_model *m);
void bitnet_state_write(const bitnet_ctx *ctx, const bitnet_model *m, uint8_t *out);
/* Sets the checksum of `size` bytes, at least a header's, to what it must be. */
void bitnet_state_seal(uint8_t *state, size_t size);
/* The timeline becomes that of the bytes; on a refusal it is what it was.
 *   E_FORMAT       state.magic, state.length, state.checksum, state.token
 *   E_UNSUPPORTED  state.version, state.model, state.cache_type: made by something else
 *   E_CTX_FULL     state.ctx: more tokens than the window has room for
 *   E_NOMEM        state.memory */
bitnet_status bitnet_state_read(bitnet_ctx *ctx, const bitnet_model *m, const uint8_t *data,
                                size_t size, bitnet_error *err);

#endif
