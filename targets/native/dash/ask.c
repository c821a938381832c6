/* ask.c: see ask.h. */
#include "dash/ask.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"

static const char *const names_runs[] = {"limit", "since", "name", "model", NULL};
static const char *const names_run[] = {"run", NULL};
static const char *const names_series[] = {"run", "metric",     "labels", "from",
                                           "to",  "resolution", "points", NULL};
static const char *const names_export[] = {"format", "run", NULL};

static const struct {
    const char *what;
    const char *const *names;
} kinds[] = {
    [ASK_RUNS] = {"a list of runs takes limit, since, name, model", names_runs},
    [ASK_RUN] = {"a run takes run", names_run},
    [ASK_SERIES] = {"a metric takes run, metric, labels, from, to, resolution, points",
                    names_series},
    [ASK_EXPORT] = {"an export takes format, run", names_export},
};

static bitnet_status refuse(bitnet_error *err, const char *name, const char *value,
                            const char *allowed) {
    bitnet_escaped e;
    size_t n = strlen(value);
    return bitnet_fail(err, BITNET_E_INVAL, "ask.parameter", "%s is \"%s\"; %s", name,
                       bitnet_escape(&e, value, n < 60 ? n : 60), allowed);
}

static bitnet_status check_names(const ask *a, bitnet_error *err) {
    for (int i = 0; i < a->params.n; i++) {
        const char *const *known = kinds[a->kind].names;
        while (*known && strcmp(*known, a->params.at[i].name) != 0)
            known++;
        bitnet_escaped e;
        const char *name = a->params.at[i].name;
        size_t n = strlen(name);
        if (!*known)
            return bitnet_fail(err, BITNET_E_INVAL, "ask.parameter",
                               "there is a parameter \"%s\"; %s",
                               bitnet_escape(&e, name, n < 60 ? n : 60), kinds[a->kind].what);
    }
    return BITNET_OK;
}

/* A number without sign, blank or leading zero; absent, *out stays. */
static bitnet_status read_number(const ask *a, const char *name, int64_t min, int64_t max,
                                 int64_t *out, const char *allowed, bitnet_error *err) {
    const char *value = http_params_get(&a->params, name);
    if (!value) return BITNET_OK;
    size_t n = strlen(value);
    bool is_number =
        n > 0 && n <= 16 && strspn(value, "0123456789") == n && (*value != '0' || n == 1);
    int64_t v = is_number ? strtoll(value, NULL, 10) : -1;
    if (v < min || v > max) return refuse(err, name, value, allowed);
    *out = v;
    return BITNET_OK;
}

static const char millis[] = "milliseconds since 1970, of up to 16 digits, are allowed";
static const int64_t MILLIS_MAX = INT64_C(9999999999999999);

/* The number of the word in the list, which NULL ends. */
static bitnet_status read_word(const ask *a, const char *name, const char *const *words, int *out,
                               const char *allowed, bitnet_error *err) {
    const char *value = http_params_get(&a->params, name);
    if (!value) return BITNET_OK;
    for (int i = 0; words[i]; i++) {
        if (strcmp(value, words[i]) != 0) continue;
        *out = i;
        return BITNET_OK;
    }
    return refuse(err, name, value, allowed);
}

static bitnet_status read_run(ask *a, bitnet_error *err) {
    a->run = http_params_get(&a->params, "run");
    if (!a->run || strcmp(a->run, "latest") == 0) return BITNET_OK;
    size_t n = strlen(a->run);
    if (n > 0 && n < STORE_RUN_MAX &&
        strspn(a->run, "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz") == n)
        return BITNET_OK;
    return refuse(err, "run", a->run,
                  "an id of 26 letters and digits, the beginning of one, or latest is allowed");
}

static bitnet_status read_labels(ask *a, bitnet_error *err) {
    const char *value = http_params_get(&a->params, "labels");
    if (!value) return BITNET_OK;
    cJSON *json = cJSON_ParseWithOpts(value, NULL, true);
    bool ok = store_labels_text(json, a->labels);
    cJSON_Delete(json);
    if (!ok)
        return refuse(
            err, "labels", value,
            "a JSON object of at most 16 texts, such as {\"kernel\":\"copy\"}, is allowed");
    a->series.labels = a->labels;
    return BITNET_OK;
}

