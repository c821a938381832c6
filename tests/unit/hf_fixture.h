/* hf_fixture.h: what the tests of Hugging Face folders share: a small sound folder, and reading one in
 * every way at once (mapped and not; within its memory; nothing left behind).
 */
#ifndef BITNET_TEST_HF_FIXTURE_H
#define BITNET_TEST_HF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "format/hf.h"
#include "hf_writer.h"
#include "load_file.h"

#define LEN(array)      (sizeof(array) / sizeof *(array))
#define MEMORY_PER_BYTE 8 /* as hf.h says, of the texts and the headers */
#define MEMORY_FIXED    ((size_t)1 << 20)

#define WEIGHTS "model.safetensors"

/* 2 heads of 4 over 8 channels, 1 key-value head, feed-forward 16. */
#define CONFIG_SIZES                                                                               \
    "\"hidden_size\":8,\"intermediate_size\":16,\"num_hidden_layers\":1,"                          \
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":4,"                          \
    "\"max_position_embeddings\":64,\"vocab_size\":7,\"rms_norm_eps\":1e-05,"                      \
    "\"rope_theta\":500000.0,\"rope_scaling\":null,\"bos_token_id\":5,\"eos_token_id\":6"

#define CONFIG_2B                                                                                  \
    "{\"architectures\":[\"BitNetForCausalLM\"],\"model_type\":\"bitnet\",\"hidden_act\":"         \
    "\"relu2\"," CONFIG_SIZES ",\"tie_word_embeddings\":true,\"quantization_config\":"             \
    "{\"quant_method\":\"bitnet\",\"linear_class\":\"autobitlinear\",\"quantization_mode\":"       \
    "\"offline\",\"modules_to_not_convert\":null}}"

#define CONFIG_1BITLLM                                                                             \
    "{\"architectures\":[\"BitnetForCausalLM\"],\"model_type\":\"llama\",\"hidden_act\":"          \
    "\"silu\"," CONFIG_SIZES ",\"tie_word_embeddings\":true,\"_name_or_path\":\"one/bit\"}"

#define CONFIG_LLAMA                                                                               \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_act\":"           \
    "\"silu\"," CONFIG_SIZES ",\"tie_word_embeddings\":false,\"quantization_config\":"             \
    "{\"quant_method\":\"bitnet\",\"modules_to_not_convert\":[\"lm_head\",\"self_attn.v_proj\"]}}"

#define LLAMA3_REGEX                                                                               \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"          \
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

#define TOKENIZER_BPE                                                                              \
    "{\"version\":\"1.0\",\"added_tokens\":["                                                      \
    "{\"id\":5,\"content\":\"<s>\",\"special\":true},"                                             \
    "{\"id\":6,\"content\":\"<end>\",\"special\":false}],"                                         \
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" LLAMA3_REGEX "\"},"                            \
    "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","                         \
    "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}]},"                     \
    "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"          \
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"            \
    "{\"Sequence\":{\"id\":\"A\"}}]}]},\"decoder\":{\"type\":\"ByteLevel\"},"                      \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"byte_fallback\":false,"                      \
    "\"ignore_merges\":true,\"vocab\":{\"c\":2,\"a\":0,\"b\":1,\"abc\":4,\"ab\":3},"               \
    "\"merges\":[\"a b\",\"ab c\"]}}"

/* ---- tensors ----------------------------------------------------------------------------- */

/* Every tensor is filled with a byte that its name gives. */
static inline uint8_t tag_of(const char *name) {
    uint32_t h = 7;
    for (; *name; name++)
        h = h * 31 + (uint8_t)*name;
    return (uint8_t)(h >> 8 | 1);
}

static inline void put_tagged(hf_folder *f, const char *file, const char *name, const char *dtype,
                              const char *shape, size_t size) {
    uint8_t data[1024];
    if (size > sizeof data) abort();
    memset(data, tag_of(name), size);
    hf_tensor(f, file, name, dtype, shape, data, size);
}

/* One projection [rows, cols]: packed with a BF16 scale of 0.5, or dense. */
static inline void put_projection(hf_folder *f, const char *file, const char *module, size_t rows,
                                  size_t cols, const char *dtype) {
    char name[160], shape[48];
    bool is_packed = strcmp(dtype, "U8") == 0;
    size_t n = is_packed ? rows / 4 : rows, size = strcmp(dtype, "F32") == 0 ? 4
                                                   : is_packed               ? 1
                                                                             : 2;
    snprintf(name, sizeof name, "%s.weight", module);
    snprintf(shape, sizeof shape, "[%zu,%zu]", n, cols);
    put_tagged(f, file, name, dtype, shape, n * cols * size);
    snprintf(name, sizeof name, "%s.weight_scale", module);
    if (is_packed) hf_tensor(f, file, name, "BF16", "[1]", "\x00\x3f", 2);
}

