/* json.c: see json.h. A position, the kinds of the open containers as bits, and one flag: whether a value
 * stands there that nobody has read. No memory, no recursion; one pass over the text, but for values
 * that a caller reads twice.
 */
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define MAX_DIGITS 800 /* a double is settled by 767 digits (Goldberg); the rest only as "more" */
#define MAX_EXP    ((int64_t)1 << 50) /* more than any text has digits, which may undo it */

static bool fail(bitnet_json *j, const char *what) {
    if (!j->error) j->error = what;
    j->has_value = false;
    return false;
}

bitnet_json bitnet_json_open(const char *s, size_t n) {
    return (bitnet_json){.s = s, .n = n, .has_value = true};
}

/* The byte at hand behind white space; 0 at the end. A zero byte in the text is no JSON either. */
static char here(bitnet_json *j) {
    while (j->pos < j->n && (j->s[j->pos] == ' ' || j->s[j->pos] == '\t' || j->s[j->pos] == '\n' ||
                             j->s[j->pos] == '\r'))
        j->pos++;
    return j->pos < j->n ? j->s[j->pos] : 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool bitnet_json_end(bitnet_json *j) {
    if (j->error || j->depth > 0 || j->has_value) return false;
    here(j);
    return j->pos == j->n || fail(j, "text behind the end of the value");
}

bitnet_json_kind bitnet_json_peek(bitnet_json *j) {
    if (j->error || !j->has_value) return BITNET_JSON_NONE;
    char c = here(j);
    switch (c) {
    case '{':
        return BITNET_JSON_OBJECT;
    case '[':
        return BITNET_JSON_ARRAY;
    case '"':
        return BITNET_JSON_STRING;
    case 't':
    case 'f':
        return BITNET_JSON_BOOL;
    case 'n':
        return BITNET_JSON_NULL;
    default:
        if (c == '-' || is_digit(c)) return BITNET_JSON_NUMBER;
        fail(j, j->pos == j->n ? "the text ends where a value is due" : "this begins no value");
        return BITNET_JSON_NONE;
    }
}

/* ---- containers -------------------------------------------------------------------------- */

static bool enter(bitnet_json *j, bitnet_json_kind kind) {
    if (bitnet_json_peek(j) != kind) return false;
    if (j->depth == BITNET_JSON_DEPTH) return fail(j, "nested more than 64 deep");
    uint64_t bit = (uint64_t)1 << j->depth++;
    j->is_object = kind == BITNET_JSON_OBJECT ? j->is_object | bit : j->is_object & ~bit;
    j->pos++;
    j->has_value = false;
    j->is_first = true;
    return true;
}

bool bitnet_json_object(bitnet_json *j) {
    return enter(j, BITNET_JSON_OBJECT);
}

bool bitnet_json_array(bitnet_json *j) {
    return enter(j, BITNET_JSON_ARRAY);
}

static bool scan_string(bitnet_json *j, bitnet_json_str *out);

/* To the next member or element of the innermost container; its last value has been read. */
static bool step(bitnet_json *j, bitnet_json_str *key) {
    if (j->error || j->depth == 0) return false;
    bool is_object = j->is_object >> (j->depth - 1) & 1;
    char c = here(j), close = is_object ? '}' : ']';
    bool is_first = j->is_first;
    j->is_first = false;
    if (c == close) {
        j->pos++;
        j->depth--;
        return false;
    }
    if (!is_first) {
        if (c != ',') return fail(j, is_object ? "',' or '}' is due" : "',' or ']' is due");
        j->pos++;
        c = here(j);
    }
    if (is_object) {
        bitnet_json_str ignored;
        if (c != '"') return fail(j, "a member's name in quotes is due");
        if (!scan_string(j, key ? key : &ignored)) return false;
        if (here(j) != ':') return fail(j, "':' is due");
        j->pos++;
    }
    j->has_value = true;
    return true;
}

bool bitnet_json_next(bitnet_json *j, bitnet_json_str *key) {
    if (j->has_value) bitnet_json_skip(j);
    return step(j, key);
}

static bool skip_scalar(bitnet_json *j, bitnet_json_kind kind);

void bitnet_json_skip(bitnet_json *j) {
    int32_t depth = j->depth;
    do {
        bitnet_json_kind kind = bitnet_json_peek(j);
        if (kind == BITNET_JSON_OBJECT || kind == BITNET_JSON_ARRAY)
            enter(j, kind);
        else
            skip_scalar(j, kind);
        while (!j->error && j->depth > depth && !step(j, NULL))
            ; /* a container ended: on with the one around it */
    } while (!j->error && j->has_value);
}

bool bitnet_json_find(const bitnet_json *object, const char *name, bitnet_json *value) {
    bitnet_json_str key;
    *value = *object;
    if (bitnet_json_object(value))
        while (bitnet_json_next(value, &key))
            if (bitnet_json_is(&key, name)) return true;
    value->has_value = false;
    return false;
}

/* ---- strings ----------------------------------------------------------------------------- */

static int32_t hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The code unit of "\uXXXX" at s; -1 when there is none. */
static int32_t code_unit(const char *s, size_t n) {
    if (n < 6 || s[0] != '\\' || s[1] != 'u') return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int32_t digit = hex_value(s[i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Bytes of the escape at s, s[0] == '\\'; 0 when it is none. */
static size_t escape_size(const char *s, size_t n) {
    if (n >= 2 && s[1] == 'u') return code_unit(s, n) >= 0 ? 6 : 0;
    return n >= 2 && s[1] && strchr("\"\\/bfnrt", s[1]) ? 2 : 0;
}

/* The string at j->pos, where its quote is. */
static bool scan_string(bitnet_json *j, bitnet_json_str *out) {
    size_t start = ++j->pos;
    bool has_escapes = false;
    uint32_t cp;
    while (j->pos < j->n) {
        const char *s = j->s + j->pos;
        size_t left = j->n - j->pos, size = 1;
        uint8_t c = (uint8_t)*s;
        if (c == '"') {
            *out = (bitnet_json_str){j->s + start, j->pos - start, has_escapes};
            j->pos++;
            return true;
        }
        if (c < 0x20) return fail(j, "a control character in a string");
        if (c == '\\') {
            has_escapes = true;
            if (!(size = escape_size(s, left))) return fail(j, "an unknown escape");
        } else if (c >= 0x80 && !(size = (size_t)bitnet_utf8_decode(s, left, &cp))) {
            return fail(j, "a string that is not UTF-8");
        }
        j->pos += size;
    }
    return fail(j, "a string without an end");
}

bool bitnet_json_string(bitnet_json *j, bitnet_json_str *out) {
    if (bitnet_json_peek(j) != BITNET_JSON_STRING) return false;
    j->has_value = false;
    return scan_string(j, out);
}

/* One character of a scanned string, n >= 1: its bytes, and how many of s it took. Bytes that are not
 * an escape come one by one. */
static size_t resolve(const char *s, size_t n, char out[4], size_t *taken) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    *taken = 1;
    out[0] = s[0];
    if (s[0] != '\\' || n < 2) return 1;
    int32_t unit = code_unit(s, n);
    if (unit < 0) {
        const char *at = strchr(from, s[1]);
        *taken = 2;
        out[0] = at && *at ? to[at - from] : s[1];
        return 1;
    }
    *taken = 6;
    uint32_t cp = (uint32_t)unit;
    if (cp >= 0xd800 && cp <= 0xdfff) {
        int32_t low = cp < 0xdc00 ? code_unit(s + 6, n - 6) : -1;
        bool is_pair = low >= 0xdc00 && low <= 0xdfff;
        cp = is_pair ? 0x10000 + ((cp - 0xd800) << 10) + ((uint32_t)low - 0xdc00) : 0xfffd;
        if (is_pair) *taken = 12;
    }
    return (size_t)bitnet_utf8_encode(cp, out);
}

bool bitnet_json_is(const bitnet_json_str *s, const char *literal) {
    size_t len = strlen(literal), at = 0, taken;
    if (!s->has_escapes) return s->n == len && !memcmp(s->s, literal, len);
    for (size_t i = 0; i < s->n; i += taken) {
        char c[4];
        size_t size = resolve(s->s + i, s->n - i, c, &taken);
        if (size > len - at || memcmp(c, literal + at, size) != 0) return false;
        at += size;
    }
    return at == len;
}

size_t bitnet_json_text(const bitnet_json_str *s, char *out, size_t cap) {
    if (!s->has_escapes) {
        if (s->n && s->n <= cap) memcpy(out, s->s, s->n);
        return s->n;
    }
    size_t n = 0, taken;
    for (size_t i = 0; i < s->n; i += taken) {
        char c[4];
        size_t size = resolve(s->s + i, s->n - i, c, &taken);
        if (n + size <= cap) memcpy(out + n, c, size);
        n += size;
    }
    return n;
}

/* ---- numbers and words ------------------------------------------------------------------- */

typedef struct number {
    const char *digits; /* sign, digits and maybe one '.' */
    size_t n;
    int64_t exp; /* as written; beyond MAX_EXP it stops growing */
    bool is_int;
} number;

static size_t scan_digits(const bitnet_json *j, size_t at) {
    while (at < j->n && is_digit(j->s[at]))
        at++;
    return at;
}

/* [+-] digits behind an 'e' at `at`; where it ends, or 0. */
static size_t scan_exponent(const bitnet_json *j, size_t at, int64_t *exp) {
    bool is_negative = at < j->n && j->s[at] == '-';
    if (at < j->n && (j->s[at] == '-' || j->s[at] == '+')) at++;
    size_t end = scan_digits(j, at);
    for (size_t i = at; i < end && *exp < MAX_EXP; i++)
        *exp = *exp * 10 + (j->s[i] - '0');
    if (is_negative) *exp = -*exp;
    return end > at ? end : 0;
}

/* The number at j->pos, which stays there; *end is set behind it. */
static bool scan_number(bitnet_json *j, number *out, size_t *end) {
    size_t start = j->pos, at = start + (j->s[start] == '-'), digits = scan_digits(j, at);
    *out = (number){.digits = j->s + start, .is_int = true};
    if (digits == at || (j->s[at] == '0' && digits > at + 1))
        return fail(j, "a number without digits, or with a zero in front");
    at = digits;
    if (at < j->n && j->s[at] == '.') {
        out->is_int = false;
        digits = scan_digits(j, at + 1);
        if (digits == at + 1) return fail(j, "a number without digits behind its point");
        at = digits;
    }
    out->n = at - start;
    if (at < j->n && (j->s[at] == 'e' || j->s[at] == 'E')) {
        out->is_int = false;
        at = scan_exponent(j, at + 1, &out->exp);
        if (!at) return fail(j, "a number without digits in its exponent");
    }
    *end = at;
    return true;
}

/* Sign and significant digits of x as one integer; *exp is what it is to be scaled by. Digits past the
 * last that can matter become one '1' if they are not all zeros. Returns the length. */
static size_t write_digits(const number *x, char text[MAX_DIGITS + 2], int64_t *exp) {
    size_t n = 0, n_digit = 0, at = x->digits[0] == '-';
    bool is_behind_point = false, has_more = false;
    *exp = x->exp;
    if (at) text[n++] = '-';
    for (; at < x->n; at++) {
        char c = x->digits[at];
        if (c == '.') {
            is_behind_point = true;
            continue;
        }
        if (n_digit < MAX_DIGITS - 1 && (c != '0' || n_digit > 0))
            text[n++] = c, n_digit++;
        else if (n_digit > 0)
            has_more |= c != '0', (*exp)++;
        if (is_behind_point) (*exp)--;
    }
    if (has_more || n_digit == 0) {
        text[n++] = has_more ? '1' : '0';
        *exp -= has_more;
    }
    return n;
}

/* strtod rounds correctly but takes the point that the locale wants, so it gets none. */
static double number_value(const number *x) {
    char text[MAX_DIGITS + 24], digits[20];
    int64_t exp;
    size_t n = write_digits(x, text, &exp), n_exp = 0;
    text[n++] = 'e';
    if (exp < 0) text[n++] = '-';
    int64_t left = exp < 0 ? -exp : exp;
    do
        digits[n_exp++] = (char)('0' + left % 10);
    while (left /= 10);
    while (n_exp)
        text[n++] = digits[--n_exp];
    text[n] = 0;
    return strtod(text, NULL);
}

bool bitnet_json_number(bitnet_json *j, double *out) {
    number x;
    size_t end;
    if (bitnet_json_peek(j) != BITNET_JSON_NUMBER || !scan_number(j, &x, &end)) return false;
    double v = number_value(&x);
    if (!isfinite(v)) return fail(j, "a number too large for a double");
    *out = v;
    j->pos = end;
    j->has_value = false;
    return true;
}

bool bitnet_json_int(bitnet_json *j, int64_t *out) {
    number x;
    size_t end;
    if (bitnet_json_peek(j) != BITNET_JSON_NUMBER || !scan_number(j, &x, &end) || !x.is_int)
        return false;
    bool is_negative = x.digits[0] == '-';
    int64_t v = 0; /* built below zero, which reaches one further */
    for (size_t i = is_negative; i < x.n; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, x.digits[i] - '0', &v))
            return false;
    if (!is_negative && v == INT64_MIN) return false;
    *out = is_negative ? v : -v;
    j->pos = end;
    j->has_value = false;
    return true;
}

static bool word(bitnet_json *j, const char *w) {
    size_t n = strlen(w);
    if (j->n - j->pos < n || memcmp(j->s + j->pos, w, n) != 0)
        return fail(j, "this begins no value");
    j->pos += n;
    j->has_value = false;
    return true;
}

bool bitnet_json_bool(bitnet_json *j, bool *out) {
    if (bitnet_json_peek(j) != BITNET_JSON_BOOL) return false;
    bool v = j->s[j->pos] == 't';
    if (!word(j, v ? "true" : "false")) return false;
    *out = v;
    return true;
}

bool bitnet_json_null(bitnet_json *j) {
    return bitnet_json_peek(j) == BITNET_JSON_NULL && word(j, "null");
}

static bool skip_scalar(bitnet_json *j, bitnet_json_kind kind) {
    bitnet_json_str s;
    number x;
    bool b;
    switch (kind) {
    case BITNET_JSON_STRING:
        return bitnet_json_string(j, &s);
    case BITNET_JSON_BOOL:
        return bitnet_json_bool(j, &b);
    case BITNET_JSON_NULL:
        return bitnet_json_null(j);
    case BITNET_JSON_NUMBER:
        j->has_value = !scan_number(j, &x, &j->pos);
        return !j->has_value;
    default:
        return false;
    }
}
