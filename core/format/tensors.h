/* tensors.h: the neutral directory that a format reader fills: metadata keys and named tensors.
 *
 * It speaks GGUF, whatever was read: a Hugging Face folder comes out under the keys and tensor names
 * that its GGUF conversion would have, so that everything behind this header knows one vocabulary.
 * What GGUF has no word for is in the entry: a type of our own, the row order, a scale that lay beside
 * the tensor.
 *
 * The directory says where things lie and what they are; it never touches tensor data. Keys and
 * names are zero-terminated copies without a zero byte inside, but otherwise any bytes: escape them
 * before showing them. Values stay little-endian bytes at any address, exactly as in the file, and
 * are read through the getters below. A directory that a reader returned is consistent: types are
 * known, names are unique, extents lie inside the source and do not overlap.
 */
#ifndef BITNET_TENSORS_H
#define BITNET_TENSORS_H

#include <stdbool.h>

#include "base/base.h"

typedef enum bitnet_meta_type { /* GGUF's numbers */
                                BITNET_META_U8,
                                BITNET_META_I8,
                                BITNET_META_U16,
                                BITNET_META_I16,
                                BITNET_META_U32,
                                BITNET_META_I32,
                                BITNET_META_F32,
                                BITNET_META_BOOL,
                                BITNET_META_STR,
                                BITNET_META_ARR,
                                BITNET_META_U64,
                                BITNET_META_I64,
                                BITNET_META_F64,
                                BITNET_META_COUNT,
} bitnet_meta_type;

typedef struct bitnet_meta {
    const char *key;
    bitnet_meta_type type;
    bitnet_meta_type elem; /* of an array; otherwise = type */
    uint64_t n;            /* elements; 1 for a scalar */
    const uint8_t *data;   /* the value as in the file; a string is u64 length | bytes */
    uint64_t size;         /* bytes at data */
} bitnet_meta;

/* A type of our own, above all of GGUF's: Hugging Face's packed ternary (formats page 3.2). ne is the
 * logical [in, out]; logical row o, column c is the code at bits 2*(o/R) of byte (o % R)*in + c with
 * R = out/4, and stands for weight code - 1. */
#define BITNET_TYPE_HF_PACKED 1000u

typedef struct bitnet_tensor_entry {
    const char *name; /* <= 63 bytes */
    uint32_t type;    /* GGUF type id, or BITNET_TYPE_HF_PACKED: one of bitnet_type_get_info */
    uint32_t n_dims;  /* 1 .. 4 */
    int64_t ne[4];    /* >= 1; ne[0] is contiguous; 1 past n_dims; product <= 2^48 */
    uint64_t offset;  /* absolute, from the start of its file */
    uint64_t size;    /* bytes, inside the file */
    uint32_t file;    /* index of its file */
    float scale;      /* multiplied onto the weights; 1 but for HF_PACKED */
    bool is_latent;   /* full-precision master weights, to be made ternary at load: m = max(1e-5,
                         mean |W|), t = clamp(round half even(W / m), -1, 1) (arXiv:2402.17764 2) */
    bool is_layout_b; /* I2_S in blocks of 64 weights (bitnet_i2s_layout) */
} bitnet_tensor_entry;

typedef enum bitnet_container {
    BITNET_CONTAINER_GGUF,
    BITNET_CONTAINER_SAFETENSORS
} bitnet_container;

/* {0} is an empty directory. Arrays are in file order; the indices order them by name. */
typedef struct bitnet_dir {
    bitnet_container container; /* safetensors: rows of q and k are half split (formats page 2.5) */
    uint32_t n_file;
    bitnet_meta *meta; /* [n_meta] */
    uint32_t n_meta;
    bitnet_tensor_entry *tensor; /* [n_tensor] */
    uint32_t n_tensor;
    uint32_t *meta_index;   /* [n_meta], by key */
    uint32_t *tensor_index; /* [n_tensor], by name */
    uint32_t version;       /* of the file format */
    void *block;            /* all of the above and the names */
    size_t block_size;
    void *header; /* the metadata bytes; NULL when the source is mapped */
    size_t header_size;
    bitnet_allocator allocator;
} bitnet_dir;

void bitnet_dir_free(bitnet_dir *dir); /* {0} is fine; leaves {0} */

/* For readers that have filled the array: order its index by name. Returned is the name that occurs twice,
 * or NULL. */
const char *bitnet_dir_index_meta(bitnet_dir *dir);
const char *bitnet_dir_index_tensors(bitnet_dir *dir);

const bitnet_meta *bitnet_dir_meta(const bitnet_dir *dir, const char *key); /* or NULL */
const bitnet_tensor_entry *bitnet_dir_tensor(const bitnet_dir *dir, const char *name);

/* Typed getters: false when m is NULL (the key is absent) or has another kind of type. Any integer
 * width reads through i64, because writers are sloppy about it; f32 and f64 read through f64. */
bool bitnet_meta_i64(const bitnet_meta *m, int64_t *out);
bool bitnet_meta_f64(const bitnet_meta *m, double *out);
bool bitnet_meta_bool(const bitnet_meta *m, bool *out);
bool bitnet_meta_str(const bitnet_meta *m, const char **s, size_t *len); /* not terminated */
/* Element i of an array of integers; false past the end. */
bool bitnet_meta_at_i64(const bitnet_meta *m, uint64_t i, int64_t *out);
/* Steps through an array of strings: *pos is a byte position and starts at 0; false at the end. */
bool bitnet_meta_next_str(const bitnet_meta *m, uint64_t *pos, const char **s, size_t *len);

/* What a GGUF type id stands for. A tensor of n weights takes n / block * block_size + tail bytes
 * and its rows (ne[0]) are multiples of block. */
typedef struct bitnet_type_info {
    const char *name;
    uint32_t block;      /* weights */
    uint32_t block_size; /* bytes */
    uint32_t tail;       /* bytes after the last block, holding the tensor's one scale */
} bitnet_type_info;

/* Bytes of a tensor of this shape; its type is known, its rows whole blocks, so nothing overflows. */
uint64_t bitnet_tensor_size(uint32_t type, const int64_t ne[4]);
const bitnet_type_info *bitnet_type_get_info(uint32_t type); /* NULL: unknown or removed */
const char *bitnet_type_name(uint32_t type);                 /* "I2_S"; "?" for an unknown id */

/* n <= 8 little-endian bytes at any address. */
static inline uint64_t bitnet_load_le(const uint8_t *p, uint32_t n) {
    uint64_t v = 0;
    for (uint32_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

#endif
