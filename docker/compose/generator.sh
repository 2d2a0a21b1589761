#!/bin/sh
# generator.sh [RATE [SECONDS [SEED]]]: product events of 60 accounts with up to six users each, so many a second (20),
# without end or for so long. A line is the key, a tab and the event as JSON, as kafka-console-producer.sh takes it with
# --property parse.key=true.
exec awk -v rate="${1:-20}" -v seconds="${2:-0}" -v seed="${3:-}" 'BEGIN {
    if (seed == "") srand()
    else srand(seed)
    kinds = split("login login report_viewed report_viewed report_viewed project_created invite_sent", kind, " ")
    begin = systime()
    for (second = 0; !seconds || second < seconds; second++) {
        for (i = 0; i < rate; i++) {
            # Some accounts are busier than others.
            account = "A-" int(60 * rand() * rand())
            printf "%s\t{\"event\":\"%s\",\"event_id\":\"%d-%d-%d\",\"account_id\":\"%s\",\"user_id\":\"%s-u%d\",\"occurred_at\":%d}\n",
                account, kind[1 + int(kinds * rand())], begin, second, i, account, account, 1 + int(6 * rand()), systime()
        }
        fflush()
        if (system("sleep 1")) exit 1
    }
}'
