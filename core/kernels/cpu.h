/* cpu.h: CPU flags, found anew at each call, and the mask that may hide them.
 *
 * cpu.c is built with baseline flags and without LTO, so that no new instruction moves in front of
 * the check that guards it (as in ggml's feature detection). It keeps no state: detection takes a
 * microsecond and runs once per backend.
 */
#ifndef BITNET_CPU_H
#define BITNET_CPU_H
#include "bitnet/backend.h"
/* Flags of this CPU and-ed with mask; mask 0 means all. The plain C kernels need no flag and are
 * always allowed. */
uint32_t bitnet_cpu_flags_masked(uint32_t mask);
#endif
