//! A plugin in Rust that uses all that the engine lends: stores, marks, timers of both clocks.

use std::cell::RefMut;

use weir_core::ports::{
    AccessError, Aggregator, Call, CreateFault, Digest, Extracted, Extractor, Folded, Groups, Output, Processor,
    ProcessorSupplier, Reject, StateAccess, StoreHandle, Trap, TrapKind,
};
use weir_core::record::Column;
use weir_core::state::keys;
use weir_core::task::TaskId;
use weir_core::topology::NodeName;

const STORE: StoreHandle = StoreHandle(0);

/// Makes [`Ledger`]s.
pub struct Ledgers;

impl ProcessorSupplier for Ledgers {
    fn create(&mut self, _: &NodeName, _: &Digest, _: TaskId) -> Result<Box<dyn Processor>, CreateFault> {
        Ok(Box::new(Ledger { calls: 0 }))
    }

    fn create_aggregator(&mut self, _: &NodeName, _: &Digest, _: TaskId) -> Result<Box<dyn Aggregator>, CreateFault> {
        Ok(Box::new(Counter { calls: 0 }))
    }

    fn create_extractor(&mut self, _: &NodeName, _: &Digest, _: TaskId) -> Result<Box<dyn Extractor>, CreateFault> {
        Ok(Box::new(Timekeeper { calls: 0 }))
    }
}

/// Finds the time of a row beside its own, by its number. It refuses sevens, has elevens before 1970, and traps at thirteens.
struct Timekeeper {
    calls: u64,
}

impl Extractor for Timekeeper {
    fn extract(&mut self, call: &Call<'_>) -> Result<Extracted, Trap> {
        self.calls += 1;
        // No row's fault, and gone with a fresh instance.
        if self.calls.is_multiple_of(5) {
            return Err(trap("tired".to_owned(), None));
        }
        let (mut times, mut rejects) = (Vec::new(), Vec::new());
        for (row, own) in call.rows.timestamps.iter().enumerate() {
            let value = String::from_utf8_lossy(call.rows.values.get(row).unwrap_or(b"null"));
            let digits = value.split("\"n\":").nth(1).and_then(|rest| rest.split(',').next());
            let n: i64 = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
            if n == 13 {
                return Err(trap("thirteen".to_owned(), (own % 2 == 0).then_some(row as u32)));
            }
            if n == 7 {
                let (code, message) = ("clock.seven".to_owned(), "it is a seven".to_owned());
                rejects.push(Reject { row: row as u32, code, message });
            }
            times.push(if n == 11 { -1 } else { own + n });
        }
        Ok(Extracted { timestamps: Some(times), rejects })
    }
}

/// Counts rows in decimal. It refuses sevens and traps at thirteens.
struct Counter {
    calls: u64,
}

fn number(cell: Option<&[u8]>) -> u64 {
    cell.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0)
}

impl Aggregator for Counter {
    fn fold(&mut self, groups: &Groups<'_>) -> Result<Folded, Trap> {
        self.calls += 1;
        // No row's fault, and gone with a fresh instance.
        if self.calls.is_multiple_of(5) {
            return Err(trap("tired".to_owned(), None));
        }
        let mut folded = Folded::default();
        let mut row = 0;
        for group in 0..groups.row_ends.len() {
            let mut count = number(groups.accumulators.get(group));
            while row < groups.row_ends[group] {
                let value = String::from_utf8_lossy(groups.rows.values.get(row as usize).unwrap_or(b"null"));
                if value.contains("\"n\":13") {
                    return Err(trap("thirteen".to_owned(), Some(row)));
                }
                if value.contains("\"n\":7") {
                    let (code, message) = ("counter.seven".to_owned(), "it is a seven".to_owned());
                    folded.rejects.push(Reject { row, code, message });
                } else {
                    count += 1;
                }
                if groups.every_row {
                    folded.accumulators.push(Some(count.to_string().as_bytes()));
                }
                row += 1;
            }
            if !groups.every_row {
                folded.accumulators.push(Some(count.to_string().as_bytes()));
            }
        }
        Ok(folded)
    }

    fn merge(&mut self, keys: &Column, left: &Column, right: &Column) -> Result<Column, Trap> {
        let sum = |index: usize| (number(left.get(index)) + number(right.get(index))).to_string().into_bytes();
        let sums: Vec<Vec<u8>> = (0..keys.len()).map(sum).collect();
        Ok(sums.iter().map(|sum| Some(&sum[..])).collect())
    }
}

