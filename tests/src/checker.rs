//! Tells whether every input was answered exactly once, in order per key. It is shown the outputs, a partition's in
//! offset order, and compares them with what was put in; it knows nothing of how they came about.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// More violations than this are counted, and not kept: the first ones tell the story.
const VIOLATIONS_KEPT_MAX: usize = 20;

/// Where an output lies in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} offset {}", self.partition, self.offset)
    }
}

/// An input that must be answered. Inputs of one key have rising numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which input.
    pub number: u64,
    /// Its key, which the answer keeps.
    pub key: String,
    /// The answer.
    pub verdict: String,
}

/// An answer that a read-committed reader saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it lies.
    pub at: Coordinates,
    /// Its key.
    pub key: String,
    /// The input that it answers; `None`: it does not say.
    pub number: Option<u64>,
    /// The answer.
    pub verdict: String,
}

/// A law that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's fields are spelt out by its message")]
pub enum Violation {
    /// Two committed answers to one input.
    AnsweredTwice { number: u64, first: Coordinates, again: Coordinates },
    /// No committed answer to an input.
    NeverAnswered { number: u64, key: String },
    /// The answer to an earlier input of the same key came later.
    OutOfOrder { key: String, number: u64, at: Coordinates, after: u64, after_at: Coordinates },
    /// Answers of one key in two partitions have no order at all.
    KeyMoved { key: String, at: Coordinates, before: Coordinates },
    /// The right input, the wrong answer.
    WrongVerdict { number: u64, at: Coordinates, wanted: String, got: String },
    /// An answer under another key than its input's.
    WrongKey { number: u64, at: Coordinates, wanted: String, got: String },
    /// An answer that nobody asked for.
    Unasked { at: Coordinates, number: Option<u64>, verdict: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnsweredTwice { number, first, again } => {
                write!(f, "input {number} was answered twice: at {first} and at {again}")
            }
            Self::NeverAnswered { number, key } => write!(f, "input {number} (key {key}) was never answered"),
            Self::OutOfOrder { key, number, at, after, after_at } => write!(
                f,
                "key {key} is out of order: the answer to input {number} at {at} comes after that to {after} at {after_at}"
            ),
            Self::KeyMoved { key, at, before } => write!(f, "key {key} is answered at {at} and before at {before}"),
            Self::WrongVerdict { number, at, wanted, got } => {
                write!(f, "input {number} was answered {got} at {at}, not {wanted}")
            }
            Self::WrongKey { number, at, wanted, got } => {
                write!(f, "the answer to input {number} at {at} has the key {got}, not {wanted}")
            }
            Self::Unasked { at, number, verdict } => write!(f, "nobody asked for {verdict:?} ({number:?}) at {at}"),
        }
    }
}

/// How many answers were as they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Inputs answered exactly once.
    pub answered: u64,
}

/// What was wrong: how much, and the first cases.
#[derive(Debug)]
pub struct Violations {
    /// All of them, kept or not.
    pub count: u64,
    /// The first.
    pub first: Vec<Violation>,
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not exactly once: {} violations", self.count)?;
        self.first.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl std::error::Error for Violations {}

/// See the module.
#[derive(Debug, Default)]
pub struct ExactlyOnceChecker {
    expected: BTreeMap<u64, Expected>,
    seen: HashMap<u64, Coordinates>,
    last_of_key: HashMap<String, (u64, Coordinates)>,
    violation_count: u64,
    violations: Vec<Violation>,
}

impl ExactlyOnceChecker {
    /// A checker that wants these answered.
    pub fn new(expected: impl IntoIterator<Item = Expected>) -> Self {
        let mut checker = Self::default();
        checker.expect(expected);
        checker
    }

    /// Wants these answered as well.
    pub fn expect(&mut self, expected: impl IntoIterator<Item = Expected>) {
        self.expected.extend(expected.into_iter().map(|it| (it.number, it)));
    }

    /// Takes the next output of its partition. Of a duplicate only that is told, not also that it is out of order.
    pub fn observe(&mut self, output: &Output) {
        let at = output.at;
        let Some(wanted) = output.number.and_then(|number| self.expected.get(&number)).cloned() else {
            return self.violated(Violation::Unasked { at, number: output.number, verdict: output.verdict.clone() });
        };
        let number = wanted.number;
        if let Some(&first) = self.seen.get(&number) {
            return self.violated(Violation::AnsweredTwice { number, first, again: at });
        }
        self.seen.insert(number, at);
        if wanted.verdict != output.verdict {
            let (wanted, got) = (wanted.verdict, output.verdict.clone());
            self.violated(Violation::WrongVerdict { number, at, wanted, got });
        }
        if wanted.key != output.key {
            let (wanted, got) = (wanted.key, output.key.clone());
            return self.violated(Violation::WrongKey { number, at, wanted, got });
        }
        if let Some((after, after_at)) = self.last_of_key.insert(output.key.clone(), (number, at)) {
            let key = output.key.clone();
            if after_at.partition != at.partition {
                self.violated(Violation::KeyMoved { key, at, before: after_at });
            } else if after > number {
                self.violated(Violation::OutOfOrder { key, number, at, after, after_at });
            }
        }
    }

