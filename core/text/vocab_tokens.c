/* vocab_tokens.c: the token array -> bytes, types, ranks, and a hash from bytes to token.
 *
 * A token is found by its bytes only where the encoder may come upon them: in byte-level BPE a text
 * that the map can spell, in SentencePiece a token that plain text may give. So "<0x0A>", the token
 * of a line feed, is not what those six characters give.
 */
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "text/vocab_build.h"

/* ---- types ------------------------------------------------------------------------------- */

/* Tokens that open or end a turn. Some files call them ordinary or user-defined ones, and then a
 * user could write them: they are control tokens here whatever the file says, as in llama.cpp. */
static const struct turn {
    const char *text;
    bool is_end; /* generation stops at it */
} turns[] = {
    {"<|eot_id|>", true},
    {"<|im_end|>", true},
    {"<|end|>", true},
    {"<end_of_turn>", true},
    {"<|endoftext|>", true},
    {"<|eom_id|>", true},
    {"<EOT>", true},
    {"<|im_start|>", false},
    {"<|start_header_id|>", false},
    {"<|end_header_id|>", false},
    {"<|user|>", false},
    {"<|assistant|>", false},
    {"<|system|>", false},
};

static const struct turn *find_turn(const char *s, size_t len) {
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        if (strlen(turns[i].text) == len && memcmp(turns[i].text, s, len) == 0) return &turns[i];
    return NULL;
}

/* Type, and whether generation stops at this token. */
static bool add_attr(bitnet_vocab_builder *b, int32_t id, const char *s, size_t len) {
    int64_t type = TOKEN_NORMAL;
    if (b->types && !bitnet_meta_at_i64(b->types, (uint64_t)id, &type)) type = -1;
    if (type < 0 || type >= TOKEN_TYPE_COUNT)
        return REFUSE(b, "tokenizer.token_type",
                      "tokenizer.ggml.token_type: token %d is of type %" PRId64
                      "; allowed are 0 to %d",
                      id, type, TOKEN_TYPE_COUNT - 1);
    const struct turn *turn = find_turn(s, len);
    if (turn) type = TOKEN_CONTROL;
    b->v->attr[id] = (uint8_t)(turn && turn->is_end ? type | TOKEN_END : type);
    return true;
}

/* ---- texts ------------------------------------------------------------------------------- */

int32_t bitnet_vocab_unmap(const char *s, size_t n, char *out) {
    int32_t len = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int step = bitnet_utf8_decode(s + i, n - i, &cp);
        int32_t byte = step ? bitnet_bytemap(cp) : -1;
        if (byte < 0) return -1;
        out[len++] = (char)byte;
        i += (size_t)step;
    }
    return len;
}

