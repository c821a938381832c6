/* listen.c: the listening socket; see listen.h. */
#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC */
#include "http/listen.h"
#include "base/base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_loopback(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)sa;
        return ntohl(in4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static bool is_any(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr == INADDR_ANY;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* The name without brackets, if it holds only what a name or an address holds. */
static bool clean_name(char out[HTTP_HOST_MAX], const char *host) {
    size_t n = strlen(host);
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') host++, n -= 2;
    if (n == 0 || n >= HTTP_HOST_MAX) return false;
    for (size_t i = 0; i < n; i++) {
        char c = host[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '.' && c != '-' && c != ':') return false;
    }
    memcpy(out, host, n);
    out[n] = '\0';
    return true;
}

static bitnet_status resolve(struct addrinfo **out, const char *host, bool has_token,
                             bitnet_error *err) {
    char name[HTTP_HOST_MAX];
    bitnet_escaped shown;
    bitnet_escape(&shown, host, strlen(host));
    if (!clean_name(name, host))
        return bitnet_fail(err, BITNET_E_INVAL, "serve.host.name",
                           "--host %s: not a host name or address", shown.s);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int rc = getaddrinfo(name, NULL, &hints, out);
    if (rc != 0)
        return bitnet_fail(err, BITNET_E_INVAL, "serve.host.name", "--host %s: %s", shown.s,
                           gai_strerror(rc));
    for (const struct addrinfo *a = *out; a && !has_token; a = a->ai_next) {
        if (is_loopback(a->ai_addr)) continue;
        freeaddrinfo(*out);
        *out = NULL;
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "serve.host.public",
                           "--host %s: reachable from other machines, which needs --token-file; "
                           "without one only this "
                           "machine's own addresses are allowed, such as 127.0.0.1",
                           shown.s);
    }
    return BITNET_OK;
}

static void set_port(struct sockaddr *sa, uint16_t port) {
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)sa)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)sa)->sin6_port = htons(port);
}

static uint16_t port_of(int fd) {
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)(void *)&sa, &n) != 0) return 0;
    return ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&sa)->sin_port
                                         : ((struct sockaddr_in6 *)(void *)&sa)->sin6_port);
}

static bitnet_status explain(int error, const char *host, uint16_t port, bitnet_error *err) {
    if (error == EADDRINUSE)
        return bitnet_fail(
            err, BITNET_E_IO, "serve.port.busy",
            "port %u on %s is taken by another program; stop that one or choose another "
            "port with --port N (0 = any free one)",
            (unsigned)port, host);
    if (error == EACCES)
        return bitnet_fail(
            err, BITNET_E_IO, "serve.port.denied",
            "port %u is reserved for the system's administrator; choose one from 1024 "
            "on with --port N",
            (unsigned)port);
    return bitnet_fail(err, BITNET_E_IO, "serve.listen", "cannot listen on %s, port %u: %s", host,
                       (unsigned)port, strerror(error));
}

bitnet_status http_listen(http_listener *l, const char *host, bool has_token, bitnet_error *err) {
    struct addrinfo *list = NULL;
    l->fd = -1;
    bitnet_status st = resolve(&list, host, has_token, err);
    if (st < 0) return st;
    set_port(list->ai_addr, l->port);
    l->is_any = is_any(list->ai_addr);
    int on = 1, fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        st = explain(errno, host, l->port, err);
        if (fd >= 0) close(fd);
    } else {
        l->fd = fd;
        l->port = port_of(fd);
    }
    freeaddrinfo(list);
    return st;
}
