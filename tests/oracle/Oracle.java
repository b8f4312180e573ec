import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.*;
import java.util.function.Function;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.*;
import org.apache.kafka.streams.test.TestRecord;

/**
 * What Kafka Streams itself answers.
 *
 * <p>Standard input: one line of configuration, then lines {topic, key, value, ts} or {advance: ms}; an empty line ends
 * the case, and the next may follow. Standard output: every record that the topology emits, in order, {key, value, ts};
 * a windowed key is `key@start/end`. Each answer ends with {end: number of the case}. Where Kafka Streams itself
 * throws: {fails: reason}, and the rest of the case is left out.
 *
 * <p>Input topics are `left` and `right`; keys and values are strings or null; caching is off.
 */
public class Oracle {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Serde<String> S = Serdes.String();
    static final Consumed<String, String> WITH = Consumed.with(S, S);
    static final Grouped<String, String> GROUPED = Grouped.with(S, S);
    static final ValueJoiner<String, String, String> PAIR = (a, b) -> a + "|" + b;
    static final Reducer<String> CONCATENATE = (a, v) -> a + v;
    static final Initializer<String> EMPTY = () -> "";
    static final Aggregator<String, String, String> ADD = (k, v, a) -> a + v + ";";

    final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    static Duration ms(JsonNode c, String name, long otherwise) {
        return Duration.ofMillis(c.path(name).asLong(otherwise));
    }

    static Materialized<String, String, KeyValueStore<Bytes, byte[]>> table(String store) {
        return Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as(store).withKeySerde(S).withValueSerde(S);
    }

    /** Versioned if the case names a history. */
    static Materialized<String, String, KeyValueStore<Bytes, byte[]>> stored(String store, JsonNode c) {
        if (!c.has("history")) return table(store);
        var versioned = Stores.persistentVersionedKeyValueStore(store, ms(c, "history", 0));
        return Materialized.<String, String>as(versioned).withKeySerde(S).withValueSerde(S);
    }

    static void build(StreamsBuilder b, JsonNode c) {
        String how = c.path("how").asText("inner");
        switch (c.get("op").asText()) {
            case "aggregate" -> aggregate(b.stream("left", WITH).groupByKey(GROUPED), c);
            case "reduce" ->
                out(b.stream("left", WITH).groupByKey(GROUPED).reduce(CONCATENATE, table("store")).toStream());
            case "rekey-count" -> rekeyCount(b);
            case "cogroup" -> cogroup(b);
            case "table" -> out(left(b, c).toStream());
            case "to-table" -> out(toTable(b.stream("left", WITH), c).toStream());
            case "table-filter" -> tableFilter(b, c);
            case "table-map" -> out(left(b, c).mapValues(v -> v + "!").toStream());
            case "table-aggregate" -> tableAggregate(b, c);
            case "stream-stream" -> streamStream(b, c, how);
            case "stream-table" -> streamTable(b, c, how);
            case "stream-global" -> streamGlobal(b, how);
            case "table-table" -> tableTable(b, c, how);
            case "foreign-key" -> foreignKey(b, c, how);
            default -> throw new IllegalArgumentException(c.get("op").asText());
        }
    }

    static void aggregate(KGroupedStream<String, String> g, JsonNode c) {
        boolean close = c.path("emit").asText("update").equals("close");
        EmitStrategy emit = close ? EmitStrategy.onWindowClose() : EmitStrategy.onWindowUpdate();
        Duration size = ms(c, "size", 10000), grace = ms(c, "grace", 0);
        switch (c.path("window").asText("none")) {
            case "none" -> out(g.aggregate(EMPTY, ADD, table("store")).toStream());
            case "session" -> {
                SessionWindows w = SessionWindows.ofInactivityGapAndGrace(ms(c, "gap", 5000), grace);
                sessions(g.windowedBy(w).emitStrategy(emit), c);
            }
            case "sliding" -> {
                SlidingWindows w = SlidingWindows.ofTimeDifferenceAndGrace(size, grace);
                windows(g.windowedBy(w).emitStrategy(emit), c);
            }
            default -> {
                TimeWindows w = TimeWindows.ofSizeAndGrace(size, grace);
                if (c.get("window").asText().equals("hopping")) w = w.advanceBy(ms(c, "advance", 5000));
                windows(g.windowedBy(w).emitStrategy(emit), c);
            }
        }
    }

    static void windows(TimeWindowedKStream<String, String> s, JsonNode c) {
        switch (c.path("function").asText("texts")) {
            case "count" -> windowed(s.count(Oracle.<Long, WindowStore<Bytes, byte[]>>kept(Serdes.Long(), c)), c);
            case "reduce" -> windowed(s.reduce(CONCATENATE, Oracle.<String, WindowStore<Bytes, byte[]>>kept(S, c)), c);
            default -> windowed(s.aggregate(EMPTY, ADD, Oracle.<String, WindowStore<Bytes, byte[]>>kept(S, c)), c);
        }
    }

