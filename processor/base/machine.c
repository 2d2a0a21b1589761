#include "base/machine.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

/* A file with one number; "max" and what is not there is no limit. */
static uint64_t limit_in(const char *path)
{
    uint64_t bytes = 0;
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%" SCNu64, &bytes) != 1) bytes = 0;
    if (file) fclose(file);
    return bytes ? bytes : UINT64_MAX;
}

uint64_t pql_machine_memory(void)
{
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t least = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t limit = limit_in(limits[i]);
        if (limit < least) least = limit;
    }
    return least == UINT64_MAX ? 0 : least;
}
