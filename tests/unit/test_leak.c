/* test_leak.c: a slope and its interval are what their definition gives by brute force; memory that does not leak is
 * hardly ever said to, and a leak is found. The series are drawn from fixed seeds, so every count below is
 * the same on every machine that has IEEE doubles.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/leak.h"
#include "tracker/slope.h"

#define SECOND         1000000000u
#define MB             1e6
#define RUNS           2000
#define MINUTES        10
#define N              (MINUTES * 60)
#define MAX_FALSE      0.05   /* of runs: an interval of 95 % lies above 0 in half of that */
#define MAX_FALSE_STEP 0.25   /* of runs, at any of 49 looks: the flat part has as many chances */
#define MIN_FOUND      0.95   /* of runs with a leak of 1 MB a minute in noise of 5 MB */
#define MIN_COVERED    0.95   /* of runs: the true slope lies within the interval */
#define CLOSE          1e-9   /* relative: two orders of adding up */
#define CV             2.7200 /* leak.h, for b = 1/4 */

/* ---- series ----------------------------------------------------------------------------------- */

static uint64_t seed;

/* splitmix64 (Steele, Lea, Flood 2014) */
static double uniform(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Box and Muller */
static double normal(void) {
    return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
}

typedef enum kind { NOISE, DEPENDENT, SAWTOOTH, STEP, LEAK } kind;
static const char *const names[] = {"noise", "dependent noise", "a sawtooth", "a step", "a leak"};

typedef struct series {
    kind kind;
    double period, phase, at, height; /* of a sawtooth, in seconds; of a step */
    double state;
} series;

/* One run of a kind: periods of 5 to 60 s, steps of 1 to 100 MB anywhere. */
static series draw(kind k) {
    series s = {.kind = k, .period = 5 + 55 * uniform(), .phase = uniform()};
    s.at = N * uniform();
    s.height = (1 + 99 * uniform()) * MB;
    return s;
}

static double value(series *s, int t) {
    double base = 500 * MB, whole;
    switch (s->kind) {
    case NOISE:
        return base + 5 * MB * normal();
    case DEPENDENT: /* a tenth of the noise is new, so to say: autocorrelation 0.9, deviation 5 MB */
        s->state = 0.9 * s->state + sqrt(1 - 0.81) * normal();
        return base + 5 * MB * s->state;
    case SAWTOOTH: /* a collector that frees 20 MB at once */
        return base + 20 * MB * modf(t / s->period + s->phase, &whole) + MB * normal();
    case STEP:
        return base + (t >= s->at ? s->height : 0) + 5 * MB * normal();
    case LEAK:
        return base + t / 60.0 * MB + 5 * MB * normal();
    }
    return base;
}

static bitnet_leak leak; /* 8 KiB */

static void start(void) {
    memset(&leak, 0, sizeof leak);
}

static void add(series *s, int from, int to) {
    for (int t = from; t < to; t++)
        bitnet_leak_add(&leak, (uint64_t)(t + 7) * SECOND, value(s, t));
}

/* ---- brute force ------------------------------------------------------------------------------ */

/* The variance as the quadratic form that Bartlett's weights make of all pairs. */
static bitnet_slope brute(const double *t, const double *y, int32_t n) {
    double ts = 0, ys = 0, tt = 0, ty = 0, form = 0, xx = 0;
    for (int32_t i = 0; i < n; i++)
        ts += t[i], ys += y[i], tt += t[i] * t[i], ty += t[i] * y[i];
    double slope = (n * ty - ts * ys) / (n * tt - ts * ts), z[N];
    for (int32_t i = 0; i < n; i++) {
        double x = t[i] - ts / n;
        z[i] = x * (y[i] - (ys / n + slope * x));
        xx += x * x;
    }
    int32_t band = n / 4;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++)
            if (abs(i - j) < band) form += (1 - (double)abs(i - j) / band) * z[i] * z[j];
    double half = CV * sqrt(form * n / (n - 2)) / xx;
    return (bitnet_slope){slope, slope - half, slope + half};
}

