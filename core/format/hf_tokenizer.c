/* hf_tokenizer.c: which tokenizer a tokenizer.json describes, in GGUF's words; its tokens and merges are
 * read by hf_vocab.c.
 *
 * A tokenizer.json is a pipeline of parts with parameters; what runs here are two fixed pipelines. So the
 * parts that change the ids are compared with those two, and anything else about them is either refused by
 * name (normalizers: a text silently changed is worse than none) or handed on as the name of a tokenizer
 * that nobody knows, which whoever needs a vocabulary refuses (model types, pre-tokenizers): the folder can
 * still be described, and --override-kv can name a pre-tokenizer.
 */
#include <stdio.h>
#include <string.h>

#include "format/hf.h"
#include "format/hf_parts.h"

#define SPM_SPACE "\xe2\x96\x81" /* U+2581: how SentencePiece writes a space */
#define GPT2_REGEX                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_REGEX                                                                               \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"                      \
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct pipeline {
    hf_vocab_kind kind;
    bool has_spm_spaces, has_byte_level; /* U+2581 for spaces; byte-level characters */
    bool add_space;                      /* SentencePiece: one in front */
    bool add_bos, add_eos;
    char pre[512]; /* pre-tokenizers in order, as text: "(?i:'s|...|\\s+ ByteLevel" */
    size_t n_pre;
} pipeline;

static bool get_bool(const bitnet_json *object, const char *name, bool fallback) {
    bitnet_json v;
    bool b = fallback;
    if (bitnet_json_find(object, name, &v)) bitnet_json_bool(&v, &b);
    return b;
}

/* The string, or an empty one. */
static bitnet_json_str get_str(const bitnet_json *object, const char *name) {
    bitnet_json v;
    bitnet_json_str s = {"", 0, false};
    if (bitnet_json_find(object, name, &v)) bitnet_json_string(&v, &s);
    return s;
}

static bool is_str(const bitnet_json *object, const char *name, const char *value) {
    bitnet_json_str s = get_str(object, name);
    return bitnet_json_is(&s, value);
}

/* ---- parts in a row ---------------------------------------------------------------------- */

typedef bool (*part_fn)(hf_reader *r, pipeline *p, const bitnet_json *part);

/* The part under `name`, or those of a Sequence under `list`; null is none. */
static bool each_part(hf_reader *r, pipeline *p, const bitnet_json *root, const char *const name[2],
                      part_fn visit) {
    bitnet_json v, list;
    if (!bitnet_json_find(root, name[0], &v) || bitnet_json_peek(&v) == BITNET_JSON_NULL)
        return true;
    if (bitnet_json_peek(&v) != BITNET_JSON_OBJECT)
        return HF_REFUSE(r, "hf.tokenizer.part", HF_TOKENIZER ": \"%s\" is not an object", name[0]);
    if (!is_str(&v, "type", "Sequence")) return visit(r, p, &v);
    if (!bitnet_json_find(&v, name[1], &list) || !bitnet_json_array(&list))
        return HF_REFUSE(r, "hf.tokenizer.part", HF_TOKENIZER ": \"%s\" has no array \"%s\"",
                         name[0], name[1]);
    while (bitnet_json_next(&list, NULL))
        if (!visit(r, p, &list)) return false;
    return true;
}

/* SentencePiece's two: a space in front, and U+2581 for every space. */
static bool visit_normalizer(hf_reader *r, pipeline *p, const bitnet_json *part) {
    bitnet_json pattern;
    bitnet_escaped e;
    if (is_str(part, "type", "Prepend") && is_str(part, "prepend", SPM_SPACE)) {
        p->add_space = true;
        return true;
    }
    if (is_str(part, "type", "Replace") && bitnet_json_find(part, "pattern", &pattern) &&
        is_str(&pattern, "String", " ") && is_str(part, "content", SPM_SPACE)) {
        p->has_spm_spaces = true;
        return true;
    }
    bitnet_json_str type = get_str(part, "type");
    return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.tokenizer.normalizer",
                        HF_TOKENIZER ": normalizer \"%.64s\" is not supported",
                        hf_escape(&e, &type));
}

