/* vocab_gguf.c: builds a vocabulary from the tokenizer.* keys of a GGUF file.
 *
 * Everything in those keys is somebody else's data: types, lengths, ids and names are checked
 * before anything relies on them, and no step takes more than O(n log n) whatever the file holds.
 * What is built for speed (hash of tokens, merges sorted by their left token) is built once, here.
 */
#include "text/vocab.h"

#include <inttypes.h>
#include <string.h>

#include "format/sort.h"
#include "text/utf8.h"

#define MAX_TOKENS (1 << 20)

typedef struct loader {
    const bitnet_dir *dir;
    const bitnet_allocator *alloc;
    bitnet_error *err;
    bitnet_status status; /* set where a check fails; every function then returns false */
    const char *arch;
    const char *name; /* "gpt2/..." */
    const bitnet_meta *tokens, *types, *merges;
    int32_t n_row;
    bitnet_vocab *v;
} loader;

#define REFUSE_AS(l, st, id, ...)                                                                  \
    ((l)->status = bitnet_fail((l)->err, BITNET_##st, id, __VA_ARGS__), false)
#define REFUSE(l, id, ...) REFUSE_AS(l, E_FORMAT, id, __VA_ARGS__)

static bool equals(const char *s, size_t len, const char *literal) {
    return len == strlen(literal) && memcmp(s, literal, len) == 0;
}

/* ---- which tokenizer --------------------------------------------------------------------- */

/* True also when the file has no tokenizer at all: l->tokens stays NULL then. */
static bool choose_model(loader *l) {
    const bitnet_meta *model = bitnet_dir_meta(l->dir, "tokenizer.ggml.model");
    const bitnet_meta *tokens = bitnet_dir_meta(l->dir, "tokenizer.ggml.tokens");
    const char *s;
    size_t len;
    if (!model && !tokens) return true;
    if (!bitnet_meta_str(model, &s, &len))
        return REFUSE(l, "tokenizer.model", "tokenizer.ggml.model is %s",
                      model ? "not a string" : "missing");
    if (equals(s, len, "no_vocab")) return true;
    bitnet_escaped e;
    if (!equals(s, len, "gpt2"))
        return REFUSE_AS(
            l, E_UNSUPPORTED, "tokenizer.model",
            "tokenizer.ggml.model is \"%.96s\"; supported is \"gpt2\" (byte-level BPE)",
            bitnet_escape(&e, s, len));
    if (!tokens || tokens->type != BITNET_META_ARR || tokens->elem != BITNET_META_STR)
        return REFUSE(l, "tokenizer.tokens", "tokenizer.ggml.tokens is %s",
                      tokens ? "not an array of strings" : "missing");
    uint64_t max = l->n_row < MAX_TOKENS ? (uint64_t)l->n_row : MAX_TOKENS;
    if (tokens->n < 1 || tokens->n > max)
        return REFUSE(l, "tokenizer.tokens",
                      "tokenizer.ggml.tokens has %" PRIu64 " entries; allowed are 1 to %" PRIu64
                      " (the rows of the embedding)",
                      tokens->n, max);
    l->tokens = tokens;
    return true;
}

/* The published BitNet-b1.58-2B-4T file has no tokenizer.ggml.pre, and guessing wrong degrades its
 * text. These three signs mean a LLaMA-3 vocabulary. */
static bool looks_like_llama3(const loader *l) {
    if (l->arch && strncmp(l->arch, "bitnet", 6) == 0) return true;
    if (l->tokens->n == 128256) return true;
    const char *s = NULL;
    size_t len = 0;
    uint64_t pos = 0, i = 0;
    while (i <= 128000 && bitnet_meta_next_str(l->tokens, &pos, &s, &len))
        i++;
    return i == 128001 && equals(s, len, "<|begin_of_text|>");
}

/* All pre-tokenizers here cut by the rules of pretok.c, look a whole piece up before merging
 * (llama.cpp's ignore_merges) and want a BOS token unless the file says otherwise. */
static bool choose_pre(loader *l) {
    static const char *const names[] = {"gpt2/llama-bpe", "gpt2/llama3", "gpt2/llama-v3",
                                        "gpt2/falcon3", "gpt2/falcon_e"};
    const bitnet_meta *m = bitnet_dir_meta(l->dir, "tokenizer.ggml.pre");
    const char *s;
    size_t len;
    if (!m) {
        l->name = names[0];
        return looks_like_llama3(l) ||
               REFUSE_AS(l, E_UNSUPPORTED, "tokenizer.pre",
                         "tokenizer.ggml.pre is missing and the vocabulary is not LLaMA 3's");
    }
    if (!bitnet_meta_str(m, &s, &len))
        return REFUSE(l, "tokenizer.pre", "tokenizer.ggml.pre is not a string");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (equals(s, len, names[i] + 5)) {
            l->name = names[i];
            return true;
        }
    bitnet_escaped e;
    return REFUSE_AS(l, E_UNSUPPORTED, "tokenizer.pre",
                     "tokenizer.ggml.pre is \"%.64s\"; supported are llama-bpe, llama3, llama-v3, "
                     "falcon3 and falcon_e",
                     bitnet_escape(&e, s, len));
}

/* An array that runs beside the tokens: absent, or of this type and of the same length. */
static bool find_parallel(loader *l, const char *key, const char *id, bitnet_meta_type elem,
                          const char *elem_name, const bitnet_meta **out) {
    const bitnet_meta *m = bitnet_dir_meta(l->dir, key);
    if (m && (m->type != BITNET_META_ARR || m->elem != elem))
        return REFUSE(l, id, "%s is not an array of %s", key, elem_name);
    if (m && m->n != l->tokens->n)
        return REFUSE(l, id, "%s has %" PRIu64 " entries but there are %" PRIu64 " tokens", key,
                      m->n, l->tokens->n);
    *out = m;
    return true;
}

static bool find_arrays(loader *l) {
    const bitnet_meta *scores; /* SentencePiece's; BPE only checks it */
    if (!find_parallel(l, "tokenizer.ggml.token_type", "tokenizer.token_type", BITNET_META_I32,
                       "i32", &l->types) ||
        !find_parallel(l, "tokenizer.ggml.scores", "tokenizer.scores", BITNET_META_F32, "f32",
                       &scores))
        return false;
    l->merges = bitnet_dir_meta(l->dir, "tokenizer.ggml.merges");
    if (!l->merges || l->merges->type != BITNET_META_ARR || l->merges->elem != BITNET_META_STR)
        return REFUSE(l, "tokenizer.merges", "tokenizer.ggml.merges is %s",
                      l->merges ? "not an array of strings" : "missing");
    return true;
}

/* ---- memory ------------------------------------------------------------------------------ */

/* Everything is bounded by the bytes of the metadata (256 MiB), so 64-bit sums cannot overflow; a
 * 32-bit machine refuses what it cannot address. */
static bool make_block(loader *l) {
    uint64_t n_token = l->tokens->n, n_merge = l->merges->n, n_slot = 2;
    while (n_slot < 2 * n_token)
        n_slot *= 2;
    uint64_t size = sizeof(bitnet_vocab) + 2 * (n_token + 1) * sizeof(uint32_t) +
                    n_merge * (sizeof(bitnet_merge) + sizeof(int32_t)) +
                    (n_slot + n_token) * sizeof(uint32_t) + n_token +
                    (l->tokens->size - 8 * n_token); /* text: at most what the file has */
    bitnet_vocab *v = size <= SIZE_MAX ? bitnet_alloc(l->alloc, (size_t)size) : NULL;
    if (!v)
        return REFUSE_AS(l, E_NOMEM, "tokenizer.memory",
                         "no memory for a vocabulary of %" PRIu64 " bytes", size);
    l->v = v;
    *v = (bitnet_vocab){.allocator = l->alloc ? *l->alloc : (bitnet_allocator){0},
                        .block_size = (size_t)size,
                        .name = l->name,
                        .n_token = (int32_t)n_token,
                        .n_row = l->n_row,
                        .n_merge = (uint32_t)n_merge,
                        .slot_mask = (uint32_t)n_slot - 1};
    v->text_pos = (void *)(v + 1);
    v->merge_pos = v->text_pos + n_token + 1;
    v->merge = (void *)(v->merge_pos + n_token + 1);
    v->merged = (void *)(v->merge + n_merge);
    v->slot = (void *)(v->merged + n_merge);
    v->special = v->slot + n_slot;
    v->attr = (void *)(v->special + n_token);
    v->text = (char *)(v->attr + n_token);
    return true;
}

/* ---- tokens ------------------------------------------------------------------------------ */

/* Byte-level text to bytes; returns how many, at most n. -1 when a character is not of the map. */
static int32_t unmap(const char *s, size_t n, char *out) {
    int32_t len = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int step = bitnet_utf8_decode(s + i, n - i, &cp);
        int32_t byte = step ? bitnet_bytemap(cp) : -1;
        if (byte < 0) return -1;
        out[len++] = (char)byte;
        i += (size_t)step;
    }
    return len;
}

static bool is_end_text(const char *s, size_t len) {
    static const char *const texts[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                        "<|endoftext|>", "<|eom_id|>", "<EOT>"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (equals(s, len, texts[i])) return true;
    return false;
}

/* Type, and whether generation stops at this token. */
static bool add_attr(loader *l, int32_t id, const char *s, size_t len) {
    int64_t type = TOKEN_NORMAL;
    if (l->types && !bitnet_meta_at_i64(l->types, (uint64_t)id, &type)) type = -1;
    if (type < 0 || type >= TOKEN_TYPE_COUNT)
        return REFUSE(l, "tokenizer.token_type",
                      "tokenizer.ggml.token_type: token %d is of type %" PRId64
                      "; allowed are 0 to %d",
                      id, type, TOKEN_TYPE_COUNT - 1);
    l->v->attr[id] = (uint8_t)(is_end_text(s, len) ? type | TOKEN_END : type);
    return true;
}

static bool add_token(loader *l, int32_t id, const char *s, size_t len) {
    bitnet_vocab *v = l->v;
    if (!add_attr(l, id, s, len)) return false;
    char bytes[2 * TOKEN_MAX_BYTES]; /* a byte takes at most two in the map */
    int32_t n_byte = len <= sizeof bytes ? unmap(s, len, bytes) : -1;
    bool as_written = n_byte < 0 || bitnet_vocab_special_kind(v, id);
    size_t n = as_written ? len : (size_t)n_byte;
    const char *text = as_written ? s : bytes;
    if (n > TOKEN_MAX_BYTES)
        return REFUSE(l, "tokenizer.token.length",
                      "tokenizer.ggml.tokens: token %d has %zu bytes; allowed are %u", id, n,
                      TOKEN_MAX_BYTES);
    memcpy(v->text + v->text_pos[id], text, n);
    v->text_pos[id + 1] = v->text_pos[id] + (uint32_t)n;
    if (v->max_text < (int32_t)n) v->max_text = (int32_t)n;

    /* Findable is what byte-level text can spell; a special with a plain space, say, is not. */
    if (n == 0 || n_byte != (int32_t)n || memcmp(text, bytes, n) != 0) return true;
    uint32_t *slot = bitnet_vocab_slot(v, text, n);
    if (!slot)
        return REFUSE(
            l, "tokenizer.token.hash",
            "tokenizer.ggml.tokens: token %d is the last of more than %u that share a hash", id,
            TOKEN_MAX_PROBES);
    if (*slot == 0) *slot = (uint32_t)id + 1; /* of equal tokens the first one counts */
    return true;
}

static bool load_tokens(loader *l) {
    const char *s;
    size_t len;
    uint64_t pos = 0;
    for (int32_t i = 0; i < l->v->n_token; i++) {
        if (!bitnet_meta_next_str(l->tokens, &pos, &s, &len))
            return REFUSE(l, "tokenizer.tokens", "tokenizer.ggml.tokens ends before token %d", i);
        if (!add_token(l, i, s, len)) return false;
    }
    for (int32_t b = 0; b < 256; b++) {
        char byte = (char)b;
        int32_t id = bitnet_vocab_find(l->v, &byte, 1);
        bool is_plain = id >= 0 && bitnet_vocab_special_kind(l->v, id) != SPECIAL_ON_REQUEST;
        l->v->byte_token[b] = is_plain ? id : -1;
    }
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

/* Absent, or -1 in any width, is none. */
static bool load_id(loader *l, const char *key, int32_t *out) {
    const bitnet_meta *m = bitnet_dir_meta(l->dir, key);
    int64_t id = -1;
    if (m && !bitnet_meta_i64(m, &id))
        return REFUSE(l, "tokenizer.special_id", "%s is not an integer", key);
    if (id == UINT32_MAX) id = -1;
    if (id < -1 || id >= l->v->n_token)
        return REFUSE(l, "tokenizer.special_id",
                      "%s is %" PRId64 "; the vocabulary has tokens 0 to %d", key, id,
                      l->v->n_token - 1);
    *out = (int32_t)id;
    return true;
}

static bool load_ids(loader *l) {
    bitnet_vocab *v = l->v;
    int32_t eot, eom;
    if (!load_id(l, "tokenizer.ggml.bos_token_id", &v->bos) ||
        !load_id(l, "tokenizer.ggml.eos_token_id", &v->eos) ||
        !load_id(l, "tokenizer.ggml.eot_token_id", &eot) ||
        !load_id(l, "tokenizer.ggml.eom_token_id", &eom) ||
        !load_id(l, "tokenizer.ggml.unknown_token_id", &v->unknown))
        return false;
    if (v->eos >= 0) v->attr[v->eos] |= TOKEN_END;
    if (eot >= 0) v->attr[eot] |= TOKEN_END;
    if (eom >= 0) v->attr[eom] |= TOKEN_END;
    const bitnet_meta *m = bitnet_dir_meta(l->dir, "tokenizer.ggml.add_bos_token");
    v->add_bos = true;
    if (m && !bitnet_meta_bool(m, &v->add_bos))
        return REFUSE(l, "tokenizer.add_bos", "tokenizer.ggml.add_bos_token is not a bool");
    return true;
}

/* ---- merges ------------------------------------------------------------------------------ */

typedef struct pair {
    int32_t left, right; /* left -1: a merge that is never applied */
} pair;

/* "left right", cut at the first space that is not the first character. */
static bool parse_merge(loader *l, uint32_t rank, const char *s, size_t len, pair *out) {
    bitnet_vocab *v = l->v;
    bitnet_escaped e;
    const char *cut = len > 1 ? memchr(s + 1, ' ', len - 1) : NULL;
    char bytes[4 * TOKEN_MAX_BYTES];
    int32_t n_left = -1, n_right = -1, merged = -1;
    if (cut && len <= sizeof bytes) {
        n_left = unmap(s, (size_t)(cut - s), bytes);
        if (n_left > 0) n_right = unmap(cut + 1, len - (size_t)(cut + 1 - s), bytes + n_left);
    }
    if (n_right > 0) {
        out->left = bitnet_vocab_find(v, bytes, (size_t)n_left);
        out->right = bitnet_vocab_find(v, bytes + n_left, (size_t)n_right);
        merged = bitnet_vocab_find(v, bytes, (size_t)(n_left + n_right));
    }
    if (n_right <= 0 || out->left < 0 || out->right < 0 || merged < 0)
        return REFUSE(l, "tokenizer.merges",
                      "tokenizer.ggml.merges: entry %u '%.96s' does not join two tokens to a third",
                      rank, bitnet_escape(&e, s, len));
    v->merged[rank] = merged;
    /* Plain text never gives a control token, so what leads there is left out. */
    if (bitnet_vocab_special_kind(v, out->left) == SPECIAL_ON_REQUEST ||
        bitnet_vocab_special_kind(v, out->right) == SPECIAL_ON_REQUEST ||
        bitnet_vocab_special_kind(v, merged) == SPECIAL_ON_REQUEST)
        out->left = -1;
    return true;
}

/* Counting sort by right, then by left; both passes are stable, so equal pairs stay in rank order
 * and a search for the first one finds the lowest rank. order [n_merge], count [n_token + 1],
 * zeroed. */
static void sort_merges(bitnet_vocab *v, const pair *pairs, uint32_t *order, uint32_t *count) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_merge; i++)
        if (pairs[i].left >= 0) count[pairs[i].right + 1]++, v->merge_pos[pairs[i].left + 1]++, n++;
    for (int32_t t = 0; t < v->n_token; t++) {
        count[t + 1] += count[t];
        v->merge_pos[t + 1] += v->merge_pos[t];
    }
    for (uint32_t i = 0; i < v->n_merge; i++)
        if (pairs[i].left >= 0) order[count[pairs[i].right]++] = i;
    memcpy(count, v->merge_pos, ((size_t)v->n_token + 1) * sizeof *count);
    for (uint32_t k = 0; k < n; k++) {
        const pair *p = &pairs[order[k]];
        v->merge[count[p->left]++] = (bitnet_merge){p->right, order[k]};
    }
}

static bool load_merges(loader *l) {
    bitnet_vocab *v = l->v;
    if (v->n_merge == 0) return true;
    uint64_t size = (uint64_t)v->n_merge * (sizeof(pair) + sizeof(uint32_t)) +
                    ((uint64_t)v->n_token + 1) * sizeof(uint32_t);
    pair *pairs = size <= SIZE_MAX ? bitnet_alloc(l->alloc, (size_t)size) : NULL;
    if (!pairs)
        return REFUSE_AS(l, E_NOMEM, "tokenizer.memory",
                         "no memory to sort merges in %" PRIu64 " bytes", size);
    uint32_t *order = (void *)(pairs + v->n_merge), *count = order + v->n_merge;
    const char *s = NULL;
    size_t len = 0;
    uint64_t pos = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < v->n_merge; i++) {
        ok = bitnet_meta_next_str(l->merges, &pos, &s, &len) ||
             REFUSE(l, "tokenizer.merges", "tokenizer.ggml.merges ends before entry %u", i);
        ok = ok && parse_merge(l, i, s, len, &pairs[i]);
    }
    if (ok) sort_merges(v, pairs, order, count);
    bitnet_free(l->alloc, pairs, (size_t)size);
    return ok;
}

bitnet_status bitnet_vocab_create(bitnet_vocab **out, const bitnet_dir *dir, const char *arch,
                                  int32_t n_rows, const bitnet_allocator *alloc,
                                  bitnet_error *err) {
    loader l = {.dir = dir, .alloc = alloc, .err = err, .arch = arch, .n_row = n_rows};
    *out = NULL;
    if (!choose_model(&l) || !l.tokens) return l.status;
    if (!choose_pre(&l) || !find_arrays(&l) || !make_block(&l)) return l.status;
    if (!load_tokens(&l) || !load_ids(&l) || !load_merges(&l)) {
        bitnet_vocab_free(l.v);
        return l.status;
    }
    load_specials(l.v);
    *out = l.v;
    return BITNET_OK;
}
