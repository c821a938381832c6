/* peak_avx2.c: maddubs with the 16-bit addition that must follow it, multiply with add, loads of 32 bytes.
 * Written as assembly, since a compiler moves products out of the loop and accumulators into memory.
 */
#include <immintrin.h>

#include "peak.h"

uint64_t bench_i8_avx2(uint64_t n) {
    const __m256i a = _mm256_set1_epi8(2), b = _mm256_set1_epi8(1);
    __m256i t;
#define X(i) __m256i c##i = _mm256_setzero_si256();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i)                                                                                       \
    __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"                                  \
                     : "+x"(c##i), "=&x"(t)                                                        \
                     : "x"(a), "x"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 32;
}

uint64_t bench_f32_avx2(uint64_t n) {
    const __m256 a = _mm256_set1_ps(2.0f), b = _mm256_set1_ps(0.5f);
    __m256 t;
#define X(i) __m256 c##i = _mm256_setzero_ps();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i)                                                                                       \
    __asm__ volatile("vmulps %3, %2, %1\n\tvaddps %1, %0, %0"                                      \
                     : "+x"(c##i), "=&x"(t)                                                        \
                     : "x"(a), "x"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 8;
}

uint64_t bench_read_avx2(const void *bytes, size_t size) {
    const __m256i *p = bytes, *end = p + size / sizeof *p;
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    for (; p < end; p += 4)
        for (int i = 0; i < 4; i++)
            sum[i] = _mm256_add_epi64(sum[i], _mm256_loadu_si256(p + i));
    sum[0] = _mm256_add_epi64(_mm256_add_epi64(sum[0], sum[1]), _mm256_add_epi64(sum[2], sum[3]));
    uint64_t out[4];
    _mm256_storeu_si256((__m256i *)out, sum[0]);
    return out[0] + out[1] + out[2] + out[3];
}
