/* cmd_tokenize.c: `bitnet tokenize`: text to token ids. Needs a vocabulary and no weights.
 *
 * The text is taken as it is, a newline at the end of a file included. Special tokens written in it
 * are recognised unless --no-parse-special says otherwise, as llama-tokenize does.
 */
#define _POSIX_C_SOURCE 200809L /* isatty */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#define TEXT_CAP (256u << 20) /* bytes read from a file */

typedef struct tokenize {
    load_opts load;
    const char *file;
    bool no_bos, no_parse_special, is_json, has_pieces;
    char *text; /* malloc'd */
    size_t len;
    bitnet_token *ids; /* malloc'd */
    int32_t n;
} tokenize;

static bitnet_status read_text(tokenize *t, const arg_operands *operands, bitnet_error *err) {
    const char *operand = operands->n ? operands->v[0] : NULL;
    if (operand && t->file)
        return bitnet_fail(err, BITNET_E_INVAL, "usage.text",
                           "give the text as an argument or with -f FILE, one of the two");
    if (operand && strcmp(operand, "-") != 0) {
        t->len = strlen(operand);
        t->text = strdup(operand);
        if (t->text) return BITNET_OK;
        return bitnet_fail(err, BITNET_E_NOMEM, "tokenize.memory", "no memory for the text");
    }
    if (!operand && !t->file && isatty(STDIN_FILENO))
        return bitnet_fail(err, BITNET_E_INVAL, "usage.text",
                           "give the text as an argument, with -f FILE, or on stdin");
    return load_text(&t->text, &t->len, t->file ? t->file : "-", TEXT_CAP, err);
}

static bitnet_status encode(tokenize *t, const bitnet_model *m, bitnet_error *err) {
    uint32_t flags = (t->no_bos ? 0u : (uint32_t)BITNET_TOKENIZE_BOS) |
                     (t->no_parse_special ? 0u : (uint32_t)BITNET_TOKENIZE_SPECIAL);
    t->n = bitnet_tokenize(m, t->text, t->len, flags, NULL, 0);
    if (t->n == BITNET_E_UNSUPPORTED)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "tokenize.tokenizer",
                           "the model has no tokenizer");
    if (t->n >= 0) t->ids = malloc(((size_t)t->n + 1) * sizeof *t->ids);
    if (t->ids) t->n = bitnet_tokenize(m, t->text, t->len, flags, t->ids, t->n);
    if (t->n < 0 || !t->ids)
        return bitnet_fail(err, BITNET_E_NOMEM, "tokenize.memory",
                           "no memory to tokenize %zu bytes", t->len);
    return BITNET_OK;
}

/* One line: "128000 1502 25", or {"ids": [128000, 1502, 25]}. */
static void print_ids(const tokenize *t) {
    printf("%s", t->is_json ? "{\"ids\": [" : "");
    for (int32_t i = 0; i < t->n; i++)
        printf("%s%d", i == 0 ? "" : t->is_json ? ", " : " ", t->ids[i]);
    printf("%s\n", t->is_json ? "]}" : "");
}

/* A token a line: "1502 'User'", every byte but printable ASCII as \xNN. */
static void print_pieces(const tokenize *t, const bitnet_model *m) {
    for (int32_t i = 0; i < t->n; i++) {
        bitnet_escaped e;
        char text[1024]; /* longer tokens are refused at load */
        int32_t len = bitnet_token_text(m, t->ids[i], text, sizeof text);
        printf("%d '", t->ids[i]);
        for (int32_t at = 0; at < len; at += 64) /* as much as one bitnet_escaped takes */
            printf("%s", bitnet_escape(&e, text + at, (size_t)(len - at < 64 ? len - at : 64)));
        printf("'\n");
    }
}

int cmd_tokenize(int argc, char **argv) {
    tokenize t = {.load = {.level = BITNET_LOAD_VOCAB, .n_threads = 1}};
    arg_operands operands = {0};
    const arg_opt opts[] = {
        LOAD_FILE_OPTS(t.load),
        {'f', "file", ARG_STR, &t.file, "FILE", NULL, "read the text from a file, - for stdin", 0,
         0},
        {0, "no-bos", ARG_FLAG, &t.no_bos, NULL, NULL, "do not put BOS before the text", 0, 0},
        {0, "no-parse-special", ARG_FLAG, &t.no_parse_special, NULL, NULL,
         "<|eot_id|> and the like are text as any other", 0, 0},
        {0, "show-pieces", ARG_FLAG, &t.has_pieces, NULL, NULL,
         "one token per line, with its text; control tokens have none", 0, 0},
        {0, "json", ARG_FLAG, &t.is_json, NULL, NULL, "print one JSON object", 0, 0},
        {0}};
    const arg_cmd cmd = {"tokenize",
                         "Prints the token ids of a text: TEXT, a file, or what comes on stdin.",
                         "[TEXT | -f FILE | -] [options]",
                         opts,
                         &operands,
                         1};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    bitnet_error err = {0};
    loaded l = {0};
    bitnet_status st = BITNET_OK;
    if (t.has_pieces && t.is_json)
        st = bitnet_fail(&err, BITNET_E_INVAL, "usage.format",
                         "--show-pieces and --json exclude each other");
    if (st >= 0) st = read_text(&t, &operands, &err);
    if (st >= 0) st = load_model(&l, &t.load, &err);
    if (st >= 0) st = encode(&t, l.model, &err);
    if (st >= 0 && t.has_pieces)
        print_pieces(&t, l.model);
    else if (st >= 0)
        print_ids(&t);
    code = st < 0 ? args_fail(&err) : args_flush();
    load_close(&l);
    free(t.ids);
    free(t.text);
    return code;
}
