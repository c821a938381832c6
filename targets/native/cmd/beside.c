/* beside.c: see beside.h. */
#define _GNU_SOURCE /* readlink, realpath */
#include "cmd/beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool find_beside(char out[PATH_MAX], const char *const *places, int n) {
    char folder[PATH_MAX], path[2 * PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (len <= 0) return false;
    folder[len] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash) return false;
    *slash = '\0';
    for (int i = 0; i < n; i++) {
        int size = snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        if (size > 0 && (size_t)size < sizeof path && realpath(path, out)) return true;
    }
    return false;
}
