/* message.c: tables of what each message holds, and one checker for all of them; see message.h. */
#include "dash/message.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/hash.h"

typedef enum field_type {
    FIELD_WORD, /* exactly `word` */
    FIELD_TEXT, /* min..max bytes, no control characters */
    FIELD_NAME, /* [a-zA-Z_][a-zA-Z0-9_]*, at most max bytes */
    FIELD_HEX,  /* min..max hex digits */
    FIELD_INT,  /* whole, min..max */
    FIELD_REAL, /* finite */
    FIELD_PART, /* finite, min..max */
    FIELD_BOOL, /* true or false */
    FIELD_ANY,  /* checked by whoever asked */
} field_type;

typedef struct field {
    const char *name;
    field_type type;
    double min, max;
    const char *word;
    bool optional;
} field;

#define INT_MAX_EXACT 9007199254740992.0 /* 2^53: beyond it a double skips whole numbers */

static const field producer_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "hello"},
    {.name = "proto", .type = FIELD_INT, .min = 1, .max = 1},
    {.name = "role", .type = FIELD_WORD, .word = "producer"},
    {.name = "name", .type = FIELD_TEXT, .min = 1, .max = 64},
    {.name = "instance", .type = FIELD_HEX, .min = 1, .max = MESSAGE_INSTANCE_MAX - 1},
    {.name = "epoch", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "next_seq", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "backend", .type = FIELD_TEXT, .max = 32},
    {.name = "tier", .type = FIELD_TEXT, .max = 32},
    {.name = "threads", .type = FIELD_INT, .max = 65536},
    {.name = "model", .type = FIELD_TEXT, .max = 256},
    {.name = "host", .type = FIELD_TEXT, .max = 256},
    {.name = "build", .type = FIELD_TEXT, .max = 64},
    {.name = "t_ms", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "started_ms", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "expected", .type = FIELD_ANY, .optional = true},
    {.name = "metrics", .type = FIELD_ANY},
    {.name = NULL},
};
static const field metric_fields[] = {
    {.name = "name", .type = FIELD_NAME, .max = MESSAGE_METRIC_NAME_MAX - 1},
    {.name = "unit", .type = FIELD_TEXT, .max = 32},
    {.name = "kind", .type = FIELD_TEXT, .max = 16},
    {.name = "min", .type = FIELD_REAL, .optional = true},
    {.name = "max", .type = FIELD_REAL, .optional = true},
    {.name = "help", .type = FIELD_TEXT, .max = 256},
    {.name = NULL},
};
static const field viewer_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "hello"},
    {.name = "proto", .type = FIELD_INT, .min = 1, .max = 1},
    {.name = "role", .type = FIELD_WORD, .word = "viewer"},
    {.name = NULL},
};
static const field window_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "window"},
    {.name = "seq", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "t_ms", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "span_ms", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "dropped", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "m", .type = FIELD_ANY},
    {.name = "s", .type = FIELD_ANY, .optional = true},
    {.name = NULL},
};
/* n >= 1: a metric that was not measured is absent, never zero. */
static const field value_fields[] = {
    {.name = "n", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "sum", .type = FIELD_REAL},
    {.name = "min", .type = FIELD_REAL},
    {.name = "max", .type = FIELD_REAL},
    {.name = "last", .type = FIELD_REAL},
    {.name = "b", .type = FIELD_ANY, .optional = true},
    {.name = NULL},
};
static const field series_fields[] = {
    {.name = "name", .type = FIELD_NAME, .max = MESSAGE_METRIC_NAME_MAX - 1},
    {.name = "labels", .type = FIELD_ANY},
    {.name = NULL},
};
/* What an operation did not measure is absent. */
static const field op_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "op"},
    {.name = "seq", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "t_ms", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "id", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "parent", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "op", .type = FIELD_TEXT, .min = 1, .max = 64},
    {.name = "strategy", .type = FIELD_TEXT, .max = 64},
    {.name = "duration_s", .type = FIELD_PART, .max = 1e9},
    {.name = "ok", .type = FIELD_BOOL},
    {.name = "error", .type = FIELD_TEXT, .max = 256, .optional = true},
    {.name = "units", .type = FIELD_PART, .max = INT_MAX_EXACT, .optional = true},
    {.name = "unit", .type = FIELD_TEXT, .max = 32, .optional = true},
    {.name = "quality", .type = FIELD_PART, .max = 1, .optional = true},
    {.name = "peak_memory", .type = FIELD_PART, .max = INT_MAX_EXACT, .optional = true},
    {.name = "peak_gpu_memory", .type = FIELD_PART, .max = INT_MAX_EXACT, .optional = true},
    {.name = "cpu", .type = FIELD_PART, .max = 65536, .optional = true},
    {.name = "gpu", .type = FIELD_PART, .max = 1024, .optional = true},
    {.name = "meta", .type = FIELD_ANY, .optional = true},
    {.name = NULL},
};
static const field gap_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "gap"},
    {.name = "seq", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "to", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "n", .type = FIELD_INT, .max = INT_MAX_EXACT, .optional = true},
    {.name = "reason", .type = FIELD_TEXT, .max = 64},
    {.name = NULL},
};
static const field pong_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "pong"},
    {.name = "id", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "rx_ms", .type = FIELD_PART, .max = INT_MAX_EXACT},
    {.name = "tx_ms", .type = FIELD_PART, .max = INT_MAX_EXACT},
    {.name = NULL},
};
static const field bye_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "bye"},
    {.name = "reason", .type = FIELD_TEXT, .max = 64},
    {.name = "seq", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = NULL},
};

