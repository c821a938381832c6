/* logprobs.c: bitnet_sampler_logprobs: log-softmax of the raw logits, what the model itself thinks
 * of a token whatever the sampler was told.
 *
 * log p_i = z_i - max - log(sum of e^(z_j - max)), in double (fmath_log_sum_exp), rounded once to f32.
 */
#include "bitnet/sampler.h"

#include <math.h>

#include "sample/heap.h"

int32_t bitnet_sampler_logprobs(const float *logits, int32_t n_vocab, bitnet_token token,
                                int32_t n_top, bitnet_logprob *out, void *scratch) {
    if (token < 0 || token >= n_vocab) return BITNET_E_INVAL;
    candidate *c = scratch;
    float max = -INFINITY;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (!isfinite(logits[i])) return BITNET_E_BACKEND;
        if (logits[i] > max) max = logits[i];
    }
    double norm = (double)max + fmath_log_sum_exp(logits, n_vocab, max);
    out[0] = (bitnet_logprob){token, (float)((double)logits[token] - norm)};
    if (n_top <= 0) return 1;

    for (int32_t i = 0; i < n_vocab; i++)
        c[i] = (candidate){logits[i], i};
    heap_make(c, n_vocab);
    int32_t n = n_top < n_vocab ? n_top : n_vocab;
    for (int32_t i = 0; i < n; i++) {
        candidate next = heap_pop(c, n_vocab - i);
        out[1 + i] = (bitnet_logprob){next.id, (float)((double)next.logit - norm)};
    }
    return 1 + n;
}
