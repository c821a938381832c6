/* backend.h: the backend seam, for people who write one.
 *
 * A backend owns memory and runs seven operations. Activations live in backend buffers for a whole
 * step; only token ids go in and logits come out. `begin` and `end` bracket a step, so a device may
 * record it once and replay it. Operations return nothing: a failure is remembered and reported by
 * `end`. An operation is as large as what can be done without waiting for all of its input: products
 * of one input come together, with what follows them element by element.
 *
 * Letters: T tokens in this step, E n_embd, K inner size, N rows out, H heads, D head_dim.
 * Everything is row-major; activations are f32. What a token's row becomes never depends on the other
 * tokens of the step, to the bit.
 */
#ifndef BITNET_BACKEND_H
#define BITNET_BACKEND_H

#include "bitnet/logits.h"
#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITNET_BACKEND_ABI 6u

typedef struct bitnet_backend bitnet_backend;
typedef struct bitnet_buf bitnet_buf;       /* memory of the backend */
typedef struct bitnet_weight bitnet_weight; /* a bound, possibly repacked, tensor */

typedef enum bitnet_type { /* GGUF's numbers, so a file's id needs no translation */
                           BITNET_TYPE_F32 = 0,
                           BITNET_TYPE_F16 = 1,
                           BITNET_TYPE_Q4_0 = 2,
                           BITNET_TYPE_Q8_0 = 8,
                           BITNET_TYPE_Q4_K = 12,
                           BITNET_TYPE_Q6_K = 14,
                           BITNET_TYPE_BF16 = 30,
                           BITNET_TYPE_TQ1_0 = 34,
                           BITNET_TYPE_TQ2_0 = 35,
                           BITNET_TYPE_I2_S = 36,
} bitnet_type;

/* A matrix that squared ReLU makes zeros for: `up`, whose rows meet them, and `down`, whose columns do. */
typedef enum bitnet_relu2_part {
    BITNET_RELU2_NONE,
    BITNET_RELU2_UP,
    BITNET_RELU2_DOWN
} bitnet_relu2_part;

/* One tensor as the backend sees it. A ternary matrix always comes as I2_S, whatever its container
 * was: rows of 2-bit codes in layout A (kernels.h), padded with code 1 (weight 0) to a multiple of
 * 128 weights, and one scale. Every other type is an ordinary matrix of blocks (format/blocks.h). */
typedef struct bitnet_tensor {
    const char *name;
    bitnet_type type;
    int64_t ne[2];    /* [K, N]: K contiguous, before padding; a vector is [K, 1] */
    const void *data; /* in the file or a copy, F32 and F16 aligned; see bind */
    void *rewrite;    /* [size] where the backend may keep its own layout: mostly data; or NULL */
    uint64_t size;
    bool is_head; /* the output head: what `head` is called with */
    bitnet_relu2_part relu2;
    float scale; /* y is multiplied by it last; of I2_S the weights' one scale; else mostly 1 */
} bitnet_tensor;

typedef struct bitnet_backend_desc {
    int32_t n_threads; /* 0 = one per fast usable core */
    uint32_t cpu_mask; /* 0 = all */
    bitnet_allocator allocator;
    bitnet_switch sparse, staged;
    bitnet_weight_bits weight_bits;
    uint64_t ternary_size; /* of all that will be bound, in I2_S; 0 = nothing will be */
} bitnet_backend_desc;

typedef struct bitnet_backend_info {
    const char *tier;
    const char *weights; /* bits of a ternary weight and why, or NULL */
    int32_t n_threads;
    uint64_t memory_used; /* bytes the backend allocated; mapped weights excluded */
} bitnet_backend_info;

/* What decides how much a backend reserves. */
typedef struct bitnet_backend_need {
    int32_t n_batch, n_ctx; /* most tokens of a step, longest window */
    int32_t n_embd, n_vocab;
    int32_t n_head, n_head_kv, head_dim;
    int32_t k_ternary; /* K of the widest ternary matrix, 0 = none */
    int32_t k_blocks;  /* K of the widest one of any type but those, F32 and F16 */
} bitnet_backend_need;

/* One row of the step for the head: which of its logits are wanted in; what is left out, as -FLT_MAX, out.
 */
typedef struct bitnet_head_row {
    int32_t row;
    bitnet_want want;
    bitnet_tail tail;
} bitnet_head_row;

#define BITNET_MAX_PRODUCTS 3

typedef enum bitnet_act { BITNET_ACT_RELU2, BITNET_ACT_SILU } bitnet_act;

/* Pairs go in as the file's rows have them and come out half split, (i, i + n_rot/2) of each head:
 * so both pairings give the same bits from there on. */
