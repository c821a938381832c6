/* tiny_model.h: a valid random model of a few kilobytes, of any family, shape and tensor types, with any
 * part left out or spoiled: the seed of loader tests and of the load fuzzer.
 *
 * Values do not depend on what else is in the model, nor on the types they are written in: a linear layer is -1, 0 or 1 times TINY_SCALE,
 * which F32, F16, BF16 and the ternary types hold exactly (Q4_K, which has no encoder, gets random
 * blocks).
 */
#ifndef BITNET_TEST_TINY_MODEL_H
#define BITNET_TEST_TINY_MODEL_H

#include "bitnet/bitnet.h"
#include "gguf_writer.h"

#define TINY_SCALE 0.125f

typedef struct tiny_model { /* tiny_model_default makes the smallest shape that runs */
    const char *arch;
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff;
    uint64_t seed;
    bool has_vocab;
    bool has_eot;        /* a token <|eot_id|> behind <s>: of the family "bitnet" (bitnet/chat.h) */
    bool has_head;       /* an output.weight of its own */
    bool has_biases;     /* of q, k, v and the attention output */
    bool has_scales;     /* one 0.5 beside each linear layer */
    bool has_rope_freqs; /* 1, 1.5, 2 ... */
    bool is_permuted;    /* rows of q and k in the order that a llama converter gives them */
    uint32_t linear_type, embd_type, vector_type; /* embd_type also of the head */
    /* what to spoil; NULL = nothing */
    const char *skip_key, *skip_tensor; /* names to leave out */
    const char *misshape_tensor;        /* written with one row less */
    const char *retype_tensor;          /* written as Q4_1, which nothing runs */
    void (*spoil)(const char *name, uint32_t type, uint8_t *data, size_t size, void *user);
    void *user;
} tiny_model;

tiny_model tiny_model_default(void);
void tiny_model_write(const tiny_model *m, gguf_writer *w); /* w is initialised by the call */

/* A tiny model in memory, loaded. */
typedef struct tiny_loaded {
    gguf_writer file;
    bitnet_model *model;
} tiny_loaded;

/* desc may be NULL; its source is filled in here, mapped. Close after any outcome. */
bitnet_status tiny_model_load(tiny_loaded *out, const tiny_model *m, const bitnet_model_desc *desc,
                              bitnet_error *err);
void tiny_model_close(tiny_loaded *t);

#define TINY_LOGITS 257 /* 256 bytes and <s> */
/* Logits after the tokens 65 66 67 65 67; aborts when they cannot be had. */
void tiny_model_logits(const bitnet_model *m, float out[TINY_LOGITS]);

#endif
