/* check_f16_to_f32.c: all 65,536 values of binary16 in both directions, and every point where rounding
 * turns: f16_to_f32 and f32_to_f16. */
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

/* The floats halfway between neighbours, and those beside them: the even one wins a tie. */
static size_t make_turns(float *x, uint16_t *want) {
    size_t n = 0;
    for (uint16_t h = 0; h < 0x7bff; h++) {
        const float low = by_definition(h), high = by_definition(h + 1u);
        const float middle = 0.5f * (low + high); /* exact: one more bit */
        const float turns[] = {low, nextafterf(middle, low), middle, nextafterf(middle, high)};
        for (size_t i = 0; i < 4; i++, n++) {
            x[n] = turns[i];
            want[n] = (uint16_t)(h + (i == 3 || (i == 2 && h % 2)));
        }
    }
    return n;
}

void check_f32_to_f16(check *c, bitnet_f32_to_f16_fn fn) {
    static const float large[] = {65504.0f, 65519.0f, 65520.0f, 1e30f, INFINITY};
    check_shape(c, "every turn");
    float *x = check_alloc(c, 4 * N_F16 * sizeof *x);
    uint16_t *got = check_alloc(c, 4 * N_F16 * sizeof *got);
    uint16_t *want = check_alloc(c, 4 * N_F16 * sizeof *want);
    const size_t n = make_turns(x, want);
    fn(got, x, n);
    check_same(c, "y", CHECK_U16, got, want, n);
    for (size_t i = 0; i < n; i++)
        x[i] = -x[i], want[i] |= 0x8000;
    fn(got, x, n);
    check_same(c, "y of negative numbers", CHECK_U16, got, want, n);
    for (size_t len = 0; len < 40; len++) { /* tails, and what is too large */
        check_shape(c, "n=%zu", len);
        float *in = check_alloc(c, len * sizeof *in);
        uint16_t *out = check_alloc(c, len * sizeof *out), *max = check_alloc(c, len * sizeof *max);
        for (size_t i = 0; i < len; i++) {
            in[i] = i % 2 ? -large[i % 5] : large[i % 5];
            max[i] = i % 2 ? 0xfbff : 0x7bff;
        }
        fn(out, in, len);
        check_same(c, "y at the upper end", CHECK_U16, out, max, len);
    }
}
