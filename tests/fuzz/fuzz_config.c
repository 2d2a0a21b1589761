/* A configuration file, read and compiled as `check` does. */
#include "core/program.h"
#include "fuzz/fuzz.h"
#include "io/config.h"

#include <unistd.h>

static bool has(const uint8_t *bytes, size_t len, const char *word)
{
    for (size_t i = 0, n = strlen(word); i + n <= len; i++)
        if (!memcmp(bytes + i, word, n)) return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    /* Another file is another input: nothing is taken from where the fuzzer runs. */
    if (len > 65536 || has(bytes, len, "@include") || has(bytes, len, "file")) return 0;
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/pql-fuzz-%ld.conf", (long)getpid());
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(bytes, 1, len, file) == len && !fclose(file));
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_config_request request = {
        .path = path, .today_ms = INT64_C(1772368200250), .needs_brokers = true};
    struct pql_config *config = pql_config_load(&request, &diags);
    struct pql_program *program = config ? pql_program_new(&config->program, &diags) : NULL;
    FUZZ_CHECK(program || diags.errors_count);
    pql_program_free(program);
    pql_config_free(config);
    pql_diags_deinit(&diags);
    unlink(path);
    return 0;
}
