/* history_open.c: see history_open.h. */
#include "cmd/history_open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/base.h"
#include "cmd/args.h"

/* mkdir -p of the folder that holds `path`. */
static bitnet_status make_folders(char *path, bitnet_error *err) {
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        int rc = mkdir(path, 0700);
        int why = errno;
        if (rc != 0 && why != EEXIST)
            return bitnet_fail(err, BITNET_E_IO,
                               why == EACCES || why == EPERM ? "file.permission" : "store.create",
                               "cannot create the folder %s: %s", path, strerror(why));
        *p = '/';
    }
    return BITNET_OK;
}

bitnet_status history_default_path(char out[HISTORY_PATH_MAX], bool should_create,
                                   bitnet_error *err) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state && *state == '/') /* the specification: anything else is to be ignored */
        n = snprintf(out, HISTORY_PATH_MAX, "%s/libbitnet/history.db", state);
    else if (home && *home == '/')
        n = snprintf(out, HISTORY_PATH_MAX, "%s/.local/state/libbitnet/history.db", home);
    if (n < 0 || n >= HISTORY_PATH_MAX)
        return bitnet_fail(err, BITNET_E_INVAL, "store.path",
                           "neither XDG_STATE_HOME nor HOME names a folder for the history; give "
                           "one with --db PATH");
    return should_create ? make_folders(out, err) : BITNET_OK;
}

bitnet_status history_open(store **out, store_desc desc, bitnet_error *err) {
    char path[HISTORY_PATH_MAX];
    *out = NULL;
    if (!desc.location) {
        bitnet_status st = history_default_path(path, !desc.is_read_only, err);
        if (st < 0) return st;
        desc.location = path;
    }
    return store_open(out, &desc, err);
}

int history_fail(const bitnet_error *err) {
    static const struct {
        const char *id;
        int code;
    } table[] = {
        {"store.locked", EX_TEMPFAIL},     {"store.busy", EX_TEMPFAIL},
        {"store.newer", EX_CONFIG},        {"store.older", EX_CONFIG},
        {"store.network", EX_CONFIG},      {"store.create", EX_CANTCREAT},
        {"store.read_only", EX_CANTCREAT}, {"store.driver", EX_UNAVAILABLE},
        {"store.server", EX_UNAVAILABLE},
    };
    int code = args_fail(err);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(err->id, table[i].id) == 0) code = table[i].code;
    return code;
}
