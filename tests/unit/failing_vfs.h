/* failing_vfs.h: the file system below SQLite, made to fail: the real one with a counter in front of
 * each write, sync and truncation. */
#ifndef BITNET_TEST_FAILING_VFS_H
#define BITNET_TEST_FAILING_VFS_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

typedef struct failing_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
} failing_file;

static struct failing {
    sqlite3_vfs vfs, *real;
    atomic_int n_calls;       /* that write, so far */
    atomic_int from, to;      /* calls [from, to) fail */
    atomic_int code;          /* with this */
    atomic_bool is_sync_only; /* only syncs fail, and count */
} failing;

static inline void fail_calls(int from, int to, int code, bool is_sync_only) {
    atomic_store(&failing.from, 0);
    atomic_store(&failing.to, 0);
    atomic_store(&failing.n_calls, 0);
    atomic_store(&failing.code, code);
    atomic_store(&failing.is_sync_only, is_sync_only);
    atomic_store(&failing.to, to);
    atomic_store(&failing.from, from);
}

static inline int failing_now(bool is_sync) {
    if (!is_sync && atomic_load(&failing.is_sync_only)) return SQLITE_OK;
    int n = atomic_fetch_add(&failing.n_calls, 1);
    return n >= atomic_load(&failing.from) && n < atomic_load(&failing.to)
               ? atomic_load(&failing.code)
               : SQLITE_OK;
}

static inline sqlite3_file *real_file(sqlite3_file *f) {
    return ((failing_file *)f)->real;
}
static int vfs_close(sqlite3_file *f) {
    return real_file(f)->pMethods->xClose(real_file(f));
}
static int vfs_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) {
    return real_file(f)->pMethods->xRead(real_file(f), p, n, at);
}
static int vfs_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
    int rc = failing_now(false);
    return rc ? rc : real_file(f)->pMethods->xWrite(real_file(f), p, n, at);
}
static int vfs_truncate(sqlite3_file *f, sqlite3_int64 n) {
    int rc = failing_now(false);
    return rc ? rc : real_file(f)->pMethods->xTruncate(real_file(f), n);
}
static int vfs_sync(sqlite3_file *f, int flags) {
    int rc = failing_now(true);
    return rc ? rc : real_file(f)->pMethods->xSync(real_file(f), flags);
}
static int vfs_size(sqlite3_file *f, sqlite3_int64 *n) {
    return real_file(f)->pMethods->xFileSize(real_file(f), n);
}
static int vfs_lock(sqlite3_file *f, int level) {
    return real_file(f)->pMethods->xLock(real_file(f), level);
}
static int vfs_unlock(sqlite3_file *f, int level) {
    return real_file(f)->pMethods->xUnlock(real_file(f), level);
}
static int vfs_reserved(sqlite3_file *f, int *out) {
    return real_file(f)->pMethods->xCheckReservedLock(real_file(f), out);
}
static int vfs_control(sqlite3_file *f, int op, void *arg) {
    return real_file(f)->pMethods->xFileControl(real_file(f), op, arg);
}
static int vfs_sector(sqlite3_file *f) {
    return real_file(f)->pMethods->xSectorSize(real_file(f));
}
static int vfs_device(sqlite3_file *f) {
    return real_file(f)->pMethods->xDeviceCharacteristics(real_file(f));
}
static int vfs_shm_map(sqlite3_file *f, int page, int n, int extend, void volatile **out) {
    return real_file(f)->pMethods->xShmMap(real_file(f), page, n, extend, out);
}
static int vfs_shm_lock(sqlite3_file *f, int at, int n, int flags) {
    return real_file(f)->pMethods->xShmLock(real_file(f), at, n, flags);
}
static void vfs_shm_barrier(sqlite3_file *f) {
    real_file(f)->pMethods->xShmBarrier(real_file(f));
}
static int vfs_shm_unmap(sqlite3_file *f, int should_delete) {
    return real_file(f)->pMethods->xShmUnmap(real_file(f), should_delete);
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out) {
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = vfs_close,
        .xRead = vfs_read,
        .xWrite = vfs_write,
        .xTruncate = vfs_truncate,
        .xSync = vfs_sync,
        .xFileSize = vfs_size,
        .xLock = vfs_lock,
        .xUnlock = vfs_unlock,
        .xCheckReservedLock = vfs_reserved,
        .xFileControl = vfs_control,
        .xSectorSize = vfs_sector,
        .xDeviceCharacteristics = vfs_device,
        .xShmMap = vfs_shm_map,
        .xShmLock = vfs_shm_lock,
        .xShmBarrier = vfs_shm_barrier,
        .xShmUnmap = vfs_shm_unmap,
    };
    failing_file *file = (failing_file *)f;
    (void)vfs;
    file->real = (sqlite3_file *)(file + 1);
    int rc = failing.real->xOpen(failing.real, name, file->real, flags, out);
    f->pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

/* From now on every SQLite file of this process goes through it. */
static void install_failing_vfs(void) {
    failing.real = sqlite3_vfs_find(NULL);
    failing.vfs = *failing.real;
    failing.vfs.zName = "failing";
    failing.vfs.szOsFile = (int)sizeof(failing_file) + failing.real->szOsFile;
    failing.vfs.xOpen = vfs_open;
    sqlite3_vfs_register(&failing.vfs, 1);
}

#endif
