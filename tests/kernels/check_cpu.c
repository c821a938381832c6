/* check_cpu.c: masks and the table: names parse, a mask hides kernels, no slot is ever empty. */
#include <stdio.h>
#include <string.h>

#include "bitnet/backend.h"
#include "check.h"
#include "kernels/cpu.h"

static void check_mask(check *c, const char *text, uint32_t want) {
    uint32_t got = bitnet_cpu_mask_parse(text);
    check_true(c, got == want, "mask \"%s\" is 0x%x, expected 0x%x", text ? text : "(null)",
               (unsigned)got, (unsigned)want);
}

static void check_table(check *c, uint32_t flags, const char *tier) {
    bitnet_kernels t;
    memset(&t, 0, sizeof t);
    bitnet_kernels_init(&t, flags);
#define X(slot)                                                                                    \
    check_true(c, t.slot != NULL, "slot %s is empty with flags 0x%x", #slot, (unsigned)flags);
    BITNET_SLOTS(X)
#undef X
    if (check_true(c, t.tier != NULL, "no tier with flags 0x%x", (unsigned)flags))
        check_true(c, !strcmp(t.tier, tier), "tier is %s with flags 0x%x, expected %s", t.tier,
                   (unsigned)flags, tier);
}

void check_cpu(check *c) {
    const uint32_t all = ~(uint32_t)BITNET_CPU_C_ONLY;
    const uint32_t flags = bitnet_cpu_flags();

    check_shape(c, "masks");
    check_mask(c, "c", BITNET_CPU_C_ONLY);
    const bitnet_cpu_tier *t;
    for (int32_t i = 1; (t = bitnet_cpu_tier_at(i)); i++) {
        char text[64];
        check_mask(c, t->name, t->flag);
        snprintf(text, sizeof text, "%s,c", t->name);
        check_mask(c, text, t->flag | BITNET_CPU_C_ONLY);
        snprintf(text, sizeof text, "%s,", t->name);
        check_mask(c, text, 0);
        snprintf(text, sizeof text, "%s2", t->name);
        check_mask(c, text, 0);
    }
    check_mask(c, "all", all);
    check_mask(c, "avx", 0);
    check_mask(c, "c,sse9", 0);
    check_mask(c, "", 0);
    check_mask(c, NULL, 0);

    check_true(c, bitnet_cpu_flags_masked(0) == flags, "mask 0 hides flags");
    check_true(c, bitnet_cpu_flags_masked(all) == flags, "mask \"all\" hides flags");
    check_true(c, bitnet_cpu_flags_masked(BITNET_CPU_C_ONLY) == 0, "mask \"c\" leaves flags");

    check_shape(c, "table");
    check_table(c, 0, "c");
    check_table(c, bitnet_cpu_flags_masked(BITNET_CPU_C_ONLY), "c");
    for (int32_t i = 1; (t = bitnet_cpu_tier_at(i)); i++)
        check_table(c, t->mask, t->name);
#if BITNET_ARCH_WASM
    check_true(c, (flags & BITNET_CPU_SIMD128) != 0, "a SIMD128 module does not say so");
#endif
}
