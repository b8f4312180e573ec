//! Reprocessing: an application is taken back to the first record, an improved one reads all of it again into a topic of its
//! own, and the outputs of both are compared.
//!
//! Nothing of the first run may be left: a store, a changelog or rows on their way through a repartition would show as counts
//! that are too high. And a reset that is refused, or only says what it would do, changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::host::{HostOptions, WeirHost, weir_binary};
use weir_tests::kafka::Kafka;
use weir_tests::wait;

const READY_WAIT: Duration = Duration::from_secs(60);
const COUNTS_WAIT: Duration = Duration::from_secs(90);
const LINES: u64 = 2_000;
const WORDS: u64 = 97;

/// An application on one of the logs.
struct Story {
    name: String,
    folder: tempfile::TempDir,
    bootstrap: Option<String>,
}

impl Story {
    fn new(name: String, bootstrap: Option<String>) -> Result<Self> {
        let story = Self { name, folder: tempfile::tempdir()?, bootstrap };
        for output in ["old", "new"] {
            fs::write(story.file(output), story.topology(output))?;
        }
        Ok(story)
    }

    /// Counts words into topic `<name>-<output>`.
    fn topology(&self, output: &str) -> String {
        let name = &self.name;
        format!(
            "\
application: {name}
topics:
  {name}-lines: {{ key: string, value: json, partitions: 2 }}
  {name}-{output}: {{ key: string, value: json, partitions: 2 }}
stores:
  counts: {{ kind: key-value }}
nodes:
  lines:  {{ source: {name}-lines }}
  worded: {{ from: lines, key-by: value.word }}
  count:  {{ from: worded, aggregate: count, store: counts, repartition: by-word, emit: update }}
  out:    {{ from: count, sink: {name}-{output} }}
"
        )
    }

    fn file(&self, output: &str) -> PathBuf {
        self.folder.path().join(format!("{output}.yaml"))
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn topic(&self, base: &str) -> String {
        format!("{}-{base}", self.name)
    }

    fn host(&self, output: &str) -> Result<WeirHost> {
        let mut options = HostOptions::new(self.file(output), self.state_dir()).arguments(["--leave"]);
        if let Some(bootstrap) = &self.bootstrap {
            options = options.bootstrap(bootstrap);
        }
        WeirHost::start_ready(&options, READY_WAIT)
    }

    fn reset(&self, to: &str, more: &[&str]) -> Result<Ended> {
        let (file, state_dir) = (self.file("new"), self.state_dir());
        let mut arguments = vec!["reset", text(&file)?, "--to", to];
        if !more.contains(&"--state-dir") {
            arguments.extend(["--state-dir", text(&state_dir)?]);
        }
        if let Some(bootstrap) = &self.bootstrap {
            arguments.extend(["--bootstrap", bootstrap]);
        }
        arguments.extend(more);
        weir(&arguments)
    }

    /// Compares the outputs: through a host, or straight where it is stopped.
    fn diff(&self, host: Option<&WeirHost>, more: &[&str]) -> Result<Ended> {
        let (old, new, state_dir) = (self.topic("old"), self.topic("new"), self.state_dir());
        let mut arguments = vec!["diff", &old, &new];
        match (host, &self.bootstrap) {
            (Some(host), _) => arguments.extend(["--host", host.address()]),
            (None, Some(bootstrap)) => arguments.extend(["--bootstrap", bootstrap]),
            (None, None) => arguments.extend(["--state-dir", text(&state_dir)?]),
        }
        arguments.extend(more);
        weir(&arguments)
    }

    fn post(&self, host: &WeirHost, words: impl Iterator<Item = u64>) -> Result<()> {
        let lines: String = words
            .enumerate()
            .map(|(at, word)| format!("{{\"key\":\"{at}\",\"value\":{{\"word\":\"w{word}\"}}}}\n"))
            .collect();
        let path = format!("/api/v1/topics/{}/records", self.topic("lines"));
        let (status, answer) = host.post(&path, "application/jsonl", lines.as_bytes())?;
        ensure!(status == 200, "{answer}");
        Ok(())
    }

    /// Waits until the output has told these counts last.
    fn wait_counts(&self, host: &WeirHost, output: &str, counts: &BTreeMap<String, u64>) -> Result<()> {
        let topic = self.topic(output);
        wait::until("all words are counted", COUNTS_WAIT, || {
            let tail = weir(&["tail", &topic, "--from", "beginning", "--until-end", "--host", host.address()])?;
            let mut told = BTreeMap::new();
            for line in tail.data.lines() {
                let line: Value = serde_json::from_str(line)?;
                let count = line["value"].as_u64().with_context(|| format!("no count: {line}"))?;
                told.insert(line["key"].as_str().unwrap_or_default().to_owned(), count);
            }
            Ok((told == *counts).then_some(()))
        })
    }
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    exit: i32,
    data: String,
    words: String,
}

impl Ended {
    fn expect(self, exit: i32) -> Result<Self> {
        ensure!(self.exit == exit, "it ended with {} and not {exit}: {} {}", self.exit, self.data, self.words);
        Ok(self)
    }

    fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.data)?)
    }
}

fn weir(arguments: &[&str]) -> Result<Ended> {
    let output = Command::new(weir_binary()?).args(arguments).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended { exit: output.status.code().unwrap_or(-1), data: text(&output.stdout), words: text(&output.stderr) })
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path is text")
}

fn counts(words: impl Iterator<Item = u64>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    words.for_each(|word| *counts.entry(format!("w{word}")).or_default() += 1);
    counts
}

fn words() -> impl Iterator<Item = u64> {
    (0..LINES).map(|line| line * 7919 % WORDS)
}

fn reprocesses_everything_and_nothing_else(story: &Story) -> Result<()> {
    let expected = counts(words());
    let host = story.host("old")?;
    story.post(&host, words())?;
    story.wait_counts(&host, "old", &expected)?;
    let refused = story.reset("earliest", &[])?.expect(4)?;
    ensure!(refused.words.contains(&format!("process {}", host.pid())), "{}", refused.words);
    if story.bootstrap.is_some() {
        // From another machine only the group tells.
        let elsewhere = story.folder.path().join("elsewhere");
        let elsewhere = ["--state-dir", text(&elsewhere)?];
        let refused = story.reset("earliest", &elsewhere)?.expect(4)?;
        ensure!(refused.words.contains("runs: ") && refused.words.contains("--leave"), "{}", refused.words);
        let planned = story.reset("earliest", &[elsewhere[0], elsewhere[1], "--dry-run"])?.expect(0)?;
        ensure!(planned.words.contains("it would be refused now"), "{}", planned.words);
    }
    ensure!(host.terminate()?.success(), "the host did not end well");

    let planned = story.reset("earliest", &["--dry-run", "-o", "json"])?.expect(0)?;
    let plan = planned.json()?;
    let positions = plan["positions"].as_array().context("a plan has positions")?;
    let taken: i64 = positions.iter().filter_map(|position| position["from"].as_i64()).sum();
    ensure!(positions.len() == 2 && positions.iter().all(|position| position["to"] == 0), "{plan}");
    // On Kafka the markers of transactions have offsets too, but only in topics that are written in transactions.
    ensure!(taken == LINES as i64, "{plan}");
    let topics: Vec<&str> =
        plan["topics"].as_array().into_iter().flatten().filter_map(|topic| topic["topic"].as_str()).collect();
    ensure!(topics == [story.topic("by-word-repartition"), story.topic("counts-changelog")], "{plan}");
    ensure!(plan["stores"].as_str().is_some_and(|stores| Path::new(stores).is_dir()), "{plan}");
    let again = story.reset("earliest", &["--dry-run", "-o", "json"])?.expect(0)?;
    ensure!(again.data == planned.data, "a dry run changes nothing: {}", again.data);

    let done = story.reset("earliest", &[])?.expect(0)?;
    ensure!(done.data.contains("-> 0\n") && done.data.ends_with("done\n"), "{}", done.data);
    ensure!(!Path::new(plan["stores"].as_str().unwrap_or_default()).exists(), "the stores are still there");
    let host = story.host("new")?;
    story.wait_counts(&host, "new", &expected)?;
    ensure!(!host.log().contains(" WARN "), "what was dropped on purpose is not missed: {}", host.log());
    for by in ["key", "sequence"] {
        let equal = story.diff(Some(&host), &["--by", by])?.expect(0)?;
        ensure!(equal.data.starts_with(&format!("equal: {WORDS} keys")), "{}", equal.data);
    }

    story.post(&host, [7, 7].into_iter())?;
    story.wait_counts(&host, "new", &counts(words().chain([7, 7])))?;
    let differ = story.diff(Some(&host), &["-o", "json"])?.expect(1)?;
    let found = differ.json()?;
    let first = &found["differences"][0];
    ensure!(found["differing"] == 1 && first["key"] == "w7", "{found}");
    ensure!(first["right"]["value"].as_u64() == Some(expected["w7"] + 2), "{found}");
    ensure!(first["left"]["value"].as_u64() == Some(expected["w7"]), "{found}");
    ensure!(host.terminate()?.success(), "the host did not end well");
    let straight = story.diff(None, &["-o", "json"])?.expect(1)?;
    ensure!(straight.json()? == found, "{}", straight.data);
    let sequence = story.diff(None, &["--by", "sequence", "-o", "json"])?.expect(1)?.json()?;
    let number = sequence["differences"][0]["number"].as_u64();
    ensure!(number == Some(expected["w7"] + 1) && sequence["differences"][0]["left"].is_null(), "{sequence}");
    ensure!(story.diff(None, &["--keys-max", "5"])?.expect(1)?.words.contains("--keys-max"), "they are too many");
    Ok(())
}

