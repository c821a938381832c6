/* cmd_detokenize.c: `bitnet detokenize`: token ids to text. Needs a vocabulary and no weights.
 *
 * Ids come as arguments, from a file or from stdin: numbers with blanks, commas or newlines between
 * them, a JSON array of numbers, or a JSON object that has one under "ids". What is printed are the
 * bytes of the text and nothing else, no newline at the end.
 */
#define _POSIX_C_SOURCE 200809L /* isatty */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#define FILE_CAP (256u << 20) /* bytes read from a file */
#define MAX_IDS  (1 << 24)

typedef struct detokenize {
    load_opts load;
    const char *file;
    bool is_json;
    bitnet_token *ids; /* malloc'd */
    int32_t n, cap;
    char *text; /* malloc'd */
    int32_t len;
} detokenize;

/* ---- ids --------------------------------------------------------------------------------- */

static bitnet_status add_id(detokenize *d, double id, bitnet_error *err) {
    if (!(id >= 0 && id <= INT32_MAX) || id != (double)(int32_t)id)
        return bitnet_fail(err, BITNET_E_FORMAT, "detokenize.ids",
                           "%g is no token id; integers from 0 on are allowed", id);
    if (d->n == d->cap) {
        int32_t cap = d->cap ? 2 * d->cap : 256;
        bitnet_token *more = cap <= MAX_IDS ? realloc(d->ids, (size_t)cap * sizeof *more) : NULL;
        if (!more)
            return bitnet_fail(err, BITNET_E_NOMEM, "detokenize.memory", "no memory for %d ids",
                               cap);
        d->ids = more;
        d->cap = cap;
    }
    d->ids[d->n++] = (bitnet_token)id;
    return BITNET_OK;
}

static bitnet_status add_json(detokenize *d, const char *s, size_t n, bitnet_error *err) {
    cJSON *json = cJSON_ParseWithLength(s, n);
    const cJSON *ids = cJSON_IsObject(json) ? cJSON_GetObjectItemCaseSensitive(json, "ids") : json;
    bitnet_status st = BITNET_OK;
    if (!cJSON_IsArray(ids))
        st = bitnet_fail(err, BITNET_E_FORMAT, "detokenize.json",
                         "the JSON is neither an array of ids nor an object with one named ids");
    const cJSON *id;
    cJSON_ArrayForEach(id, ids) {
        if (st < 0) break;
        if (cJSON_IsNumber(id))
            st = add_id(d, id->valuedouble, err);
        else
            st = bitnet_fail(err, BITNET_E_FORMAT, "detokenize.ids",
                             "the JSON array holds something that is no number");
    }
    cJSON_Delete(json);
    return st;
}

/* s ends with a zero byte. */
static bitnet_status add_ids(detokenize *d, const char *s, size_t n, bitnet_error *err) {
    static const char separators[] = " \t\r\n,";
    const char *end = s + n;
    s += strspn(s, separators);
    if (*s == '[' || *s == '{') return add_json(d, s, (size_t)(end - s), err);
    while (s < end) {
        bitnet_escaped e;
        size_t len = strcspn(s, separators); /* 0 at a zero byte inside the text */
        if (len == 0 || len > 10 || strspn(s, "0123456789") != len)
            return bitnet_fail(err, BITNET_E_FORMAT, "detokenize.ids",
                               "'%.64s' is no token id; integers from 0 on are allowed",
                               bitnet_escape(&e, s, len ? len : 1));
        bitnet_status st = add_id(d, strtod(s, NULL), err);
        if (st < 0) return st;
        s += len;
        s += strspn(s, separators);
    }
    return BITNET_OK;
}

