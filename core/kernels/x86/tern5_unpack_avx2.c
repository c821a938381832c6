/* tern5_unpack_avx2.c: see tern5_unpack_x86.h. */
#include "kernels/x86/tern5_unpack_x86.h"

void bitnet_tern5_unpack_avx2(uint8_t *groups, const uint8_t *groups5, int32_t n, int32_t k) {
    unpack_groups(groups, groups5, n, k);
}
