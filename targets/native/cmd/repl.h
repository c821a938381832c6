/* repl.h: lines typed by a person, or read from a pipe.
 *
 * A terminal has a prompt, editing and a history of its lines (libedit, where the build found it;
 * otherwise the terminal's own line editing). A line that ends with a backslash goes on in the next
 * one, with a line feed between them.
 */
#ifndef BITNET_REPL_H
#define BITNET_REPL_H

#include <stdbool.h>
#include <stddef.h>

typedef struct repl repl;

typedef enum repl_result {
    REPL_TEXT,
    REPL_END,         /* end of file, Ctrl-D */
    REPL_INTERRUPTED, /* Ctrl-C; what had been typed is forgotten */
    REPL_NO_MEMORY,
} repl_result;

repl *repl_open(bool is_terminal); /* NULL: no memory */
void repl_close(repl *r);          /* NULL is fine */
/* *text is terminated, without the last line feed, and borrowed until the next call. */
repl_result repl_read(repl *r, const char **text, size_t *len);

#endif
