/* profile.c: a profile's life, its kernels, and its sums. What is measured is profile_backend.c's. */
#include "tracker/profile.h"

#include <stdio.h>
#include <string.h>

#define ROLE_CAP sizeof((profile_kernel){0}.role)

/* ---- which kernel a weight is for ----------------------------------------------------------------
 */

/* "blk.7.ffn_down.weight" -> 7 and "ffn_down", "output_norm.weight" -> -1 and "output_norm". What a file calls its
 * tensors ends up in JSON and in labels: nothing but letters, digits and _ does. */
static int32_t split_name(const char *name, char role[ROLE_CAP]) {
    int32_t layer = -1;
    size_t n = 0;
    if (!strncmp(name, "blk.", 4))
        for (layer = 0, name += 4; *name && *name++ != '.';) /* a layer that the loader found */
            layer = 10 * layer + name[-1] - '0';
    for (; n < ROLE_CAP - 1 && name[n] && name[n] != '.'; n++) {
        const char c = name[n];
        const bool is_plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        role[n] = is_plain ? c : '_';
    }
    role[n] = 0;
    return layer;
}

static bool ends_with(const char *s, const char *end) {
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* Products of one input are one operation, named after its first weight. */
static const char *fused_role(const char *role) {
    if (!strcmp(role, "attn_q")) return "attn_qkv";
    if (!strcmp(role, "ffn_gate")) return "ffn_gate_up";
    return role;
}

static bool is_second(const char *role) {
    return !strcmp(role, "attn_k") || !strcmp(role, "attn_v") || !strcmp(role, "ffn_up");
}

static int32_t add_kernel(bitnet_profile *p, const char *name, const char *role) {
    profile_kernel k = {.label = ""};
    snprintf(k.name, sizeof k.name, "%s", name);
    snprintf(k.role, sizeof k.role, "%s", role);
    snprintf(k.label, sizeof k.label, "%s%s%s", name, *role ? "." : "", role);
    int32_t i = 0;
    while (i < p->n_kernel && strcmp(p->kernel[i].label, k.label))
        i++;
    if (i == PROFILE_KERNELS) return PROFILE_KERNELS - 1; /* a file's own names, many: together */
    p->kernel[i] = k;
    if (i == p->n_kernel) p->n_kernel++;
    return i;
}

static int32_t kernel_of(bitnet_profile *p, const bitnet_bound *b, const char *role) {
    if (ends_with(b->name, ".bias") || is_second(role)) return 0; /* no operation begins with it */
    if (ends_with(role, "norm")) return add_kernel(p, "rmsnorm", role);
    if (!strcmp(role, "token_embd") || !strcmp(role, "output")) return 0; /* embed and head are */
    return add_kernel(p, b->is_ternary ? "tern_matmul" : "matmul", fused_role(role));
}

static uint32_t place_of(const bitnet_profile *p, const bitnet_weight *w) {
    uint32_t i = (uint32_t)((uint64_t)(uintptr_t)w * 0x9e3779b97f4a7c15u >> 32);
    for (i &= p->weight_cap - 1; p->weight[i].weight && p->weight[i].weight != w;)
        i = (i + 1) & (p->weight_cap - 1);
    return i;
}

const profile_weight *bitnet_profile_find(const bitnet_profile *p, const bitnet_weight *w) {
    return &p->weight[place_of(p, w)];
}

static bitnet_status list_weights(bitnet_profile *p) {
    bitnet_bound b;
    char role[ROLE_CAP];
    uint32_t n = 0;
    while (bitnet_model_get_bound(p->model, (int32_t)n, &b))
        n++;
    for (p->weight_cap = 16; p->weight_cap < 2 * n;)
        p->weight_cap *= 2;
    p->weight = bitnet_alloc(&p->allocator, p->weight_cap * sizeof *p->weight);
    if (!p->weight) return BITNET_E_NOMEM;
    add_kernel(p, "embed", "");
    add_kernel(p, "attention", "");
    add_kernel(p, "head", "");
    for (int32_t i = 0; bitnet_model_get_bound(p->model, i, &b); i++) {
        const int32_t layer = split_name(b.name, role);
        p->weight[place_of(p, b.weight)] =
            (profile_weight){.weight = b.weight,
                             .k = b.k,
                             .n = b.n,
                             .layer = (int16_t)layer,
                             .kernel = (uint8_t)kernel_of(p, &b, role)};
        if (layer >= p->n_layer) p->n_layer = layer + 1;
    }
    return BITNET_OK;
}

/* ---- life ----------------------------------------------------------------------------------------
 */

static size_t n_cells(const bitnet_profile *p) {
    return 2 * (size_t)(1 + p->n_layer) * (size_t)p->n_kernel;
}

static void free_profile(bitnet_profile *p) {
    bitnet_profile_close_spans(p);
    bitnet_os_mutex_destroy(&p->lock);
    bitnet_free(&p->allocator, p->cell, n_cells(p) * sizeof *p->cell);
    bitnet_free(&p->allocator, p->weight, p->weight_cap * sizeof *p->weight);
    bitnet_allocator a = p->allocator;
    bitnet_free(&a, p, sizeof *p);
}

bitnet_status bitnet_profile_open(bitnet_profile **out, const bitnet_profile_desc *desc,
                                  bitnet_error *err) {
    bitnet_bound any;
    *out = NULL;
    if (!bitnet_model_get_bound(desc->model, 0, &any))
        return bitnet_fail(err, BITNET_E_INVAL, "profile.model",
                           "the model was loaded without its weights; a profile needs them");
    bitnet_profile *p = bitnet_alloc(&desc->allocator, sizeof *p);
    if (!p || bitnet_os_mutex_init(&p->lock) < 0) {
        bitnet_free(&desc->allocator, p, sizeof *p);
        return bitnet_fail(err, BITNET_E_NOMEM, "profile.memory", "no memory for a profile");
    }
    p->allocator = desc->allocator;
    p->model = desc->model;
    p->bounds = desc->bounds;
    p->inner = bitnet_model_get_backend(p->model, &p->backend);
    bitnet_status st = p->inner->watch ? list_weights(p) : BITNET_E_UNSUPPORTED;
    if (st >= 0) st = bitnet_profile_open_spans(p, desc->spans_cap);
    if (st >= 0) p->cell = bitnet_alloc(&p->allocator, n_cells(p) * sizeof *p->cell);
    if (st >= 0 && !p->cell) st = BITNET_E_NOMEM;
    if (st < 0) {
        const char *name = p->inner->name;
        free_profile(p);
        if (st == BITNET_E_UNSUPPORTED)
            return bitnet_fail(err, st, "profile.backend",
                               "the backend %s does not tell what its operations do", name);
        return bitnet_fail(err, st, "profile.memory", "no memory for a profile");
    }
    bitnet_profile_wrap(p);
    p->inner->watch(p->backend, &p->watch);
    bitnet_model_set_backend(p->model, &p->ops, (bitnet_backend *)(void *)p);
    *out = p;
    return BITNET_OK;
}

void bitnet_profile_close(bitnet_profile *p) {
    if (!p) return;
    p->inner->watch(p->backend, NULL);
    bitnet_model_set_backend(p->model, p->inner, p->backend);
    free_profile(p);
}

/* ---- sums ----------------------------------------------------------------------------------------
 */

double bitnet_profile_least(const bitnet_bounds *b, const bitnet_work *w) {
    const double read = b->read_bytes_per_s > 0 ? (double)w->bytes / b->read_bytes_per_s : 0;
    const double i8 = b->i8_mac_per_s > 0 ? (double)w->n_mac_i8 / b->i8_mac_per_s : 0;
    const double f32 = b->f32_mac_per_s > 0 ? (double)w->n_mac_f32 / b->f32_mac_per_s : 0;
    return read > i8 + f32 ? read : i8 + f32;
}

double bitnet_work_share(const bitnet_work *w) {
    return w->ns > 0 ? w->least_s / ((double)w->ns * 1e-9) : 0;
}

static void add(bitnet_work *to, const bitnet_work *w) {
    to->calls += w->calls, to->ns += w->ns;
    to->bytes += w->bytes, to->activation_bytes += w->activation_bytes;
    to->n_mac_i8 += w->n_mac_i8, to->n_mac_f32 += w->n_mac_f32;
    to->least_s += w->least_s;
}

static bitnet_work *cell_at(const bitnet_profile *p, int32_t phase, int32_t layer, int32_t kernel) {
    return &p->cell[(phase * (1 + p->n_layer) + 1 + layer) * p->n_kernel + kernel];
}

void bitnet_profile_add(bitnet_profile *p, int32_t kernel, int32_t layer, const bitnet_work *work) {
    bitnet_os_mutex_lock(&p->lock);
    add(cell_at(p, (int32_t)p->phase, layer, kernel), work);
    bitnet_os_mutex_unlock(&p->lock);
}

void bitnet_profile_set_phase(bitnet_profile *p, bitnet_phase phase) {
    bitnet_os_mutex_lock(&p->lock);
    p->phase = phase == BITNET_PHASE_DECODE ? phase : BITNET_PHASE_PREFILL;
    bitnet_os_mutex_unlock(&p->lock);
}

/* Of a range of layers and one of kernels. */
static bitnet_work sum_of(bitnet_profile *p, bitnet_phase phase, const int32_t layer[2],
                          const int32_t kernel[2]) {
    bitnet_work sum = {0};
    bitnet_os_mutex_lock(&p->lock);
    for (int32_t ph = 0; ph < 2; ph++)
        for (int32_t l = layer[0]; l < layer[1]; l++)
            for (int32_t k = kernel[0]; k < kernel[1]; k++)
                if (phase == BITNET_PHASE_ALL || (int32_t)phase == ph)
                    add(&sum, cell_at(p, ph, l, k));
    bitnet_os_mutex_unlock(&p->lock);
    return sum;
}

const char *bitnet_profile_label(const bitnet_profile *p, int32_t i) {
    return i >= 0 && i < p->n_kernel ? p->kernel[i].label : NULL;
}

bool bitnet_profile_kernel(bitnet_profile *p, int32_t i, bitnet_phase phase,
                           bitnet_kernel_work *out) {
    if (i < 0 || i >= p->n_kernel) return false;
    const profile_kernel *k = &p->kernel[i];
    const bitnet_work work = sum_of(p, phase, (int32_t[]){-1, p->n_layer}, (int32_t[]){i, i + 1});
    *out = (bitnet_kernel_work){k->label, k->name, k->role, work};
    return true;
}

bool bitnet_profile_layer(bitnet_profile *p, int32_t i, bitnet_phase phase, bitnet_work *out) {
    if (i < -1 || i >= p->n_layer) return false;
    *out = sum_of(p, phase, (int32_t[]){i, i + 1}, (int32_t[]){0, p->n_kernel});
    return true;
}

bool bitnet_profile_take(bitnet_profile *p, int32_t i, bitnet_kernel_work *out) {
    if (!bitnet_profile_kernel(p, i, BITNET_PHASE_ALL, out)) return false;
    const bitnet_work now = out->work, *last = &p->taken[i];
    out->work.calls -= last->calls, out->work.ns -= last->ns;
    out->work.bytes -= last->bytes, out->work.activation_bytes -= last->activation_bytes;
    out->work.n_mac_i8 -= last->n_mac_i8, out->work.n_mac_f32 -= last->n_mac_f32;
    out->work.least_s -= last->least_s;
    p->taken[i] = now;
    return true;
}
