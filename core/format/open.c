/* open.c: see open.h. One plain GGUF file is handed through as its reader left it; parts are joined and
 * overrides applied by building the directory anew.
 */
#include "format/open.h"

#include <inttypes.h>
#include <string.h>

#include "bitnet/backend.h"
#include "format/gguf.h"
#include "format/hf.h"
#include "base/json.h"

/* ---- overrides --------------------------------------------------------------------------- */

/* A number as JSON writes it, and nothing around it. */
static bool read_number(const char *text, double *out) {
    bitnet_json j = bitnet_json_open(text, strlen(text));
    return !strpbrk(text, " \t\r\n") && bitnet_json_number(&j, out) && bitnet_json_end(&j);
}

static bool read_integer(const char *text, int64_t *out) {
    bitnet_json j = bitnet_json_open(text, strlen(text));
    return !strpbrk(text, " \t\r\n") && bitnet_json_int(&j, out) && bitnet_json_end(&j);
}

/* The text behind "type:", or NULL. */
static const char *value_of(const char *text, const char *type) {
    size_t n = strlen(type);
    return !strncmp(text, type, n) && text[n] == ':' ? text + n + 1 : NULL;
}

static bitnet_status add_override(bitnet_dir_builder *b, const bitnet_override *o,
                                  bitnet_error *err) {
    const char *v;
    int64_t i;
    double f;
    if ((v = value_of(o->value, "str")))
        bitnet_build_str(b, o->key, v, strlen(v));
    else if ((v = value_of(o->value, "int")) && read_integer(v, &i))
        bitnet_build_i64(b, o->key, i);
    else if ((v = value_of(o->value, "float")) && read_number(v, &f))
        bitnet_build_f64(b, o->key, f);
    else if ((v = value_of(o->value, "bool")) && (!strcmp(v, "true") || !strcmp(v, "false")))
        bitnet_build_bool(b, o->key, *v == 't');
    else {
        bitnet_escaped key, value;
        return bitnet_fail(
            err, BITNET_E_INVAL, "override.value",
            "override of '%.64s' is \"%.64s\"; int:N, float:X, bool:true, bool:false "
            "and str:TEXT are allowed",
            bitnet_escape(&key, o->key, strlen(o->key)),
            bitnet_escape(&value, o->value, strlen(o->value)));
    }
    return BITNET_OK;
}

static bool is_overridden(const bitnet_open_desc *desc, const char *key) {
    for (int32_t i = 0; i < desc->n_overrides; i++)
        if (!strcmp(desc->overrides[i].key, key)) return true;
    return false;
}

/* ---- building a directory from others ------------------------------------------------------ */

/* part[i] stands at files[order[i]]; metadata comes from part[0]. */
static bitnet_status join(bitnet_dir *out, const bitnet_dir *part, const uint32_t *file_of,
                          uint32_t n, const bitnet_open_desc *desc, const bitnet_allocator *alloc,
                          bitnet_error *err) {
    bitnet_dir_builder b;
    bitnet_build_init(&b, alloc, err);
    for (uint32_t i = 0; i < part[0].n_meta; i++)
        if (!is_overridden(desc, part[0].meta[i].key)) bitnet_build_meta(&b, &part[0].meta[i]);
    bitnet_status st = BITNET_OK;
    for (int32_t i = 0; st >= 0 && i < desc->n_overrides; i++)
        st = add_override(&b, &desc->overrides[i], err);
    for (uint32_t p = 0; p < n; p++)
        for (uint32_t i = 0; i < part[p].n_tensor; i++) {
            bitnet_tensor_entry t = part[p].tensor[i];
            if (file_of) t.file = file_of[p];
            bitnet_build_tensor(&b, &t);
        }
    if (st >= 0) st = bitnet_build_finish(&b, out);
    bitnet_build_free(&b);
    if (st < 0) return st;
    out->container = part[0].container;
    out->version = part[0].version;
    out->n_file = file_of ? n : part[0].n_file;
    return BITNET_OK;
}

/* ---- split files --------------------------------------------------------------------------- */

/* Which part this directory is, by its own keys. */
static bitnet_status part_number(const bitnet_dir *dir, const char *name, int32_t n_files,
                                 int64_t *no, bitnet_error *err) {
    int64_t count = -1;
    bitnet_escaped e;
    bool is_part = bitnet_meta_i64(bitnet_dir_meta(dir, "split.no"), no) &&
                   bitnet_meta_i64(bitnet_dir_meta(dir, "split.count"), &count);
    if (!is_part)
        return bitnet_fail(err, BITNET_E_INVAL, "split.keys",
                           "%s: one of %d files, but it has no split.no and split.count",
                           bitnet_escape(&e, name, strlen(name)), n_files);
    if (count != n_files || *no < 0 || *no >= n_files)
        return bitnet_fail(err, BITNET_E_FORMAT, "split.count",
                           "%s: part %" PRId64 " of %" PRId64 ", but %d files were given",
                           bitnet_escape(&e, name, strlen(name)), *no + 1, count, n_files);
    return BITNET_OK;
}