/* --- before the parser --- */

/* cJSON takes any byte up to the space for white space and raw control characters inside strings,
 * and cuts a string at \u0000: none of that is JSON. */
static const char *gate(const char *s, size_t n) {
    if (n > MESSAGE_MAX) return "The message has more than 64 KiB.";
    bool in_string = false;
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20 && (in_string || (c != '\t' && c != '\n' && c != '\r')))
            return "The message holds a control character.";
        if (in_string) {
            if (c == '\\') {
                if (n - i >= 6 && memcmp(s + i, "\\u0000", 6) == 0)
                    return "The message holds a NUL character.";
                i++; /* whatever is escaped does not end the string */
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MESSAGE_DEPTH_MAX) return "The message is nested too deeply.";
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return NULL;
}

/* Sets *out to an object, or returns what is wrong. cJSON must not be left anything after the
 * value. */
static const char *parse(const char *text, size_t n, cJSON **out) {
    *out = NULL;
    const char *wrong = gate(text, n);
    if (wrong) return wrong;
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, n, &end, 0);
    while (json && end < text + n && strchr(" \t\r\n", *end))
        end++;
    if (json && end == text + n && cJSON_IsObject(json)) {
        *out = json;
        return NULL;
    }
    cJSON_Delete(json);
    return "The message is not a JSON object.";
}

/* --- fields --- */

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name(const char *s) {
    for (size_t i = 0; s[i]; i++) {
        bool alpha = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (!alpha && !(digit && i > 0)) return false;
    }
    return s[0] != '\0';
}

static bool check_string(const field *f, const char *s) {
    if (f->type == FIELD_WORD) return strcmp(s, f->word) == 0;
    size_t n = strlen(s);
    if ((double)n < f->min || (double)n > f->max) return false;
    if (f->type == FIELD_NAME) return is_name(s);
    for (size_t i = 0; i < n; i++) {
        if (f->type == FIELD_HEX && !is_hex(s[i])) return false;
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) return false;
    }
    return true;
}

static bool check(const field *f, const cJSON *item) {
    switch (f->type) {
    case FIELD_WORD:
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_HEX:
        return cJSON_IsString(item) && check_string(f, item->valuestring);
    case FIELD_INT: {
        double v = item->valuedouble;
        return cJSON_IsNumber(item) && v >= f->min && v <= f->max && floor(v) == v;
    }
    case FIELD_REAL:
        return cJSON_IsNumber(item) && isfinite(item->valuedouble);
    case FIELD_PART:
        return cJSON_IsNumber(item) && item->valuedouble >= f->min && item->valuedouble <= f->max;
    case FIELD_BOOL:
        return cJSON_IsBool(item);
    case FIELD_ANY:
        return true;
    }
    return false;
}

/* Moves the fields of `table` from one object to another, checked and in the table's order. */
static bool take_fields(cJSON *from, cJSON *to, const field *table) {
    for (const field *f = table; f->name; f++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(from, f->name);
        if (!item && f->optional) continue;
        if (!item || !check(f, item) || !cJSON_AddItemToObjectCS(to, f->name, item)) {
            cJSON_Delete(item);
            return false;
        }
    }
    return true;
}

static cJSON *get(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}
static bool has_word(const cJSON *object, const char *name, const char *word) {
    const cJSON *item = get(object, name);
    return cJSON_IsString(item) && strcmp(item->valuestring, word) == 0;
}

