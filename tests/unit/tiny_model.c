/* tiny_model.c: see tiny_model.h. Blocks are made by the library's encoders, which have tests of their
 * own; I2_S is written here. */
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "bitnet/backend.h"
#include "format/blocks.h"

#define TYPE_Q4_1 3

tiny_model tiny_model_default(void) {
    return (tiny_model){.arch = "bitnet-b1.58",
                        .n_layer = 1,
                        .n_embd = 128,
                        .n_head = 2,
                        .n_head_kv = 1,
                        .head_dim = 64,
                        .n_ff = 128,
                        .seed = 1,
                        .has_vocab = true,
                        .linear_type = BITNET_TYPE_I2_S,
                        .embd_type = BITNET_TYPE_F16,
                        .vector_type = BITNET_TYPE_F32};
}

static bool is_named(const char *name, const char *wanted) {
    return wanted && !strcmp(name, wanted);
}

static void put_key_u32(const tiny_model *m, gguf_writer *w, const char *key, int32_t v) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", m->arch, key);
    if (!is_named(key, m->skip_key)) gguf_put_u32(w, full, (uint32_t)v);
}

/* ---- values --------------------------------------------------------------------------------
 */

typedef enum content { LINEAR, EMBEDDING, NORM, BIAS, FREQS, OUT_SCALE } content;

static float value_of(content c, size_t i, uint64_t *rng) {
    switch (c) {
    case LINEAR:
        return TINY_SCALE * (float)((int)(rng_next(rng) >> 33) % 3 - 1);
    case EMBEDDING:
        return 0.0625f * (rng_float(rng) - 0.5f);
    case NORM:
        return 0.9f + 0.2f * rng_float(rng);
    case BIAS:
        return 0.5f * (rng_float(rng) - 0.5f);
    case FREQS:
        return 1.0f + 0.5f * (float)i;
    case OUT_SCALE:
        return 0.5f;
    }
    return 0.0f;
}

static void encode_i2_s(uint8_t *out, const float *x, size_t n) {
    float scale = TINY_SCALE;
    for (size_t i = 0; i < n; i++) {
        int code = (int)(x[i] / scale) + 1;
        out[32 * (i / 128) + i % 32] |= (uint8_t)(code << (6 - 2 * (i % 128 / 32)));
    }
    memcpy(out + n / 4, &scale, sizeof scale);
}

/* There is no encoder: any bytes, with scales that keep the values small. */
static void random_q4_k(uint8_t *out, size_t size, uint64_t *rng) {
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(rng_next(rng) >> 40);
    for (size_t i = 0; i < size; i += 144)
        memcpy(out + i, "\x00\x10\x00\x14", 4); /* d 2^-11, dmin 2^-10 */
}

static void encode(uint32_t type, uint8_t *out, size_t size, const float *x, size_t n,
                   uint64_t *rng) {
    bitnet_encode_fn encoder = bitnet_block_encoder(type);
    if (type == BITNET_TYPE_I2_S)
        encode_i2_s(out, x, n);
    else if (type == BITNET_TYPE_Q4_K)
        random_q4_k(out, size, rng);
    else if (encoder)
        encoder(out, x, (int64_t)n);
}

/* Source row s * D/2 + i of each head goes to row 2 i + s (formats page 2.5). */
static void permute(float *x, size_t k, size_t n, size_t head_dim) {
    float *old = malloc(n * k * sizeof *x);
    if (!old) abort();
    memcpy(old, x, n * k * sizeof *x);
    for (size_t r = 0; r < n; r++) {
        size_t in_head = r % head_dim, half = head_dim / 2;
        size_t to = r - in_head + 2 * (in_head % half) + in_head / half;
        memcpy(x + to * k, old + r * k, k * sizeof *x);
    }
    free(old);
}

/* ---- tensors -------------------------------------------------------------------------------
 */

typedef struct tensor {
    const char *name;
    content content;
    int64_t k, n;
    bool is_rotated; /* its rows go through RoPE */
} tensor;

/* Each has its own random numbers, so that leaving one out changes no other. */
static void put_tensor(const tiny_model *m, gguf_writer *w, const char *name, const tensor *t) {
    uint64_t rng = rng_seed(hash_bytes(m->seed, name, strlen(name)));
    int64_t k = t->k, n = t->n;
    uint32_t type = t->content == LINEAR      ? m->linear_type
                    : t->content == EMBEDDING ? m->embd_type
                                              : m->vector_type;
    if (is_named(name, m->skip_tensor)) return;
    if (is_named(name, m->misshape_tensor)) n > 1 ? n-- : k--;
    if (is_named(name, m->retype_tensor)) type = TYPE_Q4_1;
    size_t count = (size_t)(k * n), size = (size_t)(bitnet_row_size(type, k) * (uint64_t)n);
    if (type == BITNET_TYPE_I2_S) size += 32;
    float *x = malloc(count * sizeof *x);
    uint8_t *data = calloc(1, size);
    if (!x || !data) abort();
    for (size_t i = 0; i < count; i++)
        x[i] = value_of(t->content, i, &rng);
    bool is_bias = t->content == BIAS;
    if (m->is_permuted && t->is_rotated)
        permute(x, is_bias ? 1 : (size_t)k, is_bias ? (size_t)k : (size_t)n, (size_t)m->head_dim);
    encode(type, data, size, x, count, &rng);
    if (m->spoil) m->spoil(name, type, data, size, m->user);
    gguf_put_tensor(w, name, type, n > 1 ? 2 : 1, (int64_t[]){k, n}, data, size);
    free(x);
    free(data);
}

