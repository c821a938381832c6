/* meter.h: adds up requests. A request's metrics are those of a meter that has seen it alone, so what is said
 * of one and of many follows from the same formulas.
 */
#ifndef BITNET_ENGINE_METER_H
#define BITNET_ENGINE_METER_H

#include "bitnet/metrics.h"
#include "bitnet/tracker.h"

/* {0} has seen nothing. Counts and sums over requests; a mean or a rate is over those that had one. */
typedef struct bitnet_meter {
    int64_t n_requests;
    int64_t n_prompt, n_prompt_begun; /* prompt tokens; of requests whose prefill began, */
    int64_t n_prompt_computed;
    int64_t n_prefilled;            /* and those computed where it was completed */
    int64_t n_answers, n_generated; /* requests with a token, and their tokens */
    double ttft_s, decode_s;        /* of these; decode_s of those with two and more */
    double tokenize_s, prefill_s, decode_pass_s, sample_s, detokenize_s, e2e_s;
    uint64_t memory_size; /* the latest */
} bitnet_meter;

void bitnet_meter_add(bitnet_meter *m, const bitnet_timings *t);
bitnet_metrics bitnet_meter_read(const bitnet_meter *m);
/* The records of a request's end; what was not measured is left out. */
void bitnet_meter_push(bitnet_ring *ring, const bitnet_timings *t, uint32_t request,
                       uint64_t now_ns);

#endif
