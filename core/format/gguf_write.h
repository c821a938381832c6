/* gguf_write.h: writes a GGUF v3 file from front to back: header and entries, then each tensor's bytes
 * in the same order. Nothing is sought back to; the caller knows all sizes first.
 */
#ifndef BITNET_GGUF_WRITE_H
#define BITNET_GGUF_WRITE_H

#include "format/tensors.h"

typedef struct bitnet_gguf_out {
    bitnet_status (*write)(void *ctx, const void *data, size_t n);
    void *ctx;
    uint64_t pos;         /* bytes written */
    bitnet_status status; /* the first failure; later calls do nothing */
} bitnet_gguf_out;

/* meta [n_meta] as in a directory; entries' type, ne, n_dims and name are used, their sizes and offsets
 * worked out. A key general.alignment is written as 32. */
bitnet_status bitnet_gguf_write_head(bitnet_gguf_out *o, const bitnet_meta *const *meta,
                                     uint32_t n_meta, const bitnet_tensor_entry *tensor,
                                     uint32_t n_tensor);
/* The next piece of the current tensor's bytes. */
bitnet_status bitnet_gguf_write_data(bitnet_gguf_out *o, const void *data, size_t n);
/* Pads to the alignment: after the last piece of each tensor. */
bitnet_status bitnet_gguf_write_pad(bitnet_gguf_out *o);

#endif
