use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::extract::{NoTime, Times};
use crate::record::{RecordBatch, Rows, Taken, TopicPartition};

/// The input partitions of a task, with the rows that wait in them: which row comes next, and how far the task has come.
///
/// Rows are taken smallest head timestamp first, ties by the partitions' order. A run of rows from one partition is taken
/// together as long as no other head comes before, so the order does not depend on how many are taken at once.
#[derive(Debug, Default)]
pub(crate) struct PartitionGroup {
    inputs: Vec<Input>,
    stream_time: StreamTime,
}

/// The highest timestamp that a task has taken in, in milliseconds since 1970 UTC; none before the first row.
pub(crate) type StreamTime = Option<i64>;

#[derive(Debug)]
struct Input {
    partition: TopicPartition,
    chunks: VecDeque<Chunk>,
    /// The next offset to take.
    position: i64,
    /// The log had no more rows when it was last looked at.
    ended: bool,
}

/// A fetched batch, of which the rows before `next` are taken.
#[derive(Debug)]
struct Chunk {
    rows: Rows,
    offsets: Vec<i64>,
    next: usize,
    /// None: the rows' timestamps are their times.
    timing: Option<Timing>,
}

/// How far a plugin has found the times of a chunk's rows.
#[derive(Debug)]
struct Timing {
    /// The records' own timestamps.
    own: Vec<i64>,
    /// The rows before this one have their times.
    until: usize,
    missing: BTreeMap<usize, NoTime>,
}

/// Rows at the head of a partition whose times a plugin is to find.
#[derive(Debug)]
pub(crate) struct Untimed {
    input: usize,
    pub(crate) rows: Rows,
    /// Stream time is not known yet: in its place is each row's own timestamp.
    pub(crate) taken: Taken,
}

/// Rows offered to a step. Nothing is taken before [`PartitionGroup::advance`].
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    input: usize,
    pub(crate) rows: Rows,
    pub(crate) taken: Taken,
    /// Rows that a plugin found no time for, by their number.
    pub(crate) without_time: BTreeMap<u32, NoTime>,
}

impl Offered {
    /// The first `rows` rows of these.
    pub(crate) fn prefix(&self, rows: usize) -> Self {
        let mut taken = self.taken.clone();
        taken.truncate(rows);
        let mut without_time = self.without_time.clone();
        without_time.retain(|row, _| (*row as usize) < rows);
        Self { input: self.input, rows: self.rows.slice(0..rows), taken, without_time }
    }
}

impl Chunk {
    /// The end of the rows that have their times.
    fn timed_until(&self) -> usize {
        self.timing.as_ref().map_or(self.offsets.len(), |timing| timing.until)
    }
}

impl PartitionGroup {
    /// Adds a partition that starts at `position`.
    pub(crate) fn add(&mut self, partition: TopicPartition, position: i64, stream_time: StreamTime) {
        self.inputs.push(Input { partition, chunks: VecDeque::new(), position, ended: false });
        self.inputs.sort_by(|a, b| a.partition.cmp(&b.partition));
        self.stream_time = self.stream_time.max(stream_time);
    }

    /// Takes fetched rows in. Those before the position are dropped: they were taken already. `by_plugin`: their times are to
    /// be found before they are offered.
    pub(crate) fn push(&mut self, partition: &TopicPartition, batch: RecordBatch, by_plugin: bool) {
        let Some(input) = self.inputs.iter_mut().find(|input| input.partition == *partition) else { return };
        input.ended = false;
        let offsets = batch.offsets.clone();
        let next = offsets.partition_point(|&offset| offset < input.position);
        if next < offsets.len() {
            let own = by_plugin.then(|| batch.timestamps.clone());
            let timing = own.map(|own| Timing { own, until: next, missing: BTreeMap::new() });
            input.chunks.push_back(Chunk { rows: Rows::from_batch(batch), offsets, next, timing });
        }
    }

    /// Rows at the head of a partition that has to have a time and has none yet, at most `rows_max`.
    pub(crate) fn untimed(&self, rows_max: usize) -> Option<Untimed> {
        let is_untimed = |chunk: &Chunk| chunk.next == chunk.timed_until();
        let index = self.inputs.iter().position(|input| input.chunks.front().is_some_and(is_untimed))?;
        let chunk = self.inputs[index].chunks.front()?;
        let range = chunk.next..chunk.offsets.len().min(chunk.next + rows_max);
        let mut rows = chunk.rows.slice(range.clone());
        rows.origins = (0..range.len() as u32).collect();
        let taken = self.taken(index, &chunk.offsets[range], rows.timestamps.clone());
        Some(Untimed { input: index, rows, taken })
    }

