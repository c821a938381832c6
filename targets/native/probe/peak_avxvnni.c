/* peak_avxvnni.c: vpdpbusd on ymm registers; see peak_avx2.c. */
#include <immintrin.h>

#include "peak.h"

uint64_t bench_i8_avxvnni(uint64_t n) {
    const __m256i a = _mm256_set1_epi8(2), b = _mm256_set1_epi8(1);
#define X(i) __m256i c##i = _mm256_setzero_si256();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i) __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(c##i) : "x"(a), "x"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 32;
}
