#include "app/admin.h"

#include "app/metrics.h"
#include "base/log.h"
#include "io/server.h"
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

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

static void put_json(struct pql_server_answer *answer, json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    answer->content_type = "application/json";
    pql_buf_text(&answer->body, text ? text : "null");
    pql_buf_text(&answer->body, "\n");
    free(text);
    json_decref(value);
}

/* --- routes --- */

static void answer_metrics(struct pql_admin *admin, struct pql_server_answer *answer)
{
    struct view view = view_of(admin);
    answer->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    pql_metrics_write(&view.stats, view.tasks, view.lags, view.count, pql_wall_ms(), &answer->body);
    view_deinit(&view);
}

static void answer_live(struct pql_admin *admin, struct pql_server_answer *answer)
{
    (void)admin;
    pql_buf_text(&answer->body, "live\n");
}

/* Ready: every task that is assigned processes new events. What does not is named. */
static void answer_ready(struct pql_admin *admin, struct pql_server_answer *answer)
{
    struct view view = view_of(admin);
    for (size_t i = 0; i < view.count; i++) {
        const struct pql_task_standing *task = &view.tasks[i];
        if (strcmp(task->phase, "live") == 0) continue;
        answer->status = 503;
        pql_buf_printf(&answer->body, "partition %" PRId32 ": %s%s%s\n", task->partition, task->phase,
                       *task->blocked ? ": " : "", task->blocked);
    }
    if (answer->status == 200) pql_buf_printf(&answer->body, "ready, %zu partitions\n", view.count);
    view_deinit(&view);
}

static json_t *optional(int64_t value, bool is_known)
{
    return is_known ? json_integer((json_int_t)value) : json_null();
}

static json_t *task_json(const struct pql_admin *admin, const struct pql_task_standing *task,
                         const struct pql_task_lag *lag)
{
    const struct pql_pipeline_conf *conf = pql_wiring_conf(pql_runner_wiring(admin->runner));
    json_t *committed = json_object();
    for (uint32_t i = 0; i < conf->inputs_count; i++)
        json_object_set_new(committed, conf->inputs[i].topic, json_integer((json_int_t)task->committed[i]));
    return json_pack("{s:i, s:s, s:o, s:o, s:I, s:o, s:o}", "partition", (int)task->partition, "phase",
                     task->phase, "committed", committed, "lag_records",
                     optional(lag->records, lag->records >= 0), "accounts", (json_int_t)task->accounts,
                     "clock_ms", optional(task->seen_ms, task->seen_ms != PQL_NO_TIME), "blocked",
                     *task->blocked ? json_string(task->blocked) : json_null());
}

static void answer_status(struct pql_admin *admin, struct pql_server_answer *answer)
{
    struct view view = view_of(admin);
    const struct pql_config *config = admin->setup->config;
    json_t *tasks = json_array();
    for (size_t i = 0; i < view.count; i++)
        json_array_append_new(tasks, task_json(admin, &view.tasks[i], &view.lags[i]));
    put_json(answer, json_pack("{s:s, s:s, s:s?, s:s, s:I, s:s, s:I, s:I, s:I, s:o}", "version", PQL_VERSION,
                               "app", config->app, "instance", config->instance, "writer",
                               pql_wiring_conf(pql_runner_wiring(admin->runner))->writer, "revision",
                               (json_int_t)config->revision, "delivery",
                               config->delivery == PQL_EXACTLY_ONCE ? "exactly_once" : "at_least_once",
                               "up_seconds", (json_int_t)(pql_wall_ms() - admin->began_ms) / 1000, "events",
                               (json_int_t)view.stats.messages, "transitions", (json_int_t)view.stats.records,
                               "tasks", tasks));
    view_deinit(&view);
}

static void answer_refresh(struct pql_admin *admin, struct pql_server_answer *answer)
{
    pql_pipeline_refresh(pql_runner_pipeline(admin->runner));
    answer->status = 202;
    pql_buf_text(&answer->body, "asked for; each partition of this instance publishes its members\n");
}

static json_t *text_json(struct pql_slice text)
{
    json_t *value = json_stringn(text.ptr, text.len);
    return value ? value : json_string("");
}

static void answer_definitions(struct pql_admin *admin, struct pql_server_answer *answer)
{
    const struct pql_program *program = admin->setup->program;
    json_t *all = json_array();
    for (size_t i = 0; i < pql_program_definitions_count(program); i++) {
        const struct pql_definition_conf *definition = pql_program_definition(program, i);
        char *words = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&words, &len);
        if (out) pql_program_explain(program, i, out), fclose(out);
        json_array_append_new(
            all, json_pack("{s:o, s:s, s:I, s:o, s:o}", "name", text_json(definition->name), "subject",
                           definition->subject == PQL_SUBJECT_USER ? "user" : "account", "version",
                           (json_int_t)definition->version, "qualify", text_json(definition->qualify.text),
                           "explained", text_json((struct pql_slice){words ? words : "", len})));
        free(words);
    }
    put_json(answer, all);
}

static void answer_index(struct pql_admin *admin, struct pql_server_answer *answer);

static const struct route {
    const char *path;
    bool is_post, is_open; /* open: no token is wanted */
    bool needs_pipeline;
    void (*answer)(struct pql_admin *admin, struct pql_server_answer *answer);
    const char *help;
} routes[] = {
    {"/", false, false, false, answer_index, "this list"},
    {"/live", false, true, false, answer_live, "200 while the process answers"},
    {"/ready", false, true, true, answer_ready,
     "200 when every assigned partition processes new events, else 503 and why"},
    {"/metrics", false, false, true, answer_metrics, "OpenMetrics"},
    {"/status", false, false, true, answer_status, "the instance and its partitions, JSON"},
    {"/refresh", true, false, true, answer_refresh, "a record of every present member to the state topic"},
    {"/definitions", false, false, false, answer_definitions, "what is looked for, and in words, JSON"},
};

static void answer_index(struct pql_admin *admin, struct pql_server_answer *answer)
{
    (void)admin;
    pql_buf_text(&answer->body, "pqlstream " PQL_VERSION "\n\n");
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        pql_buf_printf(&answer->body, "%-5s%-14s%s\n", routes[i].is_post ? "POST" : "GET", routes[i].path,
                       routes[i].help);
}

static const struct route *route_of(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].path, path) == 0) return &routes[i];
    return NULL;
}

static void answer_route(struct pql_admin *admin, const struct route *route, struct pql_server_answer *answer)
{
    pthread_mutex_lock(&admin->lock);
    if (route->needs_pipeline && !admin->runner) {
        answer->status = 503;
        pql_buf_text(&answer->body, "the process is starting or ending: no partition is assigned\n");
    } else {
        answer->status = 200;
        route->answer(admin, answer);
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
        answer_route(context, route, answer);
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
