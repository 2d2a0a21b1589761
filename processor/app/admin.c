#include "app/admin.h"

#include "app/admin_console.h"
#include "app/admin_look.h"
#include "app/json_put.h"
#include "app/metrics.h"
#include "core/wire/encode.h"
#include "base/log.h"
#include "io/server.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum { COMMIT_PATIENCE_US = 15000000 };

struct pql_admin {
    const struct pql_setup *setup;
    struct pql_server *http;
    int64_t began_ms;
    pthread_mutex_t
        lock; /* held while a request is answered; of runner and monitor, NULL while none is attached */
    struct pql_runner *runner;
    struct pql_monitor *monitor;
};

/* What a request is answered from: one copy. */
struct view {
    struct pql_pipeline_stats stats;
    struct pql_task_standing *tasks;
    struct pql_task_lag *lags; /* one per task */
    size_t count;
};

static struct view view_of(const struct pql_admin *admin)
{
    struct view view;
    struct pql_pipeline *pipeline = pql_runner_pipeline(admin->runner);
    pql_pipeline_stats(pipeline, &view.stats);
    view.tasks = pql_pipeline_standing(pipeline, &view.count);
    view.lags = pql_xcalloc(view.count + 1, sizeof *view.lags);
    for (size_t i = 0; i < view.count; i++)
        view.lags[i] = pql_monitor_lag(admin->monitor, view.tasks[i].partition);
    return view;
}

static void view_deinit(struct view *view)
{
    free(view->tasks);
    free(view->lags);
}

static struct pql_scoreboard_view scores_of(const struct pql_admin *admin)
{
    if (!admin->runner) return (struct pql_scoreboard_view){0};
    return pql_pipeline_scores(pql_runner_pipeline(admin->runner));
}

/* --- routes --- */

static void answer_metrics(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    struct view view = view_of(admin);
    struct pql_scoreboard_view scores = scores_of(admin);
    answer->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    struct pql_health health = pql_health_of(admin->runner, admin->monitor);
    pql_metrics_write(&(struct pql_metrics){.stats = &view.stats,
                                            .health = &health,
                                            .scores = &scores,
                                            .tasks = view.tasks,
                                            .lags = view.lags,
                                            .tasks_count = view.count,
                                            .now_ms = pql_wall_ms()},
                      &answer->body);
    pql_scoreboard_view_free(&scores);
    view_deinit(&view);
}

static void answer_live(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    (void)admin;
    pql_buf_text(&answer->body, "live\n");
}

/* Why it is not ready, a line each: every task that is assigned processes new events, and commits succeed. */
static void write_unready(const struct view *view, struct pql_buf *out)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct pql_task_standing *task = &view->tasks[i];
        if (strcmp(task->phase, "live") == 0) continue;
        pql_buf_printf(out, "partition %" PRId32 ": %s%s%s\n", task->partition, task->phase,
                       *task->blocked ? ": " : "", task->blocked);
    }
    if (view->stats.commit_waits_us > COMMIT_PATIENCE_US)
        pql_buf_printf(out, "a commit has not succeeded for %" PRIu64 " s\n",
                       view->stats.commit_waits_us / 1000000);
}

static void answer_ready(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    struct view view = view_of(admin);
    write_unready(&view, &answer->body);
    if (answer->body.len) answer->status = 503;
    if (answer->status == 200) pql_buf_printf(&answer->body, "ready, %zu partitions\n", view.count);
    view_deinit(&view);
}

static void put_task(const struct pql_admin *admin, const struct pql_task_standing *task,
                     const struct pql_task_lag *lag, struct pql_buf *out)
{
    const struct pql_pipeline_conf *conf = pql_wiring_conf(pql_runner_wiring(admin->runner));
    pql_buf_text(out, "{");
    pql_put_number(out, "partition", task->partition, true);
    pql_put_text(out, "phase", pql_slice_of(task->phase));
    pql_put_name(out, "committed");
    pql_buf_text(out, "{");
    for (uint32_t i = 0; i < conf->inputs_count; i++)
        pql_put_number(out, conf->inputs[i].topic, task->committed[i], true);
    pql_buf_text(out, "}");
    pql_put_number(out, "lag_records", lag->records, lag->records >= 0);
    int64_t behind_ms = pql_lag_ms(task, lag, pql_wall_ms());
    pql_put_number(out, "lag_seconds", behind_ms / 1000, behind_ms >= 0);
    pql_put_number(out, "snapshot_age_seconds", task->snapshot_age_ms / 1000, task->snapshot_age_ms >= 0);
    pql_put_number(out, "restored_percent",
                   (int64_t)(task->load_of ? task->load_done * 100 / task->load_of : 0), task->load_of > 0);
    pql_put_number(out, "restore_seconds_left", task->load_left_ms / 1000, task->load_left_ms >= 0);
    pql_put_number(out, "revision", task->revision, task->revision >= 0);
    pql_put_number(out, "accounts", (int64_t)task->accounts, true);
    pql_put_number(out, "clock_ms", task->seen_ms, task->seen_ms != PQL_NO_TIME);
    pql_put_optional(out, "blocked", task->blocked);
    pql_buf_text(out, "}");
}

