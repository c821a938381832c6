/* postgres_fixture.h: a PostgreSQL server of the test's own, where one is installed: a socket in a
 * folder of its own and no port. As root it runs as another user, since it refuses to be root. */
#ifndef BITNET_TEST_POSTGRES_FIXTURE_H
#define BITNET_TEST_POSTGRES_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct postgres_server {
    char folder[32], location[128];
    const char *why; /* it does not run; NULL: it does */
    long pid;
} postgres_server;

#ifdef BITNET_POSTGRES

#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

enum { POSTGRES_START_MS = 60000 };

/* Runs as whoever may; the exit status, or with `is_server` the pid. */
static long run_postgres(char *const argv[], const struct passwd *user, bool is_server) {
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0), dup2(null, 1), dup2(null, 2);
        if (user && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) _exit(126);
        if (chdir(postgres_server.folder) != 0) _exit(126);
        execv(argv[0], argv);
        _exit(127);
    }
    if (is_server) return pid;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *find_postgres(char *out, size_t cap) {
    glob_t g;
    *out = '\0';
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g) == 0) {
        snprintf(out, cap, "%s", g.gl_pathv[g.gl_pathc - 1]);
        globfree(&g);
        *strrchr(out, '/') = '\0';
    }
    return *out ? NULL : "PostgreSQL's server is not installed (Debian: postgresql)";
}

static bool answers(void) {
    PGconn *c = PQconnectdb(postgres_server.location);
    bool ok = PQstatus(c) == CONNECTION_OK;
    PQfinish(c);
    return ok;
}

/* NULL, or why there is no server. */
static const char *start_postgres(void) {
    struct postgres_server *p = &postgres_server;
    char bin[256], initdb[300], server[300], data[64];
    const struct passwd *user = geteuid() == 0 ? getpwnam("nobody") : NULL;
    if ((p->why = find_postgres(bin, sizeof bin))) return p->why;
    snprintf(p->folder, sizeof p->folder, "/tmp/bitnet-pg-XXXXXX");
    if (!mkdtemp(p->folder) || (user && chown(p->folder, user->pw_uid, user->pw_gid) != 0))
        return p->why = "no folder for a server";
    snprintf(initdb, sizeof initdb, "%s/initdb", bin);
    snprintf(server, sizeof server, "%s/postgres", bin);
    snprintf(data, sizeof data, "%.31s/data", p->folder);
    snprintf(p->location, sizeof p->location, "postgresql://tester@/postgres?host=%.31s",
             p->folder);
    char *const make[] = {initdb,   "-D", data,   "-A",         "trust",     "-U",
                          "tester", "-E", "UTF8", "--locale=C", "--no-sync", NULL};
    char *const serve[] = {
        server, "-D", data, "-k", p->folder, "-c", "listen_addresses=", "-c", "fsync=off", NULL};
    if (run_postgres(make, user, false) != 0) return p->why = "initdb failed";
    p->pid = run_postgres(serve, user, true);
    for (int i = 0; i < POSTGRES_START_MS / 50 && !answers(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return p->why = answers() ? NULL : "the server does not start";
}

/* Behind the back of whoever is connected. */
static void tell_postgres(const char *sql) {
    PGconn *c = PQconnectdb(postgres_server.location);
    PQclear(PQexec(c, "SET client_min_messages = error"));
    PGresult *result = PQexec(c, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        printf("%s: %s\n", sql, PQresultErrorMessage(result));
    PQclear(result);
    PQfinish(c);
}

static void stop_postgres(void) {
    char command[128];
    if (postgres_server.pid > 0) {
        kill((pid_t)postgres_server.pid, SIGINT); /* fast shutdown */
        waitpid((pid_t)postgres_server.pid, NULL, 0);
    }
    if (!*postgres_server.folder) return;
    snprintf(command, sizeof command, "rm -rf '%s'", postgres_server.folder);
    if (system(command) != 0) printf("%s is left\n", postgres_server.folder);
}

#else

static const char *start_postgres(void) {
    return postgres_server.why = "built without libpq";
}
static void tell_postgres(const char *sql) {
    (void)sql;
}
static void stop_postgres(void) {}

#endif

#endif
