/* metrics.h: what a request took: the times as the engine takes them (bitnet_timings), and the numbers that
 * people compare (bitnet_metrics), of one request or of all of an engine's.
 *
 *     bitnet_metrics m = bitnet_metrics_of(&event->timings);
 *     if (!isnan(m.decode_tokens_per_second)) printf("%.1f tok/s\n", m.decode_tokens_per_second);
 *
 * What was not measured is NAN, never 0: the first-token latency of a request without a token, the decode
 * speed of one token. request_metrics.def has every number with its unit and definition, and a printer
 * walks it: bitnet_metrics_field_at.
 */
#ifndef BITNET_METRICS_H
#define BITNET_METRICS_H

#include <stdint.h>

#include "bitnet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Definitions, printed beside the numbers wherever they are shown:
 *   tokenize_s    the prompt into tokens, within submit
 *   prefill_s     first step of the request -> logits of its prompt
 *   ttft_s        request accepted -> first token sampled
 *   decode_s      first token sampled -> end
 *   decode_pass_s forward passes behind the first token, and logits that a sampler asked for afterwards
 *   sample_s      within the sampler, of all tokens; logits computed for it alone are not in
 *   detokenize_s  tokens to text, stop strings looked for
 *   e2e_s         request accepted -> end
 *   tpot          (e2e_s - ttft_s) / (n_generated - 1): per output token, the first one excluded
 *   prefill       n_prompt_computed / prefill_s;  decode rate  (n_generated - 1) / (e2e_s - ttft_s)
 * tokenize_s, prefill_s, decode_pass_s, sample_s and detokenize_s do not overlap; what is left of e2e_s went
 * by while the request waited for others, for its caller, or for guesses to be looked up. */
typedef struct bitnet_timings {
    int32_t n_prompt;          /* prompt tokens, BOS included */
    int32_t n_prompt_computed; /* without those already in the KV cache; 0: it was not begun */
    int32_t n_generated;       /* sampled tokens, a final end token included */
    int32_t n_drafted;         /* guessed ahead and checked, */
    int32_t n_accepted;        /* and those that were the tokens sampled */
    double tokenize_s, prefill_s, ttft_s, decode_s, decode_pass_s, sample_s, detokenize_s, e2e_s;
    uint64_t memory_size; /* bytes that model and context plan (bitnet_memory_plan); 0 = unknown */
} bitnet_timings;

typedef struct bitnet_metrics {
#define REQUEST_METRIC(field, type, unit, kind, label, help) type field;
#include "bitnet/request_metrics.def"
#undef REQUEST_METRIC
} bitnet_metrics;

typedef enum bitnet_metrics_kind {
    BITNET_METRICS_COUNT,
    BITNET_METRICS_TIME,
    BITNET_METRICS_RATE,
    BITNET_METRICS_RATIO,
    BITNET_METRICS_SIZE,
} bitnet_metrics_kind;

typedef struct bitnet_metrics_field {
    const char *name, *unit, *label,
        *help; /* as in the struct and in JSON; UCUM; on screen; its definition */
    bitnet_metrics_kind kind;
} bitnet_metrics_field;

BITNET_API bitnet_metrics
bitnet_metrics_of(const bitnet_timings *t); /* of one request that has ended */
/* E_INVAL with id "metrics.<field>" and one sentence: the field, what it holds, what is allowed. */
BITNET_API bitnet_status bitnet_metrics_validate(const bitnet_metrics *m, bitnet_error *err);
/* Walk the fields: 0 .. n-1 in the struct's order; NULL past the end. */
BITNET_API const bitnet_metrics_field *bitnet_metrics_field_at(int32_t i);
BITNET_API double bitnet_metrics_value(const bitnet_metrics *m, int32_t i); /* NAN = not measured */

#ifdef __cplusplus
}
#endif
#endif
