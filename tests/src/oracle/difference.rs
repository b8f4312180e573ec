//! Where two answers differ, and the least input for which they do.

use anyhow::Result;

use super::case::{Answer, Case, Record};

/// The index of the first record that is not the same; none: `weir` agrees. Where Kafka Streams failed, what it emitted
/// before is all there is to compare.
#[must_use]
pub fn first_difference(streams: &Answer, weir: &[Record]) -> Option<usize> {
    let same = streams.records.iter().zip(weir).take_while(|(one, other)| one == other).count();
    let is_all = same == streams.records.len() && (streams.fails.is_some() || same == weir.len());
    (!is_all).then_some(same)
}

/// Both answers, line by line; `!` marks what differs.
#[must_use]
pub fn side_by_side(streams: &Answer, weir: &[Record]) -> String {
    let show = |record: Option<&Record>| record.map_or_else(|| "-".to_owned(), ToString::to_string);
    let lines = streams.records.len().max(weir.len());
    let rows: Vec<(String, String)> =
        (0..lines).map(|at| (show(streams.records.get(at)), show(weir.get(at)))).collect();
    let width = rows.iter().map(|row| row.0.len()).chain([13]).max().unwrap_or_default();
    let mut text = format!("  {:width$}  Weir\n", "Kafka Streams");
    for (left, right) in rows {
        let mark = if left == right { ' ' } else { '!' };
        text.push_str(&format!("{mark} {left:width$}  {right}\n"));
    }
    if let Some(reason) = &streams.fails {
        text.push_str(&format!("  {reason}\n"));
    }
    text
}

/// Takes inputs away as long as what is left still differs, halves first. `differ` says for which cases they do.
///
/// # Errors
/// That of `differ`.
pub fn shrink(mut case: Case, mut differ: impl FnMut(&[Case]) -> Result<Vec<bool>>) -> Result<Case> {
    let mut length = case.inputs.len().div_ceil(2);
    // Every turn makes the case shorter or the length smaller.
    while length > 0 {
        let without = |from: usize| {
            let mut inputs = case.inputs.clone();
            inputs.drain(from..(from + length).min(inputs.len()));
            Case { operation: case.operation.clone(), inputs }
        };
        let shorter: Vec<Case> = (0..case.inputs.len()).step_by(length).map(without).collect();
        let differs = differ(&shorter)?;
        match shorter.into_iter().zip(differs).find(|(_, differs)| *differs) {
            Some((found, _)) => case = found,
            None => length /= 2,
        }
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::super::case::{Input, Operation};
    use super::*;

    fn record(value: &str, at: i64) -> Record {
        Record { key: Some("a".into()), value: Some(value.into()), at }
    }

    fn answer(records: Vec<Record>) -> Answer {
        Answer { records, fails: None }
    }

    #[test]
    fn a_record_that_is_missing_or_has_another_time_is_a_difference() {
        let streams = answer(vec![record("1;", 1), record("1;2;", 2)]);
        assert_eq!(first_difference(&streams, &streams.records), None);
        assert_eq!(first_difference(&streams, &streams.records[..1]), Some(1));
        assert_eq!(first_difference(&streams, &[record("1;", 2), record("1;2;", 2)]), Some(0));
        assert_eq!(first_difference(&answer(Vec::new()), &streams.records), Some(0));
    }

    #[test]
    fn after_a_failure_of_kafka_streams_nothing_is_compared() {
        let streams = Answer { records: vec![record("1;", 1)], fails: Some("overflow".into()) };
        assert_eq!(first_difference(&streams, &[record("1;", 1), record("1;2;", 2)]), None);
        assert_eq!(first_difference(&streams, &[]), Some(0));
    }

    #[test]
    fn a_difference_is_marked_beside_what_agrees() {
        let text = side_by_side(&answer(vec![record("1;", 1), record("1;2;", 2)]), &[record("1;", 1)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["  Kafka Streams  Weir", "  a = 1; @ 1     a = 1; @ 1", "! a = 1;2; @ 2   -"]);
    }

    #[test]
    fn only_the_rows_that_matter_are_left() {
        let inputs = (0..40).map(Input::Advance).collect();
        let case = Case { operation: Operation::Reduce, inputs };
        let matters = [Input::Advance(3), Input::Advance(31)];
        let shrunk = shrink(case, |cases| {
            Ok(cases.iter().map(|case| matters.iter().all(|it| case.inputs.contains(it))).collect())
        });
        assert_eq!(shrunk.unwrap().inputs, matters);
    }
}
