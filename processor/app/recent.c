#include "app/recent.h"

#include "base/memory.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct pql_recent {
    pthread_mutex_t lock;
    struct pql_recent_record records[PQL_RECENT_RECORDS];
    struct pql_recent_letter letters[PQL_RECENT_LETTERS];
    uint64_t records_made, letters_made; /* ever; the next one's place is the rest of it by the size */
};

struct pql_recent *pql_recent_new(void)
{
    struct pql_recent *recent = pql_xcalloc(1, sizeof *recent);
    pthread_mutex_init(&recent->lock, NULL);
    return recent;
}

void pql_recent_free(struct pql_recent *recent)
{
    if (!recent) return;
    pthread_mutex_destroy(&recent->lock);
    free(recent);
}

static void cut(char *out, size_t max, struct pql_slice text)
{
    size_t len = text.len < max - 1 ? text.len : max - 1;
    if (len) memcpy(out, text.ptr, len);
    out[len] = '\0';
}

void pql_recent_note(struct pql_recent *recent, const struct pql_record *record, int64_t now_ms)
{
    if (!recent || record->transition == PQL_SCORE_CHANGED || record->transition == PQL_SNAPSHOT) return;
    pthread_mutex_lock(&recent->lock);
    struct pql_recent_record *at = &recent->records[recent->records_made++ % PQL_RECENT_RECORDS];
    cut(at->definition, sizeof at->definition, record->definition);
    cut(at->account, sizeof at->account, record->account_id);
    cut(at->user, sizeof at->user, record->user_id);
    cut(at->words, sizeof at->words, record->reason_text);
    cut(at->tier, sizeof at->tier, record->tier);
    at->transition = record->transition;
    at->subject = record->subject;
    at->reason = record->reason;
    at->is_shadow = record->is_shadow;
    at->occurred_ms = record->occurred_at;
    at->made_ms = now_ms;
    pthread_mutex_unlock(&recent->lock);
}

void pql_recent_refused(struct pql_recent *recent, const char *reason, const char *topic, int32_t partition,
                        int64_t offset, int64_t now_ms)
{
    if (!recent) return;
    pthread_mutex_lock(&recent->lock);
    struct pql_recent_letter *at = &recent->letters[recent->letters_made++ % PQL_RECENT_LETTERS];
    *at =
        (struct pql_recent_letter){.topic = topic, .partition = partition, .offset = offset, .at_ms = now_ms};
    snprintf(at->reason, sizeof at->reason, "%s", reason);
    pthread_mutex_unlock(&recent->lock);
}

struct pql_recent_view *pql_recent_view(struct pql_recent *recent)
{
    struct pql_recent_view *view = pql_xcalloc(1, sizeof *view);
    if (!recent) return view;
    pthread_mutex_lock(&recent->lock);
    uint64_t records = recent->records_made, letters = recent->letters_made;
    while (view->records_count < records && view->records_count < PQL_RECENT_RECORDS) {
        uint64_t at = (records - 1 - view->records_count) % PQL_RECENT_RECORDS;
        view->records[view->records_count++] = recent->records[at];
    }
    while (view->letters_count < letters && view->letters_count < PQL_RECENT_LETTERS) {
        uint64_t at = (letters - 1 - view->letters_count) % PQL_RECENT_LETTERS;
        view->letters[view->letters_count++] = recent->letters[at];
    }
    pthread_mutex_unlock(&recent->lock);
    return view;
}
