/* machine.c: see machine.h. A rate is the best of some tries, all of them short: what else runs now only makes them
 * slower, and will not run for as long as the model.
 */
#include "probe/machine.h"

#include <string.h>

#include "base/os.h"
#include "base/pool.h"
#include "bitnet/backend.h"
#include "kernels/kernels.h"
#include "probe/peak.h"
#include "rates.h"

/* A large model's own weights are read: memory that no cache holds takes too long to fill. For a small one a buffer
 * stands, as large as its weights, so that it is read from a cache as they would be. */
#define LEAST_BUFFER ((uint64_t)1 << 20)
#define MOST_BUFFER  ((uint64_t)32 << 20)
#define LARGE        ((uint64_t)64 << 20) /* of weights that were copied */
#define LEAST_BLOCK  MOST_PIECE
#define LEAST_PIECE  ((uint64_t)16 << 10)
#define MOST_PIECE   ((uint64_t)8 << 20)
#define N_TRIES      4
#define READ_MS      4.0 /* of a try; together 60 ms, and what the buffer takes to fill */
#define KERNEL_MS    3.0
#define SHORT_MS     0.5
#define PEAK_NS      2000000u

/* As in targets/wasm/js/roofline.ts, which has how they were found. */
#define PRODUCTS_PER_LAYER 7
#define LAYER_PASSES       60
#define LAYER_FORKS        5
#define TOKEN_S            20e-6
#define STAGED_SHARE       (6.5 / 16)
#define STAGED_LEAST       ((uint64_t)32 << 20)

typedef struct sizes { /* bytes in the file */
    uint64_t token, ternary, head;
    double n_ternary; /* weights */
    bool is_staged;
} sizes;

static sizes sizes_of(const bitnet_model *m, const bitnet_model_info *info) {
    sizes s = {.token = info->token_bytes};
    bitnet_tensor_info t;
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++) {
        if (t.is_ternary) s.ternary += t.size, s.n_ternary += (double)t.ne[0] * (double)t.ne[1];
        const bool is_output = !strcmp(t.name, "output.weight");
        if (is_output || (s.head == 0 && !strcmp(t.name, "token_embd.weight"))) s.head = t.size;
    }
    s.is_staged = strcmp(info->tier, "c") != 0 && s.head >= STAGED_LEAST;
    return s;
}

static uint64_t between(uint64_t v, uint64_t least, uint64_t most) {
    return v < least ? least : v > most ? most : v;
}

/* ---- rates of kernels -------------------------------------------------------------------------------
 */

static double best_of(bitnet_probe *p, bitnet_probe_kind kind, uint64_t piece, double ms) {
    double best = 0;
    for (int i = 0; i < N_TRIES; i++) {
        const double rate = bitnet_probe_rate(p, kind, (size_t)piece, ms);
        if (rate > best) best = rate;
    }
    return best;
}

/* The blocks of a large model's weights; 0 of a small one's. */
static int32_t list_weights(const bitnet_model *m, bitnet_probe_memory out[BITNET_PROBE_MEMORIES]) {
    bitnet_backend *be;
    const bitnet_backend_ops *ops = bitnet_model_get_backend(m, &be);
    const void *data;
    size_t size;
    uint64_t sum = 0;
    int32_t n = 0;
    for (int32_t i = 0; n < BITNET_PROBE_MEMORIES && ops->weights_at(be, i, &data, &size); i++) {
        if (size < LEAST_BLOCK) continue;
        out[n++] = (bitnet_probe_memory){data, size};
        sum += size;
    }
    return sum >= LARGE ? n : 0;
}

static void measure_kernels(machine_rates *r, const bitnet_model *m, const sizes *s,
                            const bitnet_model_info *info, uint32_t flags) {
    const char *name;
    bitnet_probe_memory memory[BITNET_PROBE_MEMORIES];
    const int32_t n_memory = list_weights(m, memory);
    bitnet_probe *p = bitnet_probe_create(
        (size_t)(n_memory ? LEAST_BUFFER : between(s->token, LEAST_BUFFER, MOST_BUFFER)));
    if (!p) return;
    if (n_memory > 0) bitnet_probe_go_over(p, memory, n_memory);
    bitnet_probe_use(p, flags, bench_reader(flags, &name));
    bitnet_probe_threads(p, info->n_threads);
    const uint64_t n_products = PRODUCTS_PER_LAYER * (uint64_t)(info->n_layer ? info->n_layer : 1);
    const uint64_t product = between(s->ternary / n_products, LEAST_PIECE, MOST_PIECE);
    const bitnet_probe_kind head = s->is_staged ? BITNET_PROBE_SCAN : BITNET_PROBE_F16;
    r->bounds.read_bytes_per_s = best_of(p, BITNET_PROBE_READ, MOST_PIECE, READ_MS);
    r->ternary_bytes_per_s = best_of(p, BITNET_PROBE_TERN, product, KERNEL_MS);
    r->head_bytes_per_s = best_of(p, head, MOST_PIECE, KERNEL_MS);
    r->prompt_mac_per_s =
        best_of(p, BITNET_PROBE_PROMPT, between(product, LEAST_PIECE, LEAST_BUFFER), KERNEL_MS);
    r->floats_per_s = best_of(p, BITNET_PROBE_FLOATS, 0, SHORT_MS);
    const double forks = best_of(p, BITNET_PROBE_FORK, 0, SHORT_MS);
    r->fork_s = forks > 0 ? 1 / forks : 0;
    bitnet_probe_free(p);
}

