package peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/**
 * The last fourteen days of one account, by its own newest event, and no more of them than the condition can need: the
 * five newest projects created, each user's newest invitation, each day's newest event.
 */
final class Window {
    private static final long DAY = 86_400_000L;
    private static final long LENGTH = 14 * DAY;
    private static final int PROJECTS = 5;
    private static final int USERS = 3;
    private static final int DAYS = 5;

    boolean isIn;
    long newest;
    private final long[] created = new long[PROJECTS];
    private int createdCount;
    private String[] users = new String[USERS];
    private long[] invited = new long[USERS];
    private int usersCount;
    private final long[] days = new long[(int) (LENGTH / DAY) + 1];
    private int daysCount;

    /** False: it lies before the window, and nothing is evaluated. */
    boolean add(Event event) {
        long time = event.time();
        if (time > newest) newest = time;
        forget(newest - LENGTH);
        if (time <= newest - LENGTH) return false;
        if (event.kind() == Event.Kind.CREATED) addCreated(time);
        if (event.kind() == Event.Kind.INVITED && event.user() != null) addInvited(event.user(), time);
        addDay(time);
        return true;
    }

    boolean holds() {
        return createdCount >= PROJECTS && usersCount >= USERS && daysCount >= DAYS;
    }

    private void forget(long until) {
        int kept = 0;
        for (int i = 0; i < createdCount; i++) if (created[i] > until) created[kept++] = created[i];
        createdCount = kept;
        kept = 0;
        for (int i = 0; i < usersCount; i++) {
            if (invited[i] <= until) continue;
            users[kept] = users[i];
            invited[kept++] = invited[i];
        }
        usersCount = kept;
        kept = 0;
        for (int i = 0; i < daysCount; i++) if (days[i] > until) days[kept++] = days[i];
        daysCount = kept;
    }

    private void addCreated(long time) {
        if (createdCount < PROJECTS) {
            created[createdCount++] = time;
            return;
        }
        int oldest = 0;
        for (int i = 1; i < PROJECTS; i++) if (created[i] < created[oldest]) oldest = i;
        if (time > created[oldest]) created[oldest] = time;
    }

    private void addInvited(String user, long time) {
        for (int i = 0; i < usersCount; i++) {
            if (!users[i].equals(user)) continue;
            invited[i] = Math.max(invited[i], time);
            return;
        }
        if (usersCount == users.length) {
            users = java.util.Arrays.copyOf(users, 2 * usersCount);
            invited = java.util.Arrays.copyOf(invited, 2 * usersCount);
        }
        users[usersCount] = user;
        invited[usersCount++] = time;
    }

    private void addDay(long time) {
        for (int i = 0; i < daysCount; i++) {
            if (days[i] / DAY != time / DAY) continue;
            days[i] = Math.max(days[i], time);
            return;
        }
        days[daysCount++] = time;
    }

    private byte[] toBytes() {
        int size = 12 + 8 * (createdCount + daysCount);
        byte[][] names = new byte[usersCount][];
        for (int i = 0; i < usersCount; i++) {
            names[i] = users[i].getBytes(StandardCharsets.UTF_8);
            size += 9 + names[i].length;
        }
        ByteBuffer out = ByteBuffer.allocate(size).putLong(newest).put((byte) (isIn ? 1 : 0));
        out.put((byte) createdCount).put((byte) usersCount).put((byte) daysCount);
        for (int i = 0; i < createdCount; i++) out.putLong(created[i]);
        for (int i = 0; i < usersCount; i++) out.putLong(invited[i]).put((byte) names[i].length).put(names[i]);
        for (int i = 0; i < daysCount; i++) out.putLong(days[i]);
        return out.array();
    }

    private static Window ofBytes(byte[] bytes) {
        Window window = new Window();
        ByteBuffer in = ByteBuffer.wrap(bytes);
        window.newest = in.getLong();
        window.isIn = in.get() == 1;
        window.createdCount = in.get();
        int users = in.get() & 0xff;
        window.daysCount = in.get();
        for (int i = 0; i < window.createdCount; i++) window.created[i] = in.getLong();
        for (int i = 0; i < users; i++) {
            long time = in.getLong();
            int length = in.get() & 0xff;
            window.addInvited(new String(bytes, in.position(), length, StandardCharsets.UTF_8), time);
            in.position(in.position() + length);
        }
        for (int i = 0; i < window.daysCount; i++) window.days[i] = in.getLong();
        return window;
    }

    static Serde<Window> serde() {
        Serializer<Window> serializer = (topic, window) -> window == null ? null : window.toBytes();
        Deserializer<Window> deserializer = (topic, bytes) -> bytes == null ? null : ofBytes(bytes);
        return Serdes.serdeFrom(serializer, deserializer);
    }
}
