/* vocab.c: looking tokens up in a finished vocabulary, and tokens -> text. See vocab.h. */
#include "text/vocab.h"

#include <string.h>

#include "base/hash.h"

/* ---- by their bytes ---------------------------------------------------------------------- */

void bitnet_vocab_free(bitnet_vocab *v) {
    if (!v) return;
    bitnet_allocator a = v->allocator;
    bitnet_free(&a, v, v->block_size);
}

uint32_t bitnet_vocab_hash(const char *s, size_t n) {
    uint64_t h = hash_fnv1a(s, n);
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

uint32_t *bitnet_vocab_slot(const bitnet_vocab *v, const char *s, size_t n) {
    uint32_t at = bitnet_vocab_hash(s, n);
    for (uint32_t i = 0; i <= TOKEN_MAX_PROBES; i++) {
        uint32_t *slot = &v->slot[(at + i) & v->slot_mask];
        if (*slot == 0) return slot;
        uint32_t len;
        const char *bytes = bitnet_vocab_bytes(v, (int32_t)(*slot - 1), &len);
        if (len == n && memcmp(bytes, s, n) == 0) return slot;
    }
    return NULL;
}

int32_t bitnet_vocab_find(const bitnet_vocab *v, const char *s, size_t n) {
    uint32_t *slot = n <= (size_t)v->max_text ? bitnet_vocab_slot(v, s, n) : NULL;
    return slot && *slot ? (int32_t)(*slot - 1) : -1;
}

size_t bitnet_vocab_unmark(const char *s, size_t n, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        bool is_space = n - i >= 3 && memcmp(s + i, SPM_SPACE, 3) == 0;
        out[len++] = is_space ? ' ' : s[i];
        i += is_space ? 3 : 1;
    }
    return len;
}

/* ---- specials ---------------------------------------------------------------------------- */

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

int32_t bitnet_vocab_special_at(const bitnet_vocab *v, const char *s, size_t n, size_t room,
                                size_t *len_out) {
    int32_t best = -1;
    uint32_t first = room > 0 ? SPECIAL_ALWAYS | SPECIAL_ON_REQUEST : SPECIAL_ALWAYS;
    if (!(v->special_first[(uint8_t)s[0]] & first)) return -1;
    uint32_t lo = 0, hi = v->n_special;
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        uint32_t byte = (uint8_t)s[depth], len;
        uint32_t wanted = depth < room ? SPECIAL_ALWAYS | SPECIAL_ON_REQUEST : SPECIAL_ALWAYS;
        lo = narrow(v, lo, hi, depth, byte);
        hi = narrow(v, lo, hi, depth, byte + 1);
        /* those that end here come first, the lowest id foremost */
        for (; lo < hi; lo++) {
            int32_t id = (int32_t)v->special[lo];
            bitnet_vocab_bytes(v, id, &len);
            if (len != depth + 1) break;
            if (!(bitnet_vocab_special_kind(v, id) & wanted)) continue;
            if (best < 0 || *len_out != len) best = id;
            *len_out = len;
        }
    }
    return best;
}

/* ---- text -------------------------------------------------------------------------------- */

/* The bytes a token prints; E_INVAL for an id outside the vocabulary. */
static int32_t printed(const bitnet_vocab *v, bitnet_token id, const char **bytes) {
    if (id < 0 || id >= v->n_row) return BITNET_E_INVAL;
    if (id >= v->n_token || bitnet_vocab_special_kind(v, id) == SPECIAL_ON_REQUEST) return 0;
    uint32_t len;
    *bytes = bitnet_vocab_bytes(v, id, &len);
    return (int32_t)len;
}

static void copy(char *out, int32_t cap, const char *bytes, int32_t len) {
    int32_t n = cap < len ? cap : len;
    if (n > 0) memcpy(out, bytes, (size_t)n);
}

int32_t bitnet_vocab_text(const bitnet_vocab *v, bitnet_token id, char *out, int32_t cap) {
    const char *bytes = NULL;
    int32_t len = printed(v, id, &bytes);
    copy(out, cap, bytes, len);
    return len;
}

/* Stripped is the space that the encoder put before the text. Behind a special it puts another one,
 * which stays, as in llama.cpp; before a special it puts none. */
int32_t bitnet_vocab_detokenize(const bitnet_vocab *v, const bitnet_token *ids, int32_t n,
                                char *out, int32_t cap) {
    int32_t total = 0;
    bool is_start = true;
    if (n < 0) return BITNET_E_INVAL;
    for (int32_t i = 0; i < n; i++) {
        const char *bytes = NULL;
        int32_t len = printed(v, ids[i], &bytes);
        if (len < 0 || len > INT32_MAX - total) return BITNET_E_INVAL;
        if (len == 0) continue;
        bool is_added = is_start && v->add_space && !bitnet_vocab_special_kind(v, ids[i]);
        is_start = false;
        if (is_added && bytes[0] == ' ') bytes++, len--;
        if (total < cap) copy(out + total, cap - total, bytes, len);
        total += len;
    }
    return total;
}

bool bitnet_vocab_is_end(const bitnet_vocab *v, bitnet_token id) {
    return id >= 0 && id < v->n_token && (v->attr[id] & TOKEN_END);
}

/* ---- facts ------------------------------------------------------------------------------- */

int32_t bitnet_vocab_size(const bitnet_vocab *v) {
    return v->n_token;
}

int32_t bitnet_vocab_max_text(const bitnet_vocab *v) {
    return v->max_text;
}

int32_t bitnet_vocab_bos(const bitnet_vocab *v) {
    return v->bos;
}

int32_t bitnet_vocab_eos(const bitnet_vocab *v) {
    return v->eos;
}

const char *bitnet_vocab_name(const bitnet_vocab *v) {
    return v->name;
}
