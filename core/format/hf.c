/* hf.c: which files of a Hugging Face folder are read, and in which order: the configuration, the
 * tokenizer, then the weights, each text let go before the next one is opened. See hf.h.
 */
#include "format/hf.h"

#include <inttypes.h>
#include <string.h>

#include "format/hf_parts.h"
#include "format/sort.h"
#include "format/view.h"

#define MAX_CONFIG     ((uint64_t)1 << 20)
#define MAX_TOK_CONFIG ((uint64_t)16 << 20)
#define MAX_INDEX      ((uint64_t)64 << 20)
#define MAX_TOKENIZER  ((uint64_t)256 << 20)
#define SINGLE         "model.safetensors"

/* ---- files and texts --------------------------------------------------------------------- */

static const bitnet_file *find_file(const hf_reader *r, const char *name) {
    for (int32_t i = 0; i < r->n_files; i++)
        if (r->files[i].name && strcmp(r->files[i].name, name) == 0) return &r->files[i];
    return NULL;
}

/* The file's text; a file that is not there leaves *v empty. */
static bool open_text(hf_reader *r, const char *name, uint64_t max, bitnet_view *v) {
    const bitnet_file *f = find_file(r, name);
    *v = (bitnet_view){0};
    if (!f) return true;
    if (f->source.size > max)
        return HF_REFUSE(r, "hf.file.size", "%s: %" PRIu64 " bytes; allowed are %" PRIu64, name,
                         f->source.size, max);
    bitnet_status st = bitnet_view_open(v, &f->source, 0, (size_t)f->source.size, r->alloc);
    if (st == BITNET_E_NOMEM)
        return HF_REFUSE_AS(r, E_NOMEM, "hf.memory", "%s: no memory for %" PRIu64 " bytes", name,
                            f->source.size);
    return st >= 0 || HF_REFUSE_AS(r, E_IO, "hf.read", "%s: reading it failed", name);
}

bool bitnet_hf_open_json(hf_reader *r, const char *name, const char *s, size_t n,
                         bitnet_json *root) {
    *root = bitnet_json_open(s, n);
    bitnet_json j = *root;
    bool is_object = bitnet_json_peek(&j) == BITNET_JSON_OBJECT;
    bitnet_json_skip(&j);
    if (!bitnet_json_end(&j))
        return HF_REFUSE(r, "hf.json", "%s: not JSON at byte %zu: %s", name, j.pos, j.error);
    return is_object || HF_REFUSE(r, "hf.json", "%s: holds something else than an object", name);
}

/* ---- which files hold weights ------------------------------------------------------------ */

typedef struct shards {
    uint32_t *by_name; /* [n_files] indices of r->files */
    uint8_t *is_used;  /* [n_files] */
    size_t by_name_size, is_used_size;
} shards;

static const char *name_of(const hf_reader *r, uint32_t i) {
    return r->files[i].name ? r->files[i].name : "";
}

static bool file_less(const void *ctx, uint32_t a, uint32_t b) {
    int order = strcmp(name_of(ctx, a), name_of(ctx, b));
    return order != 0 ? order < 0 : a < b;
}

static bool make_shards(hf_reader *r, shards *s) {
    s->by_name_size = (size_t)r->n_files * sizeof *s->by_name;
    s->is_used_size = (size_t)r->n_files;
    s->by_name = bitnet_alloc(r->alloc, s->by_name_size);
    s->is_used = bitnet_alloc(r->alloc, s->is_used_size);
    if (!s->by_name || !s->is_used)
        return HF_REFUSE_AS(r, E_NOMEM, "hf.memory", "no memory for the names of %d files",
                            r->n_files);
    for (uint32_t i = 0; i < (uint32_t)r->n_files; i++)
        s->by_name[i] = i;
    bitnet_sort(s->by_name, (uint32_t)r->n_files, file_less, r);
    return true;
}

