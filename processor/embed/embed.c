#include "embed/embed.h"

#include "core/reasons.h"
#include "core/wire/rfc3339.h"
#include "io/record_outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- errors --- */

static void forget_error(struct pqlstream *stream)
{
    free(stream->error);
    stream->error = NULL;
    stream->reason = NULL;
}

int pql_embed_fail(struct pqlstream *stream, const struct pql_err *err)
{
    struct pql_buf text = {0};
    forget_error(stream);
    pql_buf_text(&text, err->msg);
    pql_buf_u8(&text, 0);
    stream->error = text.ptr;
    stream->reason = err->cls == PQL_ERR_RECORD ? err->reason : NULL;
    return -1;
}

static int misuse(struct pqlstream *stream, const char *what)
{
    struct pql_err err;
    PQL_FAIL(&err, PQL_ERR_CONFIG, "%s", what);
    return pql_embed_fail(stream, &err);
}

int pql_embed_begin(struct pqlstream *stream, bool wants_open)
{
    forget_error(stream);
    if (stream->is_busy)
        return misuse(stream, "called from within take, which may call nothing of the object");
    if (wants_open && !stream->is_open)
        return misuse(stream, "there are no definitions yet: pqlstream_open_…");
    return 0;
}

const char *pqlstream_error(const struct pqlstream *stream)
{
    return stream->error ? stream->error : "";
}

const char *pqlstream_reason(const struct pqlstream *stream)
{
    return stream->reason;
}

/* --- records --- */

static unsigned outputs_of(unsigned bits)
{
    static const struct {
        enum pql_output output;
        unsigned bit;
    } rows[] = {{PQL_OUT_PQL, PQLSTREAM_TRANSITION},
                {PQL_OUT_PQA, PQLSTREAM_TRANSITION},
                {PQL_OUT_STATE, PQLSTREAM_STATE},
                {PQL_OUT_ALERTS, PQLSTREAM_ALERT},
                {PQL_OUT_SHADOW, PQLSTREAM_SHADOW}};
    unsigned outputs = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (bits & 1u << rows[i].output) outputs |= rows[i].bit;
    return outputs;
}

static void emit(void *context, const struct pql_record *record)
{
    struct pqlstream *stream = context;
    struct pql_record aged = *record;
    struct pql_buf *text = &stream->record;
    int64_t now = wall_ms();
    unsigned bits = pql_record_age(&aged, stream->setup.program, now, stream->setup.config->alert_max_age_ms);
    if (!bits) return;
    text->len = 0;
    pql_encode_key(&aged, text);
    size_t key_len = text->len;
    pql_buf_u8(text, 0);
    pql_encode_record(stream->encoder, &aged, now, text);
    pql_buf_u8(text, 0);
    stream->is_busy = true;
    stream->take(stream->context, &(struct pqlstream_record){.key = text->ptr,
                                                             .key_len = key_len,
                                                             .json = text->ptr + key_len + 1,
                                                             .json_len = text->len - key_len - 2,
                                                             .outputs = outputs_of(bits)});
    stream->is_busy = false;
}

struct pql_engine *pql_embed_engine(struct pqlstream *stream, const struct pql_program *program)
{
    return pql_engine_new(program, emit, stream);
}

/* --- opening --- */

struct pqlstream *pqlstream_new(pqlstream_take *take, void *context)
{
    struct pqlstream *stream = pql_xcalloc(1, sizeof *stream);
    stream->take = take;
    stream->context = context;
    pql_arena_init(&stream->scratch);
    return stream;
}

static void close_all(struct pqlstream *stream)
{
    size_t count = stream->setup.config ? stream->setup.config->inputs_count : 0;
    for (size_t i = 0; stream->decoders && i < count; i++) pql_decoder_free(stream->decoders[i]);
    free(stream->decoders);
    pql_engine_free(stream->engine);
    pql_encoder_free(stream->encoder);
    free(stream->topics);
    pql_setup_deinit(&stream->setup);
    stream->decoders = NULL;
    stream->engine = NULL;
    stream->encoder = NULL;
    stream->topics = NULL;
}

void pqlstream_free(struct pqlstream *stream)
{
    if (!stream) return;
    forget_error(stream);
    close_all(stream);
    pql_arena_deinit(&stream->scratch);
    pql_buf_deinit(&stream->record);
    pql_buf_deinit(&stream->saved);
    free(stream);
}

/* Faults, or warnings; as `check` prints them. */
static void say_diags(struct pqlstream *stream)
{
    size_t len;
    FILE *out = open_memstream(&stream->error, &len);
    if (!out) return;
    pql_diags_print(&stream->setup.diags, out);
    fclose(out);
}

static int make_parts(struct pqlstream *stream, struct pql_err *err)
{
    const struct pql_config *config = stream->setup.config;
    stream->decoders = pql_xcalloc(config->inputs_count, sizeof(struct pql_decoder *));
    stream->topics = pql_xcalloc(config->inputs_count, sizeof *stream->topics);
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_decoder_conf conf = {.format = PQL_FORMAT_JSON,
                                              .mapping = stream->setup.mappings[config->inputs[i].mapping]};
        stream->topics[i] = pql_slice_of(config->inputs[i].topic);
        if (!(stream->decoders[i] = pql_decoder_new(&conf, err))) return -1;
    }
    stream->encoder = pql_encoder_new(&(struct pql_encode_conf){
        .format = PQL_ENCODE_JSON, .topics = stream->topics, .topics_count = config->inputs_count});
    stream->engine = pql_embed_engine(stream, stream->setup.program);
    return 0;
}

