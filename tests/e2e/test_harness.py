"""The harness itself: broker, registry, independent producer and reader agree before anything is tested with them."""
import os
import unittest

import client

BROKER, REGISTRY = os.environ["PQL_TEST_BROKER"], os.environ["PQL_TEST_REGISTRY"]


class Harness(unittest.TestCase):
    def test_only_committed_transactions_are_read(self):
        client.create_topics(BROKER, 2, "harness.txn")
        client.produce(BROKER, "harness.txn", [(0, "k", b"1"), (1, "k", b"2")], transactional_id="harness")
        client.produce(BROKER, "harness.txn", [(0, "k", b"3")], transactional_id="harness", commit=False)
        client.produce(BROKER, "harness.txn", [(1, "k", b"4")], transactional_id="harness")
        values = [m.value() for m in client.read_committed(BROKER, "harness.txn")]
        self.assertEqual(values, [b"1", b"2", b"4"])

    def test_partitioner_is_that_of_java(self):
        # Values of org.apache.kafka.common.utils.Utils.murmur2.
        for key, hashed in (("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
                            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)):
            self.assertEqual(client.murmur2(key.encode()), hashed & 0xFFFFFFFF, key)

    def test_avro_by_registry_id(self):
        schema = {"type": "record", "name": "t", "fields": [{"name": "a", "type": "string"}]}
        schema_id = client.register_schema(REGISTRY, "harness-value", schema)
        encoded = client.avro_writer(schema, schema_id)({"a": "é"})
        self.assertEqual(encoded[0], 0)
        self.assertEqual(client.AvroReader(REGISTRY)(encoded), {"a": "é"})

    def test_offsets_of_a_group_that_never_was(self):
        client.create_topics(BROKER, 3, "harness.offsets")
        client.produce(BROKER, "harness.offsets", [(2, None, b"x")])
        self.assertEqual(client.end_offsets(BROKER, "harness.offsets"), {0: 0, 1: 0, 2: 1})
        self.assertEqual(set(client.committed_offsets(BROKER, "nobody", "harness.offsets").values()), {-1001})


if __name__ == "__main__":
    unittest.main()
