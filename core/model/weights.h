/* weights.h: tensor directory + hyper-parameters -> the tensors that the forward pass uses, found,
 * checked and bound to a backend.
 *
 * Two steps, so that a file can be described without reading a tensor: `find` looks at the directory
 * alone, `bind` reads and checks the data. Three structs for three lifetimes: bitnet_hparams is what
 * the model is, bitnet_weights what never changes, bitnet_ctx (context.c) what changes with each token.
 */
#ifndef BITNET_WEIGHTS_H
#define BITNET_WEIGHTS_H

#include "bitnet/backend.h"
#include "format/tensors.h"
#include "model/hparams.h"

typedef struct bitnet_layer {       /* shapes [K, N], as in the file */
    bitnet_weight *attn_norm;       /* [n_embd] */
    bitnet_weight *attn_q;          /* [n_embd, n_head * head_dim] */
    bitnet_weight *attn_k, *attn_v; /* [n_embd, n_head_kv * head_dim] */
    bitnet_weight *attn_q_bias;     /* [n_head * head_dim]; biases are NULL where none is */
    bitnet_weight *attn_k_bias, *attn_v_bias; /* [n_head_kv * head_dim] */
    bitnet_weight *attn_sub_norm;             /* [n_head * head_dim]; NULL: the family has none */
    bitnet_weight *attn_output;               /* [n_head * head_dim, n_embd] */
    bitnet_weight *attn_output_bias;          /* [n_embd] */
    bitnet_weight *ffn_norm;                  /* [n_embd] */
    bitnet_weight *ffn_gate, *ffn_up;         /* [n_embd, n_ff] */
    bitnet_weight *ffn_sub_norm;              /* [n_ff]; as attn_sub_norm */
    bitnet_weight *ffn_down;                  /* [n_ff, n_embd] */
} bitnet_layer;

/* How a tensor of the file is run. */
typedef enum bitnet_run {
    BITNET_RUN_UNUSED,
    BITNET_RUN_ORDINARY, /* as it is, in f32 */
    BITNET_RUN_TERNARY,  /* as a ternary product; TQ1_0 and TQ2_0 only if their blocks agree, which
                            is not known before bind */
} bitnet_run;

typedef enum bitnet_use_kind {
    BITNET_USE_LINEAR,   /* a projection: ternary or ordinary */
    BITNET_USE_ORDINARY, /* embedding and head: never ternary (formats page 2.6) */
    BITNET_USE_VECTOR,   /* bound as f32 */
    BITNET_USE_TABLE,    /* f32 values that the host reads: rope_freqs */
} bitnet_use_kind;

/* One tensor in use. */
typedef struct bitnet_use {
    const bitnet_tensor_entry *entry;
    const bitnet_tensor_entry *scale; /* its .scale, one number for the output; or NULL */
    bitnet_use_kind kind;
    bitnet_relu2_part relu2;
    uint8_t *run;         /* its entry in bitnet_weights.run */
    bitnet_weight **slot; /* in bitnet_weights or a bitnet_layer; NULL for a table */
    void *copy;           /* what is used in place of the file's bytes; NULL = those */
    size_t copy_size;
} bitnet_use;

typedef struct bitnet_weights {
    bitnet_weight *token_embd;  /* [n_embd, n_vocab] */
    bitnet_weight *output;      /* [n_embd, n_vocab]; NULL: token_embd is the head */
    bitnet_weight *output_norm; /* [n_embd] */
    bitnet_layer *layer;        /* [n_layer] */
    const float *rope_freqs;    /* [n_rot / 2] that the angles are divided by; NULL = ones */
    bitnet_use *use;            /* [n_use] */
    uint8_t *run;               /* [n_tensor], a bitnet_run for each tensor of the directory */
    uint32_t n_use, use_cap, n_tensor;
    bool is_bound;
    uint64_t n_params, size; /* of the tensors in use; bytes as in the file */
    uint64_t fingerprint;
} bitnet_weights;

typedef struct bitnet_weights_desc {
    const bitnet_hparams *hp;
    const bitnet_arch *arch;
    const bitnet_dir *dir;
    const bitnet_source *source; /* [dir->n_file] */
    const bitnet_allocator *allocator;
    const bitnet_backend_ops *ops;
    bitnet_backend *backend;         /* for bind */
    const bitnet_progress *progress; /* for bind */
} bitnet_weights_desc;

/* Every tensor the family needs must be there, of the right shape and a supported type. `w` must not
 * move from now on.  E_FORMAT, E_UNSUPPORTED, E_NOMEM */
bitnet_status bitnet_weights_find(bitnet_weights *w, const bitnet_weights_desc *d,
                                  bitnet_error *err);
/* Reads what was found, refuses damaged values, binds. On failure what was bound is still in w. */
bitnet_status bitnet_weights_bind(bitnet_weights *w, const bitnet_weights_desc *d,
                                  bitnet_error *err);
void bitnet_weights_free(bitnet_weights *w, const bitnet_weights_desc *d); /* {0} is fine */

/* Bytes of weights that are used where they lie in the file, and that take memory of their own;
 * a prediction until they are bound. */
void bitnet_weights_memory(const bitnet_weights *w, const bitnet_weights_desc *d, uint64_t *mapped,
                           uint64_t *copied);
/* Bytes of the ternary matrices as they are bound. */
uint64_t bitnet_weights_ternary(const bitnet_weights *w);
/* Bytes that one decoded token reads. */
uint64_t bitnet_weights_token_bytes(const bitnet_weights *w);

#endif