static int open_request(struct pqlstream *stream, const struct pql_config_request *request)
{
    struct pql_err err;
    if (pql_embed_begin(stream, false)) return -1;
    if (stream->is_open) return misuse(stream, "there are definitions already: an object has them once");
    if (!pql_setup_read(&stream->setup, request, NULL)) {
        say_diags(stream);
        close_all(stream);
        return -1;
    }
    if (make_parts(stream, &err)) {
        close_all(stream);
        return pql_embed_fail(stream, &err);
    }
    say_diags(stream);
    stream->is_open = true;
    return 0;
}

int pqlstream_open_file(struct pqlstream *stream, const char *path)
{
    return open_request(stream, &(struct pql_config_request){.path = path, .today_ms = wall_ms()});
}

int pqlstream_open_text(struct pqlstream *stream, const char *path, const char *text, size_t text_len)
{
    const struct pql_slice bytes = {text, text_len};
    return open_request(stream,
                        &(struct pql_config_request){.path = path, .text = &bytes, .today_ms = wall_ms()});
}

/* --- input --- */

static int find_input(struct pqlstream *stream, const char *topic, uint32_t *input)
{
    const struct pql_config *config = stream->setup.config;
    struct pql_err err;
    for (size_t i = 0; i < config->inputs_count; i++) {
        if (topic && strcmp(topic, config->inputs[i].topic) != 0) continue;
        *input = (uint32_t)i;
        return 0;
    }
    PQL_FAIL(&err, PQL_ERR_CONFIG, "there is no input '%s'; the first is '%s'", topic,
             config->inputs[0].topic);
    return pql_embed_fail(stream, &err);
}

static int take_event(struct pqlstream *stream, uint32_t input, struct pql_slice json, struct pql_err *err)
{
    const struct pql_message message = {.timestamp_ms = PQL_NO_TIME,
                                        .input = input,
                                        .has_user_events = stream->setup.config->inputs[input].user_events ==
                                                           PQL_USER_EVENTS_ALL_PARTITIONS};
    struct pql_event event;
    pql_arena_reset(&stream->scratch);
    if (pql_decoder_apply(stream->decoders[input], json, &message, &stream->scratch, &event, err)) return -1;
    event.offset = stream->offset++;
    if (pql_engine_apply(stream->engine, &event) != PQL_APPLY_LATE_DEAD_LETTER) return 0;
    PQL_FAIL(err, PQL_ERR_RECORD, "%s", pql_rejects[PQL_REJECT_LATE].help);
    err->reason = pql_rejects[PQL_REJECT_LATE].word;
    return -1;
}

int pqlstream_event(struct pqlstream *stream, const char *topic, const char *json, size_t json_len)
{
    struct pql_err err = {0};
    uint32_t input;
    if (pql_embed_begin(stream, true) || find_input(stream, topic, &input)) return -1;
    if (take_event(stream, input, (struct pql_slice){json, json_len}, &err) == 0) return 0;
    stream->refused++;
    return pql_embed_fail(stream, &err);
}

int pqlstream_advance(struct pqlstream *stream, int64_t to_ms)
{
    if (pql_embed_begin(stream, true)) return -1;
    if (to_ms < PQL_TIME_MIN_MS || to_ms > PQL_TIME_MAX_MS)
        return misuse(stream, "a time beyond the years 0 to 9999");
    pql_engine_tick(stream->engine, to_ms);
    return 0;
}

int64_t pqlstream_next(struct pqlstream *stream)
{
    return pql_embed_begin(stream, true) ? PQLSTREAM_NEVER : pql_engine_next_tick(stream->engine);
}

int64_t pqlstream_clock(const struct pqlstream *stream)
{
    return stream->is_open ? pql_engine_seen(stream->engine) : PQLSTREAM_NEVER;
}

int pqlstream_finish(struct pqlstream *stream)
{
    if (pql_embed_begin(stream, true)) return -1;
    pql_engine_finish(stream->engine);
    return 0;
}

int pqlstream_refresh(struct pqlstream *stream)
{
    if (pql_embed_begin(stream, true)) return -1;
    pql_engine_refresh(stream->engine);
    return 0;
}

/* --- counts --- */

void pqlstream_stats(const struct pqlstream *stream, struct pqlstream_stats *stats, size_t size)
{
    struct pqlstream_stats all = {.refused = stream->refused};
    if (stream->is_open) {
        struct pql_engine_stats own = pql_engine_stats(stream->engine);
        all = (struct pqlstream_stats){.events = own.events,
                                       .records = own.records,
                                       .refused = stream->refused,
                                       .duplicates = own.duplicates,
                                       .late = own.late,
                                       .ignored = own.ignored,
                                       .accounts = own.accounts,
                                       .users = own.users,
                                       .bytes = pql_engine_bytes(stream->engine)};
    }
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
}

const char *pqlstream_version(void)
{
    return PQL_VERSION;
}
