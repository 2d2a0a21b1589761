/* Says how the programs of this build were made, as JSON: what a benchmark must know and must refuse. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

extern int mi_version(void) __attribute__((weak));

#if defined __SANITIZE_ADDRESS__
#define SANITIZER "address"
#elif defined __SANITIZE_THREAD__
#define SANITIZER "thread"
#else
#define SANITIZER ""
#endif

int main(void)
{
#ifdef __OPTIMIZE__
    const char *optimised = "true";
#else
    const char *optimised = "false";
#endif
    char allocator[32] = "libc";
    if (mi_version) {
        int v = mi_version();
        snprintf(allocator, sizeof allocator, "mimalloc %d.%d.%d", v / 100, v / 10 % 10, v % 10);
    }
    printf("{\"optimised\": %s, \"sanitizer\": \"%s\", \"compiler\": \"%s\", \"allocator\": \"%s\", "
           "\"librdkafka\": \"%s\"}\n",
           optimised, SANITIZER, __VERSION__, allocator, rd_kafka_version_str());
    return 0;
}
