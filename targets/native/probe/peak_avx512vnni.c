/* peak_avx512vnni.c: vpdpbusd on zmm registers, multiply with add, loads of 64 bytes; see peak_avx2.c. */
#include <immintrin.h>

#include "peak.h"

uint64_t bench_i8_avx512vnni(uint64_t n) {
    const __m512i a = _mm512_set1_epi8(2), b = _mm512_set1_epi8(1);
#define X(i) __m512i c##i = _mm512_setzero_si512();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(c##i) : "v"(a), "v"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 64;
}

uint64_t bench_f32_avx512vnni(uint64_t n) {
    const __m512 a = _mm512_set1_ps(2.0f), b = _mm512_set1_ps(0.5f);
    __m512 t;
#define X(i) __m512 c##i = _mm512_setzero_ps();
    BENCH_CHAINS(X)
#undef X
    for (uint64_t r = 0; r < n; r++) {
#define X(i)                                                                                       \
    __asm__ volatile("vmulps %3, %2, %1\n\tvaddps %1, %0, %0"                                      \
                     : "+v"(c##i), "=&v"(t)                                                        \
                     : "v"(a), "v"(b));
        BENCH_CHAINS(X)
#undef X
    }
    return n * BENCH_N_CHAINS * 16;
}

uint64_t bench_read_avx512vnni(const void *bytes, size_t size) {
    const __m512i *p = bytes, *end = p + size / sizeof *p;
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    for (; p < end; p += 4)
        for (int i = 0; i < 4; i++)
            sum[i] = _mm512_add_epi64(sum[i], _mm512_loadu_si512(p + i));
    sum[0] = _mm512_add_epi64(_mm512_add_epi64(sum[0], sum[1]), _mm512_add_epi64(sum[2], sum[3]));
    uint64_t lane[8], all = 0; /* not reduce_add_epi64: GCC's adds signed numbers */
    _mm512_storeu_si512(lane, sum[0]);
    for (int l = 0; l < 8; l++)
        all += lane[l];
    return all;
}
