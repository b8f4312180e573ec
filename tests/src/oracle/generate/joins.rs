//! Joins of every kind.
//!
//! What Kafka Streams does by a defect is left out where rows can avoid it, so that Weir may do better; each has a test
//! in `tests/tests/oracle_defects.rs`. Not left out, as they are in most cases: when exactly the unjoined rows of a
//! stream-stream join leave (later than they could, or at once if late), and that a change of the right table gives a
//! foreign-key result its own time, however early.

use weir_testing::{PerMille, Random};

use crate::oracle::case::{Case, Operation};
use crate::oracle::join::{How, Join};
use crate::oracle::table::Kept;

use super::rows::{Rules, rows};
use super::tables::{NO_REACH_MS, history, kept_rules};

const BEFORE_MS: &[i64] = &[0, 0, 1, 3, 5, 9];
const AFTER_MS: &[i64] = BEFORE_MS;
const GRACES_MS: &[i64] = &[0, 0, 1, 2, 7];
const TABLE_GRACES_MS: &[i64] = &[0, 1, 3, 5, 10];
/// `left` gets other keys, and goes through a topic.
const REKEYED: PerMille = PerMille(200);
const INNER_OR_LEFT: &[How] = &[How::Inner, How::Left];
const ANY: &[How] = &[How::Inner, How::Left, How::Outer];
/// Before values of `left`: whom they refer to, by the empty key too; a value of its own is a key that nobody has.
const REFERENCES: &[&str] = &["a:", "b:", "ab:", ""];
/// The same with those that refer to nobody.
const REFERENCES_OR_NOT: &[&str] = &["a:", "b:", "ab:", "a:", "b:", "", "-"];
const REFERRED: &[&str] = &["a", "b", "ab", ""];

/// The case of a seed.
#[must_use]
pub fn joins(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let (join, rules) = match random.below(14) {
        0..4 => stream_stream(&mut random),
        4..7 => stream_table(&mut random),
        7 | 8 => stream_global(&mut random),
        9 | 10 => table_table(&mut random),
        _ => foreign_key(&mut random),
    };
    let inputs = rows(&mut random, &rules);
    Case { operation: Operation::Join(join), inputs }
}

/// Left out: no grace where one side of the window is nothing. Kafka Streams then loses matches on its border, though both
/// rows are in time: it hides a row one millisecond too early. What it hides of late rows is not left out.
fn stream_stream(random: &mut Random) -> (Join, Rules) {
    let (before_ms, after_ms) = (*random.choose(BEFORE_MS), *random.choose(AFTER_MS));
    let least = i64::from(before_ms == 0 || after_ms == 0);
    let grace_ms = least.max(*random.choose(GRACES_MS));
    let rekeyed = random.chance(REKEYED);
    let join = Join::StreamStream { how: *random.choose(ANY), before_ms, after_ms, grace_ms, rekeyed };
    let parts = if rekeyed { REFERENCES_OR_NOT } else { &[""] };
    (join, Rules { parts, ..Rules::both(before_ms + after_ms + grace_ms + 1) })
}

/// Left out: null keys in a left join with grace, on which Kafka Streams fails.
fn stream_table(random: &mut Random) -> (Join, Rules) {
    let how = *random.choose(INNER_OR_LEFT);
    let kept = if random.chance(PerMille(300)) { Kept::Latest } else { history(random) };
    let grace_ms = match kept {
        // A longer one than the history is refused.
        Kept::History { history_ms } if random.chance(PerMille(600)) => {
            Some((*random.choose(TABLE_GRACES_MS)).min(history_ms))
        }
        _ => None,
    };
    let null_keys = how == How::Inner || grace_ms.is_none();
    let rekeyed = random.chance(REKEYED);
    let parts = match rekeyed {
        true if null_keys => REFERENCES_OR_NOT,
        true => REFERENCES,
        false => &[""],
    };
    let rules = Rules { null_keys, parts, ..kept_rules(Rules::both(NO_REACH_MS), kept) };
    (Join::StreamTable { how, kept, grace_ms, rekeyed }, rules)
}

fn stream_global(random: &mut Random) -> (Join, Rules) {
    let rules = Rules { parts: REFERENCES, right_keys: REFERRED, ..Rules::both(NO_REACH_MS) };
    (Join::StreamGlobal { how: *random.choose(INNER_OR_LEFT) }, rules)
}

