/* scan2_avx512vnni.c: a row's 256 codes are one register and meet 256 activations that lie together. */
#include "kernels/scan.h"
#include "kernels/x86/x86.h"

static inline __m512i load(const void *p) {
    return _mm512_loadu_si512(p);
}

static inline i32x16 dot(i32x16 acc, __m512i codes, const int8_t *x) {
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, load(x));
}

void bitnet_scan2_avx512vnni(const bitnet_scan2_args *a) {
    const __m512i mask = _mm512_set1_epi8(3);
    for (int32_t i = 0; i < a->n; i++) {
        const int32_t r = a->row[i], next = a->row[i + 1 < a->n ? i + 1 : i];
        const uint8_t *w = a->w + (ptrdiff_t)r * (a->k / 4);
        const uint8_t *ahead = a->w + (ptrdiff_t)next * (a->k / 4);
        i32x16 hi[2] = {{0}}, lo[2] = {{0}}; /* of even and odd fields: shorter chains */
        for (int32_t b = 0; b < a->k; b += 256, w += 64, ahead += 64) {
            __m512i v = load(w);
            _mm_prefetch((const char *)ahead, _MM_HINT_T0);
            UNROLL for (int f = 0; f < 4; f++) {
                const __m512i codes = _mm512_and_si512(v, mask);
                hi[f % 2] = dot(hi[f % 2], codes, a->hi + b + 64 * f);
                lo[f % 2] = dot(lo[f % 2], codes, a->lo + b + 64 * f);
                v = _mm512_srli_epi16(v, 2);
            }
        }
        scan2_store(a, r, _mm512_reduce_add_epi32((__m512i)(hi[0] + hi[1])),
                    _mm512_reduce_add_epi32((__m512i)(lo[0] + lo[1])));
    }
}
