/* crc32c.h - CRC-32C (Castagnoli; RFC 3720, B.4): what guards every record of the checkpoint topic. Pure.
 * Thread: any. */
#ifndef PQL_CORE_STATE_CRC32C_H
#define PQL_CORE_STATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t pql_crc32c(const void *bytes, size_t len);
/* The same, without the processor's instruction for it. */
uint32_t pql_crc32c_by_table(const void *bytes, size_t len);

#endif
