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
#elif defined(__aarch64__)
#define BITNET_ARCH_ARM 1
#elif defined(__wasm_simd128__)
#define BITNET_ARCH_WASM 1
#endif
#ifndef BITNET_ARCH_X86
#define BITNET_ARCH_X86 0
#endif
#ifndef BITNET_ARCH_ARM
#define BITNET_ARCH_ARM 0
#endif
#ifndef BITNET_ARCH_WASM
#define BITNET_ARCH_WASM 0
#endif

#define BITNET_K_BLOCK   128 /* a ternary row holds a multiple of this many weights */
#define BITNET_ROW_GROUP 16  /* rows that lie interleaved, so that a vector's lanes are rows */

/* act_quant: int8 by absmax, one token (arXiv:2402.17764 2; formats page 2.6)
 *   amax = max(1e-5, max |x|)   s = 127 / amax   xq = clamp(round half even(x * s), -128, 127)
 *   x [k] f32, finite;  xq [k];  *s;  *xsum = sum of xq;  k >= 1
 * |x * s| exceeds 127 by its own rounding at most, so xq never is -128: |xq| <= 127. */
#define BITNET_DECL_act_quant(name)                                                                \
    void name(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k)

/* tern_matmul: y[t][r] = f32(sum_j (c[r][j] - 1) * xq[t][j]) / s[t] * w_scale
 *   w   groups of 16 rows of 2-bit codes c = weight + 1 in {0,1,2}, the last one filled up with any
 *       rows; a group is k/16 vectors of 64 bytes. Vector b holds weights 16 b .. 16 b + 15 of its
 *       rows: byte 4 r + i, bits 2 f + 1 .. 2 f (f, i in 0 .. 3) is weight 16 b + 4 f + i of row r.
 *       So a mask takes a field out, a 32-bit lane of it is four neighbouring weights of one row, and
 *       the four activations they meet are the same for all lanes. A field of 16 rows is also a row
 *       of an AMX tile.
 *   xq  [m][k]    from act_quant (|xq| <= 127), with s [m] and xsum [m];  k a multiple of 128
 *   y   [m][ldy]  columns 0 .. n-1 are written
 * The sum is exact int32: sum c*xq - xsum; |acc| <= 127 k. A pair of u8 x i8 products is at most
 * 2*2*127 = 508 in magnitude, so a 16-bit lane takes 64 pairs before it must be widened. */
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

/* One group [4 k bytes] from up to 16 rows of k / 4 bytes as an I2_S tensor in layout A holds them (of
 * each 128 weights, number j lies in byte j % 32 at bits 7:6, 5:4, 3:2, 1:0 for j / 32 = 0, 1, 2, 3);
 * missing rows become zeros. Plain C on every tier: it runs once, at load. */
void bitnet_tern_pack(uint8_t *group, const uint8_t *rows, int32_t n_rows, int32_t k);

/* tern_rows: tern_matmul of one token for the rows listed, which lie by themselves: what squared ReLU
 * leaves of `up`.  y[row[i]] = f32(sum_j (c[row[i]][j] - 1) * xq[j]) / s * w_scale
 *   w    [rows][k/4] in layout A, see bitnet_tern_pack
 *   row  [n], ascending;  xq [k];  k a multiple of 128 */
typedef struct bitnet_tern_rows_args {
    float *y;
    const int32_t *row;
    const uint8_t *w;
    const int8_t *xq;
    float s;
    int32_t xsum;
    float w_scale;
    int32_t n, k;
} bitnet_tern_rows_args;
#define BITNET_DECL_tern_rows(name) void name(const bitnet_tern_rows_args *a)

/* tern_cols: tern_matmul of one token by the columns listed, for an input that is mostly zeros: what
 * squared ReLU leaves of `down`.  y[r] = f32(sum_i c[r][col[i]] * x[i] - xsum) / s * w_scale, r < n
 *   w    a column j begins at w + j * ld; 64 bytes hold 256 rows: byte 16 l + 4 q + d, bits
 *        2 f + 1 .. 2 f (l, q, d, f in 0 .. 3) is row 64 f + 16 q + 4 l + d, so that interleaving the
 *        bytes of four columns within 128-bit lanes makes 32-bit lanes of sixteen consecutive rows
 *   col, x [n_col], x from act_quant;  xsum the sum of x;  n_col < 2^17
 *   y    [n] */
