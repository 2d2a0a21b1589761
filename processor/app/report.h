/* report.h - the pieces that reports for machines are made of: JSON, field by field. A comma is put wherever
 * one belongs. Thread: any. */
#ifndef PQL_APP_REPORT_H
#define PQL_APP_REPORT_H

#include "base/buf.h"

#include <stdio.h>

/* Opens and closes with '{' … '}', '[' … ']'; name NULL: an item of a list. */
void pql_report_open(struct pql_buf *out, const char *name, char bracket);
void pql_report_close(struct pql_buf *out, char bracket);
void pql_report_text(struct pql_buf *out, const char *name, struct pql_slice text);
void pql_report_flag(struct pql_buf *out, const char *name, bool value);
void pql_report_count(struct pql_buf *out, const char *name, uint64_t count);
/* With `places` decimals; null if it is not a number. */
void pql_report_number(struct pql_buf *out, const char *name, double number, int places);
/* RFC 3339; null for PQL_NO_TIME. */
void pql_report_time(struct pql_buf *out, const char *name, int64_t ms);

void pql_report_print(const struct pql_buf *out, FILE *file);

/* "12.3 %", "-" of nothing; into text. */
enum { PQL_PERCENT_TEXT_MAX = 32 };
const char *pql_percent_text(uint64_t part, uint64_t of, char text[PQL_PERCENT_TEXT_MAX]);
/* part / of, NAN of nothing. */
double pql_ratio(uint64_t part, uint64_t of);

#endif
