/* trace_file.c: see trace_file.h. Times are microseconds with three decimals, so a nanosecond is exact. */
#include "cmd/trace_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define PID 1

bitnet_status trace_open(trace_file *t, const char *path, uint64_t max_events, uint64_t base_ns,
                         bitnet_error *err) {
    bitnet_escaped esc;
    *t = (trace_file){.base_ns = base_ns, .max_events = max_events};
    snprintf(t->path, sizeof t->path, "%s", bitnet_escape(&esc, path, strlen(path)));
    t->f = fopen(path, "w");
    if (!t->f)
        return bitnet_fail(err, BITNET_E_IO, "trace.open", "%s: %s", t->path, strerror(errno));
    fprintf(t->f, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    return BITNET_OK;
}

/* False: there are enough. */
static bool begin_event(trace_file *t, bool is_name) {
    if (!is_name && t->n_events >= t->max_events) {
        t->n_cut++;
        return false;
    }
    fprintf(t->f, "%s\n", t->n_events++ ? "," : "");
    return true;
}

static void put_us(trace_file *t, const char *key, uint64_t ns) {
    fprintf(t->f, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* Microseconds since the trace's 0; what was a little before it is at it. */
static uint64_t since(const trace_file *t, uint64_t ns) {
    return ns > t->base_ns ? ns - t->base_ns : 0;
}

void trace_names(trace_file *t, bitnet_profile *p, const char *process) {
    begin_event(t, true);
    fprintf(
        t->f,
        "{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"%s\"}}",
        PID, process);
    for (int32_t i = 0; i < bitnet_profile_n_threads(p); i++) {
        begin_event(t, true);
        fprintf(
            t->f,
            "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"",
            PID, i + 1);
        fprintf(t->f, i == 0 ? "engine\"}}" : "worker %d\"}}", i);
    }
}

static void put_args(trace_file *t, const bitnet_profile_span *s) {
    const uint64_t ns = s->end_ns - s->begin_ns;
    const char *comma = "";
    fprintf(t->f, ",\"args\":{");
    if (s->layer >= 0) fprintf(t->f, "\"layer\":%d", s->layer), comma = ",";
    if (s->request > 0) fprintf(t->f, "%s\"request\":%u", comma, s->request), comma = ",";
    if (s->n_tok > 0) fprintf(t->f, "%s\"tokens\":%d", comma, s->n_tok), comma = ",";
    if (s->kind == BITNET_SPAN_KERNEL || s->kind == BITNET_SPAN_FORWARD) {
        fprintf(t->f, "%s\"bytes\":%" PRIu64 ",\"ops\":%" PRIu64, comma, s->bytes, s->n_mac);
        if (ns > 0 && s->bytes > 0) fprintf(t->f, ",\"GB/s\":%.4g", (double)s->bytes / (double)ns);
        if (s->share > 0) fprintf(t->f, ",\"roofline\":%.4g", (double)s->share);
    }
    fprintf(t->f, "}}");
}

static void put_span(trace_file *t, bitnet_profile *p, int32_t thread, const bitnet_profile_span *s,
                     int64_t offset_ns) {
    if (!begin_event(t, false)) return;
    const char *kind = bitnet_span_name((bitnet_span_kind)s->kind);
    const bool has_kernel = s->kind == BITNET_SPAN_KERNEL || s->kind == BITNET_SPAN_SLICE;
    const uint64_t begin = since(t, s->begin_ns + (uint64_t)offset_ns),
                   end = since(t, s->end_ns + (uint64_t)offset_ns);
    fprintf(t->f, "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"cat\":\"%s\",\"name\":\"%s\"", PID,
            thread + 1, kind, has_kernel ? bitnet_profile_label(p, s->kernel) : kind);
    put_us(t, "ts", begin);
    put_us(t, "dur", end - begin);
    put_args(t, s);
}

void trace_take(trace_file *t, bitnet_profile *p) {
    for (int32_t i = 0; i < bitnet_profile_n_threads(p); i++) {
        int32_t n;
        const bitnet_profile_span *s = bitnet_profile_spans(p, i, &n);
        const bitnet_clock clock = bitnet_profile_clock(p, i);
        for (int32_t at = 0; at < n; at++)
            put_span(t, p, i, &s[at], clock.offset_ns);
    }
    bitnet_profile_clear_spans(p);
}

void trace_counter(trace_file *t, const char *name, uint64_t t_ns, double value) {
    if (!begin_event(t, false)) return;
    fprintf(t->f, "{\"ph\":\"C\",\"pid\":%d,\"tid\":0,\"name\":\"%s\"", PID, name);
    put_us(t, "ts", since(t, t_ns));
    fprintf(t->f, ",\"args\":{\"value\":%.9g}}", value);
}

bitnet_status trace_close(trace_file *t, cJSON *about, bitnet_error *err) {
    if (!t->f) {
        cJSON_Delete(about);
        return BITNET_OK;
    }
    char *text = about ? cJSON_PrintUnformatted(about) : NULL;
    cJSON_Delete(about);
    fprintf(t->f, "\n],\"otherData\":%s}\n", text ? text : "{}");
    cJSON_free(text);
    bool is_bad = ferror(t->f) != 0;
    is_bad |= fclose(t->f) != 0;
    t->f = NULL;
    if (!is_bad) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_IO, "trace.write", "%s: %s", t->path, strerror(errno));
}
