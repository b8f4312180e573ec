//! `/metrics`: what stream threads have counted, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;

use weir_core::task::NodeMetrics;
use weir_core::topology::NodeName;
use weir_wasm::MetricValue;

use super::Host;
use super::histogram::Histogram;
use super::thread::Snapshot;
use crate::deploy::fold::Fold;

/// Adds what was counted before.
pub fn add(metrics: &mut NodeMetrics, earlier: &NodeMetrics) {
    metrics.rows_in += earlier.rows_in;
    metrics.rows_out += earlier.rows_out;
    for (reason, by) in &earlier.dropped {
        *metrics.dropped.entry(reason.clone()).or_default() += by;
    }
    for (kind, by) in &earlier.traps {
        *metrics.traps.entry(kind.clone()).or_default() += by;
    }
}

/// What each node has done in all threads together.
#[must_use]
pub fn nodes(snapshots: &[Snapshot]) -> BTreeMap<NodeName, NodeMetrics> {
    let mut nodes: BTreeMap<NodeName, NodeMetrics> = BTreeMap::new();
    for (name, metrics) in snapshots.iter().flat_map(|snapshot| &snapshot.nodes) {
        add(nodes.entry(name.clone()).or_default(), metrics);
    }
    nodes
}

/// The whole page.
#[must_use]
pub fn render(host: &Host) -> String {
    let snapshots: Vec<Snapshot> = host.threads.iter().map(|thread| thread.snapshot()).collect();
    let mut page = Page::default();
    of_nodes(&mut page, &snapshots);
    of_tasks(&mut page, &snapshots);
    of_restores(&mut page, &snapshots);
    of_commits(&mut page, &snapshots);
    of_swaps(&mut page, &snapshots);
    of_plugins(&mut page, host);
    page.family(
        "weir_deployments_unread_rows",
        "gauge",
        "Rows of the deployments that this host cannot read: a newer one wrote them",
    );
    page.sample("weir_deployments_unread_rows", &[], host.deployments.with(Fold::foreign) as f64);
    if let Some(free) = host.space.free_bytes() {
        page.family(
            "weir_state_dir_free_bytes",
            "gauge",
            "Bytes that may still be written where the state directory lies",
        );
        page.sample("weir_state_dir_free_bytes", &[], free as f64);
    }
    page.family("weir_state_dir_low", "gauge", "1: little space is left there");
    page.sample("weir_state_dir_low", &[], f64::from(u8::from(host.space.is_low())));
    page.family("weir_ready", "gauge", "1: every start is over, no thread waits for the log and no task restores");
    let ready = super::status::not_ready(host).is_none();
    page.sample("weir_ready", &[], f64::from(u8::from(ready)));
    page.text
}

fn of_nodes(page: &mut Page, snapshots: &[Snapshot]) {
    let nodes = nodes(snapshots);
    page.family("weir_node_rows_in_total", "counter", "Rows that a node took in; undone and repeated ones count again");
    for (name, metrics) in &nodes {
        page.sample("weir_node_rows_in_total", &[("node", name.as_str())], metrics.rows_in as f64);
    }
    page.family("weir_node_rows_out_total", "counter", "Rows that a node gave out, over all outputs");
    for (name, metrics) in &nodes {
        page.sample("weir_node_rows_out_total", &[("node", name.as_str())], metrics.rows_out as f64);
    }
    page.family("weir_node_dropped_records_total", "counter", "Rows dropped by policy skip, by reason");
    for (name, metrics) in &nodes {
        for (reason, count) in &metrics.dropped {
            let labels = [("node", name.as_str()), ("reason", reason)];
            page.sample("weir_node_dropped_records_total", &labels, *count as f64);
        }
    }
    page.family("weir_node_traps_total", "counter", "Calls of a plugin that trapped, by kind");
    for (name, metrics) in &nodes {
        for (kind, count) in &metrics.traps {
            page.sample("weir_node_traps_total", &[("node", name.as_str()), ("kind", kind)], *count as f64);
        }
    }
}

fn of_tasks(page: &mut Page, snapshots: &[Snapshot]) {
    let tasks = || snapshots.iter().flat_map(|snapshot| &snapshot.tasks);
    page.family("weir_task_state", "gauge", "1 for the state that a task is in");
    for task in tasks() {
        page.sample("weir_task_state", &[("task", &task.task.to_string()), ("state", task.state.as_str())], 1.0);
    }
    page.family("weir_task_position", "gauge", "The next offset that a task takes");
    for task in tasks() {
        for (partition, offset) in &task.positions {
            let (id, number) = (task.task.to_string(), partition.partition.to_string());
            let labels = [("task", id.as_str()), ("topic", partition.topic.as_str()), ("partition", &number)];
            page.sample("weir_task_position", &labels, *offset as f64);
        }
    }
    page.family("weir_task_stream_time_ms", "gauge", "The highest timestamp that a task has taken in");
    for task in tasks() {
        if let Some(time) = task.stream_time_ms {
            page.sample("weir_task_stream_time_ms", &[("task", &task.task.to_string())], time as f64);
        }
    }
}

