/* hf_config.c: config.json in GGUF's words, and what the other readers need to know from it. Ranges are
 * checked where GGUF's are, by whoever uses the numbers: here a value only has to be of the right kind.
 * What is absent or null stays absent, so that a missing key is named by the one who misses it.
 */
#include "format/hf_parts.h"

#include <stdio.h>
#include <string.h>

/* The model class decides; model_type only where no class is named. */
static const struct family {
    const char *class_name, *model_type, *act;
    const char *arch;
    bool is_dense_latent; /* 1bitLLM: master weights without a word about it */
} families[] = {
    {"BitNetForCausalLM", "bitnet", "relu2", "bitnet-b1.58", false},
    {"BitnetForCausalLM", NULL, "silu", "bitnet", true},
    {"LlamaForCausalLM", "llama", "silu", "llama", false},
};

static void set_key(const hf_reader *r, const char *key, char out[96]) {
    snprintf(out, 96, "%s.%s", r->config.arch, key);
}

static bool refuse_kind(hf_reader *r, const char *file, const char *name, const char *kind) {
    return HF_REFUSE(r, "hf.config.key", "%s: \"%s\" is not %s", file, name, kind);
}

/* The readers below leave *out as it is when the member is absent or null. */
static bool find(const bitnet_json *object, const char *name, bitnet_json *value) {
    return bitnet_json_find(object, name, value) && bitnet_json_peek(value) != BITNET_JSON_NULL;
}

static bool get_int(hf_reader *r, const bitnet_json *object, const char *name, int64_t *out) {
    bitnet_json v;
    return !find(object, name, &v) || bitnet_json_int(&v, out) ||
           refuse_kind(r, HF_CONFIG, name, "an integer of 64 bits");
}

static bool get_bool(hf_reader *r, const bitnet_json *object, const char *name, bool *out) {
    bitnet_json v;
    return !find(object, name, &v) || bitnet_json_bool(&v, out) ||
           refuse_kind(r, HF_CONFIG, name, "true or false");
}

static bool get_str(hf_reader *r, const bitnet_json *object, const char *name,
                    bitnet_json_str *out) {
    bitnet_json v;
    return !find(object, name, &v) || bitnet_json_string(&v, out) ||
           refuse_kind(r, HF_CONFIG, name, "a string");
}

/* ---- class and activation ---------------------------------------------------------------- */

/* The first of "architectures", or an empty string. */
static bool read_class(hf_reader *r, const bitnet_json *root, bitnet_json_str *out) {
    bitnet_json v;
    if (!find(root, "architectures", &v)) return true;
    if (!bitnet_json_array(&v) || (bitnet_json_next(&v, NULL) && !bitnet_json_string(&v, out)))
        return refuse_kind(r, HF_CONFIG, "architectures", "an array of strings");
    return true;
}

static bool choose_family(hf_reader *r, const bitnet_json *root, const struct family **out) {
    bitnet_json_str name = {"", 0, false}, type = {"", 0, false};
    bitnet_escaped e;
    if (!read_class(r, root, &name) || !get_str(r, root, "model_type", &type)) return false;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct family *f = &families[i];
        bool is_it = name.n ? bitnet_json_is(&name, f->class_name)
                            : f->model_type && bitnet_json_is(&type, f->model_type);
        if (!is_it) continue;
        *out = f;
        return true;
    }
    hf_escape(&e, name.n ? &name : &type);
    return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.class",
                        "config.json: model class \"%.64s\"; supported are BitNetForCausalLM, "
                        "BitnetForCausalLM and LlamaForCausalLM",
                        e.s);
}

static bool put_activation(hf_reader *r, const bitnet_json *root, const struct family *f) {
    bitnet_json_str act = {f->act, strlen(f->act), false};
    char key[96];
    bitnet_escaped e;
    if (!get_str(r, root, "hidden_act", &act)) return false;
    if (!bitnet_json_is(&act, "relu2") && !bitnet_json_is(&act, "silu"))
        return HF_REFUSE_AS(
            r, E_UNSUPPORTED, "hf.activation",
            "config.json: \"hidden_act\" is \"%.64s\"; supported are relu2 and silu",
            hf_escape(&e, &act));
    set_key(r, "hidden_activation", key);
    bitnet_build_str(r->b, key, bitnet_json_is(&act, "silu") ? "silu" : "relu2",
                     bitnet_json_is(&act, "silu") ? 4 : 5);
    return true;
}

/* ---- numbers ----------------------------------------------------------------------------- */

enum { N_EMBD, N_FF, N_LAYER, N_HEAD, N_HEAD_KV, HEAD_DIM, N_CTX, N_VOCAB, N_INTS };

