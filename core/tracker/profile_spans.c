/* profile_spans.c: what each thread did, and how far apart their clocks are.
 *
 * A thread writes its own track, within a run of the pool, which orders that before whatever the caller does after the
 * run: no lock and no atomic is needed. A track that is full takes no more, and counts what it did not take.
 *
 * A slice begins after its operation did and ends before that ends. So what a thread's clock lacks is at least
 * (begin of the operation, here) - (begin of the slice, there), at most the same of the ends; of all slices the
 * narrowest holds.
 */
#include "tracker/profile.h"

#include <string.h>

_Static_assert(sizeof(bitnet_profile_span) == 48, "js/profile.ts reads spans by offsets");

const char *bitnet_span_name(bitnet_span_kind kind) {
    static const char *const names[BITNET_SPAN_KINDS] = {
        "kernel", "forward", "slice", "wait", "request", "submit", "prefill", "decode", "sample"};
    return kind >= 0 && kind < BITNET_SPAN_KINDS ? names[kind] : "";
}

bitnet_status bitnet_profile_open_spans(bitnet_profile *p, int32_t spans_cap) {
    bitnet_backend_info info;
    p->inner->info(p->backend, &info);
    p->n_threads = info.n_threads;
    p->track = bitnet_alloc(&p->allocator, (size_t)p->n_threads * sizeof *p->track);
    if (!p->track) return BITNET_E_NOMEM;
    p->spans_cap = spans_cap > 0 ? spans_cap : 0;
    p->open_ns = bitnet_os_now_ns();
    for (int32_t i = 0; i < p->n_threads; i++) {
        profile_track *t = &p->track[i];
        t->clock_min = INT64_MIN, t->clock_max = INT64_MAX;
        if (p->spans_cap == 0) continue;
        t->span = bitnet_alloc_raw(&p->allocator, (size_t)p->spans_cap * sizeof *t->span);
        if (!t->span) return BITNET_E_NOMEM;
    }
    return BITNET_OK;
}

void bitnet_profile_close_spans(bitnet_profile *p) {
    for (int32_t i = 0; p->track && i < p->n_threads; i++)
        bitnet_free(&p->allocator, p->track[i].span,
                    (size_t)p->spans_cap * sizeof *p->track[i].span);
    bitnet_free(&p->allocator, p->track, (size_t)p->n_threads * sizeof *p->track);
}

void bitnet_profile_push(bitnet_profile *p, int32_t thread, const bitnet_profile_span *span) {
    profile_track *t = &p->track[thread];
    if (t->n < p->spans_cap)
        t->span[t->n++] = *span;
    else if (p->spans_cap > 0)
        t->n_dropped++;
}

void bitnet_profile_slice(void *ctx, int32_t thread, bool is_work, uint64_t begin_ns,
                          uint64_t end_ns) {
    bitnet_profile *p = ctx;
    if (thread >= p->n_threads || !p->batch) return; /* a run of no step: a weight is being bound */
    if (!is_work && begin_ns < p->open_ns) return;   /* it waited for an earlier profile, too */
    profile_track *t = &p->track[thread];
    if (is_work) {
        const int64_t least = (int64_t)(p->op_ns - begin_ns);
        if (least > t->clock_min) t->clock_min = least;
        t->end_ns = end_ns;
    }
    bitnet_profile_push(
        p, thread,
        &(bitnet_profile_span){.begin_ns = begin_ns,
                               .end_ns = end_ns,
                               .layer = is_work ? p->op_layer : (int16_t)-1,
                               .kind = is_work ? BITNET_SPAN_SLICE : BITNET_SPAN_WAIT,
                               .kernel = p->op_kernel});
}

void bitnet_profile_end_slices(bitnet_profile *p, uint64_t end_ns) {
    for (int32_t i = 1; i < p->n_threads; i++) {
        profile_track *t = &p->track[i];
        if (t->end_ns == 0) continue;
        const int64_t most = (int64_t)(end_ns - t->end_ns);
        if (most < t->clock_max) t->clock_max = most;
        t->end_ns = 0;
    }
}

bitnet_clock bitnet_profile_clock(const bitnet_profile *p, int32_t thread) {
    const profile_track *t = &p->track[thread];
    if (thread == 0) return (bitnet_clock){0};
    if (t->clock_min == INT64_MIN || t->clock_max == INT64_MAX)
        return (bitnet_clock){.error_ns = UINT64_MAX};
    const int64_t width = t->clock_max - t->clock_min; /* below 0 where clocks have steps */
    const int64_t middle = t->clock_min + width / 2;
    const uint64_t error = (uint64_t)(width < 0 ? -width : width) / 2 + 1;
    /* one clock, as far as can be told: nothing is moved */
    if (t->clock_min <= 0 && t->clock_max >= 0) return (bitnet_clock){0, error};
    return (bitnet_clock){middle, error};
}

int32_t bitnet_profile_n_threads(const bitnet_profile *p) {
    return p->n_threads;
}

const bitnet_profile_span *bitnet_profile_spans(const bitnet_profile *p, int32_t thread,
                                                int32_t *n) {
    *n = thread >= 0 && thread < p->n_threads ? p->track[thread].n : 0;
    return *n > 0 ? p->track[thread].span : NULL;
}

void bitnet_profile_clear_spans(bitnet_profile *p) {
    for (int32_t i = 0; i < p->n_threads; i++)
        p->track[i].n = 0;
}

uint64_t bitnet_profile_n_dropped(const bitnet_profile *p) {
    uint64_t n = 0;
    for (int32_t i = 0; i < p->n_threads; i++)
        n += p->track[i].n_dropped;
    return n;
}

/* ---- what the engine does -------------------------------------------------------------------------
 */

void bitnet_profile_tell(bitnet_profile *p, bitnet_span_kind kind, uint64_t begin_ns,
                         uint64_t end_ns, uint32_t request) {
    bitnet_profile_push(p, 0,
                        &(bitnet_profile_span){.begin_ns = begin_ns,
                                               .end_ns = end_ns,
                                               .request = request,
                                               .layer = -1,
                                               .kind = (uint8_t)kind});
}

void bitnet_profile_step_begin(bitnet_profile *p) {
    p->step_ns = bitnet_os_now_ns();
    p->after_ns = p->phase == BITNET_PHASE_DECODE ? p->step_ns : 0; /* a token that was there */
}

void bitnet_profile_step_end(bitnet_profile *p, uint32_t request) {
    const uint64_t end = bitnet_os_now_ns();
    if (p->after_ns > 0) bitnet_profile_tell(p, BITNET_SPAN_SAMPLE, p->after_ns, end, request);
    bitnet_profile_tell(p,
                        p->phase == BITNET_PHASE_DECODE ? BITNET_SPAN_DECODE : BITNET_SPAN_PREFILL,
                        p->step_ns, end, request);
}
