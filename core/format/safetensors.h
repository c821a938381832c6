/* safetensors.h: the container of Hugging Face weights (github.com/huggingface/safetensors).
 *
 *   u64 N | N bytes of JSON, may end in spaces | data
 *   { "name": {"dtype": "BF16", "shape": [out, in], "data_offsets": [begin, end]}, ...,
 *     "__metadata__": {"key": "text", ...} }     begin and end count from byte 8 + N
 *
 * Accepted: N up to 100 MiB and inside the file; up to 65,536 tensors in a list; unique names of 1 ..
 * 255 bytes; up to 4 dimensions (0 dimensions is a scalar, one element), each >= 1, product <= 2^48;
 * end - begin = elements * size. In the order of their offsets the tensors fill the data without a gap or
 * an overlap, to the last byte of the file: the reference library demands it too, and it leaves no room
 * to hide another file in. Everything else is refused with the tensor's name.
 */
#ifndef BITNET_SAFETENSORS_H
#define BITNET_SAFETENSORS_H

#include "bitnet/model.h"
#include "format/tensors.h"

typedef enum bitnet_st_dtype {
    BITNET_ST_U8,
    BITNET_ST_I8,
    BITNET_ST_BOOL,
    BITNET_ST_F16,
    BITNET_ST_BF16,
    BITNET_ST_F32,
    BITNET_ST_I16,
    BITNET_ST_I32,
    BITNET_ST_I64,
    BITNET_ST_F64,
    BITNET_ST_COUNT,
} bitnet_st_dtype;

typedef struct bitnet_st_tensor {
    const char *name; /* as in the file; zero-terminated */
    bitnet_st_dtype dtype;
    uint32_t n_dims;
    int64_t shape[4]; /* outermost first, as in the file; 1 past n_dims */
    uint64_t offset;  /* absolute */
    uint64_t size;
    uint32_t file;
} bitnet_st_tensor;

typedef struct bitnet_st_list { /* {0} is empty; sorted by name */
    bitnet_st_tensor *tensor;
    uint32_t n;
    void *names;
    size_t names_size, tensor_size;
    bitnet_allocator allocator;
} bitnet_st_list;

/* Appends the tensors of one file; a name that is there already is E_FORMAT. On failure the list is
 * what it was, and err names file and tensor. Memory: at most 4 bytes per byte of the header and the
 * list once more. */
bitnet_status bitnet_st_read(bitnet_st_list *list, const bitnet_file *file, uint32_t file_index,
                             const bitnet_allocator *alloc, bitnet_error *err);
void bitnet_st_free(bitnet_st_list *list);
const bitnet_st_tensor *bitnet_st_find(const bitnet_st_list *list, const char *name);

const char *bitnet_st_dtype_name(bitnet_st_dtype dtype); /* "BF16" */

#endif
