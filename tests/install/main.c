/* The end of app.c: the usage example of bitnet/bitnet.h is put in front of it, as it stands in the
 * header. Gives run() a source: the file named by argv[1], read whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bitnet_status bytes_read(void *ctx, uint64_t off, void *dst, size_t n) {
    memcpy(dst, (const char *)ctx + off, n);
    return BITNET_OK;
}

static const void *bytes_map(void *ctx, uint64_t off, size_t n) {
    (void)n;
    return (const char *)ctx + off;
}

int main(int argc, char **argv) {
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!f || fseek(f, 0, SEEK_END)) return 66;
    long size = ftell(f);
    rewind(f);
    void *bytes = aligned_alloc(64, ((size_t)size + 63) / 64 * 64);
    if (!bytes || fread(bytes, 1, (size_t)size, f) != (size_t)size) return 71;
    fclose(f);
    bitnet_source source = {.size = (uint64_t)size, .read = bytes_read, .map = bytes_map, .ctx = bytes};
    int code = run(&source);
    free(bytes);
    return code;
}
