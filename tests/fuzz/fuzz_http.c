/* Requests to the admin endpoint: the bytes as they are, over a connection of their own, to the real server
 * and its routes (no pipeline is attached: what asks it answers 503); and the path of a look-up. A protected
 * page is never answered to who has not sent the token, every connection comes to an end, and the server goes
 * on answering. */
#include "app/admin.h"
#include "app/admin_look.h"
#include "base/log.h"
#include "fuzz/fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 256 << 10,
    QUIET_MS = 3,
    PATIENCE_MS = 20000,
    LOOK_EACH = 64,
    TRIES = 400,
    PAUSE_MS = 50
};

#define TOKEN "sesame"
#define PROTECTED "only-for-the-owner"

static const char configuration[] =
    "app = \"fuzz\"; http_token = \"" TOKEN "\";\n"
    "log_level = \"error\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; };\n"
    "inputs = ( { topic = \"t\"; format = \"json\"; } );\n"
    "definitions = ( { name = \"" PROTECTED "\"; subject = \"account\";\n"
    "                  qualify = \"count(login, 7d) >= 2\"; } );\n";

static struct pql_setup setup; /* both live as long as the process */
static struct pql_admin *admin;
static struct sockaddr_in server = {.sin_family = AF_INET};

/* A port that nobody had a moment ago. */
static void choose_port(void)
{
    socklen_t len = sizeof server;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    FUZZ_CHECK(!bind(fd, (const struct sockaddr *)&server, sizeof server) &&
               !getsockname(fd, (struct sockaddr *)&server, &len));
    close(fd);
}

static void start(void)
{
    char path[64], http[64];
    struct pql_err err = {0};
    choose_port();
    snprintf(http, sizeof http, "http=127.0.0.1:%d", ntohs(server.sin_port));
    snprintf(path, sizeof path, "/dev/shm/pql-fuzz-http-%ld.conf", (long)getpid());
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(configuration, 1, sizeof configuration - 1, file) && !fclose(file));
    const struct pql_config_flags flags = {.path = path, .sets = {{http}, 1}};
    FUZZ_CHECK(pql_setup_load(&setup, &flags, true));
    unlink(path);
    pql_log_set_level(PQL_LOG_ERROR);
    admin = pql_admin_start(&setup, &err);
    FUZZ_CHECK(admin);
}

/* Sends all of it and reads what comes at once: the server waits seconds for the rest of a request, and for
 * the next one. quiet_ms: how long nothing must come. */
static struct pql_slice ask(struct pql_slice request, int quiet_ms)
{
    static char answer[ANSWER_MAX];
    size_t got = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(fd >= 0 && !connect(fd, (const struct sockaddr *)&server, sizeof server));
    for (size_t sent = 0; sent < request.len;) {
        ssize_t n = send(fd, request.ptr + sent, request.len - sent, MSG_NOSIGNAL);
        if (n <= 0) break; /* it has heard enough */
        sent += (size_t)n;
    }
    for (struct pollfd one = {.fd = fd, .events = POLLIN}; poll(&one, 1, quiet_ms) == 1;) {
        ssize_t n = recv(fd, answer + got, sizeof answer - got, 0);
        if (n <= 0) break;
        got += (size_t)n;
    }
    close(fd);
    return (struct pql_slice){answer, got};
}

static bool has(struct pql_slice text, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        if (!memcmp(text.ptr + i, word, len)) return true;
    return false;
}

/* Again where it has not noticed yet that earlier connections are gone, of which it takes so many at a time.
 */
static void answers_with(struct pql_slice request, const char *word)
{
    bool is_there = false;
    for (int i = 0; i < TRIES && !is_there; i++) {
        is_there = has(ask(request, PATIENCE_MS), word);
        if (!is_there) poll(NULL, 0, PAUSE_MS);
    }
    FUZZ_CHECK(is_there);
}

/* What is found in a path is in it, but for '%'. */
static void read_path(struct pql_slice given)
{
    char path[4096];
    struct pql_buf account = {0}, user = {0};
    size_t len = given.len < sizeof path - 1 ? given.len : sizeof path - 1;
    memcpy(path, given.ptr, len);
    path[len] = '\0';
    if (pql_admin_look_path(path, &account, &user))
        FUZZ_CHECK(account.len && account.len + user.len <= strlen(path));
    pql_buf_deinit(&account);
    pql_buf_deinit(&user);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static unsigned runs;
    struct pql_slice request = {(const char *)bytes, len};
    if (!admin) start();
    struct pql_slice answer = ask(request, QUIET_MS);
    FUZZ_CHECK(!answer.len ||
               has((struct pql_slice){answer.ptr, answer.len < 7 ? answer.len : 7}, "HTTP/1."));
    FUZZ_CHECK(has(request, TOKEN) || !has(answer, PROTECTED));
    if (++runs % LOOK_EACH == 1) {
        answers_with(PQL_SLICE_LITERAL("GET /live HTTP/1.0\r\n\r\n"), "200 OK");
        answers_with(
            PQL_SLICE_LITERAL("GET /definitions HTTP/1.0\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"),
            PROTECTED);
    }
    read_path(request);
    return 0;
}
