/* store_sqlite.c: the history in one SQLite file, the default; see store_db.h.
 *
 * One process writes, over one connection: a lock file beside the database, held with flock, says
 * who. Commits are durable (WAL, synchronous=FULL). Readers have their own read-only connections
 * with a deadline for each statement, so that none keeps the log from being reset. A file is
 * checked to be ours, and not newer, by its header before SQLite touches it; nothing is ever
 * deleted or repaired here. */
#define _GNU_SOURCE /* flock, O_NOFOLLOW */
#include "dash/store_db.h"
#include "dash/store_schema.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/base.h"
#include "base/os.h"

enum {
    PAGES_IN_CACHE_KIB = 16 * 1024,
    LOG_BYTES_MAX = 64 * 1024 * 1024, /* what the WAL is cut back to */
    BUSY_MS = 2000,                   /* for a checkpoint that is in the way of a reader */
    CHECK_MS = 2000,                  /* for looking at the data after a failed write */
    STEPS_BETWEEN_LOOKS = 4000,       /* virtual machine steps between looks at the clock */
    PAGES_A_SHRINK = 64,
    PAGES_LEFT_FREE = 8, /* for what is written next */
};

struct db_rows {
    db *db;
    sqlite3_stmt *stmt;
};

struct db {
    sqlite3 *sqlite;
    db_rows rows[N_SQL]; /* a prepared statement each, made when first used */
    char path[PATH_MAX];
    bool is_read_only;
    int lock; /* descriptor of the lock file, -1 when reading */
    uint32_t deadline_ms;
    uint64_t late_ms; /* when the statement at work is too late; 0 = never */
};

static uint64_t now_ms(void) {
    return bitnet_os_now_ns() / 1000000;
}

/* --- errors --- */

static bitnet_status fail(db *d, bitnet_error *err, int rc) {
    int os = sqlite3_system_errno(d->sqlite);
    const char *why = d->sqlite ? sqlite3_errmsg(d->sqlite) : sqlite3_errstr(rc), *path = d->path;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for the history");
    case SQLITE_FULL:
        return bitnet_fail(err, BITNET_E_IO, "store.full", "no space left to write %s", path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt",
                           "the history is damaged (%s); save what can be read with `sqlite3 FILE "
                           ".recover | sqlite3 NEW`; nothing was changed in %s",
                           why, path);
    case SQLITE_INTERRUPT:
        return bitnet_fail(err, BITNET_E_CANCELLED, "store.deadline",
                           "reading the history took longer than the %" PRIu32 " ms allowed",
                           d->deadline_ms);
    case SQLITE_CONSTRAINT:
        return bitnet_fail(err, BITNET_E_INVAL, "store.message",
                           "the message does not fit what is in the history: %s", why);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return bitnet_fail(err, BITNET_E_IO, "store.busy", "%s is in use by another program", path);
    case SQLITE_READONLY:
        return bitnet_fail(err, BITNET_E_IO, "store.read_only", "%s cannot be written: %s", path,
                           why);
    case SQLITE_CANTOPEN:
        return bitnet_fail(err, BITNET_E_IO, "store.open", "cannot open %s: %s", path,
                           os ? strerror(os) : why);
    default:
        if (os == ENOSPC || os == EDQUOT)
            return bitnet_fail(err, BITNET_E_IO, "store.full", "no space left to write %s", path);
        return bitnet_fail(err, BITNET_E_IO, "store.io", "reading or writing %s failed: %s", path,
                           why);
    }
}

static bitnet_status fail_os(bitnet_error *err, const char *id, const char *what,
                             const char *path) {
    if (errno == EACCES || errno == EPERM) id = "file.permission";
    return bitnet_fail(err, errno == ENOENT ? BITNET_E_NOENT : BITNET_E_IO, id, "%s %s: %s", what,
                       path, strerror(errno));
}

/* --- before SQLite --- */

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* An empty or missing file is a new one. The version in the header may lag behind the log's, so it
 * is asked for again once the file is open; the application id never changes. */
