/* kernels.h: the contract of every kernel slot, stated once. All variants of a slot return the same
 * bits as the plain C one, floats included, on every machine and in every browser.
 *
 * How floats get the same bits everywhere: no fused multiply-add (everything is built with
 * -ffp-contract=off), and every sum over an index i of n runs in sixteen lanes,
 *
 *     SUM16(i < n) f(i):   lane[i % 16] += f(i)     for i = 0 .. n-1, lanes start at +0
 *                          lane[l] += lane[l + w]   for w = 8, 4, 2, 1 and l < w;   result lane[0]
 *
 * which is one AVX-512 register, two AVX2 ones, four of 128 bits. A tail (n % 16 != 0) touches only
 * the lanes it has. f16 -> f32 is exact. EXP is bitnet_expf below, step by step.
 *
 * Kernels know no model, no pool and no file. Sizes are checked where weights are bound, never here.
 * Pointers do not alias unless a slot says so. Nothing is aligned to more than its type.
 */
#ifndef BITNET_KERNELS_H
#define BITNET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"

#if defined(__x86_64__) || defined(_M_X64)
#define BITNET_ARCH_X86 1
#elif defined(__wasm_simd128__)
#define BITNET_ARCH_WASM 1
#endif
#ifndef BITNET_ARCH_X86
#define BITNET_ARCH_X86 0
#endif
#ifndef BITNET_ARCH_WASM
#define BITNET_ARCH_WASM 0
#endif

#define BITNET_K_BLOCK 128 /* a ternary row holds a multiple of this many weights */

/* act_quant: int8 by absmax, one token (arXiv:2402.17764 2; formats page 2.6)
 *   amax = max(1e-5, max |x|)   s = 127 / amax   xq = clamp(round half even(x * s), -128, 127)
 *   x [k] f32, finite;  xq [k];  *s;  *xsum = sum of xq;  k >= 1 */
#define BITNET_DECL_act_quant(name)                                                                \
    void name(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k)

/* tern_matmul: y[t][r] = f32(sum_j (c[r][j] - 1) * xq[t][j]) / s[t] * w_scale
 *   w   [n][k/4]  2-bit codes c = weight + 1 in {0,1,2}; layout A: of each 128 weights, number j lies
 *                 in byte j % 32 at bits 7:6, 5:4, 3:2, 1:0 for j / 32 = 0, 1, 2, 3
 *   xq  [m][k]    from act_quant, with s [m] and xsum [m]
 *   y   [m][ldy]  columns 0 .. n-1 are written
 * The sum is exact int32: sum c*xq - xsum; |acc| <= 127 k. A pair of u8 x i8 products is at most
 * 2*2*128 = 512 in magnitude, so a 16-bit lane takes 63 pairs before it must be widened. */
typedef struct bitnet_tern_args {
    float *y;
    ptrdiff_t ldy;
    const uint8_t *w;
    const int8_t *xq;
    const float *s;
    const int32_t *xsum;
    float w_scale;
    int32_t n, k, m;
} bitnet_tern_args;
#define BITNET_DECL_tern_matmul(name) void name(const bitnet_tern_args *a)

/* f16_matmul, f32_matmul: y[t][r] = SUM16(j < k) f32(w[r][j]) * x[t][j]
 *   w [n][k] f16 or f32, finite;  x [m][k] f32;  y [m][ldy];  k >= 1 */
typedef struct bitnet_dense_args {
    float *y;
    ptrdiff_t ldy;
    const void *w;
    const float *x;
    int32_t n, k, m;
} bitnet_dense_args;
#define BITNET_DECL_f16_matmul(name) void name(const bitnet_dense_args *a)
#define BITNET_DECL_f32_matmul(name) void name(const bitnet_dense_args *a)

/* rmsnorm: r = 1 / sqrt(SUM16(x*x) / n + eps);  y = (x * r) * w   (arXiv:1910.07467); y may be x */
#define BITNET_DECL_rmsnorm(name)                                                                  \
    void name(float *y, const float *x, const float *w, int32_t n, float eps)

/* attn: one query head against n_pos cached positions (arXiv:1706.03762 3.2.1). The cache is f32:
 * f16 keys and values move logits by 0.09 and with them greedy tokens (docs/speed.md).
 *   score[t] = SUM16(d < D) q[d] * k[t*stride + d]  * scale
 *   p[t]     = EXP(score[t] - max score)
 *   y[d]     = (sum over t ascending, one f32 accumulator per d, of p[t] * v[t*stride + d])
 *              / SUM16(t < n_pos) p[t]
 *   q, y [D], k, v f32;  p [n_pos] f32 scratch;  n_pos >= 1 */
typedef struct bitnet_attn_args {
    float *y;
    const float *q;
    const float *k, *v;
    ptrdiff_t stride;
    float *p;
    float scale;
    int32_t n_pos, head_dim;
} bitnet_attn_args;
#define BITNET_DECL_attn(name) void name(const bitnet_attn_args *a)

/* rope: x [n_head][head_dim] in place (arXiv:2104.09864). Pair i < n_rot/2 of each head is
 *   (x[i], x[i + n_rot/2]), or (x[2 i], x[2 i + 1]) when is_norm, and becomes
 *   x[i] = a cos[i] - b sin[i],  x[i + n_rot/2] = a sin[i] + b cos[i]     either way.
 *   cos, sin [n_rot/2];  n_rot <= head_dim <= 1024, even; elements n_rot and up stay */
