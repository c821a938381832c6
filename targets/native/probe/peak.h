/* peak.h: loops that keep one unit busy and touch nothing else: what a kernel is compared with. Each
 * peak_<isa>.c is built with the flags of its suffix and runs only where the CPU has them.
 */
#ifndef BITNET_BENCH_PEAK_H
#define BITNET_BENCH_PEAK_H

#include <stddef.h>
#include <stdint.h>

/* Runs n rounds on registers alone; returns the multiply-adds done. */
typedef uint64_t (*bench_mac_fn)(uint64_t n);
/* Reads size bytes, a multiple of 1024, front to back; returns something that depends on all of them. */
typedef uint64_t (*bench_read_fn)(const void *bytes, size_t size);

typedef struct bench_peak { /* of the variant's instructions; NULL and 0 = not known */
    const char *variant;
    uint32_t needs;
    bench_mac_fn run_i8, run_f32; /* u8 x i8 into i32 or i16; f32 with the product rounded */
    bench_read_fn read;
    double i8, f32; /* multiply-adds a second, once measured */
} bench_peak;

/* Measures what flags allow; is_quick: not more than once. */
void bench_peak_measure(uint32_t flags, int is_quick);
/* Those measured, 0 .. ; NULL past the last. */
const bench_peak *bench_peak_at(int i);
/* NULL for a variant without one, or that the flags did not allow. */
const bench_peak *bench_peak_of(const char *variant);
/* The loops of a variant, and the widest in f32, that flags allow; NULL when there are none. Not measured. */
const bench_peak *bench_peak_i8(const char *variant, uint32_t flags);
const bench_peak *bench_peak_f32(uint32_t flags);
/* The reader of the widest loads that flags allow; never NULL. Its variant goes to *name. */
bench_read_fn bench_reader(uint32_t flags, const char **name);

/* Independent sums, more than the latency of a step times the units that can take it; with operands and a
 * product they still fit in 16 registers. */
#define BENCH_N_CHAINS  12
#define BENCH_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

#define BENCH_DECL_PEAKS(isa)                                                                      \
    uint64_t bench_i8_##isa(uint64_t n);                                                           \
    uint64_t bench_f32_##isa(uint64_t n);                                                          \
    uint64_t bench_read_##isa(const void *bytes, size_t size)
BENCH_DECL_PEAKS(sse41);
BENCH_DECL_PEAKS(avx2);
BENCH_DECL_PEAKS(avx512vnni);
uint64_t bench_i8_avxvnni(uint64_t n);
uint64_t bench_i8_amx(uint64_t n);

#endif
