/* arch.h: one row per model family. forward.c asks the row, never the name. The head of every
 * family here is token_embd, also when the file holds an output.weight (formats page 2.2). */
#ifndef BITNET_ARCH_H
#define BITNET_ARCH_H

#include <stdbool.h>

#include "bitnet/backend.h"

typedef struct bitnet_arch {
    const char *name;   /* general.architecture, and the prefix of the hyper-parameter keys */
    bitnet_act act;     /* of the feed-forward gate */
    bool has_sub_norms; /* RMSNorm before attn_output and before ffn_down */
} bitnet_arch;

const bitnet_arch *bitnet_arch_find(const char *name, size_t len); /* NULL = unknown */
/* "bitnet-b1.58, bitnet-25": for error texts */
const char *bitnet_arch_names(void);

#endif
