/* main.c: check_kernels [seed]. Prints skipped variants, failures and a summary; exits with 0 when
 * nothing failed, 1 when something did, 64 for a bad argument. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static void print(const char *line) {
    puts(line);
}

int main(int argc, char **argv) {
    unsigned long long seed = 1;
    char *end = NULL;
    if (argc > 1) seed = strtoull(argv[1], &end, 10);
    if (argc > 2 || (end && (*end || end == argv[1]))) {
        fprintf(stderr, "usage: %s [seed]\n", argv[0]);
        return 64;
    }
    return check_kernels_run(seed, print) ? 1 : 0;
}
