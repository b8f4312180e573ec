//! Does what each record's value commands; `tests/conformance/cases.json` says what must come of it. The same in C and Python.

mod stores;

use std::fmt::Write;

use serde::de::IgnoredAny;
use weir::prelude::*;

use crate::stores::Stores;

#[weir::processor(ports(out, other, third), on_timer = fired)]
fn conformance(
    value: Option<Str>,
    key: Key<Option<Str>>,
    timestamp: Timestamp,
    headers: Headers,
    context: &Context,
    // Any will do: the command `config` looks into it by name.
    _config: &Config<IgnoredAny>,
    kv: &mut KeyValue<Str<'static>, Str<'static>>,
    win: &mut WindowStore<Str<'static>, Str<'static>>,
    ses: &mut SessionStore<Str<'static>, Str<'static>>,
    timers: &mut Timers,
    out: &mut Out<Records>,
) -> Result<(), Reject> {
    let mut stores = Stores { kv, win, ses, timers };
    let Some(Str(value)) = value else { return out.emit(Null) };
    let (command, rest) = value.split_once(' ').unwrap_or((value, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match command {
        "echo" => out.emit(rest),
        "upper" => out.emit(rest.to_ascii_uppercase()),
        "null" => out.emit(Null),
        "drop" => Ok(()),
        "many" => (0..number(first)).try_for_each(|index| out.emit(format!("{second}{index}"))),
        "show-key" => out.emit(key.map_or("<null>", |key| key.0)),
        "key" => out.record(command).key(rest).emit(),
        "null-key" => out.record(command).key(Null).emit(),
        "show-time" => out.emit(timestamp.millis.to_string()),
        "time" => out.record(command).timestamp(number(first)).emit(),
        "show-headers" => out.emit(listed(&headers)),
        "header" => out.record(command).header(first, second).emit(),
        "only-header" => out.record(command).without_headers().header(first, second).emit(),
        "no-headers" => out.record(command).without_headers().emit(),
        "null-header" => out.record(command).header(first, Null).emit(),
        "port" => out.record(command).port(first).emit(),
        "reject" => Err(Reject::new(first.to_owned(), second)),
        "emit-and-reject" => out.emit(command).and(Err(Reject::new("case.late", "after an output"))),
        "trap" => trap(),
        "stop" => {
            out.stop();
            out.emit(rest)
        }
        "then-reject" => {
            stores.run(first, second)?;
            Err(Reject::new("case.late", "after a write"))
        }
        _ => {
            let answer = stores.run(command, rest)?.or_else(|| asked(command, rest, context));
            out.emit(answer.unwrap_or_else(|| value.to_owned()))
        }
    }
}

fn fired(
    timer: Timer,
    _config: &Config<IgnoredAny>,
    kv: &mut KeyValue<Str, Str>,
    _: &mut WindowStore<Str, Str>,
    _: &mut SessionStore<Str, Str>,
    _: &mut Timers,
    out: &mut Out<Records>,
) -> Result<(), Reject> {
    kv.put(&timer.name_text(), "fired")?;
    out.record(format!("fired {}", timer.name_text())).port("other").emit()
}

/// What the host is asked for, or told.
fn asked(command: &str, rest: &str, context: &Context<'_>) -> Option<String> {
    let (name, amount) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match command {
        "source" => {
            let source = context.source();
            format!("{}/{}@{}", source.topic, source.partition, source.offset)
        }
        "stream-time" => context.stream_time().to_string(),
        "random" => hex(&context.random(number(rest) as u32)),
        "where" => format!("{}/{}/{}", context.application(), context.node(), context.partition()),
        "config" => weir::value_of(rest).unwrap_or_else(|| "<none>".to_owned()),
        "count" => {
            weir::metrics::count(name, number(amount) as u64);
            "counted".to_owned()
        }
        "gauge" => {
            weir::metrics::gauge(name, number(amount) as f64);
            "gauged".to_owned()
        }
        "observe" => {
            weir::metrics::observe(name, number(amount) as f64);
            "observed".to_owned()
        }
        "log" => {
            weir::log(Level::Info, format_args!("{rest}"));
            "logged".to_owned()
        }
        _ => return None,
    })
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn listed(headers: &Headers<'_>) -> String {
    headers.iter().fold(String::new(), |text, (name, value)| {
        let value = value.map_or("<null>".into(), String::from_utf8_lossy);
        format!("{text}{name}={value};")
    })
}

#[allow(clippy::panic)]
fn trap() -> ! {
    panic!("commanded to trap")
}
