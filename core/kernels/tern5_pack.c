/* tern5_pack.c: groups of 2-bit codes -> groups of five codes a byte (kernels.h). Bytes keep their place
 * in a vector, so that compilers make vectors of the loops.
 */
#include "kernels/kernels.h"

void bitnet_tern5_pack(uint8_t *group5, const uint8_t *group, int32_t k) {
    const int32_t n_fields = k / 4;
    for (int32_t q = 0; q < n_fields; group5 += 64) {
        uint16_t v[64] = {0};
        for (int f = 0; f < 5; f++, q++) {
            const uint8_t *in = group + q / 4 * 64;
            const int shift = q % 4 * 2;
            for (int i = 0; i < 64; i++) {
                unsigned code = q < n_fields ? in[i] >> shift & 3 : 1;
                v[i] = (uint16_t)(3 * v[i] + code);
            }
        }
        for (int i = 0; i < 64; i++) /* ceil(256 v / 243) */
            group5[i] = (uint8_t)(v[i] + (uint16_t)(13 * v[i] + 242) / 243);
    }
}
