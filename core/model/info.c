/* info.c: describing a loaded model, for bitnet/model.h: its numbers, tensors, metadata and memory.
 * Works at every load level; what was not loaded is answered from the directory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/ternary.h"
#include "model/kv.h"
#include "model/model.h"

/* A token id of the metadata, where no vocabulary was built. */
static int32_t special_id(const bitnet_model *m, const char *key) {
    int64_t id;
    bool is_there = bitnet_meta_i64(bitnet_dir_meta(&m->dir, key), &id);
    return is_there && id >= 0 && id < m->hp.n_vocab ? (int32_t)id : -1;
}

static uint64_t size_of_files(const bitnet_model *m) {
    uint64_t n = 0;
    for (int32_t i = 0; i < m->n_source; i++)
        n += m->source[i].size;
    return n;
}

bitnet_model_info bitnet_model_get_info(const bitnet_model *m) {
    const bitnet_hparams *hp = &m->hp;
    const bitnet_vocab *v = m->vocab;
    bitnet_backend_info be = {0};
    m->ops->info(m->backend, &be);
    bool has_arch = m->arch != NULL;
    return (bitnet_model_info){
        .container = m->container,
        .arch = m->arch_name,
        .name = m->name,
        .backend = m->ops->name,
        .tier = be.tier,
        .weights = be.weights ? be.weights : "",
        .tokenizer = m->tokenizer,
        .chat_template = m->chat_template,
        .act = !has_arch                    ? ""
               : hp->act == BITNET_ACT_SILU ? "silu"
                                            : "relu2",
        .rope = !has_arch          ? ""
                : hp->is_rope_norm ? "norm"
                                   : "neox",
        .n_layer = hp->n_layer,
        .n_embd = hp->n_embd,
        .n_head = hp->n_head,
        .n_head_kv = hp->n_head_kv,
        .head_dim = hp->head_dim,
        .n_rot = hp->n_rot,
        .n_ff = hp->n_ff,
        .n_vocab = hp->n_vocab,
        .n_ctx_train = hp->n_ctx_train,
        .n_threads = be.n_threads,
        .rope_base = hp->rope_base,
        .norm_eps = hp->norm_eps,
        .bos = v ? bitnet_vocab_bos(v) : special_id(m, "tokenizer.ggml.bos_token_id"),
        .eos = v ? bitnet_vocab_eos(v) : special_id(m, "tokenizer.ggml.eos_token_id"),
        .n_params = m->weights.n_params,
        .file_size = size_of_files(m),
        .weight_size = m->weights.size,
        .token_bytes = bitnet_weights_token_bytes(&m->weights),
        .fingerprint = m->weights.fingerprint,
    };
}

/* ---- tensors ---------------------------------------------------------------------------------
 */

static const char *layout_of(const bitnet_tensor_entry *e) {
    if (e->type == BITNET_TYPE_I2_S) return e->is_layout_b ? "64/16 (B)" : "128/32 (A)";
    if (e->type == BITNET_TYPE_HF_PACKED) return "out/4 interleaved";
    const bitnet_type_info *info = bitnet_type_get_info(e->type);
    static const struct {
        uint32_t block;
        const char *text;
    } blocks[] = {{1, "row-major"},
                  {32, "blocks of 32"},
                  {64, "blocks of 64"},
                  {128, "blocks of 128"},
                  {256, "blocks of 256"}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i].block == info->block) return blocks[i].text;
    return "packed";
}

int bitnet_model_get_tensor(const bitnet_model *m, int32_t i, bitnet_tensor_info *out) {
    if (i < 0 || (uint32_t)i >= m->dir.n_tensor) return 0;
    const bitnet_tensor_entry *e = &m->dir.tensor[i];
    *out = (bitnet_tensor_info){.name = e->name,
                                .type = bitnet_type_name(e->type),
                                .layout = layout_of(e),
                                .is_ternary = m->weights.run[i] == BITNET_RUN_TERNARY,
                                .file = (int32_t)e->file,
                                .offset = e->offset,
                                .size = e->size};
    memcpy(out->ne, e->ne, sizeof out->ne);
    return 1;
}

