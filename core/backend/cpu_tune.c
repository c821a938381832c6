/* cpu_tune.c: whether ternary weights take 2 bits or 1.6 in memory. Fewer bytes help where products wait
 * for memory, and cost multiplications; so both kernels stream a buffer that no cache holds, on all
 * threads, and the faster one is taken. Nothing else depends on it: the same bits come out.
 */
#include "backend/cpu.h"

#include <stdio.h>
#include <string.h>

/* Models below this are partly in a cache, and load in no time: 2 bits. */
#define LARGE         ((uint64_t)256 << 20)
#define STREAMED      ((size_t)256 << 20) /* bytes; fewer in 1.6 bits, for as many weights */
#define K             2560                /* a multiple of 20 and 128 */
#define GROUPS_A_CALL 4
#define MOST_PAIRS    9
#define MOST_NS       400000000u /* no pair begins later */
#define GAIN          1.03       /* below this 2 bits: steps of several tokens unpack the others */

typedef struct stream_job {
    const bitnet_backend *be;
    uint8_t *data;
    const int8_t *xq;
    size_t group_size;
    bool is_fives;
} stream_job;

static void fill(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const stream_job *j = ctx;
    memset(j->data + (size_t)begin * j->group_size, 0x55, (size_t)(end - begin) * j->group_size);
}

static void stream(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const stream_job *j = ctx;
    const float s = 1.0f;
    const int32_t xsum = 0;
    float y[GROUPS_A_CALL * BITNET_ROW_GROUP];
    bitnet_tern_args a = {.y = y, .xq = j->xq, .s = &s, .xsum = &xsum, .w_scale = 1.0f};
    a.k = K, a.m = 1;
    for (int32_t g = begin; g < end; g += GROUPS_A_CALL) {
        a.w = j->data + (size_t)g * j->group_size;
        a.n = BITNET_ROW_GROUP * (end - g < GROUPS_A_CALL ? end - g : GROUPS_A_CALL);
        (j->is_fives ? j->be->kern.tern5_matvec : j->be->kern.tern_matmul)(&a);
    }
}

/* Weights a nanosecond. */
static double rate(bitnet_backend *be, stream_job *j, bool is_fives, int32_t n_groups) {
    j->is_fives = is_fives;
    j->group_size = is_fives ? bitnet_tern5_group_size(K) : 4 * K;
    uint64_t start = bitnet_os_now_ns();
    bitnet_pool_run(be->pool, stream, j, n_groups, GROUPS_A_CALL);
    uint64_t ns = bitnet_os_now_ns() - start;
    return (double)n_groups * BITNET_ROW_GROUP * K / (double)(ns ? ns : 1);
}

static void insert(double *sorted, int32_t n, double x) {
    for (; n > 0 && sorted[n - 1] > x; n--)
        sorted[n] = sorted[n - 1];
    sorted[n] = x;
}

/* Medians of the rates in turn, and of their ratio. */
static bool measure(bitnet_backend *be, uint8_t *data, size_t size) {
    static const int8_t xq[K];
    stream_job j = {.be = be, .data = data, .xq = xq, .group_size = 4 * K};
    const int32_t n_groups = (int32_t)(size / j.group_size);
    double two[MOST_PAIRS], fives[MOST_PAIRS], ratio[MOST_PAIRS];
    int32_t n = 0;
    uint64_t start = bitnet_os_now_ns();
    bitnet_pool_run(be->pool, fill, &j, n_groups, GROUPS_A_CALL);
    rate(be, &j, true, n_groups); /* warm-up */
    while (n < MOST_PAIRS && (n == 0 || bitnet_os_now_ns() - start < MOST_NS)) {
        double a = rate(be, &j, false, n_groups), b = rate(be, &j, true, n_groups);
        insert(two, n, a);
        insert(fives, n, b);
        insert(ratio, n++, b / a);
    }
    bool is_faster = ratio[n / 2] >= GAIN;
    snprintf(
        be->weights_text, sizeof be->weights_text,
        "%s: in 1.6 bits %.0f G weights/s come from memory (%.1f GB/s), in 2 bits %.0f (%.1f GB/s)",
        is_faster ? "1.6 bits" : "2 bits", fives[n / 2], fives[n / 2] / 5, two[n / 2],
        two[n / 2] / 4);
    return is_faster;
}

static bool choose(bitnet_backend *be, uint64_t size) {
    char *text = be->weights_text;
    const size_t cap = sizeof be->weights_text;
    if (size < LARGE) {
        snprintf(text, cap, "2 bits: %.0f MB are too few to gain from less", (double)size * 1e-6);
        return false;
    }
    if (be->kern.tern5_matvec == bitnet_tern5_matvec_c) {
        snprintf(text, cap, "2 bits: no kernel for 1.6 bits is made for this CPU");
        return false;
    }
    const size_t alloc_size = STREAMED + BITNET_HUGE_PAGE;
    uint8_t *block = bitnet_alloc_raw(&be->allocator, alloc_size);
    if (!block) {
        snprintf(text, cap, "2 bits: no memory to measure in");
        return false;
    }
    uint8_t *data = block + (BITNET_HUGE_PAGE - (uintptr_t)block % BITNET_HUGE_PAGE);
    bitnet_os_advise_huge(data, STREAMED);
    bool is_faster = measure(be, data, STREAMED);
    bitnet_free(&be->allocator, block, alloc_size);
    return is_faster;
}

void bitnet_cpu_tune(bitnet_backend *be, bitnet_weight_bits bits, uint64_t ternary_size) {
    if (bits == BITNET_WEIGHT_BITS_AUTO)
        be->is_fives = choose(be, ternary_size);
    else {
        be->is_fives = bits == BITNET_WEIGHT_BITS_1_6;
        snprintf(be->weights_text, sizeof be->weights_text, "%s: as asked for",
                 be->is_fives ? "1.6 bits" : "2 bits");
    }
}
