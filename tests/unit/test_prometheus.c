/* test_prometheus.c: the text that Prometheus reads, with a strict reader of its own, and with promtool
 * where that is installed.
 */
#define _POSIX_C_SOURCE 200809L /* popen */
#include "hearing.h"

#include <ctype.h>
#include <math.h>

#include "dash/prometheus.h"

static const prometheus_hub quiet = {.version = "0.1.0",
                                     .commit = "abc",
                                     .n_producers = 2,
                                     .uptime_s = 12.5,
                                     .store_ok = (double)NAN,
                                     .store_queued = (double)NAN};

/* ---- a reader of the text format 0.0.4 ----------------------------------------------------------- */

enum { LABELS_MAX = 8, SAMPLES_MAX = 2000 };

typedef struct sample {
    char name[PROMETHEUS_NAME_MAX];
    struct {
        char key[32], value[300];
    } label[LABELS_MAX];
    int n_labels;
    double value;
} sample;

static sample samples[SAMPLES_MAX];
static int n_samples;

static const char *read_name(const char *s, char *out, size_t cap) {
    size_t n = 0;
    for (; isalnum((unsigned char)s[n]) || s[n] == '_'; n++)
        assert_true(n + 1 < cap);
    assert_true(n > 0 && !isdigit((unsigned char)*s));
    memcpy(out, s, n);
    out[n] = '\0';
    return s + n;
}

static const char *read_labels(const char *s, sample *x) {
    assert_int_equal(*s++, '{');
    for (; *s != '}'; x->n_labels++) {
        assert_true(x->n_labels < LABELS_MAX);
        if (x->n_labels) assert_int_equal(*s++, ',');
        s = read_name(s, x->label[x->n_labels].key, sizeof x->label[0].key);
        assert_int_equal(*s++, '=');
        assert_int_equal(*s++, '"');
        size_t n = 0;
        for (; *s != '"'; s++) {
            assert_true(*s != '\0' && *s != '\n');
            char c = *s;
            if (c == '\\') {
                c = *++s;
                assert_true(c == 'n' || c == '\\' || c == '"');
                if (c == 'n') c = '\n';
            }
            assert_true(n + 1 < sizeof x->label[0].value);
            x->label[x->n_labels].value[n++] = c;
        }
        x->label[x->n_labels].value[n] = '\0';
        s++;
    }
    return s + 1;
}

static bool is_part(const char *name, const char *family, const char *type) {
    size_t n = strlen(family);
    if (strncmp(name, family, n) != 0) return false;
    if (strcmp(type, "histogram") != 0) return name[n] == '\0';
    return !strcmp(name + n, "_bucket") || !strcmp(name + n, "_sum") || !strcmp(name + n, "_count");
}

/* Every line is HELP, TYPE or a sample; a family has its HELP, its TYPE and all its samples together and
 * once; counters, and only they, end in _total. */
static void read_all(const char *text) {
    static char families[200][PROMETHEUS_NAME_MAX];
    int n_families = 0;
    char type[16] = "", name[PROMETHEUS_NAME_MAX];
    n_samples = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        assert_non_null(strchr(line, '\n')); /* the last line ends too */
        if (strncmp(line, "# HELP ", 7) == 0) {
            read_name(line + 7, name, sizeof name);
            for (int i = 0; i < n_families; i++)
                if (strcmp(families[i], name) == 0) fail_msg("%s comes twice", name);
            assert_true(n_families < 200);
            memcpy(families[n_families++], name, sizeof name);
            type[0] = '\0';
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            const char *s = read_name(line + 7, name, sizeof name);
            assert_string_equal(name, families[n_families - 1]);
            assert_int_equal(sscanf(s, " %15[a-z]\n", type), 1);
            bool is_total = strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total");
            assert_int_equal(is_total, strcmp(type, "counter") == 0);
            assert_true(strncmp(name, "bitnet_", 7) == 0);
        } else {
            assert_true(n_samples < SAMPLES_MAX && *type);
            sample *x = &samples[n_samples++];
            *x = (sample){.n_labels = 0};
            const char *s = read_name(line, x->name, sizeof x->name);
            if (*s == '{') s = read_labels(s, x);
            assert_int_equal(*s, ' ');
            char *end;
            x->value = strtod(s + 1, &end);
            assert_int_equal(*end, '\n');
            if (!is_part(x->name, families[n_families - 1], type))
                fail_msg("%s is within %s", x->name, families[n_families - 1]);
        }
    }
}

