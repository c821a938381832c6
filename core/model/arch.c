/* arch.c: the rows. A row is what the reference graph of its family does (formats page 2.1, 2.2, 2.5):
 * an output.weight in a bitnet file is not used there, and the rows of Wq and Wk are reordered by the
 * converter of llama files only.
 */
#include "model/arch.h"

#include <string.h>

/* clang-format off */
static const bitnet_arch archs[] = {
    /* file says        activation        sub-norms  rope norm  own head */
    { "bitnet-b1.58",   BITNET_ACT_RELU2, true,      false,     false },  /* arXiv:2504.12285 */
    { "bitnet-25",      BITNET_ACT_RELU2, true,      false,     false },  /* its name in the first upload */
    { "bitnet",         BITNET_ACT_SILU,  true,      false,     false },  /* 1bitLLM's reproduction of arXiv:2402.17764 */
    { "llama",          BITNET_ACT_SILU,  false,     true,      true  },  /* Llama3-8B-1.58, Falcon3, Falcon-E, TriLM */
};
/* clang-format on */

const bitnet_arch *bitnet_arch_find(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (strlen(archs[i].name) == len && !memcmp(archs[i].name, name, len)) return &archs[i];
    return NULL;
}

const char *bitnet_arch_names(void) {
    return "bitnet-b1.58, bitnet-25, bitnet, llama";
}
