/* args.c: see args.h. Parsing is getopt_long's; the table is ours. */
#define _GNU_SOURCE /* getopt_long, environ */
#include "cmd/args.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/arg_value.h"
#include "cmd/cmd.h"

#define MAX_OPTS   48
#define OPT_HELP   1000 /* getopt_long's values; those of the table are OPT_FIRST + index */
#define OPT_CONFIG 1001
#define OPT_FIRST  1002
#define ALIAS_OF   "BITNET_NUM_THREADS"
#define ALIAS      "RAYON_NUM_THREADS"

typedef enum origin { FROM_DEFAULT, FROM_RULE, FROM_ALIAS, FROM_ENVIRONMENT, FROM_FLAG } origin;

/* One parse: what each option was told, by whom, and how much of that is wrong. */
typedef struct parse {
    const arg_cmd *cmd;
    origin from[MAX_OPTS];
    bool is_begun[MAX_OPTS]; /* lists that this place has begun */
    int n_usage, n_environment;
    bool wants_config;
} parse;

/* What a higher place says replaces a list, it does not add to it; options of one list are one, so it is
 * emptied before the first value of any of them. is_begun [MAX_OPTS] is the place's own. */
static void begin_list(parse *p, const arg_opt *o) {
    const arg_opt *first = p->cmd->opts;
    while (first->dest != o->dest)
        first++;
    bool *is_begun_here = &p->is_begun[first - p->cmd->opts];
    if (*is_begun_here) return;
    *is_begun_here = true;
    if (o->kind == ARG_LIST) ((arg_list *)o->dest)->n = 0;
    if (o->kind == ARG_NUMBERS || o->kind == ARG_PAIR) ((arg_numbers *)o->dest)->n = 0;
}

/* Stores a value that a place higher than those before it gives. */
static bool take(parse *p, const arg_opt *o, const char *value, origin from) {
    begin_list(p, o);
    p->from[o - p->cmd->opts] = from;
    return arg_store(o, value);
}

/* ---- the environment ----------------------------------------------------------------------------- */

/* The environment twin of an option: its own, or BITNET_ and the long name in capitals. */
static const char *env_name(const arg_opt *o, char *buf, size_t cap) {
    if (o->env) return o->env;
    size_t n = (size_t)snprintf(buf, cap, "BITNET_%s", o->name);
    for (size_t i = 0; i < n && i < cap; i++)
        buf[i] = (char)(buf[i] == '-' ? '_' : toupper((unsigned char)buf[i]));
    return buf;
}

static void read_environment(parse *p) {
    for (const arg_opt *o = p->cmd->opts; o->name; o++) {
        char buf[64];
        const char *name = env_name(o, buf, sizeof buf), *value = getenv(name);
        origin from = FROM_ENVIRONMENT;
        if (!value && !strcmp(name, ALIAS_OF)) value = getenv(name = ALIAS), from = FROM_ALIAS;
        if (!value || !*value || take(p, o, value, from)) continue;
        arg_complain("config.environment", "environment variable ", name, value, o);
        p->n_environment++;
    }
}

static bool is_twin(const arg_cmd *cmd, const char *name) {
    char buf[64];
    for (const arg_opt *o = cmd->opts; o->name; o++)
        if (!strcmp(env_name(o, buf, sizeof buf), name)) return true;
    return false;
}

/* A variable may be another verb's. Each has its table within itself, so each is run: as far as args_parse,
 * which then only looks. */
static const char *looked_for;
static bool is_found;

bool args_only_looks(void) {
    return looked_for != NULL;
}

static bool is_known(const char *name) {
    static int (*const verbs[])(int, char **) = {
#define VERB(verb, summary) cmd_##verb,
#include "commands.def"
#undef VERB
    };
    static const char *const of_tests[] = {"BITNET_BIN", "BITNET_CHROMIUM"};
    for (size_t i = 0; i < sizeof of_tests / sizeof *of_tests; i++)
        if (!strcmp(name, of_tests[i])) return true;
    looked_for = name, is_found = false;
    for (size_t i = 0; !is_found && i < sizeof verbs / sizeof *verbs; i++) {
        char none[] = "";
        verbs[i](1, (char *[]){none, NULL});
    }
    looked_for = NULL;
    return is_found;
}