static const char *label_of(const sample *x, const char *key) {
    for (int i = 0; i < x->n_labels; i++)
        if (!strcmp(x->label[i].key, key)) return x->label[i].value;
    return NULL;
}

/* The value of the one sample with this name and these labels ("key=value", NULL = any). */
static double value_of(const char *name, const char *key, const char *value) {
    double found = (double)NAN;
    int n = 0;
    for (int i = 0; i < n_samples; i++) {
        const char *own = key ? label_of(&samples[i], key) : NULL;
        if (strcmp(samples[i].name, name) || (key && (!own || strcmp(own, value)))) continue;
        found = samples[i].value;
        n++;
    }
    if (n != 1) fail_msg("%d samples of %s{%s=%s}", n, name, key ? key : "", key ? value : "");
    return found;
}

static char *written(const stats *s) {
    text_buf t = {.p = NULL};
    size_t n;
    prometheus_write(&t, s, &quiet);
    return text_take(&t, &n);
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void counters_are_sums_that_survive_producers_and_gauges_are_of_those_here(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "first", "m");
    hear_value(s, "a1", 1, at_ms(1), "generation_tokens", 5);
    hear_value(s, "a1", 1, at_ms(1), "memory", 100);
    hear(s, "a1", 1, at_ms(2), "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":2}");
    stats_tick(s, at_ms(2 + HUB_ENDED_MS));
    assert_int_equal(s->n_rows, 0);
    hear_hello(s, "b2", 2, at_ms(3), "second", "m");
    hear_value(s, "b2", 2, at_ms(4), "generation_tokens", 7);
    hear_value(s, "b2", 2, at_ms(4), "memory", 200);
    hear_value(s, "b2", 2, at_ms(4), "memory", 300);
    hear_value(s, "b2", 2, at_ms(4), "mine", 1); /* not of metrics.def */
    char *text = written(s);
    read_all(text);
    assert_true(value_of("bitnet_generation_tokens_total", "model", "m") == 12);
    assert_true(value_of("bitnet_memory_bytes", "instance", "b2") == 300);
    assert_true(value_of("bitnet_memory_bytes", "name", "second") == 300);
    assert_true(value_of("bitnet_memory_bytes", "kind", "resident") == 300);
    assert_true(value_of("bitnet_tracker_samples_total", NULL, NULL) == 6);
    assert_true(value_of("bitnet_build_info", "version", "0.1.0") == 1);
    assert_true(value_of("bitnet_hub_uptime_seconds", NULL, NULL) == 12.5);
    assert_null(strstr(text, "mine"));
    assert_null(strstr(text, "store"));  /* there is none */
    assert_null(strstr(text, "decode")); /* never measured: absent */
    free(text);
    stats_free(s);
}

static void a_metric_of_another_unit_than_ours_is_not_passed_off_as_ours(void **state) {
    (void)state;
    stats *s = stats_create();
    hear(s, "a1", 1, at_ms(0),
         "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"x\",\"instance\":\"a1\","
         "\"epoch\":1,\"next_seq\":1,\"backend\":\"\",\"tier\":\"\",\"threads\":1,\"model\":\"\","
         "\"host\":\"\",\"build\":\"\",\"t_ms\":1,\"started_ms\":1,\"metrics\":[{\"name\":"
         "\"memory\","
         "\"unit\":\"MB\",\"kind\":\"gauge\",\"help\":\"\"},{\"name\":\"generation_tokens\","
         "\"unit\":\"{token}\",\"kind\":\"gauge\",\"help\":\"\"}]}");
    hear_value(s, "a1", 1, at_ms(1), "memory", 5);
    hear_value(s, "a1", 1, at_ms(1), "generation_tokens", 5);
    char *text = written(s);
    assert_null(strstr(text, "bitnet_memory"));
    assert_null(strstr(text, "generation_tokens"));
    free(text);
    stats_free(s);
}