static void expect_near(const char *what, double got, double want, double scale) {
    if (!(fabs(got - want) <= CLOSE * scale))
        fail_msg("%s is %.17g, expected %.17g", what, got, want);
}

static void expect_fit(const double *t, const double *y, int32_t n) {
    bitnet_slope got = bitnet_slope_fit(t, y, n), want = brute(t, y, n);
    double scale = fabs(want.value) + (want.high - want.low);
    expect_near("the slope", got.value, want.value, scale);
    expect_near("the low end", got.low, want.low, scale);
    expect_near("the high end", got.high, want.high, scale);
}

static void a_slope_and_its_interval_are_those_of_the_definition(void **state) {
    (void)state;
    static const int32_t sizes[] = {SLOPE_MIN_POINTS, 9, 60, 119, 256, 511};
    double t[N], y[N];
    seed = 1;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double at = 0, before = 0;
        for (int32_t i = 0; i < sizes[s]; i++) {
            t[i] = at += 0.1 + uniform(); /* uneven steps */
            y[i] = before = 3 * t[i] + 0.8 * before + 10 * normal();
        }
        expect_fit(t, y, sizes[s]);
    }
}

static void a_straight_line_has_its_slope_and_no_doubt(void **state) {
    (void)state;
    start();
    for (int t = 0; t < N; t++)
        bitnet_leak_add(&leak, (uint64_t)t * SECOND, 1e8 + 250.0 * t);
    bitnet_leak_result r = bitnet_leak_get(&leak);
    assert_int_equal(r.n, N);
    expect_near("the slope", r.slope, 250, 250);
    expect_near("the low end", r.low, 250, 250);
    expect_near("the high end", r.high, 250, 250);
    assert_int_equal(r.verdict, BITNET_LEAK_GROWING);
}

static void memory_that_stays_as_it_is_has_slope_0(void **state) {
    (void)state;
    start();
    for (int t = 0; t < N; t++)
        bitnet_leak_add(&leak, (uint64_t)t * SECOND, 12345678);
    bitnet_leak_result r = bitnet_leak_get(&leak);
    if (r.slope != 0 || r.low != 0 || r.high != 0)
        fail_msg("slope %g from %g to %g, expected 0", r.slope, r.low, r.high);
    assert_int_equal(r.verdict, BITNET_LEAK_NONE);
}

/* ---- the buffer -------------------------------------------------------------------------------- */

static void few_samples_say_nothing(void **state) {
    (void)state;
    start();
    assert_int_equal(bitnet_leak_get(&leak).verdict, BITNET_LEAK_NOT_ENOUGH);
    for (int t = 0; t < BITNET_LEAK_ENOUGH - 1; t++)
        bitnet_leak_add(&leak, (uint64_t)t * SECOND, t);
    bitnet_leak_result r = bitnet_leak_get(&leak);
    assert_true(r.verdict == BITNET_LEAK_NOT_ENOUGH && isnan(r.slope) && isnan(r.low) &&
                isnan(r.high));
    bitnet_leak_add(&leak, BITNET_LEAK_ENOUGH * (uint64_t)SECOND, BITNET_LEAK_ENOUGH);
    r = bitnet_leak_get(&leak);
    assert_true(r.verdict == BITNET_LEAK_GROWING && r.low > 0.9 && r.high < 1.1);
}

static void points_are_means_of_equal_numbers_of_samples_from_the_beginning_on(void **state) {
    (void)state;
    static double t[100000], y[100000];
    seed = 2;
    start();
    for (int i = 0; i < 100000; i++) {
        t[i] = i * 0.5;
        y[i] = 1e9 * uniform();
        bitnet_leak_add(&leak, 99 * (uint64_t)SECOND + (uint64_t)i * (SECOND / 2), y[i]);
    }
    assert_int_equal(leak.stride, 256); /* 100000 / 512, up to a power of two */
    assert_int_equal(leak.n_points, 100000 / 256);
    for (int32_t p = 0; p < leak.n_points; p++) {
        double ts = 0, ys = 0;
        for (uint32_t i = 0; i < leak.stride; i++)
            ts += t[(uint32_t)p * leak.stride + i], ys += y[(uint32_t)p * leak.stride + i];
        expect_near("the time of a point", leak.t[p], ts / leak.stride, 50000);
        expect_near("the value of a point", leak.y[p], ys / leak.stride, 1e9);
    }
}

