/* exports_profile.c: see exports.h: what each kernel takes, and what every thread does (bitnet/profile.h), for
 * js/profile.ts. A session has at most one profile. */
#include "base/base.h"
#include "base/os.h"
#include "session.h"

bitnet_status bitnet_session_profile_open(bitnet_session *s, int32_t spans_cap, double read,
                                          double i8, double f32) {
    if (s->profile)
        return bitnet_fail(&s->err, BITNET_E_INVAL, "profile.busy",
                           "the model is being profiled already");
    const bitnet_profile_desc desc = {
        .model = s->model, .bounds = {read, i8, f32}, .spans_cap = spans_cap};
    return bitnet_profile_open(&s->profile, &desc, &s->err);
}

void bitnet_session_profile_close(bitnet_session *s) {
    bitnet_profile_close(s->profile);
    s->profile = NULL;
}

const char *bitnet_session_profile_label(bitnet_session *s, int32_t i) {
    return bitnet_profile_label(s->profile, i);
}

const bitnet_work *bitnet_session_profile_kernel(bitnet_session *s, int32_t i, bitnet_phase phase) {
    bitnet_kernel_work k;
    if (!bitnet_profile_kernel(s->profile, i, phase, &k)) return NULL;
    s->work = k.work;
    return &s->work;
}

const bitnet_work *bitnet_session_profile_layer(bitnet_session *s, int32_t i) {
    return bitnet_profile_layer(s->profile, i, BITNET_PHASE_ALL, &s->work) ? &s->work : NULL;
}

const bitnet_session_spans *bitnet_session_profile_spans(bitnet_session *s, int32_t thread) {
    if (thread >= bitnet_profile_n_threads(s->profile)) return NULL;
    const bitnet_clock clock = bitnet_profile_clock(s->profile, thread);
    s->spans = (bitnet_session_spans){
        .offset_ns = (double)clock.offset_ns,
        .error_ns = clock.error_ns == UINT64_MAX ? -1 : (double)clock.error_ns,
        .n_dropped = (double)bitnet_profile_n_dropped(s->profile)};
    s->spans.span = bitnet_profile_spans(s->profile, thread, &s->spans.n);
    return &s->spans;
}

void bitnet_session_profile_clear(bitnet_session *s) {
    bitnet_profile_clear_spans(s->profile);
}
