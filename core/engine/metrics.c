/* metrics.c: bitnet/metrics.h and meter.h: sums of what was measured, what follows from them, and whether it
 * can be true.
 */
#include "bitnet/metrics.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "engine/meter.h"

#define NOT_MEASURED ((double)NAN)

/* ---- sums, and what follows ---------------------------------------------------------------------
 */

void bitnet_meter_add(bitnet_meter *m, const bitnet_timings *t) {
    m->n_requests++;
    m->n_prompt += t->n_prompt;
    if (t->n_prompt_computed > 0) m->n_prompt_begun += t->n_prompt;
    m->n_prompt_computed += t->n_prompt_computed;
    if (t->prefill_s > 0) m->n_prefilled += t->n_prompt_computed;
    if (t->n_generated > 0) {
        m->n_answers++;
        m->n_generated += t->n_generated;
        m->ttft_s += t->ttft_s;
    }
    if (t->n_generated > 1) m->decode_s += t->decode_s;
    m->tokenize_s += t->tokenize_s;
    m->prefill_s += t->prefill_s;
    m->decode_pass_s += t->decode_pass_s;
    m->sample_s += t->sample_s;
    m->detokenize_s += t->detokenize_s;
    m->e2e_s += t->e2e_s;
    m->memory_size = t->memory_size;
}

/* What cannot be divided was not measured. */
static double quotient(double a, double b) {
    return a > 0 && b > 0 ? a / b : NOT_MEASURED;
}

static double known(bool is_known, double value) {
    return is_known ? value : NOT_MEASURED;
}

bitnet_metrics bitnet_meter_read(const bitnet_meter *m) {
    const bool has_requests = m->n_requests > 0, has_tokens = m->n_answers > 0;
    const int64_t n_later = m->n_generated - m->n_answers; /* tokens behind a first one */
    const int64_t n_reused = m->n_prompt_begun - m->n_prompt_computed;
    return (bitnet_metrics){
        .n_requests = m->n_requests,
        .n_prompt = m->n_prompt,
        .n_prompt_computed = m->n_prompt_computed,
        .n_generated = m->n_generated,
        .e2e_s = known(has_requests, m->e2e_s),
        .ttft_s = known(has_tokens, m->ttft_s / (double)m->n_answers),
        .tpot_s = quotient(m->decode_s, (double)n_later),
        .tokenize_s = known(has_requests, m->tokenize_s),
        .prefill_s = known(m->n_prefilled > 0, m->prefill_s),
        .decode_pass_s = known(n_later > 0, m->decode_pass_s),
        .sample_s = known(has_tokens, m->sample_s),
        .detokenize_s = known(has_tokens, m->detokenize_s),
        .prefill_tokens_per_second = quotient((double)m->n_prefilled, m->prefill_s),
        .decode_tokens_per_second = quotient((double)n_later, m->decode_s),
        .tokens_per_second = quotient((double)m->n_generated, m->e2e_s),
        .tokens_per_ms = quotient((double)m->n_generated, m->e2e_s * 1e3),
        .cache_hit_rate =
            known(m->n_prompt_begun > 0, (double)n_reused / (double)m->n_prompt_begun),
        .memory_size = known(m->memory_size > 0, (double)m->memory_size),
    };
}

bitnet_metrics bitnet_metrics_of(const bitnet_timings *t) {
    bitnet_meter m = {0};
    bitnet_meter_add(&m, t);
    return bitnet_meter_read(&m);
}

void bitnet_meter_push(bitnet_ring *ring, const bitnet_timings *t, uint32_t request,
                       uint64_t now_ns) {
    const bitnet_metrics m = bitnet_metrics_of(t);
    const struct {
        bitnet_metric metric;
        double value;
    } records[] = {{BITNET_METRIC_REQUESTS, 1},
                   {BITNET_METRIC_E2E, m.e2e_s},
                   {BITNET_METRIC_DECODE_RATE, m.decode_tokens_per_second},
                   {BITNET_METRIC_TOKENIZE_TIME, m.tokenize_s},
                   {BITNET_METRIC_PREFILL_TIME, m.prefill_s},
                   {BITNET_METRIC_DECODE_TIME, m.decode_pass_s},
                   {BITNET_METRIC_SAMPLE_TIME, m.sample_s},
                   {BITNET_METRIC_DETOKENIZE_TIME, m.detokenize_s},
                   {BITNET_METRIC_CACHE_HIT_RATIO, m.cache_hit_rate}};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        if (!isnan(records[i].value))
            bitnet_ring_push(ring, now_ns, records[i].metric, records[i].value, request,
                             (uint64_t)t->n_generated);
}

