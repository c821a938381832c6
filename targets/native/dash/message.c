/* message.c: tables of what each message holds, and one checker for all of them; see message.h. */
#include "dash/message.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

typedef enum field_type {
    FIELD_WORD, /* exactly `word` */
    FIELD_TEXT, /* min..max bytes, no control characters */
    FIELD_NAME, /* [a-zA-Z_][a-zA-Z0-9_]*, at most max bytes */
    FIELD_HEX,  /* min..max hex digits */
    FIELD_INT,  /* whole, min..max */
    FIELD_REAL, /* finite */
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
    {.name = "instance", .type = FIELD_HEX, .min = 1, .max = 16},
    {.name = "backend", .type = FIELD_TEXT, .max = 32},
    {.name = "tier", .type = FIELD_TEXT, .max = 32},
    {.name = "threads", .type = FIELD_INT, .max = 65536},
    {.name = "model", .type = FIELD_TEXT, .max = 256},
    {.name = "t_ms", .type = FIELD_INT, .max = INT_MAX_EXACT},
    {.name = "metrics", .type = FIELD_ANY},
    {.name = NULL},
};
static const field metric_fields[] = {
    {.name = "name", .type = FIELD_NAME, .max = MESSAGE_METRIC_NAME_MAX - 1},
    {.name = "unit", .type = FIELD_TEXT, .max = 32},
    {.name = "kind", .type = FIELD_TEXT, .max = 16},
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
    {.name = NULL},
};
/* n >= 1: a metric that was not measured is absent, never zero. */
static const field value_fields[] = {
    {.name = "n", .type = FIELD_INT, .min = 1, .max = INT_MAX_EXACT},
    {.name = "sum", .type = FIELD_REAL},
    {.name = "min", .type = FIELD_REAL},
    {.name = "max", .type = FIELD_REAL},
    {.name = "last", .type = FIELD_REAL},
    {.name = NULL},
};
static const field percentile_fields[] = {
    {.name = "p50", .type = FIELD_REAL, .optional = true},
    {.name = "p95", .type = FIELD_REAL, .optional = true},
    {.name = NULL},
};
static const field bye_fields[] = {
    {.name = "type", .type = FIELD_WORD, .word = "bye"},
    {.name = "reason", .type = FIELD_TEXT, .max = 64},
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

/* --- metrics and their values --- */

static bool add_metric(message_metrics *metrics, const cJSON *row) {
    static const char *const kinds[] = {"hist", "gauge", "counter"};
    const char *name = get(row, "name")->valuestring, *kind = get(row, "kind")->valuestring;
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0) known = true;
    for (int i = 0; i < metrics->n; i++)
        if (strcmp(metrics->metric[i].name, name) == 0) return false;
    if (!known || metrics->n == MESSAGE_METRICS_MAX) return false;
    memcpy(metrics->metric[metrics->n].name, name, strlen(name) + 1);
    metrics->metric[metrics->n].is_hist = strcmp(kind, "hist") == 0;
    metrics->n++;
    return true;
}

/* Replaces the array by one of checked rows. */
static bool clean_metrics(cJSON *hello, message_metrics *metrics) {
    metrics->n = 0;
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

/* Replaces the object by one of announced metrics with checked values. */
static bool clean_values(cJSON *window, const message_metrics *metrics) {
    cJSON *from = cJSON_DetachItemFromObjectCaseSensitive(window, "m");
    cJSON *to = cJSON_AddObjectToObject(window, "m");
    bool ok = cJSON_IsObject(from) && to;
    for (int i = 0; ok && i < metrics->n; i++) {
        cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(from, metrics->metric[i].name);
        if (!value) continue;
        cJSON *clean = cJSON_AddObjectToObject(to, metrics->metric[i].name);
        ok = clean && cJSON_IsObject(value) && take_fields(value, clean, value_fields);
        if (ok && metrics->metric[i].is_hist) ok = take_fields(value, clean, percentile_fields);
        if (get(value, "p50") || get(value, "p95")) ok = false; /* of what is no histogram */
        cJSON_Delete(value);
    }
    if (ok && from->child) ok = false; /* a metric that was not announced */
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

const char *message_read_hello(message *m, message_metrics *metrics, const char *text, size_t n) {
    *m = (message){.kind = MESSAGE_VIEWER};
    cJSON *from = NULL;
    const char *wrong = parse(text, n, &from);
    if (wrong) return wrong;
    if (has_word(from, "role", "viewer")) {
        if (!build(m, from, viewer_fields)) wrong = "A viewer's hello has a wrong field.";
    } else {
        m->kind = MESSAGE_PRODUCER;
        if (!build(m, from, producer_fields) || !clean_metrics(m->json, metrics))
            wrong = "The hello lacks a field, or one has a wrong type or value.";
        else
            copy_instance(m);
    }
    cJSON_Delete(from);
    return wrong;
}

const char *message_read(message *m, const message_metrics *metrics, const char *text, size_t n) {
    *m = (message){.kind = MESSAGE_BYE};
    cJSON *from = NULL;
    const char *wrong = parse(text, n, &from);
    if (wrong) return wrong;
    if (has_word(from, "type", "bye")) {
        if (!build(m, from, bye_fields)) wrong = "The bye has a wrong field.";
    } else {
        m->kind = MESSAGE_WINDOW;
        if (!build(m, from, window_fields) || !clean_values(m->json, metrics))
            wrong =
                "The window lacks a field, has a wrong one, or a metric the hello did not list.";
    }
    cJSON_Delete(from);
    return wrong;
}

char *message_print(message *m, uint32_t producer) {
    cJSON_SetNumberValue(get(m->json, "producer"), producer);
    return cJSON_PrintUnformatted(m->json);
}

void message_free(message *m) {
    cJSON_Delete(m->json);
    m->json = NULL;
}
