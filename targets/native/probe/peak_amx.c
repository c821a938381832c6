/* peak_amx.c: tdpbusd on four accumulators of 16 x 16, two tiles of u8 and two of i8: the most that eight
 * tiles allow, so that no product waits for another (Intel SDM vol. 1, chapter 18).
 */
#include <immintrin.h>
#include <string.h>

#include "peak.h"

typedef struct tile_config { /* palette 1: eight tiles of at most 16 rows of 64 bytes */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_size[16];
    uint8_t n_rows[16];
} tile_config;

uint64_t bench_i8_amx(uint64_t n) {
    _Alignas(64) uint8_t ones[16 * 64];
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++)
        config.row_size[i] = 64, config.n_rows[i] = 16;
    memset(ones, 1, sizeof ones);
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, ones, 64);
    _tile_loadd(5, ones, 64);
    _tile_loadd(6, ones, 64);
    _tile_loadd(7, ones, 64);
    for (uint64_t r = 0; r < n; r++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
    return n * 4 * 16 * 16 * 64;
}
