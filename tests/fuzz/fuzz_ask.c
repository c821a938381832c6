/* fuzz_ask.c: libFuzzer over the query of a request to the history.
 *
 * The first byte chooses a query to edit, the rest are edits of three bytes: where, what to do, with which
 * byte. What is taken must be within its bounds, and be taken again as the same. */
#define FUZZ_OWN_MUTATOR
#include "fuzz.h"

#include "base/utf8.h"
#include "dash/ask.h"

static const char *const bases[] = {
    "limit=100&since=1795000000000&name=a+b%2Bc&model=m",
    "run=01M80M27HP8EP1X7ZEZ51EACWH",
    "run=latest&metric=x&labels=%7B%22b%22:%222%22,%22a%22:%22%c3%a4%22%7D&from=5&to=9&resolution="
    "raw"
    "&points=7",
    "format=csv&run=latest",
    "",
};
enum { N_BASES = sizeof bases / sizeof *bases };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    (void)seed;
    return LLVMFuzzerMutate(data, size, max_size);
}

static void edit(char *text, size_t *n, const uint8_t *e) {
    size_t at = *n ? e[0] % *n : 0;
    if (e[1] % 3 == 0 && *n) {
        text[at] = (char)e[2];
    } else if (e[1] % 3 == 1 && *n < HTTP_TARGET_MAX) {
        memmove(text + at + 1, text + at, *n - at);
        text[at] = (char)e[2];
        ++*n;
    } else if (*n) {
        memmove(text + at, text + at + 1, *n - at - 1);
        --*n;
    }
}

static void check(const ask *a) {
    for (int i = 0; i < a->params.n; i++) {
        const char *value = a->params.at[i].value;
        ORACLE(value >= a->params.bytes && value < a->params.bytes + sizeof a->params.bytes);
        ORACLE(bitnet_utf8_check(value, strlen(value)) == strlen(value));
    }
    if (a->kind == ASK_RUNS) ORACLE(a->filter.limit >= 1 && a->filter.limit <= ASK_LIMIT_MAX);
    if (a->kind == ASK_RUN || a->kind == ASK_SERIES)
        ORACLE(a->run && strlen(a->run) < STORE_RUN_MAX);
    if (a->kind != ASK_SERIES) return;
    ORACLE(a->points >= 1 && a->points <= ASK_POINTS_MAX);
    ORACLE(a->series.from_ms >= 0 && a->series.from_ms < a->series.to_ms);
    ORACLE(*a->series.metric && a->series.resolution <= STORE_HOUR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ask a, again;
    char text[HTTP_TARGET_MAX + 1];
    if (size == 0) return 0;
    size_t n = strlen(bases[data[0] % N_BASES]);
    memcpy(text, bases[data[0] % N_BASES], n);
    for (size_t i = 1; i + 3 <= size; i += 3)
        edit(text, &n, data + i);
    char *exact = malloc(n ? n : 1); /* so that the sanitizer sees any step past the end */
    if (!exact) return 0;
    memcpy(exact, text, n);
    bool is_export = data[0] / N_BASES % 2;
    bitnet_error err = {.id = ""};
    bitnet_status st = ask_read(&a, (http_span){exact, n}, is_export, &err);
    ORACLE(st >= 0 || *err.id);
    if (st >= 0) {
        check(&a);
        ORACLE(ask_read(&again, (http_span){exact, n}, is_export, &err) >= 0);
        ORACLE(again.kind == a.kind && strcmp(again.labels, a.labels) == 0);
    }
    free(exact);
    return 0;
}
