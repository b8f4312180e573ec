//! A case of tables and joins as a topology file; none of what Weir does not have yet.

use weir_tests::oracle::{How, Join, Kept, Operation, Table, TableStep};

const TOPICS: &str = "application: agreement
topics:
  left:  { key: string, value: string, partitions: 1 }
  right: { key: string, value: string, partitions: 1 }
  out:   { key: string, value: string, partitions: 1 }
nodes:
  out:   { from: result, sink: out }
";

/// Both values as the oracle's joiner shows them.
const JOINED: &str = r#"'(left == null ? "null" : left) + "|" + (right == null ? "null" : right)'"#;

/// The file of `operation`.
pub fn file(operation: &Operation) -> Option<String> {
    let nodes = match operation {
        Operation::Table(table) => of_table(table)?,
        Operation::Join(join) => of_join(*join)?,
        _ => return None,
    };
    Some(format!("{TOPICS}{nodes}"))
}

fn of_table(table: &Table) -> Option<String> {
    let step = match table.step {
        // Without a store Kafka Streams sends a tombstone for each row that it has not: here every table that is filtered has one.
        TableStep::Filter if table.kept == Kept::Nothing => return None,
        TableStep::Source => return plain(table, "  result: { table: left }\n"),
        TableStep::ToTable => {
            return plain(table, "  source: { source: left }\n  result: { from: source, to-table: kept }\n");
        }
        TableStep::Filter => "filter: 'size(value) % 2 == 0'",
        TableStep::MapValues => r#"map: { value: 'value + "!"' }"#,
        TableStep::GroupBy(_) => return None,
    };
    plain(table, &format!("  table:  {{ table: left }}\n  result: {{ from: table, {step} }}\n"))
}

fn plain(table: &Table, nodes: &str) -> Option<String> {
    (!matches!(table.kept, Kept::History { .. })).then(|| nodes.to_owned())
}

fn of_join(join: Join) -> Option<String> {
    match join {
        Join::StreamTable { how, kept: Kept::Latest, grace_ms: None, rekeyed: false } => Some(format!(
            "  stream: {{ source: left }}
  table:  {{ table: right }}
  result: {{ from: stream, join: table, how: {}, value: {JOINED} }}
",
            name(how)
        )),
        Join::TableTable { how, kept: Kept::Latest } => Some(format!(
            "  one:    {{ table: left }}
  other:  {{ table: right }}
  result: {{ from: one, join: other, how: {}, value: {JOINED} }}
",
            name(how)
        )),
        Join::StreamStream { how, before_ms, after_ms, grace_ms, rekeyed: false } => Some(format!(
            "  one:    {{ source: left }}
  other:  {{ source: right }}
  result: {{ from: one, join: other, within: {{ before: {before_ms}ms, after: {after_ms}ms }}, grace: {grace_ms}ms, how: {}, value: {JOINED} }}
",
            name(how)
        )),
        _ => None,
    }
}

fn name(how: How) -> &'static str {
    match how {
        How::Inner => "inner",
        How::Left => "left",
        How::Outer => "outer",
    }
}
