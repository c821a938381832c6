/* model.h (internal): what stands behind the opaque bitnet_model. */
#ifndef BITNET_MODEL_INTERNAL_H
#define BITNET_MODEL_INTERNAL_H

#include "format/tensors.h"
#include "model/arch.h"
#include "model/weights.h"
#include "text/tokenizer.h"

struct bitnet_model {
    bitnet_allocator allocator;
    bitnet_logger logger;
    bitnet_source source;
    bitnet_dir dir;
    const bitnet_arch *arch;
    bitnet_hparams hp;
    bitnet_vocab *vocab; /* NULL: the file has none */
    const bitnet_backend_ops *ops;
    bitnet_backend *backend;
    bitnet_weights weights;
    char name[65];
};

#endif
