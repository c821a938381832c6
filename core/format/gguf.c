/* gguf.c: see gguf.h for the format and the limits.
 *
 * The metadata is walked twice by the same code. The first walk checks everything and counts the
 * bytes of names; then all tables are allocated as one block of exactly the right size; the second
 * walk fills them. So nothing is allocated on the word of a count alone, and nothing grows but the
 * buffer of raw bytes (a source without `map`), which only ever holds what the file really has.
 *
 * Both walks check. A mapped file may change between them, and then the second one finds out.
 */
#include "format/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/sort.h"

#define HEADER_BYTES      24u
#define MAX_ENTRIES       65536u
#define MAX_KEY           65535u
#define MAX_STRING        (16u << 20)
#define MAX_NAME          63u
#define MAX_METADATA      (256u << 20)
#define MAX_WEIGHTS       ((int64_t)1 << 48)
#define DEFAULT_ALIGNMENT 32
#define MIN_ALIGNMENT     8
#define MAX_ALIGNMENT     (1 << 20)
#define MIN_KV            (8u + 1u + 4u + 1u)           /* a one-byte key and a u8 */
#define MIN_TENSOR        (8u + 1u + 4u + 8u + 4u + 8u) /* a one-byte name, one dimension */
#define FIRST_READ        ((uint64_t)64 << 10)

typedef struct reader {
    const bitnet_source *src;
    const bitnet_allocator *alloc;
    bitnet_error *err;
    bitnet_status status; /* set where a check fails; every function then returns false */
    const uint8_t *bytes; /* the first n_have bytes of the file, in the mapping or in buf */
    uint64_t n_have;
    uint8_t *buf; /* NULL when mapped */
    size_t buf_size;
    uint64_t pos;
    uint32_t version, n_kv, n_tensor;
    uint64_t name_bytes; /* first walk: zero-terminated names so far; second: room left */
    char place[160];     /* "key 'general.name'": begins every sentence */
} reader;

