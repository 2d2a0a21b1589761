#include "io/kafka_refusal.h"

#include "io/kafka_speaks.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct pql_kafka_property *pql_kafka_find_property(const struct pql_kafka_conf *conf, const char *name)
{
    const struct pql_kafka_property *found = NULL;
    for (size_t i = 0; i < conf->properties_count; i++)
        if (!strcmp(conf->properties[i].name, name)) found = &conf->properties[i];
    return found;
}

static const char *protocol_of(const struct pql_kafka_conf *conf)
{
    const struct pql_kafka_property *protocol = pql_kafka_find_property(conf, "security.protocol");
    return protocol ? protocol->value : "PLAINTEXT";
}

/* Numbers of OpenSSL's x509_vfy.h, which never change. */
static const struct {
    int code;
    const char *property, *words;
} certificates[] = {
    {9, "bootstrap.servers", "its certificate is not valid yet: look at the clocks of both machines"},
    {10, "bootstrap.servers",
     "its certificate has expired: it must be renewed there (or this machine's clock is wrong)"},
    {13, "bootstrap.servers", "its certificate has no readable time: it must be made again there"},
    {23, "bootstrap.servers", "its certificate was revoked: it must be renewed there"},
    {62, "bootstrap.servers",
     "its certificate is for another host name: write the name that it has in bootstrap_servers, or have "
     "one made for this name (brokers are named by their advertised.listeners)"},
    {64, "bootstrap.servers",
     "its certificate is not for this address: write the name that it has in bootstrap_servers, or have one "
     "made for this address (brokers are named by their advertised.listeners)"},
    {0, "ssl.ca.location",
     "its certificate is of an authority that is not known here: ssl_ca_location = \"the authority's PEM "
     "file\";"},
};

/* What librdkafka says, by a piece of its words; the first that fits. */
static const struct {
    const char *piece, *property, *words;
} sayings[] = {
    {"supported mechanisms: ", "sasl.mechanism",
     "it does not know this sasl_mechanism: take one that it names, or a security_protocol without SASL if "
     "it "
     "names none"},
    {"alert certificate required", "ssl.certificate.location",
     "it wants a certificate of its clients: ssl_certificate_location and ssl_key_location"},
    {"alert bad certificate", "ssl.certificate.location",
     "it wants a certificate of its clients, and one that it trusts: ssl_certificate_location and "
     "ssl_key_location"},
    {"alert certificate unknown", "ssl.certificate.location",
     "it does not trust this client's certificate: ssl_certificate_location and ssl_key_location"},
    {"alert unknown ca", "ssl.certificate.location",
     "it does not trust the authority of this client's certificate: ssl_certificate_location"},
    {"alert certificate expired", "ssl.certificate.location", "this client's certificate has expired"},
    {"alert handshake failure", "security.protocol",
     "both sides have no version or cipher of TLS in common: ssl_cipher_suites, ssl_sigalgs_list"},
    {"alert protocol version", "security.protocol", "both sides have no version of TLS in common"},
};

static int fail(const struct pql_kafka_conf *conf, const char *property, const char *words, const char *said,
                struct pql_err *err)
{
    char place[400] = "";
    const struct pql_kafka_property *at = pql_kafka_find_property(conf, property);
    if (!at) at = pql_kafka_find_property(conf, "security.protocol");
    if (!at) at = pql_kafka_find_property(conf, "bootstrap.servers");
    if (at && at->file && at->line)
        snprintf(place, sizeof place, "%s:%d:%d: ", at->file, at->line, at->column);
    else if (at && at->file)
        snprintf(place, sizeof place, "%s: ", at->file);
    return PQL_FAIL(err, PQL_ERR_CONFIG, "%scannot use the broker: %s (%s)", place, words, said);
}

static int fail_for_certificate(const struct pql_kafka_conf *conf, const struct pql_kafka_attempt *attempt,
                                struct pql_err *err)
{
    size_t i = 0;
    while (certificates[i].code && certificates[i].code != attempt->certificate) i++;
    char said[500];
    snprintf(said, sizeof said, "%.*s certificate verify failed", (int)strcspn(attempt->said, " "),
             attempt->said);
    return fail(conf, certificates[i].property, certificates[i].words, said, err);
}

static int fail_for_silence(const struct pql_kafka_conf *conf, struct pql_err *err)
{
    const char *protocol = protocol_of(conf);
    bool wants_tls = !strcasecmp(protocol, "ssl") || !strcasecmp(protocol, "sasl_ssl");
    const struct pql_kafka_property *brokers = pql_kafka_find_property(conf, "bootstrap.servers");
    char asked[300], said[400];
    enum pql_speaks speaks = pql_kafka_speaks(brokers ? brokers->value : "", asked, sizeof asked);
    if (speaks == PQL_SPEAKS_UNKNOWN || wants_tls == (speaks == PQL_SPEAKS_TLS)) return 0;
    snprintf(said, sizeof said, "%s was asked", asked);
    return fail(conf, "security.protocol",
                wants_tls
                    ? "it does not speak TLS: security_protocol = \"PLAINTEXT\"; or \"SASL_PLAINTEXT\", or "
                      "another port"
                    : "it speaks TLS: security_protocol = \"SSL\"; or \"SASL_SSL\", with ssl_ca_location, "
                      "or another port",
                said, err);
}

int pql_kafka_refused(const struct pql_kafka_conf *conf, const struct pql_kafka_attempt *attempt,
                      struct pql_err *err)
{
    bool is_login = attempt->code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
                    attempt->code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
    bool is_broken_off = strstr(attempt->said, "closed by peer") || strstr(attempt->said, "Disconnected");
    if (attempt->certificate && strstr(attempt->said, "certificate verify failed"))
        return fail_for_certificate(conf, attempt, err);
    for (size_t i = 0; i < sizeof sayings / sizeof *sayings; i++)
        if (strstr(attempt->said, sayings[i].piece))
            return fail(conf, sayings[i].property, sayings[i].words, attempt->said, err);
    if (is_login)
        return fail(conf, "sasl.password",
                    "it does not accept user and password: look at sasl_username, sasl_password and "
                    "sasl_mechanism; for SCRAM a password is set by kafka-configs.sh",
                    attempt->said, err);
    if (!*attempt->said || is_broken_off || attempt->code == RD_KAFKA_RESP_ERR__TRANSPORT)
        return fail_for_silence(conf, err);
    if (attempt->code == RD_KAFKA_RESP_ERR__SSL)
        return fail(conf, "security.protocol",
                    "TLS to it fails: look at its listener and at the ssl_ settings", attempt->said, err);
    return 0;
}
