/* record_outputs.h - which outputs a record of the engine is for. Pure. Thread: any. */
#ifndef PQL_IO_RECORD_OUTPUTS_H
#define PQL_IO_RECORD_OUTPUTS_H

#include "core/program.h"
#include "core/record.h"
#include "io/ports.h"

/* Bits 1u << enum pql_output: transitions by their subject; the state topic where status or tier changed;
 * alerts where the definition wants them and it is news; of a definition in shadow mode the shadow topic
 * alone. 0: nobody asked for it. A live record that is made more than alert_max_age_ms after it occurred
 * becomes one of a back-fill. */
unsigned pql_record_age(struct pql_record *record, const struct pql_program *program, int64_t wall_ms,
                        int64_t alert_max_age_ms);

#endif
