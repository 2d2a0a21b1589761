#include "io/kafka_speaks.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP_MS = 500, ANSWER_MIN = 5 };

/* ApiVersions, version 0, correlation id "pqls", no client id. */
static const unsigned char versions[] = {0, 0, 0, 10, 0, 18, 0, 0, 'p', 'q', 'l', 's', 0xff, 0xff};

/* The least that a server of TLS 1.2 or 1.3 answers to, if only by an alert: version, no session, one cipher
 * suite, no compression. */
static const unsigned char hello[] = {
    22,  3,   1,    0,    45, /* record: handshake, 45 bytes */
    1,   0,   0,    41,       /* ClientHello, 41 bytes */
    3,   3,                   /* TLS 1.2 */
    'p', 'q', 'l',  's',  't', 'r', 'e', 'a', 'm', ' ', 'a', 's', 'k', 's', ' ', 'w',    /* 32 bytes of its
                                                                                            choice */
    'h', 'a', 't',  ' ',  'i', 's', ' ', 's', 'p', 'o', 'k', 'e', 'n', ' ', ' ', ' ', 0, /* no session */
    0,   2,   0xc0, 0x2f, /* ECDHE-RSA-AES128-GCM-SHA256 */
    1,   0,               /* no compression */
};
_Static_assert(sizeof hello == 5 + 45, "as the record says");

static bool is_ready(int fd, short what)
{
    struct pollfd one = {.fd = fd, .events = what};
    return poll(&one, 1, STEP_MS) == 1;
}

static int connect_to(const struct addrinfo *where)
{
    int error = 0, fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof error;
    if (fd < 0) return -1;
    (void)connect(fd, where->ai_addr, where->ai_addrlen);
    if (is_ready(fd, POLLOUT) && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) && !error) return fd;
    close(fd);
    return -1;
}

/* How many bytes came back of a question, at most `size`. */
static size_t ask(const struct addrinfo *where, const unsigned char *question, size_t len,
                  unsigned char *answer, size_t size)
{
    size_t got = 0;
    int fd = connect_to(where);
    if (fd < 0) return 0;
    if (send(fd, question, len, MSG_NOSIGNAL) == (ssize_t)len)
        while (got < size && is_ready(fd, POLLIN)) {
            ssize_t n = recv(fd, answer + got, size - got, 0);
            if (n <= 0) break;
            got += (size_t)n;
        }
    close(fd);
    return got;
}

static enum pql_speaks speaks(const struct addrinfo *where)
{
    unsigned char answer[8];
    if (ask(where, versions, sizeof versions, answer, 8) == 8 && !memcmp(answer + 4, versions + 8, 4))
        return PQL_SPEAKS_PLAIN;
    bool is_record = ask(where, hello, sizeof hello, answer, ANSWER_MIN) == ANSWER_MIN &&
                     (answer[0] == 21 || answer[0] == 22) && answer[1] == 3;
    return is_record ? PQL_SPEAKS_TLS : PQL_SPEAKS_UNKNOWN;
}

/* "[protocol://]host[:port]", or "[host]:port"; false where it is none. */
static bool split(const char *server, char *host, size_t size, char *port, size_t port_size)
{
    const char *colon = strrchr(server, ':'), *close = strchr(server, ']');
    if (colon && close && colon < close) colon = NULL;
    const char *end = colon ? colon : server + strlen(server);
    if (*server == '[' && close) server++, end = close;
    if (end == server || (size_t)(end - server) >= size) return false;
    memcpy(host, server, (size_t)(end - server));
    host[end - server] = '\0';
    snprintf(port, port_size, "%s", colon ? colon + 1 : "9092");
    return true;
}

enum pql_speaks pql_kafka_speaks(const char *servers, char *asked, size_t size)
{
    char host[256], port[8];
    servers += strspn(servers, " ,");
    const char *scheme = strstr(servers, "://");
    if (scheme && scheme < servers + strcspn(servers, ",")) servers = scheme + 3;
    snprintf(asked, size, "%.*s", (int)strcspn(servers, " ,"), servers);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *where = NULL;
    if (!split(asked, host, sizeof host, port, sizeof port) || getaddrinfo(host, port, &hints, &where))
        return PQL_SPEAKS_UNKNOWN;
    enum pql_speaks found = speaks(where);
    freeaddrinfo(where);
    return found;
}
