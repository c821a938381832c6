/* op_history.c: see op_history.h. */
#include "tracker/op_history.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

typedef struct bitnet_op_kept {
    size_t size;
    bitnet_op_record record;
    bitnet_op_meta meta[]; /* [record.n_meta], and the text behind them */
} bitnet_op_kept;

void bitnet_op_record_init(bitnet_op_record *r) {
    *r = (bitnet_op_record){.type = "", .strategy = "", .error = "", .unit = ""};
    r->duration_s = r->units = r->quality = (double)NAN;
    for (int i = 0; i < BITNET_OP_PEAK_COUNT; i++)
        r->peak[i] = (double)NAN;
}

bitnet_status bitnet_op_history_init(bitnet_op_history *h, int32_t cap, const bitnet_allocator *a) {
    *h = (bitnet_op_history){.cap = cap};
    if (cap > 0) h->kept = bitnet_alloc(a, (size_t)cap * sizeof *h->kept);
    return cap > 0 && !h->kept ? BITNET_E_NOMEM : BITNET_OK;
}

static void let_go(bitnet_op_kept *k, const bitnet_allocator *a) {
    if (k) bitnet_free(a, k, k->size);
}

void bitnet_op_history_free(bitnet_op_history *h, const bitnet_allocator *a) {
    if (!h->kept) return;
    for (int32_t i = 0; i < h->cap; i++)
        let_go(h->kept[i], a);
    bitnet_free(a, h->kept, (size_t)h->cap * sizeof(*h->kept));
}

/* The text as it will be kept; returns where the next one goes. */
static char *keep_text(const char **text, size_t cap, char *at) {
    size_t n = bitnet_utf8_fit(*text, cap);
    if (n > 0) memcpy(at, *text, n);
    at[n] = 0;
    *text = at;
    return at + n + 1;
}

static size_t size_of(const bitnet_op_record *r, int32_t n_meta) {
    size_t size = sizeof(bitnet_op_kept) + (size_t)n_meta * sizeof(bitnet_op_meta) + 4;
    size += bitnet_utf8_fit(r->type, BITNET_OP_NAME_CAP) +
            bitnet_utf8_fit(r->strategy, BITNET_OP_NAME_CAP) +
            bitnet_utf8_fit(r->unit, BITNET_OP_NAME_CAP) +
            bitnet_utf8_fit(r->error, BITNET_OP_TEXT_CAP);
    for (int32_t i = 0; i < n_meta; i++) {
        size += bitnet_utf8_fit(r->meta[i].key, BITNET_OP_KEY_CAP) + 1;
        if (r->meta[i].text) size += bitnet_utf8_fit(r->meta[i].text, BITNET_OP_TEXT_CAP) + 1;
    }
    return size;
}

static bitnet_op_kept *copy_of(const bitnet_op_record *r, const bitnet_allocator *a) {
    int32_t n_meta = r->n_meta < BITNET_OP_META_MAX ? r->n_meta : BITNET_OP_META_MAX;
    size_t size = size_of(r, n_meta);
    bitnet_op_kept *k = bitnet_alloc_raw(a, size);
    if (!k) return NULL;
    k->size = size;
    k->record = *r;
    k->record.n_meta = n_meta;
    k->record.meta = k->meta;
    char *at = (char *)(k->meta + n_meta);
    at = keep_text(&k->record.type, BITNET_OP_NAME_CAP, at);
    at = keep_text(&k->record.strategy, BITNET_OP_NAME_CAP, at);
    at = keep_text(&k->record.unit, BITNET_OP_NAME_CAP, at);
    at = keep_text(&k->record.error, BITNET_OP_TEXT_CAP, at);
    for (int32_t i = 0; i < n_meta; i++) {
        k->meta[i] = r->meta[i];
        at = keep_text(&k->meta[i].key, BITNET_OP_KEY_CAP, at);
        if (k->meta[i].text) at = keep_text(&k->meta[i].text, BITNET_OP_TEXT_CAP, at);
    }
    return k;
}

void bitnet_op_history_add(bitnet_op_history *h, const bitnet_op_record *r,
                           const bitnet_allocator *a) {
    bitnet_op_kept *k = h->cap > 0 ? copy_of(r, a) : NULL;
    if (!k) return;
    let_go(h->kept[h->next], a);
    h->kept[h->next] = k;
    h->next = (h->next + 1) % h->cap;
    if (h->n < h->cap) h->n++;
}

const bitnet_op_record *bitnet_op_history_get(const bitnet_op_history *h, int32_t i) {
    if (i < 0 || i >= h->n) return NULL;
    int32_t at = h->next - 1 - i;
    return &h->kept[at < 0 ? at + h->cap : at]->record;
}
