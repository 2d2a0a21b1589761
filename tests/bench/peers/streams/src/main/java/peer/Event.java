package peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import peer.avro.ProductEvent;

/** What the condition asks of an event. */
record Event(Kind kind, String user, long time) {
    enum Kind { CREATED, INVITED, OTHER }

    private static final int PREFIX = 5; // a zero byte and the id of the schema, which is the only one here

    private static void checkPrefix(byte[] bytes) {
        if (bytes.length < PREFIX || bytes[0] != 0) throw new SerializationException("no schema id");
    }

    /** By the class that Avro generates: the usual way. */
    static final class Generated implements Deserializer<Event> {
        private final SpecificDatumReader<ProductEvent> reader = new SpecificDatumReader<>(ProductEvent.class);
        private BinaryDecoder decoder;
        private ProductEvent event;

        @Override
        public Event deserialize(String topic, byte[] bytes) {
            checkPrefix(bytes);
            decoder = DecoderFactory.get().binaryDecoder(bytes, PREFIX, bytes.length - PREFIX, decoder);
            try {
                event = reader.read(event, decoder);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
            Kind kind = switch (event.getEvent()) {
                case "project_created" -> Kind.CREATED;
                case "invite_sent" -> Kind.INVITED;
                default -> Kind.OTHER;
            };
            return new Event(kind, event.getUserId(), event.getOccurredAt().toEpochMilli());
        }
    }

    /** For this one schema, field by field, without what is not asked for: the least that can be done. */
    static final class ByHand implements Deserializer<Event> {
        private static final byte[] CREATED = "project_created".getBytes(StandardCharsets.US_ASCII);
        private static final byte[] INVITED = "invite_sent".getBytes(StandardCharsets.US_ASCII);
        private byte[] bytes;
        private int at;

        @Override
        public Event deserialize(String topic, byte[] message) {
            checkPrefix(message);
            bytes = message;
            at = PREFIX;
            skipText(); // event_id
            skipText(); // account_id: the key of the record
            int userFrom = 0;
            int userLength = -1;
            if (number() == 1) {
                userLength = (int) number();
                userFrom = at;
                at += userLength;
            }
            Kind kind = kind();
            boolean isAsked = kind == Kind.INVITED && userLength >= 0;
            String user = isAsked ? new String(bytes, userFrom, userLength, StandardCharsets.UTF_8) : null;
            return new Event(kind, user, number());
        }

        private Kind kind() {
            int length = (int) number();
            int from = at;
            at += length;
            if (Arrays.equals(bytes, from, at, CREATED, 0, CREATED.length)) return Kind.CREATED;
            return Arrays.equals(bytes, from, at, INVITED, 0, INVITED.length) ? Kind.INVITED : Kind.OTHER;
        }

        private void skipText() {
            int length = (int) number();
            at += length;
        }

        private long number() {
            long bits = 0;
            for (int shift = 0;; shift += 7) {
                byte next = bytes[at++];
                bits |= (long) (next & 0x7f) << shift;
                if (next >= 0) return bits >>> 1 ^ -(bits & 1);
            }
        }
    }
}
