/* pretok.c: the pre-tokenizers, written out from their regular expressions
 *
 *   LLaMA 3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
 *            |[ ]?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   GPT-2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Each code point is a letter, a number, a space or other, and the first rule that applies wins.
 * Contractions are ASCII, as in llama.cpp, and LLaMA 3's in any mix of case; marks are not letters.
 */
#include "text/pretok.h"

#include <stdint.h>
#include <string.h>

#include "text/unicode.h"
#include "base/utf8.h"

typedef struct ch {
    uint32_t cp;
    bitnet_char_kind kind;
    size_t len; /* bytes; 0 at the end of the text */
} ch;

static ch at(const char *s, size_t n, size_t i) {
    if (i >= n) return (ch){0, KIND_END, 0};
    uint32_t cp;
    int len = bitnet_utf8_decode(s + i, n - i, &cp);
    if (len == 0) return (ch){0xfffd, KIND_OTHER, 1};
    return (ch){cp, bitnet_char_kind_of(cp), (size_t)len};
}

static bool is_newline(uint32_t cp) {
    return cp == '\r' || cp == '\n';
}

/* End of the run of kind k that begins at i; at most max characters. */
static size_t run(const char *s, size_t n, size_t i, bitnet_char_kind k, size_t max) {
    for (ch c; max > 0 && (c = at(s, n, i)).kind == k; max--)
        i += c.len;
    return i;
}

/* Bytes of a contraction at s, s[0] == '\''; 0 when there is none. to_lower is 0x20 where capitals
 * count too, 0 where they do not. */
static size_t contraction(const char *s, size_t n, int to_lower) {
    char a = n > 1 ? (char)(s[1] | to_lower) : 0, b = n > 2 ? (char)(s[2] | to_lower) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* s begins with a space: all but the last space of the run, which then leads the next word; at the
 * end of the text, or for a single space, the whole run. *behind_newline is set to where the last
 * newline of the run ends; 0 = it has none. */
static size_t spaces(const char *s, size_t n, size_t *behind_newline) {
    size_t i = 0, last = 0;
    *behind_newline = 0;
    for (ch c; (c = at(s, n, i)).kind == KIND_SPACE;) {
        last = i;
        i += c.len;
        if (is_newline(c.cp)) *behind_newline = i;
    }
    return i < n && last > 0 ? last : i;
}

size_t bitnet_pretok_llama3(const char *s, size_t n) {
    ch a = at(s, n, 0), b = at(s, n, a.len);
    size_t len = a.cp == '\'' ? contraction(s, n, 0x20) : 0;
    if (len) return len;
    if (a.kind == KIND_LETTER) return run(s, n, 0, KIND_LETTER, n);
    if (a.kind == KIND_NUMBER) return run(s, n, 0, KIND_NUMBER, 3);
    if (!is_newline(a.cp) && b.kind == KIND_LETTER) return run(s, n, a.len, KIND_LETTER, n);
    size_t start = a.cp == ' ' ? a.len : 0;
    if (at(s, n, start).kind != KIND_OTHER) {
        size_t behind_newline, all = spaces(s, n, &behind_newline);
        return behind_newline ? behind_newline : all;
    }
    size_t end = run(s, n, start, KIND_OTHER, n);
    while (end < n && is_newline((uint8_t)s[end]))
        end++;
    return end;
}

size_t bitnet_pretok_gpt2(const char *s, size_t n) {
    ch a = at(s, n, 0);
    size_t len = a.cp == '\'' ? contraction(s, n, 0) : 0;
    if (len) return len;
    size_t start = a.cp == ' ' ? a.len : 0, behind_newline;
    bitnet_char_kind kind = at(s, n, start).kind;
    if (kind == KIND_SPACE || kind == KIND_END) return spaces(s, n, &behind_newline);
    return run(s, n, start, kind, n);
}

static const bitnet_pretok table[] = {
    {"gpt2/llama-bpe", bitnet_pretok_llama3, true, true},
    {"gpt2/llama3", bitnet_pretok_llama3, true, true},
    {"gpt2/llama-v3", bitnet_pretok_llama3, true, true},
    {"gpt2/falcon3", bitnet_pretok_llama3, true, true},
    {"gpt2/falcon_e", bitnet_pretok_llama3, true, true},
    {"gpt2/gpt-2", bitnet_pretok_gpt2, false, false},
    {"gpt2/olmo", bitnet_pretok_gpt2, false, false}, /* GPT-NeoX's vocabulary: TriLM */
    {"gpt2/mpt", bitnet_pretok_gpt2, false, false},
};

const bitnet_pretok *bitnet_pretok_find(const char *pre, size_t len) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *name = table[i].name + strlen("gpt2/");
        if (strlen(name) == len && memcmp(name, pre, len) == 0) return &table[i];
    }
    return NULL;
}
