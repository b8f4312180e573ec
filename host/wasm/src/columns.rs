//! Columns as the contract has them: numbers as little-endian bytes. On the way in they are the host's own memory, seen as
//! bytes; on the way out every part is checked before a byte of it is used.

use std::sync::Arc;

use weir_core::ports::{Output, Reject};
use weir_core::record::{Column, Headers, Rows};

use crate::bindings::weir::plugin::types;
use crate::manifest::Reads;

#[cfg(target_endian = "big")]
compile_error!("numbers cross into guests as the host has them in memory: this host must be little-endian");

/// The columns of a call, gathered, alive while the guest copies them.
pub(crate) struct Gathered<'a> {
    count: u32,
    keys: Option<Arc<Column>>,
    values: Option<Arc<Column>>,
    timestamps: Option<&'a [i64]>,
}

impl<'a> Gathered<'a> {
    pub(crate) fn new(rows: &'a Rows, reads: Reads) -> Self {
        Self {
            count: rows.len() as u32,
            keys: reads.keys.then(|| rows.keys.gather()),
            values: reads.values.then(|| rows.values.gather()),
            timestamps: reads.timestamps.then_some(rows.timestamps.as_slice()),
        }
    }

    pub(crate) fn batch(&self) -> types::Batch<'_> {
        types::Batch {
            count: self.count,
            keys: self.keys.as_deref().map(lent),
            values: self.values.as_deref().map(lent),
            timestamps: self.timestamps.map(bytemuck::cast_slice),
        }
    }
}

/// A column as an argument of an export.
pub(crate) fn lent(column: &Column) -> types::ColumnParam<'_> {
    let ends = bytemuck::cast_slice(column.ends());
    types::ColumnParam { data: column.data(), ends, validity: column.validity() }
}

/// A column as the answer of an import.
pub(crate) fn owned(column: &Column) -> types::ColumnResult {
    types::ColumnResult {
        data: column.data().to_vec(),
        ends: bytemuck::cast_slice(column.ends()).to_vec(),
        validity: column.validity().map(<[u8]>::to_vec),
    }
}

/// Refuses a column `name` that has not as many cells as are due.
pub(crate) fn cells(name: &str, found: usize, wanted: usize) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{name}: {found} cells, {wanted} are due")) }
}

/// The bytes of a column.
pub(crate) fn column_bytes(column: &types::ColumnResult) -> usize {
    column.data.len() + column.ends.len() + column.validity.as_ref().map_or(0, Vec::len)
}

/// The bytes of rejects.
pub(crate) fn reject_bytes(rejects: &[types::Reject]) -> usize {
    rejects.iter().map(|reject| size_of::<types::Reject>() + reject.code.len() + reject.message.len()).sum()
}

/// Rejects as the core has them.
pub(crate) fn rejects(rejects: Vec<types::Reject>) -> Vec<Reject> {
    let reject = |reject: types::Reject| Reject { row: reject.row, code: reject.code, message: reject.message };
    rejects.into_iter().map(reject).collect()
}

/// The bytes of what a call returned.
pub(crate) fn bytes(output: &types::Output) -> usize {
    let list = |list: &Option<Vec<u8>>| list.as_ref().map_or(0, Vec::len);
    let headers = |all: &types::Headers| all.row_ends.len() + column_bytes(&all.names) + column_bytes(&all.values);
    output.rows.len()
        + list(&output.ports)
        + output.keys.as_ref().map_or(0, column_bytes)
        + output.values.as_ref().map_or(0, column_bytes)
        + list(&output.timestamps)
        + output.headers.as_ref().map_or(0, headers)
        + reject_bytes(&output.rejects)
}

/// What a call returned as the core has it, or which part contradicts itself.
pub(crate) fn checked(output: types::Output) -> Result<Output, String> {
    let rows = numbers::<u32>("rows", &output.rows)?;
    let count = rows.len();
    let same = |name: &str, cells: usize| {
        if cells == count { Ok(()) } else { Err(format!("{name}: {cells} cells for {count} outputs")) }
    };
    let of = |name: &str, part: Option<types::ColumnResult>| {
        let part = part.map(|part| column(name, part)).transpose()?;
        part.as_ref().map_or(Ok(()), |part| same(name, part.len()))?;
        Ok::<_, String>(part)
    };
    let keys = of("keys", output.keys)?;
    let values = of("values", output.values)?;
    let ports = output.ports.map(|ports| numbers::<u32>("ports", &ports)).transpose()?;
    ports.as_ref().map_or(Ok(()), |ports| same("ports", ports.len()))?;
    let timestamps = output.timestamps.map(|times| numbers::<i64>("timestamps", &times)).transpose()?;
    timestamps.as_ref().map_or(Ok(()), |times| same("timestamps", times.len()))?;
    let headers = output.headers.map(headers).transpose()?;
    headers.as_ref().map_or(Ok(()), |headers| same("headers", headers.len()))?;
    let rejects = rejects(output.rejects);
    Ok(Output { rows, ports, keys, values, timestamps, headers, rejects, taken: output.taken })
}

fn headers(part: types::Headers) -> Result<Headers, String> {
    let row_ends = numbers("headers.row-ends", &part.row_ends)?;
    let names = column("headers.names", part.names)?;
    let values = column("headers.values", part.values)?;
    Headers::from_parts(row_ends, names, values).map_err(|malformed| format!("headers: {malformed}"))
}

pub(crate) fn column(name: &str, part: types::ColumnResult) -> Result<Column, String> {
    let ends = numbers(name, &part.ends)?;
    Column::from_parts(part.data, ends, part.validity).map_err(|malformed| format!("{name}: {malformed}"))
}

pub(crate) fn numbers<T: bytemuck::Pod>(name: &str, bytes: &[u8]) -> Result<Vec<T>, String> {
    let size = size_of::<T>();
    if !bytes.len().is_multiple_of(size) {
        return Err(format!("{name}: {} bytes are not numbers of {size} bytes each", bytes.len()));
    }
    Ok(bytemuck::pod_collect_to_vec(bytes))
}
