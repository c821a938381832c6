/* arg_value.c: see arg_value.h. */
#include "cmd/arg_value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/backend.h"

static void complain_of_cpus(const char *id) {
    const bitnet_cpu_tier *t;
    fprintf(stderr, "a list of ");
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++)
        fprintf(stderr, "%s, ", t->name);
    fprintf(stderr, "or all is allowed [%s]\n", id);
}

void arg_complain(const char *id, const char *what, const char *name, const char *value,
                  const arg_opt *o) {
    fprintf(stderr, "bitnet: error: %s%s is \"%s\"; ", what, name, value);
    if (o->kind == ARG_FLAG)
        fprintf(stderr, "0 or 1 is allowed [%s]\n", id);
    else if (o->kind == ARG_CPUS)
        complain_of_cpus(id);
    else if (o->kind == ARG_WORD)
        fprintf(stderr, "%s is allowed [%s]\n", o->metavar, id);
    else if (o->kind == ARG_LIST)
        fprintf(stderr, "and %d of them are allowed [%s]\n", ARG_LIST_CAP, id);
    else if (o->kind == ARG_NUMBERS)
        fprintf(stderr,
                "at most %d integers from %.0f to %.0f are allowed, as 1,8 or 1-4, 128-512+128, "
                "64-512*2 [%s]\n",
                ARG_LIST_CAP, o->min, o->max, id);
    else if (o->kind == ARG_PAIR)
        fprintf(stderr,
                "two integers from %.0f to %.0f with a comma between them, at most %d times, are "
                "allowed [%s]\n",
                o->min, o->max, ARG_LIST_CAP / 2, id);
    else if (o->kind == ARG_SIZE)
        fprintf(
            stderr,
            "a number of bytes is allowed, also with kB, MB, GB, KiB, MiB or GiB behind it [%s]\n",
            id);
    else if (o->kind == ARG_INT)
        fprintf(stderr, "an integer from %.0f to %.0f is allowed [%s]\n", o->min, o->max, id);
    else if (o->min != 0 || o->max != 0)
        fprintf(stderr, "a number from %g to %g is allowed [%s]\n", o->min, o->max, id);
    else
        fprintf(stderr, "an integer from 0 to 18446744073709551615 is allowed [%s]\n", id);
}

/* Index of value among the words of "a|b|c", -1 when it is none of them. */
static int32_t find_word(const char *words, const char *value) {
    size_t n = strlen(value);
    int32_t i = 0;
    for (const char *w = words;; w = strchr(w, '|') + 1, i++) {
        if (strcspn(w, "|") == n && !strncmp(w, value, n)) return i;
        if (!strchr(w, '|')) return -1;
    }
}

/* ---- lists of numbers (llama-bench's notation) --------------------------------------------------- */

/* Reads an integer of the option's range and moves *at behind it. */
static bool read_number(const char **at, const arg_opt *o, int32_t *out) {
    char *end;
    if (!isdigit((unsigned char)**at)) return false;
    errno = 0;
    long long v = strtoll(*at, &end, 10);
    if (errno || (double)v < o->min || (double)v > o->max) return false;
    *at = end;
    *out = (int32_t)v;
    return true;
}

/* "8", "1-4", "128-512+128" or "64-512*2"; the last number is in when a step meets it. */
static bool read_range(const char **at, const arg_opt *o, arg_numbers *out) {
    int32_t first, last, step = 1;
    bool multiplies = false;
    if (!read_number(at, o, &first)) return false;
    last = first;
    if (**at == '-') {
        *at += 1;
        if (!read_number(at, o, &last)) return false;
        if (**at == '+' || **at == '*') {
            multiplies = **at == '*';
            *at += 1;
            arg_opt any = {.min = multiplies ? 2 : 1, .max = INT32_MAX};
            if (!read_number(at, &any, &step)) return false;
        }
    }
    if (first > last || (multiplies && first == 0)) return false;
    for (int64_t v = first; v <= last; v = multiplies ? v * step : v + step) {
        if (out->n == ARG_LIST_CAP) return false;
        out->v[out->n++] = (int32_t)v;
    }
    return true;
}

static bool store_numbers(const arg_opt *o, const char *at) {
    for (;; at++) {
        if (!read_range(&at, o, o->dest)) return false;
        if (*at != ',') return *at == '\0';
    }
}

static bool store_pair(const arg_opt *o, const char *at) {
    arg_numbers *to = o->dest;
    if (to->n + 2 > ARG_LIST_CAP || !read_number(&at, o, &to->v[to->n]) || *at++ != ',' ||
        !read_number(&at, o, &to->v[to->n + 1]) || *at != '\0')
        return false;
    to->n += 2;
    return true;
}

/* ---- sizes --------------------------------------------------------------------------------------- */

/* "512MiB", "1GB", "1.5 GB", "4096": a power of 1000, or with an i of 1024; at least one byte. */
static bool read_size(const char *value, uint64_t *out) {
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"kB", 1e3},
                 {"KB", 1e3},
                 {"MB", 1e6},
                 {"GB", 1e9},
                 {"TB", 1e12},
                 {"KiB", 1024},
                 {"MiB", 1048576.0},
                 {"GiB", 1073741824.0},
                 {"TiB", 1099511627776.0}};
    char *end;
    const double n = strtod(value, &end);
    /* strtod alone would take spaces, a sign, an exponent and hexadecimal */
    if (end == value || end != value + strspn(value, "0123456789.")) return false;
    end += strspn(end, " ");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const double bytes = n * units[i].bytes;
        if (strcmp(end, units[i].name) || !(bytes >= 1 && bytes < 9e18)) continue;
        *out = (uint64_t)bytes;
        return true;
    }
    return false;
}