typedef struct bitnet_rope {
    const bitnet_buf *cos, *sin; /* [n_ctx][n_rot/2] f32 */
    int32_t n_rot;
    bool is_norm; /* pairs come in adjacent, (2i, 2i + 1); else half split (NEOX) */
} bitnet_rope;

/* One buffer each for K and V: [layer][n_head_kv][n_ctx] rows of D values: F32, F16 (to nearest, at
 * most +-65504), or Q8_0 (D a multiple of 32). */
typedef struct bitnet_kv {
    bitnet_buf *k, *v;
    bitnet_type type_k, type_v;
    int32_t n_ctx, n_head, n_head_kv, head_dim;
} bitnet_kv;

/* Consecutive tokens of one timeline, at positions pos .. pos + n_tok - 1. */
typedef struct bitnet_kv_span {
    const bitnet_kv
        *kv; /* holds positions 0 .. pos - 1; of the same shape and types in all spans */
    int32_t pos, n_tok;
} bitnet_kv_span;

/* The tokens of a step: the spans' one after another. */
typedef struct bitnet_batch {
    const bitnet_token *tok; /* [n_tok] */
    const bitnet_kv_span *span;
    int32_t n_span, n_tok;
} bitnet_batch;

/* y[T,N] = x[T,K] w[N,K]^T + bias, one of several products of the same x. */
typedef struct bitnet_product {
    bitnet_buf *y;
    const bitnet_weight *w;
    const bitnet_weight *bias; /* [N], or NULL */
} bitnet_product;

/* Who is told what the operations did. Both are called from threads of the backend too, also at once. */
typedef struct bitnet_watch {
    void *ctx;
    /* Bytes of weights that were read, as they are stored, and multiply-adds with them: those of the rows and
     * columns that were computed, of as many bits as were looked at. */
    void (*work)(void *ctx, uint64_t bytes, uint64_t n_mac_i8, uint64_t n_mac_f32);
    /* A thread's part of a fork-join, or the time in which it had none; thread 0 runs the operations.
     * NULL: not wanted. */
    void (*slice)(void *ctx, int32_t thread, bool is_work, uint64_t begin_ns, uint64_t end_ns);
} bitnet_watch;

struct bitnet_backend_ops {
    uint32_t abi;     /* BITNET_BACKEND_ABI; a mismatch refuses to load */
    const char *name; /* "cpu", "cuda" */
    /* life */
    bitnet_status (*open)(bitnet_backend **out, const bitnet_backend_desc *desc, bitnet_error *err);
    void (*close)(bitnet_backend *be);
    void (*info)(const bitnet_backend *be, bitnet_backend_info *out);
    /* memory */
    bitnet_status (*alloc)(bitnet_backend *be, size_t bytes, bitnet_buf **out); /* not zeroed */
    void (*free)(bitnet_backend *be, bitnet_buf *buf);                          /* NULL is fine */
    bitnet_status (*write)(bitnet_backend *be, bitnet_buf *dst, size_t off, const void *src,
                           size_t n);
    bitnet_status (*read)(bitnet_backend *be, void *dst, const bitnet_buf *src, size_t off,
                          size_t n);
    const void *(*map)(const bitnet_backend *be, const bitnet_buf *buf); /* NULL: use read */
    /* Refuses here, with the numbers, what no kernel can do: a type, a size. A ternary matrix is
     * copied into the backend's own layout and its data free afterwards; all other data must stay
     * valid until unbind. */
    bitnet_status (*bind)(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                          bitnet_error *err);
    /* bytes that bind would take; t's data may be NULL */
    uint64_t (*bind_plan)(const bitnet_backend *be, const bitnet_tensor *t);
    void (*unbind)(bitnet_backend *be, bitnet_weight *w);
    /* sizes the backend's own scratch; grows only */
    bitnet_status (*reserve)(bitnet_backend *be, const bitnet_backend_need *need);
    /* bytes that reserve would take on a fresh backend */
    uint64_t (*plan)(const bitnet_backend *be, const bitnet_backend_need *need);
    /* one step; steps of several contexts on one backend take turns between begin and end */
    bitnet_status (*begin)(bitnet_backend *be, const bitnet_batch *batch); /* valid until end */
    bitnet_status (*end)(bitnet_backend *be); /* results are readable after */
    /* y[T,E] = w[ids] */
    void (*embed)(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w);
    /* y = x / sqrt(mean(x^2) + eps) * w, per token (arXiv:1910.07467); y may be x */
    void (*rmsnorm)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, const bitnet_weight *w,
                    float eps);
    /* n <= BITNET_MAX_PRODUCTS products of x[T,K], all with the same K. x is quantised to int8 inside
     * where w is ternary (arXiv:2402.17764 2), and stays f32 against an ordinary w, which is
     * dequantised exactly. y may not be x. */
    void (*matmul)(bitnet_backend *be, const bitnet_product *p, int32_t n, const bitnet_buf *x);
    /* y[T,N] += x[T,K] w^T + bias, the product rounded to f32 before it is added */
    void (*matmul_add)(bitnet_backend *be, const bitnet_product *p, const bitnet_buf *x);
    /* y[T,N] = act(x gate^T) * (x up^T) */
    void (*matmul_gate)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                        const bitnet_weight *gate, const bitnet_weight *up, bitnet_act act);
    /* y[i,N] = x[row[i].row] w^T for i < n; rows ascend. Logits that row[i].want does not ask for may be
     * left out. May be called for other rows, or the same, once more after the step, between another
     * begin and end. */
    void (*head)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, const bitnet_weight *w,
                 bitnet_head_row *row, int32_t n);
    /* Rotates q[T,H,D] and k[T,Hkv,D] to their positions (arXiv:2104.09864) in place, stores k and
     * v[T,Hkv,D] there, then y[T,H,D] = causal attention of each token over its own timeline
     * (arXiv:2305.13245). */
    void (*attend)(bitnet_backend *be, bitnet_buf *y, bitnet_buf *q, bitnet_buf *k,
                   const bitnet_buf *v, const bitnet_rope *rope, int32_t layer);
    /* Memory i, 0 .. , that bound weights were copied to and are read from: what a probe of the machine may read
     * in their place. False past the last; none of those that are used where they lie. */
    bool (*weights_at)(const bitnet_backend *be, int32_t i, const void **data, size_t *size);
    /* Between steps: from now on *w is told, which must stay valid; NULL: nobody. */
    void (*watch)(bitnet_backend *be, const bitnet_watch *w);
};

