/* static_files.c: files below the web root; see static_files.h. */
#define _DEFAULT_SOURCE /* realpath; POSIX.1-2008 with st_mtim */
#include "http/static_files.h"
#include "http/select.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *http_mime_type(const char *name) {
    static const struct {
        const char *ext, *type;
    } table[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".wasm", "application/wasm"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".txt", "text/plain; charset=utf-8"},
        {".gguf", "application/octet-stream"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof table / sizeof *table; i++)
        if (strcmp(dot, table[i].ext) == 0) return table[i].type;
    return "application/octet-stream";
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-_.~+@", c) != NULL);
}

/* "/", or names separated by single slashes, perhaps a slash at the end. */
static bool is_safe(http_span path) {
    if (path.n == 0 || path.n >= HTTP_PATH_MAX || path.p[0] != '/') return false;
    for (size_t i = 1; i < path.n; i++) {
        char c = path.p[i];
        bool starts_name = path.p[i - 1] == '/';
        if (starts_name && (c == '/' || c == '.')) return false;
        if (c != '/' && !is_plain(c)) return false;
    }
    return true;
}

/* Is `file`, resolved, below `root`, resolved? The root itself may be "/". */
static bool is_below(const char *file, const char *root) {
    size_t n = strlen(root);
    if (strncmp(file, root, n) != 0) return false;
    return n == 1 || file[n] == '/' || file[n] == '\0';
}

/* Opens what `path` names, links resolved, as long as it stays below root. -1 when it does not, or
 * is not there. O_NONBLOCK because opening a named pipe would wait for its writer. */
static int open_below(const char *root, const char *path, struct stat *st) {
    char joined[PATH_MAX], resolved[PATH_MAX];
    int n = snprintf(joined, sizeof joined, "%s%s", root, path);
    if (n < 0 || (size_t)n >= sizeof joined) return -1;
    if (!realpath(joined, resolved) || !is_below(resolved, root)) return -1;
    int fd = open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, st) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static void not_found(http_answer *a) {
    http_answer_text(a, 404, "There is nothing at this path.");
}

/* Size, time and inode: a rebuilt file gets another tag even within one second. */
static void make_etag(http_answer *a, const struct stat *st) {
    uint64_t ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
    snprintf(a->etag, sizeof a->etag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
             (uint64_t)st->st_size, ns, (uint64_t)st->st_ino);
}

static void redirect(http_answer *a, const char *path) {
    http_answer_text(a, 308, "This is a folder; its page is at the same path with a slash.");
    snprintf(a->location, sizeof a->location, "%s/", path);
}

void http_static_answer(http_answer *a, const http_head *head, const char *root) {
    if (!is_safe(head->path)) {
        not_found(a);
        return;
    }
    char path[HTTP_PATH_MAX + sizeof "index.html"];
    snprintf(path, sizeof path, "%.*s%s", (int)head->path.n, head->path.p,
             head->path.p[head->path.n - 1] == '/' ? "index.html" : "");
    struct stat st;
    int fd = open_below(root, path, &st);
    if (fd >= 0 && S_ISREG(st.st_mode)) {
        *a = (http_answer){.type = http_mime_type(path), .ranges = true, .body = {.fd = fd}};
        a->total = (uint64_t)st.st_size;
        make_etag(a, &st);
        http_select(a, head);
        return;
    }
    if (fd >= 0) close(fd);
    if (fd >= 0 && S_ISDIR(st.st_mode))
        redirect(a, path);
    else
        not_found(a);
}