static void histograms_never_count_a_value_below_where_it_is(void **state) {
    (void)state;
    static const double bounds[] = {0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075,
                                    0.01,   0.02,  0.03,  0.04,  0.05,  0.075, 0.1,
                                    0.15,   0.2,   0.3,   0.4,   0.5,   0.75,  1};
    stats *s = stats_create();
    bitnet_histogram h = {.n = 0};
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    double sum = 0;
    enum { N = 5000 };
    static double v[N];
    uint64_t seed = 7;
    for (int i = 0; i < N; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        v[i] = 1e-4 * pow(1e5, (double)(seed >> 11) / 9007199254740992.0);
        bitnet_histogram_add(&h, v[i]);
        sum += v[i];
    }
    bitnet_bucket b[BITNET_HISTOGRAM_BUCKETS];
    int32_t n_b = bitnet_histogram_export(&h, b, BITNET_HISTOGRAM_BUCKETS);
    static char m[8192];
    int at = snprintf(m, sizeof m,
                      "\"time_per_output_token\":{\"n\":%d,\"sum\":%.17g,\"min\":1e-4,"
                      "\"max\":10,\"last\":1,\"b\":[",
                      N, sum);
    for (int i = 0; i < n_b; i++)
        at += snprintf(m + at, sizeof m - (size_t)at, "%s%u,%u", i ? "," : "", b[i].index,
                       b[i].count);
    snprintf(m + at, sizeof m - (size_t)at, "]}");
    hear_values(s, "a1", 1, at_ms(1), m);
    char *text = written(s);
    read_all(text);
    double before = 0;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        char le[32];
        snprintf(le, sizeof le, "%g", bounds[i]);
        double got = value_of("bitnet_time_per_output_token_seconds_bucket", "le", le);
        int below = 0, surely_below = 0; /* a bucket is at most 1/16 wide */
        for (int k = 0; k < N; k++) {
            below += v[k] <= bounds[i];
            surely_below += v[k] <= bounds[i] / (1 + 1.0 / 16);
        }
        if (got > below || got < surely_below || got < before)
            fail_msg("le %s: %g, of %d and surely %d; before it %g", le, got, below, surely_below,
                     before);
        before = got;
    }
    assert_true(value_of("bitnet_time_per_output_token_seconds_bucket", "le", "+Inf") == (double)N);
    assert_true(value_of("bitnet_time_per_output_token_seconds_count", NULL, NULL) == (double)N);
    assert_true(fabs(value_of("bitnet_time_per_output_token_seconds_sum", NULL, NULL) - sum) <
                1e-9);
    free(text);
    stats_free(s);
}

static void hostile_texts_stay_inside_their_labels(void **state) {
    (void)state;
    stats *s = stats_create();
    /* what JSON lets through: quotes, backslashes, braces, other languages; and an escape cut short */
    hear_hello(s, "a1", 1, at_ms(0), "x\\\"} 1\\\\n# HELP bitnet_evil x",
               "\\\\\\\"\\u00e9{}=,\\\\");
    hear_value(s, "a1", 1, at_ms(1), "memory", 1);
    hear_value(s, "a1", 1, at_ms(1), "generation_tokens", 1);
    char *text = written(s);
    read_all(text);
    assert_true(value_of("bitnet_memory_bytes", "name", "x\"} 1\\n# HELP bitnet_evil x") == 1);
    assert_true(value_of("bitnet_generation_tokens_total", "model", "\\\"\xc3\xa9{}=,\\") == 1);
    free(text);
    stats_free(s);
}

static void the_number_of_label_sets_is_bounded(void **state) {
    (void)state;
    stats *s = stats_create();
    char instance[8], model[16];
    for (uint32_t i = 1; i <= 3 * TOTALS_SETS_MAX; i++) {
        snprintf(instance, sizeof instance, "%x", i);
        snprintf(model, sizeof model, "m%u", i);
        hear_hello(s, instance, i, at_ms(i), "cli", model);
        hear_value(s, instance, i, at_ms(i), "generation_tokens", 1);
        hear(s, instance, i, at_ms(i), "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":1}");
    }
    assert_int_equal(s->totals->n_sets, TOTALS_SETS_MAX);
    char *text = written(s);
    read_all(text);
    assert_true(value_of("bitnet_generation_tokens_total", "model", "m5") == 1);
    assert_true(value_of("bitnet_generation_tokens_total", "model", TOTALS_OVERFLOW) ==
                2 * TOTALS_SETS_MAX + 1);
    free(text);
    stats_free(s);
}