static bool read_sizes(hf_reader *r, const bitnet_json *root, int64_t v[N_INTS]) {
    static const char *const names[N_INTS] = {"hidden_size",
                                              "intermediate_size",
                                              "num_hidden_layers",
                                              "num_attention_heads",
                                              "num_key_value_heads",
                                              "head_dim",
                                              "max_position_embeddings",
                                              "vocab_size"};
    for (int i = 0; i < N_INTS; i++) {
        v[i] = -1;
        if (!get_int(r, root, names[i], &v[i])) return false;
    }
    if (v[N_HEAD_KV] < 0) v[N_HEAD_KV] = v[N_HEAD];
    if (v[HEAD_DIM] < 0 && v[N_HEAD] > 0 && v[N_EMBD] > 0) v[HEAD_DIM] = v[N_EMBD] / v[N_HEAD];
    return true;
}

/* a * b, or 0 where that is no size. */
static int64_t size_of(int64_t a, int64_t b) {
    int64_t v;
    return a > 0 && b > 0 && !__builtin_mul_overflow(a, b, &v) ? v : 0;
}

static bool put_sizes(hf_reader *r, const bitnet_json *root) {
    static const struct {
        const char *key;
        int value;
    } keys[] = {{"embedding_length", N_EMBD},
                {"feed_forward_length", N_FF},
                {"block_count", N_LAYER},
                {"attention.head_count", N_HEAD},
                {"attention.head_count_kv", N_HEAD_KV},
                {"attention.key_length", HEAD_DIM},
                {"rope.dimension_count", HEAD_DIM},
                {"context_length", N_CTX},
                {"vocab_size", N_VOCAB}};
    int64_t v[N_INTS];
    char key[96];
    if (!read_sizes(r, root, v)) return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (v[keys[i].value] == -1) continue;
        set_key(r, keys[i].key, key);
        bitnet_build_i64(r->b, key, v[keys[i].value]);
    }
    r->config.size[HF_SIZE_Q] = size_of(v[N_HEAD], v[HEAD_DIM]);
    r->config.size[HF_SIZE_KV] = size_of(v[N_HEAD_KV], v[HEAD_DIM]);
    r->config.size[HF_SIZE_EMBD] = size_of(v[N_EMBD], 1);
    r->config.size[HF_SIZE_FF] = size_of(v[N_FF], 1);
    return true;
}

/* A number under `name` becomes the key. */
static bool put_number(hf_reader *r, const bitnet_json *object, const char *name,
                       const char *suffix) {
    bitnet_json v;
    double x;
    char key[96];
    if (!find(object, name, &v)) return true;
    if (!bitnet_json_number(&v, &x)) return refuse_kind(r, HF_CONFIG, name, "a number");
    set_key(r, suffix, key);
    bitnet_build_f64(r->b, key, x);
    return true;
}

/* rope_theta and rope_scaling, or transformers 5's rope_parameters with both. */
static bool put_rope(hf_reader *r, const bitnet_json *root) {
    bitnet_json scaling, params;
    bitnet_json_str type = {"default", 7, false};
    bitnet_escaped e;
    char key[96];
    bool has_params = find(root, "rope_parameters", &params);
    if (has_params && bitnet_json_peek(&params) != BITNET_JSON_OBJECT)
        return refuse_kind(r, HF_CONFIG, "rope_parameters", "an object");
    if (!put_number(r, has_params ? &params : root, "rope_theta", "rope.freq_base")) return false;
    if (has_params)
        scaling = params;
    else if (!find(root, "rope_scaling", &scaling))
        return true;
    if (bitnet_json_peek(&scaling) != BITNET_JSON_OBJECT)
        return refuse_kind(r, HF_CONFIG, "rope_scaling", "an object");
    if (!get_str(r, &scaling, "type", &type) || !get_str(r, &scaling, "rope_type", &type))
        return false;
    bool is_linear = bitnet_json_is(&type, "linear");
    if (!is_linear && !bitnet_json_is(&type, "default"))
        return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.rope.scaling",
                            "config.json: RoPE scaling \"%.64s\"; supported are default and linear",
                            hf_escape(&e, &type));
    set_key(r, "rope.scaling.type", key);
    bitnet_build_str(r->b, key, is_linear ? "linear" : "none", is_linear ? 6 : 4);
    return !is_linear || put_number(r, &scaling, "factor", "rope.scaling.factor");
}

/* ---- quantization ------------------------------------------------------------------------ */

