/* check.c: the run over kernels.def, and what the check_<slot>.c files stand on: buffers between
 * guards, inputs, comparisons, and lines about failures.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bitnet/backend.h"
#include "kernels/cpu.h"

/* With the address sanitizer, guards are also forbidden to be read. */
#if defined(__SANITIZE_ADDRESS__)
#define CHECK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECK_ASAN 1
#endif
#endif
#ifdef CHECK_ASAN
#include <sanitizer/asan_interface.h>
#define FORBID(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define ALLOW(p, n)  ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define FORBID(p, n) ((void)(p), (void)(n))
#define ALLOW(p, n)  ((void)(p), (void)(n))
#endif

#define ARENA_SIZE       ((size_t)12 << 20) /* the largest shapes need half of it */
#define PRINTED_FAILURES 5                  /* per variant; the rest is counted */

/* ---- lines ------------------------------------------------------------------------------------
 */

static void fail(check *c, const char *fmt, ...) BITNET_CHECK_PRINTF(2, 3);
static void fail(check *c, const char *fmt, ...) {
    char text[200], line[400];
    va_list args;
    c->n_failed++;
    if (c->n_printed++ >= PRINTED_FAILURES) return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(line, sizeof line, "FAILED %s %s, seed %llu, %s: %s", c->slot, c->variant,
             (unsigned long long)c->seed, c->shape, text);
    c->print(line);
}

static void format(char *out, size_t cap, check_type type, const void *array, size_t i) {
    uint32_t bits = 0;
    switch (type) {
    case CHECK_F32:
        memcpy(&bits, (const float *)array + i, 4);
        snprintf(out, cap, "%.9g (0x%08x)", (double)((const float *)array)[i], (unsigned)bits);
        break;
    case CHECK_I32:
        snprintf(out, cap, "%d", (int)((const int32_t *)array)[i]);
        break;
    case CHECK_I8:
        snprintf(out, cap, "%d", ((const int8_t *)array)[i]);
        break;
    case CHECK_U16:
        snprintf(out, cap, "0x%04x", ((const uint16_t *)array)[i]);
        break;
    }
}

/* ---- comparisons ------------------------------------------------------------------------------
 */

bool check_same(check *c, const char *what, check_type type, const void *got, const void *want,
                size_t n) {
    static const size_t sizes[] = {
        [CHECK_F32] = 4, [CHECK_I32] = 4, [CHECK_I8] = 1, [CHECK_U16] = 2};
    const size_t size = sizes[type];
    c->n_checks++;
    if (!memcmp(got, want, n * size)) return true;
    size_t i = 0;
    while (!memcmp((const uint8_t *)got + i * size, (const uint8_t *)want + i * size, size))
        i++;
    char g[48], w[48];
    format(g, sizeof g, type, got, i);
    format(w, sizeof w, type, want, i);
    fail(c, "%s[%zu] is %s, expected %s", what, i, g, w);
    return false;
}

bool check_near(check *c, const char *what, size_t index, double got, double want,
                double tolerance) {
    double off = got > want ? got - want : want - got;
    c->n_checks++;
    if (off <= tolerance) return true; /* false for a NaN */
    fail(c, "%s[%zu] is %.17g, expected %.17g within %.3g", what, index, got, want, tolerance);
    return false;
}

bool check_true(check *c, bool ok, const char *fmt, ...) {
    char text[160];
    va_list args;
    c->n_checks++;
    if (ok) return true;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fail(c, "%s", text);
    return false;
}

/* ---- buffers ----------------------------------------------------------------------------------
 */

static void check_guards(check *c) {
    for (int b = 0; b < c->n_buf; b++) {
        uint8_t *start = c->buf[b].start;
        size_t size = c->buf[b].size, bad = 0, room = (size + 63) / 64 * 64 - size + CHECK_GUARD;
        ALLOW(start - CHECK_GUARD, CHECK_GUARD);
        ALLOW(start + size, room);
        for (size_t i = 0; i < CHECK_GUARD; i++)
            bad += start[-1 - (ptrdiff_t)i] != CHECK_POISON;
        for (size_t i = 0; i < room; i++)
            bad += start[size + i] != CHECK_POISON;
        check_true(c, bad == 0, "%zu bytes around buffer %d (%zu bytes) were overwritten", bad, b,
                   size);
    }
    c->n_buf = 0;
    c->used = 0;
}

void check_shape(check *c, const char *fmt, ...) {
    va_list args;
    check_guards(c);
    va_start(args, fmt);
    vsnprintf(c->shape, sizeof c->shape, fmt, args);
    va_end(args);
}

