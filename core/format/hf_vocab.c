/* hf_vocab.c: the tokens and merges of a tokenizer.json, in the order of their ids.
 *
 * The vocabulary is walked twice: the first walk checks and counts, then a table of ids and one block for
 * all texts are allocated, and the second walk fills them. A mapped file may change in between, so both
 * check. Added tokens come last and win over a token of the vocabulary with their id.
 *
 * SentencePiece in GGUF merges the pair with the highest score, a tokenizer.json the pair that comes first
 * in its list of merges: a token's score is therefore minus the position of the first merge that makes
 * it, and lower than all of these for a token that no merge makes. The list was once derived from scores
 * in this way, so that the order is the original one. (convert_hf_to_gguf writes -1000 for every token
 * here, which leaves the order to chance.) Positions stay below 2^24, where a float holds every integer.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/hf_parts.h"
#include "format/sort.h"

#define MAX_IDS       (1 << 20)
#define MAX_HOLES     4096 /* ids that no token has, below the highest */
#define MAX_TEXT      65535u
#define MAX_MERGES    (1u << 24)
#define MAX_MERGE     4096u /* bytes of both parts: two bytes for each of a token's 1,024, and more */
#define FALCON3_IDS   131072
#define FALCON3_FIRST ">>TITLE<<"

enum { /* tokenizer.ggml.token_type */
       TYPE_HOLE,
       TYPE_NORMAL,
       TYPE_UNKNOWN,
       TYPE_CONTROL,
       TYPE_USER_DEFINED,
       TYPE_UNUSED,
       TYPE_BYTE,
};

typedef struct token {
    uint32_t pos; /* in text */
    uint16_t n;
    uint8_t type; /* TYPE_HOLE: no token has this id */
    bool is_added;
    float score;
} token;

/* A token as the file has it. */
typedef struct found_token {
    bitnet_json_str text;
    int64_t id;
    double score;
    uint8_t type;
    bool is_added;
} found_token;

typedef struct vocab {
    hf_reader *r;
    const bitnet_json *root;
    bitnet_json model;
    hf_vocab_kind kind;
    bool has_bytes;    /* <0x0A> is a byte */
    char unknown[256]; /* its text */
    size_t n_unknown;
    int64_t unknown_id; /* -1 = none */
    uint64_t n_found, text_size;
    int64_t max_id;
    token *token; /* [n]; NULL in the first walk */
    uint32_t n;
    char *text; /* [text_size] */
    uint32_t n_text;
    uint32_t *by_text; /* [n] ids in the order of their texts */
} vocab;

#define REFUSE(v, id, ...) HF_REFUSE((v)->r, id, HF_TOKENIZER ": " __VA_ARGS__)

static bool refuse_changed(vocab *v) {
    return REFUSE(v, "hf.changed", "the file changed while it was read");
}

/* ---- tokens ------------------------------------------------------------------------------ */

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

static uint8_t type_of(const vocab *v, const found_token *f, const char *s, size_t n) {
    if (v->kind == HF_VOCAB_BYTES) return f->type;
    if (f->id == v->unknown_id || (v->n_unknown && n == v->n_unknown && !memcmp(s, v->unknown, n)))
        return TYPE_UNKNOWN;
    bool is_byte = v->has_bytes && n == 6 && !memcmp(s, "<0x", 3) && is_hex(s[3]) && is_hex(s[4]) &&
                   s[5] == '>';
    return is_byte && !f->is_added ? TYPE_BYTE : f->type;
}

static bool count(vocab *v, const found_token *f) {
    size_t n = bitnet_json_text(&f->text, NULL, 0);
    bitnet_escaped e;
    if (f->id < 0 || f->id >= MAX_IDS)
        return REFUSE(v, "hf.tokenizer.id", "token '%.64s' has id %lld; allowed are 0 to %d",
                      hf_escape(&e, &f->text), (long long)f->id, MAX_IDS - 1);
    if (n > MAX_TEXT)
        return REFUSE(v, "hf.tokenizer.text", "token %lld has %zu bytes; allowed are %u",
                      (long long)f->id, n, MAX_TEXT);
    v->n_found++;
    v->text_size += n;
    if (v->max_id < f->id) v->max_id = f->id;
    return true;
}

