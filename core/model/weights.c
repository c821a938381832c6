/* weights.c: see weights.h. Refuses a file whose shapes contradict its hyper-parameters, whose types
 * nothing here decodes, or whose values are not finite: damage is found at load, with the tensor's
 * name, and never in a kernel.
 */
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "format/blocks.h"
#include "format/ternary.h"
#include "model/values.h"

/* ---- the tensors of a model ----------------------------------------------------------------
 */

typedef enum dim { DIM_1, DIM_EMBD, DIM_Q, DIM_KV, DIM_FF, DIM_VOCAB, DIM_ROT, N_DIMS } dim;

typedef enum need { NEEDED, OPTIONAL, IF_SUB_NORMS, OPTIONAL_HEAD } need;

typedef struct row {
    const char *name; /* of a layer's: after "blk.N." */
    bitnet_use_kind kind;
    dim k, n;
    need need;
    size_t field; /* of the slot */
} row;

#define M(f) offsetof(bitnet_weights, f)
#define L(f) offsetof(bitnet_layer, f)

/* clang-format off */
static const row model_rows[] = {
    {"token_embd.weight",    BITNET_USE_ORDINARY, DIM_EMBD, DIM_VOCAB, NEEDED,        M(token_embd)},
    {"output_norm.weight",   BITNET_USE_VECTOR,   DIM_EMBD, DIM_1,     NEEDED,        M(output_norm)},
    {"output.weight",        BITNET_USE_ORDINARY, DIM_EMBD, DIM_VOCAB, OPTIONAL_HEAD, M(output)},
    {"rope_freqs.weight",    BITNET_USE_TABLE,    DIM_ROT,  DIM_1,     OPTIONAL,      0},
};
static const row layer_rows[] = {
    {"attn_norm.weight",     BITNET_USE_VECTOR,   DIM_EMBD, DIM_1,     NEEDED,        L(attn_norm)},
    {"attn_q.weight",        BITNET_USE_LINEAR,   DIM_EMBD, DIM_Q,     NEEDED,        L(attn_q)},
    {"attn_k.weight",        BITNET_USE_LINEAR,   DIM_EMBD, DIM_KV,    NEEDED,        L(attn_k)},
    {"attn_v.weight",        BITNET_USE_LINEAR,   DIM_EMBD, DIM_KV,    NEEDED,        L(attn_v)},
    {"attn_q.bias",          BITNET_USE_VECTOR,   DIM_Q,    DIM_1,     OPTIONAL,      L(attn_q_bias)},
    {"attn_k.bias",          BITNET_USE_VECTOR,   DIM_KV,   DIM_1,     OPTIONAL,      L(attn_k_bias)},
    {"attn_v.bias",          BITNET_USE_VECTOR,   DIM_KV,   DIM_1,     OPTIONAL,      L(attn_v_bias)},
    {"attn_sub_norm.weight", BITNET_USE_VECTOR,   DIM_Q,    DIM_1,     IF_SUB_NORMS,  L(attn_sub_norm)},
    {"attn_output.weight",   BITNET_USE_LINEAR,   DIM_Q,    DIM_EMBD,  NEEDED,        L(attn_output)},
    {"attn_output.bias",     BITNET_USE_VECTOR,   DIM_EMBD, DIM_1,     OPTIONAL,      L(attn_output_bias)},
    {"ffn_norm.weight",      BITNET_USE_VECTOR,   DIM_EMBD, DIM_1,     NEEDED,        L(ffn_norm)},
    {"ffn_gate.weight",      BITNET_USE_LINEAR,   DIM_EMBD, DIM_FF,    NEEDED,        L(ffn_gate)},
    {"ffn_up.weight",        BITNET_USE_LINEAR,   DIM_EMBD, DIM_FF,    NEEDED,        L(ffn_up)},
    {"ffn_sub_norm.weight",  BITNET_USE_VECTOR,   DIM_FF,   DIM_1,     IF_SUB_NORMS,  L(ffn_sub_norm)},
    {"ffn_down.weight",      BITNET_USE_LINEAR,   DIM_FF,   DIM_EMBD,  NEEDED,        L(ffn_down)},
};
/* clang-format on */
#undef M
#undef L
#define N_MODEL_ROWS ((uint32_t)(sizeof model_rows / sizeof *model_rows))
#define N_LAYER_ROWS ((uint32_t)(sizeof layer_rows / sizeof *layer_rows))

