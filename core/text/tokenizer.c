/* tokenizer.c: text -> tokens: the text is put together, cut at special tokens, and what lies between
 * them is encoded by bpe.c, piece by piece as the pre-tokenizer cuts it, or by spm.c.
 *
 * Only here is decided what may become a special token: user-defined ones always, control and unknown
 * ones where the caller's span allows it.
 */
#include <string.h>

#include "text/encoder.h"
#include "base/utf8.h"

#define MAX_LEN ((size_t)1 << 30) /* keeps counts and positions inside int32 */

/* ---- one text of many spans -------------------------------------------------------------- */

/* Bytes of a span with every invalid byte replaced by U+FFFD. */
static size_t clean_len(const bitnet_span *span) {
    return span->n ? bitnet_utf8_repaired_len(span->s, span->n) : 0;
}

typedef struct joined {
    const bitnet_span *spans;
    int32_t n_spans;
    const char *s; /* the text, valid UTF-8; in copy unless it is one span that needs no repair */
    size_t n;
    char *copy;
} joined;

static bitnet_status join(joined *t, const bitnet_allocator *alloc) {
    bool is_clean = true;
    for (int32_t i = 0; i < t->n_spans; i++) {
        size_t n = t->spans[i].n <= MAX_LEN ? clean_len(&t->spans[i]) : MAX_LEN + 1;
        if (n > MAX_LEN - t->n) return BITNET_E_INVAL;
        t->n += n;
        is_clean = is_clean && n == t->spans[i].n;
    }
    t->s = "";
    if (t->n == 0) return BITNET_OK;
    if (t->n_spans == 1 && is_clean) {
        t->s = t->spans[0].s;
        return BITNET_OK;
    }
    t->copy = bitnet_alloc(alloc, t->n);
    if (!t->copy) return BITNET_E_NOMEM;
    char *end = t->copy;
    for (int32_t i = 0; i < t->n_spans; i++)
        end = bitnet_utf8_repair(end, t->spans[i].s, t->spans[i].n);
    t->s = t->copy;
    return BITNET_OK;
}

/* ---- cutting ----------------------------------------------------------------------------- */

typedef struct cutter {
    const bitnet_vocab *v;
    const joined *t;
    size_t pos;
    size_t stop;     /* where the next special begins, or the end of the text */
    int32_t special; /* the one that begins at stop; -1 = none */
    size_t special_len;
    int32_t span; /* the one that stop lies in */
    size_t span_end;
} cutter;

typedef struct piece {
    const char *s;
    size_t n;
    int32_t special; /* its id; -1 for plain text */
} piece;

/* Bytes from stop on in which control tokens may be found. */
static size_t special_room(cutter *c) {
    while (c->stop >= c->span_end)
        c->span_end += clean_len(&c->t->spans[++c->span]);
    return c->t->spans[c->span].parse_special ? c->span_end - c->stop : 0;
}

/* Finds the next special at or behind c->pos. At each place the longest wins, and the leftmost
 * place comes first, as in the tokenizers that the models were trained with. */
static void find_special(cutter *c) {
    c->special = -1;
    for (c->stop = c->pos; c->stop < c->t->n; c->stop++) {
        size_t room = special_room(c);
        c->special = bitnet_vocab_special_at(c->v, c->t->s + c->stop, c->t->n - c->stop, room,
                                             &c->special_len);
        if (c->special >= 0) return;
    }
}

static bool next_piece(cutter *c, piece *p) {
    if (c->pos == c->stop && c->special < 0) find_special(c);
    *p = (piece){c->t->s + c->pos, 0, -1};
    if (c->pos < c->stop) {
        size_t n = c->stop - c->pos;
        p->n = c->v->pretok ? c->v->pretok->cut(p->s, n) : n;
    } else if (c->special >= 0) {
        p->n = c->special_len;
        p->special = c->special;
        c->special = -1;
        c->stop += p->n;
    }
    c->pos += p->n;
    return p->n > 0;
}

static cutter cut(const bitnet_vocab *v, const joined *t) {
    return (cutter){.v = v, .t = t, .special = -1, .span = -1};
}

/* ---- encode ------------------------------------------------------------------------------ */

static size_t longest_piece(const bitnet_vocab *v, const joined *t) {
    cutter c = cut(v, t);
    size_t longest = 0;
    for (piece p; next_piece(&c, &p);)
        if (p.special < 0 && p.n > longest) longest = p.n;
    return longest;
}

static void encode_text(bitnet_encoder *e, const joined *t, uint32_t flags) {
    const bitnet_vocab *v = e->v;
    cutter c = cut(v, t);
    bool has_bos = flags & BITNET_TOKENIZE_BOS && v->add_bos && v->bos >= 0;
    bool has_eos = flags & BITNET_TOKENIZE_BOS && v->add_eos && v->eos >= 0;
    if (has_bos) bitnet_encoder_emit(e, v->bos);
    for (piece p; next_piece(&c, &p);) {
        bool is_second_bos = has_bos && p.s == t->s && p.special == v->bos;
        if (p.special >= 0)
            bitnet_encoder_emit(e, is_second_bos ? -1 : p.special);
        else if (v->pretok)
            bitnet_bpe_encode(e, p.s, (uint32_t)p.n);
        else
            bitnet_spm_encode(e, p.s, (uint32_t)p.n);
    }
    if (has_eos && e->last != v->eos) bitnet_encoder_emit(e, v->eos);
}

int32_t bitnet_vocab_encode_spans(const bitnet_vocab *v, const bitnet_span *spans, int32_t n_spans,
                                  uint32_t flags, bitnet_token *out, int32_t cap) {
    joined t = {.spans = spans, .n_spans = n_spans};
    bitnet_status st = join(&t, &v->allocator);
    if (st < 0) return st;
    bitnet_encoder e = {.v = v, .out = out, .cap = cap, .last = -1};
    size_t longest = longest_piece(v, &t);
    if (longest > 0 && v->add_space) longest++;
    uint64_t size =
        (uint64_t)longest * (sizeof(bitnet_symbol) + 2 * sizeof(uint64_t) + (v->pretok ? 0 : 1));
    if (size > 0) {
        e.heap = size <= SIZE_MAX ? bitnet_alloc(&v->allocator, (size_t)size) : NULL;
        if (e.heap) {
            e.sym = (void *)(e.heap + 2 * longest);
            e.room = (char *)(e.sym + longest);
        } else {
            st = BITNET_E_NOMEM;
        }
    }
    if (st >= 0) encode_text(&e, &t, flags);
    bitnet_free(&v->allocator, e.heap, (size_t)size);
    bitnet_free(&v->allocator, t.copy, t.n);
    return st < 0 ? (int32_t)st : e.n;
}

int32_t bitnet_vocab_encode(const bitnet_vocab *v, const char *text, size_t len, uint32_t flags,
                            bitnet_token *out, int32_t cap) {
    bitnet_span span = {text, len, (flags & BITNET_TOKENIZE_SPECIAL) != 0};
    return bitnet_vocab_encode_spans(v, &span, 1, flags, out, cap);
}
