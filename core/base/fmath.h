/* fmath.h: exp, log, sin and cos in double with the same bits on every target.
 *
 * libm differs between C libraries (and, through FMA, between CPUs) in the last bit. Tables that
 * decide tokens must not: the RoPE angles are made here, from additions and multiplications only,
 * which IEEE 754 fixes. Accuracy is about 2 ulp of a double, far below the f32 the tables are
 * stored in.
 */
#ifndef BITNET_FMATH_H
#define BITNET_FMATH_H

#include <stdint.h>
#include <string.h>

/* 2^k for -1022 <= k <= 1023 */
static inline double fmath_exp2i(int k) {
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

/* Rounds half even, |x| < 2^51. */
static inline double fmath_round(double x) {
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    volatile double t = x + magic;           /* volatile: a compiler must not cancel the two */
    return t - magic;
}

/* ln 2 in two parts; the first has 33 bits, so k * LN2_HI is exact for |k| < 2^20. */
#define FMATH_LN2_HI 6.93147180369123816490e-01
#define FMATH_LN2_LO 1.90821492927058770002e-10

/* -700 <= x <= 700 */
static inline double fmath_exp(double x) {
    double k = fmath_round(x * 1.44269504088896338700);
    double r = (x - k * FMATH_LN2_HI) - k * FMATH_LN2_LO;
    double p = 1.0; /* Taylor to r^14 by Horner; |r| <= 0.347, so the rest is below 2^-60 */
    for (int i = 14; i >= 1; i--)
        p = p * r / i + 1.0;
    return p * fmath_exp2i((int)k);
}

/* x > 0, normal: x = m * 2^k with m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m-1)/(m+1)) */
static inline double fmath_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    int k = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 1.41421356237309504880) m *= 0.5, k++;
    double z = (m - 1.0) / (m + 1.0), z2 = z * z, s = 0.0;
    for (int i = 25; i >= 1; i -= 2)
        s = s * z2 + 1.0 / i; /* z <= 0.172: z^27 < 2^-68 */
    return k * FMATH_LN2_HI + (2.0 * z * s + k * FMATH_LN2_LO);
}

/* 0 <= x < 2^21: reduced by pi/2 in three parts (Cody and Waite; fdlibm's split, 33 bits each),
 * then Taylor on [-pi/4, pi/4] */
static inline void fmath_sincos(double x, double *sin_out, double *cos_out) {
    double q = fmath_round(x * 6.36619772367581382433e-01);
    double r = x - q * 1.57079632673412561417e+00;
    r = r - q * 6.07710050630396597660e-11;
    r = r - q * 2.02226624879595063154e-21;
    double r2 = r * r, s = 0.0, c = 0.0;
    for (int i = 19; i >= 3; i -= 2)
        s = (s + 1.0) * (-r2 / (double)(i * (i - 1)));
    for (int i = 18; i >= 2; i -= 2)
        c = (c + 1.0) * (-r2 / (double)(i * (i - 1)));
    s = (s + 1.0) * r;
    c = c + 1.0;
    switch ((int64_t)q & 3) {
    case 0:
        *sin_out = s, *cos_out = c;
        break;
    case 1:
        *sin_out = c, *cos_out = -s;
        break;
    case 2:
        *sin_out = -s, *cos_out = -c;
        break;
    default:
        *sin_out = -c, *cos_out = s;
        break;
    }
}

/* log(sum of e^(z_i - max)) over z [n], n >= 1, whose largest is max, by ascending index. What lies 700
 * below adds nothing to a sum that is 1 or more. */
static inline double fmath_log_sum_exp(const float *z, int32_t n, float max) {
    double sum = 0.0;
    for (int32_t i = 0; i < n; i++) {
        double below = (double)z[i] - (double)max;
        if (below >= -700.0) sum += fmath_exp(below);
    }
    return fmath_log(sum);
}

#endif
