/* x86.h: small things that the x86 kernels share. */
#ifndef BITNET_X86_H
#define BITNET_X86_H

#include <immintrin.h>
#include <stdint.h>

/* In front of a loop over registers: its bounds are constants, and it must be unrolled before the
 * compiler decides what lives in memory, or accumulators are stored in every step. */
#if defined(__clang__)
#define UNROLL   _Pragma("clang loop unroll(full)")
#define UNROLL12 UNROLL
#define UNROLL16 UNROLL
#else
#define UNROLL   _Pragma("GCC unroll 8")
#define UNROLL12 _Pragma("GCC unroll 12")
#define UNROLL16 _Pragma("GCC unroll 16")
#endif

/* Accumulators carry their element type. As plain __m256i or __m512i they would be cast in every
 * step, and GCC 12 keeps the zero of before the loop, cast and not, as values of their own: twice
 * the registers. Unsigned because they may wrap. */
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef int32_t i32x16 __attribute__((vector_size(64)));

/* The value is in a register at this point, and what the source says before has been done. Without it
 * compilers reorder chains of additions: they make all the products first, have no registers for
 * them, and store accumulators in every step. Costs no instruction. */
#define KEEP(v) __asm__ volatile("" : "+v"(v))

/* A mask of the first n of sixteen lanes, n >= 1; above 16 means all. */
static inline uint16_t first_lanes(int32_t n) {
    return n >= 16 ? 0xffff : (uint16_t)((1u << n) - 1);
}

/* The first n of four floats; n may be above 4, or below 1 for a tile that lies past the end. */
static inline void store_up_to_4(float *dst, __m128 v, int32_t n) {
    float tmp[4];
    if (n >= 4) {
        _mm_storeu_ps(dst, v);
        return;
    }
    _mm_storeu_ps(tmp, v);
    for (int32_t i = 0; i < n; i++)
        dst[i] = tmp[i];
}

#endif
