/* vocab_gguf.c: builds a vocabulary from the tokenizer.* keys of a GGUF file: which tokenizer it is,
 * whether its arrays fit together, memory, special tokens and flags. Texts are in vocab_tokens.c,
 * merges in vocab_merges.c.
 */
#include "text/vocab_build.h"

#include <inttypes.h>
#include <string.h>

#include "format/sort.h"

#define MAX_TOKENS (1 << 20)

static bool equals(const char *s, size_t len, const char *literal) {
    return len == strlen(literal) && memcmp(s, literal, len) == 0;
}

/* ---- which tokenizer --------------------------------------------------------------------- */

/* True also when the file has no tokenizer at all: b->tokens stays NULL then. */
static bool choose_model(bitnet_vocab_builder *b) {
    const bitnet_meta *model = bitnet_dir_meta(b->dir, "tokenizer.ggml.model");
    const bitnet_meta *tokens = bitnet_dir_meta(b->dir, "tokenizer.ggml.tokens");
    const char *s;
    size_t len;
    if (!model && !tokens) return true;
    if (!bitnet_meta_str(model, &s, &len))
        return REFUSE(b, "tokenizer.model", "tokenizer.ggml.model is %s",
                      model ? "not a string" : "missing");
    if (equals(s, len, "no_vocab")) return true;
    bitnet_escaped e;
    b->is_spm = equals(s, len, "llama");
    if (!b->is_spm && !equals(s, len, "gpt2"))
        return REFUSE_AS(
            b, E_UNSUPPORTED, "tokenizer.model",
            "tokenizer.ggml.model is \"%.96s\"; supported are \"gpt2\" (byte-level BPE) "
            "and \"llama\" (SentencePiece)",
            bitnet_escape(&e, s, len));
    if (!tokens || tokens->type != BITNET_META_ARR || tokens->elem != BITNET_META_STR)
        return REFUSE(b, "tokenizer.tokens", "tokenizer.ggml.tokens is %s",
                      tokens ? "not an array of strings" : "missing");
    b->tokens = tokens;
    return true;
}

static bool check_count(bitnet_vocab_builder *b) {
    uint64_t max = b->n_row < MAX_TOKENS ? (uint64_t)b->n_row : MAX_TOKENS;
    if (b->tokens->n >= 1 && b->tokens->n <= max) return true;
    return REFUSE(b, "tokenizer.tokens",
                  "tokenizer.ggml.tokens has %" PRIu64 " entries; allowed are 1 to %" PRIu64
                  " (the rows of the embedding)",
                  b->tokens->n, max);
}

/* The published BitNet-b1.58-2B-4T file has no tokenizer.ggml.pre, and guessing wrong degrades its
 * text. These three signs mean a LLaMA-3 vocabulary. */
static bool looks_like_llama3(const bitnet_vocab_builder *b) {
    if (b->arch && strncmp(b->arch, "bitnet", 6) == 0) return true;
    if (b->tokens->n == 128256) return true;
    const char *s = NULL;
    size_t len = 0;
    uint64_t pos = 0, i = 0;
    while (i <= 128000 && bitnet_meta_next_str(b->tokens, &pos, &s, &len))
        i++;
    return i == 128001 && equals(s, len, "<|begin_of_text|>");
}

static bool choose_pre(bitnet_vocab_builder *b) {
    const bitnet_meta *m = bitnet_dir_meta(b->dir, "tokenizer.ggml.pre");
    const char *s = "llama-bpe";
    size_t len = strlen(s);
    bitnet_escaped e;
    if (b->is_spm) { /* its "pre", if any, says nothing */
        b->name = "llama";
        return true;
    }
    if (!m && !looks_like_llama3(b))
        return REFUSE_AS(
            b, E_UNSUPPORTED, "tokenizer.pre",
            "tokenizer.ggml.pre is missing and the vocabulary is not LLaMA 3's; name it "
            "with --override-kv tokenizer.ggml.pre=str:gpt-2 or another one supported");
    if (m && !bitnet_meta_str(m, &s, &len))
        return REFUSE(b, "tokenizer.pre", "tokenizer.ggml.pre is not a string");
    b->pretok = bitnet_pretok_find(s, len);
    if (!b->pretok)
        return REFUSE_AS(
            b, E_UNSUPPORTED, "tokenizer.pre",
            "tokenizer.ggml.pre is \"%.48s\"; supported are llama-bpe, llama3, llama-v3, "
            "falcon3, falcon_e, gpt-2, olmo and mpt (--override-kv tokenizer.ggml.pre=str:NAME)",
            bitnet_escape(&e, s, len));
    b->name = b->pretok->name;
    return true;
}

