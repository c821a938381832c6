/* weights.c: see weights.h. Refuses a file whose shapes contradict its hyper-parameters, whose
 * values are not finite, or whose packed codes hold the unused fourth value: damage is found at
 * load, with the tensor's name, and never in a kernel.
 */
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

/* ---- hyper-parameters -------------------------------------------------------------------------
 */

typedef struct hparam_i {
    const char *key; /* after "<arch>." */
    size_t offset;
    int64_t min, max;
    int64_t fallback; /* -1: the key is required */
} hparam_i;

#define FIELD(f) offsetof(bitnet_hparams, f)

static const bitnet_meta *find_key(const bitnet_dir *dir, const bitnet_arch *arch, const char *key,
                                   char *full, size_t cap) {
    snprintf(full, cap, "%s.%s", arch->name, key);
    return bitnet_dir_meta(dir, full);
}

static bitnet_status read_int(bitnet_hparams *hp, const hparam_i *h, const bitnet_arch *arch,
                              const bitnet_dir *dir, bitnet_error *err) {
    char key[96];
    const bitnet_meta *m = find_key(dir, arch, h->key, key, sizeof key);
    int64_t v = h->fallback;
    if (m && !bitnet_meta_i64(m, &v))
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam", "%s is not an integer", key);
    if (!m && v < 0) return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam", "%s is missing", key);
    if (v < h->min || v > h->max)
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam",
                           "%s is %lld; allowed are %lld to %lld", key, (long long)v,
                           (long long)h->min, (long long)h->max);
    int32_t v32 = (int32_t)v;
    memcpy((char *)hp + h->offset, &v32, sizeof v32);
    return BITNET_OK;
}

static bitnet_status read_float(float *out, const char *name, double fallback, double max,
                                const bitnet_arch *arch, const bitnet_dir *dir, bitnet_error *err) {
    char key[96];
    const bitnet_meta *m = find_key(dir, arch, name, key, sizeof key);
    double v = fallback;
    if (m && !bitnet_meta_f64(m, &v))
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam", "%s is not a number", key);
    if (!(v > 0 && v <= max))
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam",
                           "%s is %g; it must be above 0 and at most %g", key, v, max);
    *out = (float)v;
    return BITNET_OK;
}

bitnet_status bitnet_hparams_read(bitnet_hparams *hp, const bitnet_arch *arch,
                                  const bitnet_dir *dir, bitnet_error *err) {
    /* the order matters: a fallback may be a field read before it */
    const hparam_i first[] = {
        {"block_count", FIELD(n_layer), 1, 512, -1},
        {"embedding_length", FIELD(n_embd), 1, 65536, -1},
        {"feed_forward_length", FIELD(n_ff), 1, 262144, -1},
        {"context_length", FIELD(n_ctx_train), 1, 1 << 20, -1},
        {"attention.head_count", FIELD(n_head), 1, 1024, -1},
    };
    *hp = (bitnet_hparams){0};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        bitnet_status st = read_int(hp, &first[i], arch, dir, err);
        if (st < 0) return st;
    }
    const hparam_i second[] = {
        {"attention.head_count_kv", FIELD(n_head_kv), 1, hp->n_head, hp->n_head},
        {"attention.key_length", FIELD(head_dim), 2, 1024, hp->n_embd / hp->n_head},
    };
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        bitnet_status st = read_int(hp, &second[i], arch, dir, err);
        if (st < 0) return st;
    }
    const hparam_i rot = {"rope.dimension_count", FIELD(n_rot), 2, hp->head_dim, hp->head_dim};
    bitnet_status st = read_int(hp, &rot, arch, dir, err);
    if (st < 0) return st;
    if (hp->n_rot % 2)
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam",
                           "%s.rope.dimension_count is %d; it must be even", arch->name, hp->n_rot);
    if (hp->n_head % hp->n_head_kv)
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam",
                           "%s.attention.head_count %d is not a multiple of head_count_kv %d",
                           arch->name, hp->n_head, hp->n_head_kv);
    st = read_float(&hp->rope_base, "rope.freq_base", 10000.0, 1e12, arch, dir, err);
    if (st < 0) return st;
    /* no fallback: a wrong epsilon degrades text slowly and is hard to notice */
    return read_float(&hp->norm_eps, "attention.layer_norm_rms_epsilon", 0.0, 1.0, arch, dir, err);
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

typedef struct binder { /* what one call of bitnet_weights_bind carries around */
    bitnet_weights *w;
    const bitnet_dir *dir;
    const bitnet_source *src;
    const bitnet_backend_ops *ops;
    bitnet_backend *be;
    const bitnet_allocator *a;
    const bitnet_progress *progress;
    uint64_t total; /* bytes of all tensors in the directory */
    bitnet_error *err;
} binder;