/* ---- peaks of all threads together ------------------------------------------------------------------
 */

typedef struct peak_job {
    bench_mac_fn run;
    uint64_t n;
    _Atomic uint64_t n_mac;
} peak_job;

static void run_peak(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    peak_job *j = ctx;
    for (int32_t i = begin; i < end; i++)
        j->n_mac += j->run(j->n);
}

static double peak_of(bitnet_pool *pool, bench_mac_fn run) {
    double best = 0;
    peak_job j = {.run = run, .n = 1000};
    for (int i = 0; i < N_TRIES; i++)
        for (uint64_t ns = 0; ns < PEAK_NS;) {
            j.n_mac = 0;
            const uint64_t start = bitnet_os_now_ns();
            bitnet_pool_run(pool, run_peak, &j, bitnet_pool_size(pool), 1);
            ns = bitnet_os_now_ns() - start;
            const double rate = ns > 0 ? (double)j.n_mac * 1e9 / (double)ns : 0;
            if (ns < PEAK_NS)
                j.n *= 2;
            else if (rate > best)
                best = rate;
        }
    return best;
}

static void measure_peaks(machine_rates *r, const bitnet_model_info *info, uint32_t flags) {
    const bench_peak *i8 = bench_peak_i8(info->tier, flags), *f32 = bench_peak_f32(flags);
    bitnet_pool *pool;
    if ((!i8 && !f32) || bitnet_pool_create(&pool, info->n_threads, NULL) < 0) return;
    if (i8) r->bounds.i8_mac_per_s = peak_of(pool, i8->run_i8);
    if (f32) r->bounds.f32_mac_per_s = peak_of(pool, f32->run_f32);
    bitnet_pool_free(pool);
}

static uint32_t flags_of(const char *tier) {
    const bitnet_cpu_tier *t;
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++)
        if (!strcmp(t->name, tier)) return t->mask ? t->mask & bitnet_cpu_flags() : 0;
    return 0;
}

const machine_rates *machine_measure(const bitnet_model *m) {
    static machine_rates rates;
    if (rates.took_s > 0) return &rates;
    const uint64_t start = bitnet_os_now_ns();
    const bitnet_model_info info = bitnet_model_get_info(m);
    const sizes s = sizes_of(m, &info);
    const uint32_t flags = flags_of(info.tier);
    measure_kernels(&rates, m, &s, &info, flags ? flags : BITNET_CPU_C_ONLY);
    measure_peaks(&rates, &info, flags);
    /* without a loop of its own, a variant's bound is what its product reaches from a cache */
    if (rates.bounds.i8_mac_per_s <= 0) rates.bounds.i8_mac_per_s = rates.prompt_mac_per_s;
    rates.took_s = (double)(bitnet_os_now_ns() - start) * 1e-9;
    return &rates;
}

/* ---- expected ---------------------------------------------------------------------------------------
 */

machine_expected machine_expect(const bitnet_model *m, const machine_rates *r) {
    const bitnet_model_info info = bitnet_model_get_info(m);
    const sizes s = sizes_of(m, &info);
    machine_expected e = {0};
    if (!(r->bounds.read_bytes_per_s > 0 && r->ternary_bytes_per_s > 0 && r->head_bytes_per_s > 0 &&
          r->prompt_mac_per_s > 0 && r->floats_per_s > 0))
        return e;
    const double head = (double)s.head * (s.is_staged ? STAGED_SHARE : 1.0);
    const uint64_t known = s.ternary + s.head;
    const double other = s.token > known ? (double)(s.token - known) : 0.0;
    const double passes =
        (double)info.n_layer * LAYER_PASSES * (double)info.n_embd / r->floats_per_s;
    const double forks = (double)info.n_layer * LAYER_FORKS * r->fork_s;
    const double decode = (double)s.ternary / r->ternary_bytes_per_s + head / r->head_bytes_per_s +
                          other / r->bounds.read_bytes_per_s + passes + forks + TOKEN_S;
    e.decode_tokens_per_s = 1 / decode;
    e.prefill_tokens_per_s =
        1 / (s.n_ternary / r->prompt_mac_per_s + passes / (double)info.n_threads);
    return e;
}
