#include "base/secret.h"

#include <stddef.h>
#include <string.h>

/* token_endpoint_url and the like are none. */
bool pql_secret_name(const char *name)
{
    static const char *const words[] = {
        "password",           "passphrase",        "secret", "token", "pem", "jaas",
        "oauthbearer_config", "oauthbearer.config"};
    bool found = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) found |= !!strstr(name, words[i]);
    return found && !strstr(name, "endpoint");
}

static bool is_of_name(char c)
{
    return c == '_' || c == '.' || c == '-' || c == '*' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

/* The value from `at` on, in quotes or not; adjacent texts are one. Returns what is behind it. Where a secret
 * is found (${env:NAME}) is none. */
static char *mask_value(char *at)
{
    if (!strncmp(at, "\"${", 3)) return at + 1;
    if (*at != '"') {
        for (; *at && !strchr(" \t;,}", *at); at++) *at = '*';
        return at;
    }
    while (*at == '"') {
        for (at++; *at && *at != '"'; at++) {
            if (*at == '\\' && at[1]) *at++ = '*';
            *at = '*';
        }
        if (*at) at++;
        char *next = at + strspn(at, " \t");
        if (*next == '"') at = next;
    }
    return at;
}

/* User and password of each URL: "://user:password@". */
static void mask_users(char *line)
{
    for (char *at = line; (at = strstr(at, "://"));) {
        at += 3;
        size_t len = strcspn(at, "@/, \"");
        if (at[len] == '@') memset(at, '*', len);
    }
}

void pql_secret_mask(char *line)
{
    mask_users(line);
    for (char *at = line; *at;) {
        char name[64];
        size_t len = 0;
        while (is_of_name(at[len])) len++;
        char *equals = at + len + strspn(at + len, " \t");
        bool is_setting = len && (*equals == '=' || *equals == ':');
        size_t kept = len < sizeof name ? len : sizeof name - 1;
        memcpy(name, at, kept);
        name[kept] = '\0';
        at += len ? len : 1;
        if (is_setting && pql_secret_name(name)) at = mask_value(equals + 1 + strspn(equals + 1, " \t"));
    }
}
