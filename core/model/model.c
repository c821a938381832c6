/* model.c: loading, for bitnet/model.h: files -> directory, arch row, hyper-parameters, vocabulary,
 * backend, weights, as far as the level asks for. One failure path, the same as the normal free.
 *
 * A file without any tensor holds a vocabulary, and maybe no hyper-parameters: it loads at every level
 * but the one that wants weights.
 */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "format/open.h"
#include "text/chat.h"

bitnet_weights_desc bitnet_model_weights_desc(const bitnet_model *m,
                                              const bitnet_progress *progress) {
    return (bitnet_weights_desc){.hp = &m->hp,
                                 .arch = m->arch,
                                 .dir = &m->dir,
                                 .source = m->source,
                                 .allocator = &m->allocator,
                                 .ops = m->ops,
                                 .backend = m->backend,
                                 .progress = progress};
}

/* ---- files ---------------------------------------------------------------------------------
 */

static void copy_text(char *out, size_t cap, const bitnet_dir *dir, const char *key) {
    const char *s;
    size_t len;
    bitnet_escaped e;
    if (bitnet_meta_str(bitnet_dir_meta(dir, key), &s, &len))
        snprintf(out, cap, "%s", bitnet_escape(&e, s, len));
}

static bitnet_status open_files(bitnet_model *m, const bitnet_model_desc *desc, bitnet_error *err) {
    bitnet_file single = {"", desc->source ? *desc->source : (bitnet_source){0}};
    bitnet_open_desc od = {.files = desc->source ? &single : desc->files,
                           .n_files = desc->source ? 1 : desc->n_files,
                           .i2s_layout = desc->i2s_layout,
                           .overrides = desc->overrides,
                           .n_overrides = desc->n_overrides};
    bool is_readable = od.files && od.n_files > 0;
    for (int32_t i = 0; is_readable && i < od.n_files; i++)
        is_readable = od.files[i].source.read != NULL;
    if (!is_readable)
        return bitnet_fail(err, BITNET_E_INVAL, "model.source", "no source to load the model from");
    m->source = bitnet_alloc(&m->allocator, (size_t)od.n_files * sizeof *m->source);
    if (!m->source)
        return bitnet_fail(err, BITNET_E_NOMEM, "model.memory", "no memory for the table of files");
    m->n_source = od.n_files;
    for (int32_t i = 0; i < od.n_files; i++)
        m->source[i] = od.files[i].source;
    bitnet_status st = bitnet_dir_open(&m->dir, &od, &m->allocator, err);
    if (st < 0) return st;
    size_t cap = sizeof m->container;
    if (m->dir.container == BITNET_CONTAINER_SAFETENSORS)
        snprintf(m->container, cap, "safetensors");
    else if (od.n_files > 1)
        snprintf(m->container, cap, "GGUF v%u, %d files", m->dir.version, od.n_files);
    else
        snprintf(m->container, cap, "GGUF v%u", m->dir.version);
    copy_text(m->name, sizeof m->name, &m->dir, "general.name");
    copy_text(m->arch_name, sizeof m->arch_name, &m->dir, "general.architecture");
    return BITNET_OK;
}

/* ---- what the directory alone tells ----------------------------------------------------------
 */

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

static void log_unused(const bitnet_model *m) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->weights.n_tensor; i++)
        n += m->weights.run[i] == BITNET_RUN_UNUSED;
    if (n)
        bitnet_log(&m->logger, BITNET_LOG_INFO, "%u of %u tensors are not used by %s", n,
                   m->weights.n_tensor, m->arch->name);
}

static bitnet_status describe(bitnet_model *m, bitnet_error *err) {
    if (m->dir.n_tensor == 0 && m->level != BITNET_LOAD_WEIGHTS) {
        const bitnet_meta *tokens = bitnet_dir_meta(&m->dir, "tokenizer.ggml.tokens");
        if (tokens && tokens->n <= 1 << 20) m->hp.n_vocab = (int32_t)tokens->n;
        return BITNET_OK;
    }
    bitnet_weights_desc wd = bitnet_model_weights_desc(m, NULL);
    bitnet_status st = find_arch(m, err);
    wd.arch = m->arch;
    if (st >= 0) st = bitnet_hparams_read(&m->hp, m->arch, &m->dir, &m->logger, err);
    if (st >= 0) st = bitnet_weights_find(&m->weights, &wd, err);
    if (st >= 0) log_unused(m);
    return st;
}

/* Two loads of the same bytes that are run in another way must not share cached keys and values. */
static uint64_t fingerprint_of(const bitnet_model *m) {
    const bitnet_hparams *hp = &m->hp;
    const int32_t ints[] = {hp->n_layer,      hp->n_head,     hp->n_head_kv,
                            hp->head_dim,     hp->n_rot,      (int)hp->act,
                            hp->is_rope_norm, (int)m->type_k, (int)m->type_v};
    const float floats[] = {hp->rope_base, hp->rope_factor, hp->norm_eps};
    return hash_bytes(hash_bytes(0, ints, sizeof ints), floats, sizeof floats);
}

