/* cpu.c: which kernels may run here.
 *
 * A feature counts only when three parties agree: the CPU (cpuid), the operating system, which must
 * save the wide registers on a context switch (OSXSAVE and XCR0; Intel SDM vol. 1, 13.3 and 15.2),
 * and the caller's mask. In a wasm module there is nothing to ask: the module was compiled for its
 * features, and an engine without them refused it.
 */
#include "kernels/cpu.h"

#include <string.h>

#include "kernels/kernels.h"

#if BITNET_ARCH_X86
#include <cpuid.h>

/* XCR0 bits: registers that the operating system saves */
#define XCR0_YMM 0x06u /* SSE and AVX state */
#define XCR0_ZMM 0xe6u /* those, mask registers, upper ZMM halves and ZMM16-31 */

static uint32_t xcr0(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

uint32_t bitnet_cpu_flags(void) {
    const uint32_t osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29; /* leaf 1, ecx */
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const uint32_t vnni = 1u << 11; /* leaf 7, ecx; the line above is leaf 7, ebx */
    uint32_t a, b, c, d, flags = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if ((c & (osxsave | avx | f16c)) != (osxsave | avx | f16c)) return 0;
    uint32_t saved = xcr0();
    if ((saved & XCR0_YMM) != XCR0_YMM) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2)) return 0;
    flags |= BITNET_CPU_AVX2;
    const uint32_t all512 = f | dq | bw | vl;
    if ((saved & XCR0_ZMM) == XCR0_ZMM && (b & all512) == all512 && (c & vnni))
        flags |= BITNET_CPU_AVX512VNNI;
    return flags;
}

#else

uint32_t bitnet_cpu_flags(void) {
    uint32_t flags = 0;
#if defined(__wasm_simd128__)
    flags |= BITNET_CPU_SIMD128;
#endif
#if defined(__wasm_relaxed_simd__)
    flags |= BITNET_CPU_RELAXED;
#endif
    return flags;
}

#endif

uint32_t bitnet_cpu_flags_masked(uint32_t mask) {
    uint32_t flags = bitnet_cpu_flags();
    return mask ? flags & mask : flags;
}

uint32_t bitnet_cpu_mask_parse(const char *text) {
    static const struct {
        const char *name;
        uint32_t mask;
    } tiers[] = {
        {"c", BITNET_CPU_C_ONLY},
        {"avx2", BITNET_CPU_AVX2},
        {"avx512vnni", BITNET_CPU_AVX512VNNI},
        {"simd128", BITNET_CPU_SIMD128},
        {"relaxed", BITNET_CPU_RELAXED},
        {"all", BITNET_CPU_AVX2 | BITNET_CPU_AVX512VNNI | BITNET_CPU_SIMD128 | BITNET_CPU_RELAXED},
    };
    uint32_t mask = 0;
    while (text) {
        const char *comma = strchr(text, ',');
        size_t len = comma ? (size_t)(comma - text) : strlen(text), i = 0;
        const size_t n_tiers = sizeof tiers / sizeof tiers[0];
        while (i < n_tiers && (strlen(tiers[i].name) != len || memcmp(tiers[i].name, text, len)))
            i++;
        if (i == n_tiers) return 0;
        mask |= tiers[i].mask;
        text = comma ? comma + 1 : NULL;
    }
    return mask;
}
