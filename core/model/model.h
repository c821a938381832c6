/* model.h (internal): what stands behind the opaque bitnet_model. */
#ifndef BITNET_MODEL_INTERNAL_H
#define BITNET_MODEL_INTERNAL_H

#include "format/tensors.h"
#include "model/arch.h"
#include "model/hparams.h"
#include "model/weights.h"
#include "text/tokenizer.h"

struct bitnet_model {
    bitnet_allocator allocator;
    bitnet_logger logger;
    bitnet_load_level level;
    bitnet_source *source; /* [n_source], the files in the order they were given */
    int32_t n_source;
    bitnet_dir dir;
    const bitnet_arch *arch; /* NULL: the file holds a vocabulary and nothing else */
    bitnet_hparams hp;       /* zeros, but for n_vocab, in that case */
    bitnet_vocab *vocab;     /* NULL: the file has none, or the level is HEADER */
    const bitnet_backend_ops *ops;
    bitnet_backend *backend;
    bitnet_weights weights;
    bitnet_type type_k, type_v;            /* of the KV caches */
    const char *tokenizer, *chat_template; /* names; looking through the tokens once is enough */
    char container[32];
    char arch_name[65]; /* general.architecture, escaped; "" without one */
    char name[65];      /* general.name, likewise */
};

bitnet_weights_desc bitnet_model_weights_desc(const bitnet_model *m,
                                              const bitnet_progress *progress);
/* What bitnet_ctx_create allocates, KV cache not counted, and what the backend below it reserves. n_ctx >= 1.
 */
void bitnet_ctx_plan(const bitnet_model *m, int32_t n_ctx, int32_t n_batch, int32_t n_logits,
                     uint64_t *scratch, uint64_t *backend);

#endif