/* ---- load ------------------------------------------------------------------------------------
 */

/* Bytes of keys and values that are kept in f32 unless something else is asked for. */
#define SMALL_KV ((uint64_t)64 << 20)

static bitnet_type type_of_cache(const bitnet_hparams *hp, bitnet_kv_type t) {
    static const bitnet_type types[] = {
        [BITNET_KV_F16] = BITNET_TYPE_F16,
        [BITNET_KV_F32] = BITNET_TYPE_F32,
        [BITNET_KV_Q8_0] = BITNET_TYPE_Q8_0,
    };
    uint64_t window = (uint64_t)hp->n_layer * (uint64_t)hp->n_head_kv * (uint64_t)hp->head_dim *
                      (uint64_t)hp->n_ctx_train * 2 * sizeof(float);
    if (t == BITNET_KV_AUTO) t = window <= SMALL_KV ? BITNET_KV_F32 : BITNET_KV_F16;
    return types[t];
}

static bitnet_status set_cache_types(bitnet_model *m, const bitnet_model_desc *desc,
                                     bitnet_error *err) {
    m->type_k = type_of_cache(&m->hp, desc->cache_type_k);
    m->type_v = type_of_cache(&m->hp, desc->cache_type_v);
    bool is_in_blocks = m->type_k == BITNET_TYPE_Q8_0 || m->type_v == BITNET_TYPE_Q8_0;
    if (!is_in_blocks || m->hp.head_dim % 32 == 0) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_UNSUPPORTED, "model.cache_type",
                       "a q8_0 cache keeps blocks of 32 values and this model's heads have %d",
                       m->hp.head_dim);
}

static bitnet_status load(bitnet_model *m, const bitnet_model_desc *desc, bitnet_error *err) {
    bitnet_status st = open_files(m, desc, err);
    if (st >= 0) st = describe(m, err);
    if (st >= 0) st = set_cache_types(m, desc, err);
    if (st >= 0 && m->level != BITNET_LOAD_HEADER)
        st = bitnet_vocab_create(&m->vocab, &m->dir, m->arch_name, m->hp.n_vocab, &m->allocator,
                                 err);
    m->tokenizer = bitnet_vocab_name_of(&m->dir, m->arch_name);
    m->chat_template = bitnet_chat_family(&m->dir, m->arch_name);
    bitnet_backend_desc bd = {.n_threads = desc->n_threads,
                              .cpu_mask = desc->cpu_mask,
                              .allocator = desc->allocator,
                              .weight_bits = desc->weight_bits,
                              .sparse = desc->sparse,
                              .staged = desc->staged};
    if (m->level == BITNET_LOAD_WEIGHTS) bd.ternary_size = bitnet_weights_ternary(&m->weights);
    if (st >= 0) st = m->ops->open(&m->backend, &bd, err);
    if (st < 0 || m->level != BITNET_LOAD_WEIGHTS) return st;
    bitnet_weights_desc wd = bitnet_model_weights_desc(m, &desc->progress);
    m->weights.fingerprint = fingerprint_of(m);
    return bitnet_weights_bind(&m->weights, &wd, err);
}

bitnet_status bitnet_model_load(bitnet_model **out, const bitnet_model_desc *desc,
                                bitnet_error *err) {
    *out = NULL;
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
    m->level = desc->level;
    m->ops = ops;
    bitnet_status st = load(m, desc, err);
    if (st < 0) {
        bitnet_model_free(m);
        return st;
    }
    bitnet_log(&m->logger, BITNET_LOG_INFO, "%s: %s, %d layers, %.1f M parameters, %.1f MB",
               m->name, m->arch_name, m->hp.n_layer, (double)m->weights.n_params * 1e-6,
               (double)m->weights.size * 1e-6);
    if (m->level == BITNET_LOAD_WEIGHTS)
        bitnet_log(&m->logger, BITNET_LOG_INFO, "ternary weights in %s",
                   bitnet_model_get_info(m).weights);
    *out = m;
    return BITNET_OK;
}

const bitnet_backend_ops *bitnet_model_get_backend(const bitnet_model *m, bitnet_backend **be) {
    *be = m->backend;
    return m->ops;
}

void bitnet_model_set_backend(bitnet_model *m, const bitnet_backend_ops *ops, bitnet_backend *be) {
    m->ops = ops;
    m->backend = be;
}

void bitnet_model_free(bitnet_model *m) {
    if (!m) return;
    bitnet_weights_desc wd = bitnet_model_weights_desc(m, NULL);
    bitnet_weights_free(&m->weights, &wd);
    if (m->backend) m->ops->close(m->backend);
    bitnet_vocab_free(m->vocab);
    bitnet_dir_free(&m->dir);
    bitnet_free(&m->allocator, m->source, (size_t)m->n_source * sizeof *m->source);
    bitnet_allocator a = m->allocator;
    bitnet_free(&a, m, sizeof *m);
}
