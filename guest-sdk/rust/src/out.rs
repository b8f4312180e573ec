use std::marker::PhantomData;
use std::rc::Rc;

use crate::abi::weir::plugin::types::Headers as HeaderColumns;
use crate::column::u32_at;
use crate::{Column, Encode, Output, Reject, Rows};

/// Where a plugin's results go. Each inherits what it does not set of the record in progress.
///
/// [`Out`] sets values, headers and ports; `Out<Records>` keys and timestamps too, which the host must then hand in.
#[derive(Debug)]
pub struct Out<M = Values> {
    pub(crate) input: Rc<Rows>,
    pub(crate) row: u32,
    ports_declared: &'static [crate::Port],
    /// Outputs that are complete; the columns may hold parts of one more, or of some that a reject takes back.
    done: usize,
    stopped: bool,
    rows: Vec<u8>,
    values: Column,
    ports: Option<Vec<u8>>,
    keys: Option<Column>,
    timestamps: Option<Vec<u8>>,
    headers: Option<HeaderColumns>,
    mode: PhantomData<M>,
}

/// An [`Out`] for values, headers and ports: keys and timestamps are the input's.
#[derive(Debug)]
pub enum Values {}

/// An [`Out`] for whole records.
#[derive(Debug)]
pub enum Records {}

/// What an [`Out`] may set.
pub trait Mode {
    /// Whether it may set keys and timestamps, and so needs those of the input for the outputs that do not.
    const RECORDS: bool;
}

impl Mode for Values {
    const RECORDS: bool = false;
}

impl Mode for Records {
    const RECORDS: bool = true;
}

impl<M: Mode> Out<M> {
    /// See [`Mode::RECORDS`].
    pub const RECORDS: bool = M::RECORDS;
}

impl<M> Out<M> {
    pub(crate) fn new(input: Rc<Rows>, ports_declared: &'static [crate::Port]) -> Self {
        let (cells, bytes) = (input.len(), input.values().map_or(0, |values| values.data.len()));
        Self {
            input,
            row: 0,
            ports_declared,
            done: 0,
            stopped: false,
            rows: Vec::with_capacity(cells * 4),
            values: Column::with_capacity(cells, bytes),
            ports: None,
            keys: None,
            timestamps: None,
            headers: None,
            mode: PhantomData,
        }
    }

    /// Emits `value` with the key, the timestamp and the headers of the record in progress.
    ///
    /// # Errors
    /// A [`Reject`] where `value` cannot be written. Returned from the plugin's function, it takes the record's outputs back.
    #[inline]
    pub fn emit(&mut self, value: impl Encode) -> Result<(), Reject> {
        self.record(value).emit()
    }

    /// Emits the record in progress as it is: what a filter does.
    ///
    /// # Errors
    /// None of its own; as [`Out::emit`], so that a function can end with either.
    pub fn forward(&mut self) -> Result<(), Reject> {
        let input = self.input.clone();
        self.emit(input.row(self.row).value())
    }

    /// Begins a record with `value`; set what it does not inherit, then [`Emit::emit`] it.
    #[inline]
    pub fn record(&mut self, value: impl Encode) -> Emit<'_, M> {
        if self.values.len() > self.done {
            self.take_back_to(self.done); // of a record that was begun and never emitted
        }
        let encoded = value.encode(&mut self.values.data);
        match &encoded {
            Ok(present) => self.values.close_cell(*present),
            Err(_) => self.take_back_to(self.done),
        }
        Emit { failed: encoded.err(), out: self, headers_begun: false }
    }

    /// Ends the call with the record in progress: the rest of the batch comes again, in a call of its own. For work that
    /// grows too long or too large for one call.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Keeps the first `outputs` outputs and nothing of any other.
    pub(crate) fn take_back_to(&mut self, outputs: usize) {
        self.done = outputs;
        self.rows.truncate(outputs * 4);
        self.values.truncate(outputs);
        if let Some(ports) = &mut self.ports {
            ports.truncate(outputs * 4);
        }
        if let Some(keys) = &mut self.keys {
            keys.truncate(outputs);
        }
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.truncate(outputs * 8);
        }
        if let Some(headers) = &mut self.headers {
            let kept = closed_headers(headers, outputs);
            headers.row_ends.truncate(outputs * 4);
            headers.names.truncate(kept);
            headers.values.truncate(kept);
        }
    }

    /// Closes the record begun: every column that exists gets its cell.
    #[inline]
    fn complete(&mut self, headers_begun: bool) {
        self.rows.extend_from_slice(&self.row.to_le_bytes());
        self.done += 1;
        let (row, done) = (self.input.row(self.row), self.done);
        if let Some(ports) = &mut self.ports {
            ports.resize(done * 4, 0);
        }
        if let Some(keys) = &mut self.keys
            && keys.len() < done
        {
            keys.push(row.key());
        }
        if let Some(timestamps) = &mut self.timestamps
            && timestamps.len() < done * 8
        {
            timestamps.extend_from_slice(&row.timestamp().millis.to_le_bytes());
        }
        if let Some(headers) = &mut self.headers {
            if !headers_begun {
                copy_headers(headers, row);
            }
            close_headers(headers);
        }
    }

    /// The header column, begun with what the outputs so far inherit.
    fn headers_begun(&mut self) -> &mut HeaderColumns {
        let headers = self.headers.take().unwrap_or_else(|| {
            let empty = || Column::with_capacity(0, 0);
            let mut inherited = HeaderColumns { row_ends: Vec::new(), names: empty(), values: empty() };
            for row in self.causes() {
                copy_headers(&mut inherited, row);
                close_headers(&mut inherited);
            }
            inherited
        });
        self.headers.insert(headers)
    }

    /// The input rows that caused the outputs so far.
    fn causes(&self) -> impl Iterator<Item = crate::Row<'_>> {
        (0..self.done).map(|output| self.input.row(u32_at(&self.rows, output)))
    }

    pub(crate) fn finish(mut self, rejects: Vec<crate::abi::weir::plugin::types::Reject>) -> Output {
        let taken = self.stopped.then_some(self.row + 1);
        self.take_back_to(self.done);
        Output {
            rows: self.rows,
            ports: self.ports,
            keys: self.keys,
            values: Some(self.values),
            timestamps: self.timestamps,
            headers: self.headers,
            rejects,
            taken,
        }
    }
}

