//! Tables filtered, mapped and joined with tables, as Kafka Streams does it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's helper fails the test")]

use crate::lines::{Line, Row, assert_batches_do_not_show, outputs};

const TOPICS: &str = "
application: tables
topics:
  left:  { key: string, value: string, partitions: 1 }
  right: { key: string, value: string, partitions: 1 }
  out:   { key: string, value: string, partitions: 1 }
nodes:
  l:      { table: left }
";

/// A null side is shown as `null`.
const JOINER: &str = "'(left == null ? \"null\" : left) + \"|\" + (right == null ? \"null\" : right)'";

fn joined(how: &str) -> String {
    format!(
        "{TOPICS}  r:      {{ table: right }}\n  joined: {{ from: l, join: r, how: {how}, value: {JOINER} }}\n  out:    {{ from: joined, sink: out }}\n"
    )
}

fn nodes(nodes: &str) -> String {
    format!("{TOPICS}{nodes}")
}

fn word(text: &str) -> Option<&str> {
    (text != "-").then_some(text)
}

/// Lines such as `left k a 10 => k a|x 10, k b 11`; `-` is null.
fn assert_example(topology: &str, example: &str) {
    let (mut lines, mut expected): (Vec<Line<'_>>, Vec<Row>) = (Vec::new(), Vec::new());
    for (input, output) in example.trim().lines().filter_map(|line| line.split_once("=>")) {
        let [topic, key, value, at] = input.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{input}") };
        lines.push((topic, word(key), word(value), at.parse().unwrap()));
        for row in output.split(',').filter(|row| !row.trim().is_empty()) {
            let [key, value, at] = row.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{row}") };
            expected.push((word(key).map(str::to_owned), word(value).map(str::to_owned), at.parse().unwrap()));
        }
    }
    for restarts in [false, true] {
        assert_eq!(outputs(topology, &lines, restarts), expected, "restarts: {restarts}\n{topology}");
    }
}

#[test]
fn an_inner_join_has_the_rows_that_both_tables_have() {
    let example = "
left  k a 10 =>
right k x 5  => k a|x 10
left  k b 3  => k b|x 5
right k - 20 => k - 20
right k - 21 => k - 21
left  k - 22 =>
right k y 1  =>
left  k - 0  => k - 1
left  - a 30 =>";
    assert_example(&joined("inner"), example);
}

#[test]
fn a_left_join_has_the_rows_of_its_left_table() {
    let example = "
left  k a 10 => k a|null 10
left  k - 11 => k - 11
left  k - 12 =>
right k x 13 =>
left  k - 9  => k - 13
left  k b 14 => k b|x 14
right k - 2  => k b|null 14
right k - 15 => k b|null 15";
    assert_example(&joined("left"), example);
}

#[test]
fn an_outer_join_has_the_rows_of_either_table() {
    let example = "
left  k a 10 => k a|null 10
right k x 5  => k a|x 10
left  k - 12 => k null|x 12
left  k - 1  => k null|x 5
right k - 13 => k - 13
right k - 14 =>";
    assert_example(&joined("outer"), example);
}

#[test]
fn a_row_that_does_not_fit_any_more_is_gone_from_a_filtered_table() {
    let filtered = nodes("  few: { from: l, filter: 'size(value) % 2 == 0' }\n  out: { from: few, sink: out }\n");
    let example = "
left k a 1   =>
left k ab 2  => k ab 2
left k abc 1 => k - 1
left k a 3   =>
left k - 4   =>
left k bb 5  => k bb 5
left k - 4   => k - 4
left - ab 6  =>";
    assert_example(&filtered, example);
}

#[test]
fn a_mapped_table_hands_on_what_is_gone() {
    let mapped = nodes("  more: { from: l, map: { value: 'value + \"!\"' } }\n  out:  { from: more, sink: out }\n");
    assert_example(&mapped, "left k a 1 => k a! 1\nleft k - 2 => k - 2\nleft k - 3 => k - 3");
}

#[test]
fn a_table_that_is_made_of_another_is_looked_up_as_it_is() {
    let chain = nodes(
        "  more:   { from: l, map: { value: 'value + \"!\"' } }
  few:    { from: more, filter: 'value != \"b!\"' }
  stream: { source: right }
  joined: { from: stream, join: few, how: left, value: 'left + \"|\" + (right == null ? \"null\" : right)' }
  out:    { from: joined, sink: out }
",
    );
    let example = "
left  k a 1 =>
right k x 2 => k x|a! 2
left  k b 3 =>
right k y 4 => k y|null 4
left  k c 5 =>
right k z 6 => k z|c! 6
left  k - 7 =>
right k z 8 => k z|null 8";
    assert_example(&chain, example);
    assert_batches_do_not_show(&chain, 60);
}

#[test]
fn a_stream_is_joined_with_what_an_aggregate_has_counted() {
    let counted = nodes(
        "  stream:  { source: right }
  counted: { from: stream, aggregate: count, emit: update }
  joined:  { from: stream, join: counted, value: 'left + \"|\" + string(right)' }
  out:     { from: joined, sink: out }
  unread:  { from: l, sink: out }
",
    );
    assert_example(&counted, "right k x 1 => k x|1 1\nright k y 2 => k y|2 2\nright l z 3 => l z|1 3");
}

#[test]
fn how_many_rows_are_taken_at_once_does_not_show_in_tables() {
    for how in ["inner", "left", "outer"] {
        assert_batches_do_not_show(&joined(how), 60);
        let itself = format!(
            "  joined: {{ from: l, join: l, how: {how}, value: {JOINER} }}\n  out: {{ from: joined, sink: out }}\n"
        );
        assert_batches_do_not_show(&nodes(&itself), 60);
        let twice = format!(
            "  few:    {{ from: l, filter: 'value != \"a\"' }}\n  joined: {{ from: few, join: l, how: {how}, value: {JOINER} }}\n  out: {{ from: joined, sink: out }}\n"
        );
        assert_batches_do_not_show(&nodes(&twice), 60);
    }
}

#[test]
fn a_table_that_is_joined_with_itself_is_seen_as_it_is_from_both_sides() {
    let itself =
        nodes(&format!("  joined: {{ from: l, join: l, value: {JOINER} }}\n  out: {{ from: joined, sink: out }}\n"));
    assert_example(&itself, "left k a 1 => k a|a 1, k a|a 1\nleft k b 2 => k b|b 2, k b|b 2\nleft k - 3 =>");
}

#[test]
fn tables_that_meet_by_a_joins_right_side_see_one_another() {
    let twice = nodes(&format!(
        "  r:      {{ table: right }}
  one:    {{ from: l, join: r, value: {JOINER} }}
  joined: {{ from: one, join: r, value: {JOINER} }}
  out:    {{ from: joined, sink: out }}
"
    ));
    let example = "
left  k a 1 =>
right k b 2 => k a|b|b 2
right k - 3 => k - 3";
    // Kafka Streams joins the change of both sides twice, and loses the row that is gone: each side finds the other gone.
    assert_example(&twice, example);
    assert_batches_do_not_show(&twice, 100);
}

#[test]
fn the_order_in_which_a_join_names_what_it_merges_does_not_show() {
    let merged = |from: &str| {
        let nodes = format!(
            "  a:      {{ source: left }}
  t:      {{ source: right }}
  kept:   {{ from: t, to-table: kept }}
  joined: {{ from: {from}, join: kept, how: left, value: {JOINER} }}
  out:    {{ from: joined, sink: out }}
"
        );
        format!("{}{nodes}", TOPICS.replace("  l:      { table: left }\n", ""))
    };
    let example = "
right k b 1 => k b|b 1
left  k a 2 => k a|b 2
right k c 3 => k c|c 3";
    for from in ["[a, t]", "[t, a]"] {
        assert_example(&merged(from), example);
        assert_batches_do_not_show(&merged(from), 60);
    }
}