static bitnet_status check_header(const char *path, bool *is_new, bitnet_error *err) {
    uint8_t head[100];
    *is_new = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *is_new = true;
        return BITNET_OK;
    }
    if (fd < 0) return fail_os(err, "store.open", "cannot open", path);
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    if (n < 0) return fail_os(err, "store.io", "cannot read", path);
    *is_new = n == 0;
    if (n == 0) return BITNET_OK;
    if (n != sizeof head || memcmp(head, "SQLite format 3", 16) != 0 ||
        big_endian(head + 68) != STORE_APPLICATION_ID)
        return bitnet_fail(err, BITNET_E_FORMAT, "store.foreign",
                           "%s is not a history of bitnet; it was left as it is", path);
    if (big_endian(head + 60) > DB_SCHEMA_VERSION)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "store.newer",
                           "%s has version %" PRIu32 " of the tables, this program knows up to %d; "
                           "it was left as it is",
                           path, big_endian(head + 60), DB_SCHEMA_VERSION);
    return BITNET_OK;
}

/* Locks and shared memory do not work over a network, and SQLite's WAL needs both. */
static bitnet_status check_file_system(const char *path, bitnet_error *err) {
    static const uint32_t network[] = {0x6969 /* NFS */, 0xff534d42 /* CIFS */,
                                       0xfe534d42 /* SMB2 */, 0x01021997 /* 9P */};
    char folder[PATH_MAX];
    struct statfs fs;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    if (statfs(folder, &fs) != 0) return fail_os(err, "store.create", "cannot write to", folder);
    for (size_t i = 0; i < sizeof network / sizeof *network; i++)
        if ((uint32_t)fs.f_type == network[i])
            return bitnet_fail(
                err, BITNET_E_UNSUPPORTED, "store.network",
                "%s is on a network file system, which cannot hold the history; name "
                "a local file or a postgres:// server",
                path);
    return BITNET_OK;
}

/* The lock file stays when we go: to remove it would race with whoever opens it next. */
static bitnet_status take_lock(db *d, bitnet_error *err) {
    char path[PATH_MAX + 8], pid[24] = "";
    snprintf(path, sizeof path, "%s.lock", d->path);
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock < 0)
        return fail_os(err, errno == EROFS ? "store.read_only" : "store.create", "cannot create",
                       path);
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = errno == EWOULDBLOCK ? read(d->lock, pid, sizeof pid - 1) : -1;
        if (n < 0) return fail_os(err, "store.io", "cannot lock", path);
        pid[strspn(pid, "0123456789")] = '\0';
        return bitnet_fail(err, BITNET_E_IO, "store.locked",
                           "%s is being written by process %s; stop it or name another file",
                           d->path, *pid ? pid : "(unknown)");
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(d->lock, 0) != 0 || pwrite(d->lock, pid, (size_t)n, 0) != n)
        return fail_os(err, errno == ENOSPC ? "store.full" : "store.io", "cannot write", path);
    return BITNET_OK;
}

/* --- connection --- */

static int on_progress(void *ctx) {
    db *d = ctx;
    return d->late_ms && now_ms() > d->late_ms;
}

static void start_clock(db *d) {
    d->late_ms = d->deadline_ms ? now_ms() + d->deadline_ms : 0;
}

static bitnet_status sqlite_exec(db *d, const char *script, bitnet_error *err) {
    if (!d->sqlite) return fail(d, err, SQLITE_IOERR); /* a reopen has failed */
    start_clock(d);
    int rc = sqlite3_exec(d->sqlite, script, NULL, NULL, NULL);
    return rc == SQLITE_OK ? BITNET_OK : fail(d, err, sqlite3_extended_errcode(d->sqlite));
}

