/* An Avro container file. */
#include "fuzz/fuzz.h"
#include "io/ocf.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/pql-fuzz-%ld.avro", (long)getpid());
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(bytes, 1, len, file) == len && !fclose(file));
    struct pql_err err = {0};
    struct pql_ocf *ocf = pql_ocf_open(path, &err);
    struct pql_slice datum = {"", 0};
    for (int i = 0; ocf && datum.ptr && i < 10000; i++)
        if (pql_ocf_next(ocf, &datum, &err)) break;
    if (ocf) pql_ocf_close(ocf);
    unlink(path);
    return 0;
}
