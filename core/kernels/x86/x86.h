/* x86.h: small things that the x86 kernels share. */
#ifndef BITNET_X86_H
#define BITNET_X86_H

#include <immintrin.h>

#include "kernels/simd.h"

/* Accumulators carry their element type. As plain __m256i or __m512i they would be cast in every
 * step, and GCC 12 keeps the zero of before the loop, cast and not, as values of their own: twice
 * the registers. Unsigned because they may wrap. */
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef int32_t i32x16 __attribute__((vector_size(64)));

/* The value is in a register at this point, and what the source says before has been done. Without it
 * compilers reorder chains of additions: they make all the products first, have no registers for
 * them, and store accumulators in every step. Costs no instruction. */
#define KEEP(v) __asm__ volatile("" : "+v"(v))

/* A mask of the first n of sixteen lanes, n >= 1; above 16 means all. */
static inline uint16_t first_lanes(int32_t n) {
    return (uint16_t)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

#endif