/* What the first part says the whole model has, against what the parts hold. */
static bitnet_status check_total(const bitnet_dir *part, uint32_t n, bitnet_error *err) {
    const bitnet_meta *m = bitnet_dir_meta(&part[0], "split.tensors.count");
    int64_t want = 0, have = 0;
    for (uint32_t i = 0; i < n; i++)
        have += part[i].n_tensor;
    if (m && (!bitnet_meta_i64(m, &want) || want != have))
        return bitnet_fail(err, BITNET_E_FORMAT, "split.tensors",
                           "split.tensors.count is %" PRId64 ", the %u parts hold %" PRId64
                           " tensors",
                           want, n, have);
    return BITNET_OK;
}

static bitnet_status read_parts(bitnet_dir *part, uint32_t *file_of, const bitnet_open_desc *desc,
                                const bitnet_allocator *alloc, bitnet_error *err) {
    for (int32_t i = 0; i < desc->n_files; i++) {
        bitnet_dir dir;
        int64_t no;
        bitnet_status st = bitnet_gguf_read(&dir, &desc->files[i].source, alloc, err);
        if (st >= 0) st = part_number(&dir, desc->files[i].name, desc->n_files, &no, err);
        if (st >= 0 && part[no].n_file)
            st = bitnet_fail(err, BITNET_E_FORMAT, "split.twice",
                             "part %" PRId64 " of %d was given twice", no + 1, desc->n_files);
        if (st < 0) {
            bitnet_dir_free(&dir);
            return st;
        }
        part[no] = dir;
        file_of[no] = (uint32_t)i;
    }
    return BITNET_OK;
}

static bitnet_status open_split(bitnet_dir *out, const bitnet_open_desc *desc,
                                const bitnet_allocator *alloc, bitnet_error *err) {
    uint32_t n = (uint32_t)desc->n_files;
    size_t size = n * (sizeof(bitnet_dir) + sizeof(uint32_t));
    bitnet_dir *part = bitnet_alloc(alloc, size);
    if (!part) return bitnet_fail(err, BITNET_E_NOMEM, "split.memory", "no memory for %u parts", n);
    uint32_t *file_of = (void *)(part + n);
    bitnet_status st = read_parts(part, file_of, desc, alloc, err);
    if (st >= 0) st = check_total(part, n, err);
    if (st >= 0) st = join(out, part, file_of, n, desc, alloc, err);
    for (uint32_t i = 0; i < n; i++)
        bitnet_dir_free(&part[i]);
    bitnet_free(alloc, part, size);
    return st;
}

/* ---- which reader -------------------------------------------------------------------------- */

static bool has_config(const bitnet_open_desc *desc) {
    for (int32_t i = 0; i < desc->n_files; i++)
        if (desc->files[i].name && !strcmp(desc->files[i].name, "config.json")) return true;
    return false;
}

static bool is_safetensors(const char *name) {
    size_t n = name ? strlen(name) : 0;
    return n >= 12 && !strcmp(name + n - 12, ".safetensors");
}

static bitnet_status open_one(bitnet_dir *out, const bitnet_open_desc *desc,
                              const bitnet_allocator *alloc, bitnet_error *err) {
    bitnet_status st = has_config(desc)
                           ? bitnet_hf_read(out, desc->files, desc->n_files, alloc, err)
                           : bitnet_gguf_read(out, &desc->files[0].source, alloc, err);
    int64_t count = 1;
    if (st >= 0 && !has_config(desc) &&
        bitnet_meta_i64(bitnet_dir_meta(out, "split.count"), &count) && count > 1) {
        bitnet_dir_free(out);
        return bitnet_fail(err, BITNET_E_INVAL, "split.alone",
                           "the file is one of %" PRId64 " parts; the others are needed too",
                           count);
    }
    if (st < 0 || desc->n_overrides == 0) return st;
    bitnet_dir plain = *out;
    *out = (bitnet_dir){0};
    st = join(out, &plain, NULL, 1, desc, alloc, err);
    bitnet_dir_free(&plain);
    return st;
}

bitnet_status bitnet_dir_open(bitnet_dir *out, const bitnet_open_desc *desc,
                              const bitnet_allocator *alloc, bitnet_error *err) {
    *out = (bitnet_dir){0};
    if (desc->n_files < 1)
        return bitnet_fail(err, BITNET_E_INVAL, "model.source", "no file to load the model from");
    if (!has_config(desc) && is_safetensors(desc->files[0].name))
        return bitnet_fail(err, BITNET_E_INVAL, "hf.config.missing",
                           "safetensors without a config.json: give the whole folder");
    bool is_split = desc->n_files > 1 && !has_config(desc);
    bitnet_status st =
        is_split ? open_split(out, desc, alloc, err) : open_one(out, desc, alloc, err);
    for (uint32_t i = 0; st >= 0 && i < out->n_tensor; i++)
        out->tensor[i].is_layout_b =
            desc->i2s_layout == BITNET_I2S_B && out->tensor[i].type == BITNET_TYPE_I2_S;
    return st;
}
