/* types.c: the tensor types that a GGUF file may name, by id.
 *
 * Ids follow ggml, with three exceptions that real ternary files need: 36, 37 and 38 are
 * bitnet.cpp's I2_S, I8_S and TL1, never the in-memory repacks that ggml once gave those numbers.
 * 4, 5 and 31 to 33 were removed from ggml and stay refused. Knowing a type here means that a file
 * with it can be listed; what can be run is decided where weights are bound.
 */
#include "format/tensors.h"

/* clang-format off */
static const bitnet_type_info types[] = {
    [0]  = {"F32", 1, 4, 0},
    [1]  = {"F16", 1, 2, 0},
    [2]  = {"Q4_0", 32, 18, 0},
    [3]  = {"Q4_1", 32, 20, 0},
    [6]  = {"Q5_0", 32, 22, 0},
    [7]  = {"Q5_1", 32, 24, 0},
    [8]  = {"Q8_0", 32, 34, 0},
    [9]  = {"Q8_1", 32, 36, 0},
    [10] = {"Q2_K", 256, 84, 0},
    [11] = {"Q3_K", 256, 110, 0},
    [12] = {"Q4_K", 256, 144, 0},
    [13] = {"Q5_K", 256, 176, 0},
    [14] = {"Q6_K", 256, 210, 0},
    [15] = {"Q8_K", 256, 292, 0},
    [16] = {"IQ2_XXS", 256, 66, 0},
    [17] = {"IQ2_XS", 256, 74, 0},
    [18] = {"IQ3_XXS", 256, 98, 0},
    [19] = {"IQ1_S", 256, 50, 0},
    [20] = {"IQ4_NL", 32, 18, 0},
    [21] = {"IQ3_S", 256, 110, 0},
    [22] = {"IQ2_S", 256, 82, 0},
    [23] = {"IQ4_XS", 256, 136, 0},
    [24] = {"I8", 1, 1, 0},
    [25] = {"I16", 1, 2, 0},
    [26] = {"I32", 1, 4, 0},
    [27] = {"I64", 1, 8, 0},
    [28] = {"F64", 1, 8, 0},
    [29] = {"IQ1_M", 256, 56, 0},
    [30] = {"BF16", 1, 2, 0},
    [34] = {"TQ1_0", 256, 54, 0},
    [35] = {"TQ2_0", 256, 66, 0},
    [36] = {"I2_S", 128, 32, 32},
    [37] = {"I8_S", 1, 1, 32},
    [38] = {"TL1", 4, 1, 32},
    /* ggml's MXFP4 (17 bytes for 32 weights) or bitnet.cpp's TL2 (about 5 for 24; it depends on
     * the tiles it was written for). Neither runs here, so the size is a lower bound for both: a
     * sound file of either kind is listed, and refused by name when its weights are bound. */
    [39] = {"MXFP4/TL2", 32, 6, 0},
    [40] = {"NVFP4", 64, 36, 0},
    [41] = {"Q1_0", 128, 18, 0},
    [42] = {"Q2_0", 64, 18, 0},
};
/* clang-format on */

const bitnet_type_info *bitnet_type_get_info(uint32_t type) {
    static const bitnet_type_info hf_packed = {"U8x4", 4, 1, 0};
    if (type == BITNET_TYPE_HF_PACKED) return &hf_packed;
    if (type >= sizeof types / sizeof *types || !types[type].name) return NULL;
    return &types[type];
}

uint64_t bitnet_tensor_size(uint32_t type, const int64_t ne[4]) {
    const bitnet_type_info *info = bitnet_type_get_info(type);
    uint64_t n = (uint64_t)ne[0] * (uint64_t)ne[1] * (uint64_t)ne[2] * (uint64_t)ne[3];
    return n / info->block * info->block_size + info->tail;
}

const char *bitnet_type_name(uint32_t type) {
    const bitnet_type_info *info = bitnet_type_get_info(type);
    return info ? info->name : "?";
}
