/* model.h: load a model file and describe it.
 *
 * A model is immutable once loaded and may be shared by any number of contexts and threads. It owns
 * its backend (the CPU and its thread pool, or a device) and the weights bound to it.
 */
#ifndef BITNET_MODEL_H
#define BITNET_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "bitnet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t bitnet_token;

/* The source seam: bytes in. `read` copies n bytes at off; `map` (may be NULL) returns a pointer to
 * them that stays valid until the model is freed, or NULL. The loader checks every range against
 * `size` before it calls. */
typedef struct bitnet_source {
    uint64_t size;
    bitnet_status (*read)(void *ctx, uint64_t off, void *dst, size_t n);
    const void *(*map)(void *ctx, uint64_t off, size_t n);
    void *ctx;
} bitnet_source;

/* {0} means malloc and free. `free` gets the size that `alloc` was asked for. Memory from `alloc`
 * must be aligned to 16 bytes; it may hold anything. */
typedef struct bitnet_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void (*free)(void *ctx, void *ptr, size_t size);
    void *ctx;
} bitnet_allocator;

typedef enum bitnet_log_level {
    BITNET_LOG_DEBUG,
    BITNET_LOG_INFO,
    BITNET_LOG_WARN
} bitnet_log_level;

/* {0} is silent. `text` is one line without a newline, valid during the call. */
typedef struct bitnet_logger {
    void (*log)(void *ctx, bitnet_log_level level, const char *text);
    void *ctx;
} bitnet_logger;

typedef struct bitnet_model bitnet_model;
typedef struct bitnet_backend_ops bitnet_backend_ops; /* bitnet/backend.h */

/* {0} is silent. Called on the loading thread after each tensor, with bytes of weights. */
typedef struct bitnet_progress {
    void (*report)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
} bitnet_progress;

/* {0} is valid but for `source`. */
typedef struct bitnet_model_desc {
    const bitnet_source *source;       /* copied; its ctx must outlive the model */
    const bitnet_backend_ops *backend; /* NULL = CPU */
    int32_t n_threads;                 /* 0 = one per usable core */
    uint32_t cpu_mask; /* 0 = all; else and-ed with the CPU flags (bitnet/backend.h) */
    bitnet_allocator allocator;
    bitnet_logger logger;
    bitnet_progress progress;
} bitnet_model_desc;

typedef struct bitnet_model_info {
    const char *arch;    /* "bitnet-b1.58"; borrowed from the model, as all strings here */
    const char *name;    /* general.name, "" if the file has none */
    const char *backend; /* "cpu" */
    const char *tier;    /* kernel variant of the ternary product: "c", "avx2", "avx512vnni" ... */
    const char *tokenizer; /* "gpt2/llama-bpe", "none" */
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_vocab;
    int32_t n_ctx_train; /* window the model was trained with */
    int32_t n_threads;
    float rope_base, norm_eps;
    int32_t bos, eos;     /* -1 = none */
    uint64_t n_params;    /* all weights, ternary and other */
    uint64_t file_size;   /* bytes of the model file */
    uint64_t weight_size; /* bytes of tensor data bound to the backend */
    uint64_t token_bytes; /* bytes of weights one decoded token reads */
    uint64_t fingerprint; /* of shapes and samples of every tensor; seeds cache keys */
} bitnet_model_info;

/* Reads the directory, checks every shape against the hyper-parameters, binds the weights.
 *   E_FORMAT       the file is damaged or contradicts itself
 *   E_UNSUPPORTED  a tensor type, architecture or tokenizer we know by name but do not run
 *   E_NOMEM, E_IO, E_BACKEND
 * On failure *out is NULL and nothing is left behind. */
BITNET_API bitnet_status bitnet_model_load(bitnet_model **out, const bitnet_model_desc *desc,
                                           bitnet_error *err);
BITNET_API void bitnet_model_free(bitnet_model *model); /* NULL is fine */
BITNET_API bitnet_model_info bitnet_model_get_info(const bitnet_model *model);

/* Walk the tensor directory: 0 .. n-1 in file order. Returns false past the end. */
typedef struct bitnet_tensor_info {
    const char *name;
    const char *type;   /* "I2_S", "F16", ... */
    const char *layout; /* "I2_S/128 (A)", "row-major" */
    int64_t ne[4];      /* ne[0] is contiguous; a linear layer in -> out is [in, out, 1, 1] */
    uint64_t offset;    /* from the start of the file */
    uint64_t size;      /* bytes */
} bitnet_tensor_info;
BITNET_API int bitnet_model_get_tensor(const bitnet_model *model, int32_t i,
                                       bitnet_tensor_info *out);

/* Walk the metadata: 0 .. n-1 in file order; returns 0 past the end. The value is rendered as text
 * into `value` (at most cap bytes with the terminator); arrays as "[type x count] first, ...". */
BITNET_API int bitnet_model_get_meta(const bitnet_model *model, int32_t i, const char **key,
                                     char *value, size_t cap);

/* Bytes a context of n_ctx tokens will allocate for this model. */
BITNET_API uint64_t bitnet_model_ctx_size(const bitnet_model *model, int32_t n_ctx);

#ifdef __cplusplus
}
#endif
#endif
