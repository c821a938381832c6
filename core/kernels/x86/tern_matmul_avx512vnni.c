/* tern_matmul_avx512vnni.c: a 64-byte vector of a group is one register and its 32-bit lanes are the
 * sixteen rows, so nothing is summed across lanes. vpdpbusd takes the codes as its unsigned operand
 * and adds four products to an i32 lane without saturating.
 *
 * Decode (one token) reads four groups side by side, four linear streams, and leaves fields 1 and 3 of
 * each byte multiplied by 4, to be summed apart and divided exactly: one shift and four masks for 256
 * weights. Bound: such a lane gains at most 2*4*8*127 < 8192 per vector, so it lasts for 2^18 vectors,
 * 2^22 weights. Prefill shifts every field down: accumulators are scarce, shifts are shared by tokens.
 */
#include "kernels/x86/x86.h"

#include "kernels/kernels.h"

#define MAX_GROUPS 4
#define MAX_TOKENS 12
#define MAX_FEW    4
#define PREFETCH   2048 /* bytes ahead in each stream; docs/speed.md */

static inline __m512i weights(const uint8_t *w) {
    return _mm512_loadu_si512((const void *)w);
}

/* The four activations of a field, for all rows. */
static inline __m512i activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

static inline i32x16 dot(i32x16 acc, __m512i codes, __m512i x) {
    acc = (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, x);
    KEEP(acc);
    return acc;
}

/* f32(acc - xsum) / s * w_scale, in that order; rows at or past n are dropped. */
static inline void store_group(const bitnet_tern_args *a, int32_t t, int32_t r, i32x16 acc) {
    const int32_t n = a->n - r;
    __m512 y = _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)acc, _mm512_set1_epi32(a->xsum[t])));
    y = _mm512_div_ps(y, _mm512_set1_ps(a->s[t]));
    y = _mm512_mul_ps(y, _mm512_set1_ps(a->w_scale));
    __mmask16 mask = n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
    _mm512_mask_storeu_ps(a->y + t * a->ldy + r, mask, y);
}

/* What is fetched ahead of vector b of a group: where the group ends, its stream goes on in the next
 * tile, behind the groups between. */
static inline ptrdiff_t ahead_of(int32_t b, ptrdiff_t group_size, int groups) {
    return PREFETCH + (64 * b + PREFETCH < group_size ? 0 : (groups - 1) * group_size);
}

/* Groups g .. of token t. groups is a constant where this is inlined. */
__attribute__((always_inline)) static inline void decode(const bitnet_tern_args *a, int32_t r,
                                                         int32_t t, const int groups) {
    const __m512i mask0 = _mm512_set1_epi8(0x03), mask1 = _mm512_set1_epi8(0x0c);
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k;
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * group_size;
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    i32x16 once[MAX_GROUPS], times4[MAX_GROUPS];

    UNROLL for (int g = 0; g < groups; g++) {
        once[g] = times4[g] = (i32x16){0};
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        __m512i x0 = activations(x), x1 = activations(x + 4);
        __m512i x2 = activations(x + 8), x3 = activations(x + 12);
        const ptrdiff_t ahead = ahead_of(b, group_size, groups);
        UNROLL for (int g = 0; g < groups; g++) {
            _mm_prefetch((const char *)w + g * group_size + ahead, _MM_HINT_T0);
            __m512i v = weights(w + g * group_size);
            KEEP(v); /* or GCC reads it from memory three times */
            __m512i v4 = _mm512_srli_epi16(v, 4);
            once[g] = dot(once[g], _mm512_and_si512(v, mask0), x0);
            times4[g] = dot(times4[g], _mm512_and_si512(v, mask1), x1);
            once[g] = dot(once[g], _mm512_and_si512(v4, mask0), x2);
            times4[g] = dot(times4[g], _mm512_and_si512(v4, mask1), x3);
        }
    }
    UNROLL for (int g = 0; g < groups; g++) {
        store_group(a, t, r + 16 * g, once[g] + (times4[g] >> 2));
    }
}

