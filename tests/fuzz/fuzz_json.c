/* fuzz_json.c: any bytes as JSON. The reader accepts or names a place inside the text; what it accepts
 * can be walked value by value, every string fits where it says it does, and numbers are those of strtod.
 */
#include "fuzz_text.h"

#include "base/json.h"

static void check_string(const bitnet_json_str *s) {
    char *out = malloc(s->n + 1);
    if (!out) abort();
    size_t n = bitnet_json_text(s, out, s->n);
    ORACLE(n <= s->n && bitnet_json_text(s, NULL, 0) == n);
    ORACLE(s->has_escapes || n == s->n);
    out[n] = 0;
    ORACLE(bitnet_json_is(s, out) == !memchr(out, 0, n));
    free(out);
}

static void check_number(bitnet_json *j) {
    bitnet_json before = *j, as_int = *j;
    double v = 0;
    int64_t i = 0;
    bool ok = bitnet_json_number(j, &v);
    ORACLE(ok || j->error);
    if (!ok) return;
    size_t n = j->pos - before.pos;
    char *copy = malloc(n + 1);
    if (!copy) abort();
    memcpy(copy, before.s + before.pos, n);
    copy[n] = 0;
    ORACLE(strtod(copy, NULL) == v);
    if (bitnet_json_int(&as_int, &i)) ORACLE(strtoll(copy, NULL, 10) == i && as_int.pos == j->pos);
    free(copy);
}

/* Every value, by the reader of its kind; containers are entered and left by the stack of json.h. */
static void walk(bitnet_json *j) {
    bitnet_json_str key = {0}, s;
    bool b, is_object[BITNET_JSON_DEPTH + 1] = {false};
    do {
        bitnet_json_kind kind = bitnet_json_peek(j);
        bitnet_json skipped = *j;
        bitnet_json_skip(&skipped);
        if (kind == BITNET_JSON_OBJECT || kind == BITNET_JSON_ARRAY) {
            bool is_in = kind == BITNET_JSON_OBJECT ? bitnet_json_object(j) : bitnet_json_array(j);
            ORACLE(is_in || j->error);
            if (is_in) is_object[j->depth] = kind == BITNET_JSON_OBJECT;
        } else if (kind == BITNET_JSON_STRING) {
            if (bitnet_json_string(j, &s)) check_string(&s);
        } else if (kind == BITNET_JSON_NUMBER) {
            check_number(j);
        } else {
            ORACLE(bitnet_json_bool(j, &b) || bitnet_json_null(j) || j->error);
        }
        bool is_scalar = kind != BITNET_JSON_OBJECT && kind != BITNET_JSON_ARRAY;
        if (is_scalar && !j->error) ORACLE(skipped.pos == j->pos && skipped.depth == j->depth);
        while (!j->error && j->depth > 0) {
            int32_t depth = j->depth;
            if (bitnet_json_next(j, &key)) {
                if (is_object[depth]) check_string(&key);
                break;
            }
            ORACLE(j->error || j->depth == depth - 1);
        }
    } while (!j->error && j->depth > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size ? size : 1); /* exact: one byte too far is seen */
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    bitnet_json skipped = bitnet_json_open(text, size), walked = skipped;
    bitnet_json_skip(&skipped);
    bool is_json = bitnet_json_end(&skipped);
    ORACLE(skipped.pos <= size && is_json == !skipped.error);
    walk(&walked);
    ORACLE(walked.pos <= size && walked.depth <= BITNET_JSON_DEPTH);
    if (is_json && !walked.error) ORACLE(bitnet_json_end(&walked) && walked.pos == skipped.pos);
    if (!is_json) ORACLE(!bitnet_json_end(&walked)); /* a number may also be too large to read */
    free(text);
    return 0;
}