    /// How many inputs have an answer so far: a test waits for this to reach [`Self::expected_count`].
    pub fn answered(&self) -> usize {
        self.seen.len()
    }

    /// How many inputs must be answered.
    pub fn expected_count(&self) -> usize {
        self.expected.len()
    }

    /// The verdict on the whole: call it when no more outputs can come.
    pub fn finish(mut self) -> Result<Summary, Violations> {
        let missing: Vec<Expected> =
            self.expected.values().filter(|it| !self.seen.contains_key(&it.number)).cloned().collect();
        for Expected { number, key, .. } in missing {
            self.violated(Violation::NeverAnswered { number, key });
        }
        match self.violation_count {
            0 => Ok(Summary { answered: self.seen.len() as u64 }),
            count => Err(Violations { count, first: self.violations }),
        }
    }

    fn violated(&mut self, violation: Violation) {
        self.violation_count += 1;
        if self.violations.len() < VIOLATIONS_KEPT_MAX {
            self.violations.push(violation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 2] = ["ada", "bob"];

    /// Inputs 0..count; even ones are Ada's, odd ones Bob's.
    fn inputs(count: u64) -> impl Iterator<Item = Expected> {
        (0..count).map(|number| Expected { number, key: KEYS[number as usize % 2].into(), verdict: "PASS".into() })
    }

    fn at(partition: i32, offset: i64) -> Coordinates {
        Coordinates { partition, offset }
    }

    /// Ada's in partition 0, Bob's in 1, at the offsets 0, 1, 2 …
    fn check(count: u64, answers: &[u64]) -> Result<Summary, Vec<Violation>> {
        let mut checker = ExactlyOnceChecker::new(inputs(count));
        for (offset, &number) in answers.iter().enumerate() {
            checker.observe(&answer(number, at(number as i32 % 2, offset as i64)));
        }
        checker.finish().map_err(|violations| violations.first)
    }

    fn answer(number: u64, at: Coordinates) -> Output {
        Output { at, key: KEYS[number as usize % 2].into(), number: Some(number), verdict: "PASS".into() }
    }

    fn check_one(output: Output) -> Violation {
        let mut checker = ExactlyOnceChecker::new(inputs(1));
        checker.observe(&output);
        checker.finish().unwrap_err().first.remove(0)
    }

    #[test]
    fn each_input_answered_once_and_in_order_is_fine() {
        assert_eq!(check(4, &[0, 1, 2, 3]), Ok(Summary { answered: 4 }));
    }

    #[test]
    fn keys_may_overtake_each_other() {
        assert_eq!(check(4, &[1, 3, 0, 2]), Ok(Summary { answered: 4 }));
    }

    #[test]
    fn a_second_answer_is_told_with_both_places() {
        let twice = Violation::AnsweredTwice { number: 0, first: at(0, 0), again: at(0, 2) };
        assert_eq!(check(2, &[0, 1, 0]), Err(vec![twice]));
    }

    #[test]
    fn a_missing_answer_is_told() {
        assert_eq!(check(2, &[0]), Err(vec![Violation::NeverAnswered { number: 1, key: "bob".into() }]));
    }

    #[test]
    fn a_later_answer_before_an_earlier_one_of_its_key_is_told() {
        let violation =
            Violation::OutOfOrder { key: "ada".into(), number: 0, at: at(0, 2), after: 2, after_at: at(0, 0) };
        assert_eq!(check(3, &[2, 1, 0]), Err(vec![violation]));
    }

    #[test]
    fn a_key_in_two_partitions_is_told() {
        let mut checker = ExactlyOnceChecker::new(inputs(3));
        checker.observe(&answer(0, at(0, 0)));
        checker.observe(&answer(1, at(1, 0)));
        checker.observe(&answer(2, at(1, 1)));
        let moved = Violation::KeyMoved { key: "ada".into(), at: at(1, 1), before: at(0, 0) };
        assert_eq!(checker.finish().unwrap_err().first, [moved]);
    }

    #[test]
    fn a_wrong_verdict_is_told() {
        let violation = check_one(Output { verdict: "FAIL".into(), ..answer(0, at(0, 0)) });
        assert_eq!(violation.to_string(), "input 0 was answered FAIL at partition 0 offset 0, not PASS");
    }

    #[test]
    fn a_wrong_key_is_told() {
        let violation = check_one(Output { key: "eve".into(), ..answer(0, at(0, 0)) });
        assert!(matches!(violation, Violation::WrongKey { number: 0, .. }), "{violation}");
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_told() {
        for number in [Some(77), None] {
            let violation = check_one(Output { number, ..answer(0, at(3, 9)) });
            assert!(matches!(violation, Violation::Unasked { at: Coordinates { partition: 3, offset: 9 }, .. }));
        }
    }

    #[test]
    fn many_violations_are_counted_and_the_first_are_kept() {
        let violations = ExactlyOnceChecker::new(inputs(1000)).finish().unwrap_err();
        assert_eq!((violations.count, violations.first.len()), (1000, VIOLATIONS_KEPT_MAX));
    }
}
