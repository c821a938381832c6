/* fuzz.h: what the fuzzers of files and text share. Each is one LLVMFuzzerTestOneInput, built by
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Icore -Icore/include -Itests/unit
 *
 * from its own file, tests/unit/gguf_writer.c, core/base/base.c and all of core/format and
 * core/text; make_seeds.c writes the inputs to start from.
 */
#ifndef BITNET_TEST_FUZZ_H
#define BITNET_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Never compiled out: an oracle that vanishes with NDEBUG finds nothing. */
#define ORACLE(is_true)                                                                            \
    do {                                                                                           \
        if (!(is_true)) {                                                                          \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #is_true);            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

#ifndef FUZZ_OWN_MUTATOR
/* Counts, lengths, types and offsets break at their edges, which random bytes seldom hit: every
 * other mutation writes an edge value somewhere, as 4 or 8 bytes. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    static const uint64_t edge[] = {
        0,          1,         2,          4,         7,          8,          9,
        12,         13,        31,         32,        36,         63,         64,
        127,        128,       255,        256,       1024,       65535,      65536,
        1u << 20,   16u << 20, INT32_MAX,  1u << 31,  UINT32_MAX, 1ull << 32, 1ull << 48,
        1ull << 61, INT64_MAX, 1ull << 63, UINT64_MAX};
    size_t n = seed & 2 ? 8 : 4;
    if ((seed & 1) || size < n) return LLVMFuzzerMutate(data, size, max_size);
    uint64_t v = edge[(seed >> 2) % (sizeof edge / sizeof *edge)];
    size_t at = (seed >> 8) % (size - n + 1);
    for (size_t i = 0; i < n; i++)
        data[at + i] = (uint8_t)(v >> (8 * i));
    return size;
}
#endif

#endif
