/* backend.h: the backend seam, for people who write one.
 *
 * A backend owns memory and runs eleven operations. Activations live in backend buffers for a whole
 * step; only token ids go in and logits come out. `begin` and `end` bracket a step, so a device may
 * record it once and replay it. Operations return nothing: a failure is remembered and reported by
 * `end`. A fused kernel is the backend's private business between begin and end.
 *
 * Letters: T tokens in this step, E n_embd, K inner size, N rows out, H heads, D head_dim.
 * Everything is row-major; activations are f32.
 */
#ifndef BITNET_BACKEND_H
#define BITNET_BACKEND_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITNET_BACKEND_ABI 2u

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

/* One tensor as the backend sees it. A ternary matrix always comes as I2_S, whatever its container
 * was: rows of 2-bit codes in layout A (kernels.h), padded with code 1 (weight 0) to a multiple of
 * 128 weights, and one scale. Every other type is an ordinary matrix of blocks (format/blocks.h). */
typedef struct bitnet_tensor {
    const char *name;
    bitnet_type type;
    int64_t ne[2];    /* [K, N]: K contiguous, before padding; a vector is [K, 1] */
    const void *data; /* in the file or a copy, F32 and F16 aligned; valid while the model lives */
    uint64_t size;
    float scale; /* y is multiplied by it last; of I2_S the weights' one scale; else mostly 1 */
} bitnet_tensor;

typedef struct bitnet_backend_desc {
    int32_t n_threads; /* 0 = one per usable core */
    uint32_t cpu_mask; /* 0 = all */
    bitnet_allocator allocator;
} bitnet_backend_desc;

typedef struct bitnet_backend_info {
    const char *tier;
    int32_t n_threads;
    uint64_t memory_used; /* bytes the backend allocated; mapped weights excluded */
} bitnet_backend_info;

/* What decides how much a backend reserves. */
typedef struct bitnet_backend_need {
    int32_t n_batch, n_ctx;
    int32_t k_ternary; /* K of the widest ternary matrix, 0 = none */
    int32_t k_blocks;  /* K of the widest one of any type but those, F32 and F16 */
} bitnet_backend_need;

typedef enum bitnet_act { BITNET_ACT_RELU2, BITNET_ACT_SILU } bitnet_act;

/* Pairs go in as the file's rows have them and come out half split, (i, i + n_rot/2) of each head:
 * so both pairings give the same bits from there on. */
typedef struct bitnet_rope {
    const bitnet_buf *cos, *sin; /* [n_ctx][n_rot/2] f32 */
    int32_t n_rot;
    bool is_norm; /* pairs come in adjacent, (2i, 2i + 1); else half split (NEOX) */
} bitnet_rope;

typedef struct bitnet_kv { /* one buffer each for K and V: [layer][n_head_kv][n_ctx][D] f32 */
    bitnet_buf *k, *v;
    int32_t n_ctx, n_head, n_head_kv, head_dim;
} bitnet_kv;

struct bitnet_backend_ops {
    uint32_t abi;     /* BITNET_BACKEND_ABI; a mismatch refuses to load */
    const char *name; /* "cpu", "cuda" */
    /* life */
    bitnet_status (*open)(bitnet_backend **out, const bitnet_backend_desc *desc, bitnet_error *err);
    void (*close)(bitnet_backend *be);
    void (*info)(const bitnet_backend *be, bitnet_backend_info *out);
    /* memory */
    bitnet_status (*alloc)(bitnet_backend *be, size_t bytes, bitnet_buf **out); /* zeroed */
    void (*free)(bitnet_backend *be, bitnet_buf *buf);                          /* NULL is fine */
    bitnet_status (*write)(bitnet_backend *be, bitnet_buf *dst, size_t off, const void *src,
                           size_t n);
    bitnet_status (*read)(bitnet_backend *be, void *dst, const bitnet_buf *src, size_t off,
                          size_t n);
    const void *(*map)(const bitnet_backend *be, const bitnet_buf *buf); /* NULL: use read */
    /* refuses here, with the numbers, what no kernel can do: a type, a size */
    bitnet_status (*bind)(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                          bitnet_error *err);
    void (*unbind)(bitnet_backend *be, bitnet_weight *w);
    /* sizes the backend's own scratch: most tokens of a step, longest window; grows only */
    bitnet_status (*reserve)(bitnet_backend *be, int32_t n_batch, int32_t n_ctx);
    /* bytes that reserve would take on a fresh backend with matrices as wide as `need` says */
    uint64_t (*plan)(const bitnet_backend *be, const bitnet_backend_need *need);
    /* one step; steps of several contexts on one backend take turns between begin and end */
    bitnet_status (*begin)(bitnet_backend *be, int32_t n_tok);
    bitnet_status (*end)(bitnet_backend *be); /* results are readable after */
    /* y[T,E] = w[ids] */
    void (*embed)(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w,
                  const bitnet_token *ids, int32_t n_tok);
    /* y = x / sqrt(mean(x^2) + eps) * w, per token (arXiv:1910.07467); y may be x */
    void (*rmsnorm)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, const bitnet_weight *w,
                    int32_t n_tok, float eps);
    /* y[T,N] = x[T,K] w[N,K]^T * scale; x is quantised to int8 inside when w is ternary
     * (arXiv:2402.17764 2), and stays f32 against an ordinary w, which is dequantised exactly */
    void (*matmul)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, const bitnet_weight *w,
                   int32_t n_tok);
    /* the same for the last row of x only: y[1,N] */
    void (*matmul_last)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                        const bitnet_weight *w, int32_t n_tok);
    /* x[T,H,D] rotated in place; token t stands at position pos + t (arXiv:2104.09864) */
    void (*rope)(bitnet_backend *be, bitnet_buf *x, int32_t n_head, int32_t head_dim, int32_t pos,
                 int32_t n_tok, const bitnet_rope *rope);
    /* stores k, v [T,Hkv,D] at pos .. pos+T-1, then y[T,H,D] = causal attention (arXiv:2305.13245)
     */
    void (*attend)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *q, const bitnet_buf *k,
                   const bitnet_buf *v, const bitnet_kv *kv, int32_t layer, int32_t pos,
                   int32_t n_tok);
    /* y = act(gate) * up, n elements; y may be gate */
    void (*gate)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *gate, const bitnet_buf *up,
                 size_t n, bitnet_act act);
    /* y[T,N] += b[N], a vector */
    void (*bias)(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *b, int32_t n_tok);
    /* y += x, n elements */
    void (*add)(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, size_t n);
};

extern BITNET_API const bitnet_backend_ops bitnet_backend_cpu;

/* CPU features a kernel may need; the masks of BITNET_CPU_MASK and --cpu-mask name them. */
enum {
    BITNET_CPU_AVX2 = 1u << 0,       /* with F16C, as every AVX2 CPU has */
    BITNET_CPU_AVX512VNNI = 1u << 1, /* AVX512 F, BW, VL, DQ and VNNI */
    BITNET_CPU_SIMD128 = 1u << 2,
    BITNET_CPU_RELAXED = 1u << 3,
    BITNET_CPU_C_ONLY = 1u << 30, /* in a mask: none of the above */
};
/* "avx2", "avx2,avx512vnni", "c", "all" -> mask; 0 for an unknown name. */
BITNET_API uint32_t bitnet_cpu_mask_parse(const char *text);
/* What this CPU (or this wasm module) has. */
BITNET_API uint32_t bitnet_cpu_flags(void);

#ifdef __cplusplus
}
#endif
#endif