/* ---- find ----------------------------------------------------------------------------------
 */

typedef struct finder {
    bitnet_weights *w;
    const bitnet_weights_desc *d;
    bitnet_error *err;
    int64_t size[N_DIMS];
} finder;

static bool is_float_type(uint32_t type) {
    return type == BITNET_TYPE_F32 || type == BITNET_TYPE_F16 || type == BITNET_TYPE_BF16;
}

static bitnet_run run_as(const bitnet_tensor_entry *e, bitnet_use_kind kind) {
    bool is_ternary = kind == BITNET_USE_LINEAR && bitnet_ternary_kind_of(e) != TERNARY_NO;
    return is_ternary ? BITNET_RUN_TERNARY : BITNET_RUN_ORDINARY;
}

static bitnet_status check_type(const bitnet_tensor_entry *e, bitnet_use_kind kind,
                                bitnet_error *err) {
    static const char *const allowed[] = {
        [BITNET_USE_LINEAR] = "I2_S, TQ1_0, TQ2_0, F32, F16, BF16, Q8_0, Q6_K, Q4_0 and Q4_K are",
        [BITNET_USE_ORDINARY] = "F32, F16, BF16, Q8_0, Q6_K, Q4_0, Q4_K, TQ1_0 and TQ2_0 are",
        [BITNET_USE_VECTOR] = "F32, F16 and BF16 are",
        [BITNET_USE_TABLE] = "F32, F16 and BF16 are",
    };
    bool is_matrix = kind == BITNET_USE_LINEAR || kind == BITNET_USE_ORDINARY;
    bool is_ok = is_matrix ? run_as(e, kind) == BITNET_RUN_TERNARY || bitnet_block_decoder(e->type)
                           : is_float_type(e->type);
    if (is_ok) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_UNSUPPORTED, "model.tensor.type",
                       "%s: type %s is not supported here; %s", e->name, bitnet_type_name(e->type),
                       allowed[kind]);
}

static bitnet_status check_shape(const bitnet_tensor_entry *e, int64_t k, int64_t n,
                                 bitnet_error *err) {
    if (e->ne[0] == k && e->ne[1] == n && e->ne[2] == 1 && e->ne[3] == 1) return BITNET_OK;
    return bitnet_fail(
        err, BITNET_E_FORMAT, "model.tensor.shape",
        "%s: the hyper-parameters ask for [%lld, %lld], the file has [%lld, %lld, %lld, %lld]",
        e->name, (long long)k, (long long)n, (long long)e->ne[0], (long long)e->ne[1],
        (long long)e->ne[2], (long long)e->ne[3]);
}

/* "<name>.scale" beside "<name>.weight" of a projection (formats page 2.3) */
static bitnet_status find_scale(finder *f, const char *name, bitnet_use *u) {
    char scale_name[64];
    int stem = (int)(strlen(name) - strlen(".weight"));
    snprintf(scale_name, sizeof scale_name, "%.*s.scale", stem, name);
    u->scale = bitnet_dir_tensor(f->d->dir, scale_name);
    if (!u->scale) return BITNET_OK;
    f->w->run[u->scale - f->d->dir->tensor] = BITNET_RUN_ORDINARY;
    bitnet_status st = check_shape(u->scale, 1, 1, f->err);
    return st < 0 ? st : check_type(u->scale, BITNET_USE_VECTOR, f->err);
}

static bitnet_relu2_part relu2_part_of(const row *r, const bitnet_hparams *hp) {
    if (hp->act != BITNET_ACT_RELU2 || r->kind != BITNET_USE_LINEAR) return BITNET_RELU2_NONE;
    return r->field == offsetof(bitnet_layer, ffn_up)     ? BITNET_RELU2_UP
           : r->field == offsetof(bitnet_layer, ffn_down) ? BITNET_RELU2_DOWN
                                                          : BITNET_RELU2_NONE;
}