static void answer_status(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    struct view view = view_of(admin);
    const struct pql_config *config = admin->setup->config;
    struct pql_buf *out = &answer->body;
    int64_t revision;
    pql_pipeline_program(pql_runner_pipeline(admin->runner), &revision);
    answer->content_type = "application/json";
    pql_buf_text(out, "{");
    pql_put_text(out, "version", PQL_SLICE_LITERAL(PQL_VERSION));
    pql_put_text(out, "app", pql_slice_of(config->app));
    pql_put_optional(out, "instance", config->instance);
    pql_put_text(out, "writer", pql_slice_of(pql_wiring_conf(pql_runner_wiring(admin->runner))->writer));
    pql_put_number(out, "revision", revision, true);
    pql_put_text(out, "delivery",
                 pql_slice_of(config->delivery == PQL_EXACTLY_ONCE ? "exactly_once" : "at_least_once"));
    struct pql_buf unready = {0};
    write_unready(&view, &unready);
    pql_put_bool(out, "ready", !unready.len);
    pql_put_text(out, "not_ready", (struct pql_slice){unready.len ? unready.ptr : "", unready.len});
    pql_buf_deinit(&unready);
    pql_put_number(out, "up_seconds", (pql_wall_ms() - admin->began_ms) / 1000, true);
    pql_put_number(out, "events", (int64_t)view.stats.messages, true);
    pql_put_number(out, "transitions", (int64_t)view.stats.records, true);
    pql_put_number(out, "replayed", (int64_t)view.stats.replayed, true);
    pql_put_number(out, "dead_letters", (int64_t)view.stats.refused, true);
    pql_put_number(out, "late", (int64_t)view.stats.late, true);
    pql_put_number(out, "duplicates", (int64_t)view.stats.duplicates, true);
    pql_put_number(out, "commits", (int64_t)view.stats.epochs, true);
    pql_put_number(out, "aborted_commits", (int64_t)view.stats.aborted, true);
    pql_put_number(out, "last_commit_ms", view.stats.last_commit_us / 1000, view.stats.epochs > 0);
    pql_put_number(out, "accounts", (int64_t)view.stats.accounts, true);
    pql_put_number(out, "memory_bytes", (int64_t)pql_memory_total(&view.stats.memory), true);
    pql_put_number(out, "memory_limit_bytes", (int64_t)view.stats.memory_max, view.stats.memory_max > 0);
    pql_put_name(out, "tasks");
    pql_buf_text(out, "[");
    for (size_t i = 0; i < view.count; i++) {
        if (i) pql_buf_text(out, ", ");
        put_task(admin, &view.tasks[i], &view.lags[i], out);
    }
    pql_buf_text(out, "]}\n");
    view_deinit(&view);
}

static void put_definition(const struct pql_program *program, size_t index,
                           const struct pql_scoreboard_view *scores, struct pql_buf *out)
{
    const struct pql_definition_conf *definition = pql_program_definition(program, index);
    char *words = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&words, &len);
    if (file) pql_program_explain(program, index, file), fclose(file);
    pql_buf_text(out, "{");
    pql_put_text(out, "name", definition->name);
    pql_put_text(out, "subject", pql_slice_of(definition->subject == PQL_SUBJECT_USER ? "user" : "account"));
    pql_put_number(out, "version", definition->version, true);
    pql_put_text(out, "mode", pql_slice_of(definition->mode == PQL_MODE_SHADOW ? "shadow" : "live"));
    pql_console_scores(scores, definition, out);
    pql_put_text(out, "qualify", definition->qualify.text);
    pql_put_text(out, "explained", (struct pql_slice){words ? words : "", len});
    pql_buf_text(out, "}");
    free(words);
}

/* Those that were taken over last: SIGHUP may have changed them. */
static void answer_definitions(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    int64_t revision;
    const struct pql_program *program =
        admin->runner ? pql_pipeline_program(pql_runner_pipeline(admin->runner), &revision)
                      : admin->setup->program;
    struct pql_scoreboard_view scores = scores_of(admin);
    answer->content_type = "application/json";
    pql_buf_text(&answer->body, "[");
    for (size_t i = 0; i < pql_program_definitions_count(program); i++) {
        if (i) pql_buf_text(&answer->body, ", ");
        put_definition(program, i, &scores, &answer->body);
    }
    pql_buf_text(&answer->body, "]\n");
    pql_scoreboard_view_free(&scores);
}

static void answer_recent(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    answer->content_type = "application/json";
    pql_console_recent(pql_runner_pipeline(admin->runner), &answer->body);
}

static void answer_console(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)admin;
    pql_console_file(rest, answer);
}

/* The page's own addresses are relative to its folder. */
static void answer_console_folder(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)admin;
    (void)rest;
    answer->status = 308;
    answer->location = "console/";
    pql_buf_text(&answer->body, "console/\n");
}

