/* blocks.c: sizes and names of block formats. What is in a block is in blocks_decode.c and
 * blocks_encode.c. See blocks.h.
 */
#include "format/blocks.h"

uint64_t bitnet_row_size(uint32_t type, int64_t n) {
    const bitnet_type_info *info = bitnet_type_get_info(type);
    return info ? (uint64_t)n / info->block * info->block_size : 0;
}

#define GGUF_TYPES 64u /* ids are looked for below this; types.c ends before */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_same_word(const char *a, const char *b) {
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return *a == *b;
}

int32_t bitnet_type_parse(const char *name) {
    for (uint32_t type = 0; type < GGUF_TYPES; type++) {
        const bitnet_type_info *info = bitnet_type_get_info(type);
        if (info && is_same_word(info->name, name)) return (int32_t)type;
    }
    return -1;
}
