/* ternary.h: every container of ternary weights -> the one form that backends run, and from it into
 * every container that can be written.
 *
 * Canonical form: [n] rows of k_pad/4 bytes, k_pad = k rounded up to 128; 2-bit codes (weight + 1) in
 * layout A (kernels.h), padding is code 1; and one f32 scale for the tensor. It is what an I2_S tensor
 * in layout A with k % 128 == 0 already is, so that one is used where it lies.
 */
#ifndef BITNET_TERNARY_H
#define BITNET_TERNARY_H

#include "format/tensors.h"

typedef enum bitnet_ternary_kind {
    TERNARY_NO,   /* an ordinary matrix */
    TERNARY_MAP,  /* canonical in the file */
    TERNARY_PACK, /* must be packed into a copy of bitnet_ternary_size bytes */
    TERNARY_MAYBE /* TQ1_0, TQ2_0: ternary when all its blocks agree on one scale, which only the data
                     tells; pack it, or run it as an ordinary matrix when that says AGAIN */
} bitnet_ternary_kind;
bitnet_ternary_kind bitnet_ternary_kind_of(const bitnet_tensor_entry *e);

uint64_t bitnet_ternary_row_size(int64_t k);                /* k_pad / 4 */
uint64_t bitnet_ternary_size(const bitnet_tensor_entry *e); /* of the codes, canonical */

/* Fills out [bitnet_ternary_size] and *scale from the tensor's bytes. For TERNARY_MAP it only checks and
 * reads the scale: out is not touched, may be NULL. So it may for TERNARY_MAYBE, to ask. Needs no
 * scratch. The scale of a TQ tensor of zeros is 1. Of master weights, m = max(1e-5, mean |W|) is a sum
 * in double in one fixed order, the weights clamp(rne(W * f32(1/m)), -1, 1), and the scale is f32(m).
 *   E_FORMAT  a code 3, a scale that is not finite or 0, a weight that is not finite: with name and place
 *   AGAIN     TERNARY_MAYBE whose blocks have different scales */
bitnet_status bitnet_ternary_pack(uint8_t *out, float *scale, const bitnet_tensor_entry *e,
                                  const void *data, bitnet_error *err);

/* One canonical row back to -1, 0, +1. */
void bitnet_ternary_unpack_row(int8_t *out, const uint8_t *row, int64_t k);

#endif
