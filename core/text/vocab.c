/* vocab.c: looking tokens up in a finished vocabulary. See vocab.h. */
#include "text/vocab.h"

#include <string.h>

void bitnet_vocab_free(bitnet_vocab *v) {
    if (!v) return;
    bitnet_allocator a = v->allocator;
    bitnet_free(&a, v, v->block_size);
}

uint32_t bitnet_vocab_hash(const char *s, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 0x100000001b3u;
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

int32_t bitnet_vocab_text(const bitnet_vocab *v, bitnet_token id, char *out, int32_t cap) {
    if (id < 0 || id >= v->n_row) return BITNET_E_INVAL;
    if (id >= v->n_token || bitnet_vocab_special_kind(v, id) == SPECIAL_ON_REQUEST) return 0;
    uint32_t len;
    const char *bytes = bitnet_vocab_bytes(v, id, &len);
    uint32_t n = cap <= 0 ? 0 : (uint32_t)cap < len ? (uint32_t)cap : len;
    if (n) memcpy(out, bytes, n);
    return (int32_t)len;
}

bool bitnet_vocab_is_end(const bitnet_vocab *v, bitnet_token id) {
    return id >= 0 && id < v->n_token && (v->attr[id] & TOKEN_END);
}

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