static void warn_of_unknown(const arg_cmd *cmd) {
    for (char **at = environ; *at; at++) {
        char name[64];
        const size_t n = strcspn(*at, "=");
        if (strncmp(*at, "BITNET_", 7) != 0 || !(*at)[n] || !(*at)[n + 1]) continue;
        snprintf(name, sizeof name, "%.*s", (int)n, *at);
        if (n < sizeof name && (is_twin(cmd, name) || is_known(name))) continue;
        bitnet_escaped e;
        fprintf(stderr,
                "bitnet: warning: no option is named by the environment variable %s; see bitnet %s "
                "--help [config.unknown]\n",
                bitnet_escape(&e, *at, n), cmd->verb);
    }
}

/* ---- flags --------------------------------------------------------------------------------------- */

static void print_help(const arg_cmd *cmd) {
    printf("usage: bitnet %s %s\n\n%s\n\n", cmd->verb, cmd->synopsis, cmd->summary);
    for (const arg_opt *o = cmd->opts; o->name; o++) {
        char left[64], env[64], short_part[8] = "    ";
        if (o->short_name) snprintf(short_part, sizeof short_part, "-%c, ", o->short_name);
        snprintf(left, sizeof left, "%s--%s%s%s", short_part, o->name, o->metavar ? " " : "",
                 o->metavar ? o->metavar : "");
        printf("  %-26s %s [%s]\n", left, o->help, env_name(o, env, sizeof env));
    }
    printf("  %-26s %s\n", "    --print-config",
           "show what all this is set to, and by what, and end");
    printf("  %-26s %s\n", "-h, --help", "show this help");
}

static void complain_of_option(parse *p, int c, const char *word) {
    char letter[3] = {'-', (char)optopt, 0};
    const bool is_letter =
        optopt > 0 && optopt < OPT_HELP; /* of a cluster the word would be all of it */
    fprintf(stderr, "bitnet: error: %s %s; see bitnet %s --help [usage.option]\n",
            c == ':' ? "a value is missing after" : "there is no option", is_letter ? letter : word,
            p->cmd->verb);
    p->n_usage++;
}

/* True to show the help and nothing else. */
static bool read_flags(parse *p, int argc, char **argv) {
    struct option longs[MAX_OPTS + 3] = {0};
    char shorts[2 * MAX_OPTS + 4] = ":h"; /* ':' tells a missing value from an unknown option */
    size_t n_shorts = strlen(shorts);
    int n = 0;
    for (const arg_opt *o = p->cmd->opts; o->name && n < MAX_OPTS; o++, n++) {
        longs[n] = (struct option){o->name, o->kind == ARG_FLAG ? no_argument : required_argument,
                                   NULL, OPT_FIRST + n};
        if (!o->short_name) continue;
        shorts[n_shorts++] = o->short_name;
        if (o->kind != ARG_FLAG) shorts[n_shorts++] = ':';
    }
    longs[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    longs[n] = (struct option){"print-config", no_argument, NULL, OPT_CONFIG};

    memset(p->is_begun, 0, sizeof p->is_begun);
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const arg_opt *o = p->cmd->opts;
        if (c == 'h' || c == OPT_HELP) {
            if (p->n_usage == 0) return true;
        } else if (c == OPT_CONFIG) {
            p->wants_config = true;
        } else if (c == '?' || c == ':') {
            complain_of_option(p, c, argv[optind - 1]);
        } else {
            if (c >= OPT_FIRST)
                o += c - OPT_FIRST;
            else
                while (o->short_name != c)
                    o++;
            if (take(p, o, o->kind == ARG_FLAG ? "1" : optarg, FROM_FLAG)) continue;
            arg_complain("usage.value", "--", o->name, optarg, o);
            p->n_usage++;
        }
    }
    return false;
}

