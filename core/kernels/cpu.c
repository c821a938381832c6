/* cpu.c: which kernels may run here.
 *
 * A feature counts only when three parties agree: the CPU (cpuid), the operating system, which must
 * save the wide registers on a context switch (OSXSAVE and XCR0; Intel SDM vol. 1, 13.3 and 15.2),
 * and the caller's mask. In a wasm module there is nothing to ask: the module was compiled for its
 * features, and an engine without them refused it.
 */
#include "kernels/cpu.h"

#include <string.h>

#include "base/os.h"
#include "kernels/kernels.h"

#define SSE41   BITNET_CPU_SSE41
#define AVX2    (SSE41 | BITNET_CPU_AVX2)
#define NEON    BITNET_CPU_NEON
#define DOTPROD (NEON | BITNET_CPU_DOTPROD)

static const bitnet_cpu_tier tiers[] = {
    {"c", 0, BITNET_CPU_C_ONLY},
#if BITNET_ARCH_X86
    {"sse41", BITNET_CPU_SSE41, SSE41},
    {"avx2", BITNET_CPU_AVX2, AVX2},
    {"avxvnni", BITNET_CPU_AVXVNNI, AVX2 | BITNET_CPU_AVXVNNI},
    {"avx512vnni", BITNET_CPU_AVX512VNNI, AVX2 | BITNET_CPU_AVX512VNNI},
    {"amx", BITNET_CPU_AMX, AVX2 | BITNET_CPU_AVX512VNNI | BITNET_CPU_AMX},
#elif BITNET_ARCH_ARM
    {"neon", BITNET_CPU_NEON, NEON},
    {"dotprod", BITNET_CPU_DOTPROD, DOTPROD},
    {"i8mm", BITNET_CPU_I8MM, DOTPROD | BITNET_CPU_I8MM},
#elif BITNET_ARCH_WASM
    {"simd128", BITNET_CPU_SIMD128, BITNET_CPU_SIMD128},
#if defined(__wasm_relaxed_simd__)
    {"relaxed", BITNET_CPU_RELAXED, BITNET_CPU_SIMD128 | BITNET_CPU_RELAXED},
#endif
#endif
};
#define N_TIERS ((int32_t)(sizeof tiers / sizeof *tiers))

const bitnet_cpu_tier *bitnet_cpu_tier_at(int32_t i) {
    return i >= 0 && i < N_TIERS ? &tiers[i] : NULL;
}

#if BITNET_ARCH_X86
#include <cpuid.h>

/* XCR0 bits: registers that the operating system saves */
#define XCR0_YMM  0x06u    /* SSE and AVX state */
#define XCR0_ZMM  0xe6u    /* those, mask registers, upper ZMM halves and ZMM16-31 */
#define XCR0_TILE 0x60000u /* tile configuration and data */

static uint32_t xcr0(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

static bool has(uint32_t reg, uint32_t bits) {
    return (reg & bits) == bits;
}

uint32_t bitnet_cpu_flags(void) {
    /* leaf 1, ecx */
    const uint32_t ssse3 = 1u << 9, sse41 = 1u << 19;
    const uint32_t osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    /* leaf 7.0, ebx; ecx; edx */
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const uint32_t vnni = 1u << 11, amx_tile = 1u << 24, amx_int8 = 1u << 25;
    const uint32_t avxvnni = 1u << 4; /* leaf 7.1, eax */
    uint32_t a, b, c, d, flags = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (has(c, ssse3 | sse41)) flags |= BITNET_CPU_SSE41;
    if (!has(c, osxsave | avx | f16c)) return flags;
    uint32_t saved = xcr0();
    if (!has(saved, XCR0_YMM) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, avx2))
        return flags;
    flags |= BITNET_CPU_AVX2;
    bool has_512 = has(saved, XCR0_ZMM) && has(b, f | dq | bw | vl) && has(c, vnni);
    if (has_512) flags |= BITNET_CPU_AVX512VNNI;
    if (has_512 && has(saved, XCR0_TILE) && has(d, amx_tile | amx_int8) && bitnet_os_allow_amx())
        flags |= BITNET_CPU_AMX;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, avxvnni)) flags |= BITNET_CPU_AVXVNNI;
    return flags;
}

#elif BITNET_ARCH_ARM

uint32_t bitnet_cpu_flags(void) {
    return BITNET_CPU_NEON | bitnet_os_arm_features();
}

#else

uint32_t bitnet_cpu_flags(void) {
    uint32_t flags = 0;
    for (int32_t i = 0; i < N_TIERS; i++)
        flags |= tiers[i].flag;
    return flags;
}

#endif

uint32_t bitnet_cpu_flags_masked(uint32_t mask) {
    uint32_t flags = bitnet_cpu_flags();
    return mask ? flags & mask : flags;
}

static uint32_t flag_named(const char *name, size_t len) {
    if (len == 3 && !memcmp(name, "all", len)) return ~(uint32_t)BITNET_CPU_C_ONLY;
    if (len == 1 && *name == 'c') return BITNET_CPU_C_ONLY;
    for (int32_t i = 1; i < N_TIERS; i++)
        if (strlen(tiers[i].name) == len && !memcmp(tiers[i].name, name, len)) return tiers[i].flag;
    return 0;
}

uint32_t bitnet_cpu_mask_parse(const char *text) {
    uint32_t mask = 0;
    while (text) {
        const char *comma = strchr(text, ',');
        uint32_t flag = flag_named(text, comma ? (size_t)(comma - text) : strlen(text));
        if (!flag) return 0;
        mask |= flag;
        text = comma ? comma + 1 : NULL;
    }
    return mask;
}