fn table_table(random: &mut Random) -> (Join, Rules) {
    let kept = if random.chance(PerMille(600)) { Kept::Latest } else { history(random) };
    (Join::TableTable { how: *random.choose(ANY), kept }, kept_rules(Rules::both(NO_REACH_MS), kept))
}

/// Left out: empty values of the right table, which Kafka Streams takes for none.
fn foreign_key(random: &mut Random) -> (Join, Rules) {
    let how = *random.choose(INNER_OR_LEFT);
    let kept = if random.chance(PerMille(700)) { Kept::Latest } else { history(random) };
    let split = random.chance(PerMille(200));
    let rules = Rules {
        parts: REFERENCES_OR_NOT,
        right_keys: REFERRED,
        right_empty: false,
        split,
        ..kept_rules(Rules::both(NO_REACH_MS), kept)
    };
    (Join::ForeignKey { how, kept, split }, rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::case::{Input, Side};

    fn cases() -> Vec<(Case, Join)> {
        let cases = (0..1_000).map(joins);
        let with_join = |case: Case| match case.operation {
            Operation::Join(join) => (case, join),
            _ => panic!("no join: {case}"),
        };
        cases.map(with_join).collect()
    }

    #[test]
    fn a_seed_reproduces_its_case_and_another_seed_does_not() {
        assert_eq!(joins(7), joins(7));
        assert_ne!(joins(7), joins(8));
    }

    #[test]
    fn a_thousand_cases_have_every_join_in_every_way() {
        let found = cases();
        let any = |holds: &dyn Fn(Join) -> bool, what: &str| assert!(found.iter().any(|it| holds(it.1)), "{what}");
        for how in [How::Inner, How::Left] {
            for name in ["stream-stream", "stream-table", "stream-global", "table-table", "foreign-key"] {
                any(&|join| join.name() == name && join.how() == how, &format!("{name}, {how:?}"));
            }
            any(&|join| matches!(join, Join::StreamTable { grace_ms: Some(1..), how: it, .. } if it == how), "grace");
            any(&|join| matches!(join, Join::StreamTable { grace_ms: Some(0), how: it, .. } if it == how), "no grace");
            any(&|join| matches!(join, Join::StreamStream { rekeyed: true, how: it, .. } if it == how), "rekeyed");
            any(&|join| matches!(join, Join::StreamTable { rekeyed: true, how: it, .. } if it == how), "rekeyed");
            any(&|join| matches!(join, Join::ForeignKey { split: true, how: it, .. } if it == how), "split");
        }
        any(&|join| join.name() == "stream-stream" && join.how() == How::Outer, "outer");
        any(&|join| join.name() == "table-table" && join.how() == How::Outer, "outer");
        let is_lopsided = |join| matches!(join, Join::StreamStream { before_ms: 0, after_ms: 1.., .. });
        any(&is_lopsided, "nothing before");
        any(&|join| matches!(join, Join::StreamStream { before_ms: 1.., after_ms: 0, .. }), "nothing after");
        any(&|join| matches!(join, Join::StreamStream { before_ms: 1.., after_ms: 1.., grace_ms: 0, .. }), "no grace");
        for name in ["stream-table", "table-table", "foreign-key"] {
            let is_versioned = |case: &Case| case.question().contains("\"history\"");
            assert!(found.iter().any(|(case, join)| join.name() == name && is_versioned(case)), "{name}");
        }
    }

    fn any_row(case: &Case, holds: impl Fn(Side, Option<&str>, Option<&str>) -> bool) -> bool {
        case.inputs.iter().any(|input| match input {
            Input::Row { side, key, value, .. } => holds(*side, key.as_deref(), value.as_deref()),
            Input::Advance(_) => false,
        })
    }

    #[test]
    fn what_kafka_streams_does_by_a_defect_is_left_out() {
        for (case, join) in cases() {
            match join {
                Join::StreamStream { before_ms, after_ms, grace_ms, .. } => {
                    assert!(grace_ms > 0 || (before_ms > 0 && after_ms > 0), "{case}");
                }
                Join::StreamTable { how: How::Left, grace_ms: Some(_), .. } => {
                    let no_key = |value: Option<&str>| value.is_some_and(|value| value.starts_with('-'));
                    assert!(!any_row(&case, |side, key, _| side == Side::Left && key.is_none()), "{case}");
                    assert!(!any_row(&case, |side, _, value| side == Side::Left && no_key(value)), "{case}");
                }
                Join::ForeignKey { .. } => {
                    assert!(!any_row(&case, |side, _, value| side == Side::Right && value == Some("")), "{case}");
                }
                _ => {}
            }
        }
    }
}
