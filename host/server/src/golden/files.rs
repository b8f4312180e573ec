//! The files of cases: found, read and written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_core::record::{RecordBatch, TopicPartition};
use weir_core::state::StoreEntry;
use weir_testing::TestRecord;

use super::play::Outcome;
use crate::problem::{Mistake, Problem};
use crate::state_dir::cannot;
use crate::{line, units};

/// Bytes of a case's file at most: a case is there to be read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A topology and its cases.
pub struct Project {
    /// The topology file.
    pub topology: PathBuf,
    /// Folders of cases, by name.
    pub cases: Vec<PathBuf>,
}

/// The topology at `path`, a folder or the file itself, and the cases beside it.
///
/// # Errors
/// There is none, or it has no cases.
pub fn find(path: &Path) -> Result<Project, Problem> {
    let topology = if path.is_dir() { path.join("topology.yaml") } else { path.to_owned() };
    if !topology.is_file() {
        let detail = format!("there is no file {}: name a topology file or its folder", topology.display());
        return Err(Problem::not_found(detail));
    }
    let folder = topology.parent().unwrap_or(Path::new("")).join("cases");
    let none = || {
        let example = folder.join("NAME").join("in.jsonl");
        Problem::not_found(format!("there are no cases: write records into {}, a line each", example.display()))
    };
    let entries = std::fs::read_dir(&folder).map_err(|_| none())?;
    let mut cases: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("in.jsonl").is_file()).collect();
    cases.sort();
    if cases.is_empty() { Err(none()) } else { Ok(Project { topology, cases }) }
}

/// A line of `in.jsonl`.
#[derive(Clone, Debug)]
pub enum Line {
    /// A row into a topic.
    Pipe(String, TestRecord),
    /// The host's clock moves.
    Advance(Duration),
    /// The transaction ends.
    Commit,
    /// The host is killed and started again.
    Restart,
    /// The transaction breaks.
    Abort,
}

/// A row that is expected; without a timestamp any will do.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The row.
    pub record: TestRecord,
    /// Whether its timestamp is said.
    pub is_timed: bool,
}

/// What a case's files say.
pub struct Written {
    /// What is done, each with its line's number.
    pub lines: Vec<(usize, Line)>,
    /// By topic; none: there is no `expect.jsonl`.
    pub expect: Option<BTreeMap<String, Vec<Expected>>>,
    /// By store; none: there is no `state.jsonl`.
    pub state: Option<BTreeMap<String, Vec<StoreEntry>>>,
}

#[derive(Deserialize)]
struct Control {
    topic: Option<String>,
    ts: Option<serde_json::Value>,
    advance: Option<String>,
    commit: Option<bool>,
    restart: Option<bool>,
    abort: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateIn<'a> {
    store: String,
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
    window: Option<Window>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Window {
    start: i64,
    end: i64,
}

#[derive(Serialize)]
struct StateOut<'a> {
    store: &'a str,
    key: Box<RawValue>,
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
}

/// Reads a case.
///
/// # Errors
/// Every line that is wrong.
pub fn read(folder: &Path) -> Result<Written, Problem> {
    let mut lines = Vec::new();
    let mut clock_ms = 0;
    each_line(&folder.join("in.jsonl"), |number, text| {
        lines.push((number, input(text, &mut clock_ms)?));
        Ok(())
    })?;
    let mut expect: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
    let has_expect = each_line(&folder.join("expect.jsonl"), |_, text| {
        let control: Control = parsed(text)?;
        let topic = control.topic.ok_or("this line has no `topic`")?;
        let expected = Expected { record: record(text, 0)?, is_timed: control.ts.is_some() };
        expect.entry(topic).or_default().push(expected);
        Ok(())
    })?;
    let mut state: BTreeMap<String, Vec<StoreEntry>> = BTreeMap::new();
    let has_state = each_line(&folder.join("state.jsonl"), |_, text| {
        let line: StateIn<'_> = parsed(text)?;
        // The two cells are read as those of a record's line.
        let cells = record(&format!("{{\"key\":{},\"value\":{}}}", line.key, line.value), 0)?;
        let window = line.window.map(|window| (window.start, window.end));
        let key = cells.key.ok_or("`key` is null")?;
        state.entry(line.store).or_default().push(StoreEntry { key, window, value: cells.value, timestamp: None });
        Ok(())
    })?;
    Ok(Written { lines, expect: has_expect.then_some(expect), state: has_state.then_some(state) })
}