fn of_restores(page: &mut Page, snapshots: &[Snapshot]) {
    page.family(
        "weir_task_restore_left_offsets",
        "gauge",
        "Offsets of changelogs that a task has to replay before it runs",
    );
    for task in snapshots.iter().flat_map(|snapshot| &snapshot.tasks) {
        if let Some(left) = super::restores::offsets_left(task).filter(|_| !task.restoring.is_empty()) {
            page.sample("weir_task_restore_left_offsets", &[("task", &task.task.to_string())], left as f64);
        }
    }
    let sum = |of: fn(&Snapshot) -> u64| snapshots.iter().map(of).sum::<u64>() as f64;
    page.family("weir_restore_rows_total", "counter", "Rows of changelogs that were replayed");
    page.sample("weir_restore_rows_total", &[], sum(|snapshot| snapshot.replayed_rows));
    page.family("weir_restores_total", "counter", "Restores of tasks that are done");
    page.sample("weir_restores_total", &[], sum(|snapshot| snapshot.restores));
}

fn of_commits(page: &mut Page, snapshots: &[Snapshot]) {
    let mut commits = Histogram::default();
    snapshots.iter().for_each(|snapshot| commits.add(&snapshot.commits));
    page.family("weir_commit_seconds", "histogram", "How long the commits of transactions took");
    for (bound, count) in commits.buckets() {
        page.sample("weir_commit_seconds_bucket", &[("le", &bound.to_string())], count as f64);
    }
    page.sample("weir_commit_seconds_bucket", &[("le", "+Inf")], commits.count() as f64);
    page.sample("weir_commit_seconds_sum", &[], commits.sum_seconds());
    page.sample("weir_commit_seconds_count", &[], commits.count() as f64);
    let failed: u64 = snapshots.iter().map(|snapshot| snapshot.commits_failed).sum();
    page.family("weir_transactions_total", "counter", "Transactions, by outcome");
    page.sample("weir_transactions_total", &[("outcome", "committed")], commits.count() as f64);
    page.sample("weir_transactions_total", &[("outcome", "failed")], failed as f64);
    page.family("weir_thread_restarts_total", "counter", "How often stream threads began anew");
    page.sample(
        "weir_thread_restarts_total",
        &[],
        snapshots.iter().map(|snapshot| snapshot.restarts).sum::<u64>() as f64,
    );
}

fn of_swaps(page: &mut Page, snapshots: &[Snapshot]) {
    let mut swaps: BTreeMap<&NodeName, u64> = BTreeMap::new();
    let mut pauses: BTreeMap<&str, f64> = BTreeMap::new();
    for snapshot in snapshots {
        snapshot.swaps.iter().for_each(|(node, count)| *swaps.entry(node).or_default() += count);
        for (node, pause) in &snapshot.pauses {
            let longest = pauses.entry(node).or_default();
            *longest = longest.max(pause.as_secs_f64());
        }
    }
    page.family("weir_node_swaps_total", "counter", "Swaps of a node's plugin, one per task");
    for (node, count) in swaps {
        page.sample("weir_node_swaps_total", &[("node", node.as_str())], count as f64);
    }
    page.family("weir_node_swap_pause_seconds_max", "gauge", "The longest time for which a swap kept rows waiting");
    for (node, pause) in pauses {
        page.sample("weir_node_swap_pause_seconds_max", &[("node", node)], pause);
    }
}

fn of_plugins(page: &mut Page, host: &Host) {
    page.family("weir_plugin_count_total", "counter", "What plugins count");
    page.family("weir_plugin_gauge", "gauge", "What plugins set");
    page.family("weir_plugin_observed_count", "counter", "How often plugins observed a value");
    page.family("weir_plugin_observed_sum", "counter", "The values that plugins observed, all together");
    for metric in host.plugins.metrics() {
        let labels = [("node", metric.node.as_str()), ("name", metric.name.as_str())];
        match metric.value {
            MetricValue::Count(count) => page.sample("weir_plugin_count_total", &labels, count as f64),
            MetricValue::Gauge(value) => page.sample("weir_plugin_gauge", &labels, value),
            MetricValue::Summary { count, sum } => {
                page.sample("weir_plugin_observed_count", &labels, count as f64);
                page.sample("weir_plugin_observed_sum", &labels, sum);
            }
        }
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail; the same below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_a_plugin_chose_cannot_break_the_page() {
        let mut page = Page::default();
        page.sample("x", &[("a", "q\"\n\\"), ("b", "c")], 1.0);
        page.sample("y", &[], 0.25);
        assert_eq!(page.text, "x{a=\"q\\\"\\n\\\\\",b=\"c\"} 1\ny 0.25\n");
    }
}
