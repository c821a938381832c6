/* simd.h: what vector kernels of every instruction set share, in the vectors that gcc and clang have in
 * common. */
#ifndef BITNET_SIMD_H
#define BITNET_SIMD_H

#include <stdint.h>
#include <string.h>

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

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef float f32x4 __attribute__((vector_size(16)));

/* The first n of four floats; n may be above 4, or below 1 for a tile that lies past the end. */
static inline void store_up_to_4(float *dst, f32x4 v, int32_t n) {
    float tmp[4];
    if (n >= 4) {
        memcpy(dst, &v, sizeof v);
        return;
    }
    memcpy(tmp, &v, sizeof v);
    for (int32_t i = 0; i < n; i++)
        dst[i] = tmp[i];
}

#endif
