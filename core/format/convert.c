/* convert.c: see bitnet/convert.h. First every tensor's new type is settled and checked, so that head
 * and offsets are known; then tensors are read, changed and written one after the other.
 *
 * Ternary matrices pass through the canonical codes of ternary.h, everything else through f32 rows.
 * From a Hugging Face folder the rows of q and k of arch `llama` move to the order of GGUF, whose RoPE
 * pairs neighbours (formats page 2.5); other families and GGUF files keep their rows.
 */
#include "bitnet/convert.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bitnet/backend.h"
#include "format/blocks.h"
#include "format/gguf_write.h"
#include "format/open.h"
#include "format/ternary.h"

#define KEEP      UINT32_MAX /* no type was asked for */
#define MAX_BLOCK 256        /* weights in a block of a type that can be written */

typedef struct job { /* one tensor's way into the new file */
    bool is_ternary; /* through canonical codes */
    int64_t n_head;  /* rows move within each of so many heads; 0 = they stay */
} job;

typedef struct converter {
    const bitnet_convert_desc *desc;
    const bitnet_allocator *alloc;
    bitnet_error *err;
    uint32_t type, embd, head; /* asked for, or KEEP */
    uint32_t main_type;        /* what the ternary matrices become; KEEP = there are none */
    bitnet_escaped name;       /* of the tensor at hand, for messages */
    bitnet_dir dir;
    bitnet_tensor_entry *out; /* [n_tensor] of the new file */
    job *job;                 /* [n_tensor] */
    const bitnet_meta **meta; /* [n_meta] of the new file */
    uint32_t n_meta;
    bitnet_meta file_type;
    uint8_t file_type_bytes[4];
    bitnet_gguf_out gguf;
} converter;

static void *allocate(const converter *c, uint64_t size) {
    void *p = (size_t)size == size ? bitnet_alloc(c->alloc, (size_t)size) : NULL;
    if (!p)
        bitnet_fail(c->err, BITNET_E_NOMEM, "convert.memory",
                    "%.96s: no memory for %" PRIu64 " bytes", c->name.s, size);
    return p;
}

/* ---- the types asked for ------------------------------------------------------------------- */

static const uint32_t ternary_types[] = {BITNET_TYPE_I2_S, BITNET_TYPE_TQ1_0, BITNET_TYPE_TQ2_0,
                                         BITNET_TYPE_F32,  BITNET_TYPE_F16,   BITNET_TYPE_BF16,
                                         BITNET_TYPE_Q8_0};
static const uint32_t dense_types[] = {BITNET_TYPE_F32,  BITNET_TYPE_F16,  BITNET_TYPE_BF16,
                                       BITNET_TYPE_Q8_0, BITNET_TYPE_Q6_K, BITNET_TYPE_Q4_0};

static bitnet_status parse_type(uint32_t *out, const char *what, const char *name,
                                const uint32_t *allowed, size_t n, bitnet_error *err) {
    *out = KEEP;
    if (!name) return BITNET_OK;
    char list[64] = "";
    int32_t type = bitnet_type_parse(name);
    for (size_t i = 0; i < n; i++) {
        if (type >= 0 && allowed[i] == (uint32_t)type) *out = allowed[i];
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, " %s", bitnet_type_name(allowed[i]));
    }
    if (*out != KEEP) return BITNET_OK;
    bitnet_escaped e;
    return bitnet_fail(err, BITNET_E_INVAL, "convert.type",
                       "%s is \"%.32s\"; allowed are%s, in upper or lower case", what,
                       bitnet_escape(&e, name, strlen(name)), list);
}

static bitnet_status parse_types(converter *c) {
    const bitnet_convert_desc *d = c->desc;
    size_t n_ternary = sizeof ternary_types / sizeof *ternary_types,
           n_dense = sizeof dense_types / sizeof *dense_types;
    bitnet_status st = parse_type(&c->type, "type", d->type, ternary_types, n_ternary, c->err);
    if (st >= 0) st = parse_type(&c->embd, "embd", d->embd, dense_types, n_dense, c->err);
    if (st >= 0) st = parse_type(&c->head, "head", d->head, dense_types, n_dense, c->err);
    return st;
}

