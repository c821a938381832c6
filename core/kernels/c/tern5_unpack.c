/* tern5_unpack.c: the definition, a field of sixteen rows at a time. */
#include "kernels/kernels.h"

static void unpack(uint8_t *group, const uint8_t *group5, int32_t n_fields) {
    uint8_t c[64];
    for (int32_t q = 0; q < n_fields; q++) { /* weights 4 q .. 4 q + 3 of each row */
        uint8_t *out = group + q / 4 * 64;
        if (q % 4 == 0) memset(out, 0, 64);
        if (q % 5 == 0) memcpy(c, group5 + q / 5 * 64, 64);
        for (int i = 0; i < 64; i++) {
            out[i] = (uint8_t)(out[i] | (3 * c[i] >> 8) << q % 4 * 2);
            c[i] = (uint8_t)(3 * c[i]);
        }
    }
}

void bitnet_tern5_unpack_c(uint8_t *groups, const uint8_t *groups5, int32_t n, int32_t k) {
    for (int32_t g = 0; g < n; g++)
        unpack(groups + (size_t)g * 4 * (size_t)k, groups5 + (size_t)g * bitnet_tern5_group_size(k),
               k / 4);
}
