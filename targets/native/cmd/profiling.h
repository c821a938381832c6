/* profiling.h: what `trace` and `run --profile` share: a profile beside the machine's bounds, and its tables. */
#ifndef BITNET_PROFILING_H
#define BITNET_PROFILING_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "bitnet/bitnet.h"
#include "bitnet/profile.h"
#include "probe/machine.h"

typedef struct profiling {
    bitnet_model *model;
    bitnet_profile *profile; /* NULL: nothing is profiled */
    const machine_rates *machine;
} profiling;

/* Measures the machine, then profiles the model. spans_cap as in bitnet_profile_desc. */
bitnet_status profiling_open(profiling *p, bitnet_model *model, int32_t spans_cap,
                             bitnet_error *err);
void profiling_close(profiling *p); /* before the model; {0} is fine */

/* Between steps: what the next ones belong to. */
void profiling_on_event(profiling *p, const bitnet_event *ev);

/* "what each kernel took, in prefill and in decoding", and what the machine can do. */
void profiling_print(FILE *out, profiling *p);
/* {"machine": ..., "expected": ..., "prefill": [...], "decode": [...], "layers": [...]} */
cJSON *profiling_json(profiling *p);

#endif
