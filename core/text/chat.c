/* chat.c: a conversation -> tokens: one row per family says how it is recognised and what stands
 * around the contents (formats page 4.8; docs/tokenizers.md has an example of each).
 *
 * The template's own words may become control tokens, a message's never: they are different spans of
 * one text. Control tokens that a template needs must be in the vocabulary; without them its words
 * would be spelled out, and the model would answer to something it never saw.
 */
#include "text/chat.h"

#include <string.h>

#include "text/unicode.h"
#include "base/utf8.h"
#include "text/vocab.h"

#define MAX_MESSAGES (1 << 20)

enum { SYSTEM, USER, ASSISTANT, N_ROLES };
static const char *const role_names[N_ROLES] = {"system", "user", "assistant"};

typedef struct family {
    const char *name;
    /* A model is of the first family whose three conditions hold. */
    const char *arch;      /* how its architecture begins */
    const char *tokenizer; /* what bitnet_vocab_name_of says; NULL = any */
    const char *needs[3];  /* tokens of the vocabulary */
    /* Around each message; the assistant's opening also asks for an answer. */
    const char *open[N_ROLES];
    const char *close;
    bool is_trimmed; /* contents lose white space at both ends */
    bool has_bos;    /* also where the vocabulary itself wants none */
    bool can_split;  /* there is a reference that tokenizes openings apart from contents */
} family;

#define IM(role)     "<|im_start|>" role "\n"
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

static const family families[] = {
    {.name = "bitnet",
     .arch = "bitnet",
     .needs = {"<|eot_id|>"},
     .open = {"System: ", "User: ", "Assistant: "},
     .close = "<|eot_id|>",
     .is_trimmed = true,
     .has_bos = true,
     .can_split = true},
    {.name = "llama3",
     .arch = "",
     .needs = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     .open = {HEADER("system"), HEADER("user"), HEADER("assistant")},
     .close = "<|eot_id|>",
     .is_trimmed = true,
     .has_bos = true},
    {.name = "falcon3",
     .arch = "",
     .tokenizer = "gpt2/falcon3",
     .open = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
     .close = "\n"},
    {.name = "chatml",
     .arch = "",
     .needs = {"<|im_start|>", "<|im_end|>"},
     .open = {IM("system"), IM("user"), IM("assistant")},
     .close = "<|im_end|>\n"},
    {.name = "none", .arch = "", .open = {"", "", ""}, .close = ""},
};
#define N_FAMILIES (sizeof families / sizeof *families)

/* ---- which family ------------------------------------------------------------------------ */

const char *bitnet_chat_template_name(int32_t i) {
    return i >= 0 && (size_t)i < N_FAMILIES ? families[i].name : NULL;
}

static const family *find_family(const char *name) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0) return &families[i];
    return NULL;
}

/* Bits 3 f + k: the k-th token that family f needs is there. */
static uint32_t tokens_present(const bitnet_dir *dir) {
    const bitnet_meta *tokens = bitnet_dir_meta(dir, "tokenizer.ggml.tokens");
    uint32_t present = 0;
    uint64_t pos = 0;
    size_t len;
    for (const char *s; tokens && bitnet_meta_next_str(tokens, &pos, &s, &len);) {
        if (len < 2 || s[0] != '<' || s[1] != '|') continue; /* as all of them begin */
        for (uint32_t i = 0; i < 3 * N_FAMILIES; i++) {
            const char *need = families[i / 3].needs[i % 3];
            if (need && strlen(need) == len && memcmp(need, s, len) == 0) present |= 1u << i;
        }
    }
    return present;
}

const char *bitnet_chat_family(const bitnet_dir *dir, const char *arch) {
    const char *tokenizer = bitnet_vocab_name_of(dir, arch);
    uint32_t present = tokens_present(dir), f = 0;
    for (; f + 1 < N_FAMILIES; f++) {
        const family *row = &families[f];
        bool fits = strncmp(arch, row->arch, strlen(row->arch)) == 0 &&
                    (!row->tokenizer || strcmp(tokenizer, row->tokenizer) == 0);
        for (uint32_t k = 0; k < 3; k++)
            fits = fits && (!row->needs[k] || present >> (3 * f + k) & 1);
        if (fits) break;
    }
    return families[f].name;
}

