/* model.c: bitnet/model.h and bitnet/tokenizer.h over the pieces: directory, arch row,
 * hyper-parameters, vocabulary, backend, weights. One failure path, the same as the normal free.
 */
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/gguf.h"
#include "model/kv.h"

static bitnet_status find_arch(bitnet_model *m, bitnet_error *err) {
    const char *s;
    size_t len;
    if (!bitnet_meta_str(bitnet_dir_meta(&m->dir, "general.architecture"), &s, &len))
        return bitnet_fail(err, BITNET_E_FORMAT, "model.arch",
                           "general.architecture is missing or not a string");
    m->arch = bitnet_arch_find(s, len);
    if (m->arch) return BITNET_OK;
    bitnet_escaped e;
    return bitnet_fail(err, BITNET_E_UNSUPPORTED, "model.arch",
                       "general.architecture is \"%s\"; supported are %s",
                       bitnet_escape(&e, s, len), bitnet_arch_names());
}

/* The embedding's rows are the vocabulary size the forward pass works with; the token list may be
 * shorter (padded models) but not longer. */
static bitnet_status find_n_vocab(bitnet_model *m, bitnet_error *err) {
    const bitnet_tensor_entry *e = bitnet_dir_tensor(&m->dir, "token_embd.weight");
    if (!e)
        return bitnet_fail(err, BITNET_E_FORMAT, "model.tensor.missing",
                           "tensor token_embd.weight is missing");
    if (e->ne[1] > 1 << 20)
        return bitnet_fail(err, BITNET_E_FORMAT, "model.hparam",
                           "token_embd.weight has %" PRId64 " rows; allowed are 1 to %d", e->ne[1],
                           1 << 20);
    m->hp.n_vocab = (int32_t)e->ne[1];
    return BITNET_OK;
}

bitnet_status bitnet_model_load(bitnet_model **out, const bitnet_model_desc *desc,
                                bitnet_error *err) {
    *out = NULL;
    if (!desc->source || !desc->source->read)
        return bitnet_fail(err, BITNET_E_INVAL, "model.source", "no source to load the model from");
    const bitnet_backend_ops *ops = desc->backend ? desc->backend : &bitnet_backend_cpu;
    if (ops->abi != BITNET_BACKEND_ABI)
        return bitnet_fail(err, BITNET_E_BACKEND, "backend.abi",
                           "backend %s speaks abi %u; this library speaks %u", ops->name, ops->abi,
                           BITNET_BACKEND_ABI);
    bitnet_model *m = bitnet_alloc(&desc->allocator, sizeof *m);
    if (!m)
        return bitnet_fail(err, BITNET_E_NOMEM, "model.memory", "no memory for the model's tables");
    m->allocator = desc->allocator;
    m->logger = desc->logger;
    m->source = *desc->source;
    m->ops = ops;

    bitnet_backend_desc bd = {desc->n_threads, desc->cpu_mask, desc->allocator};
    bitnet_status st = bitnet_gguf_read(&m->dir, &m->source, &m->allocator, err);
    if (st >= 0) st = find_arch(m, err);
    if (st >= 0) st = bitnet_hparams_read(&m->hp, m->arch, &m->dir, err);
    if (st >= 0) st = find_n_vocab(m, err);
    if (st >= 0)
        st = bitnet_vocab_create(&m->vocab, &m->dir, m->arch->name, m->hp.n_vocab, &m->allocator,
                                 err);
    if (st >= 0) st = ops->open(&m->backend, &bd, err);
    if (st >= 0)
        st = bitnet_weights_bind(&m->weights, &m->hp, m->arch, &m->dir, &m->source, ops, m->backend,
                                 &m->allocator, &desc->progress, err);
    if (st < 0) {
        bitnet_model_free(m);
        return st;
    }
    const char *name;
    size_t len;
    if (bitnet_meta_str(bitnet_dir_meta(&m->dir, "general.name"), &name, &len)) {
        bitnet_escaped e;
        snprintf(m->name, sizeof m->name, "%s", bitnet_escape(&e, name, len));
    }
    bitnet_log(&m->logger, BITNET_LOG_INFO, "%s: %s, %d layers, %.1f M parameters, %.1f MB",
               m->name, m->arch->name, m->hp.n_layer, (double)m->weights.n_params * 1e-6,
               (double)m->source.size * 1e-6);
    *out = m;
    return BITNET_OK;
}