static void values_of_a_metric_s_own_label_are_kept_apart_and_bounded(void **state) {
    (void)state;
    totals *t = totals_create();
    int set = totals_find(t, "cpu", "avx2", "m");
    values one = {.n = 1, .sum = 2, .min = 2, .max = 2, .last = 2};
    char value[16];
    for (int i = 0; i < TOTALS_SPLITS_MAX + 7; i++) {
        snprintf(value, sizeof value, "k%d", i);
        totals_add_split(t, set, BITNET_METRIC_TOKENS_OUT, value, &one);
    }
    totals_add_split(t, set, BITNET_METRIC_TOKENS_OUT, "k3", &one);
    assert_int_equal(t->n_splits, TOTALS_SPLITS_MAX + 1);
    double sum = 0, k3 = 0, overflow = 0;
    for (int i = 0; i < t->n_splits; i++) {
        sum += t->splits[i].total.sum;
        if (!strcmp(t->splits[i].value, "k3")) k3 = t->splits[i].total.sum;
        if (!strcmp(t->splits[i].value, TOTALS_OVERFLOW)) overflow = t->splits[i].total.sum;
        if (i) assert_true(strcmp(t->splits[i - 1].value, t->splits[i].value) < 0);
    }
    assert_true(sum == 2 * (TOTALS_SPLITS_MAX + 8) && k3 == 4 && overflow == 14);
    totals_free(t);
}

static void names_are_as_prometheus_wants_them(void **state) {
    (void)state;
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        char name[PROMETHEUS_NAME_MAX];
        const bitnet_metric_info *info = bitnet_metric_get_info((bitnet_metric)i);
        prometheus_name(name, (bitnet_metric)i);
        assert_true(strncmp(name, "bitnet_", 7) == 0);
        for (const char *c = name; *c; c++)
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        if (!strcmp(info->unit, "s")) assert_non_null(strstr(name, "_seconds"));
        if (!strcmp(info->unit, "By")) assert_non_null(strstr(name, "_bytes"));
        assert_int_equal(strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total"),
                         info->kind == BITNET_KIND_COUNTER);
        assert_null(strstr(name, "_bytes_bytes"));
    }
}

static void the_page_of_metrics_names_them_as_they_are(void **state) {
    (void)state;
    static char page[1 << 17];
    FILE *f = fopen(BITNET_SOURCE_DIR "/docs/metrics.md", "r");
    assert_non_null(f);
    page[fread(page, 1, sizeof page - 1, f)] = '\0';
    fclose(f);
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        char name[PROMETHEUS_NAME_MAX], start[128];
        prometheus_name(name, (bitnet_metric)i);
        snprintf(start, sizeof start, "\n| `%s` |", bitnet_metric_get_info((bitnet_metric)i)->wire);
        const char *row = strstr(page, start), *found = row ? strstr(row + 1, name) : NULL;
        if (!found || found > strchr(row + 1, '\n') || found[-1] != '`')
            fail_msg("docs/metrics.md does not have %s in the row of%s", name, start + 1);
    }
}

static void promtool_has_nothing_to_say(void **state) {
    (void)state;
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        print_message("skipped: promtool is not installed\n");
        skip();
    }
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "a\\\"b", "m\\\\");
    hear_value(s, "a1", 1, at_ms(1), "memory", 1);
    hear_value(s, "a1", 1, at_ms(1), "decode_rate", 1);
    hear_value(s, "a1", 1, at_ms(1), "generation_tokens", 1);
    hear_values(
        s, "a1", 1, at_ms(1),
        "\"time_to_first_token\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":1,\"b\":[480,1]}");
    char *text = written(s);
    FILE *f = popen("promtool check metrics", "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(pclose(f), 0);
    free(text);
    stats_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_sums_that_survive_producers_and_gauges_are_of_those_here),
        cmocka_unit_test(a_metric_of_another_unit_than_ours_is_not_passed_off_as_ours),
        cmocka_unit_test(histograms_never_count_a_value_below_where_it_is),
        cmocka_unit_test(hostile_texts_stay_inside_their_labels),
        cmocka_unit_test(the_number_of_label_sets_is_bounded),
        cmocka_unit_test(values_of_a_metric_s_own_label_are_kept_apart_and_bounded),
        cmocka_unit_test(names_are_as_prometheus_wants_them),
        cmocka_unit_test(the_page_of_metrics_names_them_as_they_are),
        cmocka_unit_test(promtool_has_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