typedef struct bitnet_rope_args {
    float *x;
    const float *cos, *sin;
    int32_t n_head, head_dim, n_rot;
    bool is_norm;
} bitnet_rope_args;
#define BITNET_MAX_HEAD_DIM    1024
#define BITNET_DECL_rope(name) void name(const bitnet_rope_args *a)

/* gate_relu2: y = (g*g) * u where g = max(gate, 0); y may be gate. gate_silu: (g / (1 + EXP(-g))) * u */
#define BITNET_DECL_gate_relu2(name)                                                               \
    void name(float *y, const float *gate, const float *up, size_t n)
#define BITNET_DECL_gate_silu(name)                                                                \
    void name(float *y, const float *gate, const float *up, size_t n)

/* add: y += x */
#define BITNET_DECL_add(name) void name(float *y, const float *x, size_t n)

/* f16_to_f32: exact, infinities and NaN included */
#define BITNET_DECL_f16_to_f32(name) void name(float *y, const uint16_t *x, size_t n)

/* decode_q8_0 ...: n weights in blocks of that type -> f32, as format/blocks.h has it, whose decoders
 * are the C variants: embedding and head of many files. blocks at any address; n a multiple of the
 * type's block. */
#define BITNET_DECL_decode_q8_0(name) void name(float *y, const void *blocks, int64_t n)
#define BITNET_DECL_decode_q6_k(name) void name(float *y, const void *blocks, int64_t n)
#define BITNET_DECL_decode_q4_k(name) void name(float *y, const void *blocks, int64_t n)
#define BITNET_DECL_decode_q4_0(name) void name(float *y, const void *blocks, int64_t n)

/* ---- the table ------------------------------------------------------------------------------- */

#define BITNET_SLOTS(X)                                                                            \
    X(act_quant)                                                                                   \
    X(tern_matmul)                                                                                 \
    X(f16_matmul)                                                                                  \
    X(f32_matmul)                                                                                  \
    X(rmsnorm)                                                                                     \
    X(attn)                                                                                        \
    X(rope)                                                                                        \
    X(gate_relu2)                                                                                  \
    X(gate_silu)                                                                                   \
    X(add) X(f16_to_f32) X(decode_q8_0) X(decode_q6_k) X(decode_q4_k) X(decode_q4_0)

#define X(slot) typedef BITNET_DECL_##slot((*bitnet_##slot##_fn));
BITNET_SLOTS(X)
#undef X

typedef struct bitnet_kernels {
#define X(slot) bitnet_##slot##_fn slot;
    BITNET_SLOTS(X)
#undef X
    const char *tier; /* variant name in the tern_matmul slot */
} bitnet_kernels;

/* Fills every slot with the last line of kernels.def whose needs are all in flags. */
void bitnet_kernels_init(bitnet_kernels *t, uint32_t flags);

#define KERNEL(slot, variant, needs) BITNET_DECL_##slot(bitnet_##slot##_##variant);
#include "kernels/kernels.def"
#undef KERNEL

/* ---- scalar pieces that every variant must agree on -------------------------------------------- */

/* exp, within 0.97 ulp on [-87, 88] (every float tried); outside it the argument is clamped, and NaN is
 * taken for the lower end: activations overflow in models that fit no family. Written so that any SIMD unit can repeat it step by step: each line is one correctly rounded operation per
 * operator. */
#define BITNET_EXP_LO    -87.0f
#define BITNET_EXP_HI    88.0f
#define BITNET_EXP_LOG2E 0x1.715476p+0f
#define BITNET_EXP_MAGIC 12582912.0f    /* 1.5 * 2^23: adding and subtracting rounds half even */
#define BITNET_EXP_LN2HI 0x1.62e400p-1f /* 15 bits: n * LN2HI is exact */
#define BITNET_EXP_LN2LO 0x1.7f7d1cp-20f
#define BITNET_EXP_C2    0x1.fffff8p-2f /* ~ 1/2!, 1/3!, ...: least squares on [-ln2/2, ln2/2] */
#define BITNET_EXP_C3    0x1.55547ep-3f
#define BITNET_EXP_C4    0x1.555bd4p-5f
#define BITNET_EXP_C5    0x1.124790p-7f
#define BITNET_EXP_C6    0x1.685950p-10f
static inline float bitnet_expf(float x) {
    x = x > BITNET_EXP_LO ? x : BITNET_EXP_LO;
    x = x < BITNET_EXP_HI ? x : BITNET_EXP_HI;
    float t = x * BITNET_EXP_LOG2E + BITNET_EXP_MAGIC;
    float n = t - BITNET_EXP_MAGIC;
    float r = x - n * BITNET_EXP_LN2HI;
    r = r - n * BITNET_EXP_LN2LO;
    float p = BITNET_EXP_C6;
    p = p * r + BITNET_EXP_C5;
    p = p * r + BITNET_EXP_C4;
    p = p * r + BITNET_EXP_C3;
    p = p * r + BITNET_EXP_C2;
    p = (p * (r * r) + r) + 1.0f; /* not Horner to the end: that is off by 1.16 ulp */
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return p * scale;
}

#endif
