/* peak.c: the table of peaks, and their measurement. */
#include "peak.h"

#include <stdbool.h>
#include <string.h>

#include "base/os.h"
#include "bitnet/backend.h"
#include "kernels/kernels.h"

#define N_TRIES 7
#define TRY_NS  10000000u

static uint64_t read_c(const void *bytes, size_t size) {
    uint64_t sum[4] = {0}, v[4];
    for (size_t i = 0; i < size; i += sizeof v) {
        memcpy(v, (const uint8_t *)bytes + i, sizeof v);
        for (int j = 0; j < 4; j++)
            sum[j] += v[j];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static bench_peak peaks[] = {
    {"c", 0, NULL, NULL, read_c, 0, 0}, /* no fixed instructions: no peak */
#if BITNET_ARCH_X86
    {"sse41", BITNET_CPU_SSE41, bench_i8_sse41, bench_f32_sse41, bench_read_sse41, 0, 0},
    {"avx2", BITNET_CPU_AVX2, bench_i8_avx2, bench_f32_avx2, bench_read_avx2, 0, 0},
    {"avxvnni", BITNET_CPU_AVX2 | BITNET_CPU_AVXVNNI, bench_i8_avxvnni, bench_f32_avx2, NULL, 0, 0},
    {"avx512vnni", BITNET_CPU_AVX512VNNI, bench_i8_avx512vnni, bench_f32_avx512vnni,
     bench_read_avx512vnni, 0, 0},
    {"amx", BITNET_CPU_AVX512VNNI | BITNET_CPU_AMX, bench_i8_amx, NULL, NULL, 0, 0},
#endif
};
#define N_PEAKS (sizeof peaks / sizeof *peaks)

static bool is_allowed(const bench_peak *p, uint32_t flags) {
    return (flags & p->needs) == p->needs;
}

/* The best of several tries: what disturbs a loop on registers only makes it slower. */
static double measure(bench_mac_fn run, int is_quick) {
    double best = 0;
    uint64_t n = 1000;
    for (int i = 0; i < (is_quick ? 1 : N_TRIES); i++) {
        uint64_t start, ns, n_mac;
        for (;; n *= 2) {
            start = bitnet_os_now_ns();
            n_mac = run(n);
            ns = bitnet_os_now_ns() - start;
            if (is_quick || ns >= TRY_NS) break;
        }
        double rate = (double)n_mac * 1e9 / (double)(ns ? ns : 1);
        if (rate > best) best = rate;
    }
    return best;
}

void bench_peak_measure(uint32_t flags, int is_quick) {
    for (size_t i = 0; i < N_PEAKS; i++) {
        bench_peak *p = &peaks[i];
        if (!is_allowed(p, flags)) continue;
        if (p->run_i8) p->i8 = measure(p->run_i8, is_quick);
        if (p->run_f32) p->f32 = measure(p->run_f32, is_quick);
    }
}

const bench_peak *bench_peak_at(int i) {
    for (size_t at = 0; at < N_PEAKS; at++)
        if ((peaks[at].i8 > 0 || peaks[at].f32 > 0) && i-- == 0) return &peaks[at];
    return NULL;
}

const bench_peak *bench_peak_of(const char *variant) {
    const bench_peak *p;
    for (int i = 0; (p = bench_peak_at(i)); i++)
        if (!strcmp(p->variant, variant)) return p;
    return NULL;
}

const bench_peak *bench_peak_i8(const char *variant, uint32_t flags) {
    for (size_t i = 0; i < N_PEAKS; i++)
        if (peaks[i].run_i8 && is_allowed(&peaks[i], flags) && !strcmp(peaks[i].variant, variant))
            return &peaks[i];
    return NULL;
}

const bench_peak *bench_peak_f32(uint32_t flags) {
    const bench_peak *best = NULL;
    for (size_t i = 0; i < N_PEAKS; i++)
        if (peaks[i].run_f32 && is_allowed(&peaks[i], flags)) best = &peaks[i];
    return best;
}

bench_read_fn bench_reader(uint32_t flags, const char **name) {
    bench_read_fn best = NULL;
    for (size_t i = 0; i < N_PEAKS; i++)
        if (peaks[i].read && is_allowed(&peaks[i], flags))
            best = peaks[i].read, *name = peaks[i].variant;
    return best;
}