/// How many headers the first `outputs` outputs have in all.
fn closed_headers(headers: &HeaderColumns, outputs: usize) -> usize {
    if outputs == 0 { 0 } else { u32_at(&headers.row_ends, outputs - 1) as usize }
}

fn copy_headers(into: &mut HeaderColumns, row: crate::Row<'_>) {
    for (name, value) in row.headers().iter() {
        into.names.push(Some(name.as_bytes()));
        into.values.push(value);
    }
}

fn close_headers(headers: &mut HeaderColumns) {
    let end = headers.names.len() as u32;
    headers.row_ends.extend_from_slice(&end.to_le_bytes());
}

/// A record begun with [`Out::record`]. Without [`Emit::emit`] it never was.
#[must_use = "a record begun is emitted by `.emit()`"]
#[derive(Debug)]
pub struct Emit<'o, M> {
    out: &'o mut Out<M>,
    failed: Option<Reject>,
    /// Whether its headers are in the column already, so that it inherits none when it is complete.
    headers_begun: bool,
}

impl<M> Emit<'_, M> {
    /// Sends it to the output port `name`, one of `#[weir::processor(ports(..))]`.
    ///
    /// # Panics
    /// Where no such port is declared.
    pub fn port(self, name: &str) -> Self {
        let declared = self.out.ports_declared.iter().position(|port| port.name == name);
        let Some(number) = declared else { undeclared(name) };
        let done = self.out.done;
        let ports = self.out.ports.get_or_insert_with(Vec::new);
        ports.resize(done * 4, 0);
        ports.extend_from_slice(&(number as u32).to_le_bytes());
        self
    }

    /// Adds a header after those inherited.
    pub fn header(mut self, name: &str, value: impl Encode) -> Self {
        let row = self.out.row;
        let input = self.out.input.clone();
        let headers = self.out.headers_begun();
        if !self.headers_begun {
            copy_headers(headers, input.row(row));
            self.headers_begun = true;
        }
        match value.encode(&mut headers.values.data) {
            Ok(present) => {
                headers.values.close_cell(present);
                headers.names.push(Some(name.as_bytes()));
            }
            Err(reject) => self.failed = Some(reject),
        }
        self
    }

    /// Drops the headers inherited; those of [`Emit::header`] after it stay.
    pub fn without_headers(mut self) -> Self {
        let done = self.out.done;
        let headers = self.out.headers_begun();
        let closed = closed_headers(headers, done);
        headers.names.truncate(closed);
        headers.values.truncate(closed);
        self.headers_begun = true;
        self
    }

    /// Emits it.
    ///
    /// # Errors
    /// As [`Out::emit`].
    #[inline]
    pub fn emit(mut self) -> Result<(), Reject> {
        if let Some(reject) = self.failed.take() {
            return Err(reject);
        }
        self.out.complete(self.headers_begun);
        Ok(())
    }
}

impl Emit<'_, Records> {
    /// Sets the key; [`crate::Null`] for a record without one.
    pub fn key(mut self, key: impl Encode) -> Self {
        if self.out.keys.is_none() {
            self.out.keys = Some(self.out.causes().map(|row| row.key()).collect());
        }
        let done = self.out.done;
        if let Some(keys) = &mut self.out.keys {
            keys.truncate(done);
            match key.encode(&mut keys.data) {
                Ok(present) => keys.close_cell(present),
                Err(reject) => self.failed = Some(reject),
            }
        }
        self
    }

    /// Sets the timestamp, in milliseconds since 1970 UTC.
    pub fn timestamp(self, millis: i64) -> Self {
        if self.out.timestamps.is_none() {
            let inherited = self.out.causes().flat_map(|row| row.timestamp().millis.to_le_bytes()).collect();
            self.out.timestamps = Some(inherited);
        }
        let done = self.out.done;
        if let Some(timestamps) = &mut self.out.timestamps {
            timestamps.truncate(done * 8);
            timestamps.extend_from_slice(&millis.to_le_bytes());
        }
        self
    }
}

#[cold]
#[allow(clippy::panic)]
fn undeclared(name: &str) -> ! {
    panic!("no output port `{name}` is declared; add it to `#[weir::processor(ports(..))]`")
}
