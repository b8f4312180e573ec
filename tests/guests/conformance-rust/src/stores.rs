//! The commands about stores and timers.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use weir::prelude::*;
use weir::{Session, Windowed};

/// What a row may reach.
pub struct Stores<'c> {
    pub kv: &'c mut KeyValue<Str<'static>, Str<'static>>,
    pub win: &'c mut WindowStore<Str<'static>, Str<'static>>,
    pub ses: &'c mut SessionStore<Str<'static>, Str<'static>>,
    pub timers: &'c mut Timers,
}

impl Stores<'_> {
    /// The answer; none: it is no such command.
    pub fn run(&mut self, command: &str, rest: &str) -> Result<Option<String>, Reject> {
        let words: Vec<&str> = rest.split(' ').collect();
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let number = |at: usize| word(at).parse().unwrap_or(0_i64);
        let limit = |at: usize| number(at) as usize;
        let Self { kv, win, ses, .. } = self;
        Ok(Some(match command {
            "put" => kv.put(word(0), word(1)).map(|()| "put".to_owned())?,
            "del" => kv.delete(word(0)).map(|()| "del".to_owned())?,
            "get" => shown(kv.get(word(0))?),
            "get-many" => {
                let values = words.iter().map(|key| kv.get(key).map(shown)).collect::<Result<Vec<_>, _>>()?;
                values.join(",")
            }
            "put-many" => {
                words.chunks(2).try_for_each(|pair| kv.put(pair[0], pair[1]))?;
                "put-many".to_owned()
            }
            "range" => listed(&kv.range(lower(word(0)), upper(word(1)), limit(2))?),
            "range-back" => listed(&kv.range_backward(lower(word(0)), upper(word(1)), limit(2))?),
            "prefix" => listed(&kv.prefix(word(0), Some(word(1)).filter(|after| *after != "-"), limit(2))?),
            "win-put" => win.put(word(0), number(1), word(2)).map(|()| "win-put".to_owned())?,
            "win-del" => win.delete(word(0), number(1)).map(|()| "win-del".to_owned())?,
            "win-get" => shown(win.get(word(0), number(1))?),
            "win-fetch" => starts(&win.fetch(word(0), number(1), number(2), limit(3))?),
            "win-fetch-back" => starts(&win.fetch_backward(word(0), number(1), number(2), limit(3))?),
            "win-all" => windows(&win.all(number(0), number(1), None, limit(2))?),
            "win-after" => windows(&win.all(number(0), number(1), Some((word(3), number(4))), limit(2))?),
            "ses-put" => ses.put(word(0), number(1), number(2), word(3)).map(|()| "ses-put".to_owned())?,
            "ses-del" => ses.delete(word(0), number(1), number(2)).map(|()| "ses-del".to_owned())?,
            "ses-get" => shown(ses.get(word(0), number(1), number(2))?),
            "ses-fetch" => sessions(&ses.fetch(word(0), number(1), number(2), None, limit(3))?),
            "ses-after" => {
                let after = Some((number(4), number(5)));
                sessions(&ses.fetch(word(0), number(1), number(2), after, limit(3))?)
            }
            _ => return Ok(self.timer(command, word(0), number(1))),
        }))
    }

    fn timer(&mut self, command: &str, name: &str, time: i64) -> Option<String> {
        match command {
            "timer" => self.timers.schedule(name, time),
            "timer-after" => self.timers.schedule_after(name, time as u64),
            "cancel" => self.timers.cancel(name),
            _ => return None,
        }
        Some(command.to_owned())
    }
}

fn lower(word: &str) -> Bound<&str> {
    if word == "-" { Unbounded } else { Included(word) }
}

fn upper(word: &str) -> Bound<&str> {
    if word == "-" { Unbounded } else { Excluded(word) }
}

fn shown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "<none>".to_owned())
}

fn listed(page: &[(String, String)]) -> String {
    page.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn starts(page: &[Windowed<String, String>]) -> String {
    page.iter().map(|row| format!("{}={}", row.start, row.value)).collect::<Vec<_>>().join(",")
}

fn windows(page: &[Windowed<String, String>]) -> String {
    page.iter().map(|row| format!("{}@{}={}", row.key, row.start, row.value)).collect::<Vec<_>>().join(",")
}

fn sessions(page: &[Session<String, String>]) -> String {
    page.iter().map(|row| format!("{}-{}={}", row.start, row.end, row.value)).collect::<Vec<_>>().join(",")
}
