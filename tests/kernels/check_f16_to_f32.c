/* check_f16_to_f32.c: all 65,536 values of binary16 in both directions, and every point where rounding
 * turns. */
#include <math.h>
#include <string.h>

#include "check.h"

enum { N_F16 = 65536 };

/* IEEE 754 binary16 by its definition; NaN keeps its payload. */
static float by_definition(uint32_t h) {
    int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
    double mag = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    if (exponent == 31) {
        uint32_t bits = (h & 0x8000u) << 16 | 0x7f800000u | (uint32_t)fraction << 13;
        float f;
        memcpy(&f, &bits, 4);
        return f;
    }
    return (float)(h & 0x8000u ? -mag : mag);
}

void check_f16_to_f32(check *c, bitnet_f16_to_f32_fn fn) {
    check_shape(c, "all 65536 values");
    uint16_t *x = check_alloc(c, N_F16 * sizeof *x);
    float *got = check_alloc(c, N_F16 * sizeof *got), *want = check_alloc(c, N_F16 * sizeof *want);
    for (uint32_t h = 0; h < N_F16; h++) {
        x[h] = (uint16_t)h;
        want[h] = by_definition(h);
    }
    fn(got, x, N_F16);
    check_same(c, "y", CHECK_F32, got, want, N_F16);
    for (size_t n = 0; n < 40; n++) { /* tails; 0x3c00 is 1 */
        check_shape(c, "n=%zu", n);
        uint16_t *ones = check_alloc(c, n * sizeof *ones);
        float *y = check_alloc(c, n * sizeof *y);
        for (size_t i = 0; i < n; i++)
            ones[i] = (uint16_t)(0x3c00 + i);
        fn(y, ones, n);
        for (size_t i = 0; i < n; i++)
            check_near(c, "y", i, (double)y[i], 1.0 + (double)i / 1024, 0.0);
    }
}