/* Appends to the description of the pre-tokenizers; what does not fit is cut off and known to nobody. */
static void describe(pipeline *p, const bitnet_json_str *text) {
    if (p->n_pre && p->n_pre < sizeof p->pre) p->pre[p->n_pre++] = ' ';
    size_t room = sizeof p->pre - p->n_pre;
    size_t n = bitnet_json_text(text, p->pre + p->n_pre, room);
    p->n_pre += n < room ? n : room;
}

static bool visit_pre(hf_reader *r, pipeline *p, const bitnet_json *part) {
    bitnet_json_str type = get_str(part, "type");
    bitnet_json pattern;
    bitnet_json_str mark = get_str(part, "replacement");
    if (bitnet_json_is(&type, "Metaspace") && bitnet_json_is(&mark, SPM_SPACE)) {
        p->has_spm_spaces = true;
        p->add_space |=
            get_bool(part, "add_prefix_space", true) && !is_str(part, "prepend_scheme", "never");
        return true;
    }
    if (bitnet_json_is(&type, "ByteLevel")) {
        bool has_regex = get_bool(part, "use_regex", true);
        p->has_byte_level = true;
        if (get_bool(part, "add_prefix_space", true))
            return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.tokenizer.prefix_space",
                                HF_TOKENIZER ": ByteLevel with add_prefix_space is not supported");
        describe(p, has_regex ? &(bitnet_json_str){"GPT-2", 5, false} : &type);
        return true;
    }
    bool is_split = bitnet_json_is(&type, "Split") && is_str(part, "behavior", "Isolated") &&
                    !get_bool(part, "invert", false) && bitnet_json_find(part, "pattern", &pattern);
    bitnet_json_str regex = is_split ? get_str(&pattern, "Regex") : type;
    describe(p, regex.n ? &regex : &type);
    return true;
}

/* BOS and EOS are what the template puts around a single text. */
static bool visit_post(hf_reader *r, pipeline *p, const bitnet_json *part) {
    bitnet_json single, special;
    bool is_behind_text = false;
    (void)r;
    if (!is_str(part, "type", "TemplateProcessing") || !bitnet_json_find(part, "single", &single) ||
        !bitnet_json_array(&single))
        return true;
    while (bitnet_json_next(&single, NULL)) {
        bool is_special = bitnet_json_find(&single, "SpecialToken", &special);
        if (is_special && is_behind_text) p->add_eos = true;
        if (is_special && !is_behind_text) p->add_bos = true;
        is_behind_text |= !is_special;
    }
    return true;
}

/* ---- the tokenizer ----------------------------------------------------------------------- */

static void put_literal(hf_reader *r, const char *key, const char *value) {
    bitnet_build_str(r->b, key, value, strlen(value));
}

/* False also for a model that does not run here: its name is in the directory then. */
static bool choose_kind(hf_reader *r, pipeline *p, const bitnet_json *model) {
    static const char key[] = "tokenizer.ggml.model";
    bitnet_json_str type = get_str(model, "type");
    bool is_bpe = bitnet_json_is(&type, "BPE") || type.n == 0; /* old files do not say */
    bool is_unigram = bitnet_json_is(&type, "Unigram");
    bool is_spm = is_unigram || (is_bpe && !p->has_byte_level &&
                                 (get_bool(model, "byte_fallback", false) || p->has_spm_spaces));
    if (is_spm || (is_bpe && p->has_byte_level)) {
        p->kind = !is_spm ? HF_VOCAB_BYTES : is_unigram ? HF_VOCAB_SPM_SCORES : HF_VOCAB_SPM_MERGES;
        put_literal(r, key, is_spm ? "llama" : "gpt2");
        return true;
    }
    char name[64];
    size_t n = bitnet_json_text(&type, name, sizeof name);
    if (is_bpe)
        put_literal(r, key, "BPE of characters");
    else
        bitnet_build_str(r->b, key, n <= sizeof name ? name : "?", n <= sizeof name ? n : 1);
    return false;
}

/* Parts of one pipeline in the other: spaces marked in two ways, or SentencePiece that cuts. */
static bool check_parts(hf_reader *r, const pipeline *p) {
    bitnet_escaped e;
    bool marks = p->has_spm_spaces || p->add_space;
    bool is_sound = p->kind == HF_VOCAB_BYTES ? !marks : p->has_spm_spaces && p->n_pre == 0;
    return is_sound ||
           HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.tokenizer.mixed",
                        HF_TOKENIZER ": %s with %s and the pre-tokenizers '%.64s' is not supported",
                        p->kind == HF_VOCAB_BYTES ? "byte-level BPE" : "SentencePiece",
                        marks ? "U+2581 for spaces" : "plain spaces",
                        bitnet_escape(&e, p->pre, p->n_pre));
}