static bool is_wanted(const row *r, const bitnet_arch *arch) {
    return r->need == IF_SUB_NORMS ? arch->has_sub_norms
                                   : r->need != OPTIONAL_HEAD || arch->has_head;
}

/* base is the struct that holds the slot. */
static bitnet_status find_row(finder *f, const row *r, const char *name, void *base) {
    if (!is_wanted(r, f->d->arch)) return BITNET_OK;
    const bitnet_tensor_entry *e = bitnet_dir_tensor(f->d->dir, name);
    if (!e && (r->need == OPTIONAL || r->need == OPTIONAL_HEAD)) return BITNET_OK;
    if (!e)
        return bitnet_fail(f->err, BITNET_E_FORMAT, "model.tensor.missing", "tensor %s is missing",
                           name);
    bitnet_weights *w = f->w;
    bitnet_use u = {.entry = e,
                    .kind = r->kind,
                    .relu2 = relu2_part_of(r, f->d->hp),
                    .run = &w->run[e - f->d->dir->tensor]};
    if (r->kind != BITNET_USE_TABLE) u.slot = (void *)((char *)base + r->field);
    bitnet_status st = check_shape(e, f->size[r->k], f->size[r->n], f->err);
    if (st >= 0) st = check_type(e, r->kind, f->err);
    if (st >= 0 && r->kind == BITNET_USE_LINEAR) st = find_scale(f, name, &u);
    if (st < 0) return st;
    *u.run = (uint8_t)run_as(e, r->kind);
    w->use[w->n_use++] = u;
    w->n_params += (uint64_t)e->ne[0] * (uint64_t)e->ne[1];
    w->size += e->size;
    return BITNET_OK;
}

bitnet_status bitnet_weights_find(bitnet_weights *w, const bitnet_weights_desc *d,
                                  bitnet_error *err) {
    const bitnet_hparams *hp = d->hp;
    finder f = {.w = w, .d = d, .err = err};
    f.size[DIM_1] = 1;
    f.size[DIM_EMBD] = hp->n_embd;
    f.size[DIM_Q] = (int64_t)hp->n_head * hp->head_dim;
    f.size[DIM_KV] = (int64_t)hp->n_head_kv * hp->head_dim;
    f.size[DIM_FF] = hp->n_ff;
    f.size[DIM_VOCAB] = hp->n_vocab;
    f.size[DIM_ROT] = hp->n_rot / 2;
    uint32_t n_rows = N_MODEL_ROWS + N_LAYER_ROWS * (uint32_t)hp->n_layer;
    w->n_tensor = d->dir->n_tensor;
    w->use_cap = n_rows < w->n_tensor ? n_rows : w->n_tensor; /* each use is another tensor */
    w->layer = bitnet_alloc(d->allocator, (size_t)hp->n_layer * sizeof *w->layer);
    w->use = bitnet_alloc(d->allocator, w->use_cap * sizeof *w->use);
    w->run = bitnet_alloc(d->allocator, w->n_tensor);
    if (!w->layer || !w->use || !w->run)
        return bitnet_fail(err, BITNET_E_NOMEM, "model.memory",
                           "no memory for the tables of %d layers", hp->n_layer);
    bitnet_status st = BITNET_OK;
    for (uint32_t r = 0; st >= 0 && r < N_MODEL_ROWS; r++)
        st = find_row(&f, &model_rows[r], model_rows[r].name, w);
    for (int32_t i = 0; st >= 0 && i < hp->n_layer; i++)
        for (uint32_t r = 0; st >= 0 && r < N_LAYER_ROWS; r++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s", i, layer_rows[r].name);
            st = find_row(&f, &layer_rows[r], name, &w->layer[i]);
        }
    return st;
}

/* ---- bind ----------------------------------------------------------------------------------
 */

typedef struct binder {
    bitnet_weights *w;
    const bitnet_weights_desc *d;
    bitnet_error *err;
    uint64_t done;
} binder;

static void drop_copy(binder *b, bitnet_use *u) {
    bitnet_free(b->d->allocator, u->copy, u->copy_size);
    u->copy = NULL, u->copy_size = 0;
}

