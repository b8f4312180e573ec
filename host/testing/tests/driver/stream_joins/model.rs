//! Kafka Streams' join of two streams, written down anew: one row at a time, all of it in memory, nothing for speed.

use std::collections::BTreeMap;

use super::{Operation, Row};

/// `RocksDBWindowStore` that keeps duplicates.
#[derive(Default)]
struct Kept {
    time: i64,
    rows: Vec<(String, i64, String)>,
}

/// The state of both sides: 0 is the left one.
pub(crate) struct Model {
    operation: Operation,
    kept: [Kept; 2],
    /// By time, 1 for the left side and 0 for the right one, and key.
    waiting: BTreeMap<(i64, u8, String), Vec<String>>,
    time: i64,
    min_time: i64,
    pub(crate) out: Vec<Row>,
}

impl Model {
    pub(crate) fn new(operation: Operation) -> Self {
        let kept = [0, 1].map(|_| Kept { time: -1, rows: Vec::new() });
        Self { operation, kept, waiting: BTreeMap::new(), time: -1, min_time: i64::MAX, out: Vec::new() }
    }

    pub(crate) fn process(&mut self, side: usize, key: Option<&str>, value: Option<&str>, at: i64) {
        let Operation { how, before, after, .. } = self.operation;
        let (before, after) = if side == 0 { (before, after) } else { (after, before) };
        let is_outer = how == "outer" || (how == "left" && side == 0);
        self.time = self.time.max(at);
        let Some(value) = value else { return };
        let Some(key) = key else {
            if is_outer {
                self.emit(side, None, value, None, at);
            }
            return;
        };
        if how != "inner" && at == self.time {
            self.close(after);
        }
        let (from, until) = ((at - before).max(0), (at + after).max(0));
        let found = self.fetch(1 - side, key, from, until);
        for (other_at, other) in &found {
            self.waiting.remove(&(*other_at, side as u8, key.to_owned()));
            self.emit(side, Some(key), value, Some(other), at.max(*other_at));
        }
        if is_outer && found.is_empty() {
            if until < self.time {
                self.emit(side, Some(key), value, None, at);
            } else {
                self.min_time = self.min_time.min(at);
                self.waiting.entry((at, 1 - side as u8, key.to_owned())).or_default().push(value.to_owned());
            }
        }
        let kept = &mut self.kept[side];
        kept.time = kept.time.max(at);
        kept.rows.push((key.to_owned(), at, value.to_owned()));
    }

    fn fetch(&self, side: usize, key: &str, from: i64, until: i64) -> Vec<(i64, String)> {
        let Operation { before, after, grace, .. } = self.operation;
        let kept = &self.kept[side];
        let from = from.max(kept.time - (before + after + grace) + 1);
        let shown = kept.rows.iter().filter(|(of, at, _)| of == key && (from..=until).contains(at));
        let mut found: Vec<(i64, String)> = shown.map(|(_, at, value)| (*at, value.clone())).collect();
        found.sort_by_key(|(at, _)| *at); // stable: of one time as they came
        found
    }

    fn close(&mut self, after_of_side: i64) {
        let Operation { before, after, grace, .. } = self.operation;
        if self.min_time.wrapping_add(after_of_side).wrapping_add(grace) >= self.time {
            return;
        }
        self.min_time = i64::MAX;
        let (mut is_open, mut done) = ([false; 2], Vec::new());
        'rows: for (row, values) in self.waiting.clone() {
            let (at, side) = (row.0, 1 - usize::from(row.1));
            for value in values {
                self.min_time = at;
                if is_open == [true; 2] {
                    break 'rows;
                }
                if at + [after, before][side] + grace >= self.time {
                    is_open[side] = true;
                    continue;
                }
                self.emit(side, Some(&row.2), &value, None, at);
                done.push(row.clone());
            }
        }
        done.iter().for_each(|row| drop(self.waiting.remove(row)));
    }

    /// `value` is that of `side`.
    fn emit(&mut self, side: usize, key: Option<&str>, value: &str, other: Option<&str>, at: i64) {
        let other = other.unwrap_or("null");
        let joined = if side == 0 { format!("{value}|{other}") } else { format!("{other}|{value}") };
        self.out.push((key.map(str::to_owned), joined, at));
    }
}
