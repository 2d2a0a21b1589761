#include "io/server.h"

#include "base/memory.h"
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    PER_ADDRESS_MAX = 16,
    SILENCE_S = 10,
    CONNECTION_MEMORY = 32 << 10,
    BODY_MAX = 64 << 10, /* read and thrown away */
    PEM_MAX = 1 << 20,
};

struct pql_server {
    struct MHD_Daemon *daemon;
    pql_server_handler *handler;
    void *context;
    char *token, *certificate, *key;
    char address[INET6_ADDRSTRLEN + 16];
};

/* What is known of a request between the calls of the library. */
struct pending {
    size_t body;
};

/* --- answering --- */

static enum MHD_Result respond(struct MHD_Connection *connection, struct pql_server_answer *answer)
{
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    };
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.len, answer->body.ptr, MHD_RESPMEM_MUST_COPY);
    pql_buf_deinit(&answer->body);
    if (!response) return MHD_NO;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    if (answer->location) MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, answer->location);
    if (answer->allow) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    if (answer->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned status, const char *words,
                           const char *allow)
{
    struct pql_server_answer answer = {
        .status = status, .content_type = "text/plain; charset=utf-8", .allow = allow};
    pql_buf_printf(&answer.body, "%s\n", words);
    return respond(connection, &answer);
}

/* The time it takes does not say how much of it was right. */
static bool is_same(const char *given, const char *wanted)
{
    size_t given_len = strlen(given), wanted_len = strlen(wanted);
    unsigned difference = given_len != wanted_len;
    for (size_t i = 0; i < wanted_len; i++)
        difference |= (unsigned char)wanted[i] ^ (unsigned char)(given_len ? given[i % given_len] : 0);
    return difference == 0;
}

static bool is_authorized(const struct pql_server *server, struct MHD_Connection *connection)
{
    static const char bearer[] = "Bearer ";
    if (!server->token) return true;
    const char *given =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    return given && !strncmp(given, bearer, sizeof bearer - 1) &&
           is_same(given + sizeof bearer - 1, server->token);
}

static enum MHD_Result answer(struct pql_server *server, struct MHD_Connection *connection, const char *path,
                              const char *method)
{
    struct pql_server_request request = {.is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0,
                                         .path = path,
                                         .is_authorized = is_authorized(server, connection)};
    struct pql_server_answer made = {.status = MHD_HTTP_NOT_FOUND,
                                     .content_type = "text/plain; charset=utf-8"};
    if (request.is_post && !server->token)
        return say(connection, MHD_HTTP_FORBIDDEN, "nothing is changed without a token: set http_token",
                   "GET, HEAD");
    server->handler(server->context, &request, &made);
    return respond(connection, &made);
}

/* Called first when the headers are there, then with pieces of the body, then once more. */
static enum MHD_Result take_request(void *context, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *body,
                                    size_t *body_len, void **state)
{
    struct pql_server *server = context;
    struct pending *pending = *state;
    (void)version;
    (void)body;
    bool is_known = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD) ||
                    !strcmp(method, MHD_HTTP_METHOD_POST);
    if (!is_known)
        return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD or POST", "GET, HEAD, POST");
    if (!pending) {
        *state = pql_xcalloc(1, sizeof *pending);
        return MHD_YES;
    }
    pending->body += *body_len;
    if (pending->body > BODY_MAX) return MHD_NO;
    if (*body_len) {
        *body_len = 0;
        return MHD_YES;
    }
    return answer(server, connection, path, method);
}

static void end_request(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    free(*state);
    *state = NULL;
}

/* Paths stay as they were sent: an id in one may contain '/'. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* --- starting --- */

