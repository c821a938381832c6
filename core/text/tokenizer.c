/* tokenizer.c: text -> tokens by byte-level BPE (Sennrich et al., arXiv:1508.07909, on bytes).
 *
 * Text is cut at special tokens, each stretch between them is cut by the pre-tokenizer, and each
 * piece is merged on its own: always the adjacent pair of lowest rank, the leftmost among equals,
 * until no pair of the merge list is left. A heap of pairs makes that O(n log n) for a piece of n
 * bytes, also for a megabyte of one repeated letter; there is no recursion.
 */
#include <string.h>

#include "text/pretok.h"
#include "text/utf8.h"
#include "text/vocab.h"

/* ---- cutting ----------------------------------------------------------------------------- */

typedef struct cutter {
    const bitnet_vocab *v;
    const char *s;
    size_t n, pos;
    size_t stop;     /* where the next special begins, or n */
    int32_t special; /* the one that begins at stop; -1 = none */
    size_t special_len;
    uint32_t wanted; /* SPECIAL_* bits */
} cutter;

typedef struct piece {
    const char *s;
    size_t n;
    int32_t special; /* its id; -1 for plain text */
} piece;

/* The first of specials lo .. hi-1 whose byte at `depth` is >= byte. They agree before depth and
 * are longer than it. */