static void samples_out_of_order_or_not_finite_are_left_out(void **state) {
    (void)state;
    start();
    bitnet_leak_add(&leak, 5 * (uint64_t)SECOND, 1);
    bitnet_leak_add(&leak, 5 * (uint64_t)SECOND, 2);
    bitnet_leak_add(&leak, 4 * (uint64_t)SECOND, 3);
    bitnet_leak_add(&leak, 6 * (uint64_t)SECOND, (double)NAN);
    bitnet_leak_add(&leak, 7 * (uint64_t)SECOND, (double)INFINITY);
    assert_int_equal(leak.n, 1);
    bitnet_leak_add(&leak, 8 * (uint64_t)SECOND, 4);
    assert_int_equal(leak.n, 2);
}

/* ---- how often it is wrong -------------------------------------------------------------------- */

static void memory_that_does_not_leak_is_hardly_ever_said_to(void **state) {
    (void)state;
    static const int lengths[] = {BITNET_LEAK_ENOUGH, N / 2, N};
    for (kind k = NOISE; k <= STEP; k++)
        for (int i = 0; i < 3; i++) {
            const int n = lengths[i];
            int n_growing = 0;
            seed = 1000 + (uint64_t)n;
            for (int run = 0; run < RUNS; run++) {
                series s = draw(k);
                s.at *= (double)n / N;
                start();
                add(&s, 0, n);
                n_growing += bitnet_leak_get(&leak).verdict == BITNET_LEAK_GROWING;
            }
            print_message("%s, %d s: %d of %d runs are called growing\n", names[k], n, n_growing,
                          RUNS);
            if (n_growing > MAX_FALSE * RUNS)
                fail_msg("%s, %d s: growing in %d of %d runs, allowed %g", names[k], n, n_growing,
                         RUNS, MAX_FALSE * RUNS);
        }
}

/* A look every ten seconds from the first possible on, as the pump takes them. */
static void nor_is_it_often_at_any_look_of_a_whole_run(void **state) {
    (void)state;
    static const struct {
        kind kind;
        double allowed;
    } cases[] = {{NOISE, MAX_FALSE}, {SAWTOOTH, MAX_FALSE}, {STEP, MAX_FALSE_STEP}};
    for (int i = 0; i < 3; i++) {
        int n_growing = 0;
        seed = 3;
        for (int run = 0; run < RUNS; run++) {
            series s = draw(cases[i].kind);
            bool is_growing = false;
            start();
            for (int t = 0; t < N && !is_growing; t += 10) {
                add(&s, t, t + 10);
                is_growing = bitnet_leak_get(&leak).verdict == BITNET_LEAK_GROWING;
            }
            n_growing += is_growing;
        }
        print_message("%s: %d of %d runs are ever called growing\n", names[cases[i].kind],
                      n_growing, RUNS);
        if (n_growing > cases[i].allowed * RUNS)
            fail_msg("%s: growing in %d of %d runs, allowed %g", names[cases[i].kind], n_growing,
                     RUNS, cases[i].allowed * RUNS);
    }
}

static void a_leak_of_a_megabyte_a_minute_is_found_in_ten_minutes(void **state) {
    (void)state;
    int n_found = 0, n_covered = 0;
    double sum = 0;
    seed = 4;
    for (int run = 0; run < RUNS; run++) {
        series s = draw(LEAK);
        start();
        add(&s, 0, N);
        bitnet_leak_result r = bitnet_leak_get(&leak);
        n_found += r.verdict == BITNET_LEAK_GROWING;
        n_covered += r.low <= MB / 60 && MB / 60 <= r.high;
        sum += r.slope;
    }
    print_message("found in %d of %d runs, mean slope %.0f B/s\n", n_found, RUNS, sum / RUNS);
    if (n_found < MIN_FOUND * RUNS || n_covered < MIN_COVERED * RUNS)
        fail_msg("found in %d, covered in %d of %d runs; required %g and %g", n_found, n_covered,
                 RUNS, MIN_FOUND * RUNS, MIN_COVERED * RUNS);
    /* white noise of 5 MB over 600 s: deviation of a slope 1179 B/s, of the mean of 2000 slopes 26 */
    if (fabs(sum / RUNS - MB / 60) > 4 * 26)
        fail_msg("mean slope %g, true %g", sum / RUNS, MB / 60);
}

