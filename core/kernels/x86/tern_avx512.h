/* tern_avx512.h: what the ternary kernels of AVX-512 with VNNI share. A 64-byte vector of a group is one
 * register and its 32-bit lanes are the sixteen rows, so nothing is summed across lanes.
 */
#ifndef BITNET_TERN_AVX512_H
#define BITNET_TERN_AVX512_H

#include "kernels/tern_tiles.h"
#include "kernels/x86/x86.h"

static inline __m512i load(const void *p) {
    return _mm512_loadu_si512(p);
}

/* The four activations of a field, for all rows. */
static inline __m512i activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

/* The codes are vpdpbusd's unsigned operand; it adds four products to a lane without saturating. */
static inline i32x16 dot(i32x16 acc, __m512i codes, __m512i x) {
    acc = (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, x);
    KEEP(acc);
    return acc;
}

/* f32(acc - xsum) / s * w_scale, in that order; rows at or past n are dropped. */
static inline void store_group(const bitnet_tern_args *a, int32_t t, int32_t r, i32x16 acc) {
    __m512 y = _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)acc, _mm512_set1_epi32(a->xsum[t])));
    y = _mm512_div_ps(y, _mm512_set1_ps(a->s[t]));
    y = _mm512_mul_ps(y, _mm512_set1_ps(a->w_scale));
    _mm512_mask_storeu_ps(a->y + t * a->ldy + r, first_lanes(a->n - r), y);
}

#endif