static void *make_copy(binder *b, const char *name, uint64_t size) {
    void *p = size <= SIZE_MAX / 2 ? bitnet_alloc(b->d->allocator, (size_t)size) : NULL;
    if (!p)
        bitnet_fail(b->err, BITNET_E_NOMEM, "model.memory", "%s: no memory for %llu bytes", name,
                    (unsigned long long)size);
    return p;
}

static bitnet_status read_bytes(binder *b, const bitnet_tensor_entry *e, void *out) {
    const bitnet_source *src = &b->d->source[e->file];
    if (src->read(src->ctx, e->offset, out, (size_t)e->size) >= 0) return BITNET_OK;
    return bitnet_fail(b->err, BITNET_E_IO, "model.read", "%s: reading %llu bytes at %llu failed",
                       e->name, (unsigned long long)e->size, (unsigned long long)e->offset);
}

/* Kernels load floats of a type as such; safetensors may put them at any address. */
static size_t alignment_of(uint32_t type) {
    return is_float_type(type) ? bitnet_type_get_info(type)->block_size : 1;
}

/* The tensor's bytes: where they are mapped, otherwise in u->copy. */
static bitnet_status get_bytes(binder *b, bitnet_use *u, const void **out) {
    const bitnet_tensor_entry *e = u->entry;
    const bitnet_source *src = &b->d->source[e->file];
    const void *p = src->map ? src->map(src->ctx, e->offset, (size_t)e->size) : NULL;
    *out = p;
    if (p && (uintptr_t)p % alignment_of(e->type) == 0) return BITNET_OK;
    *out = u->copy = make_copy(b, e->name, e->size);
    if (!u->copy) return BITNET_E_NOMEM;
    u->copy_size = (size_t)e->size;
    return read_bytes(b, e, u->copy);
}

/* Packs into a new copy where the file's form is not the canonical one. AGAIN: it is not ternary. */
static bitnet_status make_ternary(binder *b, bitnet_use *u, bitnet_tensor *t) {
    const bitnet_tensor_entry *e = u->entry;
    uint64_t size = bitnet_ternary_size(e);
    void *packed = NULL;
    if (bitnet_ternary_kind_of(e) != TERNARY_MAP) {
        packed = make_copy(b, e->name, size);
        if (!packed) return BITNET_E_NOMEM;
    }
    bitnet_status st = bitnet_ternary_pack(packed, &t->scale, e, t->data, b->err);
    if (st != BITNET_OK) {
        bitnet_free(b->d->allocator, packed, (size_t)size);
        return st;
    }
    if (packed) {
        drop_copy(b, u);
        u->copy = packed, u->copy_size = (size_t)size;
        t->data = packed;
    }
    t->type = BITNET_TYPE_I2_S;
    t->size = size;
    return BITNET_OK;
}

/* Vectors and tables run as f32. */
static bitnet_status make_f32(binder *b, bitnet_use *u, bitnet_tensor *t) {
    const bitnet_tensor_entry *e = u->entry;
    if (e->type == BITNET_TYPE_F32) return BITNET_OK;
    size_t size = (size_t)e->ne[0] * sizeof(float);
    float *f32 = make_copy(b, e->name, size);
    if (!f32) return BITNET_E_NOMEM;
    bitnet_block_decoder(e->type)(f32, t->data, e->ne[0]);
    drop_copy(b, u);
    u->copy = f32, u->copy_size = size;
    t->type = BITNET_TYPE_F32;
    t->data = f32;
    t->size = size;
    return BITNET_OK;
}

static bitnet_status apply_scale(binder *b, const bitnet_use *u, bitnet_tensor *t) {
    uint8_t raw[4];
    float scale = 0.0f;
    if (!u->scale) return BITNET_OK;
    bitnet_status st = read_bytes(b, u->scale, raw);
    if (st < 0) return st;
    bitnet_block_decoder(u->scale->type)(&scale, raw, 1);
    t->scale *= scale;
    b->w->fingerprint = hash_bytes(b->w->fingerprint, raw, (size_t)u->scale->size);
    if (isfinite(scale) && scale != 0.0f && isfinite(t->scale)) return BITNET_OK;
    return bitnet_fail(b->err, BITNET_E_FORMAT, "model.scale",
                       "%s: the scale is %g; it must be finite and not 0", u->scale->name,
                       (double)scale);
}

