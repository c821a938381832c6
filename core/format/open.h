/* open.h: the files of a model -> one directory: which reader, split files joined, overrides applied.
 *
 *   one file that begins with "GGUF"            gguf.c
 *   several of them                             the parts of a split model, joined in the order of
 *                                               split.no; count and tensor total must agree
 *   a file named config.json among them         a Hugging Face folder: hf.c
 */
#ifndef BITNET_OPEN_H
#define BITNET_OPEN_H

#include "bitnet/model.h"
#include "format/tensors.h"

typedef struct bitnet_open_desc {
    const bitnet_file *files; /* [n_files]; an entry's .file is an index into them */
    int32_t n_files;
    bitnet_i2s_layout i2s_layout;
    const bitnet_override *overrides;
    int32_t n_overrides;
} bitnet_open_desc;

/* Metadata of a split model is that of its first part. On failure *out is {0}.  E_FORMAT, E_UNSUPPORTED, E_IO, E_NOMEM; E_INVAL: a bad override, or files
 * that are no model together. Sources that can be mapped must stay mapped as long as *out lives. */
bitnet_status bitnet_dir_open(bitnet_dir *out, const bitnet_open_desc *desc,
                              const bitnet_allocator *alloc, bitnet_error *err);

#endif
