/* static_files.h: a request path to an open file below the web root, or the reason why not.
 *
 * A path is only ever a sequence of plain names: letters, digits, '-', '_', '.', '~', '+', '@',
 * none of them empty or beginning with a dot. So "..", hidden files, doubled slashes and anything
 * percent-encoded are not found before the file system is asked. Links are followed, and refused
 * when they lead outside the root. Only regular files are served.
 */
#ifndef BITNET_HTTP_STATIC_FILES_H
#define BITNET_HTTP_STATIC_FILES_H

#include "http/reply.h"

/* Fills the answer, body and ranges selected. `root` is a resolved absolute path. A folder without
 * a slash is redirected to the one with, so that its page's relative links work; with one it is its
 * index.html. On return a->body.fd may be open: the caller closes it. */
void http_static_answer(http_answer *a, const http_head *head, const char *root);

/* Content-Type by the name's extension. */
const char *http_mime_type(const char *name);

#endif