static bitnet_status tensor_bytes(binder *b, const bitnet_tensor_entry *e, const void **out) {
    if (b->src->map && (*out = b->src->map(b->src->ctx, e->offset, (size_t)e->size)))
        return BITNET_OK;
    void *copy = bitnet_alloc(b->a, (size_t)e->size);
    if (!copy)
        return bitnet_fail(b->err, BITNET_E_NOMEM, "model.memory", "%s: no memory for %llu bytes",
                           e->name, (unsigned long long)e->size);
    b->w->copy[b->w->n_copy++] = (bitnet_copy){copy, (size_t)e->size};
    *out = copy;
    if (b->src->read(b->src->ctx, e->offset, copy, (size_t)e->size) < 0)
        return bitnet_fail(b->err, BITNET_E_IO, "model.read",
                           "%s: reading %llu bytes at %llu failed", e->name,
                           (unsigned long long)e->size, (unsigned long long)e->offset);
    return BITNET_OK;
}

/* Index of the first 2-bit code 3 in n packed bytes, or -1. */
static int64_t find_code3(const uint8_t *p, uint64_t n) {
    for (uint64_t at = 0; at < n; at += 4096) {
        uint64_t stop = at + 4096 < n ? at + 4096 : n;
        uint8_t any = 0;
        for (uint64_t i = at; i < stop; i++)
            any |= (uint8_t)(p[i] & (p[i] >> 1) & 0x55);
        if (any)
            for (uint64_t i = at; i < stop; i++)
                if (p[i] & (p[i] >> 1) & 0x55) return (int64_t)i;
    }
    return -1;
}

static bitnet_status check_values(const bitnet_tensor_entry *e, const void *data,
                                  bitnet_error *err) {
    uint64_t n = (uint64_t)e->ne[0] * (uint64_t)e->ne[1];
    int64_t bad = -1;
    if (e->type == BITNET_TYPE_I2_S) {
        float scale;
        const uint8_t *p = data;
        memcpy(&scale, p + n / 4, sizeof scale);
        if (!isfinite(scale) || scale == 0.0f)
            return bitnet_fail(err, BITNET_E_FORMAT, "model.scale",
                               "%s: the scale is %g; it must be finite and not 0", e->name,
                               (double)scale);
        bad = find_code3(p, n / 4);
        if (bad >= 0)
            return bitnet_fail(err, BITNET_E_FORMAT, "model.code3",
                               "%s: byte %lld holds the 2-bit code 3, which stands for no weight",
                               e->name, (long long)bad);
    } else if (e->type == BITNET_TYPE_F16) {
        const uint16_t *p = data;
        for (uint64_t i = 0; i < n && bad < 0; i++)
            if ((p[i] & 0x7c00) == 0x7c00) bad = (int64_t)i;
    } else if (e->type == BITNET_TYPE_F32) {
        const float *p = data;
        for (uint64_t i = 0; i < n && bad < 0; i++)
            if (!isfinite(p[i])) bad = (int64_t)i;
    }
    if (bad >= 0)
        return bitnet_fail(err, BITNET_E_FORMAT, "model.nonfinite",
                           "%s: element %lld is not finite", e->name, (long long)bad);
    return BITNET_OK;
}

/* Name, shape, type and the first and last 256 bytes of a tensor (the scale among them). */
static uint64_t fingerprint(uint64_t h, const bitnet_tensor_entry *e, const void *data) {
    size_t n = e->size < 256 ? (size_t)e->size : 256;
    h = hash_bytes(h, e->name, strlen(e->name));
    h = hash_bytes(h, e->ne, sizeof e->ne);
    h = hash_word(h, e->type);
    h = hash_bytes(h, data, n);
    return hash_bytes(h, (const uint8_t *)data + e->size - n, n);
}

static bitnet_status bind(binder *b, const char *name, int64_t k, int64_t n, bitnet_weight **out) {
    const bitnet_tensor_entry *e = bitnet_dir_tensor(b->dir, name);
    if (!e)
        return bitnet_fail(b->err, BITNET_E_FORMAT, "model.tensor.missing", "tensor %s is missing",
                           name);
    if (e->ne[0] != k || e->ne[1] != n || e->ne[2] != 1 || e->ne[3] != 1)
        return bitnet_fail(
            b->err, BITNET_E_FORMAT, "model.tensor.shape",
            "%s: the hyper-parameters ask for [%lld, %lld], the file has [%lld, %lld, %lld, %lld]",
            name, (long long)k, (long long)n, (long long)e->ne[0], (long long)e->ne[1],
            (long long)e->ne[2], (long long)e->ne[3]);
    if (e->type != BITNET_TYPE_I2_S && e->type != BITNET_TYPE_F16 && e->type != BITNET_TYPE_F32)
        return bitnet_fail(b->err, BITNET_E_UNSUPPORTED, "model.tensor.type",
                           "%s: type %s is not supported; I2_S, F16 and F32 are", name,
                           bitnet_type_name(e->type));
    const void *data;
    bitnet_status st = tensor_bytes(b, e, &data);
    if (st >= 0) st = check_values(e, data, b->err);
    if (st < 0) return st;
    bitnet_tensor t = {e->name, (bitnet_type)e->type, {k, n}, data, e->size};
    b->w->fingerprint = fingerprint(b->w->fingerprint, e, data);
    b->w->n_params += (uint64_t)k * (uint64_t)n;
    b->w->size += e->size;
    b->w->token_bytes += e->size;
    if (b->progress->report) b->progress->report(b->progress->ctx, b->w->size, b->total);
    return b->ops->bind(b->be, &t, out, b->err);
}

