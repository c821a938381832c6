/* dir.c: looking things up in a directory, and reading metadata values. See tensors.h.
 *
 * A value's bytes come from a file that may be mapped, so they are believed only inside
 * [data, data + size): the getters check again instead of trusting what the reader once saw.
 */
#include "format/tensors.h"

#include <string.h>

#include "format/sort.h"

void bitnet_dir_free(bitnet_dir *dir) {
    bitnet_allocator a = dir->allocator;
    bitnet_free(&a, dir->header, dir->header_size);
    bitnet_free(&a, dir->block, dir->block_size);
    *dir = (bitnet_dir){0};
}

/* ---- indices ----------------------------------------------------------------------------- */

static bool key_less(const void *ctx, uint32_t a, uint32_t b) {
    const bitnet_dir *dir = ctx;
    return strcmp(dir->meta[a].key, dir->meta[b].key) < 0;
}

static bool name_less(const void *ctx, uint32_t a, uint32_t b) {
    const bitnet_dir *dir = ctx;
    return strcmp(dir->tensor[a].name, dir->tensor[b].name) < 0;
}

/* Names that occur twice are neighbours once the index is sorted. */
static uint32_t make_index(uint32_t *index, uint32_t n, bitnet_less_fn less,
                           const bitnet_dir *dir) {
    for (uint32_t i = 0; i < n; i++)
        index[i] = i;
    bitnet_sort(index, n, less, dir);
    for (uint32_t i = 1; i < n; i++)
        if (!less(dir, index[i - 1], index[i])) return index[i];
    return UINT32_MAX;
}

const char *bitnet_dir_index_meta(bitnet_dir *dir) {
    uint32_t twice = make_index(dir->meta_index, dir->n_meta, key_less, dir);
    return twice == UINT32_MAX ? NULL : dir->meta[twice].key;
}

const char *bitnet_dir_index_tensors(bitnet_dir *dir) {
    uint32_t twice = make_index(dir->tensor_index, dir->n_tensor, name_less, dir);
    return twice == UINT32_MAX ? NULL : dir->tensor[twice].name;
}

/* ---- lookup by name ---------------------------------------------------------------------- */

typedef const char *(*name_fn)(const bitnet_dir *dir, uint32_t i);

static const char *meta_key(const bitnet_dir *dir, uint32_t i) {
    return dir->meta[i].key;
}

static const char *tensor_name(const bitnet_dir *dir, uint32_t i) {
    return dir->tensor[i].name;
}

/* Binary search in an index sorted by name; UINT32_MAX when there is none. */
static uint32_t find(const bitnet_dir *dir, const uint32_t *index, uint32_t n, name_fn name_of,
                     const char *name) {
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = strcmp(name, name_of(dir, index[mid]));
        if (order == 0) return index[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return UINT32_MAX;
}

const bitnet_meta *bitnet_dir_meta(const bitnet_dir *dir, const char *key) {
    uint32_t i = find(dir, dir->meta_index, dir->n_meta, meta_key, key);
    return i == UINT32_MAX ? NULL : &dir->meta[i];
}

const bitnet_tensor_entry *bitnet_dir_tensor(const bitnet_dir *dir, const char *name) {
    uint32_t i = find(dir, dir->tensor_index, dir->n_tensor, tensor_name, name);
    return i == UINT32_MAX ? NULL : &dir->tensor[i];
}

/* ---- values ------------------------------------------------------------------------------ */

/* Bytes of an integer type, 0 for any other. */
static uint32_t int_size(bitnet_meta_type t) {
    switch (t) {
    case BITNET_META_U8:
    case BITNET_META_I8:
        return 1;
    case BITNET_META_U16:
    case BITNET_META_I16:
        return 2;
    case BITNET_META_U32:
    case BITNET_META_I32:
        return 4;
    case BITNET_META_U64:
    case BITNET_META_I64:
        return 8;
    default:
        return 0;
    }
}

bool bitnet_meta_at_i64(const bitnet_meta *m, uint64_t i, int64_t *out) {
    uint32_t n = m ? int_size(m->elem) : 0;
    if (n == 0 || i >= m->size / n) return false;
    uint64_t v = bitnet_load_le(m->data + i * n, n);
    if (m->elem == BITNET_META_U64 && v > INT64_MAX) return false;
    bool is_signed = m->elem == BITNET_META_I8 || m->elem == BITNET_META_I16 ||
                     m->elem == BITNET_META_I32 || m->elem == BITNET_META_I64;
    uint64_t sign = (uint64_t)1 << (8 * n - 1);
    if (is_signed && (v & sign)) v |= ~(sign | (sign - 1));
    memcpy(out, &v, sizeof *out);
    return true;
}

bool bitnet_meta_i64(const bitnet_meta *m, int64_t *out) {
    return m && m->type != BITNET_META_ARR && bitnet_meta_at_i64(m, 0, out);
}

bool bitnet_meta_f64(const bitnet_meta *m, double *out) {
    if (m && m->type == BITNET_META_F32 && m->size >= 4) {
        uint32_t bits = (uint32_t)bitnet_load_le(m->data, 4);
        float f;
        memcpy(&f, &bits, sizeof f);
        *out = (double)f;
        return true;
    }
    if (m && m->type == BITNET_META_F64 && m->size >= 8) {
        uint64_t bits = bitnet_load_le(m->data, 8);
        memcpy(out, &bits, sizeof *out);
        return true;
    }
    return false;
}

bool bitnet_meta_bool(const bitnet_meta *m, bool *out) {
    if (!m || m->type != BITNET_META_BOOL || m->size < 1) return false;
    *out = m->data[0] != 0;
    return true;
}

/* The string at byte *pos of m's data; moves *pos behind it. */
static bool str_at(const bitnet_meta *m, uint64_t *pos, const char **s, size_t *len) {
    if (*pos > m->size || m->size - *pos < 8) return false;
    uint64_t n = bitnet_load_le(m->data + *pos, 8);
    if (n > m->size - *pos - 8) return false;
    *s = (const char *)m->data + *pos + 8;
    *len = (size_t)n;
    *pos += 8 + n;
    return true;
}

bool bitnet_meta_str(const bitnet_meta *m, const char **s, size_t *len) {
    uint64_t pos = 0;
    return m && m->type == BITNET_META_STR && str_at(m, &pos, s, len);
}

bool bitnet_meta_next_str(const bitnet_meta *m, uint64_t *pos, const char **s, size_t *len) {
    return m && m->type == BITNET_META_ARR && m->elem == BITNET_META_STR && str_at(m, pos, s, len);
}
