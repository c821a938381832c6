/* tiny_model.h: a valid random model of a few kilobytes, of any shape, with any part left out or
 * spoiled: the seed of loader tests and of the load fuzzer. */
#ifndef BITNET_TEST_TINY_MODEL_H
#define BITNET_TEST_TINY_MODEL_H

#include "gguf_writer.h"

typedef struct tiny_model { /* {0} and tiny_model_default make the smallest shape that runs */
    const char *arch;
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff;
    uint64_t seed;
    bool has_vocab;
    /* what to spoil; NULL = nothing */
    const char *skip_key, *skip_tensor; /* names to leave out */
    const char *misshape_tensor;        /* written with one row less */
    const char *retype_tensor;          /* written as Q8_0 */
    void (*spoil)(const char *name, uint32_t type, uint8_t *data, size_t size, void *user);
    void *user;
} tiny_model;

tiny_model tiny_model_default(void);
void tiny_model_write(const tiny_model *m, gguf_writer *w); /* w is initialised by the call */

#endif