/* ---- reading ------------------------------------------------------------------------------- */

typedef struct tensor_bytes {
    const uint8_t *p;
    void *copy; /* of a source that cannot be mapped */
    size_t size;
} tensor_bytes;

static bitnet_status read_tensor(const converter *c, const bitnet_tensor_entry *e,
                                 tensor_bytes *out) {
    const bitnet_source *src = &c->desc->files[e->file].source;
    *out = (tensor_bytes){.size = (size_t)e->size};
    if (src->map && (out->p = src->map(src->ctx, e->offset, out->size))) return BITNET_OK;
    out->copy = allocate(c, e->size);
    if (!out->copy) return BITNET_E_NOMEM;
    out->p = out->copy;
    if (src->read(src->ctx, e->offset, out->copy, out->size) >= 0) return BITNET_OK;
    bitnet_free(c->alloc, out->copy, out->size);
    return bitnet_fail(c->err, BITNET_E_IO, "convert.read",
                       "%.96s: reading %" PRIu64 " bytes at %" PRIu64 " failed", c->name.s, e->size,
                       e->offset);
}

static void release(const converter *c, tensor_bytes *b) {
    bitnet_free(c->alloc, b->copy, b->size);
}

/* ---- planning ------------------------------------------------------------------------------ */

/* What a tensor becomes when nothing is asked for it. */
static uint32_t default_type(const bitnet_tensor_entry *e, bitnet_ternary_kind kind) {
    bool is_half = e->type == BITNET_TYPE_F16 || e->type == BITNET_TYPE_BF16;
    if (kind == TERNARY_PACK) return BITNET_TYPE_I2_S;
    return e->n_dims == 1 && is_half ? BITNET_TYPE_F32 : e->type;
}

/* Whether a TQ matrix is ternary as a whole; a warning when it is not and stays what it is. */
static bitnet_status ask_ternary(const converter *c, const bitnet_tensor_entry *e, bool *out) {
    tensor_bytes b;
    float scale;
    bitnet_status st = read_tensor(c, e, &b);
    if (st < 0) return st;
    st = bitnet_ternary_pack(NULL, &scale, e, b.p, c->err);
    release(c, &b);
    *out = st == BITNET_OK;
    if (st == BITNET_AGAIN)
        bitnet_log(&c->desc->logger, BITNET_LOG_WARN,
                   "%.96s: its blocks have different scales; it stays %s", c->name.s,
                   bitnet_type_name(e->type));
    return st < 0 ? st : BITNET_OK;
}

/* q and k of a llama folder: how many heads their rows belong to, from the metadata. */
static bitnet_status count_heads(const converter *c, const bitnet_tensor_entry *e, int64_t *out) {
    const char *arch;
    size_t len;
    *out = 0;
    bool is_q = strstr(e->name, ".attn_q.") != NULL, is_k = strstr(e->name, ".attn_k.") != NULL;
    if (c->dir.container != BITNET_CONTAINER_SAFETENSORS || !(is_q || is_k)) return BITNET_OK;
    if (!bitnet_meta_str(bitnet_dir_meta(&c->dir, "general.architecture"), &arch, &len) ||
        len != 5 || memcmp(arch, "llama", 5) != 0)
        return BITNET_OK;
    const bitnet_meta *m = bitnet_dir_meta(&c->dir, "llama.attention.head_count_kv");
    if (is_q || !m) m = bitnet_dir_meta(&c->dir, "llama.attention.head_count");
    int64_t n_head = 0, rows = e->n_dims == 1 ? e->ne[0] : e->ne[1];
    if (!bitnet_meta_i64(m, &n_head) || n_head < 1 || rows % n_head || rows / n_head % 2)
        return bitnet_fail(c->err, BITNET_E_FORMAT, "convert.heads",
                           "%.96s: %" PRId64 " rows in %" PRId64
                           " heads; each head needs the same even number of rows",
                           c->name.s, rows, n_head);
    *out = n_head;
    return BITNET_OK;
}