static uint32_t narrow(const bitnet_vocab *v, uint32_t lo, uint32_t hi, size_t depth,
                       uint32_t byte) {
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2, len;
        const char *s = bitnet_vocab_bytes(v, (int32_t)v->special[mid], &len);
        if ((uint8_t)s[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest wanted special that s begins with; -1 = none. */
static int32_t special_at(const cutter *c, const char *s, size_t n, size_t *len_out) {
    const bitnet_vocab *v = c->v;
    int32_t best = -1;
    if (!(v->special_first[(uint8_t)s[0]] & c->wanted)) return -1;
    uint32_t lo = 0, hi = v->n_special;
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        uint32_t byte = (uint8_t)s[depth], len;
        lo = narrow(v, lo, hi, depth, byte);
        hi = narrow(v, lo, hi, depth, byte + 1);
        /* those that end here come first, the lowest id foremost */
        for (; lo < hi; lo++) {
            int32_t id = (int32_t)v->special[lo];
            bitnet_vocab_bytes(v, id, &len);
            if (len != depth + 1) break;
            if (!(bitnet_vocab_special_kind(v, id) & c->wanted)) continue;
            if (best < 0 || *len_out != len) best = id;
            *len_out = len;
        }
    }
    return best;
}

/* Finds the next special at or behind c->pos. At each place the longest wins, and the leftmost
 * place comes first, as in the tokenizers that the models were trained with. */
static void find_special(cutter *c) {
    c->special = -1;
    for (c->stop = c->pos; c->stop < c->n; c->stop++) {
        c->special = special_at(c, c->s + c->stop, c->n - c->stop, &c->special_len);
        if (c->special >= 0) return;
    }
}

static bool next_piece(cutter *c, piece *p) {
    if (c->pos == c->stop && c->special < 0) find_special(c);
    *p = (piece){c->s + c->pos, 0, -1};
    if (c->pos < c->stop) {
        p->n = bitnet_pretok_llama3(p->s, c->stop - c->pos);
    } else if (c->special >= 0) {
        p->n = c->special_len;
        p->special = c->special;
        c->special = -1;
        c->stop += p->n;
    }
    c->pos += p->n;
    return p->n > 0;
}

static cutter cut(const bitnet_vocab *v, const char *s, size_t n, uint32_t flags) {
    uint32_t wanted =
        flags & BITNET_TOKENIZE_SPECIAL ? SPECIAL_ALWAYS | SPECIAL_ON_REQUEST : SPECIAL_ALWAYS;
    return (cutter){.v = v, .s = s, .n = n, .special = -1, .wanted = wanted};
}

/* ---- merging ----------------------------------------------------------------------------- */

#define NO_SYMBOL UINT32_MAX

/* A piece is a linked list of symbols, at first one per byte; a symbol's index is where it begins.
 */
typedef struct symbol {
    int32_t id; /* -1: a byte without a token, never merged */
    uint32_t prev, next;
    uint32_t rank; /* of the merge with next; NO_RANK when there is none */
} symbol;

typedef struct encoder {
    const bitnet_vocab *v;
    bitnet_token *out;
    int32_t cap, n; /* n counts on past cap */
    symbol *sym;
    uint64_t *heap; /* rank << 32 | symbol, smallest on top; may hold outdated entries */
    uint32_t n_heap;
} encoder;

static void emit(encoder *e, int32_t id) {
    if (id < 0) return;
    if (e->n < e->cap) e->out[e->n] = id;
    e->n++;
}

static void push(encoder *e, uint64_t x) {
    uint32_t i = e->n_heap++;
    for (; i > 0 && e->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = x;
}

static uint64_t pop(encoder *e) {
    uint64_t top = e->heap[0], x = e->heap[--e->n_heap];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < e->n_heap; i = child) {
        if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child]) child++;
        if (e->heap[child] >= x) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = x;
    return top;
}

static uint32_t find_rank(const bitnet_vocab *v, int32_t left, int32_t right) {
    if (left < 0 || right < 0) return NO_RANK;
    uint32_t lo = v->merge_pos[left], hi = v->merge_pos[left + 1], end = hi;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (v->merge[mid].right < right)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end && v->merge[lo].right == right ? v->merge[lo].rank : NO_RANK;
}

/* Looks the pair (i, next of i) up again, after one of the two changed. */
static void rank_pair(encoder *e, uint32_t i) {
    symbol *s = &e->sym[i];
    s->rank = s->next == NO_SYMBOL ? NO_RANK : find_rank(e->v, s->id, e->sym[s->next].id);
    if (s->rank != NO_RANK) push(e, (uint64_t)s->rank << 32 | i);
}

/* Each merge pops one entry that is up to date and pushes at most two, and there are fewer than n
 * merges: the heap never holds more than 2 n. */
static void merge_piece(encoder *e, const char *s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        e->sym[i] = (symbol){.id = e->v->byte_token[(uint8_t)s[i]],
                             .prev = i > 0 ? i - 1 : NO_SYMBOL,
                             .next = i + 1 < n ? i + 1 : NO_SYMBOL};
    e->n_heap = 0;
    for (uint32_t i = 0; i < n; i++)
        rank_pair(e, i);
    while (e->n_heap) {
        uint64_t top = pop(e);
        uint32_t i = (uint32_t)top, rank = (uint32_t)(top >> 32);
        symbol *left = &e->sym[i];
        if (left->rank != rank) continue; /* one of the two has been merged since */
        symbol *right = &e->sym[left->next];
        left->id = e->v->merged[rank];
        left->next = right->next;
        right->rank = NO_RANK;
        if (left->next != NO_SYMBOL) e->sym[left->next].prev = i;
        rank_pair(e, i);
        if (left->prev != NO_SYMBOL) rank_pair(e, left->prev);
    }
    for (uint32_t i = 0; i != NO_SYMBOL; i = e->sym[i].next)
        emit(e, e->sym[i].id >= 0 ? e->sym[i].id : e->v->unknown);
}

/* A piece that is a token as a whole is not merged (ignore_merges): some words of these
 * vocabularies cannot be reached by merging. */
static void encode_piece(encoder *e, const char *s, size_t n) {
    int32_t id = bitnet_vocab_find(e->v, s, n);
    if (id >= 0 && bitnet_vocab_special_kind(e->v, id) != SPECIAL_ON_REQUEST)
        emit(e, id);
    else
        merge_piece(e, s, (uint32_t)n);
}

/* ---- encode ------------------------------------------------------------------------------ */

static size_t count_invalid(const char *s, size_t n) {
    size_t n_bad = 0;
    for (size_t i = bitnet_utf8_check(s, n); i < n;
         i += 1 + bitnet_utf8_check(s + i + 1, n - i - 1))
        n_bad++;
    return n_bad;
}

/* Copies s with every invalid byte replaced by U+FFFD. */
static void repair(char *out, const char *s, size_t n) {
    while (n) {
        size_t ok = bitnet_utf8_check(s, n);
        memcpy(out, s, ok);
        out += ok;
        if (ok == n) return;
        out += bitnet_utf8_encode(0xfffd, out);
        s += ok + 1;
        n -= ok + 1;
    }
}

static size_t longest_piece(const bitnet_vocab *v, const char *s, size_t n, uint32_t flags) {
    cutter c = cut(v, s, n, flags);
    size_t longest = 0;
    for (piece p; next_piece(&c, &p);)
        if (p.special < 0 && p.n > longest) longest = p.n;
    return longest;
}

static void encode_text(encoder *e, const char *s, size_t n, uint32_t flags) {
    cutter c = cut(e->v, s, n, flags);
    bool has_bos = flags & BITNET_TOKENIZE_BOS && e->v->add_bos && e->v->bos >= 0;
    if (has_bos) emit(e, e->v->bos);
    for (piece p; next_piece(&c, &p);) {
        bool is_second_bos = has_bos && p.s == s && p.special == e->v->bos;
        if (p.special < 0)
            encode_piece(e, p.s, p.n);
        else if (!is_second_bos)
            emit(e, p.special);
    }
}

int32_t bitnet_vocab_encode(const bitnet_vocab *v, const char *text, size_t len, uint32_t flags,
                            bitnet_token *out, int32_t cap) {
    const size_t max_len = (size_t)1 << 30; /* keeps counts and positions inside int32 */
    if (len > max_len) return BITNET_E_INVAL;
    if (len == 0) text = ""; /* NULL is fine then, but not for arithmetic */
    size_t n_bad = count_invalid(text, len), clean_len = len + 2 * n_bad;
    if (clean_len > max_len) return BITNET_E_INVAL;
    /* Invalid text is repaired in the scratch memory, so its pieces cannot be measured before. */
    size_t longest = n_bad ? clean_len : longest_piece(v, text, len, flags);
    uint64_t size =
        (uint64_t)longest * (sizeof(symbol) + 2 * sizeof(uint64_t)) + (n_bad ? clean_len : 0);
    encoder e = {.v = v, .out = out, .cap = cap};
    if (size > 0) {
        e.heap = size <= SIZE_MAX ? bitnet_alloc(&v->allocator, (size_t)size) : NULL;
        if (!e.heap) return BITNET_E_NOMEM;
        e.sym = (void *)(e.heap + 2 * longest);
    }
    if (n_bad) {
        char *clean = (char *)(e.sym + longest);
        repair(clean, text, len);
        text = clean;
    }
    encode_text(&e, text, clean_len, flags);
    bitnet_free(&v->allocator, e.heap, (size_t)size);
    return e.n;
}
