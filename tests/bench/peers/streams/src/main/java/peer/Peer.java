package peer;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Map;
import java.util.HashMap;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The reference job on Kafka Streams. Words NAME=VALUE: brokers, app, topic, out, dir, store (memory, or default:
 * RocksDB), decode (hand, generated), guarantee, threads, mark (prints what has been used when so many events are taken,
 * and again at each multiple); any other name is a setting of Kafka Streams. Lines of JSON on standard output.
 */
public final class Peer {
    private static final LongAdder TAKEN = new LongAdder();
    private static final long BEGAN = System.nanoTime();

    private static final class Condition extends ContextualProcessor<String, Event, String, String> {
        private KeyValueStore<String, Window> accounts;

        @Override
        public void init(ProcessorContext<String, String> context) {
            super.init(context);
            accounts = context.getStateStore("accounts");
        }

        @Override
        public void process(Record<String, Event> event) {
            String account = event.key();
            Window window = accounts.get(account);
            if (window == null) window = new Window();
            if (window.add(event.value())) {
                boolean isIn = window.holds();
                if (isIn != window.isIn) {
                    window.isIn = isIn;
                    context().forward(event.withValue(transition(account, window)));
                }
                accounts.put(account, window);
            }
            TAKEN.increment();
        }

        private String transition(String account, Window window) {
            RecordMetadata source = context().recordMetadata().orElseThrow();
            return "{\"account_id\":\"" + account + "\",\"transition\":\"" + (window.isIn ? "entered" : "left")
                + "\",\"occurred_at\":" + window.newest + ",\"source\":{\"partition\":" + source.partition()
                + ",\"offset\":" + source.offset() + "}}";
        }
    }

    private static final class Restores implements StateRestoreListener {
        private final AtomicLong records = new AtomicLong();

        @Override
        public void onRestoreStart(TopicPartition partition, String store, long from, long to) {}

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long count) {}

        @Override
        public void onRestoreEnd(TopicPartition partition, String store, long count) {
            records.addAndGet(count);
        }
    }

    private static Topology topology(Map<String, String> options) {
        boolean isByHand = options.get("decode").equals("hand");
        ThreadLocal<Deserializer<Event>> decoders =
            ThreadLocal.withInitial(() -> isByHand ? new Event.ByHand() : new Event.Generated());
        Deserializer<Event> decoder = (topic, bytes) -> decoders.get().deserialize(topic, bytes);
        var store = options.get("store").equals("memory") ? Stores.inMemoryKeyValueStore("accounts")
                                                          : Stores.persistentKeyValueStore("accounts");
        return new Topology()
            .addSource("events", new StringDeserializer(), decoder, options.get("topic"))
            .addProcessor("condition", Condition::new, "events")
            .addStateStore(Stores.keyValueStoreBuilder(store, Serdes.String(), Window.serde()), "condition")
            .addSink("transitions", options.get("out"), new StringSerializer(), new StringSerializer(), "condition");
    }

    private static void tell(String what, long events, long restored) {
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.printf("{\"what\": \"%s\", \"events\": %d, \"cpu_s\": %.3f, \"wall_s\": %.3f, \"restored\": %d}%n", what,
            events, system.getProcessCpuTime() / 1e9, (System.nanoTime() - BEGAN) / 1e9, restored);
    }

    public static void main(String[] words) throws InterruptedException {
        Map<String, String> options = new HashMap<>(Map.of("brokers", "", "app", "", "topic", "", "out", "", "dir", "",
            "store", "memory", "decode", "hand", "guarantee", "exactly_once_v2", "threads", "1", "mark", "1000000"));
        Properties settings = new Properties();
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("batch.size"), "262144");
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "100");
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
        for (String word : words) {
            int equals = word.indexOf('=');
            String name = word.substring(0, equals);
            if (options.containsKey(name)) options.put(name, word.substring(equals + 1));
            else settings.put(name, word.substring(equals + 1));
        }
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("brokers"));
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.get("app"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.get("dir"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, options.get("guarantee"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.get("threads"));
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);

        KafkaStreams streams = new KafkaStreams(topology(options), settings);
        Restores restores = new Restores();
        streams.setGlobalStateRestoreListener(restores);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(30))));
        streams.start();
        watch(streams, restores, Long.parseLong(options.get("mark")));
        System.exit(1);
    }

    /** Tells of the first event, of the state of all partitions being there, and of each mark; ends when it failed. */
    private static void watch(KafkaStreams streams, Restores restores, long mark) throws InterruptedException {
        boolean hasBegun = false;
        boolean isRunning = false;
        for (long next = mark; streams.state() != KafkaStreams.State.ERROR;) {
            long taken = TAKEN.sum();
            if (!hasBegun && taken > 0) {
                hasBegun = true;
                tell("first", taken, restores.records.get());
            }
            if (!isRunning && hasBegun && streams.state() == KafkaStreams.State.RUNNING) {
                isRunning = true;
                tell("running", taken, restores.records.get());
            }
            for (; taken >= next; next += mark) tell("mark", taken, restores.records.get());
            Thread.sleep(2);
        }
    }
}
