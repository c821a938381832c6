/* forward.h: the forward pass, and the activation buffers it runs in. */
#ifndef BITNET_FORWARD_H
#define BITNET_FORWARD_H

#include "model/model.h"

/* T = n_batch rows each, f32. */
typedef struct bitnet_acts {
    bitnet_buf *x;      /* [T][n_embd]             the residual stream */
    bitnet_buf *h;      /* [T][n_embd]             normed x */
    bitnet_buf *q;      /* [T][n_head * head_dim] */
    bitnet_buf *k, *v;  /* [T][n_head_kv * head_dim] */
    bitnet_buf *a;      /* [T][n_head * head_dim]  attention's result */
    bitnet_buf *gate;   /* [T][n_ff] */
    bitnet_buf *logits; /* [n_logits][n_vocab] */
} bitnet_acts;

typedef struct bitnet_step {
    const bitnet_acts *act;
    const bitnet_rope *rope;
    bitnet_batch batch;
    bitnet_head_row *row; /* [n_row] the tokens whose logits are wanted, ascending */
    int32_t n_row;
} bitnet_step;

bitnet_status bitnet_forward(const bitnet_model *m, const bitnet_step *s);
/* The head alone once more, of the step that ran last on these activations. */
bitnet_status bitnet_forward_head(const bitnet_model *m, const bitnet_step *s);

#endif
