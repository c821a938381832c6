/* rope_avx2.c: rotary position embedding in place, eight pairs at a time. Half split pairs lie apart and
 * need no copy; neighbouring ones come out half split, over input not read yet, so that they are
 * taken apart into a buffer first. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

/* Pairs (x[i], x[i + half]) of one head */
static void rotate(const bitnet_rope_args *r, float *x) {
    const int32_t half = r->n_rot / 2;
    int32_t i = 0;
    for (; i + 8 <= half; i += 8) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i);
        __m256 c = _mm256_loadu_ps(r->cos + i), s = _mm256_loadu_ps(r->sin + i);
        _mm256_storeu_ps(x + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(x + half + i, _mm256_add_ps(_mm256_mul_ps(a, s), _mm256_mul_ps(b, c)));
    }
    for (; i < half; i++) {
        float a = x[i], b = x[i + half];
        x[i] = a * r->cos[i] - b * r->sin[i];
        x[i + half] = a * r->sin[i] + b * r->cos[i];
    }
}

/* Even elements to the front, odd ones behind them */
static void split(float *x, int32_t half) {
    float odd[BITNET_MAX_HEAD_DIM / 2];
    int32_t i = 0;
    for (; i + 8 <= half; i += 8) { /* x[i ..] was read in this step or before */
        __m256 lo = _mm256_loadu_ps(x + 2 * i), hi = _mm256_loadu_ps(x + 2 * i + 8);
        __m256 low = _mm256_permute2f128_ps(lo, hi, 0x20);
        __m256 high = _mm256_permute2f128_ps(lo, hi, 0x31);
        _mm256_storeu_ps(x + i, _mm256_shuffle_ps(low, high, 0x88));
        _mm256_storeu_ps(odd + i, _mm256_shuffle_ps(low, high, 0xdd));
    }
    for (; i < half; i++) {
        odd[i] = x[2 * i + 1];
        x[i] = x[2 * i];
    }
    memcpy(x + half, odd, (size_t)half * sizeof *odd);
}

void bitnet_rope_avx2(const bitnet_rope_args *r) {
    for (int32_t h = 0; h < r->n_head; h++) {
        float *x = r->x + (ptrdiff_t)h * r->head_dim;
        if (r->is_norm) split(x, r->n_rot / 2);
        rotate(r, x);
    }
}
