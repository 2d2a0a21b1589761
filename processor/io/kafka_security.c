#include "io/kafka_security.h"

#include "io/kafka_refusal.h"
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static bool is_about_security(const char *name)
{
    return begins(name, "ssl.") || begins(name, "sasl.") || begins(name, "enable.sasl") ||
           begins(name, "enable.ssl") || !strcmp(name, "security.protocol");
}

static void say(const struct pql_kafka_property *at, struct pql_diags *diags, const char *format, ...)
    PQL_PRINTF(3, 4);
static void say(const struct pql_kafka_property *at, struct pql_diags *diags, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pql_diag_place(diags, PQL_SEVERITY_ERROR, at->file, at->line, at->column, 1, "%s", text);
}

/* "probe" asks librdkafka to look for the system's authorities. */
static void check_file(const struct pql_kafka_property *property, struct pql_diags *diags)
{
    size_t len = strlen(property->name);
    static const char end[] = ".location";
    bool is_file = begins(property->name, "ssl.") && len > sizeof end &&
                   !strcmp(property->name + len - (sizeof end - 1), end) &&
                   !begins(property->name, "ssl.engine") && strcmp(property->value, "probe") != 0;
    if (is_file && *property->value && access(property->value, R_OK))
        say(property, diags, "'%s': %s cannot be read: %s", property->name, property->value, strerror(errno));
}

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

/* By the property that the message begins with; else where TLS or SASL was asked for. */
static const struct pql_kafka_property *place_of(const struct pql_kafka_conf *conf, const char *text)
{
    for (size_t i = 0; i < conf->properties_count; i++)
        if (strstr(text, conf->properties[i].name) && is_about_security(conf->properties[i].name))
            return &conf->properties[i];
    const struct pql_kafka_property *protocol = pql_kafka_find_property(conf, "security.protocol");
    return protocol ? protocol : &conf->properties[0];
}

/* A handle of nothing but these properties, that never connects. */
static void check_together(const struct pql_kafka_conf *conf, struct pql_diags *diags)
{
    char text[400];
    bool is_any = false;
    rd_kafka_conf_t *rk_conf = rd_kafka_conf_new();
    for (size_t i = 0; i < conf->properties_count; i++) {
        const struct pql_kafka_property *property = &conf->properties[i];
        if (!is_about_security(property->name)) continue;
        is_any = true;
        (void)rd_kafka_conf_set(rk_conf, property->name, property->value, NULL, 0);
    }
    rd_kafka_conf_set_log_cb(rk_conf, ignore_log);
    rd_kafka_t *rk = is_any ? rd_kafka_new(RD_KAFKA_PRODUCER, rk_conf, text, sizeof text) : NULL;
    if (rk)
        rd_kafka_destroy(rk);
    else
        rd_kafka_conf_destroy(rk_conf);
    if (is_any && !rk) say(place_of(conf, text), diags, "librdkafka: %s", text);
}

/* Kerberos would run kinit for it. */
static bool is_kerberos(const struct pql_kafka_conf *conf)
{
    const struct pql_kafka_property *protocol = pql_kafka_find_property(conf, "security.protocol"),
                                    *mechanism = pql_kafka_find_property(conf, "sasl.mechanism");
    if (!mechanism) mechanism = pql_kafka_find_property(conf, "sasl.mechanisms");
    bool is_sasl = protocol && !strncasecmp(protocol->value, "sasl", 4);
    return is_sasl && (!mechanism || !strcasecmp(mechanism->value, "GSSAPI"));
}

void pql_kafka_check_security(const struct pql_kafka_conf *conf, struct pql_diags *diags)
{
    size_t before = diags->errors_count;
    for (size_t i = 0; i < conf->properties_count; i++) check_file(&conf->properties[i], diags);
    if (diags->errors_count == before && !is_kerberos(conf)) check_together(conf, diags);
}