static bool place(vocab *v, const found_token *f) {
    size_t room = (size_t)v->text_size - v->n_text;
    if (f->id < 0 || f->id >= v->n) return refuse_changed(v);
    char *s = v->text + v->n_text;
    size_t n = bitnet_json_text(&f->text, s, room);
    if (n > room || n > MAX_TEXT) return refuse_changed(v);
    token *t = &v->token[f->id];
    if (t->is_added || (t->type != TYPE_HOLE && !f->is_added))
        return REFUSE(v, "hf.tokenizer.id", "two tokens have id %lld", (long long)f->id);
    float score = f->is_added ? t->score : (float)f->score;
    if (!isfinite(score))
        return REFUSE(v, "hf.tokenizer.score", "the score of token %lld is not a finite float",
                      (long long)f->id);
    *t = (token){.pos = v->n_text,
                 .n = (uint16_t)n,
                 .type = type_of(v, f, s, n),
                 .is_added = f->is_added,
                 .score = score};
    v->n_text += (uint32_t)n;
    if (t->type == TYPE_UNKNOWN) v->unknown_id = f->id;
    return true;
}

static bool see(vocab *v, const found_token *f) {
    return v->token ? place(v, f) : count(v, f);
}

/* {"text": id, ...} */
static bool walk_ids(vocab *v, bitnet_json j) {
    found_token f = {.type = TYPE_NORMAL};
    if (!bitnet_json_object(&j))
        return REFUSE(v, "hf.tokenizer.vocab", "\"vocab\" of a BPE model is not an object");
    while (bitnet_json_next(&j, &f.text)) {
        if (!bitnet_json_int(&j, &f.id))
            return REFUSE(v, "hf.tokenizer.vocab", "\"vocab\" holds something else than ids");
        if (!see(v, &f)) return false;
    }
    return true;
}

/* [["text", score], ...] */
static bool walk_scores(vocab *v, bitnet_json j) {
    found_token f = {.type = TYPE_NORMAL};
    if (!bitnet_json_array(&j))
        return REFUSE(v, "hf.tokenizer.vocab", "\"vocab\" of a Unigram model is not an array");
    for (; bitnet_json_next(&j, NULL); f.id++) {
        bool ok = bitnet_json_array(&j) && bitnet_json_next(&j, NULL) &&
                  bitnet_json_string(&j, &f.text) && bitnet_json_next(&j, NULL) &&
                  bitnet_json_number(&j, &f.score) && !bitnet_json_next(&j, NULL);
        if (!ok)
            return REFUSE(v, "hf.tokenizer.vocab", "entry %lld of \"vocab\" is not [text, score]",
                          (long long)f.id);
        if (!see(v, &f)) return false;
    }
    return true;
}

/* [{"id": 0, "content": "<s>", "special": true, ...}, ...] */
static bool walk_added(vocab *v) {
    bitnet_json list, value;
    if (!bitnet_json_find(v->root, "added_tokens", &list) ||
        bitnet_json_peek(&list) == BITNET_JSON_NULL)
        return true;
    if (!bitnet_json_array(&list))
        return REFUSE(v, "hf.tokenizer.added", "\"added_tokens\" is not an array");
    for (uint32_t i = 0; bitnet_json_next(&list, NULL); i++) {
        found_token f = {.is_added = true};
        bool is_special = false;
        bool ok = bitnet_json_find(&list, "id", &value) && bitnet_json_int(&value, &f.id) &&
                  bitnet_json_find(&list, "content", &value) && bitnet_json_string(&value, &f.text);
        if (!ok)
            return REFUSE(v, "hf.tokenizer.added", "added token %u has no id or no content", i);
        if (bitnet_json_find(&list, "special", &value)) bitnet_json_bool(&value, &is_special);
        f.type = is_special ? TYPE_CONTROL : TYPE_USER_DEFINED;
        if (!see(v, &f)) return false;
    }
    return true;
}

static bool walk(vocab *v) {
    bitnet_json list;
    if (!bitnet_json_find(&v->model, "vocab", &list))
        return REFUSE(v, "hf.tokenizer.vocab", "the model has no \"vocab\"");
    return (v->kind == HF_VOCAB_SPM_SCORES ? walk_scores : walk_ids)(v, list) && walk_added(v);
}

/* ---- merges ------------------------------------------------------------------------------ */

typedef struct merge {
    char s[MAX_MERGE]; /* "left right" */
    size_t n, n_left;  /* bytes of all, and before the space */
} merge;