/* Falcon3's own pre-tokenizer is not looked at: its GGUF files run under LLaMA 3's rules, and its
 * tokens leave no doubt. */
static void put_pre(hf_reader *r, pipeline *p, bool is_falcon3) {
    static const struct {
        const char *described, *name;
    } known[] = {{LLAMA3_REGEX " ByteLevel", "llama-bpe"},
                 {GPT2_REGEX " ByteLevel", "gpt-2"},
                 {"GPT-2", "gpt-2"}}; /* ByteLevel with a pattern of its own, which is that one */
    static const char key[] = "tokenizer.ggml.pre";
    if (is_falcon3) {
        put_literal(r, key, "falcon3");
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (p->n_pre == strlen(known[i].described) &&
            memcmp(p->pre, known[i].described, p->n_pre) == 0) {
            put_literal(r, key, known[i].name);
            return;
        }
    bitnet_build_str(r->b, key, p->pre, p->n_pre);
}

/* tokenizer_config.json: flags that go before tokenizer.json's, and the chat template. */
static bool read_config(hf_reader *r, pipeline *p, const bitnet_json *root) {
    p->add_bos = get_bool(root, "add_bos_token", p->add_bos);
    p->add_eos = get_bool(root, "add_eos_token", p->add_eos);
    bitnet_json_str s = get_str(root, "chat_template");
    if (s.n == 0) return true;
    char *text = bitnet_alloc(r->alloc, s.n);
    if (!text)
        return HF_REFUSE_AS(r, E_NOMEM, "hf.memory",
                            HF_TOK_CONFIG ": no memory for a chat template of %zu bytes", s.n);
    bitnet_build_str(r->b, "tokenizer.chat_template", text, bitnet_json_text(&s, text, s.n));
    bitnet_free(r->alloc, text, s.n);
    return true;
}

static bool read_pipeline(hf_reader *r, pipeline *p, const bitnet_json *root,
                          const bitnet_json *config) {
    static const char *const normalizer[2] = {"normalizer", "normalizers"};
    static const char *const pre[2] = {"pre_tokenizer", "pretokenizers"};
    static const char *const post[2] = {"post_processor", "processors"};
    bitnet_json model;
    bool is_falcon3 = false;
    if (!bitnet_json_find(root, "model", &model) || bitnet_json_peek(&model) != BITNET_JSON_OBJECT)
        return HF_REFUSE(r, "hf.tokenizer.part", HF_TOKENIZER ": \"model\" is not an object");
    if (!each_part(r, p, root, normalizer, visit_normalizer) ||
        !each_part(r, p, root, pre, visit_pre) || !each_part(r, p, root, post, visit_post) ||
        (config && !read_config(r, p, config)))
        return false;
    if (!choose_kind(r, p, &model)) return true;
    if (!check_parts(r, p)) return false;
    if (!bitnet_hf_read_vocab(r, root, p->kind, &is_falcon3)) return false;
    if (p->kind == HF_VOCAB_BYTES)
        put_pre(r, p, is_falcon3);
    else
        bitnet_build_bool(r->b, "tokenizer.ggml.add_space_prefix", p->add_space);
    bitnet_build_bool(r->b, "tokenizer.ggml.add_bos_token", p->add_bos);
    bitnet_build_bool(r->b, "tokenizer.ggml.add_eos_token", p->add_eos);
    return true;
}

bitnet_status bitnet_hf_tokenizer(bitnet_dir_builder *b, const char *json, size_t len,
                                  const char *config, size_t config_len, bitnet_error *err) {
    hf_reader r = {.alloc = b->alloc, .err = err, .b = b};
    pipeline p = {0};
    bitnet_json root, config_root;
    bool ok = bitnet_hf_open_json(&r, HF_TOKENIZER, json, len, &root) &&
              (!config || bitnet_hf_open_json(&r, HF_TOK_CONFIG, config, config_len, &config_root));
    if (ok) read_pipeline(&r, &p, &root, config ? &config_root : NULL);
    return r.status;
}