/* ---- one value ------------------------------------------------------------------------------------ */

bool arg_store(const arg_opt *o, const char *value) {
    char *end = NULL;
    errno = 0;
    switch (o->kind) {
    case ARG_FLAG:
        if (strcmp(value, "0") && strcmp(value, "1")) return false;
        *(bool *)o->dest = *value == '1';
        return true;
    case ARG_STR:
        *(const char **)o->dest = value;
        return true;
    case ARG_CPUS:
        *(uint32_t *)o->dest = bitnet_cpu_mask_parse(value);
        return *(uint32_t *)o->dest != 0;
    case ARG_U64: {
        if (!isdigit((unsigned char)*value)) return false; /* strtoull would take "-1" and " 1" */
        unsigned long long v = strtoull(value, &end, 10);
        if (*end || errno) return false;
        *(uint64_t *)o->dest = v;
        return true;
    }
    case ARG_SIZE:
        return read_size(value, o->dest);
    case ARG_INT: {
        if (!isdigit((unsigned char)*value) && *value != '-') return false;
        long long v = strtoll(value, &end, 10);
        if (end == value || *end || errno || (double)v < o->min || (double)v > o->max) return false;
        *(int32_t *)o->dest = (int32_t)v;
        return true;
    }
    case ARG_FLOAT: {
        double v = strtod(value, &end);
        if (end == value || *end || !(v >= o->min && v <= o->max)) return false;
        *(float *)o->dest = (float)v;
        return true;
    }
    case ARG_WORD: {
        int32_t i = find_word(o->metavar, value);
        if (i >= 0) *(int32_t *)o->dest = i;
        return i >= 0;
    }
    case ARG_LIST: {
        arg_list *l = o->dest;
        if (l->n == ARG_LIST_CAP) return false;
        l->v[l->n++] = value;
        return true;
    }
    case ARG_NUMBERS:
        return store_numbers(o, value);
    case ARG_PAIR:
        return store_pair(o, value);
    }
    return false;
}

/* ---- as JSON --------------------------------------------------------------------------------------- */

/* With as many digits as it takes to be read back. */
static cJSON *json_float(float v) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    return cJSON_CreateRaw(text);
}

/* "ws://user:password@host" without what is between. */
static cJSON *json_text(const char *text) {
    if (!text) return cJSON_CreateNull();
    const char *scheme = strstr(text, "://");
    const char *host = scheme ? scheme + 3 + strcspn(scheme + 3, "/?#@") : NULL;
    if (!host || *host != '@') return cJSON_CreateString(text);
    const size_t n = (size_t)(scheme + 3 - text), size = n + strlen(host) + sizeof "***";
    char *masked = malloc(size);
    if (!masked) return NULL;
    snprintf(masked, size, "%.*s***%s", (int)n, text, host);
    cJSON *o = cJSON_CreateString(masked);
    free(masked);
    return o;
}

static cJSON *json_word(const char *words, int32_t i) {
    char word[64];
    for (; i > 0; i--)
        words = strchr(words, '|') + 1;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(words, "|"), words);
    return cJSON_CreateString(word);
}

static cJSON *json_list(const arg_list *l) {
    cJSON *a = cJSON_CreateArray();
    for (int32_t i = 0; i < l->n; i++)
        cJSON_AddItemToArray(a, json_text(l->v[i]));
    return a;
}

static cJSON *json_cpus(uint32_t mask) {
    const bitnet_cpu_tier *t;
    cJSON *a = cJSON_CreateArray();
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++)
        if ((t->flag & ~mask) == 0) cJSON_AddItemToArray(a, cJSON_CreateString(t->name));
    return a;
}

static cJSON *json_u64(uint64_t v) {
    char text[24]; /* as a string: a double would lose bits */
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return cJSON_CreateString(text);
}

cJSON *arg_json(const arg_opt *o, bool is_given) {
    const arg_numbers *numbers = o->dest;
    switch (o->kind) {
    case ARG_FLAG:
        return cJSON_CreateBool(*(bool *)o->dest);
    case ARG_STR:
        return json_text(*(const char **)o->dest);
    case ARG_CPUS:
        return is_given ? json_cpus(*(uint32_t *)o->dest) : cJSON_CreateNull();
    case ARG_U64:
        return is_given ? json_u64(*(uint64_t *)o->dest) : cJSON_CreateNull();
    case ARG_SIZE:
        return is_given ? cJSON_CreateNumber((double)*(uint64_t *)o->dest) : cJSON_CreateNull();
    case ARG_INT:
        return cJSON_CreateNumber(*(int32_t *)o->dest);
    case ARG_FLOAT:
        return json_float(*(float *)o->dest);
    case ARG_WORD:
        return json_word(o->metavar, *(int32_t *)o->dest);
    case ARG_LIST:
        return json_list(o->dest);
    case ARG_NUMBERS:
    case ARG_PAIR:
        return cJSON_CreateIntArray(numbers->v, numbers->n);
    }
    return NULL;
}
