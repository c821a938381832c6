/* vocab.h: what stands behind bitnet_vocab: filled by vocab_gguf.c, used by the encoders.
 *
 * Tokens are kept as the bytes they stand for. Byte-level BPE writes every byte as one printable
 * character (bytemap below) and SentencePiece writes a space as U+2581 and a byte as <0x0A>, so that
 * a vocabulary is text; both are undone once, at load, and encoding never maps anything. Only
 * control, unknown and user-defined tokens are kept as they are written; the first two never come
 * out of plain text.
 *
 * All arrays lie in one block behind the struct, in the order of the fields.
 */
#ifndef BITNET_VOCAB_H
#define BITNET_VOCAB_H

#include "text/pretok.h"
#include "text/tokenizer.h"

enum { /* tokenizer.ggml.token_type */
       TOKEN_UNDEFINED,
       TOKEN_NORMAL,
       TOKEN_UNKNOWN,
       TOKEN_CONTROL,
       TOKEN_USER_DEFINED,
       TOKEN_UNUSED,
       TOKEN_BYTE,
       TOKEN_TYPE_COUNT,
       TOKEN_TYPE_MASK = 7,
       TOKEN_END = 0x80, /* or-ed to the type: generation stops here */
};

#define SPM_SPACE       "\xe2\x96\x81" /* U+2581: how SentencePiece writes a space */
#define TOKEN_MAX_BYTES 1024u          /* LLaMA 3's longest has 128 */
#define NO_RANK         UINT32_MAX     /* of a pair that is never merged */
/* Tokens lie at most this far behind the slot that their hash names. The table is at most half
 * full: that a real vocabulary needs more has a chance of 1e-16, so a file that does was made to be
 * slow. */
#define TOKEN_MAX_PROBES 256u

typedef struct bitnet_merge { /* left and right become one; left is implied by where the merge lies
                               */
    int32_t right;
    uint32_t rank; /* position in the file's list: lower goes first */
} bitnet_merge;

struct bitnet_vocab {
    bitnet_allocator allocator;
    size_t block_size; /* of all, this struct included */
    const char *name;
    const bitnet_pretok *pretok; /* NULL: SentencePiece, which cuts at specials only */
    int32_t n_token, n_row, max_text;
    int32_t bos, eos, unknown; /* -1 = none */
    bool add_bos, add_eos;
    bool add_space; /* SentencePiece: a space before a text and behind every special */
    uint32_t n_merge, n_special;
    uint32_t slot_mask;
    int32_t byte_token[256];    /* the token of a single byte; -1 = none */
    uint8_t special_first[256]; /* SPECIAL_* bits of the specials that begin with a byte */

    uint32_t *text_pos;  /* [n_token + 1]: token i is text from [i] to [i + 1] */
    uint32_t *merge_pos; /* [n_token + 1]: merges with left token i, likewise; each run is sorted */
    bitnet_merge *merge; /* [n_merge] by (left, right, rank) */
    int32_t *merged;     /* [n_merge] by rank: what the merge gives */
    uint32_t *rank;      /* [n_token] SentencePiece: the highest score has the lowest */
    uint32_t *slot;      /* [slot_mask + 1] hash of the tokens' bytes: id + 1, 0 = free */
    uint32_t *special;   /* [n_special], room for n_token: ids of specials, sorted by text */
    uint8_t *attr;       /* [n_token] TOKEN_* */
    char *text;
};

enum { SPECIAL_ALWAYS = 1, SPECIAL_ON_REQUEST = 2 };

static inline uint32_t bitnet_vocab_type(const bitnet_vocab *v, int32_t id) {
    return v->attr[id] & TOKEN_TYPE_MASK;
}

static inline const char *bitnet_vocab_bytes(const bitnet_vocab *v, int32_t id, uint32_t *len) {
    *len = v->text_pos[id + 1] - v->text_pos[id];
    return v->text + v->text_pos[id];
}

/* Specials are found in the text before it is cut: SPECIAL_ALWAYS for user-defined ones,
 * SPECIAL_ON_REQUEST for control and unknown ones, 0 for all other tokens. */
static inline uint32_t bitnet_vocab_special_kind(const bitnet_vocab *v, int32_t id) {
    uint32_t type = bitnet_vocab_type(v, id);
    if (type == TOKEN_USER_DEFINED) return SPECIAL_ALWAYS;
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN ? SPECIAL_ON_REQUEST : 0;
}

/* FNV-1a with a final mix, so that the low bits can be used. */
uint32_t bitnet_vocab_hash(const char *s, size_t n);
/* The slot of the token that stands for these bytes or, with 0 in it, the slot where it would go.
 * NULL when neither is near: then the bytes are no token. */
uint32_t *bitnet_vocab_slot(const bitnet_vocab *v, const char *s, size_t n);
/* The token that stands for these bytes, of any type (SentencePiece: of a type that plain text may
 * give); -1 = none. */
int32_t bitnet_vocab_find(const bitnet_vocab *v, const char *s, size_t n);
/* SentencePiece's text with spaces for its U+2581; out has room for n bytes and may not overlap. Returns
 * how many it took. */
size_t bitnet_vocab_unmark(const char *s, size_t n, char *out);
/* The longest special token of the wanted kinds that s [n], n >= 1, begins with, and its length;
 * -1 = none. One that waits for a request must lie within the first `room` bytes. */
int32_t bitnet_vocab_special_at(const bitnet_vocab *v, const char *s, size_t n, size_t room,
                                size_t *len);

/* The byte that a code point of a byte-level vocabulary stands for; -1 = none. Printable Latin-1 is
 * itself; the other 68 bytes are U+0100 .. U+0143 in ascending order. */
static inline int32_t bitnet_bytemap(uint32_t cp) {
    if ((cp >= 0x21 && cp <= 0x7e) || (cp >= 0xa1 && cp <= 0xff && cp != 0xad)) return (int32_t)cp;
    if (cp < 0x100 || cp > 0x143) return -1;
    if (cp <= 0x120) return (int32_t)(cp - 0x100);            /* 00 .. 20 */
    return cp == 0x143 ? 0xad : (int32_t)(cp - 0x121) + 0x7f; /* 7f .. a0, ad */
}

#endif
