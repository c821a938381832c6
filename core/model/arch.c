/* arch.c: the rows. Each is filled in from the model's own configuration. */
#include "model/arch.h"

#include <string.h>

/* clang-format off */
static const bitnet_arch archs[] = {
    /* file says        activation        sub-norms */
    { "bitnet-b1.58",   BITNET_ACT_RELU2, true },  /* arXiv:2504.12285 */
    { "bitnet-25",      BITNET_ACT_RELU2, true },  /* its name in the first upload */
    { "bitnet",         BITNET_ACT_SILU,  true },  /* the 1bitLLM reproduction of arXiv:2402.17764 */
};
/* clang-format on */

const bitnet_arch *bitnet_arch_find(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (strlen(archs[i].name) == len && !memcmp(archs[i].name, name, len)) return &archs[i];
    return NULL;
}

const char *bitnet_arch_names(void) {
    return "bitnet-b1.58, bitnet-25, bitnet";
}