/* Element i: "left right" or ["left", "right"]. */
static bool read_merge(vocab *v, bitnet_json *j, uint32_t i, merge *m) {
    bitnet_json_str left, right;
    size_t n = 0;
    if (bitnet_json_array(j)) {
        if (bitnet_json_next(j, NULL) && bitnet_json_string(j, &left) &&
            bitnet_json_next(j, NULL) && bitnet_json_string(j, &right) &&
            !bitnet_json_next(j, NULL)) {
            n = bitnet_json_text(&left, m->s, MAX_MERGE);
            if (n < MAX_MERGE) m->s[n++] = ' ';
            size_t room = n < MAX_MERGE ? MAX_MERGE - n : 0;
            n += bitnet_json_text(&right, m->s + (MAX_MERGE - room), room);
        }
    } else if (bitnet_json_string(j, &left)) {
        n = bitnet_json_text(&left, m->s, MAX_MERGE);
    }
    const char *space = n >= 3 && n <= MAX_MERGE ? memchr(m->s + 1, ' ', n - 2) : NULL;
    m->n = n;
    m->n_left = space ? (size_t)(space - m->s) : 0;
    return (space && m->s[0] != ' ' && !memchr(space + 1, ' ', n - m->n_left - 1)) ||
           REFUSE(v, "hf.tokenizer.merge",
                  "merge %u is not two parts without a space, of %u bytes at most", i,
                  MAX_MERGE - 1);
}

static bool text_less(const void *ctx, uint32_t a, uint32_t b) {
    const vocab *v = ctx;
    const token *s = &v->token[a], *t = &v->token[b];
    int order = memcmp(v->text + s->pos, v->text + t->pos, s->n < t->n ? s->n : t->n);
    if (order != 0) return order < 0;
    return s->n != t->n ? s->n < t->n : a < b;
}

/* The first token with this text; NULL = none. */
static token *find_text(vocab *v, const char *s, size_t n) {
    uint32_t lo = 0, hi = v->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const token *t = &v->token[v->by_text[mid]];
        int order = memcmp(v->text + t->pos, s, t->n < n ? t->n : n);
        if (order < 0 || (order == 0 && t->n < n))
            lo = mid + 1;
        else
            hi = mid;
    }
    token *t = lo < v->n ? &v->token[v->by_text[lo]] : NULL;
    return t && t->n == n && !memcmp(v->text + t->pos, s, n) ? t : NULL;
}

/* Merge i makes a token: that is its score, unless an earlier one makes it too. */
static bool score_merge(vocab *v, uint32_t i, merge *m) {
    bitnet_escaped e;
    memmove(m->s + m->n_left, m->s + m->n_left + 1, m->n - m->n_left - 1);
    token *t = find_text(v, m->s, m->n - 1);
    if (!t)
        return REFUSE(v, "hf.tokenizer.merge", "merge %u makes '%.64s', which is no token", i,
                      bitnet_escape(&e, m->s, m->n - 1));
    if (t->score > 0) t->score = 0 - (float)i;
    return true;
}

static bool read_merges(vocab *v) {
    bitnet_json j;
    merge m;
    uint32_t i = 0;
    if (!bitnet_json_find(&v->model, "merges", &j) || !bitnet_json_array(&j))
        return REFUSE(v, "hf.tokenizer.merge", "\"merges\" of a BPE model is not an array");
    if (v->kind == HF_VOCAB_BYTES)
        bitnet_build_array(v->r->b, "tokenizer.ggml.merges", BITNET_META_STR);
    for (; bitnet_json_next(&j, NULL); i++) {
        if (i == MAX_MERGES)
            return REFUSE(v, "hf.tokenizer.merge", "more than %u merges", MAX_MERGES);
        if (!read_merge(v, &j, i, &m)) return false;
        if (v->kind == HF_VOCAB_BYTES)
            bitnet_build_array_str(v->r->b, m.s, m.n);
        else if (!score_merge(v, i, &m))
            return false;
    }
    return true;
}

/* A score above 0 stands for "no merge seen"; at the end all of these become the lowest. */
static bool score_by_merges(vocab *v) {
    size_t size = v->n * sizeof *v->by_text;
    v->by_text = bitnet_alloc(v->r->alloc, size);
    if (!v->by_text)
        return HF_REFUSE_AS(v->r, E_NOMEM, "hf.memory", HF_TOKENIZER ": no memory for %u tokens",
                            v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        v->by_text[i] = i;
        v->token[i].score = 1;
    }
    bitnet_sort(v->by_text, v->n, text_less, v);
    bool ok = read_merges(v);
    bitnet_free(v->r->alloc, v->by_text, size);
    for (uint32_t i = 0; i < v->n; i++)
        if (v->token[i].score > 0) v->token[i].score = -(float)MAX_MERGES;
    return ok;
}

