#include "app/admin_look.h"

#include "app/json_put.h"
#include "app/lookup.h"
#include "core/wire/encode.h"
#include "io/kafka_admin.h"

enum { OWNER_MS = 1000 };

/* --- the path --- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Up to the next '/', decoded; the rest, '/' included, or NULL where '%' is not followed by two digits. */
static const char *take_segment(const char *at, struct pql_buf *out)
{
    for (; *at && *at != '/'; at++) {
        if (*at != '%') {
            pql_buf_put(out, at, 1);
            continue;
        }
        int high = hex(at[1]), low = high < 0 ? -1 : hex(at[2]);
        if (low < 0) return NULL;
        pql_buf_u8(out, (uint8_t)(high << 4 | low));
        at += 2;
    }
    return at;
}

bool pql_admin_look_path(const char *path, struct pql_buf *account, struct pql_buf *user)
{
    static const char users[] = "/users/";
    const char *rest = take_segment(path, account);
    if (!rest || !account->len) return false;
    if (!*rest) return true;
    if (strncmp(rest, users, sizeof users - 1) != 0) return false;
    rest = take_segment(rest + sizeof users - 1, user);
    return rest && !*rest && user->len;
}

/* --- the answer --- */

static const struct {
    unsigned status;
    const char *error, *words;
} outcomes[] = {
    [PQL_LOOKUP_FOUND] = {200, NULL, NULL},
    [PQL_LOOKUP_NO_USER] = {404, "no_user", "the account is here; this user has never appeared in it"},
    [PQL_LOOKUP_NOT_LIVE] = {503, "not_live", "the partition is being restored, or is blocked: see /ready"},
    [PQL_LOOKUP_NO_ACCOUNT] = {404, "no_account", "no event of this account has been seen"},
    [PQL_LOOKUP_ELSEWHERE] = {421, "elsewhere", "another instance has this account's partition"},
    [PQL_LOOKUP_BUSY] = {503, "busy", "the worker is busy with a long input; ask again"},
};

/* Whom to ask: as the group has it. */
static void put_owner(struct pql_runner *runner, int32_t partition, struct pql_buf *out)
{
    const struct pql_pipeline_conf *conf = pql_wiring_conf(pql_runner_wiring(runner));
    struct pql_kafka_owner owner;
    struct pql_err err;
    if (partition < 0 || pql_kafka_owner(pql_wiring_admin(pql_runner_wiring(runner)), conf->app,
                                         conf->inputs[0].topic, partition, &owner, OWNER_MS, &err))
        owner = (struct pql_kafka_owner){0};
    pql_put_name(out, "owner");
    if (!owner.is_known) {
        pql_buf_text(out, "null");
        return;
    }
    pql_buf_text(out, "{");
    pql_put_optional(out, "instance", owner.instance);
    pql_put_optional(out, "host", owner.host);
    pql_buf_text(out, "}");
}

void pql_admin_look(struct pql_runner *runner, const char *instance, const char *path,
                    struct pql_server_answer *answer)
{
    struct pql_buf account = {0}, user = {0}, found = {0}, *out = &answer->body;
    const struct pql_pipeline_conf *conf = pql_wiring_conf(pql_runner_wiring(runner));
    int32_t partition;
    answer->content_type = "application/json";
    if (!pql_admin_look_path(path, &account, &user)) {
        answer->status = 400;
        pql_buf_text(out,
                     "{\"error\": \"bad_path\", \"message\": \"/accounts/ID or /accounts/ID/users/ID, each "
                     "percent-encoded\"}\n");
        goto out;
    }
    enum pql_lookup_result result =
        pql_pipeline_lookup(pql_runner_pipeline(runner), (struct pql_slice){account.ptr, account.len},
                            (struct pql_slice){user.ptr, user.len}, &partition, &found);
    answer->status = outcomes[result].status;
    pql_buf_text(out, "{");
    if (outcomes[result].error) {
        pql_put_text(out, "error", pql_slice_of(outcomes[result].error));
        pql_put_text(out, "message", pql_slice_of(outcomes[result].words));
    }
    pql_put_number(out, "partition", partition, partition >= 0);
    if (result == PQL_LOOKUP_ELSEWHERE) {
        put_owner(runner, partition, out);
    } else {
        pql_put_optional(out, "instance", instance);
        pql_put_text(out, "writer", pql_slice_of(conf->writer));
    }
    if (found.len) {
        pql_put_name(out, "subject");
        pql_buf_put(out, found.ptr, found.len);
    }
    pql_buf_text(out, "}\n");
out:
    pql_buf_deinit(&account);
    pql_buf_deinit(&user);
    pql_buf_deinit(&found);
}
