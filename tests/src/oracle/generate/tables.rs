//! Tables, what is made of one, and cogroup.

use weir_testing::{PerMille, Random};

use crate::oracle::case::{Case, Operation};
use crate::oracle::table::{GroupFunction, Kept, Table, TableStep};

use super::rows::{Rules, rows};

/// None at all; less than a case takes; more.
const HISTORIES_MS: &[i64] = &[0, 5, 10, 20, 100];
/// How far back a row of a table without versions goes: it makes no difference to it.
pub(super) const NO_REACH_MS: i64 = 10;
/// Before values that are grouped: groups that change, the empty one, and one for each value.
const GROUPS: &[&str] = &["a:", "b:", "ab:", ""];

/// The case of a seed.
#[must_use]
pub fn tables(seed: u64) -> Case {
    let mut random = Random::new(seed);
    if random.chance(PerMille(100)) {
        let inputs = rows(&mut random, &Rules::both(NO_REACH_MS));
        return Case { operation: Operation::Cogroup, inputs };
    }
    let step = match random.below(10) {
        0 => TableStep::Source,
        1 => TableStep::ToTable,
        2 | 3 => TableStep::Filter,
        4 => TableStep::MapValues,
        _ => TableStep::GroupBy(group_function(&mut random)),
    };
    let is_grouped = matches!(step, TableStep::GroupBy(_));
    let kept = match random.below(4) {
        // A group-by must know what goes.
        0 if !is_grouped => Kept::Nothing,
        0 | 1 => Kept::Latest,
        _ => history(&mut random),
    };
    let parts = if is_grouped { GROUPS } else { &[""] };
    let inputs = rows(&mut random, &Rules { parts, ..kept_rules(Rules::left(NO_REACH_MS), kept) });
    Case { operation: Operation::Table(Table { step, kept }), inputs }
}

fn group_function(random: &mut Random) -> GroupFunction {
    let functions = [GroupFunction::Texts, GroupFunction::Reduce, GroupFunction::Count, GroupFunction::NoneLeft];
    *random.choose(&functions)
}

pub(super) fn history(random: &mut Random) -> Kept {
    Kept::History { history_ms: *random.choose(HISTORIES_MS) }
}

/// What rows do to such a table.
///
/// Left out: a tombstone at the very time of a value. Kafka Streams forgets it if that value was the only one, so that an
/// older value that comes later becomes the latest.
pub(super) fn kept_rules(rules: Rules, kept: Kept) -> Rules {
    match kept {
        Kept::History { history_ms } => Rules { reach_ms: history_ms + 1, tombstones_on_values: false, ..rules },
        Kept::Nothing | Kept::Latest => rules,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::case::Input;

    #[test]
    fn a_seed_reproduces_its_case_and_another_seed_does_not() {
        assert_eq!(tables(7), tables(7));
        assert_ne!(tables(7), tables(8));
    }

    #[test]
    fn a_few_hundred_cases_have_every_step_on_every_table_that_it_can_be_on() {
        let cases: Vec<Case> = (0..400).map(tables).collect();
        let any = |step: TableStep, holds: fn(Kept) -> bool| {
            let found = cases.iter().any(
                |case| matches!(case.operation, Operation::Table(table) if table.step == step && holds(table.kept)),
            );
            assert!(found, "{step:?}");
        };
        let functions = [GroupFunction::Texts, GroupFunction::Reduce, GroupFunction::Count, GroupFunction::NoneLeft];
        let plain = [TableStep::Source, TableStep::ToTable, TableStep::Filter, TableStep::MapValues];
        for step in plain {
            any(step, |kept| kept == Kept::Nothing);
        }
        for step in plain.into_iter().chain(functions.map(TableStep::GroupBy)) {
            any(step, |kept| kept == Kept::Latest);
            any(step, |kept| matches!(kept, Kept::History { .. }));
        }
        assert!(cases.iter().any(|case| case.operation == Operation::Cogroup));
    }

    #[test]
    fn a_versioned_table_has_no_tombstone_at_the_time_of_an_earlier_value() {
        let is_versioned =
            |case: &Case| matches!(case.operation, Operation::Table(Table { kept: Kept::History { .. }, .. }));
        for case in (0..400).map(tables).filter(is_versioned) {
            for (number, input) in case.inputs.iter().enumerate() {
                let Input::Row { key: tomb, value: None, at: then, .. } = input else { continue };
                let before = case.inputs[..number].iter();
                let on = before
                    .filter(|it| matches!(it, Input::Row { key, value: Some(_), at, .. } if key == tomb && at == then));
                assert_eq!(on.count(), 0, "{case}");
            }
        }
    }
}
