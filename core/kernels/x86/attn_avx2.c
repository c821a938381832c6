/* attn_avx2.c: attention of one query head, in the three passes of the contract: scores four
 * positions at a time, softmax eight at a time, then the weighted sum of the values with one
 * accumulator per element, positions ascending. */
#include "kernels/x86/sum16_avx2.h"

/* EXP of the contract, line by line. The constants stand first in min and max so that the choice is
 * the same as the scalar comparison's. */
static inline __m256 exp8(__m256 x) {
    const __m256 magic = _mm256_set1_ps(BITNET_EXP_MAGIC);
    x = _mm256_max_ps(x, _mm256_set1_ps(BITNET_EXP_LO));
    x = _mm256_min_ps(x, _mm256_set1_ps(BITNET_EXP_HI));
    __m256 t = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(BITNET_EXP_LOG2E)), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_sub_ps(x, _mm256_mul_ps(n, _mm256_set1_ps(BITNET_EXP_LN2HI)));
    r = _mm256_sub_ps(r, _mm256_mul_ps(n, _mm256_set1_ps(BITNET_EXP_LN2LO)));
    __m256 p = _mm256_set1_ps(BITNET_EXP_C6);
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C5));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C4));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C3));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C2));
    p = _mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}

/* p[t] = score[t]; returns the largest. Past the last key, that one again. */
static float scores(const bitnet_attn_args *a) {
    const __m128 scale = _mm_set1_ps(a->scale);
    const void *rows[4];
    for (int32_t t = 0; t < a->n_pos; t += 4) {
        four_rows(rows, a->k, a->stride * 4, t, a->n_pos);
        __m128 dot = sum16_dot4(rows, a->q, a->head_dim, false);
        store_up_to_4(a->p + t, _mm_mul_ps(dot, scale), a->n_pos - t);
    }
    float max = a->p[0];
    for (int32_t t = 1; t < a->n_pos; t++)
        max = a->p[t] > max ? a->p[t] : max;
    return max;
}

/* p[t] = EXP(p[t] - max); returns SUM16 of them */
static float softmax(float *p, int32_t n, float max) {
    const int32_t whole = n - n % 16;
    const __m256 m = _mm256_set1_ps(max);
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    float lane[16];
    for (int32_t t = 0; t < whole; t += 16) {
        __m256 e0 = exp8(_mm256_sub_ps(_mm256_loadu_ps(p + t), m));
        __m256 e1 = exp8(_mm256_sub_ps(_mm256_loadu_ps(p + t + 8), m));
        _mm256_storeu_ps(p + t, e0);
        _mm256_storeu_ps(p + t + 8, e1);
        lo = _mm256_add_ps(lo, e0);
        hi = _mm256_add_ps(hi, e1);
    }
    _mm256_storeu_ps(lane, lo);
    _mm256_storeu_ps(lane + 8, hi);
    for (int32_t t = whole; t < n; t++) {
        p[t] = bitnet_expf(p[t] - max);
        lane[t - whole] += p[t];
    }
    return sum16(lane);
}

/* y[d .. d + 8 regs) of the values; regs is a constant where this is inlined. */
__attribute__((always_inline)) static inline void values(const bitnet_attn_args *a, int32_t d,
                                                         float sum, const int regs) {
    __m256 acc[8];
    UNROLL for (int i = 0; i < regs; i++) {
        acc[i] = _mm256_setzero_ps();
    }
    for (int32_t t = 0; t < a->n_pos; t++) {
        const __m256 p = _mm256_set1_ps(a->p[t]);
        const float *v = a->v + t * a->stride + d;
        UNROLL for (int i = 0; i < regs; i++) {
            __m256 product = _mm256_mul_ps(p, _mm256_loadu_ps(v + 8 * i));
            acc[i] = _mm256_add_ps(acc[i], product);
        }
    }
    UNROLL for (int i = 0; i < regs; i++) {
        _mm256_storeu_ps(a->y + d + 8 * i, _mm256_div_ps(acc[i], _mm256_set1_ps(sum)));
    }
}

void bitnet_attn_avx2(const bitnet_attn_args *a) {
    const float max = scores(a), sum = softmax(a->p, a->n_pos, max);
    int32_t d = 0;
    for (; d + 64 <= a->head_dim; d += 64)
        values(a, d, sum, 8);
    for (; d + 8 <= a->head_dim; d += 8)
        values(a, d, sum, 1);
    for (; d < a->head_dim; d++) {
        float acc = 0.0f;
        for (int32_t t = 0; t < a->n_pos; t++)
            acc += a->p[t] * a->v[t * a->stride + d];
        a->y[d] = acc / sum;
    }
}