/* ---- a conversation as spans ------------------------------------------------------------- */

/* What Jinja's trim (Python's str.strip) takes away. */
static bool is_space(uint32_t cp) {
    return bitnet_char_kind_of(cp) == KIND_SPACE || (cp >= 0x1c && cp <= 0x1f);
}

/* s is valid UTF-8. */
static bitnet_span trim(const char *s, size_t n) {
    uint32_t cp;
    for (int len; n > 0; s += len, n -= (size_t)len) {
        len = bitnet_utf8_decode(s, n, &cp);
        if (!is_space(cp)) break;
    }
    while (n > 0) {
        size_t first = n - 1;
        while (first > 0 && ((uint8_t)s[first] & 0xc0) == 0x80)
            first--;
        bitnet_utf8_decode(s + first, n - first, &cp);
        if (!is_space(cp)) break;
        n = first;
    }
    return (bitnet_span){s, n, false};
}

static bitnet_span words(const char *s) {
    return (bitnet_span){s, strlen(s), true};
}

static bitnet_status check_message(const bitnet_message *m, int32_t i, int *role,
                                   bitnet_error *err) {
    bitnet_escaped e;
    const char *name = m->role ? m->role : "";
    for (*role = 0; *role < N_ROLES && strcmp(name, role_names[*role]) != 0;)
        ++*role;
    if (*role == N_ROLES)
        return bitnet_fail(
            err, BITNET_E_INVAL, "chat.role",
            "message %d has the role \"%.64s\"; allowed are system, user and assistant", i,
            bitnet_escape(&e, name, strlen(name)));
    size_t at = m->content_len ? bitnet_utf8_check(m->content, m->content_len) : 0;
    if (at < m->content_len)
        return bitnet_fail(err, BITNET_E_FORMAT, "chat.content",
                           "message %d is not valid UTF-8 from byte %zu on", i, at);
    return BITNET_OK;
}

/* Three spans a message. */
static bitnet_status add_messages(bitnet_span *spans, const family *f,
                                  const bitnet_message *messages, int32_t n, bitnet_error *err) {
    for (int32_t i = 0; i < n; i++) {
        int role;
        bitnet_status st = check_message(&messages[i], i, &role, err);
        if (st < 0) return st;
        const char *s = messages[i].content_len ? messages[i].content : "";
        spans[3 * i] = words(f->open[role]);
        spans[3 * i + 1] = f->is_trimmed ? trim(s, messages[i].content_len)
                                         : (bitnet_span){s, messages[i].content_len, false};
        spans[3 * i + 2] = words(f->close);
    }
    return BITNET_OK;
}

/* ---- tokens ------------------------------------------------------------------------------ */

static bitnet_status check_needs(const bitnet_vocab *v, const family *f, bitnet_error *err) {
    for (int k = 0; k < 3 && f->needs[k]; k++) {
        bitnet_span span = words(f->needs[k]);
        bitnet_token id = -1;
        if (bitnet_vocab_encode_spans(v, &span, 1, 0, &id, 1) == 1 &&
            bitnet_vocab_special_kind(v, id) == SPECIAL_ON_REQUEST)
            continue;
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "chat.token",
                           "the template \"%s\" needs the token %s, which this vocabulary lacks",
                           f->name, f->needs[k]);
    }
    return BITNET_OK;
}

/* So many spans at a time, `step`, are cut as one text. */
static int32_t encode(const bitnet_vocab *v, const bitnet_span *spans, int32_t n, int32_t step,
                      bitnet_token *out, int32_t cap) {
    int32_t total = 0;
    for (int32_t i = 0; i < n; i += step) {
        int32_t room = total < cap ? cap - total : 0;
        int32_t count = bitnet_vocab_encode_spans(v, spans + i, n - i < step ? n - i : step, 0,
                                                  room ? out + total : NULL, room);
        if (count < 0) return count;
        if (count > INT32_MAX - total) return BITNET_E_INVAL;
        total += count;
    }
    return total;
}

/* BOS comes from here, not from the encoder: a template may have it on its own account, and an EOS
 * that the vocabulary wants behind a text would end the conversation. */
