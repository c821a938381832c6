/* safetensors.c: see safetensors.h for the format and the limits.
 *
 * The header is walked twice by the same code, as in gguf.c: the first walk checks everything and
 * counts tensors and bytes of names, the second one fills arrays of exactly that size. Both check,
 * because a mapped file may change in between.
 */
#include "format/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "format/sort.h"
#include "format/view.h"

#define MAX_HEADER  (100u << 20)
#define MAX_TENSORS 65536u
#define MAX_NAME    255u
#define MAX_WEIGHTS ((int64_t)1 << 48)

static const struct {
    const char *name;
    uint32_t size;
} dtypes[BITNET_ST_COUNT] = {
    [BITNET_ST_U8] = {"U8", 1},   [BITNET_ST_I8] = {"I8", 1},     [BITNET_ST_BOOL] = {"BOOL", 1},
    [BITNET_ST_F16] = {"F16", 2}, [BITNET_ST_BF16] = {"BF16", 2}, [BITNET_ST_F32] = {"F32", 4},
    [BITNET_ST_I16] = {"I16", 2}, [BITNET_ST_I32] = {"I32", 4},   [BITNET_ST_I64] = {"I64", 8},
    [BITNET_ST_F64] = {"F64", 8},
};

typedef struct reader {
    const bitnet_file *file;
    uint32_t file_index;
    const bitnet_allocator *alloc;
    bitnet_error *err;
    bitnet_status status; /* set where a check fails; every function then returns false */
    bitnet_view header;
    uint64_t data_start;
    uint64_t n, name_bytes;  /* first walk: so far; second: room that is left */
    bitnet_st_tensor *fresh; /* [n]; NULL in the first walk */
    char *names;             /* where the next name goes */
    char place[200];         /* "model.safetensors: tensor 'a.b'": begins every sentence */
} reader;