void bitnet_model_free(bitnet_model *m) {
    if (!m) return;
    bitnet_weights_free(&m->weights, &m->hp, m->ops, m->backend, &m->allocator);
    if (m->backend) m->ops->close(m->backend);
    bitnet_vocab_free(m->vocab);
    bitnet_dir_free(&m->dir);
    bitnet_allocator a = m->allocator;
    bitnet_free(&a, m, sizeof *m);
}

bitnet_model_info bitnet_model_get_info(const bitnet_model *m) {
    bitnet_backend_info be = {0};
    m->ops->info(m->backend, &be);
    return (bitnet_model_info){
        .arch = m->arch->name,
        .name = m->name,
        .backend = m->ops->name,
        .tier = be.tier,
        .tokenizer = m->vocab ? bitnet_vocab_name(m->vocab) : "none",
        .n_layer = m->hp.n_layer,
        .n_embd = m->hp.n_embd,
        .n_head = m->hp.n_head,
        .n_head_kv = m->hp.n_head_kv,
        .head_dim = m->hp.head_dim,
        .n_ff = m->hp.n_ff,
        .n_vocab = m->hp.n_vocab,
        .n_ctx_train = m->hp.n_ctx_train,
        .n_threads = be.n_threads,
        .rope_base = m->hp.rope_base,
        .norm_eps = m->hp.norm_eps,
        .bos = m->vocab ? bitnet_vocab_bos(m->vocab) : -1,
        .eos = m->vocab ? bitnet_vocab_eos(m->vocab) : -1,
        .n_params = m->weights.n_params,
        .file_size = m->source.size,
        .weight_size = m->weights.size,
        .token_bytes = m->weights.token_bytes,
        .fingerprint = m->weights.fingerprint,
    };
}

int bitnet_model_get_tensor(const bitnet_model *m, int32_t i, bitnet_tensor_info *out) {
    if (i < 0 || (uint32_t)i >= m->dir.n_tensor) return 0;
    const bitnet_tensor_entry *e = &m->dir.tensor[i];
    *out = (bitnet_tensor_info){.name = e->name,
                                .type = bitnet_type_name(e->type),
                                .layout = e->type == BITNET_TYPE_I2_S ? "128/32 (A)" : "row-major",
                                .offset = e->offset,
                                .size = e->size};
    memcpy(out->ne, e->ne, sizeof out->ne);
    return 1;
}

/* ---- metadata as text --------------------------------------------------------------------------
 */

static const char *const type_names[] = {"u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                         "bool", "str", "arr", "u64", "i64", "f64"};

int bitnet_model_get_meta(const bitnet_model *m, int32_t i, const char **key, char *value,
                          size_t cap) {
    if (i < 0 || (uint32_t)i >= m->dir.n_meta) return 0;
    const bitnet_meta *e = &m->dir.meta[i];
    bitnet_escaped esc;
    const char *s;
    size_t len;
    int64_t iv;
    double fv;
    bool bv;
    *key = e->key;
    if (e->type == BITNET_META_ARR)
        snprintf(value, cap, "[%s x %" PRIu64 "]", type_names[e->elem], e->n);
    else if (bitnet_meta_str(e, &s, &len))
        snprintf(value, cap, "%s", bitnet_escape(&esc, s, len));
    else if (bitnet_meta_bool(e, &bv))
        snprintf(value, cap, "%s", bv ? "true" : "false");
    else if (bitnet_meta_i64(e, &iv))
        snprintf(value, cap, "%" PRId64, iv);
    else if (bitnet_meta_f64(e, &fv))
        snprintf(value, cap, "%g", fv);
    else
        snprintf(value, cap, "?");
    return 1;
}

uint64_t bitnet_model_ctx_size(const bitnet_model *m, int32_t n_ctx) {
    return bitnet_kv_size(&m->hp, n_ctx);
}

/* ---- bitnet/tokenizer.h ------------------------------------------------------------------------
 */

int32_t bitnet_tokenize(const bitnet_model *m, const char *text, size_t len, uint32_t flags,
                        bitnet_token *out, int32_t cap) {
    if (!m->vocab) return BITNET_E_UNSUPPORTED;
    if (len > 1u << 30) return BITNET_E_INVAL;
    return bitnet_vocab_encode(m->vocab, text, len, flags, out, cap);
}

int32_t bitnet_token_text(const bitnet_model *m, bitnet_token id, char *out, int32_t cap) {
    if (!m->vocab) return BITNET_E_UNSUPPORTED;
    return bitnet_vocab_text(m->vocab, id, out, cap);
}

int bitnet_token_is_end(const bitnet_model *m, bitnet_token id) {
    return m->vocab && bitnet_vocab_is_end(m->vocab, id);
}
