/* embed.h - the inside of a struct pqlstream (pqlstream.h). */
#ifndef PQL_EMBED_EMBED_H
#define PQL_EMBED_EMBED_H

#include "core/engine.h"
#include "core/wire/decoder.h"
#include "core/wire/encode.h"
#include "embed/pqlstream.h"
#include "io/program_setup.h"

struct pqlstream {
    pqlstream_take *take;
    void *context;
    bool is_open, is_busy; /* busy: take is being called */
    struct pql_setup setup;
    struct pql_engine *engine;
    struct pql_decoder **decoders; /* of each input */
    struct pql_encoder *encoder;
    struct pql_slice *topics; /* of the encoder */
    int64_t offset;           /* of the next event, as on a topic */
    uint64_t refused;
    struct pql_arena scratch; /* of one event */
    struct pql_buf record, saved;
    char *error; /* of the last call, to be freed; NULL: none */
    const char *reason;
};

/* What every call begins with: forgets the last error, and says what is wrong with a call at this time. */
int pql_embed_begin(struct pqlstream *stream, bool wants_open) PQL_CHECKED;
/* Remembers it; -1. */
int pql_embed_fail(struct pqlstream *stream, const struct pql_err *err);

/* An engine that emits to the stream. */
struct pql_engine *pql_embed_engine(struct pqlstream *stream, const struct pql_program *program);

#endif
