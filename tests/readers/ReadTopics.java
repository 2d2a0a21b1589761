import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads topics to their present end and prints each record: README.md says how. On kafka-clients and avro. */
public class ReadTopics {
    private static final Map<Integer, Schema> SCHEMAS = new HashMap<>();

    private static Schema schemaOf(String registry, int id) throws Exception {
        if (!SCHEMAS.containsKey(id)) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
            String answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
            SCHEMAS.put(id, new Schema.Parser().parse(new ObjectMapper().readTree(answer).get("schema").asText()));
        }
        return SCHEMAS.get(id);
    }

    private static String quoted(CharSequence text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toString().toCharArray()) {
            int brief = "\b\t\n\f\r\"\\".indexOf(c);
            if (brief >= 0) out.append('\\').append("btnfr\"\\".charAt(brief));
            else if (c < 0x20 || c >= 0x80) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    private static String fields(Map<String, ?> fields) {
        return fields.entrySet().stream().map(e -> quoted(e.getKey()) + ":" + text(e.getValue())).collect(Collectors.joining(",", "{", "}"));
    }

    private static String text(Object value) {
        if (value instanceof GenericRecord record) {
            Map<String, Object> fields = new TreeMap<>();
            for (Schema.Field field : record.getSchema().getFields()) fields.put(field.name(), record.get(field.pos()));
            return fields(fields);
        }
        if (value instanceof Map<?, ?> map) {
            Map<String, Object> fields = new TreeMap<>();
            map.forEach((name, part) -> fields.put(name.toString(), part));
            return fields(fields);
        }
        if (value instanceof Collection<?> items) return items.stream().map(ReadTopics::text).collect(Collectors.joining(",", "[", "]"));
        if (value instanceof Double number) return new BigDecimal(number).setScale(6, RoundingMode.HALF_EVEN).toPlainString();
        return value instanceof CharSequence characters ? quoted(characters) : String.valueOf(value);
    }

    private static String decoded(String registry, String topic, byte[] value) throws Exception {
        if (value == null) return "null";
        if (topic.endsWith(".dlq")) return HexFormat.of().formatHex(value);
        Schema schema = schemaOf(registry, ByteBuffer.wrap(value).getInt(1));
        return text(new GenericDatumReader<Object>(schema).read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null)));
    }

    private static void print(String registry, ConsumerRecord<byte[], byte[]> record) throws Exception {
        Map<String, String> headers = new TreeMap<>();
        for (Header header : record.headers()) headers.put(header.key(), new String(header.value(), StandardCharsets.UTF_8));
        String key = record.key() == null ? "" : new String(record.key(), StandardCharsets.UTF_8);
        System.out.println(record.topic() + " " + record.partition() + " " + record.offset() + " " + quoted(key) + " " + fields(headers)
                + " " + decoded(registry, record.topic(), record.value()));
    }

    /** Arguments: brokers, registry, topics. */
    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("isolation.level", "read_committed");
        config.put("key.deserializer", ByteArrayDeserializer.class.getName());
        config.put("value.deserializer", ByteArrayDeserializer.class.getName());
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            for (String topic : List.of(args).subList(2, args.length)) {
                List<TopicPartition> partitions =
                        consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
                Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
                consumer.assign(partitions);
                consumer.seekToBeginning(partitions);
                // The position passes what no record is made of: markers of transactions, and what compaction has taken.
                while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) print(args[1], record);
                }
            }
        }
    }
}
