/* hparams.c: see hparams.h. Every number has a stated range (formats page 1.3, 2.1). There is no
 * fallback for what a reader would notice late: a wrong epsilon degrades text slowly.
 */
#include "model/hparams.h"

#include <stdio.h>
#include <string.h>

/* What all readers below share. */
typedef struct reader {
    bitnet_hparams *hp;
    const bitnet_arch *arch;
    const bitnet_dir *dir;
    bitnet_error *err;
    char key[96]; /* the full one that `find` looked for last */
} reader;

static const bitnet_meta *find(reader *r, const char *key) {
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch->name, key);
    return bitnet_dir_meta(r->dir, r->key);
}

typedef struct int_key {
    const char *key; /* after "<arch>." */
    size_t field;
    int64_t min, max;
    int64_t fallback; /* -1: the key is required */
} int_key;

#define FIELD(f) offsetof(bitnet_hparams, f)

static bitnet_status read_ints(reader *r, const int_key *keys, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const int_key *k = &keys[i];
        const bitnet_meta *m = find(r, k->key);
        int64_t v = k->fallback;
        if (m && !bitnet_meta_i64(m, &v))
            return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam", "%s is not an integer",
                               r->key);
        if (!m && v < 0)
            return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam", "%s is missing", r->key);
        if (v < k->min || v > k->max)
            return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                               "%s is %lld; allowed are %lld to %lld", r->key, (long long)v,
                               (long long)k->min, (long long)k->max);
        int32_t v32 = (int32_t)v;
        memcpy((char *)r->hp + k->field, &v32, sizeof v32);
    }
    return BITNET_OK;
}

typedef struct float_key {
    const char *key;
    size_t field;
    double min, max, fallback; /* a fallback out of range: the key is required */
} float_key;

static bitnet_status read_float(reader *r, const float_key *k) {
    const bitnet_meta *m = find(r, k->key);
    double v = k->fallback;
    if (m && !bitnet_meta_f64(m, &v))
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam", "%s is not a number", r->key);
    if (!m && !(v >= k->min))
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam", "%s is missing", r->key);
    if (!(v >= k->min && v <= k->max))
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                           "%s is %g; allowed are %g to %g", r->key, v, k->min, k->max);
    float v32 = (float)v;
    memcpy((char *)r->hp + k->field, &v32, sizeof v32);
    return BITNET_OK;
}

static bitnet_status read_shape(reader *r) {
    bitnet_hparams *hp = r->hp;
    /* three tables, because a fallback or a limit may be a field read before it */
    const int_key sizes[] = {
        {"block_count", FIELD(n_layer), 1, 512, -1},
        {"embedding_length", FIELD(n_embd), 1, 65536, -1},
        {"feed_forward_length", FIELD(n_ff), 1, 262144, -1},
        {"context_length", FIELD(n_ctx_train), 1, 1 << 20, -1},
        {"attention.head_count", FIELD(n_head), 1, 1024, -1},
    };
    bitnet_status st = read_ints(r, sizes, sizeof sizes / sizeof *sizes);
    if (st < 0) return st;
    const int_key heads[] = {
        {"attention.head_count_kv", FIELD(n_head_kv), 1, hp->n_head, hp->n_head},
        {"attention.key_length", FIELD(head_dim), 2, 1024, hp->n_embd / hp->n_head},
    };
    st = read_ints(r, heads, sizeof heads / sizeof *heads);
    if (st < 0) return st;
    const int_key rot = {"rope.dimension_count", FIELD(n_rot), 2, hp->head_dim, hp->head_dim};
    st = read_ints(r, &rot, 1);
    if (st < 0) return st;
    if (hp->n_rot % 2)
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                           "%s.rope.dimension_count is %d; it must be even", r->arch->name,
                           hp->n_rot);
    if (hp->n_head % hp->n_head_kv)
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                           "%s.attention.head_count %d is not a multiple of head_count_kv %d",
                           r->arch->name, hp->n_head, hp->n_head_kv);
    int64_t value_length = hp->head_dim;
    const bitnet_meta *m = find(r, "attention.value_length");
    if (m && (!bitnet_meta_i64(m, &value_length) || value_length != hp->head_dim))
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                           "%s is %lld; it must equal key_length, %d", r->key,
                           (long long)value_length, hp->head_dim);
    return BITNET_OK;
}

