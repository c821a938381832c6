/* view.h: a range of a source as bytes in memory: in its mapping where there is one, else read into
 * memory of our own. A mapped file may change while it is looked at; readers check whatever they read.
 */
#ifndef BITNET_VIEW_H
#define BITNET_VIEW_H

#include "base/base.h"
#include "bitnet/model.h"

typedef struct bitnet_view { /* {0} is empty */
    const char *s;
    size_t n;
    void *buf; /* NULL when mapped */
} bitnet_view;

/* The caller has checked that the range lies inside the source and is small enough to hold. Returns
 * E_NOMEM, E_IO or OK without naming anything: the caller knows what was being read. */
static inline bitnet_status bitnet_view_open(bitnet_view *v, const bitnet_source *src, uint64_t at,
                                             size_t n, const bitnet_allocator *alloc) {
    *v = (bitnet_view){.s = "", .n = n};
    if (n == 0) return BITNET_OK;
    v->s = src->map ? src->map(src->ctx, at, n) : NULL;
    if (v->s) return BITNET_OK;
    v->s = v->buf = bitnet_alloc(alloc, n);
    if (!v->buf) return BITNET_E_NOMEM;
    if (src->read(src->ctx, at, v->buf, n) >= 0) return BITNET_OK;
    bitnet_free(alloc, v->buf, n);
    *v = (bitnet_view){0};
    return BITNET_E_IO;
}

static inline void bitnet_view_close(bitnet_view *v, const bitnet_allocator *alloc) {
    bitnet_free(alloc, v->buf, v->n);
    *v = (bitnet_view){0};
}

#endif