void *check_alloc(check *c, size_t size) {
    uint8_t *start = c->arena + c->used + CHECK_GUARD;
    size_t room = (size + 63) / 64 * 64 + 2 * CHECK_GUARD;
    if (c->n_buf == (int)(sizeof c->buf / sizeof c->buf[0]) || c->used + room > ARENA_SIZE) abort();
    ALLOW(c->arena + c->used, room);
    memset(c->arena + c->used, CHECK_POISON, room);
    c->buf[c->n_buf].start = start;
    c->buf[c->n_buf++].size = size;
    FORBID(start - CHECK_GUARD, CHECK_GUARD);
    FORBID(start + size, room - CHECK_GUARD - size);
    c->used += room - CHECK_GUARD; /* neighbours share the guard between them */
    return start;
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

const char *check_fill_name(check_fill f) {
    static const char *const names[] = {"random", "zero", "max", "min", "spike", "tiny"};
    return names[f];
}

uint32_t check_below(check *c, uint32_t limit) {
    return (uint32_t)((rng_next(&c->rng) >> 32) * limit >> 32);
}

float check_unit(check *c) {
    return 2.0f * rng_float(&c->rng) - 1.0f;
}

float *check_f32(check *c, size_t n, check_fill f) {
    const float huge = 1e30f; /* times 65504 times any n here: still finite */
    float *x = check_alloc(c, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        switch (f) {
        case CHECK_RANDOM:
            x[i] = check_unit(c) * (float)(1 << check_below(c, 8));
            break;
        case CHECK_MAX:
            x[i] = huge;
            break;
        case CHECK_MIN:
            x[i] = -huge;
            break;
        case CHECK_SPIKE:
            x[i] = check_unit(c) * 0.01f;
            break;
        case CHECK_TINY:
            x[i] = check_unit(c) * 0x1p-127f;
            break;
        default:
            x[i] = 0.0f;
            break;
        }
    if (f == CHECK_SPIKE && n) x[check_below(c, (uint32_t)n)] = -1000.0f;
    return x;
}

uint16_t *check_f16(check *c, size_t n, check_fill f) {
    uint16_t *x = check_alloc(c, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint16_t sign = (uint16_t)(check_below(c, 2) << 15);
        switch (f) {
        case CHECK_RANDOM:
            x[i] = sign | (uint16_t)(0x2c00 + check_below(c, 0x1800));
            break; /* 2^-4 .. 4 */
        case CHECK_MAX:
            x[i] = 0x7bff;
            break;
        case CHECK_MIN:
            x[i] = 0xfbff;
            break;
        case CHECK_SPIKE:
            x[i] = sign | (uint16_t)(0x1400 + check_below(c, 0x400));
            break;
        case CHECK_TINY:
            x[i] = sign | (uint16_t)check_below(c, 0x400);
            break;
        default:
            x[i] = sign;
            break;
        }
    }
    if (f == CHECK_SPIKE && n) x[check_below(c, (uint32_t)n)] = 0x7000; /* 8192 */
    return x;
}

int8_t *check_i8(check *c, size_t n, check_fill f) {
    int8_t *x = check_alloc(c, n);
    for (size_t i = 0; i < n; i++)
        switch (f) {
        case CHECK_RANDOM:
            x[i] = (int8_t)((int)check_below(c, 255) - 127);
            break;
        case CHECK_MAX:
            x[i] = 127;
            break;
        case CHECK_MIN:
            x[i] = -127;
            break;
        case CHECK_TINY:
            x[i] = check_below(c, 2) ? 1 : -1;
            break;
        default:
            x[i] = 0;
            break;
        }
    if (f == CHECK_SPIKE && n) x[check_below(c, (uint32_t)n)] = 127;
    return x;
}

uint8_t *check_codes(check *c, size_t n, check_fill f) {
    uint8_t *w = check_alloc(c, n / 4);
    for (size_t i = 0; i < n / 4; i++) {
        uint32_t byte = 0;
        for (int j = 0; j < 4; j++)
            byte = byte << 2 | check_below(c, 3);
        w[i] = f == CHECK_MAX || f == CHECK_MIN ? 0xaa : (uint8_t)byte;
    }
    return w;
}

/* ---- the run ----------------------------------------------------------------------------------
 */

static void begin(check *c, const char *slot, const char *variant) {
    c->slot = slot;
    c->variant = variant;
    c->n_printed = 0;
    c->rng = rng_seed(c->seed);
}

static void end(check *c) {
    char line[160];
    check_guards(c);
    if (c->n_printed <= PRINTED_FAILURES) return;
    snprintf(line, sizeof line, "       ... and %d more failures of %s %s",
             c->n_printed - PRINTED_FAILURES, c->slot, c->variant);
    c->print(line);
}

static void skip(check *c, const char *slot, const char *variant) {
    char line[160];
    snprintf(line, sizeof line, "skipped %s %s: this CPU lacks what it needs", slot, variant);
    c->print(line);
}

int check_kernels_run(uint64_t seed, void (*print)(const char *line)) {
    check c = {.seed = seed, .print = print};
    uint32_t flags = bitnet_cpu_flags();
    uint8_t *block = malloc(ARENA_SIZE + 64);
    char line[160];
    if (!block) {
        print("FAILED: no memory for the test arena");
        return 1;
    }
    c.arena = block + (64 - (uintptr_t)block % 64);

    begin(&c, "cpu", "dispatch");
    check_cpu(&c);
    end(&c);
    begin(&c, "expf", "c");
    check_expf(&c);
    end(&c);
    if (check_amx_model_start(flags)) {
        flags |= BITNET_CPU_AMX;
        print("this CPU lacks AMX: amx variants run on a model of its tiles");
    }
#define KERNEL(slot, variant, needs)                                                               \
    if ((flags & (needs)) == (needs)) {                                                            \
        begin(&c, #slot, #variant);                                                                \
        check_##slot(&c, bitnet_##slot##_##variant);                                               \
        end(&c);                                                                                   \
        c.n_variants++;                                                                            \
    } else {                                                                                       \
        skip(&c, #slot, #variant);                                                                 \
    }
#include "kernels/kernels.def"
#undef KERNEL
    check_true(&c, check_amx_model_stop(), "tiles were not released");

    ALLOW(block, ARENA_SIZE + 64);
    free(block);
    snprintf(line, sizeof line, "%d checks of %d variants, %d failed", c.n_checks, c.n_variants,
             c.n_failed);
    print(line);
    return c.n_failed;
}
