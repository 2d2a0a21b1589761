#include "io/probe.h"

#include <curl/curl.h>

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct pql_buf *body = context;
    size_t len = size * count, room = PQL_PROBE_BODY_MAX - body->len;
    pql_buf_put(body, bytes, len < room ? len : room);
    return len;
}

int pql_probe(const struct pql_server_conf *conf, const char *path, long *status, struct pql_buf *body,
              struct pql_err *err)
{
    char cause[CURL_ERROR_SIZE] = "";
    struct pql_buf url = {0};
    CURL *curl = curl_easy_init();
    pql_buf_printf(&url, "%s://%s%s", conf->key ? "https" : "http", conf->address, path);
    curl_easy_setopt(curl, CURLOPT_URL, url.ptr);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PQL_PROBE_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, cause);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (conf->key) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, conf->certificate);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L); /* it is made out to a name, not to 127.0.0.1 */
    }
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    else
        (void)PQL_FAIL(err, PQL_ERR_RETRY, "%s: %s", url.ptr, *cause ? cause : curl_easy_strerror(code));
    curl_easy_cleanup(curl);
    pql_buf_deinit(&url);
    return code == CURLE_OK ? 0 : -1;
}