static inline void put_layer(hf_folder *f, const char *file, const char *dtype,
                             const char *const sub_norms[2]) {
    static const struct {
        const char *module;
        size_t rows, cols;
    } p[] = {{"self_attn.q_proj", 8, 8}, {"self_attn.k_proj", 4, 8}, {"self_attn.v_proj", 4, 8},
             {"self_attn.o_proj", 8, 8}, {"mlp.gate_proj", 16, 8},   {"mlp.up_proj", 16, 8},
             {"mlp.down_proj", 8, 16}};
    char name[128];
    for (size_t i = 0; i < LEN(p); i++) {
        snprintf(name, sizeof name, "model.layers.0.%s", p[i].module);
        put_projection(f, file, name, p[i].rows, p[i].cols, dtype);
    }
    put_tagged(f, file, "model.layers.0.input_layernorm.weight", "BF16", "[8]", 16);
    put_tagged(f, file, "model.layers.0.post_attention_layernorm.weight", "F32", "[8]", 32);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "model.layers.0.%s.weight", sub_norms[i]);
        if (sub_norms[i]) put_tagged(f, file, name, "F32", i ? "[16]" : "[8]", i ? 64 : 32);
    }
}

static const char *const sub_norms_2b[2] = {"self_attn.attn_sub_norm", "mlp.ffn_sub_norm"};
static const char *const sub_norms_1bitllm[2] = {"self_attn.inner_attn_ln", "mlp.ffn_layernorm"};
static const char *const no_sub_norms[2] = {NULL, NULL};

