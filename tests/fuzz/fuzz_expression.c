/* A condition: subject and lateness in the first byte, then its text. What compiles is explained, and runs
 * over some events; its state written and read again is the same. */
#include "core/engine.h"
#include "fuzz/fuzz.h"

enum { HOUR = 3600000 };

static void ignore(void *context, const struct pql_record *record)
{
    (void)context;
    (void)record;
}

static void feed(struct pql_engine *engine, const struct pql_program *program, uint32_t seed)
{
    static const char *const events[] = {"login", "invite_sent", "x", "signed_up"};
    static const char *const texts[] = {"team", "12.5", "", "pro"};
    const struct pql_names *names = pql_program_names(program);
    size_t most = names->properties_count + names->user_attributes_count + names->account_attributes_count;
    struct pql_value *values = calloc(most + 1, sizeof *values);
    for (int i = 0; i < 24; i++) {
        seed = seed * 1103515245 + 12345;
        for (size_t v = 0; v < most; v++)
            values[v] = (seed >> (v % 16)) & 1 ? pql_number((pql_decimal)(seed >> 20) * 500000)
                                               : pql_text(pql_slice_of(texts[(seed >> 8) % 4]));
        struct pql_event event = {.kind = (seed >> 28) == 1   ? PQL_EVENT_IDENTIFY
                                          : (seed >> 28) == 2 ? PQL_EVENT_GROUP
                                                              : PQL_EVENT_TRACK,
                                  .name = pql_slice_of(events[(seed >> 16) % 4]),
                                  .account = pql_slice_of(seed >> 30 ? "a" : "b"),
                                  .user = pql_slice_of((seed >> 18) % 3 ? "u" : "v"),
                                  .time_ms = (int64_t)i * 5 * HOUR - (int64_t)(seed >> 25) * HOUR,
                                  .properties = values,
                                  .user_attributes = values,
                                  .account_attributes = values,
                                  .offset = i};
        (void)pql_engine_apply(engine, &event);
    }
    free(values);
}

static void check_snapshot(struct pql_engine *engine, const struct pql_program *program)
{
    struct pql_err err = {0};
    struct pql_buf pages = {0};
    struct pql_engine *again = pql_engine_new(program, ignore, NULL);
    pql_snapshot_begin(engine, 1, 0);
    while (!pql_snapshot_step(engine, &pages, 4096)) continue;
    FUZZ_CHECK(!pql_snapshot_load(again, pages.ptr, pages.len, &err) && !pql_snapshot_loaded(again, &err));
    FUZZ_CHECK(pql_engine_digest(engine) == pql_engine_digest(again));
    pql_engine_free(again);
    pql_buf_deinit(&pages);
}

static void run(const struct pql_program *program, uint32_t seed)
{
    struct pql_engine *engine = pql_engine_new(program, ignore, NULL);
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere) pql_program_explain(program, 0, nowhere), fclose(nowhere);
    feed(engine, program, seed);
    check_snapshot(engine, program);
    pql_engine_tick(engine, INT64_C(400) * 24 * HOUR);
    pql_engine_finish(engine);
    pql_engine_free(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (!len) return 0;
    struct pql_definition_conf definition = {.name = PQL_SLICE_LITERAL("d"),
                                             .name_source.text = PQL_SLICE_LITERAL("d"),
                                             .version = 1,
                                             .subject = bytes[0] & 1 ? PQL_SUBJECT_ACCOUNT : PQL_SUBJECT_USER,
                                             .qualify.text = {(const char *)bytes + 1, len - 1}};
    struct pql_program_conf conf = {.app = PQL_SLICE_LITERAL("fuzz"),
                                    .settings = pql_settings_default(),
                                    .definitions = &definition,
                                    .definitions_count = 1};
    if (bytes[0] & 2) conf.settings.lateness_ms = 6 * HOUR;
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_program *program = pql_program_new(&conf, &diags);
    FUZZ_CHECK(!program == (diags.errors_count != 0));
    if (program) run(program, (uint32_t)len);
    pql_program_free(program);
    pql_diags_deinit(&diags);
    return 0;
}
