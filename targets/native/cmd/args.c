/* args.c: see args.h. Parsing is getopt_long's; the table is ours. */
#define _GNU_SOURCE /* getopt_long */
#include "cmd/args.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "bitnet/backend.h"

#define MAX_OPTS  40
#define OPT_HELP  1000 /* getopt_long's value for --help; the others are OPT_FIRST + index */
#define OPT_FIRST 1001

static void complain_of_cpus(const char *id) {
    const bitnet_cpu_tier *t;
    fprintf(stderr, "a list of ");
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++)
        fprintf(stderr, "%s, ", t->name);
    fprintf(stderr, "or all is allowed [%s]\n", id);
}

static void complain(const char *id, const char *what, const char *name, const char *value,
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

/* What a higher place says replaces a list, it does not add to it; options of one list are one, so it is
 * emptied before the first value of any of them. is_begun [MAX_OPTS] is the place's own. */
static void begin_list(const arg_cmd *cmd, const arg_opt *o, bool *is_begun) {
    const arg_opt *first = cmd->opts;
    while (first->dest != o->dest)
        first++;
    bool *is_begun_here = &is_begun[first - cmd->opts];
    if (*is_begun_here) return;
    *is_begun_here = true;
    if (o->kind == ARG_LIST) ((arg_list *)o->dest)->n = 0;
    if (o->kind == ARG_NUMBERS || o->kind == ARG_PAIR) ((arg_numbers *)o->dest)->n = 0;
}

/* ---- one value ------------------------------------------------------------------------------------ */

/* Stores the value; false when it is not one. */
static bool store(const arg_opt *o, const char *value) {
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

/* The environment twin of an option: its own, or BITNET_ and the long name in capitals. */
static const char *env_name(const arg_opt *o, char *buf, size_t cap) {
    if (o->env) return o->env;
    size_t n = (size_t)snprintf(buf, cap, "BITNET_%s", o->name);
    for (size_t i = 0; i < n && i < cap; i++)
        buf[i] = (char)(buf[i] == '-' ? '_' : toupper((unsigned char)buf[i]));
    return buf;
}

static bool read_environment(const arg_cmd *cmd) {
    bool is_ok = true, is_begun[MAX_OPTS] = {false};
    for (const arg_opt *o = cmd->opts; o->name; o++) {
        char buf[64];
        const char *name = env_name(o, buf, sizeof buf), *value = getenv(name);
        if (!value && !strcmp(name, "BITNET_NUM_THREADS"))
            value = getenv(name = "RAYON_NUM_THREADS");
        if (!value || !*value) continue;
        begin_list(cmd, o, is_begun);
        if (!store(o, value)) {
            complain("config.environment", "environment variable ", name, value, o);
            is_ok = false;
        }
    }
    return is_ok;
}

static void print_help(const arg_cmd *cmd) {
    printf("usage: bitnet %s %s\n\n%s\n\n", cmd->verb, cmd->synopsis, cmd->summary);
    for (const arg_opt *o = cmd->opts; o->name; o++) {
        char left[64], env[64], short_part[8] = "    ";
        if (o->short_name) snprintf(short_part, sizeof short_part, "-%c, ", o->short_name);
        snprintf(left, sizeof left, "%s--%s%s%s", short_part, o->name, o->metavar ? " " : "",
                 o->metavar ? o->metavar : "");
        printf("  %-26s %s [%s]\n", left, o->help, env_name(o, env, sizeof env));
    }
    printf("  %-26s %s\n", "-h, --help", "show this help");
}

int args_parse(const arg_cmd *cmd, int argc, char **argv) {
    struct option longs[MAX_OPTS + 2] = {0};
    char shorts[2 * MAX_OPTS + 4] = ":h"; /* ':' tells a missing value from an unknown option */
    size_t n_shorts = strlen(shorts);
    bool is_begun[MAX_OPTS] = {false};
    int n = 0;
    for (const arg_opt *o = cmd->opts; o->name && n < MAX_OPTS; o++, n++) {
        longs[n] = (struct option){o->name, o->kind == ARG_FLAG ? no_argument : required_argument,
                                   NULL, OPT_FIRST + n};
        if (!o->short_name) continue;
        shorts[n_shorts++] = o->short_name;
        if (o->kind != ARG_FLAG) shorts[n_shorts++] = ':';
    }
    longs[n] = (struct option){"help", no_argument, NULL, OPT_HELP};

    bool env_is_ok = read_environment(cmd);
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == 'h' || c == OPT_HELP) {
            print_help(cmd);
            return 0;
        }
        if (c == '?' || c == ':') {
            fprintf(stderr, "bitnet: error: %s %s; see bitnet %s --help [usage.option]\n",
                    c == ':' ? "a value is missing after" : "there is no option", argv[optind - 1],
                    cmd->verb);
            return EX_USAGE;
        }
        const arg_opt *o = cmd->opts;
        if (c >= OPT_FIRST)
            o += c - OPT_FIRST;
        else
            while (o->short_name != c)
                o++;
        begin_list(cmd, o, is_begun);
        if (store(o, o->kind == ARG_FLAG ? "1" : optarg)) continue;
        complain("usage.value", "--", o->name, optarg, o);
        return EX_USAGE;
    }
    int n_allowed = cmd->operands ? cmd->max_operands : 0, n_given = argc - optind;
    if (cmd->operands)
        *cmd->operands = (arg_operands){argv + optind, n_given < n_allowed ? n_given : n_allowed};
    if (n_given > n_allowed) {
        fprintf(stderr,
                "bitnet: error: \"%s\" is one argument too many; see bitnet %s --help "
                "[usage.operand]\n",
                argv[optind + n_allowed], cmd->verb);
        return EX_USAGE;
    }
    return env_is_ok ? -1 : EX_CONFIG;
}

int args_print_json(cJSON *o) {
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text) return EX_OSERR;
    puts(text);
    cJSON_free(text);
    return args_flush();
}

int args_flush(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    fprintf(stderr, "bitnet: error: writing to stdout failed: %s [stdout.write]\n",
            strerror(errno));
    return EX_IOERR;
}

int args_fail(const bitnet_error *err) {
    fprintf(stderr, "bitnet: error: %s [%s]\n", err->text, err->id);
    if (!strcmp(err->id, "file.permission")) return EX_NOPERM;
    switch (err->status) {
    case BITNET_E_INVAL:
        return EX_USAGE;
    case BITNET_E_FORMAT:
    case BITNET_E_UNSUPPORTED:
    case BITNET_E_CTX_FULL:
        return EX_DATAERR;
    case BITNET_E_NOENT:
        return EX_NOINPUT;
    case BITNET_E_NOMEM:
        return EX_OSERR;
    case BITNET_E_IO:
        return EX_IOERR;
    case BITNET_E_BACKEND:
        return EX_UNAVAILABLE;
    case BITNET_E_CANCELLED:
        return 130;
    default:
        return EX_SOFTWARE;
    }
}
