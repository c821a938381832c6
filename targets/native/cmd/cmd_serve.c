/* cmd_serve.c: `bitnet serve`: the chat page, the dashboard and the hub on one local port.
 *
 * stdout gets exactly one line, the URL, when connections are accepted; everything else goes to
 * stderr.
 */
#define _GNU_SOURCE /* sigaction, realpath, posix_spawn */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/beside.h"
#include "cmd/cmd.h"
#include "cmd/history_open.h"
#include "cmd/token_file.h"
#include "http/door.h"
#include "http/server.h"
#include "model_embedded.h"

extern char **environ;

static server *running; /* for the signal handler; set before it is installed */
static volatile sig_atomic_t is_stopping;

static void on_signal(int sig) {
    (void)sig;
    if (is_stopping) _exit(130); /* the second one does not wait */
    is_stopping = 1;
    server_stop(running);
}

static void set_handler(void (*handler)(int)) {
    struct sigaction sa = {.sa_handler = handler};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

/* The page of a build tree, then of an installation. */
static bool find_web_root(char out[PATH_MAX]) {
    static const char *const places[] = {"../web", "../share/libbitnet/web"};
    return find_beside(out, places, 2);
}

static bool has_display(void) {
    const char *x11 = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    return (x11 && *x11) || (wayland && *wayland);
}

/* xdg-open says nothing on our stdout, and nobody waits for it. */
static void open_browser(const char *url) {
    if (!has_display()) {
        fprintf(stderr, "bitnet: no display to open a browser on; open %s yourself\n", url);
        return;
    }
    char program[] = "xdg-open", *copy = strdup(url);
    char *argv[] = {program, copy, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    signal(SIGCHLD, SIG_IGN);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!copy || posix_spawnp(&pid, program, &actions, NULL, argv, environ) != 0)
        fprintf(stderr, "bitnet: xdg-open is not installed; open %s yourself\n", url);
    posix_spawn_file_actions_destroy(&actions);
    free(copy);
}

/* sysexits for what can go wrong between the options and the first connection. */
static int exit_code(const bitnet_error *err) {
    static const struct {
        const char *id;
        int code;
    } table[] = {
        {"serve.host.public", EX_CONFIG},
        {"serve.host.name", EX_USAGE},
        {"serve.port.busy", EX_UNAVAILABLE},
        {"serve.port.denied", EX_NOPERM},
        {"serve.listen", EX_UNAVAILABLE},
        {"store.locked", EX_TEMPFAIL},
        {"store.newer", EX_CONFIG},
        {"store.older", EX_CONFIG},
        {"store.foreign", EX_CONFIG},
        {"store.network", EX_CONFIG},
        {"store.retention", EX_CONFIG},
        {"store.driver", EX_UNAVAILABLE},
        {"store.create", EX_CANTCREAT},
        {"store.open", EX_UNAVAILABLE},
        {"store.io", EX_IOERR},
        {"store.corrupt", EX_DATAERR},
        {"token.mode", EX_CONFIG},
        {"token.form", EX_CONFIG},
    };
    int code = args_fail(err);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(err->id, table[i].id) == 0) code = table[i].code;
    return code;
}

/* Many systems give a program 1024 descriptors unless it asks for more. Fewer than wanted is no error: the
 * door turns away who finds none. */
static void raise_descriptors(void) {
    enum { OTHERS = 64 }; /* standard streams, files being sent, the store */
    struct rlimit limit;
    rlim_t wanted = DOOR_FDS_MAX + OTHERS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* A history that nobody named is kept if it can be: a second hub of one user has none. */
static bool can_do_without(const bitnet_error *err, bool is_named) {
    return !is_named && strncmp(err->id, "store.", 6) == 0;
}

static int serve(const server_desc *desc, bool is_named, bool should_open) {
    bitnet_error err = {0};
    server *s = NULL;
    if (server_open(&s, desc, &err) < 0) {
        if (!can_do_without(&err, is_named)) return exit_code(&err);
        fprintf(stderr, "bitnet: no history is kept: %s [%s]\n", err.text, err.id);
        server_desc without = *desc;
        without.history = NULL;
        if (server_open(&s, &without, &err) < 0) return exit_code(&err);
    }
    running = s;
    set_handler(on_signal);
    int code = EX_IOERR;
    if (printf("%s\n", server_url(s)) < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "bitnet: error: cannot write the address to stdout [serve.stdout]\n");
    } else {
        if (should_open) open_browser(server_url(s));
        code = server_run(s, &err) < 0 ? args_fail(&err) : EX_OK;
    }
    set_handler(SIG_DFL);
    server_free(s);
    return code;
}