static bitnet_status check_change(const converter *c, const bitnet_tensor_entry *e,
                                  const bitnet_tensor_entry *out, bool is_ternary) {
    const bitnet_type_info *info = bitnet_type_get_info(out->type);
    if (out->ne[0] % info->block)
        return bitnet_fail(c->err, BITNET_E_UNSUPPORTED, "convert.row",
                           "%.96s: rows of %" PRId64 " weights; type %s needs a multiple of %u",
                           c->name.s, e->ne[0], info->name, info->block);
    if (out->type != e->type && !is_ternary && !bitnet_block_decoder(e->type))
        return bitnet_fail(
            c->err, BITNET_E_UNSUPPORTED, "convert.source",
            "%.96s: type %s cannot be turned into another; F32 F16 BF16 Q8_0 Q6_K Q4_0 "
            "Q4_K TQ1_0 TQ2_0 can",
            c->name.s, bitnet_type_name(e->type));
    return BITNET_OK;
}

static void set_name(converter *c, const bitnet_tensor_entry *e) {
    bitnet_escape(&c->name, e->name, strlen(e->name));
}

static bitnet_status plan_tensor(converter *c, uint32_t i) {
    const bitnet_tensor_entry *e = &c->dir.tensor[i];
    bitnet_tensor_entry *out = &c->out[i];
    job *j = &c->job[i];
    bitnet_ternary_kind kind = bitnet_ternary_kind_of(e);
    bool is_embd = !strcmp(e->name, "token_embd.weight"),
         is_head = !strcmp(e->name, "output.weight"),
         is_main = kind != TERNARY_NO && !is_embd && !is_head;
    uint32_t asked = is_embd ? c->embd : is_head ? c->head : is_main ? c->type : KEEP;
    set_name(c, e);
    *out = *e;
    out->type = asked != KEEP ? asked : default_type(e, kind);
    j->is_ternary = kind == TERNARY_MAP || kind == TERNARY_PACK;
    if (kind == TERNARY_MAYBE && out->type != e->type && is_main) {
        bitnet_status st = ask_ternary(c, e, &j->is_ternary);
        if (st < 0) return st;
        if (!j->is_ternary) out->type = e->type;
    }
    if (is_main && c->main_type == KEEP) c->main_type = out->type;
    bitnet_status st = count_heads(c, e, &j->n_head);
    return st < 0 ? st : check_change(c, e, out, j->is_ternary);
}

/* What was asked for must be there: tied models have no head, a dense model no ternary matrix. */
static bitnet_status check_asked(const converter *c) {
    const struct {
        uint32_t type;
        bool is_there;
        const char *option, *what;
    } row[] = {
        {c->type, c->main_type != KEEP, "type", "ternary matrices"},
        {c->embd, bitnet_dir_tensor(&c->dir, "token_embd.weight"), "embd", "token_embd.weight"},
        {c->head, bitnet_dir_tensor(&c->dir, "output.weight"), "head",
         "output.weight; a tied head is the embedding"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].type != KEEP && !row[i].is_there)
            return bitnet_fail(c->err, BITNET_E_INVAL, "convert.missing",
                               "%s is %s, but the model has no %s", row[i].option,
                               bitnet_type_name(row[i].type), row[i].what);
    return BITNET_OK;
}

/* general.file_type of a file whose ternary matrices have this type, where llama.cpp or bitnet.cpp has
 * a number for it (formats page 1.3); otherwise the key stays as it was. */
static bool find_file_type(uint32_t type, uint32_t *out) {
    static const struct {
        uint32_t type, value;
    } known[] = {{BITNET_TYPE_F32, 0},   {BITNET_TYPE_F16, 1},    {BITNET_TYPE_Q8_0, 7},
                 {BITNET_TYPE_BF16, 32}, {BITNET_TYPE_TQ1_0, 36}, {BITNET_TYPE_TQ2_0, 37},
                 {BITNET_TYPE_I2_S, 40}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == type) {
            *out = known[i].value;
            return true;
        }
    return false;
}