    static void sessions(SessionWindowedKStream<String, String> s, JsonNode c) {
        var texts = Oracle.<String, SessionStore<Bytes, byte[]>>kept(S, c);
        switch (c.path("function").asText("texts")) {
            case "count" -> windowed(s.count(Oracle.<Long, SessionStore<Bytes, byte[]>>kept(Serdes.Long(), c)), c);
            case "reduce" -> windowed(s.reduce(CONCATENATE, texts), c);
            default -> windowed(s.aggregate(EMPTY, ADD, (k, x, y) -> x + y, texts), c);
        }
    }

    static <V, T extends StateStore> Materialized<String, V, T> kept(Serde<V> values, JsonNode c) {
        var store = Materialized.<String, V, T>as("store").withKeySerde(S).withValueSerde(values);
        return c.has("retention") ? store.withRetention(ms(c, "retention", 0)) : store;
    }

    static <V> void windowed(KTable<Windowed<String>, V> t, JsonNode c) {
        if (c.has("suppress")) {
            var buffer = Suppressed.BufferConfig.unbounded();
            t = c.get("suppress").asText().equals("close") ? t.suppress(Suppressed.untilWindowCloses(buffer))
                : t.suppress(Suppressed.untilTimeLimit(ms(c, "suppress", 0), buffer));
        }
        var named = t.toStream((w, v) -> w.key() + "@" + w.window().start() + "/" + w.window().end());
        out(named.mapValues(v -> v == null ? null : v.toString()));
    }

    static void rekeyCount(StreamsBuilder b) {
        var store = Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("count");
        var byFirst = b.stream("left", WITH).selectKey((k, v) -> v == null ? null : v.split(":")[0]);
        var count = byFirst.groupByKey(GROUPED).count(store.withKeySerde(S).withValueSerde(Serdes.Long()));
        out(count.toStream().mapValues(n -> n == null ? null : n.toString()));
    }

    static void cogroup(StreamsBuilder b) {
        var left = b.stream("left", WITH).groupByKey(GROUPED).<String>cogroup((k, v, a) -> a + "L" + v);
        var both = left.cogroup(b.stream("right", WITH).groupByKey(GROUPED), (k, v, a) -> a + "R" + v);
        out(both.aggregate(EMPTY, table("store")).toStream());
    }

    /** With `bare` it has no store: it does not know what it held, and a filter of it repeats tombstones. */
    static KTable<String, String> left(StreamsBuilder b, JsonNode c) {
        if (c.path("bare").asBoolean()) return b.table("left", WITH);
        return b.table("left", WITH, stored("store", c));
    }

    static KStream<String, String> leftStream(StreamsBuilder b, JsonNode c) {
        KStream<String, String> s = b.stream("left", WITH);
        return c.path("rekeyed").asBoolean() ? s.selectKey((k, v) -> reference(v)) : s;
    }

    /** The first part of a value; `-` refers to nobody. */
    static String reference(String v) {
        return v == null || v.startsWith("-") ? null : v.split(":")[0];
    }

    static KTable<String, String> toTable(KStream<String, String> s, JsonNode c) {
        return s.toTable(c.path("bare").asBoolean() ? Materialized.with(S, S) : stored("store", c));
    }

    static void tableFilter(StreamsBuilder b, JsonNode c) {
        Predicate<String, String> even = (k, v) -> v.length() % 2 == 0;
        var t = left(b, c);
        out((c.path("bare").asBoolean() ? t.filter(even) : t.filter(even, table("even"))).toStream());
    }

    static void tableAggregate(StreamsBuilder b, JsonNode c) {
        var grouped = left(b, c).groupBy((k, v) -> KeyValue.pair(v.split(":")[0], v), GROUPED);
        Aggregator<String, String, String> add = (k, v, a) -> a + "+" + v, subtract = (k, v, a) -> a + "-" + v;
        var counts = Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("agg").withKeySerde(S);
        out(switch (c.path("function").asText("texts")) {
            case "count" -> grouped.count(counts.withValueSerde(Serdes.Long())).toStream().mapValues(Object::toString);
            case "reduce" -> grouped.reduce((a, v) -> a + "+" + v, (a, v) -> a + "-" + v, table("agg")).toStream();
            // What is subtracted deletes the row.
            case "none-left" -> grouped.aggregate(EMPTY, add, (k, v, a) -> null, table("agg")).toStream();
            default -> grouped.aggregate(EMPTY, add, subtract, table("agg")).toStream();
        });
    }

    static void streamStream(StreamsBuilder b, JsonNode c, String how) {
        KStream<String, String> l = leftStream(b, c), r = b.stream("right", WITH);
        Duration before = ms(c, "before", 5000);
        JoinWindows w = JoinWindows.ofTimeDifferenceAndGrace(before, ms(c, "grace", 0));
        w = w.before(before).after(ms(c, "after", 5000));
        var with = StreamJoined.with(S, S, S);
        out(switch (how) {
            case "left" -> l.leftJoin(r, PAIR, w, with);
            case "outer" -> l.outerJoin(r, PAIR, w, with);
            default -> l.join(r, PAIR, w, with);
        });
    }