static void answer_accounts(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    pql_admin_look(admin->runner, admin->setup->config->instance, rest, answer);
}

static void answer_refresh(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    pql_pipeline_refresh(pql_runner_pipeline(admin->runner));
    answer->status = 202;
    pql_buf_text(&answer->body, "asked for; each partition of this instance publishes its members\n");
}

static void answer_index(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer);

static const struct route {
    const char *path;
    bool is_post, is_open; /* open: no token is wanted */
    bool needs_pipeline;
    /* rest: of a path that ends with '/' in the table, what is behind it */
    void (*answer)(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer);
    const char *help;
} routes[] = {
    {"/", false, false, false, answer_index, "this list"},
    {"/live", false, true, false, answer_live, "200 while the process answers"},
    {"/ready", false, true, true, answer_ready,
     "200 when every assigned partition processes new events, else 503 and why"},
    {"/metrics", false, false, true, answer_metrics, "OpenMetrics"},
    {"/status", false, false, true, answer_status, "the instance and its partitions, JSON"},
    {"/refresh", true, false, true, answer_refresh, "a record of every present member to the state topic"},
    {"/console", false, true, false, answer_console_folder, "to the next"},
    {"/console/", false, true, false, answer_console, "this process as a page, for a browser"},
    {"/recent", false, false, true, answer_recent, "the last transitions and dead letters, JSON"},
    {"/accounts/", false, false, true, answer_accounts,
     "ID, or ID/users/ID: why is it qualified or what is missing, JSON"},
    {"/definitions", false, false, false, answer_definitions, "what is looked for, and in words, JSON"},
};

static void answer_index(struct pql_admin *admin, const char *rest, struct pql_server_answer *answer)
{
    (void)rest;
    (void)admin;
    pql_buf_text(&answer->body, "pqlstream " PQL_VERSION "\n\n");
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        pql_buf_printf(&answer->body, "%-5s%-14s%s\n", routes[i].is_post ? "POST" : "GET", routes[i].path,
                       routes[i].help);
}

static const struct route *route_of(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t len = strlen(routes[i].path);
        bool is_prefix = len > 1 && routes[i].path[len - 1] == '/';
        if (strncmp(routes[i].path, path, len) == 0 && (is_prefix || !path[len])) return &routes[i];
    }
    return NULL;
}

static void answer_route(struct pql_admin *admin, const struct route *route, const char *path,
                         struct pql_server_answer *answer)
{
    pthread_mutex_lock(&admin->lock);
    if (route->needs_pipeline && !admin->runner) {
        answer->status = 503;
        pql_buf_text(&answer->body, "the process is starting or ending: no partition is assigned\n");
    } else {
        answer->status = 200;
        route->answer(admin, path + strlen(route->path), answer);
    }
    pthread_mutex_unlock(&admin->lock);
}

static void answer_request(void *context, const struct pql_server_request *request,
                           struct pql_server_answer *answer)
{
    const struct route *route = route_of(request->path);
    if (!request->is_authorized && !(route && route->is_open)) {
        answer->status = 401;
        pql_buf_text(&answer->body, "a bearer token is wanted (http_token)\n");
    } else if (!route) {
        pql_buf_text(&answer->body, "no such page; / lists them\n");
    } else if (route->is_post != request->is_post) {
        answer->status = 405;
        answer->allow = route->is_post ? "POST" : "GET, HEAD";
        pql_buf_printf(&answer->body, "%s only\n", route->is_post ? "POST" : "GET");
    } else {
        answer_route(context, route, request->path, answer);
    }
}

struct pql_admin *pql_admin_start(const struct pql_setup *setup, struct pql_err *err)
{
    struct pql_admin *admin = pql_xcalloc(1, sizeof *admin);
    admin->setup = setup;
    admin->began_ms = pql_wall_ms();
    pthread_mutex_init(&admin->lock, NULL);
    admin->http = pql_server_start(&setup->config->http, answer_request, admin, err);
    if (!admin->http) {
        pql_admin_stop(admin);
        return NULL;
    }
    pql_log(PQL_LOG_INFO, "admin endpoint", "address=%s tls=%s token=%s", pql_server_address(admin->http),
            setup->config->http.key ? "yes" : "no", setup->config->http.token ? "yes" : "no");
    return admin;
}

void pql_admin_attach(struct pql_admin *admin, struct pql_runner *runner, struct pql_monitor *monitor)
{
    if (!admin) return;
    pthread_mutex_lock(&admin->lock);
    admin->runner = runner;
    admin->monitor = monitor;
    pthread_mutex_unlock(&admin->lock);
}

void pql_admin_detach(struct pql_admin *admin)
{
    pql_admin_attach(admin, NULL, NULL);
}

void pql_admin_stop(struct pql_admin *admin)
{
    if (!admin) return;
    pql_server_stop(admin->http);
    pthread_mutex_destroy(&admin->lock);
    free(admin);
}