/* The embedding's rows are the vocabulary that the forward pass works with; the key may be absent. */
static bitnet_status read_n_vocab(reader *r) {
    const bitnet_tensor_entry *e = bitnet_dir_tensor(r->dir, "token_embd.weight");
    if (!e)
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.tensor.missing",
                           "tensor token_embd.weight is missing");
    if (e->ne[1] > 1 << 20)
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                           "token_embd.weight has %lld rows; allowed are 1 to %d",
                           (long long)e->ne[1], 1 << 20);
    r->hp->n_vocab = (int32_t)e->ne[1];
    int64_t said = 1;
    const bitnet_meta *m = find(r, "vocab_size");
    if (m && (!bitnet_meta_i64(m, &said) || said < 1 || said > r->hp->n_vocab))
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam",
                           "%s is %lld, token_embd.weight has %d rows; it must be 1 to that many",
                           r->key, (long long)said, r->hp->n_vocab);
    return BITNET_OK;
}

/* llama.cpp's rule: a factor without a type means linear. */
static bitnet_status read_rope(reader *r) {
    const float_key base = {"rope.freq_base", FIELD(rope_base), 1, 1e12, 10000};
    const float_key factor = {"rope.scaling.factor", FIELD(rope_factor), 1, 1e6, 1};
    bitnet_status st = read_float(r, &base);
    if (st < 0) return st;
    r->hp->rope_factor = 1.0f;
    r->hp->is_rope_norm =
        r->arch->is_rope_norm && r->dir->container != BITNET_CONTAINER_SAFETENSORS;
    const bitnet_meta *m = find(r, "rope.scaling.type");
    const char *type = "linear";
    size_t n = strlen(type);
    if (m && !bitnet_meta_str(m, &type, &n))
        return bitnet_fail(r->err, BITNET_E_FORMAT, "model.hparam", "%s is not a string", r->key);
    if (n == 4 && !memcmp(type, "none", 4)) return BITNET_OK;
    if (n == 6 && !memcmp(type, "linear", 6)) return read_float(r, &factor);
    bitnet_escaped e;
    return bitnet_fail(r->err, BITNET_E_UNSUPPORTED, "model.rope.scaling",
                       "%s is \"%s\"; supported are none and linear", r->key,
                       bitnet_escape(&e, type, n));
}

/* A converter of July 2026 writes arch bitnet-b1.58 for 1bitLLM's models too, whose activation is SiLU;
 * their tokenizer gives them away (formats page 2.1). */
static bool looks_like_1bitllm(const bitnet_dir *dir) {
    const bitnet_meta *tokens = bitnet_dir_meta(dir, "tokenizer.ggml.tokens");
    const char *s;
    size_t n;
    return bitnet_meta_str(bitnet_dir_meta(dir, "tokenizer.ggml.model"), &s, &n) && n == 5 &&
           !memcmp(s, "llama", 5) && tokens && tokens->n == 32002;
}

static bitnet_status read_act(reader *r, const bitnet_logger *log) {
    static const struct {
        const char *name;
        bitnet_act act;
    } known[] = {
        {"relu2", BITNET_ACT_RELU2}, {"relu_squared", BITNET_ACT_RELU2}, {"silu", BITNET_ACT_SILU}};
    const bitnet_meta *m = find(r, "hidden_activation");
    const char *s = "";
    size_t n = 0;
    bitnet_escaped e;
    r->hp->act = r->arch->act;
    if (!m) {
        if (r->arch->act == BITNET_ACT_SILU || !looks_like_1bitllm(r->dir)) return BITNET_OK;
        r->hp->act = BITNET_ACT_SILU;
        bitnet_log(log, BITNET_LOG_WARN,
                   "%s with SentencePiece and 32002 tokens is 1bitLLM's model: its activation is "
                   "taken to be silu, not relu2; %s says otherwise",
                   r->arch->name, r->key);
        return BITNET_OK;
    }
    bitnet_meta_str(m, &s, &n);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n == strlen(known[i].name) && !memcmp(s, known[i].name, n)) {
            r->hp->act = known[i].act;
            return BITNET_OK;
        }
    return bitnet_fail(r->err, BITNET_E_UNSUPPORTED, "model.activation",
                       "%s is \"%s\"; supported are relu2, relu_squared and silu", r->key,
                       bitnet_escape(&e, s, n));
}

bitnet_status bitnet_hparams_read(bitnet_hparams *out, const bitnet_arch *arch,
                                  const bitnet_dir *dir, const bitnet_logger *log,
                                  bitnet_error *err) {
    reader r = {.hp = out, .arch = arch, .dir = dir, .err = err};
    const float_key eps = {"attention.layer_norm_rms_epsilon", FIELD(norm_eps), 1e-12, 1, 0};
    *out = (bitnet_hparams){0};
    bitnet_status st = read_shape(&r);
    if (st >= 0) st = read_float(&r, &eps);
    if (st >= 0) st = read_rope(&r);
    if (st >= 0) st = read_act(&r, log);
    if (st >= 0) st = read_n_vocab(&r);
    return st;
}
