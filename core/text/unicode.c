/* unicode.c: see unicode.h. ASCII by comparison, everything else by a search in the generated ranges. */
#include "text/unicode.h"

#include <stdbool.h>
#include <stddef.h>

#include "text/unicode_tables.h"

static bool in_table(uint32_t cp, const uint32_t (*table)[2], size_t n) {
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

bitnet_char_kind bitnet_char_kind_of(uint32_t cp) {
    if (cp < 0x80) {
        if ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z') return KIND_LETTER;
        if (cp >= '0' && cp <= '9') return KIND_NUMBER;
        return cp == ' ' || (cp >= '\t' && cp <= '\r') ? KIND_SPACE : KIND_OTHER;
    }
    if (IN_TABLE(cp, unicode_letters)) return KIND_LETTER;
    if (IN_TABLE(cp, unicode_numbers)) return KIND_NUMBER;
    return IN_TABLE(cp, unicode_spaces) ? KIND_SPACE : KIND_OTHER;
}
