/* vocab_merges.c: the merge list of a byte-level BPE vocabulary, sorted so that the rank of a pair is
 * found by its left token and a binary search.
 *
 * An entry must join two tokens to a third; anything else is refused. Entries that lead to or from a
 * control token are left out.
 */
#include <inttypes.h>
#include <string.h>

#include "text/vocab_build.h"

typedef struct pair {
    int32_t left, right; /* left -1: a merge that is never applied */
} pair;

/* "left right", cut at the first space that is not the first character. */
static bool parse_merge(bitnet_vocab_builder *b, uint32_t rank, const char *s, size_t len,
                        pair *out) {
    bitnet_vocab *v = b->v;
    bitnet_escaped e;
    const char *cut = len > 1 ? memchr(s + 1, ' ', len - 1) : NULL;
    char bytes[4 * TOKEN_MAX_BYTES];
    int32_t n_left = -1, n_right = -1, merged = -1;
    if (cut && len <= sizeof bytes) {
        n_left = bitnet_vocab_unmap(s, (size_t)(cut - s), bytes);
        if (n_left > 0)
            n_right = bitnet_vocab_unmap(cut + 1, len - (size_t)(cut + 1 - s), bytes + n_left);
    }
    if (n_right > 0) {
        out->left = bitnet_vocab_find(v, bytes, (size_t)n_left);
        out->right = bitnet_vocab_find(v, bytes + n_left, (size_t)n_right);
        merged = bitnet_vocab_find(v, bytes, (size_t)(n_left + n_right));
    }
    if (n_right <= 0 || out->left < 0 || out->right < 0 || merged < 0)
        return REFUSE(b, "tokenizer.merges",
                      "tokenizer.ggml.merges: entry %u '%.96s' does not join two tokens to a third",
                      rank, bitnet_escape(&e, s, len));
    v->merged[rank] = merged;
    /* Plain text never gives a control token, so what leads there is left out. */
    if (bitnet_vocab_special_kind(v, out->left) == SPECIAL_ON_REQUEST ||
        bitnet_vocab_special_kind(v, out->right) == SPECIAL_ON_REQUEST ||
        bitnet_vocab_special_kind(v, merged) == SPECIAL_ON_REQUEST)
        out->left = -1;
    return true;
}

/* Counting sort by right, then by left; both passes are stable, so equal pairs stay in rank order
 * and a search for the first one finds the lowest rank. order [n_merge], count [n_token + 1],
 * zeroed. */
static void sort_merges(bitnet_vocab *v, const pair *pairs, uint32_t *order, uint32_t *count) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_merge; i++)
        if (pairs[i].left >= 0) count[pairs[i].right + 1]++, v->merge_pos[pairs[i].left + 1]++, n++;
    for (int32_t t = 0; t < v->n_token; t++) {
        count[t + 1] += count[t];
        v->merge_pos[t + 1] += v->merge_pos[t];
    }
    for (uint32_t i = 0; i < v->n_merge; i++)
        if (pairs[i].left >= 0) order[count[pairs[i].right]++] = i;
    memcpy(count, v->merge_pos, ((size_t)v->n_token + 1) * sizeof *count);
    for (uint32_t k = 0; k < n; k++) {
        const pair *p = &pairs[order[k]];
        v->merge[count[p->left]++] = (bitnet_merge){p->right, order[k]};
    }
}

bool bitnet_vocab_load_merges(bitnet_vocab_builder *b) {
    bitnet_vocab *v = b->v;
    if (v->n_merge == 0) return true;
    uint64_t size = (uint64_t)v->n_merge * (sizeof(pair) + sizeof(uint32_t)) +
                    ((uint64_t)v->n_token + 1) * sizeof(uint32_t);
    pair *pairs = size <= SIZE_MAX ? bitnet_alloc(b->alloc, (size_t)size) : NULL;
    if (!pairs)
        return REFUSE_AS(b, E_NOMEM, "tokenizer.memory",
                         "no memory to sort merges in %" PRIu64 " bytes", size);
    uint32_t *order = (void *)(pairs + v->n_merge), *count = order + v->n_merge;
    const char *s = NULL;
    size_t len = 0;
    uint64_t pos = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < v->n_merge; i++) {
        ok = bitnet_meta_next_str(b->merges, &pos, &s, &len) ||
             REFUSE(b, "tokenizer.merges", "tokenizer.ggml.merges ends before entry %u", i);
        ok = ok && parse_merge(b, i, s, len, &pairs[i]);
    }
    if (ok) sort_merges(v, pairs, order, count);
    bitnet_free(b->alloc, pairs, (size_t)size);
    return ok;
}
