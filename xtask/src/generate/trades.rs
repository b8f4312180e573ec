use super::random::Random;

const TICKERS: usize = 200;
/// The first trade, in milliseconds since 1970 UTC.
const BEGIN_MS: u64 = 1_750_000_000_000;
/// Trades are at most so far out of order.
const DISORDER_MS: u64 = 500;
/// One in so many trades comes this late.
const LATE_ONE_IN: u64 = 1000;
const LATE_MS: u64 = 10_000;

/// Trades of tickers whose prices walk at random.
pub struct Trades {
    /// In cents.
    prices: Vec<u64>,
    now_ms: u64,
}

impl Trades {
    pub fn new() -> Self {
        Self { prices: (0..TICKERS as u64).map(|ticker| 1_000 + ticker * 50).collect(), now_ms: BEGIN_MS }
    }

    pub fn row(&mut self, random: &mut Random) -> String {
        self.now_ms += random.below(5);
        let ticker = random.below(TICKERS as u64) as usize;
        let price = &mut self.prices[ticker];
        *price = (*price + random.below(41)).saturating_sub(20).max(100);
        let kind = if random.below(2) == 0 { "ASK" } else { "BID" };
        let late = if random.below(LATE_ONE_IN) == 0 { LATE_MS } else { random.below(DISORDER_MS) };
        format!(
            "{{\"key\":\"T{ticker:03}\",\"value\":{{\"type\":\"{kind}\",\"ticker\":\"T{ticker:03}\",\"price\":{}.{:02},\"size\":{}}},\
             \"ts\":{}}}",
            *price / 100,
            *price % 100,
            (1 + random.below(50)) * 10,
            self.now_ms - late,
        )
    }
}
