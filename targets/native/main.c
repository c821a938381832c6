/* main.c: finds the verb and hands over; nothing else. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "bitnet/bitnet.h"
#include "cmd/cmd.h"

static const struct verb {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} verbs[] = {
#define VERB(name, summary) {#name, summary, cmd_##name},
#include "commands.def"
#undef VERB
};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static void print_help(FILE *out) {
    fprintf(
        out,
        "bitnet %s - run 1.58-bit (ternary) language models\n\nusage: bitnet <verb> [options]\n\n",
        BITNET_VERSION);
    for (size_t i = 0; i < N_VERBS; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n  bitnet run -p \"Once upon a time\"     with the embedded model\n"
                 "  bitnet chat -m model.gguf            any GGUF file or Hugging Face folder\n"
                 "  bitnet <verb> --help                 the options of a verb\n"
                 "  bitnet --version                     version, compiler, SIMD tiers\n");
}

static void print_version(void) {
    printf("bitnet %s\ncompiler  %s\ntiers    ", BITNET_VERSION, __VERSION__);
    const bitnet_cpu_tier *t;
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++)
        if (!(t->flag & ~bitnet_cpu_flags())) printf(" %s", t->name);
    putchar('\n');
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a closed stdout or socket is an error code, not a death */
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        print_version();
        return 0;
    }
    for (size_t i = 0; i < N_VERBS; i++)
        if (!strcmp(argv[1], verbs[i].name)) return verbs[i].run(argc - 1, argv + 1);
    fprintf(stderr, "bitnet: error: there is no verb \"%s\"; see bitnet --help [usage.verb]\n",
            argv[1]);
    return EX_USAGE;
}
