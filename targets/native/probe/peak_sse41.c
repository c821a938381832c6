/* peak_sse41.c: as peak_avx2.c, in 16 bytes; two-operand instructions need a copy first. */
#include <smmintrin.h>

#include "peak.h"

uint64_t bench_i8_sse41(uint64_t n) {
    const __m128i a = _mm_set1_epi8(2), b = _mm_set1_epi8(1);
    __m128i t;
#define X(i) __m128i c##i = _mm_setzero_si128();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i)                                                                                       \
    __asm__ volatile("movdqa %2, %1\n\tpmaddubsw %3, %1\n\tpaddw %1, %0"                           \
                     : "+x"(c##i), "=&x"(t)                                                        \
                     : "x"(a), "x"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 16;
}

uint64_t bench_f32_sse41(uint64_t n) {
    const __m128 a = _mm_set1_ps(2.0f), b = _mm_set1_ps(0.5f);
    __m128 t;
#define X(i) __m128 c##i = _mm_setzero_ps();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i)                                                                                       \
    __asm__ volatile("movaps %2, %1\n\tmulps %3, %1\n\taddps %1, %0"                               \
                     : "+x"(c##i), "=&x"(t)                                                        \
                     : "x"(a), "x"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 4;
}

uint64_t bench_read_sse41(const void *bytes, size_t size) {
    const __m128i *p = bytes, *end = p + size / sizeof *p;
    __m128i sum[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
                      _mm_setzero_si128()};
    for (; p < end; p += 4)
        for (int i = 0; i < 4; i++)
            sum[i] = _mm_add_epi64(sum[i], _mm_loadu_si128(p + i));
    sum[0] = _mm_add_epi64(_mm_add_epi64(sum[0], sum[1]), _mm_add_epi64(sum[2], sum[3]));
    uint64_t out[2];
    _mm_storeu_si128((__m128i *)out, sum[0]);
    return out[0] + out[1];
}
