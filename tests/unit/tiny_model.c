/* tiny_model.c: see tiny_model.h. */
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bitnet/backend.h"

#define TYPE_Q8_0 8

tiny_model tiny_model_default(void) {
    return (tiny_model){.arch = "bitnet-b1.58",
                        .n_layer = 1,
                        .n_embd = 128,
                        .n_head = 2,
                        .n_head_kv = 1,
                        .head_dim = 64,
                        .n_ff = 128,
                        .seed = 1,
                        .has_vocab = true};
}

static bool is_named(const char *name, const char *wanted) {
    return wanted && !strcmp(name, wanted);
}

static void put_key_u32(const tiny_model *m, gguf_writer *w, const char *key, int32_t v) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", m->arch, key);
    if (!is_named(key, m->skip_key)) gguf_put_u32(w, full, (uint32_t)v);
}

static size_t size_of(uint32_t type, size_t n) {
    switch (type) {
    case BITNET_TYPE_I2_S:
        return n / 4 + 32;
    case BITNET_TYPE_F16:
        return n * 2;
    case TYPE_Q8_0:
        return n / 32 * 34;
    default:
        return n * 4;
    }
}

static void fill(uint32_t type, uint8_t *data, size_t n, uint64_t *rng) {
    if (type == BITNET_TYPE_F32) {
        for (size_t i = 0; i < n; i++) {
            float v = 0.9f + 0.2f * rng_float(rng);
            memcpy(data + 4 * i, &v, 4);
        }
    } else if (type == BITNET_TYPE_F16) { /* magnitudes of 2^-6 to 2^-4, either sign */
        for (size_t i = 0; i < n; i++) {
            uint16_t v = (uint16_t)((rng_next(rng) & 0x83ff) | ((9 + rng_next(rng) % 3) << 10));
            memcpy(data + 2 * i, &v, 2);
        }
    } else if (type == BITNET_TYPE_I2_S) {
        for (size_t i = 0; i < n; i++) {
            size_t byte = 32 * (i / 128) + i % 32, shift = 6 - 2 * (i % 128 / 32);
            data[byte] = (uint8_t)(data[byte] | rng_next(rng) % 3 << shift);
        }
        float scale = 0.125f;
        memcpy(data + n / 4, &scale, 4);
    }
}

static void put_tensor(const tiny_model *m, gguf_writer *w, uint64_t *rng, const char *name,
                       uint32_t type, int64_t k, int64_t n) {
    if (is_named(name, m->skip_tensor)) return;
    if (is_named(name, m->misshape_tensor)) n > 1 ? n-- : k--;
    if (is_named(name, m->retype_tensor)) type = TYPE_Q8_0;
    size_t size = size_of(type, (size_t)(k * n));
    uint8_t *data = calloc(1, size);
    if (!data) abort();
    fill(type, data, (size_t)(k * n), rng);
    if (m->spoil) m->spoil(name, type, data, size, m->user);
    gguf_put_tensor(w, name, type, n > 1 ? 2 : 1, (int64_t[]){k, n}, data, size);
    free(data);
}

void tiny_model_write(const tiny_model *m, gguf_writer *w) {
    uint64_t rng = rng_seed(m->seed);
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
        tiny_vocab_put(&vocab, w);
        gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
    }
    int64_t E = m->n_embd, F = m->n_ff, Q = (int64_t)m->n_head * m->head_dim,
            KV = (int64_t)m->n_head_kv * m->head_dim;
    put_tensor(m, w, &rng, "token_embd.weight", BITNET_TYPE_F16, E, vocab.n_token);
    put_tensor(m, w, &rng, "output_norm.weight", BITNET_TYPE_F32, E, 1);
    const struct {
        const char *name;
        uint32_t type;
        int64_t k, n;
    } rows[] = {{"attn_norm", BITNET_TYPE_F32, E, 1},     {"attn_q", BITNET_TYPE_I2_S, E, Q},
                {"attn_k", BITNET_TYPE_I2_S, E, KV},      {"attn_v", BITNET_TYPE_I2_S, E, KV},
                {"attn_sub_norm", BITNET_TYPE_F32, Q, 1}, {"attn_output", BITNET_TYPE_I2_S, Q, E},
                {"ffn_norm", BITNET_TYPE_F32, E, 1},      {"ffn_gate", BITNET_TYPE_I2_S, E, F},
                {"ffn_up", BITNET_TYPE_I2_S, E, F},       {"ffn_sub_norm", BITNET_TYPE_F32, F, 1},
                {"ffn_down", BITNET_TYPE_I2_S, F, E}};
    for (int32_t i = 0; i < m->n_layer; i++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, rows[r].name);
            put_tensor(m, w, &rng, name, rows[r].type, rows[r].k, rows[r].n);
        }
    tiny_vocab_free(&vocab);
}
