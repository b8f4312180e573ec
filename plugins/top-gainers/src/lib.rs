//! The ten tickers that gained most, of the gains of all: a record whenever the list has changed.
//!
//! It is to run in one task, since no part of the tickers knows the ten of all: a repartition to one partition is before it.

use std::ops::Bound;

use serde::Deserialize;
use weir::prelude::*;

const TOP: usize = 10;
/// Tickers that are compared at most.
const TICKERS_MAX: usize = 100_000;
/// Where the last list is kept among the gains: no ticker is called so.
const LAST: &str = "";

/// What a ticker has gained since its first trade, as a share of that trade's price.
#[derive(Deserialize)]
struct Gain<'a> {
    #[serde(borrow)]
    ticker: Text<'a>,
    gain: f64,
}

#[weir::processor]
fn top_gainers(gain: Json<Gain>, gains: &mut KeyValue<Str, Str>, out: &mut Out) -> Result<(), Reject> {
    if gain.ticker.is_empty() || !gain.gain.is_finite() {
        return Err(Reject::new("gain.bad", "a gain needs a ticker and a number"));
    }
    gains.put(&gain.ticker, &gain.gain.to_string())?;
    let kept = gains.range(Bound::Excluded(LAST), Bound::Unbounded, TICKERS_MAX)?;
    let mut gainers: Vec<(f64, String)> =
        kept.into_iter().filter_map(|(ticker, gain)| Some((gain.parse().ok()?, ticker))).collect();
    // The greatest gain first; equal ones by name, so that the list does not depend on who came first.
    gainers.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let top: Vec<String> =
        gainers.iter().take(TOP).map(|(gain, ticker)| format!("{{\"ticker\":\"{ticker}\",\"gain\":{gain}}}")).collect();
    let top = format!("[{}]", top.join(","));
    if gains.get(LAST)?.as_deref() != Some(&top) {
        gains.put(LAST, &top)?;
        out.emit(top)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gains(of: &[(&str, f64)]) -> Vec<String> {
        let mut driver = weir::test::Driver::<top_gainers>::new("null").unwrap();
        let mut lists = Vec::new();
        for (ticker, gain) in of {
            let record = weir::test::Record::new(format!("{{\"ticker\":\"{ticker}\",\"gain\":{gain}}}"));
            lists.extend(driver.pipe_one(record).unwrap().iter().map(|list| list.value_text().into_owned()));
        }
        lists
    }

    #[test]
    fn the_list_is_sent_when_it_has_changed() {
        let lists = gains(&[("A", 0.5), ("B", 0.75), ("B", 0.75), ("A", 1.0)]);
        assert_eq!(lists.len(), 3);
        assert_eq!(lists[2], r#"[{"ticker":"A","gain":1},{"ticker":"B","gain":0.75}]"#);
    }

    #[test]
    fn the_eleventh_is_not_in_it() {
        let of: Vec<(String, f64)> = (0..11).map(|number| (format!("T{number:02}"), f64::from(number))).collect();
        let of: Vec<(&str, f64)> = of.iter().map(|(ticker, gain)| (ticker.as_str(), *gain)).collect();
        let last = gains(&of).pop().unwrap();
        assert!(last.starts_with(r#"[{"ticker":"T10","gain":10},"#), "{last}");
        assert!(!last.contains("T00"), "{last}");
    }
}
