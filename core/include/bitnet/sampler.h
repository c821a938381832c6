/* sampler.h: logits -> one token. A plain struct, no heap; the scratch comes from the caller.
 *
 * Order: top-k, top-p, min-p on the untempered probabilities, then temperature, then one draw, as
 * llama.cpp does. temp <= 0 is greedy: the largest logit, the lowest id among equals. All
 * arithmetic is in a fixed order with our own exp, so a seed gives the same tokens on every target.
 */
#ifndef BITNET_SAMPLER_H
#define BITNET_SAMPLER_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* {0} is greedy. bitnet_sampler_default() gives llama.cpp's defaults. */
typedef struct bitnet_sampler_desc {
    float temp;    /* <= 0 greedy; 1 leaves the distribution alone */
    int32_t top_k; /* <= 0 off */
    float top_p;   /* 1 (or 0) off */
    float min_p;   /* 0 off */
    uint64_t seed;
} bitnet_sampler_desc;

typedef struct bitnet_sampler {
    bitnet_sampler_desc desc;
    uint64_t rng; /* xorshift64*; never 0 */
} bitnet_sampler;

BITNET_API bitnet_sampler_desc
bitnet_sampler_default(void); /* temp .8, k 40, p .95, min-p .05, seed 0 */

/* E_INVAL names the first field out of range: temp in [0, 100], top_k >= 0, top_p in [0, 1],
 * min_p in [0, 1]; NaN never. */
BITNET_API bitnet_status bitnet_sampler_check(const bitnet_sampler_desc *desc, bitnet_error *err);
BITNET_API void bitnet_sampler_init(bitnet_sampler *s, const bitnet_sampler_desc *desc);
BITNET_API size_t bitnet_sampler_scratch_size(int32_t n_vocab);
/* logits [n_vocab], n_vocab >= 1, is not changed; scratch holds bitnet_sampler_scratch_size()
 * bytes, aligned to 4. Returns the id, or E_BACKEND when a logit is not finite. */
BITNET_API bitnet_token bitnet_sampler_next(bitnet_sampler *s, const float *logits, int32_t n_vocab,
                                            void *scratch);

#ifdef __cplusplus
}
#endif
#endif
