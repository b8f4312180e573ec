//! What the rows of tables and joins have in common: few keys, few milliseconds, much that is late, equal or nothing.

use std::collections::HashSet;

use weir_testing::{PerMille, Random};

use crate::oracle::case::{Input, Side};

const ROWS_MAX: usize = 40;
/// One begins as another does, as keys in the order of their bytes may.
const KEYS: &[&str] = &["a", "b", "ab"];
const NULL_KEY: PerMille = PerMille(50);
const NULL_VALUE: PerMille = PerMille(150);
/// Not a number of its own: nothing at all, and texts that come again.
const COMMON_VALUE: PerMille = PerMille(400);
const COMMON_VALUES: &[&str] = &["", "1", "22"];
/// Where stream time begins, in milliseconds.
const STARTS_MS: &[i64] = &[0, 0, 5, 50];
const STEPS_MS: &[i64] = &[1, 1, 2, 3, 5];
/// Past the end of what reaches so far, or beside it.
const BEYOND_MS: &[i64] = &[-1, 0, 1, 10, 30];
/// Past a segment of a store, which holds at least a minute.
const JUMPS_MS: &[i64] = &[60_000, 130_000];
/// Rows of which one may take its time.
const RECENT: usize = 6;

/// How the rows of a case are made. What is false is not made.
pub(super) struct Rules {
    /// After so many milliseconds things close or expire.
    pub(super) reach_ms: i64,
    /// Rows of `right` as well.
    pub(super) both_sides: bool,
    /// The keys of `right`.
    pub(super) right_keys: &'static [&'static str],
    /// Rows of `left` without a key.
    pub(super) null_keys: bool,
    /// Empty values of `right`.
    pub(super) right_empty: bool,
    /// Tombstones at the very time of a value of their key.
    pub(super) tombstones_on_values: bool,
    /// What stands before a value of `left`.
    pub(super) parts: &'static [&'static str],
    /// Rows of `left` that are several changes.
    pub(super) split: bool,
}

impl Rules {
    /// All that there is, of `left` alone.
    pub(super) fn left(reach_ms: i64) -> Self {
        Self {
            reach_ms,
            both_sides: false,
            right_keys: KEYS,
            null_keys: true,
            right_empty: true,
            tombstones_on_values: true,
            parts: &[""],
            split: false,
        }
    }

    /// All that there is, of both.
    pub(super) fn both(reach_ms: i64) -> Self {
        Self { both_sides: true, ..Self::left(reach_ms) }
    }
}

/// The rows of a case.
pub(super) fn rows(random: &mut Random, rules: &Rules) -> Vec<Input> {
    let mut times = Times { newest: *random.choose(STARTS_MS), past: Vec::new() };
    let mut values = HashSet::new();
    let count = random.within(1, ROWS_MAX);
    let row = |number| {
        let mut at = times.next(random, rules.reach_ms);
        let side = if rules.both_sides && random.chance(PerMille(500)) { Side::Right } else { Side::Left };
        let key = key(random, rules, side);
        let value = value(random, rules, side, number);
        if !rules.tombstones_on_values {
            while value.is_none() && values.contains(&(side, key.clone(), at)) {
                at += 1;
            }
            if value.is_some() {
                values.insert((side, key.clone(), at));
            }
        }
        Input::Row { side, key, value, at }
    };
    (0..count).map(row).collect()
}

fn key(random: &mut Random, rules: &Rules, side: Side) -> Option<String> {
    let keys = if side == Side::Right { rules.right_keys } else { KEYS };
    let is_null = random.chance(NULL_KEY) && (rules.null_keys || side == Side::Right);
    (!is_null).then(|| (*random.choose(keys)).to_owned())
}

fn value(random: &mut Random, rules: &Rules, side: Side, number: usize) -> Option<String> {
    if random.chance(NULL_VALUE) {
        return None;
    }
    if side == Side::Right {
        let value = text(random, number);
        return Some(if value.is_empty() && !rules.right_empty { number.to_string() } else { value });
    }
    let first = part(random, rules, number);
    let second = if rules.split && random.chance(PerMille(500)) { part(random, rules, number) } else { String::new() };
    // Java drops empty parts at the end, which is no matter here.
    Some(if first.is_empty() || second.is_empty() { first } else { format!("{first},{second}") })
}

fn part(random: &mut Random, rules: &Rules, number: usize) -> String {
    format!("{}{}", random.choose(rules.parts), text(random, number))
}

fn text(random: &mut Random, number: usize) -> String {
    if random.chance(COMMON_VALUE) { (*random.choose(COMMON_VALUES)).to_owned() } else { number.to_string() }
}

struct Times {
    newest: i64,
    past: Vec<i64>,
}

impl Times {
    fn next(&mut self, random: &mut Random, reach_ms: i64) -> i64 {
        self.newest += match random.below(100) {
            0..35 => *random.choose(STEPS_MS),
            35..40 => reach_ms + random.choose(BEYOND_MS),
            40 => *random.choose(JUMPS_MS),
            _ => 0,
        };
        self.newest = self.newest.max(0);
        let recent = &self.past[self.past.len().saturating_sub(RECENT)..];
        let at = match random.below(100) {
            0..25 => self.newest - random.below(reach_ms as usize + 4) as i64,
            25..35 if !recent.is_empty() => *random.choose(recent),
            35..40 => self.newest - reach_ms + random.below(3) as i64,
            _ => self.newest,
        };
        let at = at.max(0);
        self.past.push(at);
        at
    }
}