static int32_t encode_chat(const bitnet_vocab *v, const family *f, const bitnet_span *spans,
                           int32_t n, int32_t step, bitnet_token *out, int32_t cap) {
    int32_t n_bos = v->bos >= 0 && (v->add_bos || f->has_bos) ? 1 : 0;
    if (n_bos && cap > 0) out[0] = v->bos;
    int32_t room = cap > n_bos ? cap - n_bos : 0;
    int32_t count = encode(v, spans, n, step, room ? out + n_bos : NULL, room);
    return count < 0 ? count : count + n_bos;
}

/* What was asked for, and the conversation as spans. Freed with free_chat after any outcome. */
typedef struct chat {
    const family *family;
    bitnet_span *spans;
    size_t size;
    int32_t n_spans;
} chat;

static bitnet_status open_chat(chat *c, const bitnet_allocator *a, const char *name,
                               const bitnet_message *messages, int32_t n, uint32_t flags,
                               bitnet_error *err) {
    bitnet_escaped e;
    *c = (chat){.family = find_family(name)};
    if (!c->family)
        return bitnet_fail(err, BITNET_E_INVAL, "chat.template",
                           "there is no template \"%.64s\"; known are bitnet, llama3, falcon3, "
                           "chatml and none",
                           bitnet_escape(&e, name, strlen(name)));
    if (n < 1 || n > MAX_MESSAGES)
        return bitnet_fail(err, BITNET_E_INVAL, "chat.messages",
                           "a conversation of %d messages; allowed are 1 to %d", n, MAX_MESSAGES);
    c->n_spans = 3 * n;
    c->size = ((size_t)c->n_spans + 1) * sizeof(bitnet_span);
    c->spans = bitnet_alloc(a, c->size);
    if (!c->spans)
        return bitnet_fail(err, BITNET_E_NOMEM, "chat.memory",
                           "no memory for a conversation of %d messages", n);
    bitnet_status st = add_messages(c->spans, c->family, messages, n, err);
    if (flags & BITNET_CHAT_ANSWER) c->spans[c->n_spans++] = words(c->family->open[ASSISTANT]);
    return st;
}

static void free_chat(chat *c, const bitnet_allocator *a) {
    bitnet_free(a, c->spans, c->size);
}

static int32_t too_long(bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_INVAL, "chat.length",
                       "the conversation has more than 1 GiB of text");
}

int32_t bitnet_chat_encode(const bitnet_vocab *v, const char *name, const bitnet_message *messages,
                           int32_t n, uint32_t flags, bitnet_token *out, int32_t cap,
                           bitnet_error *err) {
    chat c;
    int32_t count = 0;
    bitnet_status st = open_chat(&c, &v->allocator, name, messages, n, flags, err);
    if (st >= 0) st = check_needs(v, c.family, err);
    if (st >= 0) {
        int32_t step = c.family->can_split && flags & BITNET_CHAT_SPLIT ? 1 : c.n_spans;
        count = encode_chat(v, c.family, c.spans, c.n_spans, step, out, cap);
    }
    free_chat(&c, &v->allocator);
    if (count == BITNET_E_NOMEM)
        return bitnet_fail(err, BITNET_E_NOMEM, "chat.memory",
                           "no memory for a conversation of %d messages", n);
    if (count < 0) return too_long(err);
    return st < 0 ? (int32_t)st : count;
}

int32_t bitnet_chat_write(const bitnet_allocator *a, const char *name,
                          const bitnet_message *messages, int32_t n, uint32_t flags, char *out,
                          int32_t cap, bitnet_error *err) {
    chat c;
    size_t at = 0;
    bitnet_status st = open_chat(&c, a, name, messages, n, flags, err);
    for (int32_t i = 0; st >= 0 && i < c.n_spans; i++) {
        bitnet_span span = c.spans[i];
        size_t room = at < (size_t)cap ? (size_t)cap - at : 0, fits = span.n < room ? span.n : room;
        if (fits) memcpy(out + at, span.s, fits);
        at += span.n;
        if (at > INT32_MAX) st = (bitnet_status)too_long(err);
    }
    free_chat(&c, a);
    return st < 0 ? (int32_t)st : (int32_t)at;
}