bitnet_status bitnet_weights_bind(bitnet_weights *w, const bitnet_hparams *hp,
                                  const bitnet_arch *arch, const bitnet_dir *dir,
                                  const bitnet_source *src, const bitnet_backend_ops *ops,
                                  bitnet_backend *be, const bitnet_allocator *a,
                                  const bitnet_progress *progress, bitnet_error *err) {
    binder b = {w, dir, src, ops, be, a, progress, 0, err};
    int64_t E = hp->n_embd, F = hp->n_ff, Q = (int64_t)hp->n_head * hp->head_dim,
            KV = (int64_t)hp->n_head_kv * hp->head_dim;
    for (uint32_t i = 0; i < dir->n_tensor; i++)
        b.total += dir->tensor[i].size;
    w->layer = bitnet_alloc(a, (size_t)hp->n_layer * sizeof *w->layer);
    w->copy_cap = 2 + 11 * (uint32_t)hp->n_layer; /* as many as bind can be called */
    w->copy = bitnet_alloc(a, w->copy_cap * sizeof *w->copy);
    if (!w->layer || !w->copy)
        return bitnet_fail(err, BITNET_E_NOMEM, "model.memory",
                           "no memory for the tables of %d layers", hp->n_layer);

    bitnet_status st = bind(&b, "token_embd.weight", E, hp->n_vocab, &w->token_embd);
    if (st >= 0) st = bind(&b, "output_norm.weight", E, 1, &w->output_norm);
    for (int32_t i = 0; st >= 0 && i < hp->n_layer; i++) {
        bitnet_layer *l = &w->layer[i];
        const struct {
            const char *name;
            int64_t k, n;
            bitnet_weight **slot;
            bool is_needed;
        } rows[] = {
            {"attn_norm", E, 1, &l->attn_norm, true},
            {"attn_q", E, Q, &l->attn_q, true},
            {"attn_k", E, KV, &l->attn_k, true},
            {"attn_v", E, KV, &l->attn_v, true},
            {"attn_sub_norm", Q, 1, &l->attn_sub_norm, arch->has_sub_norms},
            {"attn_output", Q, E, &l->attn_output, true},
            {"ffn_norm", E, 1, &l->ffn_norm, true},
            {"ffn_gate", E, F, &l->ffn_gate, true},
            {"ffn_up", E, F, &l->ffn_up, true},
            {"ffn_sub_norm", F, 1, &l->ffn_sub_norm, arch->has_sub_norms},
            {"ffn_down", F, E, &l->ffn_down, true},
        };
        for (size_t r = 0; st >= 0 && r < sizeof rows / sizeof *rows; r++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, rows[r].name);
            if (rows[r].is_needed) st = bind(&b, name, rows[r].k, rows[r].n, rows[r].slot);
        }
    }
    return st;
}

void bitnet_weights_free(bitnet_weights *w, const bitnet_hparams *hp, const bitnet_backend_ops *ops,
                         bitnet_backend *be, const bitnet_allocator *a) {
    if (be) {
        ops->unbind(be, w->token_embd);
        ops->unbind(be, w->output_norm);
        for (int32_t i = 0; w->layer && i < hp->n_layer; i++) {
            bitnet_layer *l = &w->layer[i];
            bitnet_weight *all[] = {l->attn_norm,     l->attn_q,       l->attn_k,   l->attn_v,
                                    l->attn_sub_norm, l->attn_output,  l->ffn_norm, l->ffn_gate,
                                    l->ffn_up,        l->ffn_sub_norm, l->ffn_down};
            for (size_t r = 0; r < sizeof all / sizeof *all; r++)
                ops->unbind(be, all[r]);
        }
    }
    for (uint32_t i = 0; i < w->n_copy; i++)
        bitnet_free(a, w->copy[i].data, w->copy[i].size);
    bitnet_free(a, w->copy, w->copy_cap * sizeof *w->copy);
    bitnet_free(a, w->layer, (size_t)hp->n_layer * sizeof *w->layer);
}
