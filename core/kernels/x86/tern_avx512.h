/* tern_avx512.h: what the ternary kernels of AVX-512 with VNNI share, on groups as group_avx512.h has them.
 */
#ifndef BITNET_TERN_AVX512_H
#define BITNET_TERN_AVX512_H

#include "kernels/tern_tiles.h"
#include "kernels/x86/group_avx512.h"

/* The codes are vpdpbusd's unsigned operand; it adds four products to a lane without saturating. */
static inline i32x16 dot(i32x16 acc, __m512i codes, __m512i x) {
    acc = (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, x);
    KEEP(acc);
    return acc;
}

/* f32(acc - xsum) / s * w_scale, in that order. */
static inline __m512 value(i32x16 acc, int32_t xsum, float s, float w_scale) {
    __m512 y = _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)acc, _mm512_set1_epi32(xsum)));
    y = _mm512_div_ps(y, _mm512_set1_ps(s));
    return _mm512_mul_ps(y, _mm512_set1_ps(w_scale));
}

/* Rows r .. r+15 of token t; rows at or past n are dropped. */
static inline void store_group(const bitnet_tern_args *a, int32_t t, int32_t r, i32x16 acc) {
    const __m512 y = value(acc, a->xsum[t], a->s[t], a->w_scale);
    _mm512_mask_storeu_ps(a->y + t * a->ldy + r, first_lanes(a->n - r), y);
}

#endif
