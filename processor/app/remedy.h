/* remedy.h - what an operator types against a fault that would come again whatever is repeated: one row for
 * each stable word that io gives it (err->reason). Thread: any. */
#ifndef PQL_APP_REMEDY_H
#define PQL_APP_REMEDY_H

#include "app/pipeline.h"

/* Appends the command to err->msg; nothing where the reason has no row. err->topic is named, or where it is
 * not known all topics that may be meant. */
void pql_remedy_add(const struct pql_pipeline_conf *conf, struct pql_err *err);

#endif