/* The byte that "<0x0A>" names, in capitals; -1 = none. */
static int32_t named_byte(const char *s, size_t len) {
    static const char digits[] = "0123456789ABCDEF";
    if (len != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>') return -1;
    const char *hi = memchr(digits, s[3], 16), *lo = memchr(digits, s[4], 16);
    return hi && lo ? (int32_t)(16 * (hi - digits) + (lo - digits)) : -1;
}

/* What a token stands for. */
typedef struct token_text {
    const char *s;
    size_t n;
    bool is_findable;
    char bytes[3 * TOKEN_MAX_BYTES]; /* s, unless it is as written */
} token_text;

/* A special with a plain space, say, is kept as it is written and is not findable. */
static bool read_bpe(bitnet_vocab_builder *b, int32_t id, const char *s, size_t len,
                     token_text *t) {
    int32_t n = len <= sizeof t->bytes ? bitnet_vocab_unmap(s, len, t->bytes) : -1;
    bool as_written = n < 0 || bitnet_vocab_special_kind(b->v, id);
    t->s = as_written ? s : t->bytes;
    t->n = as_written ? len : (size_t)n;
    t->is_findable = n == (int32_t)t->n && memcmp(t->s, t->bytes, t->n) == 0;
    return true;
}

static bool read_spm(bitnet_vocab_builder *b, int32_t id, const char *s, size_t len,
                     token_text *t) {
    uint32_t kind = bitnet_vocab_special_kind(b->v, id);
    bool is_byte = bitnet_vocab_type(b->v, id) == TOKEN_BYTE;
    t->s = s;
    t->n = len;
    t->is_findable = kind != SPECIAL_ON_REQUEST && !is_byte;
    if (kind || len > sizeof t->bytes) return true;
    t->s = t->bytes;
    if (!is_byte) {
        t->n = bitnet_vocab_unmark(s, len, t->bytes);
        return true;
    }
    bitnet_escaped e;
    int32_t byte = named_byte(s, len);
    if (byte < 0)
        return REFUSE(
            b, "tokenizer.byte",
            "tokenizer.ggml.tokens: token %d is of type byte and reads '%.64s'; allowed are "
            "'<0x00>' to '<0xFF>'",
            id, bitnet_escape(&e, s, len));
    t->bytes[0] = (char)byte;
    t->n = 1;
    if (b->v->byte_token[byte] < 0) b->v->byte_token[byte] = id;
    return true;
}

static bool add_token(bitnet_vocab_builder *b, int32_t id, const char *s, size_t len) {
    bitnet_vocab *v = b->v;
    token_text t;
    if (!add_attr(b, id, s, len)) return false;
    if (!(b->is_spm ? read_spm : read_bpe)(b, id, s, len, &t)) return false;
    if (t.n > TOKEN_MAX_BYTES)
        return REFUSE(b, "tokenizer.token.length",
                      "tokenizer.ggml.tokens: token %d has %zu bytes; allowed are %u", id, t.n,
                      TOKEN_MAX_BYTES);
    memcpy(v->text + v->text_pos[id], t.s, t.n);
    v->text_pos[id + 1] = v->text_pos[id] + (uint32_t)t.n;
    if (v->max_text < (int32_t)t.n) v->max_text = (int32_t)t.n;
    if (t.n == 0 || !t.is_findable) return true;
    uint32_t *slot = bitnet_vocab_slot(v, t.s, t.n);
    if (!slot)
        return REFUSE(
            b, "tokenizer.token.hash",
            "tokenizer.ggml.tokens: token %d is the last of more than %u that share a hash", id,
            TOKEN_MAX_PROBES);
    if (*slot == 0) *slot = (uint32_t)id + 1; /* of equal tokens the first one counts */
    return true;
}

/* ---- scores ------------------------------------------------------------------------------ */

/* Floats as integers in descending order: the sign bit turns all others around. */
static bool load_ranks(bitnet_vocab_builder *b) {
    for (int32_t i = 0; i < b->v->n_token; i++) {
        uint32_t bits = (uint32_t)bitnet_load_le(b->scores->data + 4 * (uint64_t)i, 4);
        if ((bits & 0x7f800000u) == 0x7f800000u)
            return REFUSE(b, "tokenizer.scores",
                          "tokenizer.ggml.scores: the score of token %d is not a finite number", i);
        if (bits == 0x80000000u) bits = 0; /* -0 is 0 */
        b->v->rank[i] = bits & 0x80000000u ? bits : 0x7fffffffu - bits;
    }
    return true;
}

/* ---- all of them ------------------------------------------------------------------------- */

/* A byte of byte-level BPE is a token of one byte. */
static void find_bytes(bitnet_vocab *v) {
    for (int32_t i = 0; i < 256; i++) {
        char byte = (char)i;
        int32_t id = bitnet_vocab_find(v, &byte, 1);
        bool is_plain = id >= 0 && bitnet_vocab_special_kind(v, id) != SPECIAL_ON_REQUEST;
        v->byte_token[i] = is_plain ? id : -1;
    }
}

bool bitnet_vocab_load_tokens(bitnet_vocab_builder *b) {
    const char *s;
    size_t len;
    uint64_t pos = 0;
    for (int32_t i = 0; i < 256; i++)
        b->v->byte_token[i] = -1;
    for (int32_t i = 0; i < b->v->n_token; i++) {
        if (!bitnet_meta_next_str(b->tokens, &pos, &s, &len))
            return REFUSE(b, "tokenizer.tokens", "tokenizer.ggml.tokens ends before token %d", i);
        if (!add_token(b, i, s, len)) return false;
    }
    if (b->is_spm) return load_ranks(b);
    find_bytes(b->v);
    return true;
}