    /// The first rows of what was untimed last have these times.
    pub(crate) fn timed(&mut self, untimed: &Untimed, times: Times) {
        debug_assert!(!times.timestamps.is_empty(), "one row at least has its time, or is known to have none");
        let Some(chunk) = self.inputs[untimed.input].chunks.front_mut() else { return };
        let Some(timing) = &mut chunk.timing else { return };
        let first = timing.until;
        timing.until += times.timestamps.len();
        chunk.rows.timestamps[first..timing.until].copy_from_slice(&times.timestamps);
        timing.missing.extend(times.missing.into_iter().map(|(row, why)| (first + row, why)));
    }

    /// Rows that wait are to be timed anew: their source runs another plugin.
    pub(crate) fn forget_times(&mut self) {
        for chunk in self.inputs.iter_mut().flat_map(|input| &mut input.chunks) {
            let Some(timing) = &mut chunk.timing else { continue };
            timing.until = chunk.next;
            timing.missing.clear();
            chunk.rows.timestamps.copy_from_slice(&timing.own);
        }
    }

    /// The next rows, at most `rows_max`; none: nothing waits.
    pub(crate) fn offer(&self, rows_max: usize) -> Option<Offered> {
        let (input, head) = self.first()?;
        let chunk = self.inputs[input].chunks.front()?;
        let limit = rows_max.min(chunk.timed_until() - chunk.next);
        let before = |other: i64, index: usize, mine: i64| (other, index) < (mine, input);
        let heads: Vec<(usize, i64)> = self.heads().filter(|&(index, _)| index != input).collect();
        debug_assert!(heads.iter().all(|&(index, other)| !before(other, index, head)));
        let run = (0..limit)
            .position(|row| {
                let mine = chunk.rows.timestamps[chunk.next + row];
                heads.iter().any(|&(index, other)| before(other, index, mine))
            })
            .unwrap_or(limit);
        Some(self.offered(input, chunk, chunk.next..chunk.next + run))
    }

    fn offered(&self, input: usize, chunk: &Chunk, range: Range<usize>) -> Offered {
        let mut rows = chunk.rows.slice(range.clone());
        rows.origins = (0..range.len() as u32).collect();
        let mut highest = self.stream_time.unwrap_or(i64::MIN);
        let stream_times = rows.timestamps.iter().map(|&timestamp| {
            highest = highest.max(timestamp);
            highest
        });
        let missing = chunk.timing.iter().flat_map(|timing| timing.missing.range(range.clone()));
        let without_time = missing.map(|(row, why)| ((row - range.start) as u32, why.clone())).collect();
        let taken = self.taken(input, &chunk.offsets[range], stream_times.collect());
        Offered { input, rows, taken, without_time }
    }

    fn taken(&self, input: usize, offsets: &[i64], stream_times: Vec<i64>) -> Taken {
        Taken {
            partitions: vec![self.inputs[input].partition.clone()],
            partition: vec![0; offsets.len()],
            stream_times,
            offsets: offsets.to_vec(),
        }
    }

    /// Takes the first `rows` rows of what was offered last.
    pub(crate) fn advance(&mut self, offered: &Offered, rows: usize) {
        let Some(last) = rows.checked_sub(1) else { return };
        let input = &mut self.inputs[offered.input];
        input.position = offered.taken.offsets[last] + 1;
        self.stream_time = self.stream_time.max(Some(offered.taken.stream_times[last]));
        if let Some(chunk) = input.chunks.front_mut() {
            chunk.next += rows;
            if chunk.next == chunk.offsets.len() {
                input.chunks.pop_front();
            }
        }
    }

    /// Whether rows wait in some partitions and in others none.
    pub(crate) fn lacks_rows(&self) -> bool {
        let with_rows = self.heads().count();
        with_rows > 0 && with_rows < self.inputs.len()
    }

    /// Whether a partition without rows is not known to have none in the log.
    pub(crate) fn awaits_rows(&self) -> bool {
        self.inputs.iter().any(|input| input.chunks.is_empty() && !input.ended)
    }

