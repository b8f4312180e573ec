//! Opening: cut a torn tail, refuse damage, and know again what is committed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use crate::config::LogConfig;
use crate::disk::Disk;
use crate::error::{Corruption, OpenError, ReadError};
use crate::frame::Meta;
use crate::log::EmbeddedLog;
use crate::segment::{Scanned, Segment, index_path, load_index, scan, segment_path};
use crate::state::State;
use crate::writer::{Queue, Writer, create_segment};

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(path, cause) => Self::Io { what: "read", path, cause },
            ReadError::Corrupt(corruption) => Self::Corrupt(corruption),
        }
    }
}

fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> OpenError + 'a {
    move |cause| OpenError::Io { what, path: path.to_path_buf(), cause }
}

/// Opens the log in `<dir>/log`; `log_id` is for one that is not there yet.
pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, config: LogConfig, log_id: u64) -> Result<EmbeddedLog, OpenError> {
    let parent = dir;
    let dir = dir.join("log");
    disk.create_dir(&dir).map_err(io("create", &dir))?;
    disk.sync_dir(parent).map_err(io("sync", parent))?;
    let mut segments = list_segments(&*disk, &dir)?;
    if segments.is_empty() {
        let snapshot = Meta { snapshot: true, ..Meta::default() };
        create_segment(&*disk, &dir, log_id, 0, &snapshot).map_err(io("create a segment in", &dir))?;
        segments = list_segments(&*disk, &dir)?;
    }
    let Some(mut last) = segments.last_entry() else {
        return Err(io("list", &dir)(std::io::Error::other("the segment just made is not there")));
    };
    let (number, path) = (*last.key(), segment_path(&dir, *last.key()));
    let scanned = scan_last(last.get_mut(), number)?;
    let from = scanned.metas.iter().map(|(_, meta)| meta.segments_from).max().unwrap_or(0);
    let superseded = segments.range(..from).map(|(number, _)| *number).collect::<Vec<_>>();
    for number in superseded {
        segments.remove(&number);
        remove_segment(&*disk, &dir, number);
    }
    let state = rebuild(&*disk, &dir, segments, number, from, &scanned)?;
    let file = state.segments[&number].file.clone();
    let writer = Writer {
        file,
        path,
        segment: number,
        position: scanned.end,
        sequence: state.active.next_sequence,
        clean_at_bytes: 0,
    };
    Ok(EmbeddedLog {
        disk,
        dir,
        config,
        log_id: scanned.log_id,
        state: Mutex::new(state),
        changed: Condvar::new(),
        queue: Mutex::new(Queue::default()),
        settled: Condvar::new(),
        writer: Mutex::new(writer),
        lock: None,
    })
}

/// Scans the last segment and cuts its torn tail. What is left is durable on return.
fn scan_last(segment: &mut Segment, number: u64) -> Result<Scanned, OpenError> {
    let scanned = scan(&*segment.file, &segment.path, number, false)?;
    let path = &segment.path;
    if scanned.torn > 0 {
        tracing::warn!(
            segment = %path.display(), position = scanned.end, bytes = scanned.torn,
            "cut a torn tail: a transaction that was being written when the process or the machine stopped, and was never committed"
        );
        segment.file.set_len(scanned.end).map_err(io("cut the torn tail of", path))?;
    }
    // The tail may have been written but not synced before the process was killed: from now on it counts as committed.
    segment.file.sync().map_err(io("sync", path))?;
    segment.bytes = scanned.end;
    Ok(scanned)
}

/// Every segment's file; leftovers of unfinished work are removed.
fn list_segments(disk: &dyn Disk, dir: &Path) -> Result<BTreeMap<u64, Segment>, OpenError> {
    let mut segments = BTreeMap::new();
    let names = disk.list(dir).map_err(io("list", dir))?;
    for name in &names {
        let path = dir.join(name);
        if name.ends_with(".seg.new") {
            disk.remove(&path).map_err(io("remove", &path))?;
        } else if let Some(number) = name.strip_suffix(".seg").and_then(|number| number.parse().ok()) {
            let file = disk.open(&path).map_err(io("open", &path))?;
            let bytes = file.len().map_err(io("read the length of", &path))?;
            segments.insert(number, Segment { file, path, bytes });
        }
    }
    for number in names.iter().filter_map(|name| name.strip_suffix(".idx")?.parse().ok()) {
        if !segments.contains_key(&number) {
            // Best effort: an index without its segment is never read.
            let _ = disk.remove(&index_path(dir, number));
        }
    }
    Ok(segments)
}

/// Removes a segment that nothing needs any more; if it cannot be removed now, the next opening does it.
pub(crate) fn remove_segment(disk: &dyn Disk, dir: &Path, number: u64) {
    let path = segment_path(dir, number);
    if let Err(cause) = disk.remove(&path) {
        tracing::warn!(path = %path.display(), %cause, "cannot remove a segment that is no longer needed");
    }
    let _ = disk.remove(&index_path(dir, number));
}

/// All that is committed: the last segment's snapshot, the indexes of those before it, the frames behind the snapshot.
fn rebuild(
    disk: &dyn Disk,
    dir: &Path,
    segments: BTreeMap<u64, Segment>,
    last: u64,
    from: u64,
    scanned: &Scanned,
) -> Result<State, OpenError> {
    let mut state = State::new();
    let mut metas = scanned.metas.iter();
    if let Some((data, snapshot)) = metas.next() {
        state.apply(last, *data, snapshot, true);
    }
    let mut expected = from;
    for (&number, segment) in &segments {
        if number != expected {
            let missing = segment_path(dir, expected);
            return Err(Corruption::new(&missing, 0, "the segment is missing").into());
        }
        if number == last {
            break;
        }
        let index = load_index(disk, dir, number, segment, scanned.log_id)?;
        expected = index.next_sequence;
        for (&partition, chunks) in &index.chunks {
            for chunk in chunks {
                state.extend(number, partition, chunk.base, chunk.next, chunk.bytes, chunk.max_timestamp);
            }
        }
    }
    // Rows carried over from segments that are gone already come with the frame behind the snapshot.
    for (data, meta) in metas {
        state.apply(last, *data, meta, true);
    }
    state.coalesce();
    state.active = scanned.index.clone();
    state.segments = segments;
    Ok(state)
}