/* Replaces the member `name`, if it is there, by an object that `take` has filled from it. */
typedef bool take_entry(cJSON *to, cJSON *entry);
static bool clean_entries(cJSON *object, const char *name, int max, take_entry *take) {
    cJSON *from = cJSON_DetachItemFromObjectCaseSensitive(object, name);
    if (!from) return true;
    cJSON *to = cJSON_AddObjectToObject(object, name);
    bool ok = cJSON_IsObject(from) && to;
    for (int n = 0; ok && from->child; n++) {
        cJSON *entry = cJSON_DetachItemViaPointer(from, from->child);
        ok = n < max && entry->string && !get(to, entry->string) && take(to, entry);
        if (!ok) cJSON_Delete(entry);
    }
    cJSON_Delete(from);
    return ok;
}

static bool is_key(const char *s) {
    return strlen(s) < MESSAGE_METRIC_NAME_MAX && is_name(s);
}

static bool take_number(cJSON *to, cJSON *entry) {
    return is_key(entry->string) && cJSON_IsNumber(entry) && isfinite(entry->valuedouble) &&
           cJSON_AddItemToObject(to, entry->string, entry);
}

static bool take_text(cJSON *to, cJSON *entry) {
    static const field text = {.type = FIELD_TEXT, .max = MESSAGE_VALUE_MAX};
    return is_key(entry->string) && check(&text, entry) &&
           cJSON_AddItemToObject(to, entry->string, entry);
}

static bool take_either(cJSON *to, cJSON *entry) {
    return cJSON_IsString(entry) ? take_text(to, entry) : take_number(to, entry);
}

/* --- metrics and their values --- */

static double number_or(const cJSON *row, const char *name, double otherwise) {
    const cJSON *item = get(row, name);
    return item ? item->valuedouble : otherwise;
}

static bool add_metric(message_metrics *metrics, const cJSON *row) {
    static const char *const kinds[] = {"hist", "gauge", "counter"};
    const char *name = get(row, "name")->valuestring, *kind = get(row, "kind")->valuestring;
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0) known = true;
    if (!known || message_find_metric(metrics, name) || metrics->n == MESSAGE_METRICS_MAX)
        return false;
    message_metric *m = &metrics->metric[metrics->n++];
    memcpy(m->name, name, strlen(name) + 1);
    m->is_hist = strcmp(kind, "hist") == 0;
    m->min = number_or(row, "min", -HUGE_VAL);
    m->max = number_or(row, "max", HUGE_VAL);
    return true;
}

const message_metric *message_find_metric(const message_metrics *metrics, const char *name) {
    for (int i = 0; i < metrics->n; i++)
        if (strcmp(metrics->metric[i].name, name) == 0) return &metrics->metric[i];
    return NULL;
}

/* Replaces the array by one of checked rows. */
static bool clean_metrics(cJSON *hello, message_metrics *metrics) {
    *metrics = (message_metrics){0};
    cJSON *from = cJSON_DetachItemFromObjectCaseSensitive(hello, "metrics");
    cJSON *to = cJSON_AddArrayToObject(hello, "metrics");
    bool ok = cJSON_IsArray(from) && to;
    for (cJSON *row = ok ? from->child : NULL; ok && row; row = row->next) {
        cJSON *clean = cJSON_CreateObject();
        ok = clean && cJSON_IsObject(row) && take_fields(row, clean, metric_fields) &&
             add_metric(metrics, clean);
        if (!ok || !cJSON_AddItemToArray(to, clean)) cJSON_Delete(clean);
    }
    cJSON_Delete(from);
    return ok;
}

/* Bucket and count in turn, the buckets ascending, the counts n in all (docs/protocol.md). */
static bool check_buckets(const cJSON *b, double n) {
    double last = -1, sum = 0;
    if (!cJSON_IsArray(b)) return false;
    for (const cJSON *at = b->child; at; at = at->next->next) {
        static const field bucket = {.type = FIELD_INT, .max = MESSAGE_BUCKETS - 1};
        static const field count = {.type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT};
        if (!check(&bucket, at) || !at->next || !check(&count, at->next)) return false;
        if (at->valuedouble <= last) return false;
        last = at->valuedouble;
        sum += at->next->valuedouble;
    }
    return sum == n;
}

static bool check_value(const message_metric *metric, const cJSON *value) {
    const cJSON *b = get(value, "b");
    return metric->is_hist ? check_buckets(b, get(value, "n")->valuedouble) : !b;
}

static void reject(message *m, const message_metric *metric, double value, const char *why) {
    m->n_rejected++;
    m->rejected = metric;
    m->rejected_value = value;
    m->rejected_why = why;
}

/* A value beyond what its metric announced is no reason to lose the others: it is left out, and the
 * producer told. */
