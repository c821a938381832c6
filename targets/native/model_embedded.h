/* model_embedded.h: the model that `run`, `serve` and the page use when none is named: a GGUF file,
 * models/bitnet-tales, 64-byte aligned. */
#ifndef BITNET_MODEL_EMBEDDED_H
#define BITNET_MODEL_EMBEDDED_H

extern const unsigned char bitnet_default_model[], bitnet_default_model_end[];
#define BITNET_DEFAULT_MODEL_NAME "bitnet-tales"

#endif
