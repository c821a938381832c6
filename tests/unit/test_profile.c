/* test_profile.c: a profile changes no bit, counts the bytes and multiply-adds that shapes say, and its spans nest.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/backend.h"
#include "bitnet/profile.h"
#include "probe/machine.h"
#include "rates.h"
#include "tiny_model.h"

/* A machine whose bounds make sums that can be done by hand. */
static const bitnet_bounds BOUNDS = {1e9, 1e10, 1e9};

static tiny_model two_layers(void) {
    tiny_model t = tiny_model_default();
    t.n_layer = 2, t.n_embd = 256, t.n_ff = 384, t.has_head = true;
    return t;
}

static const bitnet_model_desc plain = {.n_threads = 1,
                                        .sparse = BITNET_OFF,
                                        .staged = BITNET_OFF,
                                        .weight_bits = BITNET_WEIGHT_BITS_2,
                                        .cache_type_k = BITNET_KV_F16,
                                        .cache_type_v = BITNET_KV_F32};

static void load(tiny_loaded *t, const tiny_model *shape, const bitnet_model_desc *desc) {
    bitnet_error err = {0};
    if (tiny_model_load(t, shape, desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
}

static bitnet_profile *open_profile(bitnet_model *m, int32_t spans_cap) {
    bitnet_profile *p;
    bitnet_error err = {0};
    const bitnet_profile_desc desc = {.model = m, .bounds = BOUNDS, .spans_cap = spans_cap};
    if (bitnet_profile_open(&p, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    return p;
}

static bitnet_ctx *open_context(const bitnet_model *m) {
    bitnet_ctx *c;
    assert_int_equal(bitnet_ctx_create(&c, &(bitnet_ctx_desc){.model = m}, NULL), BITNET_OK);
    return c;
}

static bitnet_kernel_work kernel(bitnet_profile *p, const char *label, bitnet_phase phase) {
    bitnet_kernel_work k;
    for (int32_t i = 0; bitnet_profile_kernel(p, i, phase, &k); i++)
        if (!strcmp(k.label, label)) return k;
    fail_msg("there is no kernel %s", label);
    return k;
}

static bitnet_work sum_of(bitnet_profile *p, const char *name, bitnet_phase phase) {
    bitnet_work sum = {0};
    bitnet_kernel_work k;
    for (int32_t i = 0; bitnet_profile_kernel(p, i, phase, &k); i++)
        if (!name || !strcmp(k.name, name)) {
            sum.calls += k.work.calls, sum.ns += k.work.ns, sum.bytes += k.work.bytes;
            sum.n_mac_i8 += k.work.n_mac_i8, sum.n_mac_f32 += k.work.n_mac_f32;
        }
    return sum;
}

/* ---- what it counts ---------------------------------------------------------------------------------- */

static void logits_are_the_same_to_the_bit_with_a_profile_and_after_it(void **state) {
    (void)state;
    static float want[TINY_LOGITS], got[TINY_LOGITS];
    const tiny_model shape = two_layers();
    tiny_loaded t;
    load(&t, &shape, &plain);
    tiny_model_logits(t.model, want);
    bitnet_profile *p = open_profile(t.model, 1000);
    tiny_model_logits(t.model, got);
    assert_memory_equal(got, want, sizeof want);
    const uint64_t calls = sum_of(p, NULL, BITNET_PHASE_ALL).calls;
    assert_true(calls > 0);
    bitnet_profile_close(p);
    tiny_model_logits(t.model, got);
    assert_memory_equal(got, want, sizeof want);
    tiny_model_close(&t);
}

/* Rows of 2 bits, padded to 128 weights, in groups of 16 (kernels.h). */
static uint64_t bound_size(const bitnet_tensor_info *t) {
    const uint64_t k = (uint64_t)(t->ne[0] + 127) / 128 * 128,
                   n = (uint64_t)(t->ne[1] + 15) / 16 * 16;
    return k * n / 4;
}

static void a_decoded_token_reads_each_ternary_weight_and_the_head_once(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    tiny_loaded t;
    load(&t, &shape, &plain);
    bitnet_ctx *c = open_context(t.model);
    bitnet_profile *p = open_profile(t.model, 0);
    assert_int_equal(bitnet_ctx_sync(c, (bitnet_token[]){65, 66, 67}, 3), BITNET_OK);
    bitnet_profile_set_phase(p, BITNET_PHASE_DECODE);
    assert_int_equal(bitnet_ctx_decode(c, 68), BITNET_OK);

    uint64_t bytes = 0, n_mac = 0, head = 0;
    bitnet_tensor_info info;
    for (int32_t i = 0; bitnet_model_get_tensor(t.model, i, &info); i++) {
        if (!strcmp(info.name, "output.weight")) head = info.size;
        if (!info.is_ternary) continue;
        bytes += bound_size(&info);
        n_mac += (uint64_t)info.ne[0] * (uint64_t)info.ne[1];
    }
    const bitnet_work ternary = sum_of(p, "tern_matmul", BITNET_PHASE_DECODE);
    assert_true(bytes > 100000);
    assert_int_equal(ternary.bytes, bytes);
    assert_int_equal(ternary.n_mac_i8, n_mac);
    assert_int_equal(ternary.n_mac_f32, 0);
    assert_int_equal(ternary.calls, 2 * 4); /* qkv, output, gate and up, down */
    const bitnet_work h = kernel(p, "head", BITNET_PHASE_DECODE).work;
    assert_int_equal(h.bytes, head);
    assert_int_equal(h.n_mac_f32, 256 * TINY_LOGITS);
    assert_int_equal(h.activation_bytes, 4 * (256 + TINY_LOGITS));
    assert_int_equal(kernel(p, "embed", BITNET_PHASE_DECODE).work.bytes, 2 * 256);
    assert_int_equal(kernel(p, "rmsnorm.ffn_sub_norm", BITNET_PHASE_DECODE).work.bytes,
                     2 * 4 * 384);
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    tiny_model_close(&t);
}

static void attention_reads_the_keys_and_values_of_every_position(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    tiny_loaded t;
    load(&t, &shape, &plain);
    bitnet_ctx *c = open_context(t.model);
    assert_int_equal(bitnet_ctx_sync(c, (bitnet_token[]){65, 66, 67}, 3), BITNET_OK);
    bitnet_profile *p = open_profile(t.model, 0); /* around a context that was there before */
    assert_int_equal(bitnet_ctx_decode(c, 68), BITNET_OK);
    const bitnet_work a = kernel(p, "attention", BITNET_PHASE_ALL).work;
    /* 4 positions read and 1 written, of one head of 64: keys in f16, values in f32 */
    assert_int_equal(a.bytes, 2 * (5 * 64 * 2 + 5 * 64 * 4));
    assert_int_equal(a.n_mac_f32, 2 * (4 * 64 * 2 * 2));
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    tiny_model_close(&t);
}

static void zeros_of_relu2_are_not_counted_as_read(void **state) {
    (void)state;
    tiny_model shape = two_layers();
    bitnet_model_desc sparse = plain;
    sparse.sparse = BITNET_ON;
    uint64_t down[2], up[2];
    for (int i = 0; i < 2; i++) {
        tiny_loaded t;
        load(&t, &shape, i ? &sparse : &plain);
        bitnet_ctx *c = open_context(t.model);
        bitnet_profile *p = open_profile(t.model, 0);
        assert_int_equal(bitnet_ctx_decode(c, 68), BITNET_OK);
        down[i] = kernel(p, "tern_matmul.ffn_down", BITNET_PHASE_ALL).work.n_mac_i8;
        up[i] = kernel(p, "tern_matmul.ffn_gate_up", BITNET_PHASE_ALL).work.n_mac_i8;
        bitnet_profile_close(p);
        bitnet_ctx_free(c);
        tiny_model_close(&t);
    }
    assert_int_equal(down[0], 2 * 256 * 384);
    assert_int_equal(up[0], 2 * 2 * 256 * 384);
    if (bitnet_cpu_flags() & (BITNET_CPU_AVX2 | BITNET_CPU_AVX512VNNI)) { /* others skip nothing */
        if (down[1] >= down[0] || down[1] == 0)
            fail_msg("down: %llu of %llu", (unsigned long long)down[1],
                     (unsigned long long)down[0]);
        if (up[1] >= up[0] || up[1] < up[0] / 2)
            fail_msg("gate and up: %llu of %llu", (unsigned long long)up[1],
                     (unsigned long long)up[0]);
    }
}

static void a_head_in_stages_counts_the_bits_it_looks_at(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    bitnet_model_desc staged = plain;
    staged.staged = BITNET_ON;
    tiny_loaded t;
    load(&t, &shape, &staged);
    bitnet_ctx *c = open_context(t.model);
    bitnet_ctx_want(c, (bitnet_want){.n_best = 1});
    bitnet_profile *p = open_profile(t.model, 0);
    assert_int_equal(bitnet_ctx_decode(c, 68), BITNET_OK);
    const bitnet_work h = kernel(p, "head", BITNET_PHASE_ALL).work;
    const uint64_t whole = (uint64_t)256 * TINY_LOGITS, six = whole * 6 / 8;
    /* six bits of each weight and four floats a row, then more of the rows that are left */
    if (h.bytes < six || h.bytes > six + 64 * 256 + 16 * 272 + whole / 4)
        fail_msg("%llu bytes; six bits of each are %llu", (unsigned long long)h.bytes,
                 (unsigned long long)six);
    assert_true(h.n_mac_i8 >= 2 * whole && h.n_mac_f32 > 0 && h.n_mac_f32 < whole);
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    tiny_model_close(&t);
}

/* ---- its sums -------------------------------------------------------------------------------------------- */

static void layers_phases_and_takes_add_up_to_the_kernels(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    tiny_loaded t;
    load(&t, &shape, &plain);
    bitnet_ctx *c = open_context(t.model);
    bitnet_profile *p = open_profile(t.model, 0);
    bitnet_kernel_work k;
    assert_int_equal(bitnet_ctx_sync(c, (bitnet_token[]){65, 66, 67}, 3), BITNET_OK);
    uint64_t taken = 0;
    for (int32_t i = 0; bitnet_profile_take(p, i, &k); i++)
        taken += k.work.bytes;
    assert_int_equal(taken, sum_of(p, NULL, BITNET_PHASE_PREFILL).bytes);
    bitnet_profile_set_phase(p, BITNET_PHASE_DECODE);
    assert_int_equal(bitnet_ctx_decode(c, 68), BITNET_OK);
    for (int32_t i = 0; bitnet_profile_take(p, i, &k); i++)
        taken += k.work.bytes;
    for (int32_t i = 0; bitnet_profile_take(p, i, &k); i++)
        if (k.work.calls != 0 || k.work.ns != 0) fail_msg("%s was taken twice", k.label);
    const bitnet_work all = sum_of(p, NULL, BITNET_PHASE_ALL);
    assert_int_equal(taken, all.bytes);
    assert_int_equal(all.bytes, sum_of(p, NULL, BITNET_PHASE_PREFILL).bytes +
                                    sum_of(p, NULL, BITNET_PHASE_DECODE).bytes);
    bitnet_work layer;
    uint64_t ns = 0, calls = 0;
    int32_t n = -1;
    for (; bitnet_profile_layer(p, n, BITNET_PHASE_ALL, &layer); n++)
        ns += layer.ns, calls += layer.calls;
    assert_int_equal(n, 2);
    assert_int_equal(ns, all.ns);
    assert_int_equal(calls, all.calls);
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    tiny_model_close(&t);
}

static void the_roofline_is_the_larger_of_both_bounds(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    tiny_loaded t;
    load(&t, &shape, &plain);
    bitnet_ctx *c = open_context(t.model);
    bitnet_profile *p = open_profile(t.model, 0);
    assert_int_equal(bitnet_ctx_decode(c, 68), BITNET_OK);
    const bitnet_work down = kernel(p, "tern_matmul.ffn_down", BITNET_PHASE_ALL).work;
    /* two calls of 256 x 384 weights: 24576 bytes at 1 GB/s, or 98304 multiply-adds at 10 G */
    const double want = 2 * 24576e-9;
    if (fabs(down.least_s - want) > 1e-12) fail_msg("%.9g s, expected %.9g", down.least_s, want);
    const bitnet_work head = kernel(p, "head", BITNET_PHASE_ALL).work;
    const double want_head = 2e-9 * 256 * TINY_LOGITS; /* bytes: twice the multiply-adds */
    if (fabs(head.least_s - want_head) > 1e-12)
        fail_msg("%.9g s, expected %.9g", head.least_s, want_head);
    const double share = bitnet_work_share(&down);
    if (fabs(share - down.least_s * 1e9 / (double)down.ns) > 1e-9) fail_msg("%.9g", share);
    assert_true(bitnet_work_share(&(bitnet_work){0}) == 0);
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    tiny_model_close(&t);
}

/* ---- its spans --------------------------------------------------------------------------------------------- */

static int by_begin(const void *a, const void *b) {
    const bitnet_profile_span *x = a, *y = b;
    if (x->begin_ns != y->begin_ns) return x->begin_ns < y->begin_ns ? -1 : 1;
    return x->end_ns > y->end_ns ? -1 : x->end_ns < y->end_ns;
}

/* Of one thread: each lies within another one, or behind it. */
static void check_nesting(const bitnet_profile_span *in, int32_t n, int32_t thread) {
    uint64_t open[16];
    int32_t depth = 0;
    bitnet_profile_span *s = malloc((size_t)n * sizeof *s);
    assert_non_null(s);
    memcpy(s, in, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, by_begin);
    for (int32_t i = 0; i < n; i++) {
        if (s[i].end_ns < s[i].begin_ns)
            fail_msg("thread %d: a %s ends before it begins", thread,
                     bitnet_span_name((bitnet_span_kind)s[i].kind));
        while (depth > 0 && open[depth - 1] <= s[i].begin_ns)
            depth--;
        if (depth > 0 && s[i].end_ns > open[depth - 1])
            fail_msg("thread %d: a %s ends behind what holds it", thread,
                     bitnet_span_name((bitnet_span_kind)s[i].kind));
        assert_true(depth < 16);
        open[depth++] = s[i].end_ns;
    }
    free(s);
}

static int32_t count_kind(const bitnet_profile_span *s, int32_t n, bitnet_span_kind kind) {
    int32_t found = 0;
    for (int32_t i = 0; i < n; i++)
        found += s[i].kind == (uint8_t)kind;
    return found;
}

/* The shipped model on two threads: enough work for both. On a busy machine the second may come late. */
#define LEAST_STEPS 20
#define MOST_STEPS  480
static void spans_nest_and_every_thread_has_its_own(void **state) {
    (void)state;
    test_model t;
    bitnet_model_desc how = {.n_threads = 2};
    test_model_open_as(&t, &how);
    bitnet_ctx *c = open_context(t.model);
    bitnet_profile *p = open_profile(t.model, 10 * BITNET_PROFILE_SPANS);
    int32_t n_worker = 0, n, n_steps = 0;
    for (; n_steps < LEAST_STEPS || (n_worker == 0 && n_steps < MOST_STEPS); n_steps++) {
        bitnet_profile_step_begin(p);
        assert_int_equal(bitnet_ctx_decode(c, 100 + n_steps), BITNET_OK);
        bitnet_profile_step_end(p, 7);
        bitnet_profile_set_phase(p, BITNET_PHASE_DECODE);
        bitnet_profile_spans(p, 1, &n_worker);
    }
    assert_int_equal(bitnet_profile_n_threads(p), 2);
    const bitnet_profile_span *s = bitnet_profile_spans(p, 0, &n);
    check_nesting(s, n, 0);
    assert_int_equal(count_kind(s, n, BITNET_SPAN_FORWARD), n_steps);
    assert_int_equal(count_kind(s, n, BITNET_SPAN_PREFILL), 1);
    assert_int_equal(count_kind(s, n, BITNET_SPAN_DECODE), n_steps - 1);
    assert_int_equal(count_kind(s, n, BITNET_SPAN_SAMPLE), n_steps);
    assert_int_equal(count_kind(s, n, BITNET_SPAN_KERNEL), sum_of(p, NULL, BITNET_PHASE_ALL).calls);
    uint64_t in_kernels = 0, in_forward = 0, bytes = 0;
    for (int32_t i = 0; i < n; i++) {
        if (s[i].kind == BITNET_SPAN_KERNEL)
            in_kernels += s[i].end_ns - s[i].begin_ns, bytes += s[i].bytes;
        if (s[i].kind == BITNET_SPAN_FORWARD) in_forward += s[i].end_ns - s[i].begin_ns;
    }
    assert_true(in_kernels > 0 && in_kernels <= in_forward);
    assert_int_equal(in_kernels, sum_of(p, NULL, BITNET_PHASE_ALL).ns);
    assert_int_equal(bytes, sum_of(p, NULL, BITNET_PHASE_ALL).bytes);
    s = bitnet_profile_spans(p, 1, &n_worker);
    if (n_worker == 0) fail_msg("the worker took part in nothing");
    check_nesting(s, n_worker, 1);
    assert_int_equal(count_kind(s, n_worker, BITNET_SPAN_SLICE) +
                         count_kind(s, n_worker, BITNET_SPAN_WAIT),
                     n_worker);
    assert_int_equal(bitnet_profile_n_dropped(p), 0);
    bitnet_profile_clear_spans(p);
    assert_null(bitnet_profile_spans(p, 0, &n));
    assert_int_equal(n, 0);
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    test_model_close(&t);
}

/* Threads of a process have one clock; what is found out from their work must say so. */
#define MOST_ERROR_NS                                                                              \
    50000000u /* a slice may wait for its core as long as a time slice lasts, some times over */
static void the_clock_of_a_worker_is_that_of_the_caller(void **state) {
    (void)state;
    test_model t;
    bitnet_model_desc how = {.n_threads = 2};
    test_model_open_as(&t, &how);
    bitnet_ctx *c = open_context(t.model);
    bitnet_profile *p = open_profile(t.model, 1);
    assert_true(bitnet_profile_clock(p, 1).error_ns == UINT64_MAX);
    for (int32_t i = 0;
         i < LEAST_STEPS || (bitnet_profile_clock(p, 1).error_ns > MOST_ERROR_NS && i < MOST_STEPS);
         i++)
        assert_int_equal(bitnet_ctx_decode(c, 100 + i), BITNET_OK);
    const bitnet_clock worker = bitnet_profile_clock(p, 1), caller = bitnet_profile_clock(p, 0);
    assert_int_equal(worker.offset_ns, 0);
    if (worker.error_ns > MOST_ERROR_NS)
        fail_msg("within %llu ns", (unsigned long long)worker.error_ns);
    assert_true(caller.offset_ns == 0 && caller.error_ns == 0);
    int32_t n;
    bitnet_profile_spans(p, 0, &n);
    assert_int_equal(n, 1); /* there was room for no more */
    assert_true(bitnet_profile_n_dropped(p) > 100);
    bitnet_profile_close(p);
    bitnet_ctx_free(c);
    test_model_close(&t);
}

/* ---- the machine ---------------------------------------------------------------------------------------------- */

static void the_machine_is_measured_once_and_soon(void **state) {
    (void)state;
    test_model t;
    bitnet_model_desc how = {.n_threads = 1};
    test_model_open_as(&t, &how);
    const machine_rates *r = machine_measure(t.model);
    assert_ptr_equal(machine_measure(t.model), r);
    const machine_expected e = machine_expect(t.model, r);
    const struct {
        const char *name;
        double value, least, most;
    } figures[] = {
        /* from a slow core under sanitizers to a hundred fast ones */
        {"bytes a second", r->bounds.read_bytes_per_s, 1e7, 1e13},
        {"int8 multiply-adds a second", r->bounds.i8_mac_per_s, 1e7, 1e16},
        {"floats a second", r->floats_per_s, 1e5, 1e13},
        {"seconds of a fork", r->fork_s, 1e-10, 1},
        {"decoded tokens a second", e.decode_tokens_per_s, 0.01, 1e6},
        {"prompt tokens a second", e.prefill_tokens_per_s, 0.01, 1e8},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (!(figures[i].value > figures[i].least && figures[i].value < figures[i].most))
            fail_msg("%s: %g", figures[i].name, figures[i].value);
    assert_true(machine_expect(t.model, &(machine_rates){.took_s = 1}).decode_tokens_per_s == 0);
    test_model_close(&t);
}

/* Of two blocks that end where memory does: the address sanitizer sees what is read behind them. */
static void a_probe_goes_over_the_memory_it_is_given(void **state) {
    (void)state;
    enum { SIZE = 200 << 10 };
    bitnet_probe_memory memory[2];
    uint8_t *data[2];
    for (int i = 0; i < 2; i++) {
        data[i] = malloc(SIZE);
        assert_non_null(data[i]);
        memset(data[i], 0x3c, SIZE);
        memory[i] = (bitnet_probe_memory){data[i], SIZE - (size_t)i * 4096};
    }
    bitnet_probe *p = bitnet_probe_create(1024);
    assert_non_null(p);
    assert_true(bitnet_probe_rate(p, BITNET_PROBE_READ, 1 << 20, 0.1) == 0); /* no row fits */
    bitnet_probe_go_over(p, memory, 2);
    assert_int_equal(bitnet_probe_threads(p, 2), 2);
    static const bitnet_probe_kind kinds[] = {BITNET_PROBE_READ, BITNET_PROBE_TERN,
                                              BITNET_PROBE_PROMPT, BITNET_PROBE_F16,
                                              BITNET_PROBE_SCAN};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t piece = 100 << 10; piece <= SIZE; piece += 50 << 10)
            if (!(bitnet_probe_rate(p, kinds[i], piece, 1.0) > 0))
                fail_msg("kind %d, pieces of %zu: nothing was done", (int)kinds[i], piece);
    bitnet_probe_free(p);
    free(data[0]);
    free(data[1]);
}

static void packed_weights_are_there_to_be_read(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    tiny_loaded t;
    load(&t, &shape, &plain);
    bitnet_profile *p = open_profile(t.model, 0);
    bitnet_backend *be;
    const bitnet_backend_ops *ops = bitnet_model_get_backend(t.model, &be);
    bitnet_tensor_info info;
    uint64_t ternary = 0, found = 0;
    const void *data;
    size_t size;
    for (int32_t i = 0; bitnet_model_get_tensor(t.model, i, &info); i++)
        if (info.is_ternary) ternary += bound_size(&info);
    for (int32_t i = 0; ops->weights_at(be, i, &data, &size); i++) {
        assert_non_null(data);
        found += size;
    }
    assert_int_equal(found, ternary); /* each a multiple of the line they are aligned to */
    bitnet_profile_close(p);
    tiny_model_close(&t);
}

/* ---- what it refuses --------------------------------------------------------------------------------------- */

static void a_model_without_weights_and_a_silent_backend_are_refused(void **state) {
    (void)state;
    const tiny_model shape = two_layers();
    bitnet_model_desc header = {.level = BITNET_LOAD_HEADER};
    bitnet_backend_ops silent = bitnet_backend_cpu;
    silent.watch = NULL;
    bitnet_model_desc other = {.n_threads = 1, .backend = &silent};
    const struct {
        const bitnet_model_desc *desc;
        const char *id;
        bitnet_status status;
    } cases[] = {{&header, "profile.model", BITNET_E_INVAL},
                 {&other, "profile.backend", BITNET_E_UNSUPPORTED}};
    for (size_t i = 0; i < 2; i++) {
        tiny_loaded t;
        bitnet_profile *p;
        bitnet_error err = {0};
        load(&t, &shape, cases[i].desc);
        assert_int_equal(bitnet_profile_open(&p, &(bitnet_profile_desc){.model = t.model}, &err),
                         cases[i].status);
        assert_string_equal(err.id, cases[i].id);
        assert_null(p);
        tiny_model_close(&t);
    }
    bitnet_profile_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_same_to_the_bit_with_a_profile_and_after_it),
        cmocka_unit_test(a_decoded_token_reads_each_ternary_weight_and_the_head_once),
        cmocka_unit_test(attention_reads_the_keys_and_values_of_every_position),
        cmocka_unit_test(zeros_of_relu2_are_not_counted_as_read),
        cmocka_unit_test(a_head_in_stages_counts_the_bits_it_looks_at),
        cmocka_unit_test(layers_phases_and_takes_add_up_to_the_kernels),
        cmocka_unit_test(the_roofline_is_the_larger_of_both_bounds),
        cmocka_unit_test(spans_nest_and_every_thread_has_its_own),
        cmocka_unit_test(the_clock_of_a_worker_is_that_of_the_caller),
        cmocka_unit_test(the_machine_is_measured_once_and_soon),
        cmocka_unit_test(a_probe_goes_over_the_memory_it_is_given),
        cmocka_unit_test(packed_weights_are_there_to_be_read),
        cmocka_unit_test(a_model_without_weights_and_a_silent_backend_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