static void free_shards(hf_reader *r, shards *s) {
    bitnet_free(r->alloc, s->by_name, s->by_name_size);
    bitnet_free(r->alloc, s->is_used, s->is_used_size);
}

/* The file that a value of weight_map names; -1 = none of the folder. */
static int64_t find_shard(const hf_reader *r, const shards *s, const bitnet_json_str *value) {
    char name[256];
    size_t n = bitnet_json_text(value, name, sizeof name - 1);
    if (n >= sizeof name || memchr(name, 0, n)) return -1;
    name[n] = 0;
    uint32_t lo = 0, hi = (uint32_t)r->n_files;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = strcmp(name, name_of(r, s->by_name[mid]));
        if (order == 0) return s->by_name[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return -1;
}

static bool use_shard(hf_reader *r, shards *s, const bitnet_json_str *tensor,
                      const bitnet_json_str *file) {
    bitnet_escaped e;
    (void)tensor;
    int64_t i = find_shard(r, s, file);
    if (i < 0)
        return HF_REFUSE_AS(r, E_NOENT, "hf.shard.missing",
                            HF_INDEX ": names '%.96s', which is not among the files",
                            hf_escape(&e, file));
    s->is_used[i] = 1;
    return true;
}

static bool check_tensor(hf_reader *r, shards *s, const bitnet_json_str *tensor,
                         const bitnet_json_str *file) {
    char name[256];
    bitnet_escaped t, f;
    size_t n = bitnet_json_text(tensor, name, sizeof name - 1);
    const bitnet_st_tensor *found = NULL;
    if (n < sizeof name) {
        name[n] = 0;
        found = bitnet_st_find(&r->tensors, name);
    }
    return (found && (int64_t)found->file == find_shard(r, s, file)) ||
           HF_REFUSE(r, "hf.index.tensor", HF_INDEX ": '%.64s' should be in '%.64s' and is not",
                     hf_escape(&t, tensor), hf_escape(&f, file));
}

/* Visits every entry of the index's weight_map. */
static bool each_entry(hf_reader *r, const bitnet_json *root, shards *s,
                       bool (*visit)(hf_reader *r, shards *s, const bitnet_json_str *tensor,
                                     const bitnet_json_str *file)) {
    bitnet_json map;
    bitnet_json_str tensor, file;
    if (!bitnet_json_find(root, "weight_map", &map) || !bitnet_json_object(&map))
        return HF_REFUSE(r, "hf.index", HF_INDEX ": \"weight_map\" is not an object");
    while (bitnet_json_next(&map, &tensor)) {
        if (!bitnet_json_string(&map, &file))
            return HF_REFUSE(r, "hf.index",
                             HF_INDEX ": \"weight_map\" holds something else than "
                                      "strings");
        if (!visit(r, s, &tensor, &file)) return false;
    }
    return true;
}

static bool is_safetensors(const char *name) {
    size_t n = name ? strlen(name) : 0;
    return n >= 12 && strcmp(name + n - 12, ".safetensors") == 0;
}

/* Without an index: model.safetensors, or the only file of the kind. */
static bool use_single(hf_reader *r, shards *s) {
    const bitnet_file *single = find_file(r, SINGLE);
    int32_t n = 0;
    for (int32_t i = 0; i < r->n_files; i++) {
        bool is_it = single ? &r->files[i] == single : is_safetensors(r->files[i].name);
        if (is_it) s->is_used[i] = 1;
        n += is_it;
    }
    if (n == 1) return true;
    if (n == 0)
        return HF_REFUSE_AS(r, E_NOENT, "hf.weights.missing",
                            "config.json has no " SINGLE " beside it, and no other *.safetensors");
    return HF_REFUSE(r, "hf.weights.many", "%d *.safetensors, but neither " HF_INDEX " nor " SINGLE,
                     n);
}

static bool read_shards(hf_reader *r, const shards *s) {
    for (int32_t i = 0; i < r->n_files; i++) {
        if (!s->is_used[i]) continue;
        r->status = bitnet_st_read(&r->tensors, &r->files[i], (uint32_t)i, r->alloc, r->err);
        if (r->status < 0) return false;
    }
    return true;
}

static bool read_weights(hf_reader *r) {
    bitnet_view index;
    bitnet_json root;
    shards s = {0};
    bool ok = open_text(r, HF_INDEX, MAX_INDEX, &index) && make_shards(r, &s);
    bool has_index = ok && find_file(r, HF_INDEX);
    if (has_index)
        ok = bitnet_hf_open_json(r, HF_INDEX, index.s, index.n, &root) &&
             each_entry(r, &root, &s, use_shard) && read_shards(r, &s) &&
             each_entry(r, &root, &s, check_tensor);
    else
        ok = ok && use_single(r, &s) && read_shards(r, &s);
    bitnet_view_close(&index, r->alloc);
    free_shards(r, &s);
    return ok && bitnet_hf_read_tensors(r);
}

/* ---- the folder -------------------------------------------------------------------------- */

static bool read_tokenizer(hf_reader *r) {
    bitnet_view json, config;
    bool ok = open_text(r, HF_TOKENIZER, MAX_TOKENIZER, &json);
    if (!find_file(r, HF_TOKENIZER)) return ok;
    ok = ok && open_text(r, HF_TOK_CONFIG, MAX_TOK_CONFIG, &config);
    if (ok) {
        const char *text = find_file(r, HF_TOK_CONFIG) ? config.s : NULL;
        r->status = bitnet_hf_tokenizer(r->b, json.s, json.n, text, config.n, r->err);
        bitnet_view_close(&config, r->alloc);
        ok = r->status >= 0;
    }
    bitnet_view_close(&json, r->alloc);
    if (ok) bitnet_hf_put_token_ids(r);
    return ok;
}

/* generation_config.json knows better than config.json which tokens end a text. */
static bool read_generation(hf_reader *r) {
    bitnet_view v;
    bitnet_json root;
    if (!open_text(r, HF_GENERATION, MAX_CONFIG, &v)) return false;
    bool ok =
        !find_file(r, HF_GENERATION) || (bitnet_hf_open_json(r, HF_GENERATION, v.s, v.n, &root) &&
                                         bitnet_hf_read_generation(r, &root));
    bitnet_view_close(&v, r->alloc);
    return ok;
}

/* config.json stays open to the end: names of modules are looked up in it. */
static bool read_folder(hf_reader *r) {
    bitnet_view v;
    bitnet_json root;
    if (!find_file(r, HF_CONFIG))
        return HF_REFUSE_AS(r, E_INVAL, "hf.config.missing", "no config.json among the files");
    if (!open_text(r, HF_CONFIG, MAX_CONFIG, &v)) return false;
    bool ok = bitnet_hf_open_json(r, HF_CONFIG, v.s, v.n, &root) &&
              bitnet_hf_read_config(r, &root) && read_generation(r) && read_tokenizer(r) &&
              read_weights(r);
    bitnet_view_close(&v, r->alloc);
    return ok;
}

bitnet_status bitnet_hf_read(bitnet_dir *out, const bitnet_file *files, int32_t n_files,
                             const bitnet_allocator *alloc, bitnet_error *err) {
    bitnet_dir_builder b;
    bitnet_build_init(&b, alloc, err);
    hf_reader r = {.files = files, .n_files = n_files, .alloc = alloc, .err = err, .b = &b};
    *out = (bitnet_dir){0};
    bool ok = read_folder(&r);
    bitnet_st_free(&r.tensors);
    if (ok) r.status = bitnet_build_finish(&b, out);
    bitnet_build_free(&b);
    if (r.status < 0) return r.status;
    out->container = BITNET_CONTAINER_SAFETENSORS;
    out->n_file = (uint32_t)n_files;
    return BITNET_OK;
}
