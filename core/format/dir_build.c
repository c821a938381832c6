/* dir_build.c: see dir_build.h. Four growing buffers: values as GGUF would write them, zero-terminated
 * names, and one record per key and per tensor that holds positions in the first two. finish turns the
 * positions into pointers: the values become the directory's header, the rest its one block.
 */
#include "format/dir_build.h"

#include <assert.h>
#include <string.h>

#define MAX_KEY     65535u
#define MAX_NAME    63u
#define MAX_ENTRIES ((uint32_t)1 << 30) /* what bitnet_sort takes, and an index of 4 bytes holds */
#define FIRST_GRAIN 256u

typedef struct meta_record {
    size_t key, data; /* positions in names and values */
    uint64_t n, size;
    bitnet_meta_type type, elem;
} meta_record;

typedef struct tensor_record {
    bitnet_tensor_entry entry; /* its name is set by finish */
    size_t name;
} tensor_record;

void bitnet_build_init(bitnet_dir_builder *b, const bitnet_allocator *alloc, bitnet_error *err) {
    *b = (bitnet_dir_builder){.alloc = alloc, .err = err};
}

void bitnet_build_free(bitnet_dir_builder *b) {
    bitnet_free(b->alloc, b->values.p, b->values.cap);
    bitnet_free(b->alloc, b->names.p, b->names.cap);
    bitnet_free(b->alloc, b->metas.p, b->metas.cap);
    bitnet_free(b->alloc, b->tensors.p, b->tensors.cap);
    bitnet_build_init(b, b->alloc, b->err);
}

/* ---- bytes ------------------------------------------------------------------------------- */

static void fail_memory(bitnet_dir_builder *b, uint64_t size) {
    b->status = bitnet_fail(b->err, BITNET_E_NOMEM, "dir.memory",
                            "no memory for a directory of %llu bytes", (unsigned long long)size);
}

/* Room for n more bytes at the end of one of the four buffers; NULL after a failure. */
static uint8_t *grow(bitnet_dir_builder *b, bitnet_dir_bytes *to, size_t n) {
    if (b->status < 0) return NULL;
    if (n > to->cap - to->n) {
        uint64_t want, more;
        if (ck_add(to->n, n, &want)) want = UINT64_MAX;
        if (!ck_add(to->cap, to->cap / 2 + FIRST_GRAIN, &more) && more > want) want = more;
        uint8_t *grown = want <= SIZE_MAX ? bitnet_alloc(b->alloc, (size_t)want) : NULL;
        if (!grown) {
            fail_memory(b, want);
            return NULL;
        }
        if (to->n) memcpy(grown, to->p, to->n);
        bitnet_free(b->alloc, to->p, to->cap);
        to->p = grown;
        to->cap = (size_t)want;
    }
    uint8_t *at = to->p + to->n;
    to->n += n;
    return at;
}

/* The record of the key that was added last. */
static meta_record *last_key(bitnet_dir_builder *b) {
    return (void *)(b->metas.p + b->metas.n - sizeof(meta_record));
}

/* Appends a value, or a part of one, to the key that was added last. */
static void put(bitnet_dir_builder *b, const void *bytes, size_t n) {
    uint8_t *at = grow(b, &b->values, n);
    if (!at) return;
    if (n) memcpy(at, bytes, n);
    last_key(b)->size += n;
}