#[test]
fn on_the_embedded_log_a_reset_application_reads_all_of_its_input_again() -> Result<()> {
    reprocesses_everything_and_nothing_else(&Story::new("reset".to_owned(), None)?)
}

#[test]
fn on_kafka_a_reset_application_reads_all_of_its_input_again() -> Result<()> {
    let kafka = Kafka::from_env()?;
    reprocesses_everything_and_nothing_else(&Story::new(kafka.unique("reset"), Some(kafka.address()))?)
}

/// A killed host leaves a transaction open, and is a member until its session is over: then its transaction is ended, and its
/// positions can neither be waited for nor come after the reset.
#[test]
fn on_kafka_a_host_that_was_killed_is_waited_for_and_then_reset() -> Result<()> {
    const SESSION_WAIT: Duration = Duration::from_secs(40);
    let kafka = Kafka::from_env()?;
    let story = Story::new(kafka.unique("reset-killed"), Some(kafka.address()))?;
    let host = story.host("old")?;
    story.post(&host, words())?;
    host.kill()?;
    wait::until("the host counts as stopped", SESSION_WAIT, || {
        let reset = story.reset("earliest", &[])?;
        ensure!([0, 4].contains(&reset.exit), "{reset:?}");
        Ok((reset.exit == 0).then_some(()))
    })?;
    let host = story.host("new")?;
    story.wait_counts(&host, "new", &counts(words()))?;
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn a_reset_goes_to_an_offset_a_time_or_the_end_and_where_there_is_no_log_it_says_so() -> Result<()> {
    let story = Story::new("reset-to".to_owned(), None)?;
    ensure!(story.reset("earliest", &[])?.expect(3)?.words.contains("no embedded log"), "there is none yet");
    let host = story.host("new")?;
    story.post(&host, words())?;
    story.wait_counts(&host, "new", &counts(words()))?;
    ensure!(host.terminate()?.success(), "the host did not end well");
    let to = |to: &str| -> Result<Vec<i64>> {
        let plan = story.reset(to, &["--dry-run", "-o", "json"])?.expect(0)?.json()?;
        Ok(plan["positions"].as_array().into_iter().flatten().filter_map(|at| at["to"].as_i64()).collect())
    };
    ensure!(to("offset:3")? == [3, 3], "{:?}", to("offset:3"));
    ensure!(to("time:0")? == [0, 0], "{:?}", to("time:0"));
    ensure!(to("latest")?.iter().sum::<i64>() == LINES as i64, "{:?}", to("latest"));
    ensure!(to("time:2200-01-01T00:00:00Z")? == to("latest")?, "nothing is that late");
    ensure!(story.reset("noon", &[])?.exit == 2, "it is no place");
    story.reset("latest", &[])?.expect(0)?;
    let host = story.host("new")?;
    story.post(&host, [5].into_iter())?;
    let mut expected = counts(words());
    expected.insert("w5".to_owned(), 1);
    story.wait_counts(&host, "new", &expected)
}