static void plan_meta(converter *c) {
    static const char key[] = "general.file_type";
    uint32_t value = 0;
    bool is_known = find_file_type(c->main_type, &value);
    for (uint32_t b = 0; b < 4; b++)
        c->file_type_bytes[b] = (uint8_t)(value >> 8 * b);
    c->file_type = (bitnet_meta){key, BITNET_META_U32, BITNET_META_U32, 1, c->file_type_bytes, 4};
    for (uint32_t i = 0; i < c->dir.n_meta; i++) {
        const bitnet_meta *m = &c->dir.meta[i];
        if (!strncmp(m->key, "split.", 6)) continue; /* what is written is whole */
        c->meta[c->n_meta++] = is_known && !strcmp(m->key, key) ? &c->file_type : m;
    }
}

/* ---- writing ------------------------------------------------------------------------------- */

static bitnet_status write_bytes(converter *c, const void *data, uint64_t n) {
    return bitnet_gguf_write_data(&c->gguf, data, (size_t)n);
}

/* The row of the source that becomes row r: within a head of d rows, row s*d/2 + i goes to 2i + s. */
static int64_t source_row(int64_t r, int64_t rows, int64_t n_head) {
    if (n_head == 0) return r;
    int64_t d = rows / n_head, at = r % d;
    return r - at + at % 2 * (d / 2) + at / 2;
}

/* What `type` makes of the scale: a warning when that is another number. */
static bitnet_status check_scale(const converter *c, uint32_t type, float scale) {
    float x[MAX_BLOCK] = {scale};
    uint8_t block[MAX_BLOCK * sizeof(float)];
    int64_t n = bitnet_type_get_info(type)->block;
    bitnet_block_encoder(type)(block, x, n);
    bitnet_block_decoder(type)(x, block, n);
    if (!isfinite(x[0]) || x[0] == 0.0f)
        return bitnet_fail(c->err, BITNET_E_UNSUPPORTED, "convert.scale",
                           "%.96s: the scale %g is out of the range of type %s", c->name.s,
                           (double)scale, bitnet_type_name(type));
    if (x[0] != scale)
        bitnet_log(&c->desc->logger, BITNET_LOG_WARN,
                   "%.96s: type %s rounds the scale %.9g to %.9g", c->name.s,
                   bitnet_type_name(type), (double)scale, (double)x[0]);
    return BITNET_OK;
}

typedef struct matrix { /* what the writers of rows need to know */
    const bitnet_tensor_entry *in, *out;
    int64_t k, rows, n_head;
} matrix;

static bitnet_status write_i2_s(converter *c, const matrix *m, const uint8_t *codes, float scale) {
    uint64_t row = bitnet_ternary_row_size(m->k);
    uint8_t tail[32] = {0};
    memcpy(tail, &scale, sizeof scale);
    if (m->n_head == 0) write_bytes(c, codes, row * (uint64_t)m->rows);
    for (int64_t r = 0; m->n_head && r < m->rows; r++)
        write_bytes(c, codes + row * (uint64_t)source_row(r, m->rows, m->n_head), row);
    return write_bytes(c, tail, sizeof tail);
}

static bitnet_status write_dequantised(converter *c, const matrix *m, const uint8_t *codes,
                                       float scale) {
    bitnet_status st = check_scale(c, m->out->type, scale);
    if (st < 0) return st;
    uint64_t k = (uint64_t)m->k, row = bitnet_row_size(m->out->type, m->k), size = 5 * k + row;
    float *x = allocate(c, size);
    if (!x) return BITNET_E_NOMEM;
    int8_t *t = (int8_t *)(x + k);
    uint8_t *block = (uint8_t *)(t + k);
    bitnet_encode_fn encode = bitnet_block_encoder(m->out->type);
    for (int64_t r = 0; st >= 0 && r < m->rows; r++) {
        int64_t from = source_row(r, m->rows, m->n_head);
        bitnet_ternary_unpack_row(t, codes + (uint64_t)from * bitnet_ternary_row_size(m->k), m->k);
        for (int64_t i = 0; i < m->k; i++)
            x[i] = (float)t[i] * scale;
        encode(block, x, m->k);
        st = write_bytes(c, block, row);
    }
    bitnet_free(c->alloc, x, (size_t)size);
    return st;
}

