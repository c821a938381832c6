/* model.h: load a model file and describe it.
 *
 * A model is immutable once loaded and may be shared by any number of contexts and threads. It owns
 * its backend (the CPU and its thread pool, or a device) and the weights bound to it.
 */
#ifndef BITNET_MODEL_H
#define BITNET_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/hooks.h"
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
    /* NULL, or: the model will hardly read these mapped bytes again, and memory may be had back */
    void (*release)(void *ctx, uint64_t off, size_t n);
    /* what map gives is the model's alone and can be written: weights are repacked where they lie, and
     * it is not the file any more */
    bool may_rewrite;
} bitnet_source;

/* One file of a model, by the last part of its path: "model-00001-of-00002.gguf", "config.json". */
typedef struct bitnet_file {
    const char *name;
    bitnet_source source;
} bitnet_file;

/* How the keys or values of a context are kept; docs/speed.md has what each costs. */
typedef enum bitnet_kv_type {
    BITNET_KV_AUTO, /* F16; F32 where that takes no more than 64 MB for the whole trained window: there
                       it costs nothing, and rounding keys can change tokens */
    BITNET_KV_F16,  /* 2 bytes a value */
    BITNET_KV_F32,  /* 4: what the recorded reference was made with */
    BITNET_KV_Q8_0, /* 1.06: blocks of 32 values with a scale; head_dim a multiple of 32 */
} bitnet_kv_type;

/* Of something that costs memory and gives the same tokens sooner. */
typedef enum bitnet_switch {
    BITNET_AUTO, /* where it is faster */
    BITNET_ON,   /* wherever it can be done: in small models and with slow kernels too */
    BITNET_OFF,  /* takes no memory */
} bitnet_switch;

typedef struct bitnet_model bitnet_model;
typedef struct bitnet_backend_ops bitnet_backend_ops; /* bitnet/backend.h */

/* {0} is silent. Called on the loading thread after each tensor, with bytes of weights. */
typedef struct bitnet_progress {
    void (*report)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
} bitnet_progress;

typedef enum bitnet_load_level { /* each does what the next one does, and more */
                                 BITNET_LOAD_WEIGHTS, /* everything; contexts can be made */
                                 BITNET_LOAD_VOCAB, /* tokenize and detokenize; no tensor is read */
                                 BITNET_LOAD_HEADER, /* describe: hyper-parameters and tensor list */
} bitnet_load_level;

/* How 2-bit codes lie in a tensor of type I2_S; nothing in a file tells (docs/formats.md). */
typedef enum bitnet_i2s_layout {
    BITNET_I2S_A, /* 128 weights in 32 bytes: what published files hold */
    BITNET_I2S_B, /* 64 weights in 16 bytes: bitnet.cpp built for ARM since November 2025 */
} bitnet_i2s_layout;

/* What a ternary weight takes in memory. The same tokens come out. */
typedef enum bitnet_weight_bits {
    BITNET_WEIGHT_BITS_AUTO, /* of a large model what is faster here: measured at load, in under a second */
    BITNET_WEIGHT_BITS_2,
    BITNET_WEIGHT_BITS_1_6, /* five weights a byte */
} bitnet_weight_bits;

/* Stands for a metadata key of the file, or adds it: llama.cpp's --override-kv.
 * value: "int:5", "float:1e-5", "bool:true" or "str:gpt-2" (type i64, f64, bool, string). */
typedef struct bitnet_override {
    const char *key, *value;
} bitnet_override;

