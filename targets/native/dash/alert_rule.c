/* alert_rule.c: see alert_rule.h. A hand-written parser, one function for each part of a rule. */
#include "dash/alert_rule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bitnet/tracker.h"

typedef struct parser {
    const char *text, *at;
    bitnet_error *err;
} parser;

/* A token of the rule: a word, or one other character. */
typedef struct word {
    const char *p;
    size_t n;
} word;

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static word peek(parser *p) {
    while (is_blank(*p->at))
        p->at++;
    word w = {p->at, 0};
    while (is_word(w.p[w.n]))
        w.n++;
    if (w.n == 0 && *w.p) w.n = 1;
    return w;
}

static bool is(word w, const char *s) {
    return w.n == strlen(s) && memcmp(w.p, s, w.n) == 0;
}

static bitnet_status fail(parser *p, const char *id, const char *allowed) {
    word w = peek(p);
    bitnet_escaped shown;
    bitnet_escape(&shown, w.p, w.n);
    if (w.n == 0)
        return bitnet_fail(p->err, BITNET_E_INVAL, id,
                           "alert \"%s\": it ends at column %d, where %s is needed", p->text,
                           (int)(w.p - p->text) + 1, allowed);
    return bitnet_fail(p->err, BITNET_E_INVAL, id,
                       "alert \"%s\": column %d has \"%s\"; %s is allowed", p->text,
                       (int)(w.p - p->text) + 1, shown.s, allowed);
}

/* ---- metric and statistic ---------------------------------------------------------------------- */

static const struct {
    const char *alias, *metric;
} aliases[] = {{"decode_tokens_per_second", "decode_rate"},
               {"prefill_tokens_per_second", "prefill_rate"},
               {"cache_hit_rate", "cache_hit_ratio"}};

static bitnet_status take_metric(parser *p, alert_rule *out) {
    word w = peek(p);
    if (w.n == 0 || !is_word(*w.p) || is_digit(*w.p) || w.n >= ALERT_METRIC_MAX)
        return fail(p, "alert.metric", "the name of a metric, such as decode_rate,");
    memcpy(out->metric, w.p, w.n);
    out->metric[w.n] = '\0';
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (!strcmp(out->metric, aliases[i].alias))
            snprintf(out->metric, sizeof out->metric, "%s", aliases[i].metric);
    p->at = w.p + w.n;
    return BITNET_OK;
}

static bitnet_status take_stat(parser *p, alert_rule *out) {
    static const char *const names[ALERT_STAT_COUNT] = {
        [ALERT_N] = "n",     [ALERT_SUM] = "sum", [ALERT_RATE] = "rate", [ALERT_MEAN] = "mean",
        [ALERT_MIN] = "min", [ALERT_MAX] = "max", [ALERT_LAST] = "last", [ALERT_P50] = "p50",
        [ALERT_P90] = "p90", [ALERT_P95] = "p95", [ALERT_P99] = "p99"};
    word w = peek(p);
    if (w.n == 0 || !is_word(*w.p)) return BITNET_OK;
    for (int i = 1; i < ALERT_STAT_COUNT; i++)
        if (is(w, names[i])) out->stat = (alert_stat)i;
    if (out->stat == ALERT_DEFAULT)
        return fail(p, "alert.stat",
                    "n, sum, rate, mean, min, max, last, p50, p90, p95, p99 or an operator");
    p->at = w.p + w.n;
    return BITNET_OK;
}

static bitnet_status take_operator(parser *p, alert_rule *out) {
    word w = peek(p);
    if (*w.p != '<' && *w.p != '>') return fail(p, "alert.operator", "<, <=, > or >=");
    bool is_below = *w.p == '<', or_equal = w.p[1] == '=';
    out->op = is_below   ? or_equal ? ALERT_AT_MOST : ALERT_BELOW
              : or_equal ? ALERT_AT_LEAST
                         : ALERT_ABOVE;
    p->at = w.p + 1 + or_equal;
    return BITNET_OK;
}

/* ---- the limit --------------------------------------------------------------------------------- */

/* Digits, a point, an exponent, a minus before: no hexadecimal, no infinity, which strtod would take.
 * False leaves the place. */
static bool take_number(parser *p, double *out) {
    const char *s = peek(p).p, *end = s;
    char digits[64];
    if (*end == '-') end++;
    if (!is_digit(*end)) return false;
    while (is_digit(*end))
        end++;
    if (*end == '.' && is_digit(end[1]))
        for (end++; is_digit(*end);)
            end++;
    if ((*end == 'e' || *end == 'E') && (is_digit(end[1]) || (end[1] == '-' && is_digit(end[2]))))
        for (end += 2; is_digit(*end);)
            end++;
    if ((size_t)(end - s) >= sizeof digits) return false;
    memcpy(digits, s, (size_t)(end - s));
    digits[end - s] = '\0';
    *out = strtod(digits, NULL);
    if (!isfinite(*out)) return false;
    p->at = end;
    return true;
}

typedef struct unit {
    const char *name, *of; /* of: the metric's, in UCUM */
    double scale;
} unit;

static const unit units[] = {
    {"ns", "s", 1e-9},   {"us", "s", 1e-6},      {"ms", "s", 1e-3},         {"s", "s", 1},
    {"m", "s", 60},      {"min", "s", 60},       {"h", "s", 3600},          {"B", "By", 1},
    {"kB", "By", 1e3},   {"KB", "By", 1e3},      {"MB", "By", 1e6},         {"GB", "By", 1e9},
    {"KiB", "By", 1024}, {"MiB", "By", 1048576}, {"GiB", "By", 1073741824}, {"%", "1", 0.01},
};

