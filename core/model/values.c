/* values.c: see values.h. Half a gigabyte of embedding is looked through at every load, so the loops
 * over floats hold nothing but a comparison that compilers turn into vector code; which element it was
 * is asked only when there is one.
 */
#include "model/values.h"

#include "bitnet/backend.h"

#define CHUNK 4096 /* elements between two looks at the outcome */

/* All exponent bits set means infinity or NaN, in every IEEE format. */
static bool has_nonfinite16(const uint16_t *p, uint64_t n, uint16_t exponent) {
    uint16_t any = 0;
    for (uint64_t i = 0; i < n; i++)
        any |= (uint16_t)((p[i] & exponent) == exponent);
    return any != 0;
}

static bool has_nonfinite32(const uint32_t *p, uint64_t n) {
    uint32_t any = 0;
    for (uint64_t i = 0; i < n; i++)
        any |= (p[i] & 0x7f800000u) == 0x7f800000u;
    return any != 0;
}

static bool has_nonfinite(uint32_t type, const void *data, uint64_t at, uint64_t n) {
    if (type == BITNET_TYPE_F32) return has_nonfinite32((const uint32_t *)data + at, n);
    uint16_t exponent = type == BITNET_TYPE_F16 ? 0x7c00 : 0x7f80;
    return has_nonfinite16((const uint16_t *)data + at, n, exponent);
}

/* Index of the first element that is not finite, n when all are. */
static uint64_t find_nonfinite(uint32_t type, const void *data, uint64_t n) {
    for (uint64_t at = 0; at < n; at += CHUNK) {
        if (!has_nonfinite(type, data, at, n - at < CHUNK ? n - at : CHUNK)) continue;
        while (at < n - 1 && !has_nonfinite(type, data, at, 1))
            at++; /* bounded: a mapped file may have changed */
        return at;
    }
    return n;
}

/* Where the f16 scales lie in a block. */
static const struct scales {
    uint32_t type, first, n;
} scales[] = {
    {BITNET_TYPE_Q8_0, 0, 1},   {BITNET_TYPE_Q4_0, 0, 1},   {BITNET_TYPE_Q4_K, 0, 2},
    {BITNET_TYPE_Q6_K, 208, 1}, {BITNET_TYPE_TQ1_0, 52, 1}, {BITNET_TYPE_TQ2_0, 64, 1},
};

static const struct scales *scales_of(uint32_t type) {
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (scales[i].type == type) return &scales[i];
    return NULL;
}

bitnet_status bitnet_values_check(const bitnet_tensor_entry *e, const void *data,
                                  bitnet_error *err) {
    const bitnet_type_info *info = bitnet_type_get_info(e->type);
    const struct scales *s = scales_of(e->type);
    if (!s) {
        uint64_t n = e->size / info->block_size, bad = find_nonfinite(e->type, data, n);
        if (bad == n) return BITNET_OK;
        return bitnet_fail(err, BITNET_E_FORMAT, "model.nonfinite",
                           "%s: element %llu is not finite", e->name, (unsigned long long)bad);
    }
    const uint8_t *p = data;
    for (uint64_t i = 0; i < e->size / info->block_size; i++, p += info->block_size)
        for (uint32_t j = 0; j < s->n; j++)
            if ((bitnet_load_le(p + s->first + 2 * j, 2) & 0x7c00) == 0x7c00)
                return bitnet_fail(err, BITNET_E_FORMAT, "model.nonfinite",
                                   "%s: the scale of block %llu is not finite", e->name,
                                   (unsigned long long)i);
    return BITNET_OK;
}
