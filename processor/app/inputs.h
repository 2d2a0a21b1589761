/* inputs.h - decoders for the inputs of a configuration: its schema files and its registry, opened once and
 * shared by everything that decodes. Thread: any; each decoder is one thread's at a time. */
#ifndef PQL_APP_INPUTS_H
#define PQL_APP_INPUTS_H

#include "app/setup.h"
#include "io/registry.h"

struct pql_inputs;

/* Reads the schema files; touches no network. wake (or NULL) is told when a wanted schema is there or
 * refused, on the registry's thread. setup must outlive it. */
struct pql_inputs *pql_inputs_new(const struct pql_setup *setup, const struct pql_registry_paces *paces,
                                  void (*wake)(void *context), void *context,
                                  struct pql_err *err) PQL_CHECKED;
/* The same with a registry that somebody else owns, or NULL. */
struct pql_inputs *pql_inputs_share(const struct pql_setup *setup, struct pql_registry *registry,
                                    struct pql_err *err) PQL_CHECKED;
/* After every decoder is gone. */
void pql_inputs_free(struct pql_inputs *inputs);

/* NULL where the configuration names none. */
struct pql_registry *pql_inputs_registry(const struct pql_inputs *inputs);

/* A decoder of values as they are on the input's topic. */
struct pql_decoder *pql_inputs_decoder(const struct pql_inputs *inputs, size_t input,
                                       struct pql_err *err) PQL_CHECKED;

/* The text of the schema of a key of that input's messages: of the registry, which has it, or of a file.
 * Valid as long as inputs. */
int pql_inputs_schema(const struct pql_inputs *inputs, size_t input, const struct pql_schema_key *key,
                      struct pql_slice *text, struct pql_err *err) PQL_CHECKED;

/* Applies the decoder, waiting up to wait_ms for a schema that is being fetched. For those who may wait.
 * Class PQL_ERR_RECORD: this message can never be used; PQL_ERR_RETRY: the registry did not answer. */
int pql_inputs_decode(const struct pql_inputs *inputs, struct pql_decoder *decoder, struct pql_slice value,
                      const struct pql_message *message, int64_t wait_ms, struct pql_arena *scratch,
                      struct pql_event *event, struct pql_err *err) PQL_CHECKED;

#endif