static bitnet_status write_ternary(converter *c, const matrix *m, const uint8_t *data) {
    bool is_mapped = bitnet_ternary_kind_of(m->in) == TERNARY_MAP;
    uint64_t size = bitnet_ternary_size(m->in);
    uint8_t *packed = is_mapped ? NULL : allocate(c, size);
    if (!packed && !is_mapped) return BITNET_E_NOMEM;
    float scale;
    bitnet_status st = bitnet_ternary_pack(packed, &scale, m->in, data, c->err);
    if (st == BITNET_AGAIN) /* asked before, when planning */
        st = bitnet_fail(c->err, BITNET_E_IO, "convert.changed",
                         "%.96s: the file changed while it was read", c->name.s);
    if (st >= 0)
        st = (m->out->type == BITNET_TYPE_I2_S ? write_i2_s : write_dequantised)(
            c, m, is_mapped ? data : packed, scale);
    bitnet_free(c->alloc, packed, (size_t)size);
    return st;
}

/* Encoders need finite numbers, and steps are f16 in all types but F32 and BF16. */
static bitnet_status check_row(const converter *c, const matrix *m, const float *x, int64_t r) {
    float limit = m->out->type == BITNET_TYPE_F32    ? FLT_MAX
                  : m->out->type == BITNET_TYPE_BF16 ? 3.38953139e38f
                                                     : 65504.0f;
    int64_t n_bad = 0, i = 0;
    for (int64_t e = 0; e < m->k; e++)
        n_bad += !(fabsf(x[e]) <= limit);
    if (n_bad == 0) return BITNET_OK;
    while (fabsf(x[i]) <= limit)
        i++;
    if (!isfinite(x[i]))
        return bitnet_fail(c->err, BITNET_E_FORMAT, "model.nonfinite",
                           "%.96s: element %" PRId64 " is not finite", c->name.s, r * m->k + i);
    return bitnet_fail(c->err, BITNET_E_UNSUPPORTED, "convert.range",
                       "%.96s: element %" PRId64 " is %g; type %s holds magnitudes up to %g",
                       c->name.s, r * m->k + i, (double)x[i], bitnet_type_name(m->out->type),
                       (double)limit);
}

/* Rows through f32, or as they are when only their order changes. */
static bitnet_status write_rows(converter *c, const matrix *m, const uint8_t *data) {
    uint64_t k = (uint64_t)m->k, row_in = bitnet_row_size(m->in->type, m->k),
             row = bitnet_row_size(m->out->type, m->k), size = 4 * k + row;
    float *x = allocate(c, size);
    if (!x) return BITNET_E_NOMEM;
    uint8_t *block = (uint8_t *)(x + k);
    bool is_same = m->in->type == m->out->type;
    bitnet_decode_fn decode = bitnet_block_decoder(m->in->type);
    bitnet_encode_fn encode = bitnet_block_encoder(m->out->type);
    bitnet_status st = BITNET_OK;
    for (int64_t r = 0; st >= 0 && r < m->rows; r++) {
        int64_t from = source_row(r, m->rows, m->n_head);
        const uint8_t *src = data + (uint64_t)from * row_in;
        if (!is_same) {
            decode(x, src, m->k);
            st = check_row(c, m, x, from);
            if (st < 0) break;
            encode(block, x, m->k);
        }
        st = write_bytes(c, is_same ? src : block, row);
    }
    bitnet_free(c->alloc, x, (size_t)size);
    return st;
}