/* The one integer that a pragma answers with. */
static bitnet_status ask(db *d, const char *sql, int64_t *out, bitnet_error *err) {
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(d->sqlite, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(stmt, 0);
    bitnet_status st = rc == SQLITE_ROW ? BITNET_OK : fail(d, err, rc);
    sqlite3_finalize(stmt);
    return st;
}

static void disconnect(db *d) {
    for (int i = 0; i < N_SQL; i++) {
        sqlite3_finalize(d->rows[i].stmt);
        d->rows[i].stmt = NULL;
    }
    sqlite3_close(d->sqlite);
    d->sqlite = NULL;
}

/* A file on a medium that cannot be written, and that no log lies beside, does not change. */
static int open_immutable(db *d) {
    char log[PATH_MAX + 8], uri[3 * PATH_MAX + 32] = "file:";
    snprintf(log, sizeof log, "%s-wal", d->path);
    if (access(log, F_OK) == 0) return SQLITE_CANTOPEN;
    size_t n = strlen(uri);
    for (const char *p = d->path; *p; p++)
        n += (size_t)snprintf(uri + n, 4, strchr("?#%", *p) ? "%%%02X" : "%c", (unsigned char)*p);
    strcpy(uri + n, "?immutable=1");
    disconnect(d);
    return sqlite3_open_v2(uri, &d->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
}

static int open_file(db *d) {
    int flags =
        SQLITE_OPEN_NOMUTEX | (d->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    int rc = sqlite3_open_v2(d->path, &d->sqlite, flags, NULL);
    if (rc != SQLITE_OK || !d->is_read_only) return rc;
    rc = sqlite3_exec(d->sqlite, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    return (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY ? open_immutable(d)
                                                                            : rc;
}

static bitnet_status connect_to(db *d, bitnet_error *err) {
    int rc = open_file(d);
    if (rc != SQLITE_OK) return fail(d, err, rc);
    sqlite3_extended_result_codes(d->sqlite, 1);
    sqlite3_busy_timeout(d->sqlite, BUSY_MS);
    sqlite3_progress_handler(d->sqlite, STEPS_BETWEEN_LOOKS, on_progress, d);
    /* Until the file is known to be ours, closing must not write either. */
    sqlite3_db_config(d->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(d->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return sqlite_exec(d, "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON", err);
}

/* A version in one transaction, its number in the header included; the first also says whose it is. */
static bitnet_status migrate(db *d, int64_t version, bitnet_error *err) {
    static_assert(STORE_APPLICATION_ID == 1651797620, "the pragma takes no expression");
    bitnet_status st = BITNET_OK;
    char bump[64];
    for (; st >= 0 && version < DB_SCHEMA_VERSION; version++) {
        snprintf(bump, sizeof bump, "PRAGMA user_version = %d; COMMIT", (int)version + 1);
        st = sqlite_exec(d, "BEGIN IMMEDIATE", err);
        if (st >= 0) st = sqlite_exec(d, store_migrations[version].sqlite, err);
        if (st >= 0 && version == 0)
            st = sqlite_exec(d,
                             "INSERT INTO meta VALUES('store_id', lower(hex(randomblob(8))));"
                             "PRAGMA application_id = 1651797620",
                             err);
        if (st >= 0) st = sqlite_exec(d, bump, err);
    }
    return st;
}

static bitnet_status check_version(db *d, bitnet_error *err) {
    int64_t version = 0, id = 0;
    bitnet_status st = ask(d, "PRAGMA user_version", &version, err);
    if (st >= 0) st = ask(d, "PRAGMA application_id", &id, err);
    if (st < 0) return st;
    if (id != STORE_APPLICATION_ID)
        return bitnet_fail(err, BITNET_E_FORMAT, "store.foreign",
                           "%s is not a history of bitnet; it was left as it is", d->path);
    if (version > DB_SCHEMA_VERSION)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "store.newer",
                           "%s has version %" PRId64 " of the tables, this program knows up to %d; "
                           "it was left as it is",
                           d->path, version, DB_SCHEMA_VERSION);
    if (d->is_read_only && version < DB_SCHEMA_VERSION)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "store.older",
                           "%s has version %" PRId64 " of the tables; it is brought to %d when it "
                           "is next written",
                           d->path, version, DB_SCHEMA_VERSION);
    return d->is_read_only ? BITNET_OK : migrate(d, version, err);
}

/* Once the file is known to be ours. */
static bitnet_status settle(db *d, bitnet_error *err) {
    char settings[256];
    bitnet_status st = check_version(d, err);
    if (st < 0) return st;
    if (d->is_read_only) return sqlite_exec(d, "PRAGMA query_only = ON", err);
    sqlite3_db_config(d->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    snprintf(settings, sizeof settings,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -%d;"
             "PRAGMA journal_size_limit = %d",
             PAGES_IN_CACHE_KIB, LOG_BYTES_MAX);
    return sqlite_exec(d, settings, err);
}

static bitnet_status sync_folder(const char *path, bitnet_error *err) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    bool ok = fd >= 0 && fsync(fd) == 0;
    bitnet_status st = ok ? BITNET_OK : fail_os(err, "store.create", "cannot sync", folder);
    if (fd >= 0) close(fd);
    return st;
}

/* Made under another name and then given its own, so that what has the name is whole and ours: a
 * process that ends half way leaves nothing that the next one would take for a stranger's. */
static bitnet_status create_file(db *d, bitnet_error *err) {
    char name[PATH_MAX];
    memcpy(name, d->path, sizeof name);
    if ((size_t)snprintf(d->path, sizeof d->path, "%s.new", name) >= sizeof d->path)
        return bitnet_fail(err, BITNET_E_INVAL, "store.path",
                           "the path of the history is too long");
    unlink(d->path);
    int fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bitnet_status st = BITNET_OK;
    if (fd < 0)
        st = fail_os(err, errno == EROFS ? "store.read_only" : "store.create", "cannot create",
                     d->path);
    else
        close(fd);
    if (st >= 0) st = connect_to(d, err);
    if (st >= 0) st = sqlite_exec(d, "PRAGMA auto_vacuum = INCREMENTAL", err);
    if (st >= 0) st = migrate(d, 0, err);
    disconnect(d);
    if (st >= 0 && rename(d->path, name) != 0)
        st = fail_os(err, "store.create", "cannot create", name);
    memcpy(d->path, name, sizeof name);
    return st < 0 ? st : sync_folder(name, err);
}

static void sqlite_close(db *d) {
    if (!d) return;
    disconnect(d);
    if (d->lock >= 0) close(d->lock);
    free(d);
}

static bitnet_status sqlite_open(db **out, const db_options *o, bitnet_error *err) {
    db *d = calloc(1, sizeof *d);
    bool is_new = false;
    *out = NULL;
    if (!d) return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for the history");
    d->lock = -1;
    d->is_read_only = o->is_read_only;
    d->deadline_ms = o->is_read_only ? o->deadline_ms : 0;
    bitnet_status st = BITNET_OK;
    if ((size_t)snprintf(d->path, sizeof d->path, "%s", o->location) >= sizeof d->path)
        st = bitnet_fail(err, BITNET_E_INVAL, "store.path", "the path of the history is too long");
    if (st >= 0) st = check_header(d->path, &is_new, err);
    if (st >= 0 && o->is_read_only && is_new)
        st = bitnet_fail(err, BITNET_E_NOENT, "store.none", "there is no history in %s", d->path);
    if (st >= 0 && !o->is_read_only) st = check_file_system(d->path, err);
    if (st >= 0 && !o->is_read_only) st = take_lock(d, err);
    if (st >= 0 && is_new) st = create_file(d, err);
    if (st >= 0) st = connect_to(d, err);
    if (st >= 0) st = settle(d, err);
    if (st < 0) {
        sqlite_close(d);
        return st;
    }
    *out = d;
    return BITNET_OK;
}

/* After a sync has failed, what SQLite and the kernel hold in memory may differ from the disk. */
static bitnet_status sqlite_reopen(db *d, bitnet_error *err) {
    disconnect(d);
    bool is_new = false;
    bitnet_status st = check_header(d->path, &is_new, err);
    if (st >= 0 && is_new)
        st = bitnet_fail(err, BITNET_E_IO, "store.gone", "%s was removed or emptied", d->path);
    if (st >= 0) st = connect_to(d, err);
    if (st >= 0) st = settle(d, err);
    if (st < 0) return st;
    sqlite3_stmt *stmt = NULL;
    d->late_ms = now_ms() + CHECK_MS;
    int rc = sqlite3_prepare_v2(d->sqlite, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    bool is_bad = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0;
    sqlite3_finalize(stmt);
    d->late_ms = 0;
    if (is_bad) return fail(d, err, SQLITE_CORRUPT);
    return rc == SQLITE_ROW || rc == SQLITE_INTERRUPT ? BITNET_OK : fail(d, err, rc);
}

/* --- statements --- */

/* `keep` says whether the bytes outlive the call. */
static int bind(sqlite3_stmt *stmt, int i, const db_value *v, sqlite3_destructor_type keep) {
    if (v->is_null) return sqlite3_bind_null(stmt, i);
    switch (v->type) {
    case DB_INT:
        return sqlite3_bind_int64(stmt, i, v->i);
    case DB_REAL:
        return sqlite3_bind_double(stmt, i, v->r);
    case DB_TEXT:
        return sqlite3_bind_text64(stmt, i, v->p, v->n, keep, SQLITE_UTF8);
    default:
        return sqlite3_bind_blob64(stmt, i, v->p, v->n, keep);
    }
}

/* SQLite numbers parameters by their first occurrence, whatever their names. */
static bool is_in_order(sqlite3_stmt *stmt, int n) {
    char name[16];
    for (int i = 1; i <= n; i++) {
        snprintf(name, sizeof name, "$%d", i);
        if (strcmp(sqlite3_bind_parameter_name(stmt, i), name) != 0) return false;
    }
    return sqlite3_bind_parameter_count(stmt) == n;
}

static int start(db *d, db_sql sql, const db_value *v, int n, sqlite3_destructor_type keep) {
    if (!d->sqlite) return SQLITE_IOERR; /* see sqlite_exec */
    sqlite3_stmt **stmt = &d->rows[sql].stmt;
    int rc = SQLITE_OK;
    if (!*stmt) {
        rc = sqlite3_prepare_v3(d->sqlite, db_sql_text[sql], -1, SQLITE_PREPARE_PERSISTENT, stmt,
                                NULL);
        if (rc == SQLITE_OK && !is_in_order(*stmt, n)) rc = SQLITE_MISUSE;
    }
    for (int i = 0; rc == SQLITE_OK && i < n; i++)
        rc = bind(*stmt, i + 1, &v[i], keep);
    return rc;
}

static bitnet_status sqlite_push(db *d, db_sql sql, const db_value *v, int n, bitnet_error *err) {
    int rc = start(d, sql, v, n, SQLITE_STATIC);
    if (rc == SQLITE_OK) rc = sqlite3_step(d->rows[sql].stmt);
    bitnet_status st = rc == SQLITE_DONE ? BITNET_OK : fail(d, err, rc);
    sqlite3_reset(d->rows[sql].stmt);
    return st;
}

static bitnet_status sqlite_select(db *d, db_rows **out, db_sql sql, const db_value *v, int n,
                                   bitnet_error *err) {
    if (d->sqlite && sqlite3_get_autocommit(d->sqlite)) start_clock(d);
    int rc = start(d, sql, v, n, SQLITE_TRANSIENT);
    d->rows[sql].db = d;
    *out = &d->rows[sql];
    return rc == SQLITE_OK ? BITNET_OK : fail(d, err, rc);
}

static void sqlite_end(db_rows *rows) {
    sqlite3_reset(rows->stmt);
}

static bitnet_status sqlite_next(db_rows *rows, bitnet_error *err) {
    int rc = sqlite3_step(rows->stmt);
    if (rc == SQLITE_ROW) return BITNET_OK;
    bitnet_status st = rc == SQLITE_DONE ? BITNET_DONE : fail(rows->db, err, rc);
    sqlite3_reset(rows->stmt);
    return st;
}

static bool sqlite_is_null(db_rows *rows, int column) {
    return sqlite3_column_type(rows->stmt, column) == SQLITE_NULL;
}

static int64_t sqlite_get_int(db_rows *rows, int column) {
    return sqlite3_column_int64(rows->stmt, column);
}

static double sqlite_get_real(db_rows *rows, int column) {
    return sqlite3_column_double(rows->stmt, column);
}

static const char *sqlite_get_text(db_rows *rows, int column) {
    const unsigned char *text = sqlite3_column_text(rows->stmt, column);
    return text ? (const char *)text : "";
}

static const void *sqlite_get_blob(db_rows *rows, int column, size_t *n) {
    const void *p = sqlite3_column_blob(rows->stmt, column);
    *n = (size_t)sqlite3_column_bytes(rows->stmt, column);
    return p;
}

/* --- size --- */

static bitnet_status sqlite_shrink(db *d, uint32_t budget_ms, bitnet_error *err) {
    char sql[64];
    int64_t n_free = 0;
    uint64_t until = now_ms() + budget_ms;
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", PAGES_A_SHRINK);
    bitnet_status st = ask(d, "PRAGMA freelist_count", &n_free, err);
    for (; st >= 0 && n_free > PAGES_LEFT_FREE && now_ms() < until; n_free -= PAGES_A_SHRINK)
        st = sqlite_exec(d, sql, err);
    return st;
}

static bitnet_status sqlite_size(db *d, uint64_t *bytes, bitnet_error *err) {
    int64_t n_pages = 0, n_free = 0, page = 0;
    bitnet_status st = ask(d, "PRAGMA page_count", &n_pages, err);
    if (st >= 0) st = ask(d, "PRAGMA freelist_count", &n_free, err);
    if (st >= 0) st = ask(d, "PRAGMA page_size", &page, err);
    *bytes = (uint64_t)((n_pages - n_free) * page);
    return st;
}

const db_driver db_sqlite = {
    .open = sqlite_open,
    .close = sqlite_close,
    .reopen = sqlite_reopen,
    .exec = sqlite_exec,
    .push = sqlite_push,
    .select = sqlite_select,
    .next = sqlite_next,
    .end = sqlite_end,
    .is_null = sqlite_is_null,
    .get_int = sqlite_get_int,
    .get_real = sqlite_get_real,
    .get_text = sqlite_get_text,
    .get_blob = sqlite_get_blob,
    .shrink = sqlite_shrink,
    .size = sqlite_size,
};