/* Name, shape, type and the first and last 256 bytes of a tensor (the scale among them). */
static uint64_t fingerprint(uint64_t h, const bitnet_tensor_entry *e, const void *data) {
    size_t n = e->size < 256 ? (size_t)e->size : 256;
    uint32_t scale;
    memcpy(&scale, &e->scale, sizeof scale);
    h = hash_bytes(h, e->name, strlen(e->name));
    h = hash_bytes(h, e->ne, sizeof e->ne);
    h = hash_word(h, (uint64_t)e->type << 2 | (uint64_t)e->is_layout_b << 1 | e->is_latent);
    h = hash_word(h, scale);
    h = hash_bytes(h, data, n);
    return hash_bytes(h, (const uint8_t *)data + e->size - n, n);
}

/* Angles are at most 2^20 / 0.5, which is what fmath_sincos takes. */
static bitnet_status check_rope_freqs(const float *freqs, int64_t n, bitnet_error *err) {
    for (int64_t i = 0; i < n; i++)
        if (!(freqs[i] >= 0.5f))
            return bitnet_fail(err, BITNET_E_FORMAT, "model.rope.freqs",
                               "rope_freqs.weight: element %lld is %g; 0.5 and more is allowed",
                               (long long)i, (double)freqs[i]);
    return BITNET_OK;
}

static bool is_vector(const bitnet_use *u) {
    return u->kind == BITNET_USE_VECTOR || u->kind == BITNET_USE_TABLE;
}

/* Whether find came upon one: its slot is not filled yet. */
static bool has_output(const bitnet_weights *w) {
    for (uint32_t i = 0; i < w->n_use; i++)
        if (w->use[i].slot == &w->output) return true;
    return false;
}

static bool is_head(const bitnet_weights *w, const bitnet_use *u) {
    return u->slot == (has_output(w) ? &w->output : &w->token_embd);
}

/* Whether the backend may keep its own layout in the file's bytes: they are the model's, and enough. */
static bool room_fits(const bitnet_source *src, const bitnet_tensor_entry *e,
                      const bitnet_tensor *t) {
    const bool has_layout = t->type == BITNET_TYPE_I2_S || t->is_head;
    return has_layout && src->may_rewrite && src->map && t->size <= e->size;
}

static bitnet_status bind_use(binder *b, bitnet_use *u) {
    const bitnet_tensor_entry *e = u->entry;
    bitnet_tensor t = {.name = e->name,
                       .type = (bitnet_type)e->type,
                       .ne = {e->ne[0], e->ne[1]},
                       .size = e->size,
                       .is_head = is_head(b->w, u),
                       .relu2 = u->relu2,
                       .scale = e->scale};
    bitnet_status st = get_bytes(b, u, &t.data);
    if (st < 0) return st;
    b->w->fingerprint = fingerprint(b->w->fingerprint, e, t.data);
    if (*u->run == BITNET_RUN_TERNARY) {
        st = make_ternary(b, u, &t);
        if (st == BITNET_AGAIN) *u->run = BITNET_RUN_ORDINARY, t.scale = e->scale;
    }
    if (st >= 0 && *u->run == BITNET_RUN_ORDINARY) st = bitnet_values_check(e, t.data, b->err);
    if (st >= 0 && is_vector(u)) st = make_f32(b, u, &t);
    if (st >= 0) st = apply_scale(b, u, &t);
    if (st >= 0 && u->kind == BITNET_USE_TABLE) {
        b->w->rope_freqs = t.data;
        st = check_rope_freqs(t.data, e->ne[0], b->err);
    }
    if (st < 0 || !u->slot) return st;
    const bitnet_source *src = &b->d->source[e->file];
    bool is_packed = t.type == BITNET_TYPE_I2_S;
    if (room_fits(src, e, &t))
        t.rewrite = (void *)(uintptr_t)src->map(src->ctx, e->offset, (size_t)e->size);
    st = b->d->ops->bind(b->d->backend, &t, u->slot, b->err);
    if (st < 0) return st;
    if (is_packed) drop_copy(b, u);
    /* the backend took a copy, of what is ternary, and of a large head what it reads most; and what lies
     * here is the file's, not its own */
    bool has_copy = !t.rewrite && b->d->ops->bind_plan(b->d->backend, &t) > 0;
    if (has_copy && src->release) src->release(src->ctx, e->offset, (size_t)e->size);
    return BITNET_OK;
}