/* ---- the table ----------------------------------------------------------------------------------
 */

typedef struct field {
    bitnet_metrics_field info;
    const char *id; /* of an error about it */
    size_t offset;
} field;

static const field fields[] = {
#define REQUEST_METRIC(name, type, unit, kind, label, help)                                        \
    {{#name, unit, label, help, BITNET_METRICS_##kind},                                            \
     "metrics." #name,                                                                             \
     offsetof(bitnet_metrics, name)},
#include "bitnet/request_metrics.def"
#undef REQUEST_METRIC
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

const bitnet_metrics_field *bitnet_metrics_field_at(int32_t i) {
    return i >= 0 && i < N_FIELDS ? &fields[i].info : NULL;
}

double bitnet_metrics_value(const bitnet_metrics *m, int32_t i) {
    const char *at = (const char *)m + fields[i].offset;
    if (fields[i].info.kind != BITNET_METRICS_COUNT) return *(const double *)(const void *)at;
    return (double)*(const int64_t *)(const void *)at;
}

/* ---- can it be true -----------------------------------------------------------------------------
 */

#define ROUNDING 1e-9 /* far above that of a sum of doubles, far below a clock's step */

static const field *field_of(size_t offset) {
    const field *f = fields;
    while (f->offset != offset)
        f++;
    return f;
}
#define FIELD(name) field_of(offsetof(bitnet_metrics, name))

static bitnet_status refuse(const field *f, double found, const char *allowed, bitnet_error *err) {
    if (isnan(found))
        return bitnet_fail(err, BITNET_E_INVAL, f->id, "%s is not measured; %s", f->info.name,
                           allowed);
    return bitnet_fail(err, BITNET_E_INVAL, f->id, "%s is %.9g; %s", f->info.name, found, allowed);
}

static bitnet_status check_range(const field *f, double v, bitnet_error *err) {
    if (isnan(v)) return BITNET_OK;
    if (f->info.kind == BITNET_METRICS_RATIO && !(v >= 0 && v <= 1))
        return refuse(f, v, "0 to 1 is allowed", err);
    if (!(v >= 0 && v <= DBL_MAX)) return refuse(f, v, "0 or more is allowed, and finite", err);
    return BITNET_OK;
}

/* More than its whole. A whole that is not measured is another's fault. */
static bitnet_status check_part(const field *part, double v, const field *whole, double of,
                                bitnet_error *err) {
    if (!(v > of * (1 + ROUNDING))) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_INVAL, part->id, "%s is %.9g; at most %s, %.9g, is allowed",
                       part->info.name, v, whole->info.name, of);
}

static bitnet_status check_needed(const bitnet_metrics *m, bitnet_error *err) {
    if (m->n_requests == 0 && m->n_generated > 0)
        return refuse(FIELD(n_requests), 0, "tokens come from requests", err);
    if (m->n_requests > 0 && isnan(m->e2e_s))
        return refuse(FIELD(e2e_s), m->e2e_s, "a request that ended has one", err);
    if (m->n_generated > 0 && !(m->e2e_s > 0))
        return refuse(FIELD(e2e_s), m->e2e_s, "tokens take time", err);
    if (m->n_generated > 0 && isnan(m->ttft_s))
        return refuse(FIELD(ttft_s), m->ttft_s, "a request with a token has one", err);
    return BITNET_OK;
}

static double or_nothing(double v) {
    return isnan(v) ? 0 : v;
}

static bitnet_status check_split(const bitnet_metrics *m, bitnet_error *err) {
    const double sum = or_nothing(m->tokenize_s) + or_nothing(m->prefill_s) +
                       or_nothing(m->decode_pass_s) + or_nothing(m->sample_s) +
                       or_nothing(m->detokenize_s);
    if (!(sum > m->e2e_s * (1 + ROUNDING))) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_INVAL, "metrics.e2e_s",
                       "e2e_s is %.9g; at least the sum of its parts, %.9g, is allowed", m->e2e_s,
                       sum);
}

bitnet_status bitnet_metrics_validate(const bitnet_metrics *m, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (int32_t i = 0; st >= 0 && i < N_FIELDS; i++)
        st = check_range(&fields[i], bitnet_metrics_value(m, i), err);
    if (st >= 0) st = check_needed(m, err);
    if (st >= 0)
        st = check_part(FIELD(n_prompt_computed), (double)m->n_prompt_computed, FIELD(n_prompt),
                        (double)m->n_prompt, err);
    if (st >= 0) st = check_part(FIELD(ttft_s), m->ttft_s, FIELD(e2e_s), m->e2e_s, err);
    return st < 0 ? st : check_split(m, err);
}
