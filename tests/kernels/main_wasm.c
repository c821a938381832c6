/* main_wasm.c: the same checks, exported from a wasm module. Link with
 * -sEXPORTED_FUNCTIONS=_bitnet_check_kernels. */
#include <stdio.h>

#include "check.h"

int bitnet_check_kernels(void);

static void print(const char *line) {
    puts(line);
}

/* Returns the number of failed checks; lines go to the module's stdout. */
int bitnet_check_kernels(void) {
    return check_kernels_run(1, print);
}