    /// The log has no more rows of `partition` than were pushed.
    pub(crate) fn ended(&mut self, partition: &TopicPartition) {
        if let Some(input) = self.inputs.iter_mut().find(|input| input.partition == *partition) {
            input.ended = true;
        }
    }

    fn first(&self) -> Option<(usize, i64)> {
        self.heads().min_by_key(|&(index, timestamp)| (timestamp, index))
    }

    fn heads(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        let head = |input: &Input| input.chunks.front().map(|chunk| chunk.rows.timestamps[chunk.next]);
        self.inputs.iter().enumerate().filter_map(move |(index, input)| Some((index, head(input)?)))
    }

    /// Forgets what waits, and goes back to where nothing was taken since.
    pub(crate) fn reset(&mut self, positions: &[(TopicPartition, i64)], stream_time: StreamTime) {
        self.clear();
        self.stream_time = stream_time;
        for (partition, position) in positions {
            if let Some(input) = self.inputs.iter_mut().find(|input| input.partition == *partition) {
                input.position = *position;
            }
        }
    }

    /// Forgets what waits, which is to be fetched anew; the positions stay.
    pub(crate) fn clear(&mut self) {
        for input in &mut self.inputs {
            input.chunks.clear();
            input.ended = false;
        }
    }

    /// Each partition with the next offset to take.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (TopicPartition, i64)> + '_ {
        self.inputs.iter().map(|input| (input.partition.clone(), input.position))
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.inputs.iter().map(|input| &input.partition)
    }

    pub(crate) fn stream_time(&self) -> StreamTime {
        self.stream_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> PartitionGroup {
        let mut group = PartitionGroup::default();
        group.add(TopicPartition::new("b", 0), 0, None);
        group.add(TopicPartition::new("a", 0), 0, None);
        group
    }

    fn batch(rows: &[(i64, i64)]) -> RecordBatch {
        let mut batch = RecordBatch::default();
        for &(offset, timestamp) in rows {
            batch.push(offset, timestamp, None, Some(b"v"), &[]);
        }
        batch
    }

    fn drain(mut group: PartitionGroup, rows_max: usize) -> Vec<(String, i64, i64)> {
        let mut all = Vec::new();
        while let Some(offered) = group.offer(rows_max) {
            for row in 0..offered.rows.len() {
                let (partition, offset) = offered.taken.coordinates(row as u32);
                all.push((partition.to_string(), offset, offered.taken.stream_times[row]));
            }
            group.advance(&offered, offered.rows.len());
        }
        all
    }

    fn filled() -> PartitionGroup {
        let mut group = group();
        group.push(&TopicPartition::new("a", 0), batch(&[(0, 5), (1, 1), (2, 9)]), false);
        group.push(&TopicPartition::new("b", 0), batch(&[(7, 5), (9, 8)]), false);
        group
    }

    #[test]
    fn the_smallest_head_comes_first_and_ties_go_by_the_partitions_order() {
        let a = |offset, time| ("a/0".to_owned(), offset, time);
        let b = |offset, time| ("b/0".to_owned(), offset, time);
        assert_eq!(drain(filled(), 10), [a(0, 5), a(1, 5), b(7, 5), b(9, 8), a(2, 9)]);
    }

    #[test]
    fn the_order_does_not_depend_on_how_many_are_taken_at_once() {
        assert_eq!(drain(filled(), 1), drain(filled(), 10));
    }

    #[test]
    fn rows_before_the_position_are_dropped_and_gaps_are_passed_over() {
        let mut group = filled();
        let offered = group.offer(2).unwrap();
        group.advance(&offered, 2);
        group.clear();
        group.push(&TopicPartition::new("a", 0), batch(&[(1, 1), (4, 9)]), false);
        assert_eq!(drain(group, 10), [("a/0".to_owned(), 4, 9)]);
    }

    #[test]
    fn a_reset_goes_back_to_the_positions_and_the_stream_time_given() {
        let mut group = filled();
        let offered = group.offer(2).unwrap();
        group.advance(&offered, 2);
        assert_eq!(group.stream_time(), Some(5));
        group.reset(&[(TopicPartition::new("a", 0), 0)], None);
        assert_eq!(group.stream_time(), None);
        assert!(group.offer(10).is_none());
        assert_eq!(group.positions().map(|(_, offset)| offset).collect::<Vec<_>>(), [0, 0]);
    }
}