static char *read_pem(const char *path, struct pql_err *err)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (!file || fstat(fileno(file), &info) || info.st_size <= 0 || info.st_size > PEM_MAX) {
        (void)PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path,
                       file ? "no file of a certificate or key (PEM)" : strerror(errno));
    } else {
        text = pql_xcalloc(1, (size_t)info.st_size + 1);
        if (fread(text, 1, (size_t)info.st_size, file) != (size_t)info.st_size ||
            !strstr(text, "-----BEGIN")) {
            (void)PQL_FAIL(err, PQL_ERR_CONFIG, "%s: no certificate or key (PEM) in it", path);
            free(text);
            text = NULL;
        }
    }
    if (file) fclose(file);
    return text;
}

/* host:port or [host]:port; a host by its number, so that nothing is asked of a name server. */
static struct addrinfo *resolve(const char *address, struct pql_err *err)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(address, ':'), *begin = address + (*address == '[');
    size_t len = colon ? (size_t)(colon - begin) : 0;
    if (colon && *address == '[') len = colon > begin && colon[-1] == ']' ? len - 1 : 0;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    if (len && len < sizeof host) {
        memcpy(host, begin, len);
        host[len] = '\0';
        if (!getaddrinfo(host, colon + 1, &hints, &found)) return found;
    }
    (void)PQL_FAIL(err, PQL_ERR_CONFIG,
                   "http = \"%s\": no address; it is written 127.0.0.1:8090 or [::1]:8090", address);
    return NULL;
}

static void note_address(struct pql_server *server, int listener)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    if (getsockname(listener, (struct sockaddr *)&own, &len)) return;
    getnameinfo((struct sockaddr *)&own, len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(server->address, sizeof server->address, own.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
}

static int listen_on(struct pql_server *server, const char *address, struct pql_err *err)
{
    struct addrinfo *where = resolve(address, err);
    if (!where) return -1;
    int one = 1, listener = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0) (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listener < 0 || bind(listener, where->ai_addr, where->ai_addrlen) ||
        listen(listener, CONNECTIONS_MAX)) {
        (void)PQL_FAIL(err, PQL_ERR_CONFIG, "http = \"%s\": %s; choose another address or port", address,
                       strerror(errno));
        if (listener >= 0) close(listener);
        listener = -1;
    }
    freeaddrinfo(where);
    if (listener >= 0) note_address(server, listener);
    return listener;
}

static struct MHD_Daemon *start(struct pql_server *server, int listener)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | (server->key ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, server->certificate},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, server->key},
                                   {MHD_OPTION_END, 0, NULL}},
                          none[] = {{MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(flags, 0, NULL, NULL, take_request, server, MHD_OPTION_LISTEN_SOCKET, listener,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)PER_ADDRESS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                            MHD_OPTION_NOTIFY_COMPLETED, end_request, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
                            leave_escaped, NULL, MHD_OPTION_ARRAY, server->key ? tls : none, MHD_OPTION_END);
}

struct pql_server *pql_server_start(const struct pql_server_conf *conf, pql_server_handler *handler,
                                    void *context, struct pql_err *err)
{
    struct pql_server *server = pql_xcalloc(1, sizeof *server);
    server->handler = handler;
    server->context = context;
    server->token = conf->token ? pql_xstrndup(conf->token, strlen(conf->token)) : NULL;
    int listener = -1;
    if (conf->certificate && !(server->certificate = read_pem(conf->certificate, err))) goto fail;
    if (conf->key && !(server->key = read_pem(conf->key, err))) goto fail;
    listener = listen_on(server, conf->address, err);
    if (listener < 0) goto fail;
    server->daemon = start(server, listener);
    if (server->daemon) return server;
    (void)PQL_FAIL(err, PQL_ERR_CONFIG, "http = \"%s\": %s", conf->address,
                   server->key
                       ? "the server does not start; do http_certificate and http_key belong together?"
                       : "the server does not start");
    close(listener);
fail:
    pql_server_stop(server);
    return NULL;
}

void pql_server_stop(struct pql_server *server)
{
    if (!server) return;
    if (server->daemon) MHD_stop_daemon(server->daemon);
    free(server->token);
    free(server->certificate);
    free(server->key);
    free(server);
}

const char *pql_server_address(const struct pql_server *server)
{
    return server->address;
}