static bitnet_status read_ids(detokenize *d, const arg_operands *operands, bitnet_error *err) {
    if (operands->n > 0 && d->file)
        return bitnet_fail(err, BITNET_E_INVAL, "usage.ids",
                           "give ids as arguments or with -f FILE, one of the two");
    if (operands->n == 0 && !d->file && isatty(STDIN_FILENO))
        return bitnet_fail(err, BITNET_E_INVAL, "usage.ids",
                           "give ids as arguments, with -f FILE, or on stdin");
    bitnet_status st = BITNET_OK;
    for (int i = 0; st >= 0 && i < operands->n; i++)
        st = add_ids(d, operands->v[i], strlen(operands->v[i]), err);
    if (operands->n > 0 || st < 0) return st;
    char *text = NULL;
    size_t len = 0;
    st = load_text(&text, &len, d->file ? d->file : "-", FILE_CAP, err);
    if (st >= 0) st = add_ids(d, text, len, err);
    free(text);
    return st;
}

/* ---- text -------------------------------------------------------------------------------- */

/* The id that is in the way, for the sentence. */
static bitnet_token find_foreign(const detokenize *d, const bitnet_model *m) {
    for (int32_t i = 0; i < d->n; i++)
        if (bitnet_token_text(m, d->ids[i], NULL, 0) < 0) return d->ids[i];
    return -1;
}

static bitnet_status decode(detokenize *d, const bitnet_model *m, bitnet_error *err) {
    d->len = bitnet_detokenize(m, d->ids, d->n, NULL, 0);
    if (d->len == BITNET_E_UNSUPPORTED)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "detokenize.tokenizer",
                           "the model has no tokenizer");
    if (d->len < 0)
        return bitnet_fail(err, BITNET_E_FORMAT, "detokenize.id",
                           "token %d is not in the vocabulary of %d", find_foreign(d, m),
                           bitnet_model_get_info(m).n_vocab);
    d->text = malloc((size_t)d->len + 1);
    if (!d->text)
        return bitnet_fail(err, BITNET_E_NOMEM, "detokenize.memory", "no memory for %d bytes",
                           d->len);
    bitnet_detokenize(m, d->ids, d->n, d->text, d->len);
    return BITNET_OK;
}

/* {"text": "..."}: bytes that are not UTF-8, half a character at an end say, become U+FFFD. By hand,
 * because a zero byte ends no text here. */
static bitnet_status print_json(const detokenize *d, bitnet_error *err) {
    int32_t len = bitnet_text_repair(d->text, (size_t)d->len, NULL, 0);
    char *clean = len >= 0 ? malloc((size_t)len + 1) : NULL;
    if (!clean)
        return bitnet_fail(err, BITNET_E_NOMEM, "detokenize.memory", "no memory for the JSON");
    bitnet_text_repair(d->text, (size_t)d->len, clean, len);
    printf("{\"text\": \"");
    for (int32_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)clean[i];
        if (c < 0x20)
            printf("\\u%04x", c);
        else
            printf("%s%c", c == '"' || c == '\\' ? "\\" : "", c);
    }
    printf("\"}\n");
    free(clean);
    return BITNET_OK;
}

int cmd_detokenize(int argc, char **argv) {
    detokenize d = {.load = {.level = BITNET_LOAD_VOCAB, .n_threads = 1}};
    arg_operands operands = {0};
    const arg_opt opts[] = {LOAD_FILE_OPTS(d.load),
                            {'f', "file", ARG_STR, &d.file, "FILE", NULL,
                             "read the ids from a file, - for stdin", 0, 0},
                            {0, "json", ARG_FLAG, &d.is_json, NULL, NULL,
                             "print one JSON object, in valid UTF-8", 0, 0},
                            {0}};
    const arg_cmd cmd = {
        "detokenize",
        "Prints the text of token ids: numbers, or JSON as `bitnet tokenize` prints it.",
        "[ID... | -f FILE] [options]",
        opts,
        &operands,
        MAX_IDS};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    bitnet_error err = {0};
    loaded l = {0};
    bitnet_status st = read_ids(&d, &operands, &err);
    if (st >= 0) st = load_model(&l, &d.load, &err);
    if (st >= 0) st = decode(&d, l.model, &err);
    if (st >= 0 && d.is_json)
        st = print_json(&d, &err);
    else if (st >= 0)
        fwrite(d.text, 1, (size_t)d.len, stdout); /* args_flush tells of a failure */
    code = st < 0 ? args_fail(&err) : args_flush();
    load_close(&l);
    free(d.ids);
    free(d.text);
    return code;
}