static bool within_range(message *m, const message_metric *metric, const cJSON *value) {
    double low = get(value, "min")->valuedouble, high = get(value, "max")->valuedouble;
    if (low >= metric->min && high <= metric->max) {
        m->n_samples++;
        return true;
    }
    reject(m, metric, low < metric->min ? low : high, "outside the range that the hello gave");
    return false;
}

/* Of a name and labels in any order. Never 0. */
static uint32_t series_hash(const cJSON *series) {
    const char *name = get(series, "name")->valuestring;
    uint64_t h = hash_fnv1a(name, strlen(name));
    for (const cJSON *l = get(series, "labels")->child; l; l = l->next)
        h += hash_bytes(hash_fnv1a(l->string, strlen(l->string)), l->valuestring,
                        strlen(l->valuestring));
    h ^= h >> 32;
    return (uint32_t)h ? (uint32_t)h : 1;
}

static bool has_room(const message_metrics *metrics, const cJSON *series) {
    message_series *s = metrics->series;
    if (!s) return true;
    uint32_t hash = series_hash(series), at = hash % MESSAGE_SERIES_SLOTS;
    while (s->hash[at] && s->hash[at] != hash)
        at = (at + 1) % MESSAGE_SERIES_SLOTS;
    if (s->hash[at] == hash) return true;
    if (s->n == MESSAGE_SERIES_MAX) return false;
    s->hash[at] = hash;
    s->n++;
    return true;
}

static bool is_admitted(message *m, const message_metrics *metrics, const message_metric *metric,
                        const cJSON *series) {
    if (has_room(metrics, series)) return true;
    reject(m, metric, get(series, "last")->valuedouble, "one series too many: 10000 are allowed");
    return false;
}

/* Replaces the object by one of announced metrics with checked values. */
static bool clean_values(message *m, const message_metrics *metrics) {
    cJSON *from = cJSON_DetachItemFromObjectCaseSensitive(m->json, "m");
    cJSON *to = cJSON_AddObjectToObject(m->json, "m");
    bool ok = cJSON_IsObject(from) && to;
    for (int i = 0; ok && from->child && i < metrics->n; i++) {
        const message_metric *metric = &metrics->metric[i];
        cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(from, metric->name);
        if (!value) continue;
        cJSON *clean = cJSON_CreateObject();
        ok = clean && cJSON_IsObject(value) && take_fields(value, clean, value_fields) &&
             check_value(metric, clean);
        if (!ok || !within_range(m, metric, clean) ||
            !cJSON_AddItemToObject(to, metric->name, clean))
            cJSON_Delete(clean);
        cJSON_Delete(value);
    }
    if (ok && from->child) ok = false; /* a metric that was not announced */
    cJSON_Delete(from);
    return ok;
}

/* Replaces the array, if there is one, by one of labelled values of announced metrics. */
static bool clean_series(message *m, const message_metrics *metrics) {
    cJSON *from = cJSON_DetachItemFromObjectCaseSensitive(m->json, "s");
    if (!from) return true;
    cJSON *to = cJSON_AddArrayToObject(m->json, "s");
    bool ok = cJSON_IsArray(from) && to;
    for (cJSON *row = ok ? from->child : NULL; ok && row; row = row->next) {
        cJSON *clean = cJSON_CreateObject();
        ok = clean && cJSON_IsObject(row) && take_fields(row, clean, series_fields) &&
             take_fields(row, clean, value_fields) &&
             clean_entries(clean, "labels", MESSAGE_LABELS_MAX, take_text);
        const message_metric *metric =
            ok ? message_find_metric(metrics, get(clean, "name")->valuestring) : NULL;
        ok = metric && check_value(metric, clean);
        if (!ok || !is_admitted(m, metrics, metric, clean) || !within_range(m, metric, clean) ||
            !cJSON_AddItemToArray(to, clean))
            cJSON_Delete(clean);
    }
    cJSON_Delete(from);
    return ok;
}

/* --- messages --- */

/* The object for viewers: `table`'s fields, "producer" after the type. */
static bool build(message *m, cJSON *from, const field *table) {
    m->json = cJSON_CreateObject();
    if (!m->json) return false;
    const field type_only[] = {table[0], {.name = NULL}};
    return take_fields(from, m->json, type_only) &&
           cJSON_AddNumberToObject(m->json, "producer", 0) && take_fields(from, m->json, table + 1);
}

/* Lower case in what is printed too: viewers tell rows apart by it. */
static void copy_instance(message *m) {
    char *s = get(m->json, "instance")->valuestring;
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'A' && s[i] <= 'F') s[i] = (char)(s[i] - 'A' + 'a');
    memcpy(m->instance, s, n + 1);
}

