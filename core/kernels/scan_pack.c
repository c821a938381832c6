/* scan_pack.c: one row of the head -> 6-bit codes, 2 bits more, and how far both are off. Plain C in
 * loops that compilers turn into vector code; it runs once, at load.
 */
#include <float.h>
#include <math.h>

#include "kernels/kernels.h"

#define BLOCK 256 /* weights whose squares are summed in f32 */
/* Rows whose largest weight lies outside are taken for zeros, and off for all of it: a smaller one's
 * squares fit no f32, and about a larger one, or one with a NaN in it, no bound is given. */
#define LEAST 1e-15f
#define MOST  1e15f
#define MAGIC 12582912.0f /* 1.5 * 2^23: adding and subtracting rounds to an integer */

/* Sums of squares in f32 and products that round: relative errors below 2^-18, added on top. */
#define UPWARDS 1.00001

/* Of one block. */
typedef struct codes {
    uint8_t six[BLOCK], two[BLOCK];
    float norm, off, off2; /* squares */
} codes;

/* Infinite where a weight is, or is none. */
static float absmax(const float *x, int32_t n) {
    float lane[16] = {0}, max = 0.0f;
    for (int32_t j = 0; j < n; j += 16)
        for (int l = 0; l < 16; l++) {
            float v = fabsf(x[j + l]);
            v = v <= FLT_MAX ? v : INFINITY;
            lane[l] = v > lane[l] ? v : lane[l];
        }
    for (int l = 0; l < 16; l++)
        max = lane[l] > max ? lane[l] : max;
    return max;
}

static float sum(const float lane[16]) {
    float s = 0.0f;
    for (int l = 0; l < 16; l++)
        s += lane[l];
    return s;
}

/* n, a multiple of 16, of BLOCK weights. */
static void quantise(codes *c, const float *x, int32_t n, float d, float inverse) {
    float norm[16] = {0}, off[16] = {0}, off2[16] = {0};
    for (int32_t j = 0; j < n; j += 16)
        for (int l = 0; l < 16; l++) {
            const float v = x[j + l], whole = (v * inverse + MAGIC) - MAGIC;
            const float e = v - d * whole;
            /* e in [-d/2, d/2] -> (code - 1.5) d/4 */
            float code = (e * (4.0f * inverse) + 1.5f + MAGIC) - MAGIC;
            code = code < 0.0f ? 0.0f : code > 3.0f ? 3.0f : code;
            const float e2 = e - (code - 1.5f) * (0.25f * d);
            c->six[j + l] = (uint8_t)((int32_t)whole + 32);
            c->two[j + l] = (uint8_t)(int32_t)code;
            norm[l] += v * v, off[l] += e * e, off2[l] += e2 * e2;
        }
    c->norm = sum(norm), c->off = sum(off), c->off2 = sum(off2);
}

static void put_six(uint8_t *w, const uint8_t *six, int32_t n) {
    for (int32_t j = 0; j < n; j += 16, w += 192)
        for (int i = 0; i < 4; i++) {
            const uint32_t a = six[j + i], b = six[j + 4 + i], c = six[j + 8 + i],
                           e = six[j + 12 + i];
            w[i] = (uint8_t)(a >> 4 | b >> 4 << 2 | c >> 4 << 4 | e >> 4 << 6);
            w[64 + i] = (uint8_t)((a & 15) | (b & 15) << 4);
            w[128 + i] = (uint8_t)((c & 15) | (e & 15) << 4);
        }
}

static void put_two(uint8_t *w, const uint8_t *two) {
    for (int j = 0; j < 64; j++)
        w[j] = (uint8_t)(two[j] | two[64 + j] << 2 | two[128 + j] << 4 | two[192 + j] << 6);
}

void bitnet_scan_pack(uint8_t *group, int32_t r, uint8_t *more, const float *x, int32_t k,
                      bitnet_scan_row *out) {
    const float max = absmax(x, k);
    const bool fits = max >= LEAST && max <= MOST;
    const float d = fits ? max / 31.0f : 0.0f, inverse = fits ? 31.0f / max : 0.0f;
    double norm = 0.0, off = 0.0, off2 = 0.0;
    codes c = {{0}, {0}, 0, 0, 0};
    for (int32_t j = 0; j < k; j += BLOCK) {
        const int32_t n = k - j < BLOCK ? k - j : BLOCK;
        if (fits) quantise(&c, x + j, n, d, inverse);
        memset(c.two + n, 0, (size_t)(BLOCK - n));
        put_six(group + 4 * r + j / 16 * 192, c.six, n);
        put_two(more + j / 4, c.two);
        norm += (double)c.norm, off += (double)c.off, off2 += (double)c.off2;
    }
    /* what e and e2 themselves were rounded by: a few times 2^-24 of at most max each */
    const double longest = (double)max * sqrt((double)k), rounded = longest * 0x1p-21;
    const float all = max <= MOST ? (float)(longest * UPWARDS) : FLT_MAX;
    out->d = d;
    out->norm = fits ? (float)(sqrt(norm) * UPWARDS) : all;
    out->off = fits ? (float)((sqrt(off) + rounded) * UPWARDS) : all;
    out->off2 = fits ? (float)((sqrt(off2) + rounded) * UPWARDS) : all;
}
