//! Small topologies with state, as files, and what is piped into them; of a seed.

use weir_testing::{PerMille, Random, TestRecord};

/// A line of a script.
#[derive(Clone, Debug)]
pub enum Line {
    /// Into `in`, or into `in2`.
    Pipe(&'static str, TestRecord),
    /// Milliseconds.
    Advance(u64),
    Commit,
}

/// Topics that results go to.
pub const OUTPUTS: [&str; 5] = ["out", "late", "out2", "small", "large"];

/// A topology: YAML and the stores in it.
pub fn topology(random: &mut Random) -> String {
    let mut nodes = String::new();
    let mut stores = String::new();
    let mut from = "src".to_owned();
    nodes.push_str(match random.below(6) {
        0 => "  src: { source: [in, in2] }\n",
        1 => "  src: { source: { topic: in, timestamp: value.n + 10 }, on-error: skip }\n",
        2 => "  src: { source: { topics: [in, in2], timestamp: { plugin: clock } }, on-error: skip }\n",
        _ => "  src: { source: in }\n",
    });
    if random.chance(PerMille(300)) {
        nodes.push_str(&format!("  some: {{ from: {from}, filter: value.n > 2, on-error: skip }}\n"));
        from = "some".to_owned();
    }
    if random.chance(PerMille(300)) {
        ledger(random, "first", &from, &mut nodes, &mut stores);
        from = "first".to_owned();
    }
    if random.chance(PerMille(300)) {
        nodes.push_str(&format!("  keyed: {{ from: {from}, key-by: value.k, on-error: skip }}\n"));
        nodes.push_str("  moved: { from: keyed, repartition: by-k }\n");
        from = "moved".to_owned();
    }
    if random.chance(PerMille(150)) {
        // As many rows as `n` says, less the first.
        nodes.push_str(&format!(
            "  many: {{ from: {from}, flat-map: {{ each: '[1, 2, 3].filter(i, i < value.n)', value: value }}, on-error: skip }}\n"
        ));
        from = "many".to_owned();
    }
    if random.chance(PerMille(150)) {
        nodes.push_str(&format!(
            "  marked: {{ from: {from}, map: {{ headers: {{ n: value.n, k: null }} }}, on-error: skip }}\n  \
             seen: {{ from: marked, peek: headers.n }}\n  apart: {{ from: seen, on-error: skip, \
             sink: {{ topic: 'value.n < 5 ? \"small\" : value.n < 12 ? \"large\" : \"none\"', of: [small, large] }} }}\n"
        ));
    }
    match random.below(10) {
        0..7 => aggregate(random, "agg", &from, &mut nodes, &mut stores),
        _ => {
            ledger(random, "led", &from, &mut nodes, &mut stores);
            nodes.push_str("  out: { from: led, sink: out }\n");
            if random.chance(PerMille(300)) {
                // Two nodes on one store.
                nodes.push_str(&format!(
                    "  led2: {{ from: {from}, process: {{ plugin: ledger, stores: [led-seen], timers: true }}, on-error: skip }}\n  \
                     out2: {{ from: led2, sink: out2 }}\n"
                ));
            }
        }
    }
    format!(
        "application: t\ntopics:\n  in: {{ key: string, value: json }}\n  in2: {{ key: string, value: json }}\n  \
         out: {{ key: string, value: json }}\n  late: {{ key: string, value: json }}\n  \
         out2: {{ key: string, value: json }}\n  small: {{ key: string, value: json }}\n  \
         large: {{ key: string, value: json }}\nstores:\n  unused: {{ kind: key-value, changelog: false }}\n{stores}nodes:\n{nodes}"
    )
}

fn ledger(random: &mut Random, name: &str, from: &str, nodes: &mut String, stores: &mut String) {
    let ttl = if random.chance(PerMille(500)) { ", ttl: 30ms" } else { "" };
    stores.push_str(&format!("  {name}-seen: {{ kind: key-value{ttl} }}\n"));
    nodes.push_str(&format!(
        "  {name}: {{ from: {from}, process: {{ plugin: ledger, stores: [{name}-seen], timers: true, keeps-key: true }}, on-error: skip }}\n"
    ));
}

fn aggregate(random: &mut Random, name: &str, from: &str, nodes: &mut String, stores: &mut String) {
    let grace = random.below(15);
    let (window, kind) = match random.below(5) {
        0 => (String::new(), "key-value"),
        1 => (format!("window: {{ tumbling: 10ms, grace: {grace}ms }}, "), "window"),
        2 => (format!("window: {{ hopping: 10ms, advance: 4ms, grace: {grace}ms }}, "), "window"),
        3 => (format!("window: {{ sliding: 8ms, grace: {grace}ms }}, "), "window"),
        _ => (format!("window: {{ session: 6ms, grace: {grace}ms }}, "), "session"),
    };
    let windowed = !window.is_empty();
    let emits = if windowed { 3 } else { 2 };
    let emit = ["update", "commit", "close"][random.below(emits)];
    let function = [
        "count",
        "{ sum: value.n }",
        "{ reduce: 'aggregate.n > value.n ? aggregate : value' }",
        "{ plugin: counter, value: json }",
        "{ rows: count, most: { max: value.n }, first: { first: value.n }, last: { last: value.n }, mean: { avg: value.n } }",
    ][random.below(5)];
    stores.push_str(&format!("  {name}-store: {{ kind: {kind} }}\n"));
    nodes.push_str(&format!(
        "  {name}: {{ from: {from}, {window}aggregate: {function}, emit: {emit}, store: {name}-store, on-error: skip }}\n"
    ));
    let mut last = name.to_owned();
    if emit != "close" && random.chance(PerMille(400)) {
        let until = if windowed && random.chance(PerMille(600)) { "close" } else { "12ms" };
        let bound =
            if until == "12ms" && random.chance(PerMille(400)) { ", rows-max: 2, when-full: emit-early" } else { "" };
        nodes.push_str(&format!("  held: {{ from: {last}, suppress: {{ until: {until}{bound} }} }}\n"));
        last = "held".to_owned();
    }
    if windowed {
        nodes.push_str(&format!("  late: {{ from: {name}.late, sink: late }}\n"));
        nodes.push_str(&format!(
            "  shown: {{ from: {last}, map: {{ value: '{{\"start\": window.start, \"end\": window.end, \"v\": value}}' }} }}\n"
        ));
        nodes.push_str("  out: { from: shown, sink: out }\n");
    } else {
        nodes.push_str(&format!("  out: {{ from: {last}, sink: out }}\n"));
    }
    if random.chance(PerMille(200)) {
        nodes.push_str(&format!(
            "  again: {{ from: {last}, aggregate: count, emit: update, store: again }}\n  out2: {{ from: again, sink: out2 }}\n"
        ));
        stores.push_str("  again: { kind: key-value }\n");
    }
}

/// What is done with a topology.
pub fn script(random: &mut Random, lines: usize) -> Vec<Line> {
    let mut now = 20;
    let mut script = Vec::new();
    for _ in 0..lines {
        match random.below(20) {
            0 => script.push(Line::Advance(random.within(1, 40) as u64)),
            1 | 2 => script.push(Line::Commit),
            3 => now += random.within(10, 60) as i64,
            _ => {
                now += random.below(5) as i64;
                let at = (now - random.below(20) as i64).max(0);
                let key = (!random.chance(PerMille(50))).then(|| vec![b'a' + random.below(3) as u8]);
                let (n, k) = (random.below(15), b'x' + random.below(3) as u8);
                let value = format!("{{\"n\":{n},\"k\":\"{}\"}}", k as char).into_bytes();
                let value = (!random.chance(PerMille(50))).then_some(value);
                let topic = if random.chance(PerMille(150)) { "in2" } else { "in" };
                script.push(Line::Pipe(topic, TestRecord { timestamp: at, key, value, headers: Vec::new() }));
            }
        }
    }
    script.push(Line::Commit);
    script
}
