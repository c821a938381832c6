/* hparams.h: the numbers that say what a model is, read from its metadata and range-checked, so that
 * nothing behind this header multiplies a size that a file made up.
 */
#ifndef BITNET_HPARAMS_H
#define BITNET_HPARAMS_H

#include "format/tensors.h"
#include "model/arch.h"

typedef struct bitnet_hparams {
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_rot, n_ff;
    int32_t n_vocab; /* rows of the embedding; a token list may be shorter (padded models) */
    int32_t n_ctx_train;
    float rope_base;
    float rope_factor; /* positions are divided by it: linear scaling; else 1 */
    float norm_eps;
    bitnet_act act;
    bool is_rope_norm; /* how the rows of Wq and Wk pair up for RoPE: adjacent, else half split */
} bitnet_hparams;

/* The embedding's tensor entry must be there; its rows are n_vocab. A guess is logged as a warning.
 *   E_FORMAT       a key is missing, of another type or out of range, or contradicts another
 *   E_UNSUPPORTED  an activation or RoPE scaling that is not one of ours, by its name */
bitnet_status bitnet_hparams_read(bitnet_hparams *out, const bitnet_arch *arch,
                                  const bitnet_dir *dir, const bitnet_logger *log,
                                  bitnet_error *err);

#endif