/// Numbers the rows of each key and says so; half a window later it says so again, by its timer.
struct Ledger {
    calls: u64,
}

struct Out {
    output: Output,
    keys: Column,
    values: Column,
    timestamps: Vec<i64>,
}

impl Out {
    fn push(&mut self, row: usize, key: &[u8], value: &str, at: i64) {
        self.output.rows.push(row as u32);
        self.keys.push(Some(key));
        self.values.push(Some(value.as_bytes()));
        self.timestamps.push(at);
    }

    fn finish(mut self) -> Output {
        self.output.keys = Some(self.keys);
        self.output.values = Some(self.values);
        self.output.timestamps = Some(self.timestamps);
        self.output
    }
}

fn out() -> Out {
    Out { output: Output::default(), keys: Column::default(), values: Column::default(), timestamps: Vec::new() }
}

fn trap(message: String, row: Option<u32>) -> Trap {
    Trap { kind: TrapKind::Panic, message, backtrace: String::new(), row }
}

fn count(state: &mut RefMut<'_, dyn StateAccess + 'static>, key: &[u8]) -> Result<u64, AccessError> {
    let value = state.get(STORE, &keys::key_value(key))?;
    Ok(value.and_then(|text| String::from_utf8(text).ok()?.parse().ok()).unwrap_or(0))
}

impl Processor for Ledger {
    fn process(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        self.calls += 1;
        let cell = call.state.ok_or_else(|| trap("no state".to_owned(), None))?;
        let mut state = cell.borrow_mut();
        let mut out = out();
        // Now and then it takes only a part of what it is given.
        let taken = if self.calls.is_multiple_of(3) { call.rows.len().div_ceil(2) } else { call.rows.len() };
        out.output.taken = Some(taken as u32);
        for row in 0..taken {
            let key = call.rows.keys.get(row).unwrap_or(b"none").to_vec();
            let value = String::from_utf8_lossy(call.rows.values.get(row).unwrap_or(b"null")).into_owned();
            let at = call.rows.timestamps[row];
            self.row(&mut state, &mut out, (row, &key, &value, at)).map_err(|error| trap(error.to_string(), None))?;
            if value.contains("\"n\":13") {
                return Err(trap("thirteen".to_owned(), (at % 2 == 0).then_some(row as u32)));
            }
        }
        Ok(out.finish())
    }

    fn on_timers(&mut self, call: &Call<'_>) -> Result<Output, Trap> {
        let cell = call.state.ok_or_else(|| trap("no state".to_owned(), None))?;
        let mut state = cell.borrow_mut();
        let mut out = out();
        for row in 0..call.rows.len() {
            let name = call.rows.keys.get(row).unwrap_or_default().to_vec();
            let due = call.rows.timestamps[row];
            let all = state.range(STORE, &weir_core::ports::KeyRange::prefix(&[keys::DATA]), 2, row % 2 == 1);
            let all = all.map_err(|error| trap(error.to_string(), None))?.len();
            let seen = count(&mut state, &name).map_err(|error| trap(error.to_string(), None))?;
            if seen > 3 {
                state.put(STORE, &keys::key_value(&name), None).map_err(|error| trap(error.to_string(), None))?;
            }
            out.push(row, &name, &format!("{{\"timer\":{seen},\"n\":{all}}}"), due);
        }
        Ok(out.finish())
    }
}

impl Ledger {
    fn row(
        &self,
        state: &mut RefMut<'_, dyn StateAccess + 'static>,
        out: &mut Out,
        (row, key, value, at): (usize, &[u8], &str, i64),
    ) -> Result<(), AccessError> {
        let seen = count(state, key)? + 1;
        let mark = state.mark();
        state.put(STORE, &keys::key_value(key), Some(seen.to_string().as_bytes()))?;
        match at % 5 {
            0 => state.schedule(row as u32, key, at + 15)?,
            1 => state.schedule_after(row as u32, key, 20)?,
            2 => state.cancel(key)?,
            _ => {}
        }
        if value.contains("\"n\":7") {
            state.undo(mark)?;
            let (code, message) = ("ledger.seven".to_owned(), "it is a seven".to_owned());
            out.output.rejects.push(Reject { row: row as u32, code, message });
            return Ok(());
        }
        out.push(row, key, &format!("{{\"seen\":{seen},\"n\":{}}}", at % 4), at);
        Ok(())
    }
}
