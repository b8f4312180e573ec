//! The example stock-stats: windows, late trades and the ten that gained most, of the generator's trades.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Stage, passes};

const NAME: &str = "stock-stats";
const TRADES: u64 = 20_000;
const SEED: u64 = 7;
const TOPICS: [&str; 4] = ["trades", "stock-stats", "late-trades", "top-gainers"];

const SIZE_MS: i64 = 5_000;
const ADVANCE_MS: i64 = 1_000;
const GRACE_MS: i64 = 2_000;
const TOP: usize = 10;
/// Sums of prices may be rounded in another order.
const ROUNDING: f64 = 1e-9;

#[derive(Clone, Debug, Default, PartialEq)]
struct Stats {
    trades: i64,
    low: f64,
    average: f64,
}

/// What is to come out.
#[derive(Default)]
struct Reckoned {
    /// By ticker and start of the window.
    stats: BTreeMap<(String, i64), Stats>,
    /// How many trades came too late for all their windows.
    late: usize,
    /// Tickers and gains, the greatest first.
    top: Vec<(String, f64)>,
}

struct Trade {
    ticker: String,
    price: f64,
    at: i64,
}

impl Trade {
    fn of(row: &Value) -> Option<Self> {
        let value = &row["value"];
        let ticker = value["ticker"].as_str()?.to_owned();
        Some(Self { ticker, price: value["price"].as_f64()?, at: row["ts"].as_i64()? })
    }
}

/// Of trades as they lie in their partitions: what is late depends on what came before it there.
fn reckon(partitions: &BTreeMap<i64, Vec<Trade>>) -> Reckoned {
    let mut reckoned = Reckoned::default();
    let mut prices: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for trades in partitions.values() {
        let mut windows: BTreeMap<(String, i64), Vec<f64>> = BTreeMap::new();
        let mut time = i64::MIN;
        for trade in trades {
            time = time.max(trade.at);
            let last = trade.at / ADVANCE_MS * ADVANCE_MS;
            let starts = (0..SIZE_MS / ADVANCE_MS).map(|back| last - back * ADVANCE_MS);
            let open: Vec<i64> = starts.filter(|start| start + SIZE_MS + GRACE_MS > time).collect();
            reckoned.late += usize::from(open.is_empty());
            for start in open {
                windows.entry((trade.ticker.clone(), start)).or_default().push(trade.price);
            }
            prices.entry(&trade.ticker).or_insert((trade.price, trade.price)).1 = trade.price;
        }
        let closed = windows.into_iter().filter(|((_, start), _)| start + SIZE_MS + GRACE_MS <= time);
        reckoned.stats.extend(closed.map(|(window, prices)| {
            let average = prices.iter().sum::<f64>() / prices.len() as f64;
            let low = prices.iter().copied().fold(f64::INFINITY, f64::min);
            (window, Stats { trades: prices.len() as i64, low, average })
        }));
    }
    let gains = prices.into_iter().map(|(ticker, (first, last))| (ticker.to_owned(), last / first - 1.0));
    reckoned.top = gains.collect();
    reckoned.top.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    reckoned.top.truncate(TOP);
    reckoned
}

fn are_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
}

/// What is wrong with what came out, if anything.
fn object(stage: &Stage, reckoned: &Reckoned) -> Result<Option<String>> {
    let mut stats = BTreeMap::new();
    for row in stage.tail("stock-stats")? {
        let value = &row["value"];
        let told = || {
            let of = &value["stats"];
            let (trades, low) = (of["trades"].as_i64()?, of["low"].as_f64()?);
            let window = (row["key"].as_str()?.to_owned(), value["start"].as_i64()?);
            (value["end"].as_i64()? == window.1 + SIZE_MS).then_some(())?;
            Some((window, Stats { trades, low, average: of["average"].as_f64()? }))
        };
        let (window, told) = told().with_context(|| format!("no statistics: {row}"))?;
        ensure!(stats.insert(window.clone(), told).is_none(), "{window:?} is told twice");
    }
    for (window, told) in &stats {
        let expected =
            reckoned.stats.get(window).with_context(|| format!("{window:?} is not closed, or none at all"))?;
        let is_right =
            told.trades == expected.trades && told.low == expected.low && are_near(told.average, expected.average);
        ensure!(is_right, "{window:?}: {told:?} instead of {expected:?}");
    }
    if stats.len() < reckoned.stats.len() {
        return Ok(Some(format!("{} windows of {}", stats.len(), reckoned.stats.len())));
    }
    let late = stage.tail("late-trades")?.len();
    ensure!(late <= reckoned.late, "{late} late trades instead of {}", reckoned.late);
    if late < reckoned.late {
        return Ok(Some(format!("{late} late trades of {}", reckoned.late)));
    }
    let lists = stage.tail("top-gainers")?;
    let last = lists.last().and_then(|row| row["value"].as_array()).map_or(&[][..], Vec::as_slice);
    let is_right = last.len() == reckoned.top.len()
        && last.iter().zip(&reckoned.top).all(|(told, (ticker, gain))| {
            told["ticker"] == ticker.as_str() && told["gain"].as_f64().is_some_and(|told| are_near(told, *gain))
        });
    Ok((!is_right).then(|| format!("gainers {last:?} instead of {:?}", reckoned.top)))
}

fn stats(stage: Stage) -> Result<()> {
    let made = stage.generate("trades", TRADES, SEED)?;
    let mut partitions: BTreeMap<i64, Vec<Trade>> = BTreeMap::new();
    for row in stage.tail("trades")? {
        let trade = Trade::of(&row).with_context(|| format!("no trade: {row}"))?;
        partitions.entry(row["partition"].as_i64().context("a record has a partition")?).or_default().push(trade);
    }
    ensure!(partitions.len() == 4 && partitions.values().map(Vec::len).sum::<usize>() == made.len());
    let reckoned = reckon(&partitions);
    ensure!(reckoned.late > 0 && reckoned.top.len() == TOP, "the generator's trades show little");
    stage.wait(|stage| object(stage, &reckoned))?;
    println!("{TRADES} trades: {} windows, {} late trades", reckoned.stats.len(), reckoned.late);
    stage.end()
}

#[test]
fn stock_stats_has_the_windows_of_its_case() -> Result<()> {
    passes(NAME)
}

#[test]
fn stock_stats_of_generated_trades_are_right_on_the_embedded_log() -> Result<()> {
    stats(Stage::embedded(NAME)?)
}

#[test]
fn stock_stats_of_generated_trades_are_right_on_kafka() -> Result<()> {
    stats(Stage::kafka(NAME, &TOPICS, 1)?)
}
