//! The way of a transaction to the disk. Who comes first leads: it writes the frames of all who wait, each its own frame,
//! and makes them durable by one sync; who comes meanwhile waits for the next round.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::draft::Draft;
use crate::error::WriteError;
use crate::frame::{Meta, PartitionKey, RangeMeta, TopicMeta, encode_front};
use crate::log::{EmbeddedLog, lock};
use crate::segment::{Segment, SegmentIndex, encode_segment_header, index_path, segment_path, write_index};
use crate::state::State;

/// Where the next frame goes.
pub(crate) struct Writer {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    /// The sequence of the segment's first frame.
    pub segment: u64,
    /// All before is durable and committed.
    pub position: u64,
    pub sequence: u64,
    /// Cleaning is tried again when the log has this many bytes.
    pub clean_at_bytes: u64,
}

/// What is to be one frame.
pub(crate) enum Request {
    /// Rows and positions.
    Transaction(Draft),
    /// A new topic, its number still to be given.
    CreateTopic(TopicMeta),
    /// The end of a topic, by its number.
    DeleteTopic(u32),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is durable; the first offset of each partition's rows.
    Written(BTreeMap<PartitionKey, i64>),
    /// The topic was there before.
    Exists,
    /// A topic that it is about is not there any more; nothing was done.
    Gone,
}

type Outcome = Result<Done, WriteError>;

/// Requests that wait for a leader, and results that wait for their owners.
#[derive(Default)]
pub(crate) struct Queue {
    next_ticket: u64,
    pending: Vec<(u64, Request)>,
    settled: BTreeMap<u64, Outcome>,
    /// The tickets that a leader is writing; none leads while this is empty.
    leading: Vec<u64>,
}

/// Ends a leadership, by a panic too: then those who wait are told that the outcome is unknown.
struct Leadership<'a>(&'a EmbeddedLog, Vec<Outcome>);

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().failed = Some("a thread panicked while it wrote the log; start again".into());
        }
        let unknown = || Err(WriteError::Unknown("the thread that wrote it panicked".into()));
        let mut queue = lock(&self.0.queue);
        let mut outcomes = std::mem::take(&mut self.1).into_iter();
        for ticket in std::mem::take(&mut queue.leading) {
            queue.settled.insert(ticket, outcomes.next().unwrap_or_else(unknown));
        }
        self.0.settled.notify_all();
    }
}

impl EmbeddedLog {
    /// Writes a request as one frame and returns once it is durable and visible.
    pub(crate) fn write(&self, mut request: Request) -> Outcome {
        if let Request::Transaction(draft) = &mut request {
            draft.close();
        }
        let mut queue = lock(&self.queue);
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.pending.push((ticket, request));
        loop {
            if let Some(outcome) = queue.settled.remove(&ticket) {
                return outcome;
            }
            if !queue.leading.is_empty() {
                queue = self.settled.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            }
            let (tickets, group): (Vec<u64>, Vec<Request>) = std::mem::take(&mut queue.pending).into_iter().unzip();
            queue.leading = tickets;
            drop(queue);
            let mut leadership = Leadership(self, Vec::new());
            leadership.1 = self.write_group(&group);
            drop(leadership);
            queue = lock(&self.queue);
        }
    }

    fn write_group(&self, group: &[Request]) -> Vec<Outcome> {
        let mut writer = lock(&self.writer);
        if let Some(why) = &self.state().failed {
            return group.iter().map(|_| Err(WriteError::Failed(why.clone()))).collect();
        }
        let rolled = if writer.position >= self.config.segment_bytes {
            self.roll(&mut writer).and_then(|()| self.clean(&mut writer))
        } else {
            Ok(())
        };
        let written = rolled.and_then(|()| {
            let (metas, outcomes) = self.plan_frames(group);
            self.append(&mut writer, &metas)?;
            Ok(outcomes)
        });
        match written {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(cause) => {
                let failure = self.fail(&writer, &cause);
                group.iter().map(|_| Err(failure.clone())).collect()
            }
        }
    }

