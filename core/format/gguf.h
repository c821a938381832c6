/* gguf.h: reads the directory of a GGUF file, the format of llama.cpp (ggml's docs/gguf.md).
 *
 * All numbers are little-endian.
 *
 *   header   "GGUF" | u32 version | i64 n_tensors | i64 n_kv
 *   kv       string key | u32 type | value                                    n_kv times
 *   tensor   string name | u32 n_dims | i64 ne[n_dims] | u32 type | u64 offset   n_tensors times
 *   padding  up to a multiple of the alignment
 *   data     tensor bytes, each at (start of data) + offset
 *
 *   string   u64 length | bytes, no terminator
 *   array    u32 element type | u64 count | elements, back to back
 *   value types   0 u8, 1 i8, 2 u16, 3 i16, 4 u32, 5 i32, 6 f32, 7 bool (one byte, 0 or 1), 8
 * string, 9 array, 10 u64, 11 i64, 12 f64
 *
 * There is no alignment field in the header: the alignment is the key "general.alignment", else 32.
 * ne[0] is the contiguous dimension: a linear layer in -> out is stored as ne = [in, out].
 *
 * What is accepted, and nothing else:
 *   versions 2 and 3, little-endian              n_kv and n_tensors up to 65,536; 0 tensors is fine
 *   keys of 1 .. 65,535 bytes, unique            strings up to 16 MiB
 *   arrays of anything but arrays                alignment 8 .. 1 MiB, a power of two
 *   tensor names of 1 .. 63 bytes, unique        1 .. 4 dimensions, each >= 1, product <= 2^48
 *   types of types.c, whole blocks per row       extents aligned, inside the file, not overlapping
 *   metadata of up to 256 MiB
 * A count or a length is believed only after comparing it with the bytes that are left, so a small
 * file can never ask for much memory: reading needs at most 8 bytes per byte of metadata and 1 MiB.
 */
#ifndef BITNET_GGUF_H
#define BITNET_GGUF_H

#include "bitnet/model.h"
#include "format/tensors.h"

/* Fills *out from the source: through `map` where it has one, else through `read`, piece by piece.
 * A mapping is kept and must live as long as *out. On failure *out is {0} and err says where and
 * why: E_FORMAT       damaged, or against the rules above E_UNSUPPORTED  another version or byte
 * order E_IO, E_NOMEM */
bitnet_status bitnet_gguf_read(bitnet_dir *out, const bitnet_source *src,
                               const bitnet_allocator *alloc, bitnet_error *err);

#endif
