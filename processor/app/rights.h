/* rights.h - what run does to each kind of topic, as flags of Kafka's own tool for rights: one table for the
 * block of `topics --print` and for what a refusal tells. Describe comes with Read, Write and Delete. Thread:
 * any. */
#ifndef PQL_APP_RIGHTS_H
#define PQL_APP_RIGHTS_H

enum pql_use { PQL_USE_INPUT, PQL_USE_OUTPUT, PQL_USE_CHECKPOINT, PQL_USE_COUNT };

extern const char *const pql_rights[PQL_USE_COUNT];

#endif
