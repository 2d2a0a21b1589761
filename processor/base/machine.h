/* machine.h - what this process may take of the machine it runs on. Heap: none. Thread: any. */
#ifndef PQL_BASE_MACHINE_H
#define PQL_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of memory: the container's limit (cgroup v2, v1) where it has one, else all that is built in; 0: not
 * known. */
uint64_t pql_machine_memory(void);

#endif