static const char *unit_of(const char *metric) {
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        const bitnet_metric_info *info = bitnet_metric_get_info((bitnet_metric)i);
        if (!strcmp(info->wire, metric)) return info->unit;
    }
    return NULL;
}

/* A unit stands right behind its number. */
static const unit *find_unit(const parser *p, size_t *n) {
    *n = *p->at == '%';
    while (is_word(*p->at) && is_word(p->at[*n]))
        ++*n;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*n == strlen(units[i].name) && !memcmp(units[i].name, p->at, *n)) return &units[i];
    return NULL;
}

static bitnet_status take_unit(parser *p, alert_rule *out) {
    size_t n;
    const unit *u = find_unit(p, &n);
    if (n == 0) return BITNET_OK;
    const char *metric_unit = unit_of(out->metric);
    if (!u || (metric_unit && strcmp(metric_unit, u->of) != 0)) {
        char allowed[120];
        snprintf(
            allowed, sizeof allowed,
            metric_unit && strcmp(metric_unit, "s") != 0 && strcmp(metric_unit, "By") != 0 &&
                    strcmp(metric_unit, "1") != 0
                ? "a plain number (of %s)"
                : "one of ns, us, ms, s, min, h, B, kB, MB, GB, KiB, MiB, GiB, %% that fits (%s)",
            metric_unit ? metric_unit : "the metric's unit");
        return fail(p, "alert.unit", allowed);
    }
    out->number *= u->scale;
    p->at += n;
    return BITNET_OK;
}

static bool take_expected(parser *p, alert_rule *out) {
    word w = peek(p);
    if (!is(w, "expected")) return false;
    out->is_expected = true;
    p->at = w.p + w.n;
    return true;
}

static bitnet_status take_limit(parser *p, alert_rule *out) {
    static const char allowed[] = "a number, or expected, or FACTOR * one of them";
    double number;
    out->factor = 1;
    if (take_expected(p, out)) return BITNET_OK;
    if (!take_number(p, &number)) return fail(p, "alert.number", allowed);
    const char *behind = p->at;
    if (*peek(p).p != '*') {
        p->at = behind; /* a unit has no blank before it */
    } else {
        p->at = peek(p).p + 1;
        out->factor = number;
        if (take_expected(p, out)) return BITNET_OK;
        if (!take_number(p, &number)) return fail(p, "alert.number", "a number or expected");
    }
    out->number = number;
    return take_unit(p, out);
}

/* ---- for and where ----------------------------------------------------------------------------- */

static bitnet_status take_for(parser *p, alert_rule *out) {
    word w = peek(p);
    double number;
    size_t n;
    if (!is(w, "for")) return BITNET_OK;
    p->at = w.p + w.n;
    if (!take_number(p, &number))
        return fail(p, "alert.duration", "a duration such as 30s, 5min or 1h");
    const unit *u = find_unit(p, &n);
    double seconds = u ? number * u->scale : -1;
    if (!u || strcmp(u->of, "s") != 0 || seconds < 0 || seconds > (double)ALERT_FOR_MAX_S)
        return fail(p, "alert.duration", "a unit, ms, s, min or h, and 0 to 24 hours in all");
    out->for_ms = (uint64_t)(seconds * 1000 + 0.5);
    p->at += n;
    return BITNET_OK;
}

static bitnet_status take_where(parser *p, alert_rule *out) {
    word w = peek(p);
    if (!is(w, "where")) return BITNET_OK;
    p->at = w.p + w.n;
    w = peek(p);
    if (!is(w, "name")) return fail(p, "alert.where", "name=TEXT");
    p->at = w.p + w.n;
    if (*peek(p).p != '=') return fail(p, "alert.where", "name=TEXT");
    p->at = peek(p).p + 1;
    const char *s = peek(p).p; /* to the end: names may hold blanks */
    size_t n = strlen(s);
    if (n == 0 || n >= ALERT_NAME_MAX)
        return fail(p, "alert.where", "a producer's name of 1 to 64 bytes");
    memcpy(out->name, s, n + 1);
    p->at = s + n;
    return BITNET_OK;
}

static bitnet_status take_end(parser *p) {
    return peek(p).n == 0 ? BITNET_OK
                          : fail(p, "alert.end", "for DURATION, where name=TEXT or the end");
}

bitnet_status alert_rule_parse(alert_rule *out, const char *text, bitnet_error *err) {
    *out = (alert_rule){.stat = ALERT_DEFAULT};
    while (is_blank(*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && is_blank(text[n - 1]))
        n--;
    if (n >= ALERT_TEXT_MAX)
        return bitnet_fail(err, BITNET_E_INVAL, "alert.length",
                           "an alert has %zu bytes; at most %d are allowed", n, ALERT_TEXT_MAX - 1);
    memcpy(out->text, text, n);
    parser p = {out->text, out->text, err};
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f) continue;
        return bitnet_fail(err, BITNET_E_INVAL, "alert.end",
                           "an alert's column %d has a control character; blanks are allowed",
                           (int)i + 1);
    }
    bitnet_status st = take_metric(&p, out);
    if (st >= 0) st = take_stat(&p, out);
    if (st >= 0) st = take_operator(&p, out);
    if (st >= 0) st = take_limit(&p, out);
    if (st >= 0) st = take_for(&p, out);
    if (st >= 0) st = take_where(&p, out);
    if (st >= 0) st = take_end(&p);
    return st;
}

bool alert_rule_is_met(const alert_rule *r, double value, double limit) {
    switch (r->op) {
    case ALERT_BELOW:
        return value < limit;
    case ALERT_AT_MOST:
        return value <= limit;
    case ALERT_ABOVE:
        return value > limit;
    case ALERT_AT_LEAST:
        return value >= limit;
    }
    return false;
}
