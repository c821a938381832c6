/* pretok.c: the LLaMA-3 pre-tokenizer, written out from its regular expression
 *
 *   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|[ ]?[^\s\p{L}\p{N}]+[\r\n]*
 *   |\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * Each code point is a letter, a number, a space or other, and the first rule that applies wins.
 * Contractions are ASCII in any mix of case, as in llama.cpp; marks are not letters.
 */
#include "text/pretok.h"

#include <stdint.h>

#include "text/unicode_tables.h"
#include "text/utf8.h"

typedef enum kind { KIND_OTHER, KIND_LETTER, KIND_NUMBER, KIND_SPACE, KIND_END } kind;

typedef struct ch {
    uint32_t cp;
    kind kind;
    size_t len; /* bytes; 0 at the end of the text */
} ch;

static int in_table(uint32_t cp, const uint32_t (*table)[2], size_t n) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cp > table[mid][1])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && cp >= table[lo][0];
}

#define IN_TABLE(cp, table) in_table(cp, table, sizeof table / sizeof *table)

static kind kind_of(uint32_t cp) {
    if (cp < 0x80) {
        if ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z') return KIND_LETTER;
        if (cp >= '0' && cp <= '9') return KIND_NUMBER;
        return cp == ' ' || (cp >= '\t' && cp <= '\r') ? KIND_SPACE : KIND_OTHER;
    }
    if (IN_TABLE(cp, unicode_letters)) return KIND_LETTER;
    if (IN_TABLE(cp, unicode_numbers)) return KIND_NUMBER;
    return IN_TABLE(cp, unicode_spaces) ? KIND_SPACE : KIND_OTHER;
}

static ch at(const char *s, size_t n, size_t i) {
    if (i >= n) return (ch){0, KIND_END, 0};
    uint32_t cp;
    int len = bitnet_utf8_decode(s + i, n - i, &cp);
    if (len == 0) return (ch){0xfffd, KIND_OTHER, 1};
    return (ch){cp, kind_of(cp), (size_t)len};
}

static int is_newline(uint32_t cp) {
    return cp == '\r' || cp == '\n';
}

/* End of the run of kind k that begins at i; at most max characters. */
static size_t run(const char *s, size_t n, size_t i, kind k, size_t max) {
    for (ch c; max > 0 && (c = at(s, n, i)).kind == k; max--)
        i += c.len;
    return i;
}

/* Bytes of a contraction at s, s[0] == '\''; 0 when there is none. */
static size_t contraction(const char *s, size_t n) {
    char a = n > 1 ? (char)(s[1] | 0x20) : 0, b = n > 2 ? (char)(s[2] | 0x20) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* s begins with a space: up to the last newline of the run; else all but the last space, which then
 * leads the next word; else, at the end of the text or for a single space, the whole run. */
static size_t spaces(const char *s, size_t n) {
    size_t i = 0, last = 0, behind_newline = 0;
    for (ch c; (c = at(s, n, i)).kind == KIND_SPACE;) {
        last = i;
        i += c.len;
        if (is_newline(c.cp)) behind_newline = i;
    }
    if (behind_newline) return behind_newline;
    return i < n && last > 0 ? last : i;
}

size_t bitnet_pretok_llama3(const char *s, size_t n) {
    ch a = at(s, n, 0), b = at(s, n, a.len);
    size_t len = a.cp == '\'' ? contraction(s, n) : 0;
    if (len) return len;
    if (a.kind == KIND_LETTER) return run(s, n, 0, KIND_LETTER, n);
    if (a.kind == KIND_NUMBER) return run(s, n, 0, KIND_NUMBER, 3);
    if (!is_newline(a.cp) && b.kind == KIND_LETTER) return run(s, n, a.len, KIND_LETTER, n);
    size_t start = a.cp == ' ' ? a.len : 0;
    if (at(s, n, start).kind != KIND_OTHER) return spaces(s, n);
    size_t end = run(s, n, start, KIND_OTHER, n);
    while (end < n && is_newline((uint8_t)s[end]))
        end++;
    return end;
}
