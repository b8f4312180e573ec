use super::Out;
use super::client::{Client, HostArgs};
use crate::exit::Exit;
use crate::host::status::Status as View;
use crate::problem::Problem;

/// Tasks, lag and versions of a running host.
#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    host: HostArgs,
}

impl Status {
    /// Asks the host.
    ///
    /// # Errors
    /// It does not answer.
    pub fn run(self, out: &Out) -> Result<Exit, Problem> {
        let status: View = Client::new(&self.host).get("status")?;
        out.data(&status, text)?;
        Ok(Exit::Ok)
    }
}

fn text(status: &View) -> String {
    let ready = status.reason.as_ref().map_or_else(|| "ready".to_owned(), |reason| format!("not ready: {reason}"));
    let mut text = format!("{}  host {}  {ready}\n\n", status.application, status.host);
    let mut rows = vec![["TASK", "STATE", "PARTITION", "POSITION", "LAG", "STREAM TIME"].map(str::to_owned)];
    for task in &status.tasks {
        for position in &task.positions {
            let time = task.stream_time_ms.map_or_else(|| "-".to_owned(), time);
            let lag = position.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
            let partition = format!("{}/{}", position.topic, position.partition);
            rows.push([task.task.clone(), task.state.clone(), partition, position.offset.to_string(), lag, time]);
        }
    }
    text.push_str(&table(&rows));
    text.push_str(&restoring(status));
    let mut rows = vec![
        ["NODE", "KIND", "ROWS IN", "ROWS OUT", "DROPPED RECORDS", "VERSION", "REVISION", "LONGEST PAUSE"]
            .map(str::to_owned),
    ];
    for node in &status.nodes {
        let dropped: u64 = node.dropped_records.values().sum();
        rows.push([
            node.node.clone(),
            node.kind.clone(),
            node.rows_in.to_string(),
            node.rows_out.to_string(),
            dropped.to_string(),
            node.version.as_deref().map_or("-", short).to_owned(),
            node.revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string()),
            node.longest_pause_ms.map_or_else(|| "-".to_owned(), |pause| format!("{pause:.1} ms")),
        ]);
    }
    text.push('\n');
    text.push_str(&table(&rows));
    for task in &status.tasks {
        if let Some(failure) = &task.failure {
            text.push_str(&format!("\ntask {} FAILED: {failure}\n", task.task));
        }
    }
    text
}

/// The changelogs that are being replayed; nothing where there are none.
fn restoring(status: &View) -> String {
    let mut rows = vec![["TASK", "RESTORING", "POSITION", "LEFT"].map(str::to_owned)];
    for task in &status.tasks {
        for replay in &task.restoring {
            let left = replay.end.map_or_else(|| "?".to_owned(), |end| (end - replay.next).max(0).to_string());
            let changelog = format!("{}/{}", replay.topic, replay.partition);
            rows.push([task.task.clone(), changelog, replay.next.to_string(), left]);
        }
    }
    if rows.len() == 1 { String::new() } else { format!("\n{}", table(&rows)) }
}

fn time(ms: i64) -> String {
    u64::try_from(ms).map_or_else(
        |_| ms.to_string(),
        |ms| humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms)).to_string(),
    )
}

/// A digest as people compare it.
#[must_use]
pub fn short(digest: &str) -> &str {
    digest.strip_prefix("sha256:").and_then(|hex| hex.get(..12)).unwrap_or(digest)
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