/* The token is for the hub alone: it is taken out before anything is copied. */
static bool take_token(message *m, cJSON *from) {
    static const field token = {.type = FIELD_TEXT, .min = 1, .max = MESSAGE_TOKEN_MAX - 1};
    cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(from, "token");
    bool ok = !item || check(&token, item);
    if (ok && item) memcpy(m->token, item->valuestring, strlen(item->valuestring) + 1);
    cJSON_Delete(item);
    return ok;
}

const char *message_read_hello(message *m, message_metrics *metrics, const char *text, size_t n) {
    *m = (message){.kind = MESSAGE_VIEWER};
    cJSON *from = NULL;
    const char *wrong = parse(text, n, &from);
    if (wrong) return wrong;
    if (!take_token(m, from)) {
        wrong = "The token is not a text of at most 128 bytes.";
    } else if (has_word(from, "role", "viewer")) {
        if (!build(m, from, viewer_fields)) wrong = "A viewer's hello has a wrong field.";
    } else {
        m->kind = MESSAGE_PRODUCER;
        if (!build(m, from, producer_fields) || !clean_metrics(m->json, metrics) ||
            !clean_entries(m->json, "expected", MESSAGE_METRICS_MAX, take_number)) {
            wrong = "The hello lacks a field, or one has a wrong type or value.";
        } else {
            copy_instance(m);
            m->epoch = (uint64_t)get(m->json, "epoch")->valuedouble;
        }
    }
    cJSON_Delete(from);
    return wrong;
}

static const char *read_window(message *m, const message_metrics *metrics, cJSON *from) {
    m->kind = MESSAGE_WINDOW;
    return build(m, from, window_fields) && clean_values(m, metrics) && clean_series(m, metrics)
               ? NULL
               : "The window lacks a field, has a wrong one, or a metric the hello did not list.";
}

static const char *read_op(message *m, cJSON *from) {
    m->kind = MESSAGE_OP;
    m->n_samples = 1;
    return build(m, from, op_fields) &&
                   clean_entries(m->json, "meta", MESSAGE_LABELS_MAX, take_either)
               ? NULL
               : "The operation lacks a field, or one has a wrong type or value.";
}

static const char *read_gap(message *m, cJSON *from) {
    m->kind = MESSAGE_GAP;
    if (!build(m, from, gap_fields)) return "The gap has a wrong field.";
    m->to = (uint64_t)get(m->json, "to")->valuedouble;
    return m->to >= (uint64_t)get(m->json, "seq")->valuedouble ? NULL
                                                               : "The gap ends before it begins.";
}

static const char *read_pong(message *m, cJSON *from) {
    m->kind = MESSAGE_PONG;
    if (!build(m, from, pong_fields)) return "The pong has a wrong field.";
    m->pong_id = (uint64_t)get(m->json, "id")->valuedouble;
    m->rx_ms = get(m->json, "rx_ms")->valuedouble;
    m->tx_ms = get(m->json, "tx_ms")->valuedouble;
    return NULL;
}

static const char *read_bye(message *m, cJSON *from) {
    m->kind = MESSAGE_BYE;
    return build(m, from, bye_fields) ? NULL : "The bye has a wrong field.";
}

const char *message_read(message *m, const message_metrics *metrics, const char *text, size_t n) {
    *m = (message){.kind = MESSAGE_BYE};
    cJSON *from = NULL;
    const char *wrong = parse(text, n, &from);
    if (wrong) return wrong;
    if (has_word(from, "type", "window"))
        wrong = read_window(m, metrics, from);
    else if (has_word(from, "type", "op"))
        wrong = read_op(m, from);
    else if (has_word(from, "type", "gap"))
        wrong = read_gap(m, from);
    else if (has_word(from, "type", "pong"))
        wrong = read_pong(m, from);
    else if (has_word(from, "type", "bye"))
        wrong = read_bye(m, from);
    else
        wrong = "The message is no window, op, gap, pong or bye.";
    if (!wrong && m->kind != MESSAGE_PONG) m->seq = (uint64_t)get(m->json, "seq")->valuedouble;
    if (!wrong && m->kind != MESSAGE_GAP) m->to = m->seq;
    cJSON_Delete(from);
    return wrong;
}

char *message_print(const message *m, uint32_t producer) {
    cJSON_SetNumberValue(get(m->json, "producer"), producer);
    return cJSON_PrintUnformatted(m->json);
}

void message_free(message *m) {
    cJSON_Delete(m->json);
    m->json = NULL;
}
