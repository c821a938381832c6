/* profiling.c: see profiling.h. */
#include "cmd/profiling.h"

static const char *const phase_names[] = {"prefill", "decode"};

bitnet_status profiling_open(profiling *p, bitnet_model *model, int32_t spans_cap,
                             bitnet_error *err) {
    *p = (profiling){.model = model, .machine = machine_measure(model)};
    return bitnet_profile_open(&p->profile,
                               &(bitnet_profile_desc){.model = model,
                                                      .bounds = p->machine->bounds,
                                                      .spans_cap = spans_cap},
                               err);
}

void profiling_close(profiling *p) {
    bitnet_profile_close(p->profile);
    p->profile = NULL;
}

void profiling_on_event(profiling *p, const bitnet_event *ev) {
    if (!p->profile || ev->kind == BITNET_EVENT_PROMPT) return;
    bitnet_profile_set_phase(p->profile, ev->kind == BITNET_EVENT_TOKEN ? BITNET_PHASE_DECODE
                                                                        : BITNET_PHASE_PREFILL);
}

static uint64_t macs(const bitnet_work *w) {
    return w->n_mac_i8 + w->n_mac_f32;
}

static uint64_t phase_ns(profiling *p, bitnet_phase phase) {
    bitnet_kernel_work k;
    uint64_t ns = 0;
    for (int32_t i = 0; bitnet_profile_kernel(p->profile, i, phase, &k); i++)
        ns += k.work.ns;
    return ns;
}

/* ---- for people --------------------------------------------------------------------------------------
 */

/* "-" where nothing was measured. */
static const char *figure(char buf[24], int decimals, double v) {
    if (!(v > 0)) return "-";
    snprintf(buf, 24, "%.*f", decimals, v);
    return buf;
}

static void print_row(FILE *out, const bitnet_kernel_work *k, uint64_t all_ns) {
    char gb[24], gmac[24], share[24];
    const double ns = (double)k->work.ns, percent = 100 * bitnet_work_share(&k->work);
    fprintf(out, "  %-27s %8llu %10.2f %6.1f%% %8s %8s %8s%s\n", k->label,
            (unsigned long long)k->work.calls, ns * 1e-6, 100 * ns / (double)all_ns,
            figure(gb, 1, (double)k->work.bytes / ns), figure(gmac, 1, (double)macs(&k->work) / ns),
            figure(share, 0, percent), percent > 0 ? "%" : "");
}

static void print_phase(FILE *out, profiling *p, bitnet_phase phase) {
    bitnet_kernel_work k;
    const uint64_t all_ns = phase_ns(p, phase);
    if (all_ns == 0) return;
    fprintf(out, "\n%-29s %8s %10s %7s %8s %8s %9s\n", phase_names[phase], "calls", "ms", "time",
            "GB/s", "GMAC/s", "roofline");
    for (int32_t i = 0; bitnet_profile_kernel(p->profile, i, phase, &k); i++)
        if (k.work.calls > 0) print_row(out, &k, all_ns);
}

void profiling_print(FILE *out, profiling *p) {
    const bitnet_bounds *b = &p->machine->bounds;
    const machine_expected e = machine_expect(p->model, p->machine);
    char read[24], i8[24], f32[24], decode[24], prefill[24];
    print_phase(out, p, BITNET_PHASE_PREFILL);
    print_phase(out, p, BITNET_PHASE_DECODE);
    fprintf(out,
            "\nThis machine, on %d threads: reads %s GB/s; %s G int8 and %s G f32 multiply-adds a "
            "second. Expected: decode %s tok/s, prefill %s tok/s.\n",
            bitnet_profile_n_threads(p->profile), figure(read, 1, b->read_bytes_per_s * 1e-9),
            figure(i8, 0, b->i8_mac_per_s * 1e-9), figure(f32, 0, b->f32_mac_per_s * 1e-9),
            figure(decode, 0, e.decode_tokens_per_s), figure(prefill, 0, e.prefill_tokens_per_s));
}

/* ---- for programs ------------------------------------------------------------------------------------
 */

/* null, never zero, for what was not measured */
static void add_figure(cJSON *o, const char *name, double v) {
    if (v > 0)
        cJSON_AddNumberToObject(o, name, v);
    else
        cJSON_AddNullToObject(o, name);
}

static void add_work(cJSON *o, const bitnet_work *w) {
    const double seconds = (double)w->ns * 1e-9;
    cJSON_AddNumberToObject(o, "calls", (double)w->calls);
    cJSON_AddNumberToObject(o, "seconds", seconds);
    cJSON_AddNumberToObject(o, "bytes", (double)w->bytes);
    cJSON_AddNumberToObject(o, "activation_bytes", (double)w->activation_bytes);
    cJSON_AddNumberToObject(o, "operations", (double)macs(w));
    add_figure(o, "bytes_per_second", w->ns ? (double)w->bytes / seconds : 0);
    add_figure(o, "roofline", bitnet_work_share(w));
}

static void add_phase(cJSON *to, profiling *p, bitnet_phase phase) {
    cJSON *list = cJSON_AddArrayToObject(to, phase_names[phase]);
    bitnet_kernel_work k;
    for (int32_t i = 0; bitnet_profile_kernel(p->profile, i, phase, &k); i++) {
        if (k.work.calls == 0) continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "kernel", k.label);
        cJSON_AddStringToObject(o, "name", k.name);
        cJSON_AddStringToObject(o, "role", k.role);
        add_work(o, &k.work);
        cJSON_AddItemToArray(list, o);
    }
}

static void add_layers(cJSON *to, profiling *p) {
    cJSON *list = cJSON_AddArrayToObject(to, "layers");
    bitnet_work w;
    for (int32_t i = 0; bitnet_profile_layer(p->profile, i, BITNET_PHASE_ALL, &w); i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "layer", i);
        add_work(o, &w);
        cJSON_AddItemToArray(list, o);
    }
}

cJSON *profiling_json(profiling *p) {
    cJSON *o = cJSON_CreateObject();
    const machine_expected e = machine_expect(p->model, p->machine);
    cJSON *machine = cJSON_AddObjectToObject(o, "machine");
    cJSON_AddNumberToObject(machine, "threads", bitnet_profile_n_threads(p->profile));
    add_figure(machine, "read_bytes_per_second", p->machine->bounds.read_bytes_per_s);
    add_figure(machine, "int8_operations_per_second", p->machine->bounds.i8_mac_per_s);
    add_figure(machine, "f32_operations_per_second", p->machine->bounds.f32_mac_per_s);
    add_figure(machine, "measured_in_seconds", p->machine->took_s);
    cJSON *expected = cJSON_AddObjectToObject(o, "expected");
    add_figure(expected, "decode_tokens_per_second", e.decode_tokens_per_s);
    add_figure(expected, "prefill_tokens_per_second", e.prefill_tokens_per_s);
    add_phase(o, p, BITNET_PHASE_PREFILL);
    add_phase(o, p, BITNET_PHASE_DECODE);
    add_layers(o, p);
    return o;
}