typedef struct bitnet_tern_cols_args {
    float *y;
    const uint8_t *w;
    ptrdiff_t ld; /* bytes */
    const int32_t *col;
    const int8_t *x;
    float s;
    int32_t xsum;
    float w_scale;
    int32_t n, n_col;
} bitnet_tern_cols_args;
#define BITNET_DECL_tern_cols(name) void name(const bitnet_tern_cols_args *a)
#define BITNET_COL_ROWS             256 /* rows in 64 bytes of a column */

/* 64 bytes of each of k columns from up to 256 rows in layout A; missing rows become zeros. Plain C on
 * every tier. k a multiple of 128. */
void bitnet_tern_pack_cols(uint8_t *cols, ptrdiff_t ld, const uint8_t *rows, int32_t n_rows,
                           int32_t k);
/* The same weights in 1.6 bits, for machines that wait for memory: five codes, the first the most
 * significant, are a number v = 0 .. 242 in base 3, and the byte is ceil(256 v / 243). So the byte is a
 * fraction whose first five digits in base 3 are the codes: of byte c the first one is 3 c / 256, and
 * 3 c mod 256 has the others. A group is ceil(k / 20) vectors of 64 bytes; digit f of byte 4 r + i of
 * vector b is weight 20 b + 4 f + i of row r, at and past k a weight of 0.
 *
 * tern5_matvec: tern_matmul, to the bit, with such groups; k <= BITNET_TERN5_MAX_K, m <= BITNET_TERN5_MAX_TOKENS
 * tern5_unpack: n groups of these -> n of tern_matmul's */
#define BITNET_TERN5_MAX_K             32768 /* 256 times a sum fits 32 bits */
#define BITNET_TERN5_MAX_TOKENS        4     /* more are faster with unpacked weights */
#define BITNET_DECL_tern5_matvec(name) void name(const bitnet_tern_args *a)
#define BITNET_DECL_tern5_unpack(name)                                                             \
    void name(uint8_t *groups, const uint8_t *groups5, int32_t n, int32_t k)
static inline size_t bitnet_tern5_group_size(int32_t k) {
    return ((size_t)k + 19) / 20 * 64;
}
/* One group from one of tern_matmul's. Plain C on every tier. */
void bitnet_tern5_pack(uint8_t *group5, const uint8_t *group, int32_t k);

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

/* scan6: what the rows of an ordinary matrix give about, from a copy of it in 6 bits a weight; the
 * head's first pass. Of row r, w ~ d[r] (q - 32) with codes q in 1 .. 63; of token t,
 * x ~ scale[t] (128 hi + lo).
 *   y[t][r] = (f32(sum_j (q - 32) hi[t][j]) * 128 + f32(sum_j (q - 32) lo[t][j])) * (scale[t] * d[r])
 *   w   groups of 16 rows, k/16 blocks of 192 bytes: the upper 2 bits of the codes as tern_matmul's
 *       vectors have them, then two vectors of lower 4 bits: byte 4 r + i holds weight 16 b + 8 v + i
 *       of vector v in bits 3:0 and weight 16 b + 8 v + 4 + i in bits 7:4
 *   hi, lo [m][k], |.| <= 127;  hi_sum, lo_sum [m] 32 times their sums;  k a multiple of 16, < 2^17
 *   y [m][ldy];  d [n];  scale [m] */
typedef struct bitnet_scan6_args {
    float *y;
    ptrdiff_t ldy;
    const uint8_t *w;
    const float *d;
    const int8_t *hi, *lo;
    const int32_t *hi_sum, *lo_sum;
    const float *scale;
    int32_t n, k, m;
} bitnet_scan6_args;
#define BITNET_DECL_scan6(name) void name(const bitnet_scan6_args *a)

