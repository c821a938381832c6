/* arch.h: one row per model family (formats page 2.1). hparams.c and weights.c ask the row, forward.c
 * asks them; nobody asks the name. */
#ifndef BITNET_ARCH_H
#define BITNET_ARCH_H

#include <stdbool.h>

#include "bitnet/backend.h"

typedef struct bitnet_arch {
    const char *name;   /* general.architecture, and the prefix of the hyper-parameter keys */
    bitnet_act act;     /* of the feed-forward gate, where no key says otherwise */
    bool has_sub_norms; /* RMSNorm before attn_output and before ffn_down */
    bool is_rope_norm;  /* a GGUF file's q and k rows are in RoPE's adjacent order (page 2.5) */
    bool has_head;      /* output.weight is the head if there is one; else token_embd always is */
} bitnet_arch;

const bitnet_arch *bitnet_arch_find(const char *name, size_t len); /* NULL = unknown */
const char *bitnet_arch_names(void); /* all of them, for error texts */

#endif
