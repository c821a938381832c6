/* monitor_file.c: files of /proc and /sys for the monitor's sources: opened once, read in one call each time, and
 * believed only where they are whole.
 */
#define _GNU_SOURCE /* pread, O_CLOEXEC */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor_source.h"

#define PATH_CAP 512

bitnet_status monitor_file_open(monitor_file *f, const char *root, bitnet_error *err,
                                const char *fmt, ...) {
    char path[PATH_CAP];
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->path, sizeof f->path, fmt, args);
    va_end(args);
    snprintf(path, sizeof path, "%s%s", root, f->path);
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    f->is_open = f->fd >= 0;
    if (f->is_open) return BITNET_OK;
    return bitnet_fail(err, errno == ENOENT ? BITNET_E_NOENT : BITNET_E_IO, "monitor.open",
                       "%s cannot be opened: %s", f->path, strerror(errno));
}

bitnet_status monitor_file_read(const monitor_file *f, char *buf, size_t cap, bitnet_error *err) {
    ssize_t n = pread(f->fd, buf, cap - 1, 0);
    buf[n > 0 ? n : 0] = 0;
    if (n > 0) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_IO, "monitor.read", "%s cannot be read: %s", f->path,
                       n < 0 ? strerror(errno) : "it is empty");
}

void monitor_file_close(monitor_file *f) {
    if (f->is_open) close(f->fd);
    f->is_open = false;
}

bool monitor_parse(const char **at, uint64_t *out) {
    const char *c = *at;
    while (*c == ' ' || *c == '\t')
        c++;
    const char *digits = c;
    for (*out = 0; *c >= '0' && *c <= '9'; c++)
        if (ck_mul(*out, 10, out) || ck_add(*out, (uint64_t)(*c - '0'), out)) return false;
    *at = c;
    return c > digits;
}

bitnet_status monitor_file_number(const monitor_file *f, uint64_t *out, bitnet_error *err) {
    char text[64];
    bitnet_status st = monitor_file_read(f, text, sizeof text, err);
    if (st < 0) return st;
    const char *at = text;
    if (monitor_parse(&at, out) && !strcmp(at, "\n")) return BITNET_OK;
    return monitor_file_garbled(f, "a number in a line", err);
}

bitnet_status monitor_file_garbled(const monitor_file *f, const char *expected, bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_FORMAT, "monitor.format", "%s does not hold %s", f->path,
                       expected);
}
