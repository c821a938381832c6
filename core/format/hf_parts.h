/* hf_parts.h: what the readers of a Hugging Face folder share; see hf.h.
 *
 *   hf.c            which files there are, and the order of reading
 *   hf_config.c     config.json, generation_config.json -> hyper-parameters
 *   hf_tensors.c    the safetensors list -> tensor entries
 *   hf_tokenizer.c  tokenizer.json: which tokenizer it is; tokenizer_config.json
 *   hf_vocab.c      tokenizer.json: tokens and merges
 *
 * A text is checked to be JSON as a whole before anything is looked up in it. Of members with the same
 * name the first one counts. Functions return false after a failure, which is in `status` and `err`.
 */
#ifndef BITNET_HF_PARTS_H
#define BITNET_HF_PARTS_H

#include "format/dir_build.h"
#include "base/json.h"
#include "format/safetensors.h"

#define HF_REFUSE_AS(r, st, id, ...)                                                               \
    ((r)->status = bitnet_fail((r)->err, BITNET_##st, id, __VA_ARGS__), false)
#define HF_REFUSE(r, id, ...) HF_REFUSE_AS(r, E_FORMAT, id, __VA_ARGS__)

#define HF_MAX_MODULES 64 /* in modules_to_not_convert; published models have one */
#define HF_MAX_EOS     3

/* Where the seven projections of a layer get their size from. */
typedef enum hf_size { HF_SIZE_Q, HF_SIZE_KV, HF_SIZE_EMBD, HF_SIZE_FF, HF_SIZE_COUNT } hf_size;

typedef struct hf_config {
    const char *arch;
    int64_t size[HF_SIZE_COUNT]; /* rows of a projection; 0 = the config does not say */
    bool is_tied;
    bool is_bitnet;      /* quantization_config.quant_method is bitnet: U8 may occur */
    bool is_latent;      /* dense projections are master weights (formats page 3.4) */
    bool is_scale_times; /* weight_scale multiplies (formats page 3.3) */
    bitnet_json_str module[HF_MAX_MODULES]; /* that stay as they are, in config.json's text */
    uint32_t n_module;
    int64_t bos, pad, eos[HF_MAX_EOS]; /* -1 = none */
} hf_config;

typedef struct hf_reader {
    const bitnet_file *files;
    int32_t n_files;
    const bitnet_allocator *alloc;
    bitnet_error *err;
    bitnet_status status;
    bitnet_dir_builder *b;
    hf_config config;
    bitnet_st_list tensors;
} hf_reader;

/* A string of a text, resolved, for an error message. */
static inline const char *hf_escape(bitnet_escaped *e, const bitnet_json_str *s) {
    char text[256];
    size_t n = bitnet_json_text(s, text, sizeof text);
    return n <= sizeof text ? bitnet_escape(e, text, n) : bitnet_escape(e, s->s, s->n);
}

/* What the texts are called in error messages. */
#define HF_CONFIG     "config.json"
#define HF_GENERATION "generation_config.json"
#define HF_TOKENIZER  "tokenizer.json"
#define HF_TOK_CONFIG "tokenizer_config.json"
#define HF_INDEX      "model.safetensors.index.json"

/* Checks that the text is one JSON object; *root is then a reader at it. */
bool bitnet_hf_open_json(hf_reader *r, const char *name, const char *s, size_t n,
                         bitnet_json *root);

/* ---- hf_config.c */
bool bitnet_hf_read_config(hf_reader *r, const bitnet_json *root);
bool bitnet_hf_read_generation(hf_reader *r,
                               const bitnet_json *root); /* after bitnet_hf_read_config */
void bitnet_hf_put_token_ids(hf_reader *r);

/* ---- hf_tensors.c */
bool bitnet_hf_read_tensors(hf_reader *r);

/* ---- hf_vocab.c */
typedef enum hf_vocab_kind {
    HF_VOCAB_BYTES,
    HF_VOCAB_SPM_MERGES,
    HF_VOCAB_SPM_SCORES
} hf_vocab_kind;

/* tokenizer.ggml.tokens, token_type, and merges or scores; `is_falcon3` is set when the tokens are those
 * of Falcon3. `root` is tokenizer.json. */
bool bitnet_hf_read_vocab(hf_reader *r, const bitnet_json *root, hf_vocab_kind kind,
                          bool *is_falcon3);

#endif