static void put_le(bitnet_dir_builder *b, uint64_t v, uint32_t n) {
    uint8_t le[8];
    for (uint32_t i = 0; i < n; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    put(b, le, n);
}

static void put_str(bitnet_dir_builder *b, const char *s, size_t n) {
    put_le(b, n, 8);
    put(b, s, n);
}

/* Copies a name; false after a failure. */
static bool put_name(bitnet_dir_builder *b, const char *name, size_t max, size_t *at) {
    size_t n = strlen(name);
    bitnet_escaped e;
    if (b->status < 0) return false;
    if (n < 1 || n > max) {
        b->status = bitnet_fail(b->err, BITNET_E_FORMAT, "dir.name",
                                "'%.96s': a name of %zu bytes; allowed are 1 to %zu",
                                bitnet_escape(&e, name, n), n, max);
        return false;
    }
    uint8_t *copy = grow(b, &b->names, n + 1);
    if (!copy) return false;
    memcpy(copy, name, n + 1);
    *at = (size_t)(copy - b->names.p);
    return true;
}

/* ---- keys -------------------------------------------------------------------------------- */

static bool add_key(bitnet_dir_builder *b, const char *key, bitnet_meta_type type,
                    bitnet_meta_type elem, uint64_t n) {
    meta_record m = {.data = b->values.n, .n = n, .type = type, .elem = elem};
    if (!put_name(b, key, MAX_KEY, &m.key)) return false;
    uint8_t *at = grow(b, &b->metas, sizeof m);
    if (!at) return false;
    memcpy(at, &m, sizeof m);
    return true;
}

void bitnet_build_i64(bitnet_dir_builder *b, const char *key, int64_t v) {
    if (add_key(b, key, BITNET_META_I64, BITNET_META_I64, 1)) put_le(b, (uint64_t)v, 8);
}

void bitnet_build_f64(bitnet_dir_builder *b, const char *key, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (add_key(b, key, BITNET_META_F64, BITNET_META_F64, 1)) put_le(b, bits, 8);
}

void bitnet_build_bool(bitnet_dir_builder *b, const char *key, bool v) {
    if (add_key(b, key, BITNET_META_BOOL, BITNET_META_BOOL, 1)) put_le(b, v, 1);
}

void bitnet_build_str(bitnet_dir_builder *b, const char *key, const char *s, size_t n) {
    if (add_key(b, key, BITNET_META_STR, BITNET_META_STR, 1)) put_str(b, s, n);
}

void bitnet_build_meta(bitnet_dir_builder *b, const bitnet_meta *m) {
    assert(m->size <= SIZE_MAX);
    if (add_key(b, m->key, m->type, m->elem, m->n)) put(b, m->data, (size_t)m->size);
}

void bitnet_build_array(bitnet_dir_builder *b, const char *key, bitnet_meta_type elem) {
    add_key(b, key, BITNET_META_ARR, elem, 0);
}

/* Counts one more element of the array that was begun last. */
static bool add_element(bitnet_dir_builder *b, bitnet_meta_type elem) {
    if (b->status < 0) return false;
    meta_record *last = last_key(b);
    assert(last->type == BITNET_META_ARR && last->elem == elem);
    (void)elem;
    last->n++;
    return true;
}

void bitnet_build_array_str(bitnet_dir_builder *b, const char *s, size_t n) {
    if (add_element(b, BITNET_META_STR)) put_str(b, s, n);
}

void bitnet_build_array_i32(bitnet_dir_builder *b, int32_t v) {
    if (add_element(b, BITNET_META_I32)) put_le(b, (uint32_t)v, 4);
}

void bitnet_build_array_f32(bitnet_dir_builder *b, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (add_element(b, BITNET_META_F32)) put_le(b, bits, 4);
}

/* ---- tensors ----------------------------------------------------------------------------- */

void bitnet_build_tensor(bitnet_dir_builder *b, const bitnet_tensor_entry *t) {
    tensor_record r = {.entry = *t};
    if (!put_name(b, t->name, MAX_NAME, &r.name)) return;
    uint8_t *at = grow(b, &b->tensors, sizeof r);
    if (at) memcpy(at, &r, sizeof r);
}

/* ---- the directory ----------------------------------------------------------------------- */

/* The values, in exactly the memory they need: they stay as long as the model does. */
static bool take_values(bitnet_dir_builder *b, bitnet_dir *dir) {
    if (b->values.n == 0) return true;
    dir->header = bitnet_alloc(b->alloc, b->values.n);
    if (!dir->header) {
        fail_memory(b, b->values.n);
        return false;
    }
    dir->header_size = b->values.n;
    memcpy(dir->header, b->values.p, b->values.n);
    bitnet_free(b->alloc, b->values.p, b->values.cap);
    b->values.p = NULL;
    b->values.n = b->values.cap = 0;
    return true;
}

/* One block: meta | tensor | meta_index | tensor_index | names. */
static bool make_tables(bitnet_dir_builder *b, bitnet_dir *dir) {
    size_t n_meta = b->metas.n / sizeof(meta_record);
    size_t n_tensor = b->tensors.n / sizeof(tensor_record);
    if (n_meta > MAX_ENTRIES || n_tensor > MAX_ENTRIES) {
        fail_memory(b, UINT64_MAX);
        return false;
    }
    uint64_t metas, tensors, indices, size; /* counts below 2^30 of less than 256 bytes */
    metas = (uint64_t)n_meta * sizeof *dir->meta;
    tensors = (uint64_t)n_tensor * sizeof *dir->tensor;
    indices = (uint64_t)(n_meta + n_tensor) * sizeof(uint32_t);
    size = metas + tensors + indices + b->names.n + 1;
    dir->block = size <= SIZE_MAX ? bitnet_alloc(b->alloc, (size_t)size) : NULL;
    if (!dir->block) {
        fail_memory(b, size);
        return false;
    }
    dir->block_size = (size_t)size;
    dir->n_meta = (uint32_t)n_meta;
    dir->n_tensor = (uint32_t)n_tensor;
    dir->meta = dir->block;
    dir->tensor = (void *)(dir->meta + n_meta);
    dir->meta_index = (void *)(dir->tensor + n_tensor);
    dir->tensor_index = dir->meta_index + n_meta;
    return true;
}

static void fill_tables(const bitnet_dir_builder *b, bitnet_dir *dir) {
    static const uint8_t nothing[1]; /* where the value of an empty array lies */
    const uint8_t *values = dir->header ? dir->header : nothing;
    const meta_record *m = (const void *)b->metas.p;
    const tensor_record *t = (const void *)b->tensors.p;
    char *names = (char *)(dir->tensor_index + dir->n_tensor);
    if (b->names.n) memcpy(names, b->names.p, b->names.n);
    for (uint32_t i = 0; i < dir->n_meta; i++)
        dir->meta[i] = (bitnet_meta){.key = names + m[i].key,
                                     .type = m[i].type,
                                     .elem = m[i].elem,
                                     .n = m[i].n,
                                     .data = values + m[i].data,
                                     .size = m[i].size};
    for (uint32_t i = 0; i < dir->n_tensor; i++) {
        dir->tensor[i] = t[i].entry;
        dir->tensor[i].name = names + t[i].name;
    }
}

static bool make_indices(bitnet_dir_builder *b, bitnet_dir *dir) {
    const char *key = bitnet_dir_index_meta(dir), *tensor = bitnet_dir_index_tensors(dir);
    const char *twice = key ? key : tensor;
    bitnet_escaped e;
    if (!twice) return true;
    b->status =
        bitnet_fail(b->err, BITNET_E_FORMAT, "dir.duplicate", "%s '%.96s': occurs more than once",
                    key ? "key" : "tensor", bitnet_escape(&e, twice, strlen(twice)));
    return false;
}

bitnet_status bitnet_build_finish(bitnet_dir_builder *b, bitnet_dir *out) {
    bitnet_dir dir = {.allocator = b->alloc ? *b->alloc : (bitnet_allocator){0}};
    bool ok = b->status >= 0 && take_values(b, &dir) && make_tables(b, &dir);
    if (ok) {
        fill_tables(b, &dir);
        ok = make_indices(b, &dir);
    }
    if (!ok) bitnet_dir_free(&dir);
    *out = dir;
    bitnet_status st = b->status;
    bitnet_build_free(b);
    return st;
}
