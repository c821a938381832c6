/* args.h: one table of options per verb drives parsing, --help and the environment twins.
 *
 * Precedence: flag, then environment, then the default already in *dest; lists of the three are never
 * joined, those of two options with the same dest are. A bad value is an error that names the flag or the
 * variable, what it held and what is allowed; all there are are said, not the first alone. A variable BITNET_*
 * that no verb has is a warning.
 */
#ifndef BITNET_ARGS_H
#define BITNET_ARGS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "bitnet/status.h"

typedef enum arg_kind {
    ARG_FLAG,    /* bool *      no value */
    ARG_INT,     /* int32_t *   min .. max */
    ARG_FLOAT,   /* float *     min .. max */
    ARG_U64,     /* uint64_t * */
    ARG_SIZE,    /* uint64_t *  bytes: "1GB", "512MiB" */
    ARG_STR,     /* const char ** */
    ARG_CPUS,    /* uint32_t *  a CPU mask (bitnet/backend.h) */
    ARG_LIST,    /* arg_list *  the option may be given again and again */
    ARG_WORD,    /* int32_t *   index of one of the words in metavar, "a|b" */
    ARG_NUMBERS, /* arg_numbers *  "1,8", "1-4", "128-512+128", "64-512*2"; again and again */
    ARG_PAIR,    /* arg_numbers *  "512,128", two numbers each time it is given */
} arg_kind;

#define ARG_LIST_CAP 64

typedef struct arg_list {
    const char *v[ARG_LIST_CAP];
    int32_t n;
} arg_list;

typedef struct arg_numbers {
    int32_t v[ARG_LIST_CAP]; /* min .. max */
    int32_t n;
} arg_numbers;

typedef struct arg_operands { /* what is left of argv behind the options */
    char **v;
    int n;
} arg_operands;

typedef struct arg_opt {
    char short_name;  /* 0 = none */
    const char *name; /* without the dashes */
    arg_kind kind;
    void *dest;
    const char *metavar; /* "N", "FILE"; NULL for flags */
    const char *env;     /* "BITNET_NUM_THREADS"; NULL = none */
    const char *help;
    double min, max; /* both 0 = unchecked */
} arg_opt;

typedef struct arg_cmd {
    const char *verb, *summary, *synopsis; /* "run", "answer one prompt", "[options]" */
    const arg_opt *opts;                   /* ends with name == NULL */
    arg_operands *operands;                /* may be NULL: none allowed */
    int max_operands;
} arg_cmd;

/* Returns -1 to go on; otherwise the exit code: 0 after --help or --print-config (both to stdout), 64 after
 * usage errors, 78 when environment variables alone are bad (one sentence to stderr each, all of them).
 * argv[0] is the verb. Nothing may have been opened before: it may return at once. */
int args_parse(const arg_cmd *cmd, int argc, char **argv);

/* Whether all tables are being searched for the name of a variable: a verb of several parts then calls each
 * part, which returns from its args_parse. */
bool args_only_looks(void);

typedef struct arg_preset {
    const char *name, *value; /* of an option */
} arg_preset;

/* {0} has none. */
typedef struct arg_rules {
    const char *flag; /* an option of the table, ARG_FLAG: where it is set, */
    const arg_preset
        *presets; /* these options have these values, unless they are given; ends with NULL */
    /* What the table cannot say; prints one sentence for each fault, and returns false when there was one.
     * will_run is false for --print-config, when something missing is no fault. NULL: all is well. */
    bool (*check)(void *user, bool will_run);
    void *user;
} arg_rules;
int args_parse_with(const arg_cmd *cmd, const arg_rules *rules, int argc, char **argv);

/* Prints a JSON object on one line of stdout, frees it and flushes; EX_OSERR when there is no memory
 * for its text. */
int args_print_json(cJSON *o);

/* Flushes stdout: 0, or 74 and one sentence to stderr when what was printed did not get through. */
int args_flush(void);

/* sysexits for a failed library call, and "bitnet: error: <text> [<id>]" to stderr. */
int args_fail(const bitnet_error *err);

#endif