static bitnet_status read_series(ask *a, bitnet_error *err) {
    static const char *const resolutions[] = {[STORE_AUTO] = "auto",
                                              [STORE_RAW] = "raw",
                                              [STORE_MINUTE] = "minute",
                                              [STORE_HOUR] = "hour",
                                              NULL};
    int64_t points = ASK_POINTS;
    int resolution = STORE_AUTO;
    a->series = (store_query){.metric = http_params_get(&a->params, "metric"), .to_ms = MILLIS_MAX};
    if (!a->run)
        return bitnet_fail(err, BITNET_E_INVAL, "ask.parameter",
                           "metric comes without run; an id, the beginning of one, or latest says "
                           "of which run");
    bitnet_status st = *a->series.metric
                           ? BITNET_OK
                           : refuse(err, "metric", "", "the name of a metric is allowed");
    if (st >= 0) st = read_labels(a, err);
    if (st >= 0) st = read_number(a, "from", 0, MILLIS_MAX, &a->series.from_ms, millis, err);
    if (st >= 0) st = read_number(a, "to", 0, MILLIS_MAX, &a->series.to_ms, millis, err);
    if (st >= 0 && a->series.to_ms <= a->series.from_ms)
        st = bitnet_fail(err, BITNET_E_INVAL, "ask.parameter",
                         "from is %" PRId64 " and to %" PRId64 "; a to after from is allowed",
                         a->series.from_ms, a->series.to_ms);
    if (st >= 0)
        st = read_number(a, "points", 1, ASK_POINTS_MAX, &points, "1 to 5000 are allowed", err);
    if (st >= 0)
        st = read_word(a, "resolution", resolutions, &resolution,
                       "auto, raw, minute and hour are allowed", err);
    a->points = (int32_t)points;
    a->series.resolution = (store_resolution)resolution;
    return st;
}

static bitnet_status read_filter(ask *a, bitnet_error *err) {
    int64_t limit = ASK_LIMIT;
    bitnet_status st =
        read_number(a, "limit", 1, ASK_LIMIT_MAX, &limit, "1 to 1000 are allowed", err);
    if (st >= 0) st = read_number(a, "since", 0, MILLIS_MAX, &a->filter.since_ms, millis, err);
    a->filter.limit = (int32_t)limit;
    a->filter.name = http_params_get(&a->params, "name");
    a->filter.model = http_params_get(&a->params, "model");
    return st;
}

static bitnet_status read_format(ask *a, bitnet_error *err) {
    static const char *const words[] = {"csv", "json", NULL};
    static const export_format formats[] = {EXPORT_CSV, EXPORT_JSON};
    int word = -1;
    bitnet_status st = read_word(a, "format", words, &word, "csv and json are allowed", err);
    if (st >= 0 && word < 0)
        return bitnet_fail(err, BITNET_E_INVAL, "ask.parameter",
                           "format is missing; csv and json are allowed");
    if (st >= 0) a->format = formats[word];
    return st;
}

bitnet_status ask_read(ask *out, http_span query, bool is_export, bitnet_error *err) {
    out->labels[0] = '\0';
    out->run = NULL;
    out->filter = (store_filter){0};
    bitnet_status st = http_params_read(&out->params, query, err);
    if (st < 0) return st;
    out->kind = is_export                                 ? ASK_EXPORT
                : http_params_get(&out->params, "metric") ? ASK_SERIES
                : http_params_get(&out->params, "run")    ? ASK_RUN
                                                          : ASK_RUNS;
    st = check_names(out, err);
    if (st >= 0) st = read_run(out, err);
    if (st < 0) return st;
    return out->kind == ASK_EXPORT   ? read_format(out, err)
           : out->kind == ASK_SERIES ? read_series(out, err)
           : out->kind == ASK_RUNS   ? read_filter(out, err)
                                     : BITNET_OK;
}