/* Two groups and some tokens; tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void
prefill(const bitnet_tern_args *a, int32_t r, int32_t t, const int groups, const int tokens) {
    const __m512i mask = _mm512_set1_epi8(0x03);
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k, k = a->k;
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * group_size;
    const int8_t *x = a->xq + t * k;
    i32x16 acc[MAX_TOKENS][2];

    UNROLL12 for (int i = 0; i < tokens; i++) {
        acc[i][0] = acc[i][1] = (i32x16){0};
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        __m512i v[2];
        UNROLL for (int g = 0; g < groups; g++) {
            v[g] = weights(w + g * group_size);
        }
        UNROLL for (int f = 0; f < 4; f++) {
            __m512i code[2];
            UNROLL for (int g = 0; g < groups; g++) {
                code[g] = _mm512_and_si512(v[g], mask);
                v[g] = _mm512_srli_epi16(v[g], 2);
            }
            UNROLL12 for (int i = 0; i < tokens; i++) {
                __m512i xi = activations(x + i * k + 4 * f);
                UNROLL for (int g = 0; g < groups; g++) {
                    acc[i][g] = dot(acc[i][g], code[g], xi);
                }
            }
        }
    }
    UNROLL12 for (int i = 0; i < tokens; i++) {
        UNROLL for (int g = 0; g < groups; g++) {
            store_group(a, t + i, r + 16 * g, acc[i][g]);
        }
    }
}

/* Two to four tokens: weights come from memory as for one, and every field is shifted down, for
 * accumulators are scarce. tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void
few(const bitnet_tern_args *a, int32_t r, int32_t t, const int groups, const int tokens) {
    const __m512i mask = _mm512_set1_epi8(0x03);
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k, k = a->k;
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * group_size;
    const int8_t *x = a->xq + t * k;
    i32x16 acc[MAX_GROUPS][MAX_FEW];

    UNROLL for (int g = 0; g < groups; g++) {
        UNROLL for (int i = 0; i < tokens; i++) {
            acc[g][i] = (i32x16){0};
        }
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        const ptrdiff_t ahead = ahead_of(b, group_size, groups);
        __m512i v[MAX_GROUPS];
        UNROLL for (int g = 0; g < groups; g++) {
            _mm_prefetch((const char *)w + g * group_size + ahead, _MM_HINT_T0);
            v[g] = weights(w + g * group_size);
        }
        UNROLL for (int f = 0; f < 4; f++) {
            __m512i xf[MAX_FEW];
            UNROLL for (int i = 0; i < tokens; i++) {
                xf[i] = activations(x + i * k + 4 * f);
            }
            UNROLL for (int g = 0; g < groups; g++) {
                const __m512i code = _mm512_and_si512(v[g], mask);
                v[g] = _mm512_srli_epi16(v[g], 2);
                UNROLL for (int i = 0; i < tokens; i++) {
                    acc[g][i] = dot(acc[g][i], code, xf[i]);
                }
            }
        }
    }
    UNROLL for (int g = 0; g < groups; g++) {
        UNROLL for (int i = 0; i < tokens; i++) {
            store_group(a, t + i, r + 16 * g, acc[g][i]);
        }
    }
}

/* The last m <= MAX_FEW tokens, from t on. */
static void few_tokens(const bitnet_tern_args *a, int32_t t) {
    int32_t r = 0;
#define ROWS(groups)                                                                               \
    switch (a->m - t) {                                                                            \
    case 1:                                                                                        \
        decode(a, r, t, groups);                                                                   \
        break;                                                                                     \
    case 2:                                                                                        \
        few(a, r, t, groups, 2);                                                                   \
        break;                                                                                     \
    case 3:                                                                                        \
        few(a, r, t, groups, 3);                                                                   \
        break;                                                                                     \
    case 4:                                                                                        \
        few(a, r, t, groups, 4);                                                                   \
        break;                                                                                     \
    }
    for (; a->n - r > 48; r += 64)
        ROWS(4)
    for (; r < a->n; r += 16)
        ROWS(1)
#undef ROWS
}

/* The tokens of a tile pass over all rows before the next tile's: their activations stay in the first
 * cache, and the weights, a slice of the matrix, in the second. */
static void prefill_tokens(const bitnet_tern_args *a, int32_t t, int32_t tokens) {
    int32_t r = 0;
#define TILE(groups, n)                                                                            \
    case n:                                                                                        \
        prefill(a, r, t, groups, n);                                                               \
        break
#define TILES(groups)                                                                              \
    switch (tokens) {                                                                              \
        TILE(groups, 5);                                                                           \
        TILE(groups, 6);                                                                           \
        TILE(groups, 7);                                                                           \
        TILE(groups, 8);                                                                           \
        TILE(groups, 12);                                                                          \
    }
    for (; a->n - r > 16; r += 32)
        TILES(2)
    if (r < a->n) TILES(1)
#undef TILES
#undef TILE
}

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

void bitnet_tern_matmul_avx512vnni(const bitnet_tern_args *a) {
    int32_t t = 0;
    for (; a->m - t >= 12; t += 12)
        prefill_tokens(a, t, 12);
    for (; a->m - t > MAX_FEW; t += least(a->m - t, 8))
        prefill_tokens(a, t, least(a->m - t, 8));
    if (t < a->m) few_tokens(a, t);
}