/* ---- arrays ------------------------------------------------------------------------------ */

static void put_arrays(vocab *v) {
    bitnet_dir_builder *b = v->r->b;
    bitnet_build_array(b, "tokenizer.ggml.tokens", BITNET_META_STR);
    for (uint32_t i = 0; i < v->n; i++) {
        const token *t = &v->token[i];
        char pad[24];
        if (t->type == TYPE_HOLE)
            bitnet_build_array_str(b, pad, (size_t)snprintf(pad, sizeof pad, "[PAD%u]", i));
        else
            bitnet_build_array_str(b, v->text + t->pos, t->n);
    }
    bitnet_build_array(b, "tokenizer.ggml.token_type", BITNET_META_I32);
    for (uint32_t i = 0; i < v->n; i++)
        bitnet_build_array_i32(b, v->token[i].type == TYPE_HOLE ? TYPE_UNUSED : v->token[i].type);
    if (v->kind == HF_VOCAB_BYTES) return;
    bitnet_build_array(b, "tokenizer.ggml.scores", BITNET_META_F32);
    for (uint32_t i = 0; i < v->n; i++)
        bitnet_build_array_f32(b, v->token[i].score);
    if (v->unknown_id >= 0 && v->unknown_id < v->n)
        bitnet_build_i64(b, "tokenizer.ggml.unknown_token_id", v->unknown_id);
}

/* What the model says beside its lists. */
static bool read_options(vocab *v) {
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    bitnet_json j;
    bitnet_json_str s;
    for (size_t i = 0; i < 2; i++)
        if (bitnet_json_find(&v->model, affixes[i], &j) && bitnet_json_string(&j, &s) && s.n)
            return HF_REFUSE_AS(v->r, E_UNSUPPORTED, "hf.tokenizer.affix",
                                HF_TOKENIZER ": a model with %s is not supported", affixes[i]);
    v->unknown_id = -1;
    if (v->kind == HF_VOCAB_BYTES) return true;
    if (bitnet_json_find(&v->model, "byte_fallback", &j)) bitnet_json_bool(&j, &v->has_bytes);
    if (bitnet_json_find(&v->model, "unk_id", &j)) bitnet_json_int(&j, &v->unknown_id);
    if (bitnet_json_find(&v->model, "unk_token", &j) && bitnet_json_string(&j, &s)) {
        size_t n = bitnet_json_text(&s, v->unknown, sizeof v->unknown);
        v->n_unknown = n <= sizeof v->unknown ? n : 0;
    }
    return true;
}

/* After the first walk. */
static bool make_tables(vocab *v) {
    if (v->max_id + 1 > (int64_t)v->n_found + MAX_HOLES)
        return REFUSE(v, "hf.tokenizer.holes",
                      "the highest id is %lld, but there are %llu tokens; %d ids may be missing",
                      (long long)v->max_id, (unsigned long long)v->n_found, MAX_HOLES);
    v->n = (uint32_t)(v->max_id + 1);
    v->token = bitnet_alloc(v->r->alloc, v->n * sizeof *v->token);
    v->text = bitnet_alloc(v->r->alloc, (size_t)v->text_size + 1); /* less than the file */
    return (v->token && v->text) ||
           HF_REFUSE_AS(v->r, E_NOMEM, "hf.memory", HF_TOKENIZER ": no memory for %u tokens", v->n);
}

bool bitnet_hf_read_vocab(hf_reader *r, const bitnet_json *root, hf_vocab_kind kind,
                          bool *is_falcon3) {
    vocab v = {.r = r, .root = root, .kind = kind, .max_id = -1};
    bitnet_json_find(root, "model", &v.model);
    bool ok = read_options(&v) && walk(&v);
    if (ok && v.n_found == 0) ok = REFUSE(&v, "hf.tokenizer.vocab", "there are no tokens");
    ok = ok && make_tables(&v) && walk(&v);
    if (ok && kind == HF_VOCAB_SPM_MERGES) ok = score_by_merges(&v);
    if (ok) {
        put_arrays(&v);
        const token *first = &v.token[0];
        *is_falcon3 = v.n == FALCON3_IDS && first->n == strlen(FALCON3_FIRST) &&
                      !memcmp(v.text + first->pos, FALCON3_FIRST, first->n);
    }
    if (ok && kind == HF_VOCAB_BYTES) ok = read_merges(&v);
    bitnet_free(r->alloc, v.token, v.n * sizeof *v.token);
    bitnet_free(r->alloc, v.text, (size_t)v.text_size + 1);
    return ok;
}
