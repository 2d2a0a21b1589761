#include "io/config_check.h"

#include <stdarg.h>

static const char topic_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
enum { TOPIC_MAX = 249 };

struct check {
    const struct pql_config *config;
    const struct pql_setting *root;
    struct pql_diags *diags;
};

/* At the value of a setting; NULL: about the file. */
static void say(const struct check *check, const struct pql_setting *setting, const char *format, ...)
    PQL_PRINTF(3, 4);
static void say(const struct check *check, const struct pql_setting *setting, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (setting)
        pql_setting_diag_value(setting, check->diags, "%s", text);
    else
        pql_diag_place(check->diags, PQL_SEVERITY_ERROR, check->config->path, 0, 0, 1, "%s", text);
}

static void check_brokers(const struct check *check, bool needs_brokers)
{
    const struct pql_setting *brokers =
        pql_setting_find(pql_setting_find(check->root, "kafka"), "bootstrap_servers");
    if (!brokers && needs_brokers)
        say(check, NULL,
            "no brokers: kafka = { bootstrap_servers = \"host:9092\"; }; explain and replay of files need "
            "none");
    bool is_text = brokers && brokers->kind == PQL_SETTING_TEXT;
    if (brokers && (!is_text || !brokers->value.text.ptr[strspn(brokers->value.text.ptr, " ,")]))
        say(check, brokers, "'bootstrap_servers' must be a text, as in \"host:9092\"; several with commas");
}

static void check_registry(const struct check *check)
{
    const struct pql_setting *url = pql_setting_find(pql_setting_find(check->root, "registry"), "url");
    const char *at = url && url->kind == PQL_SETTING_TEXT ? url->value.text.ptr : "";
    bool is_http = true;
    for (at += strspn(at, ", "); *at; at += strspn(at, ", ")) {
        is_http &= strncmp(at, "http://", 7) == 0 || strncmp(at, "https://", 8) == 0;
        at += strcspn(at, ",");
    }
    if (!is_http) say(check, url, "'url' begins with http:// or https://");
}

static void check_http(const struct check *check)
{
    const struct pql_server_conf *http = &check->config->http;
    const struct pql_setting *certificate = pql_setting_find(check->root, "http_certificate"),
                             *key = pql_setting_find(check->root, "http_key");
    if (!http->certificate != !http->key)
        pql_setting_diag(certificate ? certificate : key, check->diags, PQL_SEVERITY_ERROR,
                         "http_certificate and http_key are given together");
}

/* What Kafka takes as the name of a topic. */
static void check_topic_name(const struct check *check, const struct pql_setting *group)
{
    const struct pql_setting *topic = pql_setting_find(group, "topic");
    if (!topic || topic->kind != PQL_SETTING_TEXT) return;
    struct pql_slice name = topic->value.text;
    if (name.ptr[strspn(name.ptr, topic_bytes)] || pql_slice_is(name, ".") || pql_slice_is(name, ".."))
        say(check, topic, "the name of a topic has letters, digits, '.', '_' and '-' only");
    if (name.len > TOPIC_MAX)
        say(check, topic, "the name of a topic has at most %d bytes, this one has %zu", TOPIC_MAX, name.len);
}

static const struct pql_setting *topic_setting(const struct pql_setting *list, const char *topic)
{
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next) {
        const struct pql_setting *name = pql_setting_find(kid, "topic");
        if (name && pql_slice_is(name->value.text, topic)) return name;
    }
    return NULL;
}

/* A topic serves one purpose: records of one kind read as another would be a fault that feeds on itself. */
static void check_purposes(const struct check *check)
{
    const struct pql_config *config = check->config;
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) {
        const char *topic = config->outputs[i].topic;
        bool is_taken = false;
        for (size_t k = 0; k < i; k++) is_taken |= strcmp(config->outputs[k].topic, topic) == 0;
        for (size_t k = 0; k < config->inputs_count; k++)
            is_taken |= config->inputs[k].topic && strcmp(config->inputs[k].topic, topic) == 0;
        const struct pql_setting *output = topic_setting(pql_setting_find(check->root, "outputs"), topic),
                                 *input = topic_setting(pql_setting_find(check->root, "inputs"), topic);
        if (is_taken)
            say(check, output ? output : input,
                "topic '%s' has two purposes: each input and output has its own", topic);
    }
}

static void check_app(const struct check *check)
{
    const char *app = check->config->app ? check->config->app : "";
    if (app[strspn(app, topic_bytes)])
        say(check, pql_setting_find(check->root, "app"),
            "'app' begins names of topics: letters, digits, '.', '_' and '-' only");
}

static void check_definitions(const struct check *check)
{
    const struct pql_setting *definitions = pql_setting_find(check->root, "definitions"),
                             *files = pql_setting_find(check->root, "definition_files");
    bool has_any = check->config->program.definitions_count || (definitions && definitions->kids) ||
                   (files && check->diags->errors_count); /* refused ones, too */
    if (!has_any) say(check, NULL, "no definitions: nothing to look for (definitions, definition_files)");
}

static void check_delays(const struct check *check)
{
    const struct pql_setting *delay = pql_setting_find(check->root, "max_output_delay");
    if (check->config->max_output_delay_ms > check->config->commit_interval_ms)
        say(check, delay ? delay : pql_setting_find(check->root, "commit_interval"),
            "'max_output_delay' is longer than 'commit_interval'");
}

void pql_config_check(const struct pql_config *config, const struct pql_setting *root, bool needs_brokers,
                      struct pql_diags *diags)
{
    const struct check check = {config, root, diags};
    const struct pql_setting *inputs = pql_setting_find(root, "inputs"),
                             *outputs = pql_setting_find(root, "outputs");
    check_app(&check);
    check_brokers(&check, needs_brokers);
    check_registry(&check);
    check_http(&check);
    for (const struct pql_setting *kid = inputs ? inputs->kids : NULL; kid; kid = kid->next)
        check_topic_name(&check, kid);
    for (const struct pql_setting *kid = outputs ? outputs->kids : NULL; kid; kid = kid->next)
        check_topic_name(&check, kid);
    check_purposes(&check);
    check_definitions(&check);
    check_delays(&check);
}
