/* beside.h: folders that come with the executable: those of its build tree, then those of an
 * installation. */
#ifndef BITNET_BESIDE_H
#define BITNET_BESIDE_H

#include <limits.h>
#include <stdbool.h>

/* The first of places[0..n), relative to the executable's folder, that exists; false when none does
 * or the system does not tell where the executable is. */
bool find_beside(char out[PATH_MAX], const char *const *places, int n);

#endif