extern BITNET_API const bitnet_backend_ops bitnet_backend_cpu;

/* ---- a backend around a model's own (bitnet/profile.h) ---------------------------------------- */

typedef struct bitnet_bound {
    const bitnet_weight *weight;
    const char *name; /* "blk.7.ffn_down.weight" */
    bool is_ternary;
    int32_t k, n; /* inner size, rows */
} bitnet_bound;
/* The weights of a loaded model, 0 .. ; false past the last. */
BITNET_API bool bitnet_model_get_bound(const bitnet_model *m, int32_t i, bitnet_bound *out);
/* What the model runs on. set is for ops that pass on to these what they are told: buffers and weights stay theirs.
 * While no step of any context runs. */
BITNET_API const bitnet_backend_ops *bitnet_model_get_backend(const bitnet_model *m,
                                                              bitnet_backend **be);
BITNET_API void bitnet_model_set_backend(bitnet_model *m, const bitnet_backend_ops *ops,
                                         bitnet_backend *be);

/* CPU features a kernel may need; the masks of BITNET_CPU_MASK and --cpu-mask name them. */
enum {
    BITNET_CPU_SSE41 = 1u << 0, /* with SSSE3 */
    BITNET_CPU_AVX2 = 1u << 1,  /* with F16C, as every AVX2 CPU has */
    BITNET_CPU_AVXVNNI = 1u << 2,
    BITNET_CPU_AVX512VNNI = 1u << 3, /* AVX512 F, BW, VL, DQ and VNNI */
    BITNET_CPU_AMX = 1u << 4,        /* AMX TILE and INT8, permitted by the system */
    BITNET_CPU_NEON = 1u << 5,
    BITNET_CPU_DOTPROD = 1u << 6,
    BITNET_CPU_I8MM = 1u << 7,
    BITNET_CPU_SIMD128 = 1u << 8,
    BITNET_CPU_RELAXED = 1u << 9,
    BITNET_CPU_C_ONLY = 1u << 30, /* in a mask: none of the above */
};
/* A tier is a feature with those below it that its kernels are used with; its name is the one that
 * tern_matmul's variant has in kernels.def. */
typedef struct bitnet_cpu_tier {
    const char *name;
    uint32_t flag, mask; /* the feature; the whole tier */
} bitnet_cpu_tier;
/* Those this architecture may have, plainest ("c") first; NULL past the last. */
BITNET_API const bitnet_cpu_tier *bitnet_cpu_tier_at(int32_t i);
/* "avx2", "avx2,avx512vnni", "c", "all" -> flags; 0 for an unknown name. */
BITNET_API uint32_t bitnet_cpu_mask_parse(const char *text);
/* What this CPU (or this wasm module) has. */
BITNET_API uint32_t bitnet_cpu_flags(void);

#ifdef __cplusplus
}
#endif
#endif