static bitnet_status write_tensor(converter *c, uint32_t i) {
    const bitnet_tensor_entry *in = &c->dir.tensor[i], *out = &c->out[i];
    const job *j = &c->job[i];
    matrix m = {in, out, in->ne[0], in->ne[1] * in->ne[2] * in->ne[3], j->n_head};
    if (j->n_head && in->n_dims == 1) m.k = 1, m.rows = in->ne[0]; /* a bias: elements move */
    set_name(c, in);
    tensor_bytes b;
    bitnet_status st = read_tensor(c, in, &b);
    if (st < 0) return st;
    if (j->is_ternary)
        st = write_ternary(c, &m, b.p);
    else if (in->type == out->type && j->n_head == 0)
        st = write_bytes(c, b.p, in->size);
    else
        st = write_rows(c, &m, b.p);
    release(c, &b);
    return st < 0 ? st : bitnet_gguf_write_pad(&c->gguf);
}

static bitnet_status write_file(converter *c) {
    uint64_t done = 0, total = 0;
    const bitnet_progress *p = &c->desc->progress;
    for (uint32_t i = 0; i < c->dir.n_tensor; i++)
        total += c->dir.tensor[i].size;
    c->gguf = (bitnet_gguf_out){.write = c->desc->write, .ctx = c->desc->write_ctx};
    bitnet_status st =
        bitnet_gguf_write_head(&c->gguf, c->meta, c->n_meta, c->out, c->dir.n_tensor);
    for (uint32_t i = 0; st >= 0 && i < c->dir.n_tensor; i++) {
        st = write_tensor(c, i);
        done += c->dir.tensor[i].size;
        if (st >= 0 && p->report) p->report(p->ctx, done, total);
    }
    if (c->gguf.status < 0)
        return bitnet_fail(c->err, c->gguf.status, "convert.write",
                           "writing the new file, after %" PRIu64 " bytes: %s", c->gguf.pos,
                           bitnet_status_text(c->gguf.status));
    return st;
}

/* ------------------------------------------------------------------------------------------ */

static bitnet_status plan(converter *c) {
    uint64_t n_tensor = c->dir.n_tensor, n_meta = c->dir.n_meta;
    c->out = allocate(c, (n_tensor + 1) * sizeof *c->out);
    c->job = allocate(c, (n_tensor + 1) * sizeof *c->job);
    c->meta = allocate(c, (n_meta + 1) * sizeof *c->meta);
    if (!c->out || !c->job || !c->meta) return BITNET_E_NOMEM;
    bitnet_status st = BITNET_OK;
    c->main_type = KEEP;
    for (uint32_t i = 0; st >= 0 && i < n_tensor; i++)
        st = plan_tensor(c, i);
    if (st >= 0) st = check_asked(c);
    if (st >= 0) plan_meta(c);
    return st;
}

bitnet_status bitnet_convert(const bitnet_convert_desc *desc, bitnet_error *err) {
    assert(desc->write);
    converter c = {.desc = desc, .alloc = &desc->allocator, .err = err, .name = {"the tables"}};
    bitnet_open_desc open = {.files = desc->files,
                             .n_files = desc->n_files,
                             .i2s_layout = desc->i2s_layout,
                             .overrides = desc->overrides,
                             .n_overrides = desc->n_overrides};
    bitnet_status st = parse_types(&c);
    if (st >= 0) st = bitnet_dir_open(&c.dir, &open, c.alloc, err);
    if (st >= 0) st = plan(&c);
    if (st >= 0) st = write_file(&c);
    bitnet_free(c.alloc, c.out, (c.dir.n_tensor + 1) * sizeof *c.out);
    bitnet_free(c.alloc, c.job, (c.dir.n_tensor + 1) * sizeof *c.job);
    bitnet_free(c.alloc, c.meta, (c.dir.n_meta + 1) * sizeof *c.meta);
    bitnet_dir_free(&c.dir);
    return st;
}
