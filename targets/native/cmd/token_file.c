/* token_file.c: see token_file.h. */
#define _POSIX_C_SOURCE 200809L /* fileno, fstat */
#include "cmd/token_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

/* Asked of the open file, so that it is the one that is read. */
static bitnet_status check_mode(FILE *f, const char *path, bitnet_error *err) {
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
        return bitnet_fail(err, BITNET_E_INVAL, "token.form", "%s is not a file", path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return bitnet_fail(err, BITNET_E_INVAL, "token.mode",
                           "%s has mode %03o, so others may read the token; only its owner may: "
                           "chmod 600 %s",
                           path, (unsigned)st.st_mode & 0777u, path);
    return BITNET_OK;
}

bitnet_status token_file_read(token_file *out, const char *path, bitnet_error *err) {
    char line[4 * HTTP_TOKEN_MAX] = "";
    FILE *f = fopen(path, "r");
    if (!f)
        return bitnet_fail(err, BITNET_E_NOENT, "file.missing", "cannot read the token in %s: %s",
                           path, strerror(errno));
    bitnet_status st = check_mode(f, path, err);
    const char *got = st >= 0 ? fgets(line, sizeof line, f) : NULL;
    fclose(f);
    if (st < 0) return st;
    const char *start = got ? line + strspn(line, " \t") : "";
    size_t n = strcspn(start, " \t\r\n");
    if (!http_token_check(start, n) || start[n + strspn(start + n, " \t\r\n")] != '\0')
        return bitnet_fail(err, BITNET_E_INVAL, "token.form",
                           "the first line of %s is not a token: %d to %d letters, digits and "
                           "-._~+/= are allowed, such as 32 random hexadecimal digits",
                           path, HTTP_TOKEN_MIN, HTTP_TOKEN_MAX);
    memcpy(out->token, start, n);
    out->token[n] = '\0';
    return BITNET_OK;
}
