/* hf.h: a Hugging Face folder (config.json, tokenizer.json, safetensors) -> a directory in GGUF's words.
 *
 * Keys, tensor names and the tokenizer come out as convert_hf_to_gguf would write them, with three
 * differences that the entries tell: packed ternary stays as it is (BITNET_TYPE_HF_PACKED, its
 * weight_scale multiplied or inverted into .scale by the rule of formats page 3.3), master weights of
 * a ternary model are marked is_latent, and q and k rows stay half split (dir.container).
 *
 * Accepted: config.json, generation_config.json up to 1 MiB; tokenizer_config.json up to 16 MiB; the
 * index up to 64 MiB; tokenizer.json up to 256 MiB, with 2^20 ids of which 4,096 may be missing between
 * the others; what safetensors.h accepts. Memory while reading: at most 8 bytes per byte of these
 * files (of a safetensors file: of its header) and 1 MiB.
 */
#ifndef BITNET_HF_H
#define BITNET_HF_H

#include "bitnet/model.h"
#include "format/dir_build.h"

/* files must hold one named config.json; others are taken by name: tokenizer.json,
 * tokenizer_config.json, generation_config.json; the shards that model.safetensors.index.json lists
 * (every one must be there), or else model.safetensors, or else the only *.safetensors. A folder without
 * tokenizer.json gives a directory without tokenizer keys. */
bitnet_status bitnet_hf_read(bitnet_dir *out, const bitnet_file *files, int32_t n_files,
                             const bitnet_allocator *alloc, bitnet_error *err);

/* tokenizer.json (and tokenizer_config.json, may be NULL) -> tokenizer.ggml.* keys, but for the ids of
 * special tokens, which are in config.json. A tokenizer that does not run here still gives keys that
 * name it: whoever needs a vocabulary refuses it by that name. */
bitnet_status bitnet_hf_tokenizer(bitnet_dir_builder *b, const char *json, size_t len,
                                  const char *config, size_t config_len, bitnet_error *err);

#endif