static void put_layers(const tiny_model *m, gguf_writer *w) {
    int64_t E = m->n_embd, F = m->n_ff, Q = (int64_t)m->n_head * m->head_dim,
            KV = (int64_t)m->n_head_kv * m->head_dim;
    bool has_sub_norms = strcmp(m->arch, "llama") != 0;
    const struct {
        tensor t;
        bool is_there;
    } rows[] = {
        {{"attn_norm.weight", NORM, E, 1, false}, true},
        {{"attn_q.weight", LINEAR, E, Q, true}, true},
        {{"attn_k.weight", LINEAR, E, KV, true}, true},
        {{"attn_v.weight", LINEAR, E, KV, false}, true},
        {{"attn_q.bias", BIAS, Q, 1, true}, m->has_biases},
        {{"attn_k.bias", BIAS, KV, 1, true}, m->has_biases},
        {{"attn_v.bias", BIAS, KV, 1, false}, m->has_biases},
        {{"attn_sub_norm.weight", NORM, Q, 1, false}, has_sub_norms},
        {{"attn_output.weight", LINEAR, Q, E, false}, true},
        {{"attn_output.bias", BIAS, E, 1, false}, m->has_biases},
        {{"ffn_norm.weight", NORM, E, 1, false}, true},
        {{"ffn_gate.weight", LINEAR, E, F, false}, true},
        {{"ffn_up.weight", LINEAR, E, F, false}, true},
        {{"ffn_sub_norm.weight", NORM, F, 1, false}, has_sub_norms},
        {{"ffn_down.weight", LINEAR, F, E, false}, true},
    };
    for (int32_t i = 0; i < m->n_layer; i++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            const tensor *t = &rows[r].t;
            char name[64];
            if (!rows[r].is_there) continue;
            snprintf(name, sizeof name, "blk.%d.%s", i, t->name);
            put_tensor(m, w, name, t);
            if (t->content != LINEAR || !m->has_scales) continue;
            strcpy(strrchr(name, '.'), ".scale");
            put_tensor(m, w, name, &(tensor){t->name, OUT_SCALE, 1, 1, false});
        }
}

void tiny_model_write(const tiny_model *m, gguf_writer *w) {
    char key[96];
    tiny_vocab vocab;
    tiny_vocab_init(&vocab);
    gguf_writer_init(w);
    if (!is_named("general.architecture", m->skip_key))
        gguf_put_str(w, "general.architecture", m->arch);
    gguf_put_str(w, "general.name", "tiny");
    put_key_u32(m, w, "context_length", 64);
    put_key_u32(m, w, "embedding_length", m->n_embd);
    put_key_u32(m, w, "block_count", m->n_layer);
    put_key_u32(m, w, "feed_forward_length", m->n_ff);
    put_key_u32(m, w, "attention.head_count", m->n_head);
    put_key_u32(m, w, "attention.head_count_kv", m->n_head_kv);
    put_key_u32(m, w, "attention.key_length", m->head_dim);
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", m->arch);
    if (!is_named("attention.layer_norm_rms_epsilon", m->skip_key)) gguf_put_f32(w, key, 1e-5f);
    if (m->has_vocab) {
        int32_t bos = tiny_vocab_add(&vocab, "<s>", 3);
        if (m->has_eot) tiny_vocab_add(&vocab, "<|eot_id|>", 3);
        tiny_vocab_put(&vocab, w);
        gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
    }
    int64_t E = m->n_embd, V = vocab.n_token;
    const tensor embd = {"token_embd.weight", EMBEDDING, E, V, false},
                 norm = {"output_norm.weight", NORM, E, 1, false},
                 head = {"output.weight", EMBEDDING, E, V, false},
                 freqs = {"rope_freqs.weight", FREQS, m->head_dim / 2, 1, false};
    put_tensor(m, w, embd.name, &embd);
    put_tensor(m, w, norm.name, &norm);
    if (m->has_rope_freqs) put_tensor(m, w, freqs.name, &freqs);
    put_layers(m, w);
    if (m->has_head) put_tensor(m, w, head.name, &head);
    tiny_vocab_free(&vocab);
}

/* ---- loaded ----------------------------------------------------------------------------------
 */

bitnet_status tiny_model_load(tiny_loaded *out, const tiny_model *m, const bitnet_model_desc *desc,
                              bitnet_error *err) {
    bitnet_model_desc d = desc ? *desc : (bitnet_model_desc){.n_threads = 1};
    tiny_model_write(m, &out->file);
    bitnet_source src = gguf_writer_source(&out->file, true);
    d.source = &src;
    return bitnet_model_load(&out->model, &d, err);
}

void tiny_model_close(tiny_loaded *t) {
    bitnet_model_free(t->model);
    gguf_writer_free(&t->file);
}

void tiny_model_logits(const bitnet_model *m, float out[TINY_LOGITS]) {
    static const bitnet_token tok[] = {65, 66, 67, 65, 67};
    bitnet_ctx *c;
    bitnet_ctx_desc cd = {.model = m, .n_batch = 3};
    if (bitnet_ctx_create(&c, &cd, NULL) < 0 || bitnet_ctx_sync(c, tok, 5) < 0 ||
        bitnet_model_get_info(m).n_vocab != TINY_LOGITS)
        abort();
    memcpy(out, bitnet_ctx_logits(c), TINY_LOGITS * sizeof *out);
    bitnet_ctx_free(c);
}
