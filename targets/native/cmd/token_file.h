/* token_file.h: the access token of a hub, from a file that nobody else may read. */
#ifndef BITNET_TOKEN_FILE_H
#define BITNET_TOKEN_FILE_H

#include "bitnet/status.h"
#include "http/token.h"

typedef struct token_file {
    char token[HTTP_TOKEN_MAX + 1];
} token_file;

/* The first line, blanks around it left out (http/token.h says what may be in it). Errors: file.missing,
 * token.mode when the file is readable by others, token.form. */
bitnet_status token_file_read(token_file *out, const char *path, bitnet_error *err);

#endif
