/* partition.h - which partition a key belongs to, as producers decide it. Pure. Thread: any. */
#ifndef PQL_CORE_PARTITION_H
#define PQL_CORE_PARTITION_H

#include "base/slice.h"
#include <stdint.h>

/* MurmurHash2 as Apache Kafka's Java clients compute it (org.apache.kafka.common.utils.Utils.murmur2). */
uint32_t pql_murmur2(struct pql_slice key);
/* CRC-32 of ISO-HDLC (zlib's), as librdkafka's `consistent` partitioner computes it. */
uint32_t pql_crc32(struct pql_slice key);

/* partitions > 0. The Java client's choice for a key: toPositive(murmur2(key)) % partitions. */
uint32_t pql_partition_murmur2(struct pql_slice key, uint32_t partitions);
/* librdkafka's `consistent`: crc32(key) % partitions. */
uint32_t pql_partition_crc32(struct pql_slice key, uint32_t partitions);

#endif
