//! Aggregates, most of them windowed: few keys, and times that lie where windows begin, end and close.

use weir_testing::{PerMille, Random};

use crate::oracle::case::{Case, Emit, Function, Input, Operation, Side, WindowKind, Windowed};

const ROWS_MAX: usize = 40;
/// Small ones meet often; large ones pass over many windows and over segments of a store, which hold at least a minute.
const SIZES_MS: &[i64] = &[1, 2, 5, 10, 30, 1_000, 50_000];
/// More rows of one key than of another.
const KEYS: &[&str] = &["a", "a", "a", "b", "b", "c"];
const NULL_KEY: PerMille = PerMille(40);
const NULL_VALUE: PerMille = PerMille(50);
const ADVANCE: PerMille = PerMille(10);
/// Rows that come after later ones.
const LATE: PerMille = PerMille(400);
/// A jump past all that is open, in milliseconds.
const JUMP_MS: i64 = 200_000;
/// So long that nothing expires. Kafka Streams hides what has expired also from emit on close: with its default it loses
/// open windows whenever stream time jumps past them. Weir emits every window once.
const KEPT_MS: i64 = 1 << 40;

/// The case of a seed.
#[must_use]
pub fn generate(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let size_ms = *random.choose(SIZES_MS);
    let operation = operation(&mut random, size_ms);
    let grace_ms = match &operation {
        Operation::Windowed(windowed) => windowed.grace_ms,
        _ => 0,
    };
    let inputs = inputs(&mut random, size_ms, grace_ms, operation == Operation::RekeyCount);
    Case { operation, inputs }
}

fn operation(random: &mut Random, size_ms: i64) -> Operation {
    let window = match random.below(10) {
        0 => return random.choose(&[Operation::Aggregate, Operation::Reduce, Operation::RekeyCount]).clone(),
        1 | 2 => WindowKind::Tumbling { size_ms },
        3 | 4 => WindowKind::Hopping { size_ms, advance_ms: advance(random, size_ms) },
        5..=7 => WindowKind::Sliding { difference_ms: size_ms },
        _ => WindowKind::Session { gap_ms: size_ms },
    };
    let grace_ms = *random.choose(&[0, 0, 1, size_ms / 2, size_ms, 3 * size_ms]);
    let emit = match random.below(20) {
        0..=6 => Emit::Update,
        7..=13 => Emit::Close,
        14..=16 => Emit::SuppressUntilClose,
        _ => Emit::SuppressFor(*random.choose(&[0, size_ms, 3 * size_ms])),
    };
    let longer = Some((2 * size_ms + grace_ms) * *random.choose(&[1, 2, 10]));
    let retention_ms = if emit == Emit::Close { Some(KEPT_MS) } else { *random.choose(&[None, longer]) };
    let function =
        *random.choose(&[Function::Texts, Function::Texts, Function::Texts, Function::Reduce, Function::Count]);
    Operation::Windowed(Windowed { function, window, grace_ms, retention_ms, emit })
}

/// Divisors of the size and others; never so many windows that one row has hundreds.
fn advance(random: &mut Random, size_ms: i64) -> i64 {
    let least = if size_ms <= 30 { 1 } else { size_ms / 4 };
    (*random.choose(&[size_ms / 2, size_ms / 3, size_ms / 5, size_ms * 2 / 3, least])).max(1)
}

fn inputs(random: &mut Random, size_ms: i64, grace_ms: i64, with_parts: bool) -> Vec<Input> {
    let mut newest = match random.below(4) {
        0 | 1 => 0,
        2 => size_ms,
        _ => below(random, 5 * size_ms),
    };
    let count = random.within(1, ROWS_MAX);
    let mut inputs = Vec::with_capacity(count);
    for number in 0..count {
        if random.chance(ADVANCE) {
            inputs.push(Input::Advance(below(random, 2 * size_ms)));
        }
        newest = next_time(random, newest, size_ms, grace_ms);
        let at = if random.chance(LATE) { earlier(random, newest, size_ms, grace_ms) } else { newest };
        let key = (!random.chance(NULL_KEY)).then(|| (*random.choose(KEYS)).to_owned());
        let part = if with_parts { format!("{}:", random.choose(KEYS)) } else { String::new() };
        let value = (!random.chance(NULL_VALUE)).then(|| format!("{part}{number}"));
        inputs.push(Input::Row { side: Side::Left, key, value, at });
    }
    inputs
}

fn next_time(random: &mut Random, newest: i64, size_ms: i64, grace_ms: i64) -> i64 {
    match random.below(100) {
        0..50 => newest + below(random, size_ms + 1),
        // On a border of windows that are aligned, or beside it.
        50..65 => {
            let end = size_ms + grace_ms;
            let steps = [0, size_ms - 1, size_ms, size_ms + 1, end - 1, end, end + 1];
            (newest / size_ms * size_ms + random.choose(&steps)).max(0)
        }
        65..70 => newest + below(random, 10 * size_ms) + grace_ms,
        70..72 => newest + JUMP_MS,
        _ => newest,
    }
}

fn earlier(random: &mut Random, newest: i64, size_ms: i64, grace_ms: i64) -> i64 {
    let anywhere = below(random, 4 * size_ms + grace_ms + 1);
    let steps = [1, size_ms, grace_ms, size_ms + grace_ms, size_ms + grace_ms + 1, 2 * size_ms, anywhere];
    (newest - random.choose(&steps)).max(0)
}

fn below(random: &mut Random, end: i64) -> i64 {
    random.below(end as usize) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reproduces_its_case_and_another_seed_does_not() {
        assert_eq!(generate(7), generate(7));
        assert_ne!(generate(7), generate(8));
    }

    #[test]
    fn a_few_hundred_cases_have_every_window_and_way_to_emit() {
        let cases: Vec<Case> = (0..400).map(generate).collect();
        let any = |holds: &dyn Fn(&Windowed) -> bool| {
            cases.iter().any(|case| matches!(&case.operation, Operation::Windowed(windowed) if holds(windowed)))
        };
        for emit in [Emit::Update, Emit::Close, Emit::SuppressUntilClose, Emit::SuppressFor(0)] {
            assert!(any(&|it| it.emit == emit && matches!(it.window, WindowKind::Tumbling { .. })), "{emit:?}");
            assert!(any(&|it| it.emit == emit && matches!(it.window, WindowKind::Hopping { .. })), "{emit:?}");
            assert!(any(&|it| it.emit == emit && matches!(it.window, WindowKind::Sliding { .. })), "{emit:?}");
            assert!(any(&|it| it.emit == emit && matches!(it.window, WindowKind::Session { .. })), "{emit:?}");
        }
        for function in [Function::Texts, Function::Reduce, Function::Count] {
            assert!(any(&|it| it.function == function && it.emit == Emit::Update), "{function:?}");
        }
        for operation in [Operation::Aggregate, Operation::Reduce, Operation::RekeyCount] {
            assert!(cases.iter().any(|case| case.operation == operation), "{operation:?}");
        }
        let times = |case: &Case| -> Vec<i64> {
            let at = |input: &Input| if let Input::Row { at, .. } = input { Some(*at) } else { None };
            case.inputs.iter().filter_map(at).collect()
        };
        assert!(cases.iter().any(|case| !times(case).is_sorted()));
        assert!(cases.iter().any(|case| times(case).windows(2).any(|pair| pair[0] == pair[1])));
        assert!(cases.iter().all(|case| times(case).iter().all(|at| *at >= 0)));
    }
}
