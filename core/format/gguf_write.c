/* gguf_write.c: see gguf_write.h. The layout is in gguf.h.
 *
 * Every number is written byte by byte, lowest first, whatever the machine. Offsets follow from the
 * sizes in order, so the file is written without looking back.
 */
#include "format/gguf_write.h"

#include <string.h>

#define ALIGNMENT 32u
#define VERSION   3u

static const char alignment_key[] = "general.alignment";

bitnet_status bitnet_gguf_write_data(bitnet_gguf_out *o, const void *data, size_t n) {
    if (o->status < 0 || n == 0) return o->status;
    o->status = o->write(o->ctx, data, n);
    if (o->status >= 0) o->pos += n;
    return o->status;
}

static void put_le(bitnet_gguf_out *o, uint64_t v, uint32_t n) {
    uint8_t le[8];
    for (uint32_t i = 0; i < n; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    bitnet_gguf_write_data(o, le, n);
}

static void put_str(bitnet_gguf_out *o, const char *s) {
    size_t n = strlen(s);
    put_le(o, n, 8);
    bitnet_gguf_write_data(o, s, n);
}

static void put_meta(bitnet_gguf_out *o, const bitnet_meta *m) {
    put_str(o, m->key);
    if (!strcmp(m->key, alignment_key)) {
        put_le(o, BITNET_META_U32, 4);
        put_le(o, ALIGNMENT, 4);
        return;
    }
    put_le(o, m->type, 4);
    if (m->type == BITNET_META_ARR) {
        put_le(o, m->elem, 4);
        put_le(o, m->n, 8);
    }
    bitnet_gguf_write_data(o, m->data, (size_t)m->size);
}

static void put_tensor(bitnet_gguf_out *o, const bitnet_tensor_entry *t, uint64_t offset) {
    put_str(o, t->name);
    put_le(o, t->n_dims, 4);
    for (uint32_t d = 0; d < t->n_dims; d++)
        put_le(o, (uint64_t)t->ne[d], 8);
    put_le(o, t->type, 4);
    put_le(o, offset, 8);
}

bitnet_status bitnet_gguf_write_pad(bitnet_gguf_out *o) {
    static const uint8_t zeros[ALIGNMENT];
    return bitnet_gguf_write_data(o, zeros, (size_t)(-o->pos % ALIGNMENT));
}

bitnet_status bitnet_gguf_write_head(bitnet_gguf_out *o, const bitnet_meta *const *meta,
                                     uint32_t n_meta, const bitnet_tensor_entry *tensor,
                                     uint32_t n_tensor) {
    bitnet_gguf_write_data(o, "GGUF", 4);
    put_le(o, VERSION, 4);
    put_le(o, n_tensor, 8);
    put_le(o, n_meta, 8);
    for (uint32_t i = 0; i < n_meta; i++)
        put_meta(o, meta[i]);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < n_tensor; i++) {
        put_tensor(o, &tensor[i], offset);
        offset += (bitnet_tensor_size(tensor[i].type, tensor[i].ne) + ALIGNMENT - 1) &
                  ~(uint64_t)(ALIGNMENT - 1);
    }
    return bitnet_gguf_write_pad(o);
}