bitnet_status bitnet_weights_bind(bitnet_weights *w, const bitnet_weights_desc *d,
                                  bitnet_error *err) {
    binder b = {.w = w, .d = d, .err = err};
    for (uint32_t i = 0; i < w->n_use; i++) {
        bitnet_status st = bind_use(&b, &w->use[i]);
        if (st < 0) return st;
        b.done += w->use[i].entry->size;
        if (d->progress->report) d->progress->report(d->progress->ctx, b.done, w->size);
    }
    w->is_bound = true;
    return BITNET_OK;
}

void bitnet_weights_free(bitnet_weights *w, const bitnet_weights_desc *d) {
    for (uint32_t i = 0; i < w->n_use; i++) {
        const bitnet_use *u = &w->use[i];
        if (u->slot && *u->slot) d->ops->unbind(d->backend, *u->slot);
        bitnet_free(d->allocator, u->copy, u->copy_size);
    }
    bitnet_free(d->allocator, w->run, w->n_tensor);
    bitnet_free(d->allocator, w->use, w->use_cap * sizeof *w->use);
    bitnet_free(d->allocator, w->layer, (size_t)d->hp->n_layer * sizeof *w->layer);
}

/* ---- what it takes -------------------------------------------------------------------------
 */

/* Whether what runs is not the file's bytes but made from them: make_ternary, make_f32. */
static bool is_converted(const bitnet_use *u) {
    bool is_packed =
        *u->run == BITNET_RUN_TERNARY && bitnet_ternary_kind_of(u->entry) != TERNARY_MAP;
    return is_packed || (is_vector(u) && u->entry->type != BITNET_TYPE_F32);
}

static uint64_t used_size(const bitnet_use *u) {
    if (!is_converted(u)) return u->entry->size;
    return is_vector(u) ? (uint64_t)u->entry->ne[0] * sizeof(float) : bitnet_ternary_size(u->entry);
}

void bitnet_weights_memory(const bitnet_weights *w, const bitnet_weights_desc *d, uint64_t *mapped,
                           uint64_t *copied) {
    *mapped = *copied = 0;
    for (uint32_t i = 0; i < w->n_use; i++) {
        const bitnet_use *u = &w->use[i];
        const bitnet_tensor_entry *e = u->entry;
        const bitnet_source *src = &d->source[e->file];
        bool is_ternary = *u->run == BITNET_RUN_TERNARY;
        bool is_own = is_converted(u) || !src->map || e->offset % alignment_of(e->type) != 0;
        bitnet_tensor t = {.type = is_ternary ? BITNET_TYPE_I2_S : (bitnet_type)e->type,
                           .ne = {e->ne[0], e->ne[1]},
                           .size = is_ternary ? bitnet_ternary_size(e) : e->size,
                           .is_head = is_head(w, u),
                           .relu2 = u->relu2,
                           .scale = e->scale};
        static uint8_t anything; /* not read */
        if (room_fits(src, e, &t)) t.rewrite = &anything;
        if (u->slot) *copied += d->ops->bind_plan(d->backend, &t);
        if (is_ternary && !t.rewrite) continue; /* the file's bytes are let go */
        if (t.rewrite)
            *mapped += e->size;
        else
            *(is_own ? copied : mapped) += used_size(u);
    }
}

uint64_t bitnet_weights_ternary(const bitnet_weights *w) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < w->n_use; i++)
        if (*w->use[i].run == BITNET_RUN_TERNARY) n += bitnet_ternary_size(w->use[i].entry);
    return n;
}

uint64_t bitnet_weights_token_bytes(const bitnet_weights *w) {
    uint64_t n = 0;
    const bool has_head = has_output(w);
    for (uint32_t i = 0; i < w->n_use; i++) {
        const bitnet_use *u = &w->use[i];
        bool is_looked_up = u->slot == &w->token_embd && has_head; /* one row of it */
        n += is_looked_up ? used_size(u) / (uint64_t)u->entry->ne[1] : used_size(u);
    }
    return n;
}