#define REFUSE_AS(r, st, id, ...)                                                                  \
    ((r)->status = bitnet_fail((r)->err, BITNET_##st, id, __VA_ARGS__), false)
#define REFUSE(r, id, ...) REFUSE_AS(r, E_FORMAT, id, __VA_ARGS__)

static void set_place(reader *r, const char *tensor, size_t n) {
    bitnet_escaped f, t;
    bitnet_escape(&f, r->file->name, strlen(r->file->name));
    if (tensor)
        snprintf(r->place, sizeof r->place, "%.64s: tensor '%.96s'", f.s,
                 bitnet_escape(&t, tensor, n));
    else
        snprintf(r->place, sizeof r->place, "%.64s", f.s);
}

/* ---- one tensor -------------------------------------------------------------------------- */

/* Where the header is no JSON that is said, else what this value should have been. */
static bool refuse_value(reader *r, const bitnet_json *j, const char *what) {
    if (j->error)
        return REFUSE(r, "safetensors.json", "%s: the header is not JSON at byte %zu: %s", r->place,
                      j->pos + 8, j->error);
    return REFUSE(r, "safetensors.entry", "%s: %s", r->place, what);
}

static bool read_dtype(reader *r, bitnet_json *j, bitnet_st_tensor *t) {
    bitnet_json_str s;
    if (!bitnet_json_string(j, &s)) return refuse_value(r, j, "dtype is not a string");
    for (uint32_t i = 0; i < BITNET_ST_COUNT; i++)
        if (bitnet_json_is(&s, dtypes[i].name)) {
            t->dtype = (bitnet_st_dtype)i;
            return true;
        }
    bitnet_escaped e;
    return REFUSE_AS(r, E_UNSUPPORTED, "safetensors.dtype", "%s: dtype \"%.64s\" is unknown",
                     r->place, bitnet_escape(&e, s.s, s.n));
}

static bool read_shape(reader *r, bitnet_json *j, bitnet_st_tensor *t) {
    int64_t left = MAX_WEIGHTS;
    if (!bitnet_json_array(j)) return refuse_value(r, j, "shape is not an array");
    while (bitnet_json_next(j, NULL)) {
        int64_t n;
        if (!bitnet_json_int(j, &n)) return refuse_value(r, j, "a dimension is not an integer");
        if (t->n_dims == 4)
            return REFUSE(r, "safetensors.shape", "%s: more than 4 dimensions", r->place);
        if (n < 1 || n > left)
            return REFUSE(r, "safetensors.shape",
                          "%s: dimension %u is %" PRId64
                          "; allowed is 1 or more, with a product of at most 2^48",
                          r->place, t->n_dims + 1, n);
        left /= n;
        t->shape[t->n_dims++] = n;
    }
    return true;
}

/* begin, end -> offset and size, still without data_start. */
static bool read_offsets(reader *r, bitnet_json *j, bitnet_st_tensor *t) {
    int64_t v[2] = {0, 0};
    uint32_t n = 0;
    if (!bitnet_json_array(j)) return refuse_value(r, j, "data_offsets is not an array");
    while (bitnet_json_next(j, NULL)) {
        int64_t at;
        if (!bitnet_json_int(j, &at) || n == 2)
            return refuse_value(r, j, "data_offsets is not two integers");
        v[n++] = at;
    }
    uint64_t size = r->file->source.size - r->data_start;
    if (n != 2) return refuse_value(r, j, "data_offsets is not two integers");
    if (v[0] < 0 || v[1] < v[0] || (uint64_t)v[1] > size)
        return REFUSE(r, "safetensors.extent",
                      "%s: lies from byte %" PRId64 " to %" PRId64 " of %" PRIu64 " bytes of data",
                      r->place, v[0], v[1], size);
    t->offset = (uint64_t)v[0];
    t->size = (uint64_t)v[1] - (uint64_t)v[0];
    return true;
}

static bool read_members(reader *r, bitnet_json *j, bitnet_st_tensor *t) {
    static const struct {
        const char *name;
        bool (*read)(reader *r, bitnet_json *j, bitnet_st_tensor *t);
    } members[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
    uint32_t seen = 0, i;
    bitnet_json_str key;
    if (!bitnet_json_object(j)) return refuse_value(r, j, "the entry is not an object");
    while (bitnet_json_next(j, &key)) {
        for (i = 0; i < 3 && !bitnet_json_is(&key, members[i].name); i++)
            ;
        if (i == 3 || (seen >> i & 1))
            return refuse_value(r, j, "a member that is unknown or occurs twice");
        seen |= 1u << i;
        if (!members[i].read(r, j, t)) return false;
    }
    if (j->error || seen != 7)
        return refuse_value(r, j, "dtype, shape and data_offsets are not all there");
    return true;
}

/* In the second walk the zero-terminated name is appended to r->names. */
static bool read_name(reader *r, const bitnet_json_str *key, bitnet_st_tensor *t) {
    char name[MAX_NAME];
    size_t n = bitnet_json_text(key, name, sizeof name);
    if (n < 1 || n > sizeof name || memchr(name, 0, n)) {
        set_place(r, key->s, key->n);
        return REFUSE(r, "safetensors.name",
                      "%s: a name of %zu bytes; allowed are 1 to %u, and no zero byte", r->place, n,
                      MAX_NAME);
    }
    set_place(r, name, n);
    if (!r->fresh) {
        r->name_bytes += n + 1;
        return true;
    }
    if (r->n == 0 || n + 1 > r->name_bytes)
        return REFUSE(r, "safetensors.changed", "%s: the file changed while it was read", r->place);
    t->name = memcpy(r->names, name, n);
    r->names[n] = 0;
    r->names += n + 1;
    r->name_bytes -= n + 1;
    return true;
}

static bool read_tensor(reader *r, bitnet_json *j, const bitnet_json_str *key) {
    bitnet_st_tensor t = {.shape = {1, 1, 1, 1}, .file = r->file_index};
    if (!read_name(r, key, &t) || !read_members(r, j, &t)) return false;
    uint64_t n = (uint64_t)t.shape[0] * (uint64_t)t.shape[1] * (uint64_t)t.shape[2] *
                 (uint64_t)t.shape[3]; /* <= 2^48 */
    if (n * dtypes[t.dtype].size != t.size)
        return REFUSE(r, "safetensors.size",
                      "%s: %" PRIu64 " bytes, but %" PRIu64 " elements of type %s", r->place,
                      t.size, n, dtypes[t.dtype].name);
    t.offset += r->data_start;
    if (!r->fresh) {
        r->n++;
        return true;
    }
    *r->fresh++ = t;
    r->n--;
    return true;
}

/* ---- the header -------------------------------------------------------------------------- */

static bool read_metadata(reader *r, bitnet_json *j) {
    bitnet_json_str s;
    set_place(r, NULL, 0);
    if (!bitnet_json_object(j)) return refuse_value(r, j, "__metadata__ is not an object");
    while (bitnet_json_next(j, NULL))
        if (!bitnet_json_string(j, &s))
            return refuse_value(r, j, "__metadata__ holds something else than strings");
    return !j->error || refuse_value(r, j, "__metadata__ has no end");
}

static bool walk(reader *r) {
    bitnet_json j = bitnet_json_open(r->header.s, r->header.n);
    bitnet_json_str key;
    bool has_metadata = false;
    set_place(r, NULL, 0);
    if (!bitnet_json_object(&j)) return refuse_value(r, &j, "the header is not an object");
    while (bitnet_json_next(&j, &key)) {
        if (!bitnet_json_is(&key, "__metadata__")) {
            if (!read_tensor(r, &j, &key)) return false;
            continue;
        }
        if (has_metadata) return refuse_value(r, &j, "__metadata__ occurs twice");
        has_metadata = true;
        if (!read_metadata(r, &j)) return false;
    }
    set_place(r, NULL, 0);
    return bitnet_json_end(&j) || refuse_value(r, &j, "the header has no end");
}

static bool read_source(reader *r, bitnet_view *v, uint64_t at, size_t n) {
    bitnet_status st = bitnet_view_open(v, &r->file->source, at, n, r->alloc);
    if (st >= 0) return true;
    if (st == BITNET_E_NOMEM)
        return REFUSE_AS(r, E_NOMEM, "safetensors.memory", "%s: no memory for %zu bytes of header",
                         r->place, n);
    return REFUSE_AS(r, E_IO, "safetensors.read",
                     "%s: reading %zu bytes at byte %" PRIu64 " failed", r->place, n, at);
}

static bool open_header(reader *r) {
    bitnet_view length;
    uint64_t size = r->file->source.size;
    if (size < 8)
        return REFUSE(r, "safetensors.header", "%s: %" PRIu64 " bytes are no safetensors file",
                      r->place, size);
    if (!read_source(r, &length, 0, 8)) return false;
    uint64_t n = bitnet_load_le((const uint8_t *)length.s, 8);
    bitnet_view_close(&length, r->alloc);
    if (n > MAX_HEADER || n > size - 8)
        return REFUSE(r, "safetensors.header",
                      "%s: a header of %" PRIu64 " bytes in a file of %" PRIu64
                      "; allowed are %u, inside the file",
                      r->place, n, size, MAX_HEADER);
    r->data_start = 8 + n;
    return read_source(r, &r->header, 8, (size_t)n);
}

/* ---- what only the whole header shows ---------------------------------------------------- */

static bool name_less(const void *ctx, uint32_t a, uint32_t b) {
    const bitnet_st_tensor *t = ctx;
    return strcmp(t[a].name, t[b].name) < 0;
}

static bool offset_less(const void *ctx, uint32_t a, uint32_t b) {
    const bitnet_st_tensor *t = ctx;
    return t[a].offset < t[b].offset; /* equal ones overlap: no tensor is empty */
}

static void sort(uint32_t *index, uint32_t n, bitnet_less_fn less, const bitnet_st_tensor *t) {
    for (uint32_t i = 0; i < n; i++)
        index[i] = i;
    bitnet_sort(index, n, less, t);
}

static bool check_contiguous(reader *r, const bitnet_st_tensor *t, uint32_t *index, uint32_t n) {
    uint64_t end = r->data_start;
    sort(index, n, offset_less, t);
    for (uint32_t i = 0; i < n; i++) {
        const bitnet_st_tensor *next = &t[index[i]];
        set_place(r, next->name, strlen(next->name));
        if (next->offset != end)
            return REFUSE(r, next->offset < end ? "safetensors.overlap" : "safetensors.gap",
                          "%s: begins at byte %" PRIu64
                          ", but what lies before ends at byte %" PRIu64,
                          r->place, next->offset, end);
        end += next->size;
    }
    set_place(r, NULL, 0);
    if (end != r->file->source.size)
        return REFUSE(r, "safetensors.gap",
                      "%s: the last tensor ends at byte %" PRIu64 " but the file has %" PRIu64,
                      r->place, end, r->file->source.size);
    return true;
}

/* Two runs sorted by name become one; a name that both have, or one has twice, is refused. */
static bool merge(reader *r, const bitnet_st_list *list, bitnet_st_list *out,
                  const bitnet_st_tensor *fresh, const uint32_t *index) {
    uint32_t a = 0, b = 0, n_fresh = out->n - list->n;
    for (uint32_t i = 0; i < out->n; i++) {
        bool is_old =
            b == n_fresh || (a < list->n && strcmp(list->tensor[a].name, fresh[index[b]].name) < 0);
        bitnet_st_tensor *t = &out->tensor[i];
        *t = is_old ? list->tensor[a++] : fresh[index[b++]];
        if (is_old) t->name = (char *)out->names + (t->name - (const char *)list->names);
        if (i == 0 || strcmp(t[-1].name, t->name) != 0) continue;
        set_place(r, t->name, strlen(t->name));
        return REFUSE(r, "safetensors.duplicate", "%s: occurs more than once", r->place);
    }
    return true;
}

static bool walk_again(reader *r) {
    if (!walk(r)) return false;
    return r->n == 0 ||
           REFUSE(r, "safetensors.changed", "%s: the file changed while it was read", r->place);
}

/* The list and the tensors of this file, in fresh memory. */
static bool extend(reader *r, const bitnet_st_list *list, bitnet_st_list *out) {
    uint32_t n = (uint32_t)r->n; /* <= MAX_TENSORS; names are part of a header: no sum overflows */
    size_t fresh_size = n * sizeof(bitnet_st_tensor), index_size = n * sizeof(uint32_t);
    *out = (bitnet_st_list){.n = list->n + n, .allocator = list->allocator};
    out->names_size = list->names_size + (size_t)r->name_bytes;
    out->tensor_size = (list->n + n) * sizeof(bitnet_st_tensor);
    out->names = bitnet_alloc(r->alloc, out->names_size);
    out->tensor = bitnet_alloc(r->alloc, out->tensor_size);
    bitnet_st_tensor *fresh = bitnet_alloc(r->alloc, fresh_size);
    uint32_t *index = bitnet_alloc(r->alloc, index_size);
    bool ok = out->names && out->tensor && fresh && index;
    if (ok) {
        if (list->n) memcpy(out->names, list->names, list->names_size);
        r->fresh = fresh;
        r->names = (char *)out->names + list->names_size;
        ok = walk_again(r);
    } else {
        ok = REFUSE_AS(r, E_NOMEM, "safetensors.memory", "%s: no memory for %u tensors", r->place,
                       n);
    }
    if (ok) {
        sort(index, n, name_less, fresh);
        ok = merge(r, list, out, fresh, index) && check_contiguous(r, fresh, index, n);
    }
    bitnet_free(r->alloc, fresh, fresh_size);
    bitnet_free(r->alloc, index, index_size);
    return ok;
}

bitnet_status bitnet_st_read(bitnet_st_list *list, const bitnet_file *file, uint32_t file_index,
                             const bitnet_allocator *alloc, bitnet_error *err) {
    reader r = {.file = file, .file_index = file_index, .alloc = alloc, .err = err};
    bitnet_st_list out = {0};
    if (list->n == 0) list->allocator = alloc ? *alloc : (bitnet_allocator){0};
    set_place(&r, NULL, 0);
    bool ok = open_header(&r) && walk(&r);
    if (ok && r.n > MAX_TENSORS - list->n)
        ok =
            REFUSE(&r, "safetensors.count", "%s: %" PRIu64 " tensors and %u before; allowed are %u",
                   r.place, r.n, list->n, MAX_TENSORS);
    if (ok && r.n == 0) {
        ok = check_contiguous(&r, NULL, NULL, 0);
    } else if (ok) {
        ok = extend(&r, list, &out);
        bitnet_st_list old = *list;
        if (ok) *list = out;
        bitnet_st_free(ok ? &old : &out);
    }
    bitnet_view_close(&r.header, alloc);
    return r.status;
}

void bitnet_st_free(bitnet_st_list *list) {
    bitnet_allocator a = list->allocator;
    bitnet_free(&a, list->tensor, list->tensor_size);
    bitnet_free(&a, list->names, list->names_size);
    *list = (bitnet_st_list){0};
}

const bitnet_st_tensor *bitnet_st_find(const bitnet_st_list *list, const char *name) {
    uint32_t lo = 0, hi = list->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = strcmp(name, list->tensor[mid].name);
        if (order == 0) return &list->tensor[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const char *bitnet_st_dtype_name(bitnet_st_dtype dtype) {
    return dtypes[dtype].name;
}