#define REFUSE_AS(r, st, id, ...)                                                                  \
    ((r)->status = bitnet_fail((r)->err, BITNET_##st, id, __VA_ARGS__), false)
#define REFUSE(r, id, ...) REFUSE_AS(r, E_FORMAT, id, __VA_ARGS__)

/* ---- bytes ------------------------------------------------------------------------------- */

/* Maps the head of the file if the source can; otherwise `need` reads on demand. */
static void map_head(reader *r) {
    uint64_t n = r->src->size < MAX_METADATA ? r->src->size : MAX_METADATA;
    if (!r->src->map || n == 0) return;
    r->bytes = r->src->map(r->src->ctx, 0, (size_t)n);
    if (r->bytes) r->n_have = n;
}

/* Grows buf so that it holds at least `end` bytes of the file. */
static bool read_until(reader *r, uint64_t end) {
    uint64_t cap = 2 * (uint64_t)r->buf_size;
    if (cap < FIRST_READ) cap = FIRST_READ;
    if (cap < end) cap = end;
    if (cap > MAX_METADATA) cap = MAX_METADATA;
    if (cap > r->src->size) cap = r->src->size;
    uint8_t *grown = bitnet_alloc(r->alloc, (size_t)cap);
    if (!grown)
        return REFUSE_AS(r, E_NOMEM, "gguf.memory", "no memory for %" PRIu64 " bytes of metadata",
                         cap);
    if (r->n_have) memcpy(grown, r->buf, (size_t)r->n_have);
    bitnet_free(r->alloc, r->buf, r->buf_size);
    r->buf = grown;
    r->buf_size = (size_t)cap;
    r->bytes = grown;
    if (r->src->read(r->src->ctx, r->n_have, grown + r->n_have, (size_t)(cap - r->n_have)) < 0)
        return REFUSE_AS(r, E_IO, "gguf.read", "reading bytes %" PRIu64 " to %" PRIu64 " failed",
                         r->n_have, cap);
    r->n_have = cap;
    return true;
}

/* Makes the n bytes at r->pos available. What r->bytes pointed at before may move. */
static bool need(reader *r, uint64_t n) {
    if (n > r->src->size - r->pos)
        return REFUSE(r, "gguf.truncated",
                      "%s: needs %" PRIu64 " bytes at byte %" PRIu64 " but the file has %" PRIu64,
                      r->place, n, r->pos, r->src->size);
    uint64_t end = r->pos + n;
    if (end <= r->n_have) return true;
    if (end > MAX_METADATA)
        return REFUSE(r, "gguf.metadata.size",
                      "%s: ends at byte %" PRIu64 "; metadata may have at most %u bytes", r->place,
                      end, MAX_METADATA);
    return read_until(r, end);
}

static bool read_u32(reader *r, uint32_t *out) {
    if (!need(r, 4)) return false;
    *out = (uint32_t)bitnet_load_le(r->bytes + r->pos, 4);
    r->pos += 4;
    return true;
}

static bool read_u64(reader *r, uint64_t *out) {
    if (!need(r, 8)) return false;
    *out = bitnet_load_le(r->bytes + r->pos, 8);
    r->pos += 8;
    return true;
}

/* Skips a string of min .. max bytes; *len is its length, its bytes end at r->pos. */
static bool read_str(reader *r, uint64_t min, uint64_t max, const char *id, uint64_t *len) {
    uint64_t at = r->pos;
    if (!read_u64(r, len)) return false;
    if (*len < min || *len > max)
        return REFUSE(r, id,
                      "%s: string of %" PRIu64 " bytes at byte %" PRIu64 "; allowed are %" PRIu64
                      " to %" PRIu64,
                      r->place, *len, at, min, max);
    if (!need(r, *len)) return false;
    r->pos += *len;
    return true;
}

/* A key or a tensor name: in the second walk its zero-terminated copy is appended to *names. */
static bool read_name(reader *r, const char *what, uint64_t max, const char *id, char **names,
                      const char **out) {
    uint64_t len;
    if (!read_str(r, 1, max, id, &len)) return false;
    const uint8_t *s = r->bytes + (r->pos - len);
    bitnet_escaped e;
    snprintf(r->place, sizeof r->place, "%s '%.96s'", what, bitnet_escape(&e, s, (size_t)len));
    if (memchr(s, 0, (size_t)len))
        return REFUSE(r, id, "%s: holds a zero byte; names must not", r->place);
    if (!*names) {
        r->name_bytes += len + 1;
        return true;
    }
    if (len + 1 > r->name_bytes)
        return REFUSE(r, "gguf.changed", "%s: the file changed while it was read", r->place);
    r->name_bytes -= len + 1;
    memcpy(*names, s, (size_t)len);
    *out = *names;
    *names += len + 1; /* the block is zeroed: the terminator is there */
    return true;
}

/* ---- metadata ---------------------------------------------------------------------------- */

/* Bytes of a scalar; 0 for strings and arrays. */
static const uint8_t scalar_size[BITNET_META_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static bool check_bools(reader *r, const uint8_t *b, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        if (b[i] > 1)
            return REFUSE(r, "gguf.kv.bool", "%s: a bool is %u; allowed are 0 and 1", r->place,
                          b[i]);
    return true;
}

/* Skips n scalars of type t. */
static bool read_scalars(reader *r, uint32_t t, uint64_t n) {
    uint64_t size = n * scalar_size[t]; /* the caller compared n with the bytes left, or it is 1 */
    if (!need(r, size)) return false;
    if (t == BITNET_META_BOOL && !check_bools(r, r->bytes + r->pos, n)) return false;
    r->pos += size;
    return true;
}

static bool read_array(reader *r, bitnet_meta *m) {
    uint32_t elem;
    if (!read_u32(r, &elem) || !read_u64(r, &m->n)) return false;
    if (elem >= BITNET_META_COUNT || elem == BITNET_META_ARR)
        return REFUSE(r, "gguf.kv.array.type",
                      "%s: array elements of type %u; allowed are 0 to 12 but for 9, arrays",
                      r->place, elem);
    uint64_t min = elem == BITNET_META_STR ? 8 : scalar_size[elem], left = r->src->size - r->pos;
    if (m->n > left / min)
        return REFUSE(r, "gguf.kv.array.count",
                      "%s: array of %" PRIu64 " elements but only %" PRIu64 " bytes are left",
                      r->place, m->n, left);
    m->elem = (bitnet_meta_type)elem;
    if (elem != BITNET_META_STR) return read_scalars(r, elem, m->n);
    uint64_t len;
    for (uint64_t i = 0; i < m->n; i++)
        if (!read_str(r, 0, MAX_STRING, "gguf.kv.string", &len)) return false;
    return true;
}

/* One key and its value. m->data is right once the bytes no longer move: in the second walk. */
static bool read_kv(reader *r, uint32_t i, bitnet_meta *m, char **names) {
    *m = (bitnet_meta){.n = 1};
    snprintf(r->place, sizeof r->place, "metadata entry %u of %u", i + 1, r->n_kv);
    if (!read_name(r, "key", MAX_KEY, "gguf.kv.key", names, &m->key)) return false;
    uint32_t type;
    if (!read_u32(r, &type)) return false;
    if (type >= BITNET_META_COUNT)
        return REFUSE(r, "gguf.kv.type", "%s: value of type %u; allowed are 0 to %d", r->place,
                      type, BITNET_META_COUNT - 1);
    m->type = m->elem = (bitnet_meta_type)type;
    uint64_t start = r->pos, len;
    bool ok;
    if (type == BITNET_META_STR) {
        ok = read_str(r, 0, MAX_STRING, "gguf.kv.string", &len);
    } else if (type == BITNET_META_ARR) {
        ok = read_array(r, m);
        start += 12; /* data begins behind element type and count */
    } else {
        ok = read_scalars(r, type, 1);
    }
    if (!ok) return false;
    m->data = r->bytes + start;
    m->size = r->pos - start;
    return true;
}

/* ---- tensors ----------------------------------------------------------------------------- */

/* ne and type to size, in bytes. No step can overflow: n <= 2^48 and a block has at most 292 bytes.
 */
static bool tensor_size(reader *r, bitnet_tensor_entry *t) {
    const bitnet_type_info *info = bitnet_type_get_info(t->type);
    if (!info || t->type >= BITNET_TYPE_HF_PACKED)
        return REFUSE(r, "gguf.tensor.type",
                      "%s: type %u is unknown or was removed from the format", r->place, t->type);
    if (t->ne[0] % info->block)
        return REFUSE(r, "gguf.tensor.row",
                      "%s: rows of %" PRId64 " weights; type %s needs a multiple of %u", r->place,
                      t->ne[0], info->name, info->block);
    t->size = bitnet_tensor_size(t->type, t->ne);
    return true;
}

static bool read_shape(reader *r, bitnet_tensor_entry *t) {
    if (!read_u32(r, &t->n_dims)) return false;
    if (t->n_dims < 1 || t->n_dims > 4)
        return REFUSE(r, "gguf.tensor.dims", "%s: %u dimensions; allowed are 1 to 4", r->place,
                      t->n_dims);
    int64_t left = MAX_WEIGHTS;
    for (uint32_t d = 0; d < 4; d++) {
        uint64_t ne = 1;
        if (d < t->n_dims && !read_u64(r, &ne)) return false;
        if (ne < 1 || ne > (uint64_t)left)
            return REFUSE(r, "gguf.tensor.shape",
                          "%s: dimension %u is %" PRId64
                          "; allowed is 1 or more, with a product of at most 2^48",
                          r->place, d + 1, (int64_t)ne);
        t->ne[d] = (int64_t)ne;
        left /= (int64_t)ne;
    }
    return true;
}

/* t->offset stays as in the file, relative to the start of the data. */
static bool read_tensor(reader *r, uint32_t i, bitnet_tensor_entry *t, char **names) {
    *t = (bitnet_tensor_entry){.scale = 1.0f};
    snprintf(r->place, sizeof r->place, "tensor entry %u of %u", i + 1, r->n_tensor);
    if (!read_name(r, "tensor", MAX_NAME, "gguf.tensor.name", names, &t->name) || !read_shape(r, t))
        return false;
    if (!read_u32(r, &t->type) || !tensor_size(r, t)) return false;
    return read_u64(r, &t->offset);
}

/* ---- the two walks ----------------------------------------------------------------------- */

static bool read_count(reader *r, const char *what, const char *id, uint32_t min_size,
                       uint32_t *out) {
    uint64_t n, left = r->src->size - HEADER_BYTES;
    if (!read_u64(r, &n)) return false;
    uint64_t max = left / min_size < MAX_ENTRIES ? left / min_size : MAX_ENTRIES;
    if (n > max)
        return REFUSE(r, id,
                      "header: %" PRId64 " %s; a file of %" PRIu64 " bytes may have %" PRIu64,
                      (int64_t)n, what, r->src->size, max);
    *out = (uint32_t)n;
    return true;
}

static bool read_header(reader *r) {
    snprintf(r->place, sizeof r->place, "header");
    if (!need(r, 4)) return false;
    bitnet_escaped e;
    if (memcmp(r->bytes, "GGUF", 4) != 0)
        return REFUSE(r, "gguf.magic", "header: the file begins with '%s', not with 'GGUF'",
                      bitnet_escape(&e, r->bytes, 4));
    if (!need(r, HEADER_BYTES)) return false;
    r->pos = 4;
    if (!read_u32(r, &r->version)) return false;
    if ((r->version & 0xffff) == 0 && r->version != 0)
        return REFUSE_AS(
            r, E_UNSUPPORTED, "gguf.endian",
            "header: a big-endian file (version bytes %08x); only little-endian is read",
            r->version);
    if (r->version < 2 || r->version > 3)
        return REFUSE_AS(r, E_UNSUPPORTED, "gguf.version",
                         "header: GGUF version %u; versions 2 and 3 are read", r->version);
    return read_count(r, "tensors", "gguf.tensor.count", MIN_TENSOR, &r->n_tensor) &&
           read_count(r, "metadata entries", "gguf.kv.count", MIN_KV, &r->n_kv);
}

/* The first walk passes dir == NULL, the second one the directory to fill. */
static bool walk(reader *r, bitnet_dir *dir, char *names) {
    r->pos = HEADER_BYTES;
    for (uint32_t i = 0; i < r->n_kv; i++) {
        bitnet_meta m;
        if (!read_kv(r, i, &m, &names)) return false;
        if (dir) dir->meta[i] = m;
    }
    for (uint32_t i = 0; i < r->n_tensor; i++) {
        bitnet_tensor_entry t;
        if (!read_tensor(r, i, &t, &names)) return false;
        if (dir) dir->tensor[i] = t;
    }
    return true;
}

/* Between the walks: the metadata is complete, so the buffer shrinks to it. */
static bool trim(reader *r) {
    if (!r->buf || r->buf_size == r->pos) return true;
    uint8_t *exact = bitnet_alloc(r->alloc, (size_t)r->pos);
    if (!exact)
        return REFUSE_AS(r, E_NOMEM, "gguf.memory", "no memory for %" PRIu64 " bytes of metadata",
                         r->pos);
    memcpy(exact, r->buf, (size_t)r->pos);
    bitnet_free(r->alloc, r->buf, r->buf_size);
    r->bytes = r->buf = exact;
    r->buf_size = (size_t)r->pos;
    r->n_have = r->pos;
    return true;
}

/* One block: meta | tensor | meta_index | tensor_index | names. All counts are <= 65,536 and names
 * are part of the metadata, so the sum is far below 2^31. */
static bool make_tables(reader *r, bitnet_dir *dir, char **names) {
    size_t n_meta = r->n_kv, n_tensor = r->n_tensor;
    dir->block_size = n_meta * sizeof *dir->meta + n_tensor * sizeof *dir->tensor +
                      (n_meta + n_tensor) * sizeof(uint32_t) + (size_t)r->name_bytes + 1;
    dir->block = bitnet_alloc(r->alloc, dir->block_size);
    if (!dir->block)
        return REFUSE_AS(r, E_NOMEM, "gguf.memory", "no memory for a directory of %zu bytes",
                         dir->block_size);
    dir->n_meta = r->n_kv;
    dir->n_tensor = r->n_tensor;
    dir->n_file = 1;
    dir->meta = dir->block;
    dir->tensor = (void *)(dir->meta + n_meta);
    dir->meta_index = (void *)(dir->tensor + n_tensor);
    dir->tensor_index = dir->meta_index + n_meta;
    *names = (char *)(dir->tensor_index + n_tensor);
    return true;
}

/* ---- what only the whole directory shows ------------------------------------------------- */

static bool offset_less(const void *ctx, uint32_t a, uint32_t b) {
    const bitnet_dir *dir = ctx;
    uint64_t p = dir->tensor[a].offset, q = dir->tensor[b].offset;
    return p != q ? p < q : a < b;
}

static bool index_keys(reader *r, bitnet_dir *dir) {
    const char *twice = bitnet_dir_index_meta(dir);
    bitnet_escaped e;
    return !twice || REFUSE(r, "gguf.kv.duplicate", "key '%.96s': occurs more than once",
                            bitnet_escape(&e, twice, strlen(twice)));
}

static bool index_tensors(reader *r, bitnet_dir *dir) {
    const char *twice = bitnet_dir_index_tensors(dir);
    bitnet_escaped e;
    return !twice || REFUSE(r, "gguf.tensor.duplicate", "tensor '%.96s': occurs more than once",
                            bitnet_escape(&e, twice, strlen(twice)));
}

static bool read_alignment(reader *r, const bitnet_dir *dir, uint64_t *out) {
    const bitnet_meta *m = bitnet_dir_meta(dir, "general.alignment");
    int64_t v = DEFAULT_ALIGNMENT;
    if (m && !bitnet_meta_i64(m, &v))
        return REFUSE(r, "gguf.alignment", "key 'general.alignment': is not an integer");
    if (v < MIN_ALIGNMENT || v > MAX_ALIGNMENT || (v & (v - 1)))
        return REFUSE(r, "gguf.alignment",
                      "key 'general.alignment': is %" PRId64
                      "; allowed is a power of two from %d to %d",
                      v, MIN_ALIGNMENT, MAX_ALIGNMENT);
    *out = (uint64_t)v;
    return true;
}

/* Offsets become absolute; every tensor must be aligned and inside the file. */
static bool place_tensors(reader *r, bitnet_dir *dir) {
    uint64_t alignment;
    if (!read_alignment(r, dir, &alignment)) return false;
    uint64_t data_start = (r->pos + alignment - 1) & ~(alignment - 1);
    for (uint32_t i = 0; i < dir->n_tensor; i++) {
        bitnet_tensor_entry *t = &dir->tensor[i];
        bitnet_escaped e;
        bitnet_escape(&e, t->name, strlen(t->name));
        if (t->offset % alignment)
            return REFUSE(r, "gguf.tensor.offset",
                          "tensor '%.96s': offset %" PRIu64
                          "; it must be a multiple of the alignment %" PRIu64,
                          e.s, t->offset, alignment);
        uint64_t start, end;
        if (ck_add(data_start, t->offset, &start) || ck_add(start, t->size, &end)) end = UINT64_MAX;
        if (end > r->src->size)
            return REFUSE(r, "gguf.tensor.extent",
                          "tensor '%.96s': %" PRIu64 " bytes end at byte %" PRIu64
                          " but the file has %" PRIu64,
                          e.s, t->size, end, r->src->size);
        t->offset = start;
    }
    return true;
}

static bool check_overlap(reader *r, bitnet_dir *dir) {
    uint32_t *by_offset = dir->tensor_index; /* borrowed until index_tensors sorts it by name */
    for (uint32_t i = 0; i < dir->n_tensor; i++)
        by_offset[i] = i;
    bitnet_sort(by_offset, dir->n_tensor, offset_less, dir);
    for (uint32_t i = 1; i < dir->n_tensor; i++) {
        const bitnet_tensor_entry *a = &dir->tensor[by_offset[i - 1]];
        const bitnet_tensor_entry *b = &dir->tensor[by_offset[i]];
        if (a->offset + a->size <= b->offset) continue;
        bitnet_escaped e;
        return REFUSE(r, "gguf.tensor.overlap",
                      "tensor '%.96s': begins at byte %" PRIu64
                      ", inside another one that ends at byte %" PRIu64,
                      bitnet_escape(&e, b->name, strlen(b->name)), b->offset, a->offset + a->size);
    }
    return true;
}

bitnet_status bitnet_gguf_read(bitnet_dir *out, const bitnet_source *src,
                               const bitnet_allocator *alloc, bitnet_error *err) {
    reader r = {.src = src, .alloc = alloc, .err = err};
    bitnet_dir dir = {.allocator = alloc ? *alloc : (bitnet_allocator){0}};
    char *names = NULL;
    map_head(&r);
    bool ok = read_header(&r) && walk(&r, NULL, NULL) && trim(&r) &&
              make_tables(&r, &dir, &names) && walk(&r, &dir, names) && index_keys(&r, &dir) &&
              place_tensors(&r, &dir) && check_overlap(&r, &dir) && index_tensors(&r, &dir);
    dir.version = r.version;
    dir.header = r.buf;
    dir.header_size = r.buf_size;
    if (!ok) bitnet_dir_free(&dir);
    *out = dir;
    return r.status;
}
