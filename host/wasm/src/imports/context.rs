//! `weir:plugin/context`: where the rows of the call in progress came from, and the only clock and dice. In wit/context.wit.

use weir_core::record::Headers;

use crate::bindings::weir::plugin::{context, types};
use crate::columns::owned;
use crate::coordinates::Coordinates;
use crate::guest::Guest;
use crate::trap::Misuse;

impl Guest {
    fn rows(&self) -> Result<&Coordinates, Misuse> {
        self.coordinates
            .as_ref()
            .ok_or_else(|| Misuse("context asks about rows, but no call with rows is in progress".into()))
    }
}

impl context::Host for Guest {
    fn row_sources(&mut self) -> wasmtime::Result<context::Sources> {
        let rows = self.rows()?;
        let sources = context::Sources {
            topics: rows.topics.iter().map(ToString::to_string).collect(),
            topic: bytemuck::cast_slice(&rows.topic).to_vec(),
            partitions: bytemuck::cast_slice(&rows.partitions).to_vec(),
            offsets: bytemuck::cast_slice(&rows.offsets).to_vec(),
        };
        let bytes = sources.topic.len() + sources.partitions.len() + sources.offsets.len();
        self.meter.charge(bytes)?;
        Ok(sources)
    }

    fn row_headers(&mut self) -> wasmtime::Result<types::Headers> {
        let rows = self.rows()?;
        let mut all = Headers::default();
        match &rows.headers {
            Some(headers) => (0..rows.len()).for_each(|row| all.push_row(headers.row(row))),
            None => all = Headers::empty_rows(rows.len()),
        }
        self.meter.charge(all.bytes())?;
        let row_ends = bytemuck::cast_slice(all.row_ends()).to_vec();
        Ok(types::Headers { row_ends, names: owned(all.names()), values: owned(all.values()) })
    }

    fn row_windows(&mut self) -> wasmtime::Result<Option<context::Windows>> {
        let rows = self.rows()?;
        let windows = rows.windows.as_ref().map(|windows| context::Windows {
            starts: windows.iter().flat_map(|(start, _)| start.to_le_bytes()).collect(),
            ends: windows.iter().flat_map(|(_, end)| end.to_le_bytes()).collect(),
        });
        self.meter.charge(windows.as_ref().map_or(0, |windows| windows.starts.len() + windows.ends.len()))?;
        Ok(windows)
    }

    fn stream_times(&mut self) -> wasmtime::Result<Vec<u8>> {
        let times = bytemuck::cast_slice(&self.rows()?.stream_times).to_vec();
        self.meter.charge(times.len())?;
        Ok(times)
    }

    fn random(&mut self, row: u32, size: u32) -> wasmtime::Result<Vec<u8>> {
        self.meter.charge(size as usize)?; // first: the size is the guest's word
        let place = &self.place;
        let rows = self.rows()?;
        let bytes = rows.random(&place.application, place.node.as_str(), row, size as usize);
        Ok(bytes.ok_or_else(|| Misuse(format!("context.random asks for row {row} of {}", rows.len())))?)
    }

    fn application(&mut self) -> wasmtime::Result<String> {
        self.meter.charge(self.place.application.len())?;
        Ok(self.place.application.to_string())
    }

    fn node(&mut self) -> wasmtime::Result<String> {
        self.meter.charge(self.place.node.as_str().len())?;
        Ok(self.place.node.to_string())
    }

    fn partition(&mut self) -> wasmtime::Result<u32> {
        self.meter.charge(0)?;
        let task = self.place.task.ok_or_else(|| Misuse("context.partition is called outside of a task".into()))?;
        Ok(u32::try_from(task.partition)?)
    }
}
