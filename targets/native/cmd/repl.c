/* repl.c: see repl.h. Ctrl-C arrives as answer_is_interrupted (cmd/answer.h). One that comes after the
 * last look at it and before a read would be lost in that read: so a terminal is waited for with the
 * signal let in only there, and read when there is something.
 */
#define _GNU_SOURCE /* getline, ppoll */
#include "cmd/repl.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#ifdef BITNET_LIBEDIT
#include <histedit.h>
#endif

#include "cmd/answer.h"

#define HISTORY_CAP 1000

struct repl {
    bool is_terminal, goes_on; /* goes_on: the line before ended with a backslash */
    char *text;                /* [cap] of which len are in use */
    size_t len, cap;
    char *line; /* getline's */
    size_t line_cap;
#ifdef BITNET_LIBEDIT
    EditLine *edit; /* NULL when stdin is no terminal */
    History *history;
    HistEvent event;
#endif
};

static const char *prompt_of(const repl *r) {
    return r->goes_on ? ". " : "> ";
}

/* ---- one line ----------------------------------------------------------------------------------
 */

/* Until stdin has something, or is at its end: true; false when Ctrl-C came, also before the call. */
static bool wait_for_input(void) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t only_int, before;
    sigemptyset(&only_int);
    sigaddset(&only_int, SIGINT);
    sigprocmask(SIG_BLOCK, &only_int, &before);
    int n = -1;
    while (!answer_is_interrupted && n < 0) {
        n = ppoll(&in, 1, NULL, &before);
        if (n < 0 && errno != EINTR) n = 0; /* the read will say what is wrong */
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !answer_is_interrupted;
}

#ifdef BITNET_LIBEDIT

/* libedit's reader of one character: 1, 0 at the end, -1 for Ctrl-C. What is no UTF-8 is U+FFFD. */
static int read_char(EditLine *edit, wchar_t *out) {
    mbstate_t state = {0};
    char byte;
    (void)edit;
    for (;;) {
        if (!wait_for_input()) return -1;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2) continue; /* the character goes on */
        if (used == (size_t)-1) *out = 0xfffd;
        return 1;
    }
}

static char *show_prompt(EditLine *edit) {
    static char prompt[4]; /* libedit wants bytes that it may write to */
    repl *r;
    el_get(edit, EL_CLIENTDATA, &r);
    snprintf(prompt, sizeof prompt, "%s", prompt_of(r));
    return prompt;
}

static bool open_editor(repl *r) {
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    r->edit = el_init("bitnet", stdin, stdout, stderr);
    r->history = history_init();
    if (!r->edit || !r->history) return false;
    history(r->history, &r->event, H_SETSIZE, HISTORY_CAP);
    history(r->history, &r->event, H_SETUNIQUE, 1);
    el_set(r->edit, EL_CLIENTDATA, r);
    el_set(r->edit, EL_PROMPT, show_prompt);
    el_set(r->edit, EL_GETCFN, read_char);
    el_set(r->edit, EL_EDITOR, "emacs");
    el_set(r->edit, EL_HIST, history, r->history);
    el_source(r->edit, NULL); /* ~/.editrc, the reader's own keys */
    return true;
}

static void close_editor(repl *r) {
    if (r->history) history_end(r->history);
    if (r->edit) el_end(r->edit);
}

static const char *edit_line(repl *r, size_t *len) {
    int n = 0;
    const char *line = el_gets(r->edit, &n);
    if (!line || n <= 0) return NULL;
    *len = (size_t)n;
    if (*len > 1) history(r->history, &r->event, H_ENTER, line);
    return line;
}

#else

/* Unbuffered, so that what has been typed ahead is seen by wait_for_input. */
static bool open_editor(repl *r) {
    (void)r;
    return setvbuf(stdin, NULL, _IONBF, 0) == 0;
}
static void close_editor(repl *r) {
    (void)r;
}

#endif

static const char *plain_line(repl *r, size_t *len) {
    if (r->is_terminal) {
        fputs(prompt_of(r), stdout);
        fflush(stdout);
        if (!wait_for_input()) return NULL;
    }
    ssize_t n = getline(&r->line, &r->line_cap, stdin);
    if (n < 0) {
        clearerr(stdin); /* an interrupted read is no end */
        return NULL;
    }
    *len = (size_t)n;
    return r->line;
}

static const char *read_line(repl *r, size_t *len) {
#ifdef BITNET_LIBEDIT
    if (r->edit) return edit_line(r, len);
#endif
    return plain_line(r, len);
}

/* ---- one text ----------------------------------------------------------------------------------
 */

repl *repl_open(bool is_terminal) {
    repl *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->is_terminal = is_terminal;
    if (is_terminal && !open_editor(r)) {
        repl_close(r);
        return NULL;
    }
    return r;
}

void repl_close(repl *r) {
    if (!r) return;
    close_editor(r);
    free(r->line);
    free(r->text);
    free(r);
}

static bool append(repl *r, const char *s, size_t n) {
    if (r->len + n + 1 > r->cap) {
        size_t cap = (r->len + n + 1) * 2;
        char *bigger = realloc(r->text, cap);
        if (!bigger) return false;
        r->text = bigger, r->cap = cap;
    }
    memcpy(r->text + r->len, s, n);
    r->len += n;
    r->text[r->len] = 0;
    return true;
}

repl_result repl_read(repl *r, const char **text, size_t *len) {
    repl_result result = REPL_TEXT;
    answer_is_interrupted = 0;
    r->len = 0;
    r->goes_on = false;
    do {
        size_t n = 0;
        const char *line = read_line(r, &n);
        if (answer_is_interrupted) {
            result = REPL_INTERRUPTED;
            break;
        }
        if (!line) { /* what stands before an end without a line feed is a text, too */
            if (!r->goes_on) result = REPL_END;
            break;
        }
        if (n > 0 && line[n - 1] == '\n') n--;
        if (n > 0 && line[n - 1] == '\r') n--;
        r->goes_on = n > 0 && line[n - 1] == '\\';
        if (!append(r, line, n - r->goes_on) || (r->goes_on && !append(r, "\n", 1))) {
            result = REPL_NO_MEMORY;
            break;
        }
    } while (r->goes_on);
    *text = r->text, *len = r->len;
    return result;
}