const char *bitnet_vocab_name_of(const bitnet_dir *dir, const char *arch) {
    bitnet_vocab_builder b = {.dir = dir, .arch = arch};
    if (!choose_model(&b)) return "unsupported";
    if (!b.tokens) return "none";
    return choose_pre(&b) ? b.name : "unsupported";
}

/* ---- arrays ------------------------------------------------------------------------------ */

/* An array that runs beside the tokens: absent, or of this type and of the same length. */
static bool find_parallel(bitnet_vocab_builder *b, const char *key, const char *id,
                          bitnet_meta_type elem, const char *elem_name, const bitnet_meta **out) {
    const bitnet_meta *m = bitnet_dir_meta(b->dir, key);
    if (m && (m->type != BITNET_META_ARR || m->elem != elem))
        return REFUSE(b, id, "%s is not an array of %s", key, elem_name);
    if (m && m->n != b->tokens->n)
        return REFUSE(b, id, "%s has %" PRIu64 " entries but there are %" PRIu64 " tokens", key,
                      m->n, b->tokens->n);
    *out = m;
    return true;
}

static bool find_arrays(bitnet_vocab_builder *b) {
    if (!find_parallel(b, "tokenizer.ggml.token_type", "tokenizer.token_type", BITNET_META_I32,
                       "i32", &b->types) ||
        !find_parallel(b, "tokenizer.ggml.scores", "tokenizer.scores", BITNET_META_F32, "f32",
                       &b->scores))
        return false;
    if (b->is_spm && !b->scores)
        return REFUSE(b, "tokenizer.scores",
                      "tokenizer.ggml.scores is missing; SentencePiece merges by score");
    if (b->is_spm && !b->types)
        return REFUSE(
            b, "tokenizer.token_type",
            "tokenizer.ggml.token_type is missing; SentencePiece tells its byte and control "
            "tokens by type");
    if (b->is_spm) return true;
    b->merges = bitnet_dir_meta(b->dir, "tokenizer.ggml.merges");
    if (!b->merges || b->merges->type != BITNET_META_ARR || b->merges->elem != BITNET_META_STR)
        return REFUSE(b, "tokenizer.merges", "tokenizer.ggml.merges is %s",
                      b->merges ? "not an array of strings" : "missing");
    return true;
}

/* ---- memory ------------------------------------------------------------------------------ */

/* Everything is bounded by the bytes of the metadata (256 MiB), so 64-bit sums cannot overflow; a
 * 32-bit machine refuses what it cannot address. */
static bool make_block(bitnet_vocab_builder *b) {
    uint64_t n_token = b->tokens->n, n_merge = b->merges ? b->merges->n : 0, n_slot = 2;
    uint64_t n_rank = b->is_spm ? n_token : 0;
    while (n_slot < 2 * n_token)
        n_slot *= 2;
    uint64_t size = sizeof(bitnet_vocab) + 2 * (n_token + 1) * sizeof(uint32_t) +
                    n_merge * (sizeof(bitnet_merge) + sizeof(int32_t)) +
                    (n_rank + n_slot + n_token) * sizeof(uint32_t) + n_token +
                    (b->tokens->size - 8 * n_token); /* text: at most what the file has */
    bitnet_vocab *v = size <= SIZE_MAX ? bitnet_alloc(b->alloc, (size_t)size) : NULL;
    if (!v)
        return REFUSE_AS(b, E_NOMEM, "tokenizer.memory",
                         "no memory for a vocabulary of %" PRIu64 " bytes", size);
    b->v = v;
    *v = (bitnet_vocab){.allocator = b->alloc ? *b->alloc : (bitnet_allocator){0},
                        .block_size = (size_t)size,
                        .name = b->name,
                        .pretok = b->pretok,
                        .n_token = (int32_t)n_token,
                        .n_row = b->n_row,
                        .n_merge = (uint32_t)n_merge,
                        .slot_mask = (uint32_t)n_slot - 1};
    v->text_pos = (void *)(v + 1);
    v->merge_pos = v->text_pos + n_token + 1;
    v->merge = (void *)(v->merge_pos + n_token + 1);
    v->merged = (void *)(v->merge + n_merge);
    v->rank = (void *)(v->merged + n_merge);
    v->slot = v->rank + n_rank;
    v->special = v->slot + n_slot;
    v->attr = (void *)(v->special + n_token);
    v->text = (char *)(v->attr + n_token);
    return true;
}

/* ---- specials ---------------------------------------------------------------------------- */

