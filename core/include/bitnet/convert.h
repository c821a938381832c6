/* convert.h: any model that can be loaded -> one GGUF file, tensor by tensor.
 *
 * Ternary weights stay exactly what they are; only their container changes. Metadata is carried over,
 * a Hugging Face folder's is written under GGUF's keys. Needed at a time: one tensor's bytes twice.
 */
#ifndef BITNET_CONVERT_H
#define BITNET_CONVERT_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_convert_desc { /* {0} is valid but for files, n_files and write */
    const bitnet_file *files;        /* as in bitnet_model_desc */
    int32_t n_files;
    bitnet_i2s_layout i2s_layout;     /* of the input; what is written is always layout A */
    const bitnet_override *overrides; /* written into the new file */
    int32_t n_overrides;
    /* Type names as in "I2_S", "q6_k" (any case); NULL keeps what the file has. A ternary matrix that
     * GGUF has no type for (packed or dense safetensors) becomes I2_S when `type` is NULL.
     *   type  ternary matrices: I2_S, TQ1_0, TQ2_0, or F16, BF16, F32, Q8_0 (dequantised)
     *   embd  token_embd.weight, and head output.weight: F32, F16, BF16, Q8_0, Q6_K, Q4_0
     * Ordinary matrices and vectors keep their type; but a vector of F16 or BF16 becomes F32. A TQ
     * matrix whose blocks have different scales is an ordinary one, with a warning. */
    const char *type, *embd, *head;
    /* Appends to the new file; what it answers below 0, E_CANCELLED say, ends the conversion. */
    bitnet_status (*write)(void *ctx, const void *data, size_t n);
    void *write_ctx;
    bitnet_allocator allocator;
    bitnet_logger logger;
    bitnet_progress progress;
} bitnet_convert_desc;

/*   E_INVAL        a type name that is not in the list above, or a type for what the model lacks
 *   E_UNSUPPORTED  rows that the type cannot hold (256 for TQ and K types, 128 for I2_S), or numbers
 *                  out of its range; a scale that it cannot hold exactly is rounded, with a warning
 *   and everything that loading can say */
BITNET_API bitnet_status bitnet_convert(const bitnet_convert_desc *desc, bitnet_error *err);

#ifdef __cplusplus
}
#endif
#endif