fn input(text: &str, clock_ms: &mut i64) -> Result<Line, String> {
    let control: Control = parsed(text)?;
    let Control { topic, advance, commit, restart, abort, .. } = control;
    let said = [topic.is_some(), advance.is_some(), commit.is_some(), restart.is_some(), abort.is_some()];
    if said.iter().filter(|said| **said).count() != 1 {
        let help = "`topic` with a record, `advance`, `commit`, `restart` or `abort`";
        return Err(format!("a line has exactly one of {help}"));
    }
    if let Some(topic) = topic {
        return Ok(Line::Pipe(topic, record(text, *clock_ms)?));
    }
    if let Some(advance) = advance {
        let by = units::duration(&advance)?;
        *clock_ms = clock_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        return Ok(Line::Advance(by));
    }
    let does = [(commit, Line::Commit), (restart, Line::Restart), (abort, Line::Abort)];
    let done = does.into_iter().find(|(said, _)| said == &Some(true)).map(|(_, line)| line);
    done.ok_or_else(|| "write `true`, or leave the line away".to_owned())
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn record(text: &str, now_ms: i64) -> Result<TestRecord, String> {
    let line::Record { key, value, timestamp, headers } = line::decode(text, now_ms)?;
    let headers = headers.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
    Ok(TestRecord { timestamp, key, value, headers })
}

/// Gives each line that is not blank to `take`; false: there is no such file.
fn each_line(path: &Path, mut take: impl FnMut(usize, &str) -> Result<(), String>) -> Result<bool, Problem> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(cannot("read", path, &cause)),
    };
    if length > FILE_BYTES_MAX {
        let detail = format!("{} has {length} bytes; a case may have {FILE_BYTES_MAX}", path.display());
        return Err(Problem::invalid(format!("{detail}: make several cases of it")));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| cannot("read", path, &cause))?;
    let mut mistakes = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if let Err(detail) = take(index + 1, line) {
            let detail = format!("{}:{}: {detail}", path.display(), index + 1);
            mistakes.push(Mistake { detail, line: Some(index + 1), ..Mistake::default() });
        }
    }
    if mistakes.is_empty() { Ok(true) } else { Err(Problem::invalid("a case is wrong").with(mistakes)) }
}

/// Writes what came out as what is expected. True: that was not there before.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, outcome: &Outcome) -> Result<bool, Problem> {
    let rows = outcome.topics.iter().flat_map(|(topic, rows)| rows.iter().map(move |row| record_line(topic, row)));
    let mut changed = replace(&folder.join("expect.jsonl"), &rows.collect::<String>())?;
    if !outcome.stores.is_empty() {
        let entries = outcome.stores.iter().flat_map(|(name, entries)| entries.iter().map(|it| entry_line(name, it)));
        changed |= replace(&folder.join("state.jsonl"), &entries.collect::<String>())?;
    }
    Ok(changed)
}

fn replace(path: &Path, text: &str) -> Result<bool, Problem> {
    if std::fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(false);
    }
    std::fs::write(path, text).map_err(|cause| cannot("write", path, &cause))?;
    Ok(true)
}

/// A row as a line of `expect.jsonl`.
pub fn record_line(topic: &str, row: &TestRecord) -> String {
    let mut batch = RecordBatch::default();
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        row.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
    batch.push(0, row.timestamp, row.key.as_deref(), row.value.as_deref(), &headers);
    // Where it stood is no matter of a case.
    line::encode(&TopicPartition::new(topic, 0), &batch, 0).replacen(",\"partition\":0,\"offset\":0", "", 1)
}

/// An entry as a line of `state.jsonl`.
pub fn entry_line(store: &str, entry: &StoreEntry) -> String {
    let window = entry.window.map(|(start, end)| Window { start, end });
    let value = line::shown(entry.value.as_deref());
    let line = StateOut { store, key: line::shown(Some(&entry.key)), value, window };
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_does_one_thing() {
        let mut clock = 0;
        assert!(matches!(input(r#"{"advance":"20s"}"#, &mut clock), Ok(Line::Advance(by)) if by.as_secs() == 20));
        let Ok(Line::Pipe(topic, record)) = input(r#"{"topic":"a","value":{"b":1}}"#, &mut clock) else { panic!() };
        assert_eq!((topic.as_str(), record.timestamp, record.value), ("a", 20_000, Some(b"{\"b\":1}".to_vec())));
        assert!(input(r#"{"topic":"a","restart":true}"#, &mut clock).unwrap_err().contains("exactly one"));
        assert!(input(r#"{"key":"a"}"#, &mut clock).unwrap_err().contains("exactly one"));
        assert!(input(r#"{"restart":false}"#, &mut clock).unwrap_err().contains("write `true`"));
        assert!(input(r#"{"advance":"20"}"#, &mut clock).unwrap_err().contains("with its unit"));
    }

    #[test]
    fn lines_come_back_as_they_were_written() {
        let headers = vec![(b"h".to_vec(), None)];
        let row = TestRecord { headers, ..TestRecord::new("k", "{\"a\":1.50}", 7) };
        let text = record_line("out", &row);
        assert_eq!(
            text,
            "{\"topic\":\"out\",\"ts\":7,\"key\":\"k\",\"value\":{\"a\":1.50},\"headers\":{\"h\":null}}\n"
        );
        assert_eq!(record(&text, 0), Ok(row));
        let entry =
            StoreEntry { key: b"k".to_vec(), window: Some((0, 10)), value: Some(b"3".to_vec()), timestamp: None };
        let text = "{\"store\":\"s\",\"key\":\"k\",\"value\":3,\"window\":{\"start\":0,\"end\":10}}\n";
        assert_eq!(entry_line("s", &entry), text);
    }
}
