/* ocf_write.h - writes an Avro object container file (Avro 1.11, "Object Container Files"), codec null. */
#ifndef PQL_IO_OCF_WRITE_H
#define PQL_IO_OCF_WRITE_H

#include "base/buf.h"
#include <stdio.h>

struct pql_ocf_writer {
    FILE *file; /* the caller's; faults are seen by ferror */
    struct pql_buf block;
    uint64_t count;
    char sync[16];
};

/* Writes the header: the schema, and what the program says about the data (PQL_OCF_PLACES of ocf.h) unless it
 * is empty. */
void pql_ocf_writer_init(struct pql_ocf_writer *writer, FILE *file, struct pql_slice schema,
                         struct pql_slice places);
/* A datum in two parts, as a branch's index and its value. */
void pql_ocf_writer_put(struct pql_ocf_writer *writer, struct pql_slice begin, struct pql_slice rest);
/* Writes what is left and frees. */
void pql_ocf_writer_end(struct pql_ocf_writer *writer);

#endif