static void a_slow_leak_is_found_in_a_night(void **state) {
    (void)state;
    const int night = 8 * 3600;
    seed = 5;
    for (int leaks = 0; leaks < 2; leaks++) {
        series s = draw(DEPENDENT);
        start();
        for (int t = 0; t < night; t++) /* 1 MB an hour */
            bitnet_leak_add(&leak, (uint64_t)t * SECOND, value(&s, t) + leaks * t / 3600.0 * MB);
        bitnet_leak_result r = bitnet_leak_get(&leak);
        if (r.verdict != (leaks ? BITNET_LEAK_GROWING : BITNET_LEAK_NONE))
            fail_msg("%d MB an hour: slope %g from %g to %g", leaks, r.slope, r.low, r.high);
    }
}

/* ---- records ---------------------------------------------------------------------------------- */

static bitnet_window last;
static bitnet_status keep_window(void *ctx, const bitnet_window *w) {
    (void)ctx;
    last = *w;
    return BITNET_OK;
}

static void slopes_are_recorded_every_ten_seconds_once_there_are_enough_samples(void **state) {
    (void)state;
    bitnet_tracker *t;
    assert_int_equal(bitnet_tracker_create(&t, &(bitnet_tracker_desc){0}), BITNET_OK);
    bitnet_ring *ring = bitnet_tracker_ring(t);
    bitnet_tracker_add_sink(t, (bitnet_sink){.write = keep_window});
    start();
    for (int i = 0; i < BITNET_LEAK_ENOUGH - 1; i++)
        bitnet_leak_record(&leak, ring, (uint64_t)i * SECOND, 1e8 + 40.0 * i);
    bitnet_tracker_pump(t, 1);
    assert_int_equal(last.metric[BITNET_METRIC_MEMORY_SLOPE].n, 0);
    for (int i = BITNET_LEAK_ENOUGH - 1; i < BITNET_LEAK_ENOUGH + 30; i++)
        bitnet_leak_record(&leak, ring, (uint64_t)i * SECOND, 1e8 + 40.0 * i);
    bitnet_tracker_pump(t, 2);
    static const bitnet_metric all[] = {BITNET_METRIC_MEMORY_SLOPE, BITNET_METRIC_MEMORY_SLOPE_LOW,
                                        BITNET_METRIC_MEMORY_SLOPE_HIGH};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(last.metric[all[i]].n, 4); /* at once, and after 10, 20 and 30 s */
        expect_near("a recorded slope", last.metric[all[i]].last, 40, 40);
    }
    bitnet_tracker_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slope_and_its_interval_are_those_of_the_definition),
        cmocka_unit_test(a_straight_line_has_its_slope_and_no_doubt),
        cmocka_unit_test(memory_that_stays_as_it_is_has_slope_0),
        cmocka_unit_test(few_samples_say_nothing),
        cmocka_unit_test(points_are_means_of_equal_numbers_of_samples_from_the_beginning_on),
        cmocka_unit_test(samples_out_of_order_or_not_finite_are_left_out),
        cmocka_unit_test(memory_that_does_not_leak_is_hardly_ever_said_to),
        cmocka_unit_test(nor_is_it_often_at_any_look_of_a_whole_run),
        cmocka_unit_test(a_leak_of_a_megabyte_a_minute_is_found_in_ten_minutes),
        cmocka_unit_test(a_slow_leak_is_found_in_a_night),
        cmocka_unit_test(slopes_are_recorded_every_ten_seconds_once_there_are_enough_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