static bool read_modules(hf_reader *r, const bitnet_json *quantization) {
    static const char name[] = "modules_to_not_convert";
    hf_config *c = &r->config;
    bitnet_json v;
    if (!find(quantization, name, &v)) return true;
    if (!bitnet_json_array(&v)) return refuse_kind(r, HF_CONFIG, name, "an array of strings");
    while (bitnet_json_next(&v, NULL)) {
        if (c->n_module == HF_MAX_MODULES)
            return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.modules",
                                "config.json: more than %d modules_to_not_convert", HF_MAX_MODULES);
        if (!bitnet_json_string(&v, &c->module[c->n_module++]))
            return refuse_kind(r, HF_CONFIG, name, "an array of strings");
    }
    return true;
}

static bool read_quantization(hf_reader *r, const bitnet_json *root) {
    static const char name[] = "quantization_config";
    bitnet_json q;
    bitnet_json_str method = {"", 0, false}, linear = {"bitlinear", 9, false};
    bitnet_escaped e;
    bool has_norm = false;
    if (!find(root, name, &q)) return true;
    if (bitnet_json_peek(&q) != BITNET_JSON_OBJECT)
        return refuse_kind(r, HF_CONFIG, name, "an object");
    if (!get_str(r, &q, "quant_method", &method) || !get_str(r, &q, "linear_class", &linear) ||
        !get_bool(r, &q, "use_rms_norm", &has_norm))
        return false;
    if (!bitnet_json_is(&method, "bitnet"))
        return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.quantization",
                            "config.json: quantization method \"%.64s\"; supported is bitnet",
                            hf_escape(&e, &method));
    if (has_norm)
        return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.rms_norm",
                            "config.json: \"use_rms_norm\" is true: a norm before every projection "
                            "is not supported");
    r->config.is_bitnet = r->config.is_latent = true;
    r->config.is_scale_times = bitnet_json_is(&linear, "autobitlinear");
    return read_modules(r, &q);
}

/* ---- token ids --------------------------------------------------------------------------- */

/* One id or an array of them. */
static bool read_eos(hf_reader *r, const char *file, const bitnet_json *root) {
    bitnet_json v;
    int64_t id;
    uint32_t n = 0;
    if (!find(root, "eos_token_id", &v)) return true;
    bool is_array = bitnet_json_array(&v);
    for (bool more = !is_array || bitnet_json_next(&v, NULL); more;
         more = is_array && bitnet_json_next(&v, NULL)) {
        if (!bitnet_json_int(&v, &id))
            return refuse_kind(r, file, "eos_token_id", "an integer or an array of integers");
        if (n < HF_MAX_EOS) r->config.eos[n++] = id;
    }
    while (n > 0 && n < HF_MAX_EOS)
        r->config.eos[n++] = -1;
    return true;
}

bool bitnet_hf_read_generation(hf_reader *r, const bitnet_json *root) {
    return read_eos(r, HF_GENERATION, root);
}

void bitnet_hf_put_token_ids(hf_reader *r) {
    const struct {
        const char *key;
        int64_t id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", r->config.bos},
               {"tokenizer.ggml.eos_token_id", r->config.eos[0]},
               {"tokenizer.ggml.eot_token_id", r->config.eos[1]},
               {"tokenizer.ggml.eom_token_id", r->config.eos[2]},
               {"tokenizer.ggml.padding_token_id", r->config.pad}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i].id >= 0) bitnet_build_i64(r->b, ids[i].key, ids[i].id);
}

bool bitnet_hf_read_config(hf_reader *r, const bitnet_json *root) {
    hf_config *c = &r->config;
    const struct family *f;
    bitnet_json_str path = {"", 0, false};
    *c = (hf_config){.bos = -1, .pad = -1, .eos = {-1, -1, -1}};
    if (!choose_family(r, root, &f) || !get_str(r, root, "_name_or_path", &path)) return false;
    c->arch = f->arch;
    bitnet_build_str(r->b, "general.architecture", f->arch, strlen(f->arch));
    char name[256];
    size_t n = bitnet_json_text(&path, name, sizeof name);
    bitnet_build_str(r->b, "general.name", name, n <= sizeof name ? n : 0);
    if (!put_activation(r, root, f) || !put_sizes(r, root) || !put_rope(r, root) ||
        !put_number(r, root, "rms_norm_eps", "attention.layer_norm_rms_epsilon") ||
        !read_quantization(r, root) || !get_bool(r, root, "tie_word_embeddings", &c->is_tied) ||
        !get_int(r, root, "bos_token_id", &c->bos) || !get_int(r, root, "pad_token_id", &c->pad))
        return false;
    c->is_latent |= f->is_dense_latent;
    return read_eos(r, HF_CONFIG, root);
}
