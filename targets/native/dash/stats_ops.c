/* stats_ops.c: operations of all producers together; see stats.h and docs/operations.md. */
#include "dash/stats.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

static const cJSON *get(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void take_number(const cJSON *json, const char *name, double *to) {
    const cJSON *v = get(json, name);
    if (v) *to = v->valuedouble; /* absent: it stays "not measured" */
}

static void take_text(const cJSON *json, const char *name, const char **to) {
    const cJSON *v = get(json, name);
    if (v) *to = v->valuestring;
}

static int32_t take_meta(const cJSON *json, bitnet_op_meta *to) {
    const cJSON *meta = get(json, "meta");
    int32_t n = 0;
    for (const cJSON *e = meta ? meta->child : NULL; e && n < BITNET_OP_META_MAX; e = e->next)
        to[n++] = (bitnet_op_meta){.key = e->string,
                                   .text = cJSON_IsString(e) ? e->valuestring : NULL,
                                   .number = e->valuedouble};
    return n;
}

void stats_hear_op(stats *s, const cJSON *json) {
    bitnet_op_record r;
    bitnet_op_meta meta[BITNET_OP_META_MAX];
    bitnet_op_record_init(&r);
    r.id = (uint64_t)get(json, "id")->valuedouble;
    r.parent = (uint64_t)get(json, "parent")->valuedouble;
    r.t_ms = (uint64_t)get(json, "t_ms")->valuedouble;
    r.ok = cJSON_IsTrue(get(json, "ok"));
    take_text(json, "op", &r.type);
    take_text(json, "strategy", &r.strategy);
    take_text(json, "error", &r.error);
    take_text(json, "unit", &r.unit);
    take_number(json, "duration_s", &r.duration_s);
    take_number(json, "units", &r.units);
    take_number(json, "quality", &r.quality);
    take_number(json, "peak_memory", &r.peak[BITNET_OP_PEAK_MEMORY]);
    take_number(json, "peak_gpu_memory", &r.peak[BITNET_OP_PEAK_GPU_MEMORY]);
    take_number(json, "cpu", &r.peak[BITNET_OP_PEAK_CPU]);
    take_number(json, "gpu", &r.peak[BITNET_OP_PEAK_GPU]);
    r.n_meta = take_meta(json, meta);
    r.meta = meta;
    bitnet_op_stats_add(s->ops, &r);
}

void stats_write_operations(const stats *s, text_buf *out) {
    size_t n = bitnet_op_stats_write_json(s->ops, NULL, 0);
    char *json = malloc(n + 1);
    if (json) {
        bitnet_op_stats_write_json(s->ops, json, n + 1);
        text_put(out, "\"operations\":");
        text_add(out, json, n);
    } else {
        out->has_failed = true;
    }
    free(json);
}
