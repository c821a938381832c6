/* hf_tensors.c: the safetensors list as tensor entries under GGUF's names (formats page 2.3, 3.2, 3.3).
 *
 * A tensor that no rule names is refused: what a model was trained with is not left out silently. Shapes
 * are turned around and not judged, but for packed matrices, whose size says whether they are packed.
 */
#include "format/hf_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bitnet/backend.h"
#include "base/half.h"
#include "format/view.h"

#define LAYERS "model.layers."

/* Tensors outside the layers, and, with the layer's number in between, vectors inside them. */
typedef struct renaming {
    const char *hf, *gguf;
} renaming;

static const renaming outside[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

static const renaming vectors[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"self_attn.attn_sub_norm.weight", "attn_sub_norm.weight"},
    {"self_attn.inner_attn_ln.weight", "attn_sub_norm.weight"},
    {"mlp.ffn_sub_norm.weight", "ffn_sub_norm.weight"},
    {"mlp.ffn_layernorm.weight", "ffn_sub_norm.weight"},
};

/* The seven projections of a layer. */
static const struct projection {
    const char *hf, *gguf;
    hf_size rows; /* out */
    bool may_have_bias;
} projections[] = {
    {"self_attn.q_proj", "attn_q", HF_SIZE_Q, true},
    {"self_attn.k_proj", "attn_k", HF_SIZE_KV, true},
    {"self_attn.v_proj", "attn_v", HF_SIZE_KV, true},
    {"self_attn.o_proj", "attn_output", HF_SIZE_EMBD, true},
    {"mlp.gate_proj", "ffn_gate", HF_SIZE_FF, false},
    {"mlp.up_proj", "ffn_up", HF_SIZE_FF, false},
    {"mlp.down_proj", "ffn_down", HF_SIZE_EMBD, false},
};

typedef enum role { ROLE_UNKNOWN, ROLE_IGNORED, ROLE_PLAIN, ROLE_MATRIX, ROLE_SCALE } role;

typedef struct match {
    role role;
    const struct projection *projection; /* of a matrix or its scale */
    size_t module;                       /* bytes of the name before ".weight" or ".weight_scale" */
    char gguf[64];
} match;

#define LEN(array) (sizeof(array) / sizeof *(array))

/* ---- names ------------------------------------------------------------------------------- */