    static void streamTable(StreamsBuilder b, JsonNode c, String how) {
        KStream<String, String> l = leftStream(b, c);
        Joined<String, String, String> with = Joined.with(S, S, S);
        KTable<String, String> t = b.table("right", WITH, stored("store", c));
        if (c.has("grace")) with = with.withGracePeriod(ms(c, "grace", 0));
        out(how.equals("left") ? l.leftJoin(t, PAIR, with) : l.join(t, PAIR, with));
    }

    static void streamGlobal(StreamsBuilder b, String how) {
        KStream<String, String> l = b.stream("left", WITH);
        GlobalKTable<String, String> t = b.globalTable("right", WITH, table("store"));
        KeyValueMapper<String, String, String> by = (k, v) -> v == null ? null : v.split(":")[0];
        out(how.equals("left") ? l.leftJoin(t, by, PAIR) : l.join(t, by, PAIR));
    }

    static void tableTable(StreamsBuilder b, JsonNode c, String how) {
        KTable<String, String> l = left(b, c), r = b.table("right", WITH, stored("store2", c));
        out((switch (how) {
            case "left" -> l.leftJoin(r, PAIR);
            case "outer" -> l.outerJoin(r, PAIR);
            default -> l.join(r, PAIR);
        }).toStream());
    }

    /** With `split`, one record of `left` is several changes of its row, one for each part between commas. */
    static void foreignKey(StreamsBuilder b, JsonNode c, String how) {
        KTable<String, String> l = c.path("split").asBoolean() ? toTable(parts(b.stream("left", WITH)), c) : left(b, c);
        KTable<String, String> r = b.table("right", WITH, stored("store2", c));
        Function<String, String> fk = Oracle::reference;
        var store = table("joined");
        out((how.equals("left") ? l.leftJoin(r, fk, PAIR, store) : l.join(r, fk, PAIR, store)).toStream());
    }

    static KStream<String, String> parts(KStream<String, String> s) {
        return s.flatMapValues(v -> v == null ? Collections.singletonList(null) : List.of(v.split(",")));
    }

    static void out(KStream<String, String> s) {
        s.to("out", Produced.with(S, S));
    }

    static Properties properties(int number) {
        Properties p = new Properties();
        p.put("application.id", "oracle" + number);
        p.put("bootstrap.servers", "none:1");
        p.put("statestore.cache.max.bytes", "0");
        p.put("state.dir", System.getProperty("java.io.tmpdir") + "/oracle-" + ProcessHandle.current().pid());
        // Final results at each record, not once a second of wall-clock time.
        p.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, "0");
        p.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, "0");
        return p;
    }

    void answer(JsonNode config, int number, BufferedReader in) throws IOException {
        StreamsBuilder b = new StreamsBuilder();
        try {
            build(b, config);
        } catch (RuntimeException e) {
            fails(e, in);
            return;
        }
        Properties p = properties(number);
        try (TopologyTestDriver driver = new TopologyTestDriver(b.build(p), p, Instant.ofEpochMilli(0))) {
            Map<String, TestInputTopic<String, String>> topics = new HashMap<>();
            var results = driver.createOutputTopic("out", S.deserializer(), S.deserializer());
            for (String line; (line = in.readLine()) != null && !line.isBlank(); ) {
                JsonNode r = JSON.readTree(line);
                try {
                    if (r.has("advance")) driver.advanceWallClockTime(Duration.ofMillis(r.get("advance").asLong()));
                    else topics.computeIfAbsent(r.get("topic").asText(),
                        t -> driver.createInputTopic(t, S.serializer(), S.serializer())).pipeInput(
                        r.get("key").textValue(), r.get("value").textValue(), r.get("ts").asLong());
                } catch (RuntimeException e) {
                    fails(e, in);
                    return;
                }
                while (!results.isEmpty()) {
                    TestRecord<String, String> t = results.readRecord();
                    ObjectNode j = JSON.createObjectNode();
                    out.println(j.put("key", t.key()).put("value", t.value()).put("ts", t.timestamp()));
                }
            }
        }
    }

    /** Kafka Streams itself fails on some inputs: the rest of the case is skipped. */
    void fails(RuntimeException e, BufferedReader in) throws IOException {
        Throwable c = e;
        while (c.getCause() != null) c = c.getCause();
        out.println(JSON.createObjectNode().put("fails", c.toString()));
        for (String line; (line = in.readLine()) != null && !line.isBlank(); ) { }
    }

    public static void main(String[] a) throws Exception {
        Oracle oracle = new Oracle();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int number = 0;
        for (String line; (line = in.readLine()) != null; ) {
            if (line.isBlank()) continue;
            oracle.answer(JSON.readTree(line), number, in);
            oracle.out.println(JSON.createObjectNode().put("end", number++));
            oracle.out.flush();
        }
    }
}
