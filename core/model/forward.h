/* forward.h: the forward pass, and the activation buffers it runs in. */
#ifndef BITNET_FORWARD_H
#define BITNET_FORWARD_H

#include "model/model.h"

/* T = n_batch rows each, f32. */
typedef struct bitnet_acts {
    bitnet_buf *x;      /* [T][n_embd]             the residual stream */
    bitnet_buf *h;      /* [T][n_embd]             normed x; then what a block adds to x */
    bitnet_buf *q;      /* [T][n_head * head_dim] */
    bitnet_buf *k, *v;  /* [T][n_head_kv * head_dim] */
    bitnet_buf *a;      /* [T][n_head * head_dim]  attention's result */
    bitnet_buf *gate;   /* [T][n_ff] */
    bitnet_buf *up;     /* [T][n_ff] */
    bitnet_buf *logits; /* [n_vocab], or [T][n_vocab] where all are kept */
} bitnet_acts;

/* Tokens tok [n_tok] that stand at positions pos .. pos + n_tok - 1. */
typedef struct bitnet_step {
    const bitnet_acts *act;
    const bitnet_kv *kv; /* holds positions 0 .. pos - 1 */
    const bitnet_rope *rope;
    const bitnet_token *tok;
    int32_t n_tok, pos;
    bool all_logits; /* those after each token; else after the last of them */
} bitnet_step;

bitnet_status bitnet_forward(const bitnet_model *m, const bitnet_step *s);

#endif