/* scan2: 2 bits a weight more, for the rows listed: w ~ d[r] (q - 32 + (p - 1.5) / 4), p in 0 .. 3.
 *   y[r] += (f32(sum_j (2 p - 3) hi[j]) * 128 + f32(sum_j (2 p - 3) lo[j])) * (scale * d[r]) * 0.125
 *   w   [rows][k/4]; of each 256 weights, number j lies in byte j % 64 at bits 2 (j / 64)
 *   row [n]; hi, lo [k], and 3 times their sums over the row;  k a multiple of 256; behind the row's own end
 *   p is 0, and hi and lo may hold anything */
typedef struct bitnet_scan2_args {
    float *y;
    const int32_t *row;
    const uint8_t *w;
    const float *d;
    const int8_t *hi, *lo;
    int32_t hi_sum, lo_sum;
    float scale;
    int32_t n, k;
} bitnet_scan2_args;
#define BITNET_DECL_scan2(name) void name(const bitnet_scan2_args *a)

/* Both from one row's weights x [k], k a multiple of 16: row r (0 .. 15) of a group [12 k bytes], and
 * `more` [k/4, k rounded up to 256]. Euclidean lengths, rounded up: norm >= |x|, off >= |x - what scan6
 * takes it for|, off2 likewise with scan2; FLT_MAX where a weight is infinite, NaN or beyond 1e15. Plain C
 * on every tier. */
typedef struct bitnet_scan_row {
    float d, norm, off, off2;
} bitnet_scan_row;
void bitnet_scan_pack(uint8_t *group, int32_t r, uint8_t *more, const float *x, int32_t k,
                      bitnet_scan_row *out);

/* rmsnorm: r = 1 / sqrt(SUM16(x*x) / n + eps);  y = (x * r) * w   (arXiv:1910.07467); y may be x */
#define BITNET_DECL_rmsnorm(name)                                                                  \
    void name(float *y, const float *x, const float *w, int32_t n, float eps)

/* Attention (arXiv:1706.03762 3.2.1) is f16_matmul or f32_matmul with the keys for weights, softmax
 * over each query's scores, attn_mix with the values, and a division by what softmax returned. */

/* softmax: p[i] = EXP(p[i] * scale - max over all of p * scale);  returns SUM16(i < n) p[i]
 *   p [n], in place;  n >= 1 */
#define BITNET_DECL_softmax(name) float name(float *p, int32_t n, float scale)

/* attn_mix: y[t][d] += p[t][i] * v[i][d] for i = 0 .. n_pos - 1 in this order, one f32 accumulator
 * each; so positions may come in several calls. A p of 0 changes nothing.
 *   p [m][ldp], columns 0 .. n_pos - 1;  v [n_pos][head_dim], finite;  y [m][ldy] */
typedef struct bitnet_attn_mix_args {
    float *y;
    ptrdiff_t ldy;
    const float *p;
    ptrdiff_t ldp;
    const float *v;
    int32_t n_pos, head_dim, m;
} bitnet_attn_mix_args;
#define BITNET_DECL_attn_mix(name) void name(const bitnet_attn_mix_args *a)

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

/* f32_to_f16: to nearest, ties to even; magnitudes above 65504, infinities too, become 65504, for
 * 0 * inf would be NaN. x not NaN */
#define BITNET_F16_MAX               65504.0f
#define BITNET_DECL_f32_to_f16(name) void name(uint16_t *y, const float *x, size_t n)

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
    X(tern_rows)                                                                                   \
    X(tern_cols)                                                                                   \
    X(tern5_matvec)                                                                                \
    X(tern5_unpack)                                                                                \
    X(f16_matmul)                                                                                  \
    X(f32_matmul)                                                                                  \
    X(scan6)                                                                                       \
    X(scan2)                                                                                       \
    X(rmsnorm)                                                                                     \
    X(softmax)                                                                                     \
    X(attn_mix)                                                                                    \
    X(rope)                                                                                        \
    X(gate_relu2)                                                                                  \
    X(gate_silu)                                                                                   \
    X(add) X(f16_to_f32) X(f32_to_f16) X(decode_q8_0) X(decode_q6_k) X(decode_q4_k) X(decode_q4_0)

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