static bool text_less(const void *ctx, uint32_t a, uint32_t b) {
    const bitnet_vocab *v = ctx;
    uint32_t len_a, len_b;
    const char *s = bitnet_vocab_bytes(v, (int32_t)a, &len_a);
    const char *t = bitnet_vocab_bytes(v, (int32_t)b, &len_b);
    int order = memcmp(s, t, len_a < len_b ? len_a : len_b);
    if (order != 0) return order < 0;
    return len_a != len_b ? len_a < len_b : a < b;
}

static void load_specials(bitnet_vocab *v) {
    for (int32_t i = 0; i < v->n_token; i++) {
        uint32_t len, kind = bitnet_vocab_special_kind(v, i);
        const char *s = bitnet_vocab_bytes(v, i, &len);
        if (!kind || len == 0) continue;
        v->special[v->n_special++] = (uint32_t)i;
        v->special_first[(uint8_t)s[0]] |= (uint8_t)kind;
    }
    bitnet_sort(v->special, v->n_special, text_less, v);
}

/* ---- ids and flags ----------------------------------------------------------------------- */

/* -1 in any width is none, and an id that no token has is as good as absent: then `*out` stays. */
static bool load_id(bitnet_vocab_builder *b, const char *key, int32_t *out) {
    const bitnet_meta *m = bitnet_dir_meta(b->dir, key);
    int64_t id;
    if (!m) return true;
    if (!bitnet_meta_i64(m, &id) || id < -1)
        return REFUSE(b, "tokenizer.special_id", "%s is not an integer from -1 on", key);
    if (id == -1 || id == UINT32_MAX)
        *out = -1;
    else if (id < b->v->n_token)
        *out = (int32_t)id;
    return true;
}

/* SentencePiece's ids where the file has none; GPT-2's 11 would mean nothing elsewhere. */
static bool load_ids(bitnet_vocab_builder *b) {
    bitnet_vocab *v = b->v;
    int32_t last = b->is_spm ? v->n_token - 1 : -1, eot = -1, eom = -1;
    v->bos = last < 1 ? -1 : 1;
    v->eos = last < 2 ? -1 : 2;
    v->unknown = last < 0 ? -1 : 0;
    if (!load_id(b, "tokenizer.ggml.bos_token_id", &v->bos) ||
        !load_id(b, "tokenizer.ggml.eos_token_id", &v->eos) ||
        !load_id(b, "tokenizer.ggml.eot_token_id", &eot) ||
        !load_id(b, "tokenizer.ggml.eom_token_id", &eom) ||
        !load_id(b, "tokenizer.ggml.unknown_token_id", &v->unknown))
        return false;
    if (v->eos >= 0) v->attr[v->eos] |= TOKEN_END;
    if (eot >= 0) v->attr[eot] |= TOKEN_END;
    if (eom >= 0) v->attr[eom] |= TOKEN_END;
    return true;
}

static bool load_flag(bitnet_vocab_builder *b, const char *key, const char *id, bool *out) {
    const bitnet_meta *m = bitnet_dir_meta(b->dir, key);
    return !m || bitnet_meta_bool(m, out) || REFUSE(b, id, "%s is not a bool", key);
}

static bool load_flags(bitnet_vocab_builder *b) {
    bitnet_vocab *v = b->v;
    bool add_space = true;
    v->add_bos = b->is_spm || b->pretok->add_bos;
    if (!load_flag(b, "tokenizer.ggml.add_bos_token", "tokenizer.add_bos", &v->add_bos) ||
        !load_flag(b, "tokenizer.ggml.add_eos_token", "tokenizer.add_eos", &v->add_eos) ||
        !load_flag(b, "tokenizer.ggml.add_space_prefix", "tokenizer.add_space", &add_space))
        return false;
    v->add_space = b->is_spm && add_space;
    return true;
}

bitnet_status bitnet_vocab_create(bitnet_vocab **out, const bitnet_dir *dir, const char *arch,
                                  int32_t n_rows, const bitnet_allocator *alloc,
                                  bitnet_error *err) {
    bitnet_vocab_builder b = {
        .dir = dir, .alloc = alloc, .err = err, .arch = arch, .n_row = n_rows};
    *out = NULL;
    if (!choose_model(&b) || !b.tokens) return b.status;
    if (!check_count(&b) || !choose_pre(&b) || !find_arrays(&b) || !make_block(&b)) return b.status;
    if (!bitnet_vocab_load_tokens(&b) || !load_ids(&b) || !load_flags(&b) ||
        !bitnet_vocab_load_merges(&b)) {
        bitnet_vocab_free(b.v);
        return b.status;
    }
    load_specials(b.v);
    *out = b.v;
    return BITNET_OK;
}
