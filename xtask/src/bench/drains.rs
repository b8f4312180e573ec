//! What is drained: a backlog, by each peer, with the same work to be done.

use super::peers::{FORWARD, Peer, VALIDATE};

/// What lies on the broker to be worked off, loaded when it is first asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// Orders of some 120 bytes, 10,000 keys.
    Orders,
    /// Orders, 2,000,000 keys.
    Unique,
    /// Orders of 900 bytes: the last of each key are 1 GB, where there are so many records as [`Input::Orders`] has.
    Large,
}

impl Input {
    /// The topic.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Unique => "unique",
            Self::Large => "large",
        }
    }

    /// Records, keys and bytes of each value, where there are `orders` in [`Input::Orders`].
    pub fn amounts(self, orders: u64) -> [u64; 3] {
        match self {
            Self::Orders => [orders, 10_000, 120],
            Self::Unique => [orders, orders / 2, 120],
            Self::Large => [orders / 2, orders * 3 / 8, 900],
        }
    }
}

/// A backlog worked off.
pub struct Drain {
    /// Its name, and that of the file in `tests/bench/topologies`.
    pub part: &'static str,
    /// The file, where it is another's.
    pub topology: &'static str,
    pub input: Input,
    pub peers: &'static [Peer],
    /// The peer's topology in `tests/bench/streams/Bench.java`.
    pub streams: &'static str,
    /// The peer's cache; none: its default.
    pub streams_cache: Option<u64>,
}

const fn drain(part: &'static str, input: Input, peers: &'static [Peer], streams: &'static str) -> Drain {
    Drain { part, topology: part, input, peers, streams, streams_cache: None }
}

/// Every drain.
pub const DRAINS: [Drain; 7] = [
    drain("forward", Input::Orders, FORWARD, "forward"),
    drain("validate", Input::Orders, VALIDATE, "validate"),
    drain("count-commit", Input::Orders, VALIDATE, "count"),
    // Without a cache Kafka Streams emits every count too.
    Drain { streams_cache: Some(0), ..drain("count-update", Input::Orders, VALIDATE, "count") },
    // Its peer is count-commit's.
    drain("count-plugin", Input::Orders, &[Peer::Weir], "count"),
    drain("table", Input::Orders, VALIDATE, "table"),
    Drain { topology: "table", ..drain("unique", Input::Unique, VALIDATE, "table") },
];

/// 1 GB of state, which Weir alone is asked for.
pub const LARGE: Drain = drain("large", Input::Large, &[Peer::Weir], "table");

/// The drain called `part`.
pub fn named(part: &str) -> Option<&'static Drain> {
    DRAINS.iter().find(|drain| drain.part == part)
}
