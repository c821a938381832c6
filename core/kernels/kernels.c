/* kernels.c: fills the table from kernels.def, and nothing else. Every slot has a line that needs
 * no flag, so no slot stays empty and no caller tests for NULL. */
#include "kernels/kernels.h"
#include "bitnet/backend.h"

void bitnet_kernels_init(bitnet_kernels *t, uint32_t flags) {
#define KERNEL(slot, variant, needs)                                                               \
    if ((flags & (needs)) == (needs)) {                                                            \
        t->slot = bitnet_##slot##_##variant;                                                       \
        if (!strcmp(#slot, "tern_matmul")) t->tier = #variant;                                     \
    }
#include "kernels/kernels.def"
#undef KERNEL
}