bool bitnet_model_get_bound(const bitnet_model *m, int32_t i, bitnet_bound *out) {
    const bitnet_weights *w = &m->weights;
    for (uint32_t at = 0; w->is_bound && at < w->n_use; at++) {
        const bitnet_use *u = &w->use[at];
        if (!u->slot || i-- > 0) continue;
        *out = (bitnet_bound){.weight = *u->slot,
                              .name = u->entry->name,
                              .is_ternary = *u->run == BITNET_RUN_TERNARY,
                              .k = (int32_t)u->entry->ne[0],
                              .n = (int32_t)u->entry->ne[1]};
        return true;
    }
    return false;
}

/* ---- metadata as text --------------------------------------------------------------------------
 */

static const char *const type_names[] = {"u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                         "bool", "str", "arr", "u64", "i64", "f64"};

#define SHOWN_ELEMENTS 4 /* of an array */

/* A value that is no array. */
static void show_scalar(const bitnet_meta *e, char *value, size_t cap) {
    bitnet_escaped esc;
    const char *s;
    size_t len;
    int64_t iv;
    double fv;
    bool bv;
    if (bitnet_meta_str(e, &s, &len))
        snprintf(value, cap, "%s", bitnet_escape(&esc, s, len));
    else if (bitnet_meta_bool(e, &bv))
        snprintf(value, cap, "%s", bv ? "true" : "false");
    else if (bitnet_meta_i64(e, &iv))
        snprintf(value, cap, "%" PRId64, iv);
    else if (bitnet_meta_f64(e, &fv))
        snprintf(value, cap, "%g", fv);
    else
        snprintf(value, cap, "?");
}

/* Element i of an array; *pos steps through one of strings. */
static void show_element(const bitnet_meta *e, uint64_t i, uint64_t *pos, char *value, size_t cap) {
    bitnet_escaped esc;
    const char *s;
    size_t len;
    if (e->elem == BITNET_META_STR) {
        bool is_there = bitnet_meta_next_str(e, pos, &s, &len);
        snprintf(value, cap, "%s", is_there ? bitnet_escape(&esc, s, len) : "?");
        return;
    }
    uint64_t size = e->size / e->n;
    bitnet_meta one = {
        .type = e->elem, .elem = e->elem, .n = 1, .data = e->data + i * size, .size = size};
    show_scalar(&one, value, cap);
}

/* "[str x 3] a, b, c" */
static void show_array(const bitnet_meta *e, char *value, size_t cap) {
    uint64_t pos = 0;
    size_t at = (size_t)snprintf(value, cap, "[%s x %" PRIu64 "]", type_names[e->elem], e->n);
    for (uint64_t i = 0; i < e->n && at < cap; i++) {
        char one[sizeof(bitnet_escaped)] = "...";
        if (i < SHOWN_ELEMENTS) show_element(e, i, &pos, one, sizeof one);
        at += (size_t)snprintf(value + at, cap - at, "%s%s", i ? ", " : " ", one);
        if (i == SHOWN_ELEMENTS) break;
    }
}

int bitnet_model_get_meta(const bitnet_model *m, int32_t i, const char **key, char *value,
                          size_t cap) {
    if (i < 0 || (uint32_t)i >= m->dir.n_meta) return 0;
    const bitnet_meta *e = &m->dir.meta[i];
    *key = e->key;
    if (e->type == BITNET_META_ARR)
        show_array(e, value, cap);
    else
        show_scalar(e, value, cap);
    return 1;
}

/* ---- memory ----------------------------------------------------------------------------------
 */

uint64_t bitnet_model_ctx_size(const bitnet_model *m, int32_t n_ctx) {
    return bitnet_kv_size(m, n_ctx);
}

bitnet_memory_plan bitnet_model_plan(const bitnet_model *m, int32_t n_ctx, int32_t n_batch,
                                     int32_t n_logits) {
    bitnet_memory_plan p = {0};
    if (!m->arch) return p;
    if (n_ctx <= 0) n_ctx = m->hp.n_ctx_train;
    bitnet_weights_desc wd = bitnet_model_weights_desc(m, NULL);
    bitnet_weights_memory(&m->weights, &wd, &p.mapped, &p.copied);
    p.kv = bitnet_kv_size(m, n_ctx);
    bitnet_ctx_plan(m, n_ctx, n_batch, n_logits, &p.scratch, &p.backend);
    return p;
}