    /// What each request's frame does, its offsets given; none for a topic that is there, or is there no more.
    fn plan_frames<'a>(&self, group: &'a [Request]) -> (Vec<(Meta, &'a [u8])>, Vec<Done>) {
        let state = self.state();
        let mut plan = Plan { next_topic: state.next_topic, ..Plan::default() };
        let (mut metas, mut outcomes) = (Vec::new(), Vec::new());
        for request in group {
            let (meta, data, done) = match request {
                Request::CreateTopic(topic) => (plan.create(&state, topic), &[][..], Done::Exists),
                Request::DeleteTopic(id) => (plan.delete(&state, *id), &[][..], Done::Gone),
                Request::Transaction(draft) => (plan.write(&state, draft), &draft.data[..], Done::Gone),
            };
            match meta {
                Some((meta, bases)) => {
                    metas.push((meta, data));
                    outcomes.push(Done::Written(bases));
                }
                None => outcomes.push(done),
            }
        }
        (metas, outcomes)
    }

    /// Writes frames, makes them durable and applies them.
    pub(crate) fn append(&self, writer: &mut Writer, frames: &[(Meta, &[u8])]) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        let durable = writer.sequence;
        let (mut position, mut sequence) = (writer.position, writer.sequence);
        let mut starts = Vec::with_capacity(frames.len());
        for (meta, data) in frames {
            let front = encode_front(self.log_id, sequence, durable, meta, data.len());
            writer.file.write_all_at(&front, position)?;
            position += front.len() as u64;
            writer.file.write_all_at(data, position)?;
            starts.push(position);
            position += data.len() as u64;
            sequence += 1;
        }
        writer.file.sync()?;
        (writer.position, writer.sequence) = (position, sequence);
        let mut state = self.state();
        for ((meta, _), start) in frames.iter().zip(starts) {
            state.apply(writer.segment, start, meta, false);
        }
        (state.active.next_sequence, state.active.bytes) = (sequence, position);
        if let Some(segment) = state.segments.get_mut(&writer.segment) {
            segment.bytes = position;
        }
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// After the disk has failed: takes back what may have been written of this round, and takes no more.
    fn fail(&self, writer: &Writer, cause: &io::Error) -> WriteError {
        let path = writer.path.display();
        let taken_back = writer.file.set_len(writer.position).and_then(|()| writer.file.sync());
        let error = match taken_back {
            Ok(()) => WriteError::Failed(format!(
                "cannot write {path}: {cause}; the transaction was aborted and nothing committed is lost. Free some space or \
                 mend the disk, then start again"
            )),
            Err(second) => WriteError::Unknown(format!(
                "cannot write {path}: {cause}, nor take back what was written: {second}; what was committed before is \
                 safe. Mend the disk, then start again"
            )),
        };
        tracing::error!(%error, "the log takes no more");
        self.state().failed = Some(error.to_string());
        self.changed.notify_all();
        error
    }

    /// Seals the segment and begins the next one.
    fn roll(&self, writer: &mut Writer) -> io::Result<()> {
        let snapshot = self.state().snapshot();
        let (segment, index) = self.create_segment(writer.sequence, &snapshot)?;
        let mut state = self.state();
        let sealed = Arc::new(std::mem::replace(&mut state.active, index));
        state.keep_index(writer.segment, sealed.clone());
        state.segments.insert(writer.sequence, segment.clone());
        drop(state);
        write_index(&*self.disk, &index_path(&self.dir, writer.segment), &sealed, self.log_id);
        writer.begin(writer.sequence, segment);
        Ok(())
    }

    fn create_segment(&self, first: u64, snapshot: &Meta) -> io::Result<(Segment, SegmentIndex)> {
        create_segment(&*self.disk, &self.dir, self.log_id, first, snapshot)
    }
}

/// What earlier requests of a round have done already.
#[derive(Default)]
struct Plan<'a> {
    nexts: BTreeMap<PartitionKey, i64>,
    next_topic: u32,
    created: Vec<&'a str>,
    deleted: Vec<u32>,
}

/// A frame, and the first offset of each partition's rows.
type Planned = (Meta, BTreeMap<PartitionKey, i64>);

impl<'a> Plan<'a> {
    fn create(&mut self, state: &State, topic: &'a TopicMeta) -> Option<Planned> {
        let name = topic.name.as_str();
        if state.by_name.contains_key(&name.into()) || self.created.contains(&name) {
            return None;
        }
        self.created.push(name);
        let topics = vec![TopicMeta { id: self.next_topic, ..topic.clone() }];
        self.next_topic += 1;
        Some((Meta { topics, ..Meta::default() }, BTreeMap::new()))
    }

    fn delete(&mut self, state: &State, id: u32) -> Option<Planned> {
        if !state.topics.contains_key(&id) || self.deleted.contains(&id) {
            return None;
        }
        self.deleted.push(id);
        Some((Meta { topics: vec![TopicMeta::deleted(id)], ..Meta::default() }, BTreeMap::new()))
    }

    fn write(&mut self, state: &State, draft: &Draft) -> Option<Planned> {
        let gone = |key: PartitionKey| state.partition(key).is_none() || self.deleted.contains(&key.0);
        let rows = draft.chunks.iter().map(|chunk| chunk.partition);
        if rows.chain(draft.positions.iter().map(|position| position.partition)).any(gone) {
            return None;
        }
        let purges: Vec<_> = draft.purges.iter().filter(|(key, _)| !gone(*key)).copied().collect();
        let mut meta = Meta { positions: draft.positions.clone(), ..Meta::default() };
        let mut bases = BTreeMap::new();
        let next = |key| state.partition(key).map_or(0, |partition| partition.next);
        for (partition, before) in purges {
            let begin = before.min(self.nexts.get(&partition).copied().unwrap_or_else(|| next(partition)));
            meta.ranges.push(RangeMeta { partition, begin, next: begin });
        }
        for chunk in &draft.chunks {
            let next = self.nexts.entry(chunk.partition).or_insert_with(|| next(chunk.partition));
            bases.entry(chunk.partition).or_insert(*next);
            meta.chunks.push(chunk.at(*next));
            *next += chunk.rows;
        }
        Some((meta, bases))
    }
}

impl Writer {
    /// Goes on in a segment that holds its snapshot only.
    fn begin(&mut self, first: u64, segment: Segment) {
        (self.file, self.path, self.position) = (segment.file, segment.path, segment.bytes);
        (self.segment, self.sequence) = (first, first + 1);
    }
}

/// Makes a segment with its snapshot, durable before it has its name.
pub(crate) fn create_segment(
    disk: &dyn crate::disk::Disk,
    dir: &std::path::Path,
    log_id: u64,
    first: u64,
    snapshot: &Meta,
) -> io::Result<(Segment, SegmentIndex)> {
    let path = segment_path(dir, first);
    let unnamed = path.with_extension("seg.new");
    let mut bytes = encode_segment_header(log_id, first);
    bytes.extend_from_slice(&encode_front(log_id, first, first, snapshot, 0));
    let written = disk.create(&unnamed).and_then(|file| {
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        disk.rename(&unnamed, &path)?;
        disk.sync_dir(dir)?;
        Ok(file)
    });
    let file = written.inspect_err(|_| drop(disk.remove(&unnamed)))?;
    let bytes = bytes.len() as u64;
    let index = SegmentIndex { next_sequence: first + 1, bytes, ..SegmentIndex::default() };
    Ok((Segment { file, path, bytes }, index))
}
