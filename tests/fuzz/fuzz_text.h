/* fuzz_text.h: how JSON is mutated: every other mutation puts a value with an edge in place of some value,
 * or doubles it, and leaves the text JSON. To be included in place of fuzz.h.
 */
#ifndef BITNET_TEST_FUZZ_TEXT_H
#define BITNET_TEST_FUZZ_TEXT_H

#define FUZZ_OWN_MUTATOR
#include <stdbool.h>

#include "fuzz.h"

/* Where the value at `at` ends: at the comma or bracket that closes it, strings skipped. */
static size_t value_end(const uint8_t *s, size_t n, size_t at) {
    int depth = 0;
    for (bool in_string = false; at < n; at++) {
        uint8_t c = s[at];
        if (c == '\\' && in_string) at++;
        if (c == '"') in_string = !in_string;
        if (in_string) continue;
        if (c == '[' || c == '{') depth++;
        if ((c == ',' || c == ']' || c == '}') && depth == 0) break;
        if (c == ']' || c == '}') depth--;
    }
    return at < n ? at : n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    static const char *const edge[] = {"0",
                                       "-1",
                                       "1",
                                       "3",
                                       "4",
                                       "5",
                                       "8",
                                       "255",
                                       "256",
                                       "65536",
                                       "1048575",
                                       "1048576",
                                       "2147483648",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "18446744073709551616",
                                       "1e309",
                                       "1e-400",
                                       "0.1",
                                       "1.5",
                                       "null",
                                       "true",
                                       "false",
                                       "[]",
                                       "{}",
                                       "\"\"",
                                       "\"a b\"",
                                       "[\"a\",\"b\"]",
                                       "[1]",
                                       "\"\\u0000\"",
                                       "\"\\ud800\"",
                                       "\"\\u2581\"",
                                       "\"<0x41>\"",
                                       "\"llama\"",
                                       "\"U8\"",
                                       "\"BF16\"",
                                       "\"Unigram\"",
                                       "\"Metaspace\"",
                                       "\"linear\"",
                                       "\"lm_head.weight\""};
    size_t at = size ? (seed >> 8) % size : 0;
    while (at < size && data[at] != ':' && data[at] != '[' && data[at] != ',')
        at++;
    if ((seed & 1) || at + 1 >= size) return LLVMFuzzerMutate(data, size, max_size);
    size_t end = value_end(data, size, ++at), n = end - at;
    char copy[256];
    const char *put = edge[(seed >> 2) % (sizeof edge / sizeof *edge)];
    size_t n_put = strlen(put);
    if ((seed & 2) && n < sizeof copy / 2) { /* twice */
        memcpy(copy, data + at, n);
        copy[n] = ',';
        memcpy(copy + n + 1, data + at, n);
        put = copy;
        n_put = 2 * n + 1;
    }
    if (size - n + n_put > max_size) return LLVMFuzzerMutate(data, size, max_size);
    memmove(data + at + n_put, data + end, size - end);
    memcpy(data + at, put, n_put);
    return size - n + n_put;
}

#endif
