/* weights.h: tensor directory + arch row -> hyper-parameters and bound weights, shapes checked.
 *
 * Three structs for three lifetimes: bitnet_hparams is what the model is, bitnet_weights what never
 * changes, bitnet_ctx (context.c) what changes with each token.
 */
#ifndef BITNET_WEIGHTS_H
#define BITNET_WEIGHTS_H

#include "bitnet/backend.h"
#include "format/tensors.h"
#include "model/arch.h"

typedef struct bitnet_hparams {
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_rot, n_ff, n_vocab, n_ctx_train;
    float rope_base, norm_eps;
} bitnet_hparams;

typedef struct bitnet_layer {         /* shapes [K, N], as in the file */
    bitnet_weight *attn_norm;         /* [n_embd] */
    bitnet_weight *attn_q;            /* [n_embd, n_head * head_dim] */
    bitnet_weight *attn_k, *attn_v;   /* [n_embd, n_head_kv * head_dim] */
    bitnet_weight *attn_sub_norm;     /* [n_head * head_dim] */
    bitnet_weight *attn_output;       /* [n_head * head_dim, n_embd] */
    bitnet_weight *ffn_norm;          /* [n_embd] */
    bitnet_weight *ffn_gate, *ffn_up; /* [n_embd, n_ff] */
    bitnet_weight *ffn_sub_norm;      /* [n_ff] */
    bitnet_weight *ffn_down;          /* [n_ff, n_embd] */
} bitnet_layer;

typedef struct bitnet_copy {
    void *data;
    size_t size;
} bitnet_copy;

typedef struct bitnet_weights {
    bitnet_weight *token_embd;  /* [n_embd, n_vocab]; also the head of tied families */
    bitnet_weight *output_norm; /* [n_embd] */
    bitnet_layer *layer;        /* [n_layer] */
    bitnet_copy *copy;          /* tensor bytes read from a source that cannot be mapped */
    uint32_t n_copy, copy_cap;
    uint64_t n_params, size, token_bytes, fingerprint;
} bitnet_weights;

/* Reads and range-checks the hyper-parameters of arch (reliability: every one has a stated range).
 */
bitnet_status bitnet_hparams_read(bitnet_hparams *out, const bitnet_arch *arch,
                                  const bitnet_dir *dir, bitnet_error *err);

/* Binds every tensor the family needs. On failure what was bound is still in w: call free. */
bitnet_status bitnet_weights_bind(bitnet_weights *w, const bitnet_hparams *hp,
                                  const bitnet_arch *arch, const bitnet_dir *dir,
                                  const bitnet_source *src, const bitnet_backend_ops *ops,
                                  bitnet_backend *be, const bitnet_allocator *a,
                                  const bitnet_progress *progress, bitnet_error *err);
void bitnet_weights_free(bitnet_weights *w, const bitnet_hparams *hp, const bitnet_backend_ops *ops,
                         bitnet_backend *be, const bitnet_allocator *a);

#endif
