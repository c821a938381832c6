/* values.c: see values.h. */
#include "dash/values.h"

#include <math.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

static bool reserve(values *v, uint32_t n, size_t *room) {
    if (n <= v->b_cap) return true;
    uint32_t cap = v->b_cap ? v->b_cap : 8;
    while (cap < n)
        cap *= 2;
    size_t more = (cap - v->b_cap) * sizeof *v->b;
    if (more > *room) return false;
    bitnet_bucket *b = realloc(v->b, cap * sizeof *b);
    if (!b) return false;
    v->b = b;
    v->b_cap = cap;
    *room -= more;
    return true;
}

static void drop_buckets(values *v, size_t *room) {
    *room += v->b_cap * sizeof *v->b;
    free(v->b);
    v->b = NULL;
    v->n_b = v->b_cap = 0;
}

static uint32_t count_union(const values *a, const values *b) {
    uint32_t n = 0;
    for (uint32_t i = 0, k = 0; i < a->n_b || k < b->n_b; n++) {
        uint32_t x = i < a->n_b ? a->b[i].index : UINT32_MAX;
        uint32_t y = k < b->n_b ? b->b[k].index : UINT32_MAX;
        i += x <= y;
        k += y <= x;
    }
    return n;
}

/* From the end, so that nothing is overwritten before it was read. */
static void merge_buckets(values *into, const values *from, uint32_t n) {
    uint32_t i = into->n_b, k = from->n_b;
    into->n_b = n;
    while (n-- > 0) {
        bool has_i = i > 0, has_k = k > 0;
        uint32_t x = has_i ? into->b[i - 1].index : 0, y = has_k ? from->b[k - 1].index : 0;
        if (has_i && has_k && x == y) {
            uint64_t sum = (uint64_t)into->b[--i].count + from->b[--k].count;
            into->b[n] = (bitnet_bucket){x, sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum};
        } else if (has_i && (!has_k || x > y)) {
            into->b[n] = into->b[--i];
        } else {
            into->b[n] = from->b[--k];
        }
    }
}

void values_add(values *into, const values *from, size_t *room) {
    if (from->n == 0) return;
    bool is_first = into->n == 0;
    into->n = into->n > UINT64_MAX - from->n ? UINT64_MAX : into->n + from->n;
    into->sum = is_first ? from->sum : into->sum + from->sum;
    into->min = is_first || from->min < into->min ? from->min : into->min;
    into->max = is_first || from->max > into->max ? from->max : into->max;
    into->last = from->last;
    into->is_cut |= from->is_cut;
    if (into->is_cut || from->n_b == 0) return;
    uint32_t n = count_union(into, from);
    if (reserve(into, n, room)) {
        merge_buckets(into, from, n);
    } else {
        drop_buckets(into, room);
        into->is_cut = true;
    }
}

void values_clear(values *v, size_t *room) {
    drop_buckets(v, room);
    *v = (values){.n = 0};
}

double values_quantile(const values *v, double q) {
    if (v->n_b == 0 || v->is_cut) return (double)NAN;
    uint64_t n = 0, seen = 0;
    for (uint32_t i = 0; i < v->n_b; i++)
        n += v->b[i].count;
    double rank = ceil(q * (double)n);
    uint64_t want = rank < 1 ? 1 : (uint64_t)rank;
    uint32_t i = 0;
    for (; i + 1 < v->n_b; i++) {
        seen += v->b[i].count;
        if (seen >= want) break;
    }
    int32_t at = (int32_t)v->b[i].index;
    return (bitnet_histogram_edge(at) + bitnet_histogram_edge(at + 1)) / 2;
}

double values_mean(const values *v) {
    return v->n ? v->sum / (double)v->n : (double)NAN;
}

static double number(const cJSON *value, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(value, name)->valuedouble;
}

values values_read(const cJSON *value, bitnet_bucket *buckets) {
    values v = {.n = (uint64_t)number(value, "n"),
                .sum = number(value, "sum"),
                .min = number(value, "min"),
                .max = number(value, "max"),
                .last = number(value, "last"),
                .b = buckets};
    const cJSON *b = cJSON_GetObjectItemCaseSensitive(value, "b");
    for (const cJSON *at = b ? b->child : NULL; at; at = at->next->next) {
        double count = at->next->valuedouble;
        buckets[v.n_b++] = (bitnet_bucket){
            (uint32_t)at->valuedouble, count > (double)UINT32_MAX ? UINT32_MAX : (uint32_t)count};
    }
    return v;
}
