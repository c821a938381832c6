/* source_file.c: see source_file.h. */
#define _DEFAULT_SOURCE /* madvise */
#include "source_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "model_embedded.h"

static bitnet_status memory_read(void *ctx, uint64_t off, void *dst, size_t n) {
    const source_file *f = ctx;
    memcpy(dst, (const uint8_t *)f->data + off, n);
    return BITNET_OK;
}

static const void *memory_map(void *ctx, uint64_t off, size_t n) {
    (void)n;
    const source_file *f = ctx;
    return (const uint8_t *)f->data + off;
}

/* Whole pages inside the range leave this process's memory; they come back from the page cache when
 * they are read again. */
static void mapped_release(void *ctx, uint64_t off, size_t n) {
    const source_file *f = ctx;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)f->data + (uintptr_t)off + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)f->data + (uintptr_t)off + n) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static bitnet_status fail_open(const char *path, bitnet_error *err) {
    bitnet_escaped e;
    const char *p = bitnet_escape(&e, path, strlen(path));
    if (errno == ENOENT || errno == ENOTDIR)
        return bitnet_fail(err, BITNET_E_NOENT, "file.open", "%s: there is no such file", p);
    if (errno == EACCES)
        return bitnet_fail(err, BITNET_E_IO, "file.permission", "%s: no permission to read it", p);
    return bitnet_fail(err, BITNET_E_IO, "file.open", "%s: %s", p, strerror(errno));
}

bitnet_status source_file_open(source_file *f, const char *path, bitnet_error *err) {
    *f = (source_file){.source = {.read = memory_read, .map = memory_map, .ctx = f}};
    if (!path) {
        f->data = bitnet_default_model;
        f->source.size = (uint64_t)(bitnet_default_model_end - bitnet_default_model);
        return BITNET_OK;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_open(path, err);
    struct stat st;
    bitnet_status status = BITNET_OK;
    bitnet_escaped e;
    if (fstat(fd, &st) < 0) {
        status = fail_open(path, err);
    } else if (!S_ISREG(st.st_mode)) {
        status = bitnet_fail(err, BITNET_E_NOENT, "file.kind", "%s: it is not a regular file",
                             bitnet_escape(&e, path, strlen(path)));
    } else if (st.st_size > 0) { /* an empty file maps to nothing and is refused by the reader */
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            status = fail_open(path, err);
        } else {
            madvise(p, (size_t)st.st_size, MADV_WILLNEED);
            f->data = p;
            f->is_mapped = true;
            f->source.release = mapped_release;
            f->source.size = (uint64_t)st.st_size;
        }
    }
    if (status >= 0) f->device = st.st_dev, f->inode = st.st_ino;
    close(fd);
    return status;
}

void source_file_close(source_file *f) {
    if (f->is_mapped) munmap((void *)(uintptr_t)f->data, (size_t)f->source.size);
    *f = (source_file){0};
}
