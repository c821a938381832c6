/* values.h: looks through the numbers of an ordinary tensor for what no sound file holds. */
#ifndef BITNET_VALUES_H
#define BITNET_VALUES_H

#include "format/tensors.h"

/* E_FORMAT: an element that is not finite, or a block whose scale is not; with name and index. `data`
 * is aligned to the element of F32, F16 and BF16. */
bitnet_status bitnet_values_check(const bitnet_tensor_entry *e, const void *data,
                                  bitnet_error *err);

#endif
