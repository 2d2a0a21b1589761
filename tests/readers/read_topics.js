// Reads topics to their present end and prints each record: README.md says how. On kafkajs and avsc.
//
// usage: node read_topics.js BROKERS REGISTRY TOPIC...
'use strict';
const avro = require('avsc');
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs');
const lz4 = require('lz4js');

const [brokers, registry, ...topics] = process.argv.slice(2);
const types = new Map();

// What the topics are compressed with, and kafkajs itself does not read.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async () => Promise.reject(new Error('only reads')),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

async function typeOf(id) {
  if (!types.has(id)) {
    const answer = await fetch(`${registry}/schemas/ids/${id}`);
    types.set(id, avro.Type.forSchema(JSON.parse((await answer.json()).schema)));
  }
  return types.get(id);
}

function quoted(text) {
  return JSON.stringify(text).replace(/[\u0080-\uffff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}

// A double cannot be told from a long by its value, but by its type.
function print(value, type) {
  if (avro.Type.isType(type, 'union')) return value === null ? 'null' : print(value, type.types.find((t) => t.typeName !== 'null'));
  if (avro.Type.isType(type, 'array')) return '[' + value.map((item) => print(item, type.itemsType)).join(',') + ']';
  if (avro.Type.isType(type, 'record', 'map')) {
    const typeOfName = (name) => (type.typeName === 'map' ? type.valuesType : type.field(name).type);
    return '{' + Object.keys(value).sort().map((name) => `${quoted(name)}:${print(value[name], typeOfName(name))}`).join(',') + '}';
  }
  if (avro.Type.isType(type, 'double')) return value.toFixed(6);
  return typeof value === 'string' ? quoted(value) : String(value);
}

async function decoded(topic, value) {
  if (value === null) return 'null';
  if (topic.endsWith('.dlq')) return value.toString('hex');
  const type = await typeOf(value.readUInt32BE(1));
  return print(type.fromBuffer(value.subarray(5)), type);
}

async function main() {
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR });
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map();
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      if (BigInt(high) > BigInt(low)) ends.set(`${topic} ${partition}`, BigInt(high));
    }
  }
  await admin.disconnect();

  const consumer = kafka.consumer({ groupId: `reader-js-${process.pid}`, readUncommitted: false });
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  // The end of a batch counts, since what is last on a topic may be the marker of a transaction, which no handler sees.
  const done = new Promise((resolve, reject) => {
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      const name = `${payload.topic} ${payload.partition}`;
      if (ends.has(name) && BigInt(payload.lastOffset) + 1n >= ends.get(name)) ends.delete(name);
      if (ends.size === 0) resolve();
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  });
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      const entries = Object.entries(message.headers || {}).sort(([a], [b]) => (a < b ? -1 : 1));
      const headers = '{' + entries.map(([name, value]) => `${quoted(name)}:${quoted(value.toString())}`).join(',') + '}';
      const key = quoted((message.key || '').toString());
      console.log(`${topic} ${partition} ${message.offset} ${key} ${headers} ${await decoded(topic, message.value)}`);
    },
  });
  if (ends.size > 0) await done;
  await consumer.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