static inline void put_weights(hf_folder *f, const char *dtype, const char *const sub_norms[2]) {
    put_tagged(f, WEIGHTS, "model.embed_tokens.weight", "F16", "[7,8]", 112);
    put_tagged(f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
    put_layer(f, WEIGHTS, dtype, sub_norms);
}

/* microsoft/bitnet-b1.58-2B-4T in small. */
static inline hf_folder folder_2b(void) {
    hf_folder f = {0};
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
    hf_text(hf_file(&f, "tokenizer.json"), "%s", TOKENIZER_BPE);
    put_weights(&f, "U8", sub_norms_2b);
    return f;
}

/* ---- reading ----------------------------------------------------------------------------- */

typedef struct reading {
    bitnet_dir dir;
    bitnet_error err;
    bitnet_status status;
    count_alloc alloc;
} reading;

static inline void read_one(reading *r, hf_folder *f, bool is_mapped, long fail_at) {
    *r = (reading){.alloc = {.fail_at = fail_at}};
    bitnet_allocator a = count_alloc_of(&r->alloc);
    const bitnet_file *files = hf_files(f, is_mapped);
    size_t text = 0;
    for (int32_t i = 0; i < f->n; i++)
        text += f->text[i].n;
    r->status = bitnet_hf_read(&r->dir, files, f->n, &a, &r->err);
    if (r->alloc.peak > MEMORY_PER_BYTE * text + MEMORY_FIXED)
        fail_msg("%zu bytes of text took %zu bytes of memory", text, r->alloc.peak);
    if (r->status >= 0) return;
    assert_int_equal(r->status, r->err.status);
    assert_int_equal(r->alloc.live, 0);
    assert_memory_equal(&r->dir, &(bitnet_dir){0}, sizeof r->dir);
    for (const char *c = r->err.text; *c; c++)
        assert_true(isprint((unsigned char)*c));
}

static inline void close_one(reading *r) {
    bitnet_dir_free(&r->dir);
    assert_int_equal(r->alloc.live, 0);
}

/* Reads both ways; leaves the mapped reading open in *r. */
static inline void read_both(reading *r, hf_folder *f) {
    reading plain;
    read_one(&plain, f, false, 0);
    read_one(r, f, true, 0);
    assert_int_equal(r->status, plain.status);
    assert_string_equal(r->err.text, plain.err.text);
    assert_int_equal(r->dir.n_meta, plain.dir.n_meta);
    assert_int_equal(r->dir.n_tensor, plain.dir.n_tensor);
    for (uint32_t i = 0; i < r->dir.n_meta; i++) {
        const bitnet_meta *p = &r->dir.meta[i], *q = &plain.dir.meta[i];
        assert_string_equal(p->key, q->key);
        assert_int_equal(p->size, q->size);
        assert_memory_equal(p->data, q->data, p->size);
    }
    close_one(&plain);
}

static inline void read_sound(reading *r, hf_folder *f) {
    read_both(r, f);
    if (r->status < 0) fail_msg("%s [%s]", r->err.text, r->err.id);
}

/* ---- what came out ----------------------------------------------------------------------- */

static inline void expect_int(const reading *r, const char *key, int64_t want) {
    int64_t got = 0;
    if (!bitnet_meta_i64(bitnet_dir_meta(&r->dir, key), &got)) fail_msg("%s is no integer", key);
    if (got != want) fail_msg("%s is %lld, not %lld", key, (long long)got, (long long)want);
}

static inline void expect_float(const reading *r, const char *key, double want) {
    double got = 0;
    if (!bitnet_meta_f64(bitnet_dir_meta(&r->dir, key), &got)) fail_msg("%s is no number", key);
    if (got != want) fail_msg("%s is %.17g, not %.17g", key, got, want);
}

static inline void expect_bool(const reading *r, const char *key, bool want) {
    bool got = !want;
    if (!bitnet_meta_bool(bitnet_dir_meta(&r->dir, key), &got)) fail_msg("%s is no bool", key);
    if (got != want) fail_msg("%s is %d", key, got);
}

static inline void expect_str(const reading *r, const char *key, const char *want) {
    const char *s = "";
    size_t n = 0;
    if (!bitnet_meta_str(bitnet_dir_meta(&r->dir, key), &s, &n)) fail_msg("%s is no string", key);
    if (n != strlen(want) || memcmp(s, want, n) != 0)
        fail_msg("%s is \"%.*s\", not \"%s\"", key, (int)n, s, want);
}

static inline void expect_absent(const reading *r, const char *key) {
    if (bitnet_dir_meta(&r->dir, key)) fail_msg("%s is there", key);
}

/* The array as "a,b,c". */
static inline void expect_strs(const reading *r, const char *key, const char *want) {
    char got[512] = "";
    const bitnet_meta *m = bitnet_dir_meta(&r->dir, key);
    const char *s;
    size_t n;
    uint64_t pos = 0;
    for (bool is_first = true; bitnet_meta_next_str(m, &pos, &s, &n); is_first = false) {
        if (!is_first) strcat(got, ",");
        strncat(got, s, n);
    }
    if (strcmp(got, want) != 0) fail_msg("%s is %s, not %s", key, got, want);
}

static inline void expect_ints(const reading *r, const char *key, const char *want) {
    char got[512] = "";
    const bitnet_meta *m = bitnet_dir_meta(&r->dir, key);
    int64_t v;
    for (uint64_t i = 0; bitnet_meta_at_i64(m, i, &v); i++)
        snprintf(got + strlen(got), 24, i ? ",%lld" : "%lld", (long long)v);
    if (strcmp(got, want) != 0) fail_msg("%s is %s, not %s", key, got, want);
}

/* ---- refusals ---------------------------------------------------------------------------- */

/* In `file` of a sound folder, `from` becomes `to`. */
typedef struct refusal {
    const char *file, *from, *to;
    bitnet_status status;
    const char *id, *says;
} refusal;

static inline void expect_refusal(hf_folder *f, bitnet_status status, const char *id,
                                  const char *says) {
    reading r;
    read_both(&r, f);
    if (r.status != status || !r.err.id || strcmp(r.err.id, id) != 0 || !strstr(r.err.text, says))
        fail_msg("got %s [%s] %s, expected %s [%s] ...%s...", bitnet_status_name(r.status),
                 r.err.id ? r.err.id : "-", r.err.text, bitnet_status_name(status), id, says);
    close_one(&r);
}

static inline void is_refused(void **state) {
    const refusal *r = *state;
    hf_folder f = folder_2b();
    hf_replace(&f, r->file, r->from, r->to);
    expect_refusal(&f, r->status, r->id, r->says);
    hf_free(&f);
}

/* Every id that a REFUSAL of this list provokes has a row in the page. */
static inline void expect_documented(const struct CMUnitTest *tests, size_t n) {
    char *page = test_file_read("docs/formats-hf.md", NULL);
    char row[64];
    for (size_t i = 0; i < n; i++) {
        const refusal *r = tests[i].initial_state;
        if (!r) continue;
        snprintf(row, sizeof row, "\n| `%s` |", r->id);
        if (!strstr(page, row)) fail_msg("docs/formats-hf.md does not list %s", r->id);
    }
    free(page);
}

#define REFUSAL(sentence, ...)                                                                     \
    {                                                                                              \
        sentence, is_refused, NULL, NULL, &(refusal) {                                             \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

#endif