/* {0} is valid but for `source` or `files`. */
typedef struct bitnet_model_desc {
    const bitnet_source *source; /* one GGUF file; copied; its ctx must outlive the model */
    /* or, in place of source: one GGUF file, all parts of a split one in any order, or the files of
     * a Hugging Face folder (config.json, tokenizer.json, *.safetensors and their index; others are
     * ignored). The array and names are needed during the call only, the sources' ctx as above. */
    const bitnet_file *files;
    int32_t n_files;
    bitnet_load_level level;
    bitnet_i2s_layout i2s_layout;
    const bitnet_override *overrides; /* needed during the call only */
    int32_t n_overrides;
    const bitnet_backend_ops *backend;         /* NULL = CPU */
    bitnet_kv_type cache_type_k, cache_type_v; /* of all its contexts */
    bitnet_weight_bits weight_bits;
    int32_t n_threads;    /* 0 = one per fast usable core */
    bitnet_switch sparse; /* decoding skips what squared ReLU makes zero; copies two thirds of the
                             feed-forward weights */
    bitnet_switch
        staged;        /* only logits that decide are computed exactly, the others told apart from 8
                             bits a weight: a copy of the head that size, or f16 rows split in place */
    uint32_t cpu_mask; /* 0 = all; else and-ed with the CPU flags (bitnet/backend.h) */
    bitnet_allocator allocator;
    bitnet_logger logger;
    bitnet_progress progress;
} bitnet_model_desc;

typedef struct bitnet_model_info {
    const char
        *container;   /* "GGUF v3", "GGUF v3, 2 files", "safetensors"; borrowed, as all strings */
    const char *arch; /* "bitnet-b1.58" */
    const char *name; /* general.name, "" if the file has none */
    const char *backend; /* "cpu" */
    const char *tier;    /* kernel variant of the ternary product: "c", "avx2", "avx512vnni" ... */
    const char *weights; /* bits of a ternary weight and why: "2 bits: ..."; "" when not loaded */
    const char *tokenizer;     /* "gpt2/llama-bpe", "llama" (SentencePiece), "none" */
    const char *chat_template; /* family of bitnet/chat.h, "none" for a base model */
    const char *act;           /* "relu2", "silu" */
    const char *rope;          /* pairing in the file: "neox" (half split), "norm" (adjacent) */
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_rot, n_ff, n_vocab;
    int32_t n_ctx_train; /* window the model was trained with */
    int32_t n_threads;
    float rope_base, norm_eps;
    int32_t bos, eos;     /* -1 = none */
    uint64_t n_params;    /* all weights, ternary and other */
    uint64_t file_size;   /* bytes of the model file */
    uint64_t weight_size; /* bytes of the tensors in use, as they are in the file */
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
    const char *layout; /* "128/32 (A)", "64/16 (B)", "blocks of 256", "out/4 interleaved", ... */
    bool is_ternary;    /* runs as a ternary product: int8 activations */
    int64_t ne[4];      /* ne[0] is contiguous; a linear layer in -> out is [in, out, 1, 1] */
    int32_t file;       /* which of the files */
    uint64_t offset;    /* from the start of that file */
    uint64_t size;      /* bytes */
} bitnet_tensor_info;
BITNET_API int bitnet_model_get_tensor(const bitnet_model *model, int32_t i,
                                       bitnet_tensor_info *out);

/* Walk the metadata: 0 .. n-1 in file order; returns 0 past the end. The value is rendered as text
 * into `value` (at most cap bytes with the terminator); arrays as "[type x count] first, ...". */
BITNET_API int bitnet_model_get_meta(const bitnet_model *model, int32_t i, const char **key,
                                     char *value, size_t cap);

/* Bytes of KV cache for n_ctx tokens; what bitnet_ctx_save writes for n_ctx positions. */
BITNET_API uint64_t bitnet_model_ctx_size(const bitnet_model *model, int32_t n_ctx);

/* What running the model takes, in bytes, known from the header alone (any level will do). */
typedef struct bitnet_memory_plan {
    uint64_t mapped; /* weights used where they lie in the file */
    uint64_t
        copied; /* made at load: ternary weights repacked, what zeros and a large head are skipped with */
    uint64_t kv;      /* KV cache */
    uint64_t scratch; /* activations, RoPE tables, logits */
    uint64_t backend; /* what the backend reserves: once, for all contexts of the model */
} bitnet_memory_plan;
/* n_ctx, n_batch and n_logits as in bitnet_ctx_desc. */
BITNET_API bitnet_memory_plan bitnet_model_plan(const bitnet_model *model, int32_t n_ctx,
                                                int32_t n_batch, int32_t n_logits);

#ifdef __cplusplus
}
#endif
#endif
