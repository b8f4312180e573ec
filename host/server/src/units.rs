//! Durations, times and numbers as people write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `100ms`, `30s`, `5m`: a positive duration with its unit.
///
/// # Errors
/// What is wrong, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text.trim())
        .map_err(|_| format!("`{text}` is not a duration: write a number with its unit, such as 100ms or 30s"))?;
    if duration.is_zero() {
        return Err(format!("`{text}` is no time at all: it must be above zero"));
    }
    Ok(duration)
}

/// How long a task waits for inputs without rows, in milliseconds: `off` is -1, and `0` is a time here.
///
/// # Errors
/// What is wrong, for people.
pub fn task_idle(text: &str) -> Result<i64, String> {
    match text.trim() {
        "off" => Ok(-1),
        "0" => Ok(0),
        text => duration(text).map(|idle| i64::try_from(idle.as_millis()).unwrap_or(i64::MAX)),
    }
}

/// `name=value`, as `--kafka-property` takes it.
///
/// # Errors
/// What is wrong, for people.
pub fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not `name=value`")),
    }
}

/// Milliseconds since 1970 UTC, now.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A time as RFC 3339 or milliseconds since 1970, in milliseconds.
///
/// # Errors
/// What is wrong, for people.
pub fn time_ms(text: &str) -> Result<i64, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|_| format!("`{text}` is not a time: write it as 2026-01-31T12:00:00Z"))?;
    Ok(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

/// A time as milliseconds since 1970 UTC, or as RFC 3339.
///
/// # Errors
/// What is wrong, for people.
pub fn instant_ms(text: &str) -> Result<i64, String> {
    text.parse()
        .or_else(|_| time_ms(text))
        .map_err(|_| format!("`{text}` is not a time: write milliseconds since 1970, or 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_are_above_zero() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("100").unwrap_err().contains("with its unit"));
        assert!(duration("0s").unwrap_err().contains("above zero"));
        assert!(duration("-1s").is_err());
    }

    #[test]
    fn the_time_that_a_task_idles_may_be_none_at_all() {
        assert_eq!(task_idle("off"), Ok(-1));
        assert_eq!(task_idle("0"), Ok(0));
        assert_eq!(task_idle("2s"), Ok(2000));
        assert!(task_idle("2").unwrap_err().contains("with its unit"));
    }

    #[test]
    fn a_property_is_cut_at_its_first_equals_sign() {
        let jaas = "sasl.jaas.config=a required username=\"x\"";
        assert_eq!(property(jaas).unwrap().1, "a required username=\"x\"");
        assert!(property("=x").is_err());
        assert!(property("novalue").is_err());
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time_ms("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(time_ms("1970-01-02"), Err("`1970-01-02` is not a time: write it as 2026-01-31T12:00:00Z".into()));
    }
}
