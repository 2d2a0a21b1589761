#include "io/registry_http.h"

#include "base/buf.h"
#include "base/memory.h"
#include "io/registry_reply.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { URLS_MAX = 16, CONNECT_TIMEOUT_MS = 5000 };

struct target {
    char *base;            /* without user, password and final slash */
    char *user, *password; /* of the URL, or NULL */
};

struct pql_http {
    struct target targets[URLS_MAX];
    size_t targets_count, preferred;
    char *user, *password, *token, *ca, *certificate, *key;
    long timeout_ms;
    CURL *curl;
    struct curl_slist *headers;
    char cause[CURL_ERROR_SIZE];
    struct pql_buf body;
    atomic_bool is_stopped, is_down;
    atomic_uint_fast64_t requests, failures;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static char *copy_or_null(const char *text)
{
    return text && *text ? pql_xstrndup(text, strlen(text)) : NULL;
}

/* --- configuration --- */

static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return NULL;
    char *copy = copy_or_null(text);
    curl_free(text);
    return copy;
}

/* Names the position of a URL, never its text: it may hold a password. */
static int parse_target(struct pql_http *http, const char *text, struct pql_err *err)
{
    size_t number = http->targets_count + 1;
    if (number > URLS_MAX)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "registry.url has more than %d URLs", URLS_MAX);
    struct target *target = &http->targets[http->targets_count];
    CURLU *url = curl_url();
    int result = -1;
    char *scheme = NULL, *query = NULL;
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
    if (code != CURLUE_OK) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "URL %zu of registry.url: %s", number, curl_url_strerror(code));
        goto out;
    }
    scheme = url_part(url, CURLUPART_SCHEME, 0);
    query = url_part(url, CURLUPART_QUERY, 0);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) || query) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "URL %zu of registry.url: it must be http:// or https://, without '?'",
                 number);
        goto out;
    }
    target->user = url_part(url, CURLUPART_USER, CURLU_URLDECODE);
    target->password = url_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    target->base = url_part(url, CURLUPART_URL, 0);
    PQL_ASSERT(target->base); /* of what was parsed it lacks memory only */
    for (size_t len = strlen(target->base); len && target->base[len - 1] == '/'; len--)
        target->base[len - 1] = 0;
    http->targets_count++;
    result = 0;
out:
    free(scheme);
    free(query);
    curl_url_cleanup(url);
    return result;
}

static int parse_targets(struct pql_http *http, const char *list, struct pql_err *err)
{
    for (const char *at = list; at && *at;) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        if (!len) break;
        char *text = pql_xstrndup(at, len);
        int failed = parse_target(http, text, err);
        free(text);
        if (failed) return -1;
        at += len;
    }
    return http->targets_count ? 0 : PQL_FAIL(err, PQL_ERR_CONFIG, "registry.url is empty");
}

struct pql_http *pql_http_new(const struct pql_registry_conf *conf, struct pql_err *err)
{
    pthread_once(&curl_once, start_curl);
    struct pql_http *http = pql_xcalloc(1, sizeof *http);
    http->user = copy_or_null(conf->user);
    http->password = copy_or_null(conf->password);
    http->token = copy_or_null(conf->token);
    http->ca = copy_or_null(conf->ca);
    http->certificate = copy_or_null(conf->certificate);
    http->key = copy_or_null(conf->key);
    http->timeout_ms = conf->timeout_ms > 0 ? (long)conf->timeout_ms : 10000;
    if (parse_targets(http, conf->url, err)) {
        pql_http_free(http);
        return NULL;
    }
    http->curl = curl_easy_init();
    PQL_ASSERT(http->curl);
    http->headers = curl_slist_append(http->headers, "Content-Type: application/vnd.schemaregistry.v1+json");
    http->headers =
        curl_slist_append(http->headers, "Accept: application/vnd.schemaregistry.v1+json, application/json");
    http->headers = curl_slist_append(http->headers, "Expect:");
    return http;
}

void pql_http_free(struct pql_http *http)
{
    if (!http) return;
    for (size_t i = 0; i < URLS_MAX; i++) {
        free(http->targets[i].base);
        free(http->targets[i].user);
        free(http->targets[i].password);
    }
    free(http->user);
    free(http->password);
    free(http->token);
    free(http->ca);
    free(http->certificate);
    free(http->key);
    if (http->curl) curl_easy_cleanup(http->curl);
    curl_slist_free_all(http->headers);
    pql_buf_deinit(&http->body);
    free(http);
}

void pql_http_stop(struct pql_http *http)
{
    atomic_store(&http->is_stopped, true);
}

const char *pql_http_first_url(const struct pql_http *http)
{
    return http->targets[0].base;
}

bool pql_http_is_down(const struct pql_http *http)
{
    return atomic_load(&http->is_down);
}

void pql_http_counts(const struct pql_http *http, uint64_t *requests, uint64_t *failures)
{
    *requests = atomic_load(&http->requests);
    *failures = atomic_load(&http->failures);
}

char *pql_http_escape(struct pql_slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = pql_xmalloc(text.len * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        (c && strchr("-_.~", c));
        if (is_plain) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    out[len] = 0;
    return out;
}

/* --- one request --- */

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct pql_http *http = ctx;
    size_t len = size * count;
    if (http->body.len + len > PQL_HTTP_BODY_MAX) return 0; /* ends the transfer with CURLE_WRITE_ERROR */
    pql_buf_put(&http->body, bytes, len);
    return len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    struct pql_http *http = ctx;
    return atomic_load(&http->is_stopped);
}