/* What follows prefix in s, or NULL. */
static const char *behind(const char *s, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* "model.layers.12.rest" -> "12" and "rest"; numbers of up to 4 digits, without zeros in front. */
static const char *split_layer(const char *name, char number[5]) {
    const char *s = behind(name, LAYERS);
    size_t n = s ? strspn(s, "0123456789") : 0;
    if (n < 1 || n > 4 || s[n] != '.' || (s[0] == '0' && n > 1)) return NULL;
    memcpy(number, s, n);
    number[n] = 0;
    return s + n + 1;
}

static void match_projection(match *m, const char *name, const char *rest, const char *layer) {
    for (size_t i = 0; i < LEN(projections); i++) {
        const struct projection *p = &projections[i];
        const char *kind = behind(rest, p->hf);
        if (!kind) continue;
        m->projection = p;
        m->module = (size_t)(kind - name);
        if (strcmp(kind, ".weight") == 0) m->role = ROLE_MATRIX;
        if (strcmp(kind, ".weight_scale") == 0) m->role = ROLE_SCALE;
        if (strcmp(kind, ".bias") == 0 && p->may_have_bias) m->role = ROLE_PLAIN;
        snprintf(m->gguf, sizeof m->gguf, "blk.%s.%s%s", layer, p->gguf, kind);
        return;
    }
}

static match find_match(const char *name) {
    match m = {0};
    char layer[5];
    for (size_t i = 0; i < LEN(outside); i++)
        if (strcmp(name, outside[i].hf) == 0) {
            m.role = ROLE_PLAIN;
            snprintf(m.gguf, sizeof m.gguf, "%s", outside[i].gguf);
            return m;
        }
    const char *rest = split_layer(name, layer);
    if (!rest) return m;
    if (strcmp(rest, "self_attn.rotary_emb.inv_freq") == 0) m.role = ROLE_IGNORED;
    for (size_t i = 0; i < LEN(vectors); i++)
        if (strcmp(rest, vectors[i].hf) == 0) {
            m.role = ROLE_PLAIN;
            snprintf(m.gguf, sizeof m.gguf, "blk.%s.%s", layer, vectors[i].gguf);
            return m;
        }
    match_projection(&m, name, rest, layer);
    return m;
}

/* The parts of `pattern` between dots occur, side by side, in the module's name [n]. */
static bool holds_parts(const char *module, size_t n, const char *pattern, size_t len) {
    if (len == 0) return false;
    for (size_t i = 0; i + len <= n; i++) {
        bool begins = i == 0 || module[i - 1] == '.';
        bool ends = i + len == n || module[i + len] == '.';
        if (begins && ends && memcmp(module + i, pattern, len) == 0) return true;
    }
    return false;
}

static bool is_converted(const hf_config *c, const char *module, size_t n) {
    char pattern[256]; /* a name has at most 255 bytes */
    for (uint32_t i = 0; i < c->n_module; i++) {
        size_t len = bitnet_json_text(&c->module[i], pattern, sizeof pattern);
        if (len <= sizeof pattern && holds_parts(module, n, pattern, len)) return false;
    }
    return true;
}

/* ---- scales ------------------------------------------------------------------------------ */

static bool refuse(hf_reader *r, bitnet_status st, const char *id, const bitnet_st_tensor *t,
                   const char *what) {
    bitnet_escaped e;
    r->status = bitnet_fail(r->err, st, id, "tensor '%.96s': %s",
                            bitnet_escape(&e, t->name, strlen(t->name)), what);
    return false;
}

/* The one element of t, F32, F16 or BF16. */
static bool read_element(hf_reader *r, const bitnet_st_tensor *t, float *out) {
    bool is_float =
        t->dtype == BITNET_ST_F32 || t->dtype == BITNET_ST_F16 || t->dtype == BITNET_ST_BF16;
    if (!is_float || t->size != (t->dtype == BITNET_ST_F32 ? 4u : 2u))
        return refuse(r, BITNET_E_FORMAT, "hf.scale.type", t,
                      "a scale is one element of type F32, F16 or BF16");
    bitnet_view v;
    bitnet_status st =
        bitnet_view_open(&v, &r->files[t->file].source, t->offset, (size_t)t->size, r->alloc);
    if (st < 0) return refuse(r, st, "hf.scale.read", t, "the scale could not be read");
    uint32_t bits = (uint32_t)bitnet_load_le((const uint8_t *)v.s, (uint32_t)t->size);
    bitnet_view_close(&v, r->alloc);
    *out = t->dtype == BITNET_ST_F32   ? half_from_bits(bits)
           : t->dtype == BITNET_ST_F16 ? f16_to_f32((uint16_t)bits)
                                       : bf16_to_f32((uint16_t)bits);
    return true;
}

/* "<module>.weight" or "<module>.weight_scale" in the list, or NULL. */
static const bitnet_st_tensor *sibling(const hf_reader *r, const char *name, size_t module,
                                       const char *kind) {
    char other[300];
    snprintf(other, sizeof other, "%.*s%s", (int)module, name, kind);
    return bitnet_st_find(&r->tensors, other);
}

static bool read_scale(hf_reader *r, const bitnet_st_tensor *t, const match *m, float *out) {
    const bitnet_st_tensor *s = sibling(r, t->name, m->module, ".weight_scale");
    float v;
    if (!s)
        return refuse(r, BITNET_E_FORMAT, "hf.scale.missing", t, "packed, but has no weight_scale");
    if (!read_element(r, s, &v)) return false;
    *out = r->config.is_scale_times ? v : 1 / v;
    if (!isfinite(v) || !isfinite(*out) || v == 0 || *out == 0)
        return refuse(r, BITNET_E_FORMAT, "hf.scale.value", s,
                      "the scale, or one divided by it, is 0 or not finite");
    return true;
}

/* ---- entries ----------------------------------------------------------------------------- */

static bool float_type(hf_reader *r, const bitnet_st_tensor *t, uint32_t *type) {
    bitnet_escaped e;
    switch (t->dtype) {
    case BITNET_ST_F32:
        *type = BITNET_TYPE_F32;
        return true;
    case BITNET_ST_F16:
        *type = BITNET_TYPE_F16;
        return true;
    case BITNET_ST_BF16:
        *type = BITNET_TYPE_BF16;
        return true;
    default:
        return HF_REFUSE_AS(r, E_UNSUPPORTED, "hf.tensor.dtype",
                            "tensor '%.96s': type %s is not supported here; F32, F16 and BF16 are",
                            bitnet_escape(&e, t->name, strlen(t->name)),
                            bitnet_st_dtype_name(t->dtype));
    }
}

static bool put_packed(hf_reader *r, const bitnet_st_tensor *t, const match *m,
                       bitnet_tensor_entry *e) {
    int64_t rows = r->config.size[m->projection->rows];
    if (!r->config.is_bitnet)
        return refuse(r, BITNET_E_UNSUPPORTED, "hf.tensor.dtype", t,
                      "type U8, but config.json has no quantization_config of method bitnet");
    if (t->n_dims != 2 || rows % 4 || t->shape[0] != rows / 4)
        return refuse(r, BITNET_E_FORMAT, "hf.tensor.packed", t,
                      "packed, but its first dimension is not a quarter of what config.json gives");
    e->type = BITNET_TYPE_HF_PACKED;
    e->ne[1] = rows;
    return read_scale(r, t, m, &e->scale);
}

static bool put_tensor(hf_reader *r, const bitnet_st_tensor *t, const match *m) {
    if (t->n_dims < 1 || t->n_dims > 2)
        return refuse(r, BITNET_E_FORMAT, "hf.tensor.shape", t, "neither a matrix nor a vector");
    bitnet_tensor_entry e = {
        .name = m->gguf,
        .n_dims = t->n_dims,
        .ne = {t->shape[t->n_dims - 1], t->n_dims == 2 ? t->shape[0] : 1, 1, 1},
        .offset = t->offset,
        .size = t->size,
        .file = t->file,
        .scale = 1};
    bool is_matrix = m->role == ROLE_MATRIX;
    if (is_matrix && t->dtype == BITNET_ST_U8) {
        if (!put_packed(r, t, m, &e)) return false;
    } else {
        if (!float_type(r, t, &e.type)) return false;
        e.is_latent =
            is_matrix && r->config.is_latent && is_converted(&r->config, t->name, m->module);
    }
    bitnet_build_tensor(r->b, &e);
    return true;
}

/* Dense weights with a scale beside them would have to be multiplied or divided by it, and no rule says
 * which (formats page 10 on Falcon-E's "prequantized"). */
static bool check_scale(hf_reader *r, const bitnet_st_tensor *t, const match *m) {
    const bitnet_st_tensor *weight = sibling(r, t->name, m->module, ".weight");
    return (weight && weight->dtype == BITNET_ST_U8) ||
           refuse(r, BITNET_E_UNSUPPORTED, "hf.scale.dense", t,
                  "a weight_scale without packed weights beside it");
}

bool bitnet_hf_read_tensors(hf_reader *r) {
    for (uint32_t i = 0; i < r->tensors.n; i++) {
        const bitnet_st_tensor *t = &r->tensors.tensor[i];
        match m = find_match(t->name);
        bool ok = true;
        if (m.role == ROLE_UNKNOWN)
            ok = refuse(r, BITNET_E_UNSUPPORTED, "hf.tensor.unknown", t,
                        "no supported model has a tensor of this name");
        else if (m.role == ROLE_SCALE)
            ok = check_scale(r, t, &m);
        else if (m.role != ROLE_IGNORED &&
                 !(r->config.is_tied && strcmp(m.gguf, "output.weight") == 0))
            ok = put_tensor(r, t, &m);
        if (!ok) return false;
    }
    return true;
}