static void take_operands(parse *p, int argc, char **argv) {
    const arg_cmd *cmd = p->cmd;
    int n_allowed = cmd->operands ? cmd->max_operands : 0, n_given = argc - optind;
    if (cmd->operands)
        *cmd->operands = (arg_operands){argv + optind, n_given < n_allowed ? n_given : n_allowed};
    if (n_given <= n_allowed) return;
    fprintf(stderr,
            "bitnet: error: \"%s\" is one argument too many; see bitnet %s --help "
            "[usage.operand]\n",
            argv[optind + n_allowed], cmd->verb);
    p->n_usage++;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static const arg_opt *find_option(const arg_cmd *cmd, const char *name) {
    const arg_opt *o = cmd->opts;
    while (strcmp(o->name, name))
        o++;
    return o;
}

/* What the rule's flag sets where nobody else has. */
static void apply(parse *p, const arg_rules *rules) {
    if (!rules->flag || !*(bool *)find_option(p->cmd, rules->flag)->dest) return;
    for (const arg_preset *preset = rules->presets; preset->name; preset++) {
        const arg_opt *o = find_option(p->cmd, preset->name);
        if (p->from[o - p->cmd->opts] == FROM_DEFAULT) take(p, o, preset->value, FROM_RULE);
    }
}

/* Of the options that fill the same place, the one that had the last word. */
static const arg_opt *told_by(const parse *p, const arg_opt *o) {
    const arg_opt *by = o;
    for (const arg_opt *other = p->cmd->opts; other->name; other++)
        if (other->dest == o->dest && p->from[other - p->cmd->opts] > p->from[by - p->cmd->opts])
            by = other;
    return by;
}

static cJSON *json_origin(const parse *p, const arg_rules *rules, const arg_opt *o) {
    char text[80];
    switch (p->from[o - p->cmd->opts]) {
    case FROM_RULE:
        return json_origin(p, rules, find_option(p->cmd, rules->flag));
    case FROM_ALIAS:
        return cJSON_CreateString(ALIAS);
    case FROM_ENVIRONMENT:
        return cJSON_CreateString(env_name(o, text, sizeof text));
    case FROM_FLAG:
        snprintf(text, sizeof text, "--%s", o->name);
        return cJSON_CreateString(text);
    case FROM_DEFAULT:
        break;
    }
    return cJSON_CreateString("default");
}

static int print_config(const parse *p, const arg_rules *rules) {
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "verb", p->cmd->verb);
    cJSON *options = cJSON_AddObjectToObject(all, "options");
    for (const arg_opt *o = p->cmd->opts; o->name; o++) {
        cJSON *entry = cJSON_AddObjectToObject(options, o->name);
        const arg_opt *by = told_by(p, o);
        const bool is_given = p->from[by - p->cmd->opts] != FROM_DEFAULT;
        cJSON_AddItemToObject(entry, "value", arg_json(o, is_given));
        cJSON_AddItemToObject(entry, "from", json_origin(p, rules, by));
    }
    return args_print_json(all);
}

int args_parse_with(const arg_cmd *cmd, const arg_rules *rules, int argc, char **argv) {
    if (looked_for) {
        is_found = is_twin(cmd, looked_for);
        return 0;
    }
    parse p = {.cmd = cmd};
    read_environment(&p);
    if (read_flags(&p, argc, argv)) {
        print_help(cmd);
        return 0;
    }
    take_operands(&p, argc, argv);
    apply(&p, rules);
    if (rules->check && !rules->check(rules->user, !p.wants_config)) p.n_usage++;
    warn_of_unknown(cmd);
    if (p.n_usage > 0) return EX_USAGE;
    if (p.n_environment > 0) return EX_CONFIG;
    return p.wants_config ? print_config(&p, rules) : -1;
}

int args_parse(const arg_cmd *cmd, int argc, char **argv) {
    return args_parse_with(cmd, &(arg_rules){0}, argc, argv);
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