static void set_credentials(struct pql_http *http, const struct target *target)
{
    CURL *curl = http->curl;
    if (target->user || http->user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, target->user ? target->user : http->user);
        const char *password = target->user ? target->password : http->password;
        curl_easy_setopt(curl, CURLOPT_PASSWORD, password ? password : "");
    } else if (http->token) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, http->token);
    }
    if (http->ca) curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca);
    if (http->certificate) curl_easy_setopt(curl, CURLOPT_SSLCERT, http->certificate);
    if (http->key) curl_easy_setopt(curl, CURLOPT_SSLKEY, http->key);
}

static void set_request(struct pql_http *http, const char *url, struct pql_slice body)
{
    CURL *curl = http->curl;
    curl_easy_reset(curl); /* connections are kept */
    curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, http->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "pqlstream/" PQL_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->cause);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http);
    if (body.ptr) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
    }
}

/* What an operator may do about it. The first group cannot get better by itself. */
static const struct {
    CURLcode code;
    enum pql_err_class cls;
    const char *remedy;
} remedies[] = {
    {CURLE_SSL_CACERT_BADFILE, PQL_ERR_CONFIG, "registry.ca must be a readable PEM file"},
    {CURLE_SSL_CERTPROBLEM, PQL_ERR_CONFIG, "registry.certificate and registry.key must be a PEM pair"},
    {CURLE_PEER_FAILED_VERIFICATION, PQL_ERR_CONFIG, "if the CA is your own, name its file in registry.ca"},
    {CURLE_COULDNT_RESOLVE_HOST, PQL_ERR_RETRY, "is the host in registry.url right?"},
    {CURLE_COULDNT_CONNECT, PQL_ERR_RETRY, "does the registry run, and is registry.url right?"},
    {CURLE_OPERATION_TIMEDOUT, PQL_ERR_RETRY, "registry.timeout may be longer"},
    {CURLE_WRITE_ERROR, PQL_ERR_RETRY, "the answer is longer than 1 MB"},
    {CURLE_ABORTED_BY_CALLBACK, PQL_ERR_RETRY, "stopping"},
    {CURLE_SSL_CONNECT_ERROR, PQL_ERR_RETRY, "does the registry speak TLS there?"},
};

static int transfer_failed(struct pql_http *http, const char *url, CURLcode code, struct pql_err *err)
{
    const char *cause = *http->cause ? http->cause : curl_easy_strerror(code);
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        if (remedies[i].code == code)
            return PQL_FAIL(err, remedies[i].cls, "%s: %s; %s", url, cause, remedies[i].remedy);
    return PQL_FAIL(err, PQL_ERR_RETRY, "%s: %s", url, cause);
}

static bool may_change(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* What an answer that is no success says, where that is not for the caller to interpret. */
static int judge_status(struct pql_http *http, const struct pql_http_answer *answer, struct pql_err *err)
{
    char *location = NULL;
    const char *url = answer->url, *says = answer->message, *colon = *says ? ": " : "";
    if (may_change(answer->status))
        return PQL_FAIL(err, PQL_ERR_RETRY, "%s: HTTP %ld%s%s", url, answer->status, colon, says);
    if (answer->status == 401 || answer->status == 403)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "%s: HTTP %ld%s%s; check registry.user and registry.password, or registry.token", url,
                        answer->status, colon, says);
    if (answer->status >= 300 && answer->status < 400) {
        curl_easy_getinfo(http->curl, CURLINFO_REDIRECT_URL, &location);
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "%s: HTTP %ld to %.200s; redirects are not followed, registry.url must name that place", url,
            answer->status, location ? location : "nowhere");
    }
    if (answer->status >= 400 && !answer->error_code)
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "%s: HTTP %ld without error_code; this is no schema registry, check the path in registry.url",
            url, answer->status);
    return 0;
}

static int call_target(struct pql_http *http, const struct target *target, const char *path,
                       struct pql_slice body, struct pql_http_answer *answer, struct pql_err *err)
{
    struct pql_buf url = {0};
    pql_buf_printf(&url, "%s%s", target->base, path);
    set_request(http, url.ptr, body);
    set_credentials(http, target);
    snprintf(answer->url, sizeof answer->url, "%s", url.ptr);
    pql_buf_deinit(&url); /* curl has its own copy */
    http->body.len = 0;
    *http->cause = 0;
    atomic_fetch_add(&http->requests, 1);
    CURLcode code = curl_easy_perform(http->curl);
    if (code != CURLE_OK) return transfer_failed(http, answer->url, code, err);
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    answer->body = (struct pql_slice){http->body.ptr ? http->body.ptr : "", http->body.len};
    answer->error_code = 0;
    *answer->message = 0;
    if (answer->status >= 300) answer->error_code = pql_registry_parse_error(answer->body, answer->message);
    return judge_status(http, answer, err);
}

int pql_http_call(struct pql_http *http, const char *path, struct pql_slice body,
                  struct pql_http_answer *answer, struct pql_err *err)
{
    size_t first = http->preferred;
    for (size_t i = 0; i < http->targets_count; i++) {
        size_t at = (first + i) % http->targets_count;
        if (atomic_load(&http->is_stopped)) return PQL_FAIL(err, PQL_ERR_RETRY, "stopping");
        if (call_target(http, &http->targets[at], path, body, answer, err) == 0) {
            http->preferred = at;
            atomic_store(&http->is_down, false);
            return 0;
        }
        atomic_fetch_add(&http->failures, 1);
    }
    atomic_store(&http->is_down, true);
    return -1;
}