static bitnet_status make_alerts(alerts **out, const arg_list *rules, bool has_defaults,
                                 bitnet_error *err) {
    alerts *a = alerts_create();
    bitnet_status st =
        a ? BITNET_OK : bitnet_fail(err, BITNET_E_NOMEM, "serve.start", "no memory for alerts");
    for (int i = 0; st >= 0 && i < rules->n; i++)
        st = alerts_add(a, rules->v[i], err);
    if (st >= 0 && has_defaults) st = alerts_add_defaults(a, err);
    if (st >= 0)
        *out = a;
    else
        alerts_free(a);
    return st;
}

int cmd_serve(int argc, char **argv) {
    const char *host = "127.0.0.1", *web_root = NULL, *where = NULL, *retention = NULL,
               *token_path = NULL;
    int32_t port = 8080;
    bool should_open = false, no_isolation = false, no_default_alerts = false;
    arg_list rules = {.n = 0};
    const arg_opt opts[] = {
        {0, "host", ARG_STR, &host, "HOST", NULL, "address of this machine to listen on", 0, 0},
        {0, "port", ARG_INT, &port, "N", NULL, "port to listen on; 0 = any free one", 0, 65535},
        {0, "web-root", ARG_STR, &web_root, "DIR", NULL, "folder of the page, if not the built one",
         0, 0},
        {0, "history", ARG_STR, &where, "WHERE", NULL,
         "where reports are kept: a file, postgres://..., or off (the state folder of this user)",
         0, 0},
        {0, "keep", ARG_STR, &retention, "TIMES", NULL, "how long: raw=1d,minute=30d,hour=2y", 0,
         0},
        {0, "token-file", ARG_STR, &token_path, "FILE", NULL,
         "a token that whoever reads the hub must have; allows other addresses", 0, 0},
        {0, "alert", ARG_LIST, &rules, "RULE", NULL,
         "a rule such as \"memory > 1GB for 10s\"; again and again", 0, 0},
        {0, "no-default-alerts", ARG_FLAG, &no_default_alerts, NULL, NULL,
         "only the rules of --alert", 0, 0},
        {0, "open", ARG_FLAG, &should_open, NULL, NULL, "open a browser", 0, 0},
        {0, "no-isolation", ARG_FLAG, &no_isolation, NULL, NULL,
         "leave out COOP and COEP, to try the page without threads", 0, 0},
        {0}};
    const arg_cmd cmd = {
        .verb = "serve",
        .summary = "Serves the chat page, the dashboard and the hub on this machine.",
        .synopsis = "[options]",
        .opts = opts,
    };
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;

    char root[PATH_MAX], state[HISTORY_PATH_MAX];
    bitnet_error err = {0};
    server_desc desc = {.host = host,
                        .port = (uint16_t)port,
                        .no_isolation = no_isolation,
                        .history = where,
                        .retention = retention};
    if (where && strcmp(where, "off") == 0)
        desc.history = NULL;
    else if (!where && history_default_path(state, true, &err) == BITNET_OK)
        desc.history = state;
    else if (!where)
        fprintf(stderr, "bitnet: no history is kept: %s [%s]\n", err.text, err.id);
    struct stat st;
    if (web_root) {
        if (!realpath(web_root, root) || stat(root, &st) != 0 || !S_ISDIR(st.st_mode)) {
            fprintf(stderr, "bitnet: error: --web-root %s: no such folder [serve.web_root]\n",
                    web_root);
            return EX_NOINPUT;
        }
        desc.site.web_root = root;
    } else if (find_web_root(root)) {
        desc.site.web_root = root;
    } else {
        fprintf(stderr, "bitnet: the web page is not built, so / answers 503; the hub and the "
                        "model are served\n");
    }
    http_site_set_model(&desc.site, bitnet_default_model,
                        (size_t)(bitnet_default_model_end - bitnet_default_model));
    token_file file;
    bitnet_status token_st = token_path ? token_file_read(&file, token_path, &err) : BITNET_OK;
    if (token_st < 0) return exit_code(&err);
    if (token_path) desc.site.token = file.token;
    if (make_alerts(&desc.alerts, &rules, !no_default_alerts, &err) < 0) return exit_code(&err);
    raise_descriptors();
    code = serve(&desc, where != NULL, should_open);
    alerts_free(desc.alerts);
    return code;
}
