/* reference.h: the reference implementation (docs/reference.md) on a model, in a Python process. */
#ifndef BITNET_REFERENCE_H
#define BITNET_REFERENCE_H

#include "cmd/load.h"

typedef struct reference_desc {
    const char *dir;       /* holds bitnet_ref; NULL = the one that came with the executable */
    const char *python;    /* NULL = the first of python3 and /usr/bin/python3 that has NumPy */
    const load_opts *load; /* which model, and how its files are to be read */
    int32_t n_layer;       /* the first of them; all the model has, or fewer */
    const bitnet_token *ids;
    int32_t n_ids, n_vocab;
} reference_desc;

typedef struct reference_result {
    float *logits;     /* [n_ids][n_vocab], malloc'd */
    double perplexity; /* of ids 1 .. n_ids - 1; NaN when there is only one id */
    double spread;     /* how far its float32 run is from its float64 run, as a relative error */
} reference_result;

/* Its messages go to stderr. E_BACKEND: Python, NumPy or the reference is missing, or it failed. */
bitnet_status reference_run(reference_result *out, const reference_desc *desc, bitnet_error *err);

#endif
