/* sampler.h: logits -> one token. A plain struct, no heap; the scratch comes from the caller.
 *
 * Order: logit bias, then penalties, then top-k, top-p, min-p on the untempered probabilities, then
 * temperature, then one draw, as llama.cpp does. temp <= 0 is greedy: the largest logit after bias
 * and penalties, the lowest id among equals. All arithmetic is in a fixed order with our own exp, so
 * a seed gives the same tokens on every target.
 *
 * Penalties look at the last penalty_last_n tokens, prompt included: for each distinct token that
 * occurs c times there,  z = z <= 0 ? z * repeat : z / repeat;  z -= c * frequency + presence.
 */
#ifndef BITNET_SAMPLER_H
#define BITNET_SAMPLER_H

#include "bitnet/logits.h"
#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_logit_bias {
    bitnet_token token;
    float bias; /* added to the logit; -INFINITY bans the token */
} bitnet_logit_bias;

/* {0} is greedy. bitnet_sampler_default() gives llama.cpp's defaults. */
typedef struct bitnet_sampler_desc {
    float temp;                    /* <= 0 greedy; 1 leaves the distribution alone */
    int32_t top_k;                 /* <= 0 off */
    float top_p;                   /* 1 (or 0) off */
    float min_p;                   /* 0 off */
    float repeat_penalty;          /* 1 (or 0) off */
    float frequency_penalty;       /* 0 off */
    float presence_penalty;        /* 0 off */
    int32_t penalty_last_n;        /* tokens looked at; 0 off, -1 all of the window */
    const bitnet_logit_bias *bias; /* [n_bias], borrowed while the sampler lives */
    int32_t n_bias;
    uint64_t seed;
} bitnet_sampler_desc;

typedef struct bitnet_sampler {
    bitnet_sampler_desc desc;
    uint64_t rng; /* xorshift64*; never 0 */
} bitnet_sampler;

BITNET_API bitnet_sampler_desc
bitnet_sampler_default(void); /* temp .8, k 40, p .95, min-p .05, last-n 64, penalties off */

/* E_INVAL names the first field out of range: temp in [0, 100], top_k >= 0, top_p in [0, 1],
 * min_p in [0, 1], repeat_penalty in [0, 100], the other two in [-100, 100], penalty_last_n >= -1,
 * at most 1024 biases, each at most 1e4 in magnitude or -INFINITY, tokens >= 0; NaN never. */
BITNET_API bitnet_status bitnet_sampler_check(const bitnet_sampler_desc *desc, bitnet_error *err);
/* The logits that decide the token, mostly: see BITNET_TOKEN_OPEN. */
BITNET_API bitnet_want bitnet_sampler_wants(const bitnet_sampler_desc *desc);
BITNET_API void bitnet_sampler_init(bitnet_sampler *s, const bitnet_sampler_desc *desc);
BITNET_API size_t bitnet_sampler_scratch_size(int32_t n_vocab);
/* logits [n_vocab], n_vocab >= 1, is not changed; tail says what is left out of them, which was not
 * wanted (NULL: nothing is); recent [n_recent] are the timeline's tokens, oldest first (for the
 * penalties; NULL, 0 when there are none); scratch holds bitnet_sampler_scratch_size() bytes, aligned
 * to 4. Returns the id, which is the one that all logits give; E_BACKEND when a logit is not finite, or
 * every token is banned; or BITNET_TOKEN_OPEN when those left out could change it: call again with all
 * logits, nothing has happened to s. */
#define BITNET_TOKEN_OPEN (-100)
BITNET_API bitnet_token bitnet_sampler_next(bitnet_sampler *s, const float *logits,
                                            const bitnet_tail *tail, int32_t n_vocab,
                                            const bitnet_token *recent, int32_t n_recent,
                                            void *scratch);

/* Natural logarithm of a token's probability under the model itself: temperature 1, no filters, no
 * penalties. */
typedef struct bitnet_logprob {
    bitnet_token token;
    float logprob;
} bitnet_logprob;
/* out[0] is `token`; out[1 .. n_top] are the likeliest, best first (lowest id among equals). out has
 * room for 1 + n_top; scratch as for next. Returns how many were written: 1 + n_top, less in a
 * vocabulary of fewer. E_INVAL: token outside the vocabulary; E_BACKEND: a logit is not finite. */
BITNET_API int32_t bitnet_sampler_logprobs(const float *logits, int32_t n_vocab, bitnet_token token,
                                           int32_t n_top, bitnet_logprob *out, void *scratch);

#ifdef __cplusplus
}
#endif
#endif
