/* tern_matmul_avx512vnni.c: on the registers of tern_avx512.h.
 *
 * Decode (one token) reads four groups side by side, four linear streams, and leaves fields 1 and 3 of
 * each byte multiplied by 4, to be summed apart and divided exactly: one shift and four masks for 256
 * weights. Bound: such a lane gains at most 2*4*8*127 < 8192 per vector, so it lasts for 2^18 vectors,
 * 2^22 weights. Prefill shifts every field down: accumulators are scarce, shifts are shared by tokens.
 */
#include "kernels/x86/tern_avx512.h"

#define MAX_GROUPS 4
#define MAX_TOKENS 12
#define MAX_FEW    4
#define PREFETCH   2048 /* bytes ahead in each stream; docs/speed.md */

/* Groups g .. of token t. groups is a constant where this is inlined. */
__attribute__((always_inline)) static inline void decode(const bitnet_tern_args *a, int32_t r,
                                                         int32_t t, const int groups) {
    const __m512i mask0 = _mm512_set1_epi8(0x03), mask1 = _mm512_set1_epi8(0x0c);
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    i32x16 once[MAX_GROUPS], times4[MAX_GROUPS];

    UNROLL for (int g = 0; g < groups; g++) {
        once[g] = times4[g] = (i32x16){0};
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        __m512i x0 = activations(x), x1 = activations(x + 4);
        __m512i x2 = activations(x + 8), x3 = activations(x + 12);
        const ptrdiff_t ahead = tern_ahead(64 * b, PREFETCH, group_size, groups);
        UNROLL for (int g = 0; g < groups; g++) {
            _mm_prefetch((const char *)w + g * group_size + ahead, _MM_HINT_T0);
            __m512i v = load(w + g * group_size);
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
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    i32x16 acc[MAX_TOKENS][2];

    UNROLL12 for (int i = 0; i < tokens; i++) {
        acc[i][0] = acc[i][1] = (i32x16){0};
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        __m512i v[2];
        UNROLL for (int g = 0; g < groups; g++) {
            v[g] = load(w + g * group_size);
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
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    i32x16 acc[MAX_GROUPS][MAX_FEW];

    UNROLL for (int g = 0; g < groups; g++) {
        UNROLL for (int i = 0; i < tokens; i++) {
            acc[g][i] = (i32x16){0};
        }
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        const ptrdiff_t ahead = tern_ahead(64 * b, PREFETCH, group_size, groups);
        __m512i v[MAX_GROUPS];
        UNROLL for (int g = 0; g < groups; g++) {
            _mm_prefetch((const char *)w + g * group_size + ahead, _MM_HINT_T0);
            v[g] = load(w + g * group_size);
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

/* Rows r .. r+31, or what is left; tokens is a constant wherever these are inlined. */
__attribute__((always_inline)) static inline void prefill_32(const bitnet_tern_args *a, int32_t r,
                                                             int32_t t, const int tokens) {
    if (a->n - r > 16)
        prefill(a, r, t, 2, tokens);
    else
        prefill(a, r, t, 1, tokens);
}

/* Rows r .. r+63, by group where less than four are left. */
__attribute__((always_inline)) static inline void few_64(const bitnet_tern_args *a, int32_t r,
                                                         int32_t t, const int tokens) {
    if (a->n - r > 48)
        few(a, r, t, 4, tokens);
    else
        for (; r < a->n; r += 16)
            few(a, r, t, 1, tokens);
}

/* Not inlined: amid the tiles GCC makes its loop five instructions longer. */
__attribute__((noinline)) static void decode_token(const bitnet_tern_args *a, int32_t t) {
    int32_t r = 0;
    for (; a->n - r > 48; r += 64)
        decode(a, r, t, 4);
    for (; r < a->n; r += 16)
        decode(a, r, t, 1);
}

void bitnet_tern_matmul_avx512vnni(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(12, 32) prefill_32(a, r, t, 12);
    TILES(8, 32) prefill_32(a, r, t, 8);
    TILES(7, 32) prefill_32(a, r, t, 7);
    TILES(6, 32) prefill_32(a, r, t, 6);
    TILES(5, 32) prefill_32(a, r, t, 5);
    TILES(4, 64) few_64(a, r, t, 4);
    TILES(3, 64) few_64(a, r, t, 3);
    TILES(2, 64) few_64(a, r, t, 2);
    if (t < a->m) decode_token(a, t);
}
