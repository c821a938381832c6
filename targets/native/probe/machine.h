/* machine.h: what this machine can do, measured in a tenth of a second: the bounds of a roofline, and how fast a model
 * should be here.
 */
#ifndef BITNET_MACHINE_H
#define BITNET_MACHINE_H

#include "bitnet/model.h"
#include "bitnet/profile.h"

/* On as many threads as the model has, with kernels of its tier. 0 = could not be measured. */
typedef struct machine_rates {
    bitnet_bounds bounds;
    double ternary_bytes_per_s; /* of the ternary product of one token */
    double head_bytes_per_s;    /* of the head's, as the model has it */
    double prompt_mac_per_s;    /* of the ternary product of many tokens */
    double floats_per_s;        /* of one thread: norms, quantising, gates */
    double fork_s;              /* of handing work to all threads and waiting for them */
    double took_s;              /* to measure all this */
} machine_rates;

/* Once in the life of the process, with the model of the first call: at most 150 ms, in which nothing else should
 * compute, and 32 MB of memory at most, which is given back. One thread at a time calls. */
const machine_rates *machine_measure(const bitnet_model *m);

/* Tokens a second, 0 = not known. decode: one after the other over a short context. Measured ones were within a
 * factor of 1.35 of it for decode and 1.7 for prefill (targets/wasm/js/roofline.ts has the same sums). */
typedef struct machine_expected {
    double decode_tokens_per_s, prefill_tokens_per_s;
} machine_expected;
machine_expected machine_expect(const bitnet_model *m, const machine_rates *r);

#endif
