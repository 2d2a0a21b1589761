#include "app/kafka_say.h"
#include "base/log.h"

static void write_line(void *context, int level, const char *text)
{
    (void)context;
    pql_log(level <= 3   ? PQL_LOG_ERROR
            : level == 4 ? PQL_LOG_WARN
            : level == 7 ? PQL_LOG_DEBUG
                         : PQL_LOG_INFO,
            "kafka client", "says=%s", text);
}

struct pql_kafka_log pql_kafka_say(void)
{
    return (struct pql_kafka_log){.write = write_line};
}
