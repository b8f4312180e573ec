use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::extract::{NoTime, Times};
use crate::record::{RecordBatch, Rows, Taken, TopicPartition};

/// The input partitions of a task, with the rows that wait in them: which row comes next, and how far the task has come.
///
/// Rows are taken smallest head timestamp first, ties by the partitions' order: the order does not depend on how many are
/// taken at once. What is taken together ends where a partition has no more rows, since which comes next is not known then.
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
    /// Of each partition in [`Taken::partitions`]: its index here, and its rows.
    parts: Vec<(usize, Rows)>,
    pub(crate) taken: Taken,
    /// Rows that a plugin found no time for, by origin.
    pub(crate) without_time: BTreeMap<u32, NoTime>,
}

impl Offered {
    /// How many rows these are.
    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }

    /// The rows of each partition.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&TopicPartition, &Rows)> {
        self.taken.partitions.iter().zip(self.parts.iter().map(|(_, rows)| rows))
    }

    /// The first `rows` rows of these.
    pub(crate) fn prefix(&self, rows: usize) -> Self {
        let mut taken = self.taken.clone();
        taken.truncate(rows);
        let mut without_time = self.without_time.clone();
        without_time.retain(|row, _| (*row as usize) < rows);
        let before = |part: &Rows| part.slice(0..part.origins.partition_point(|&origin| (origin as usize) < rows));
        let parts = self.parts.iter().map(|(input, part)| (*input, before(part))).collect();
        Self { parts, taken, without_time }
    }
}

/// Rows chosen of the first chunk of a partition.
struct Draw<'c> {
    input: usize,
    chunk: &'c Chunk,
    /// Of each row that is chosen, its place among those of all partitions.
    origins: Vec<u32>,
}

impl<'c> Draw<'c> {
    fn of((input, waiting): (usize, &'c Input)) -> Option<Self> {
        Some(Self { input, chunk: waiting.chunks.front()?, origins: Vec::new() })
    }

    /// The rows that are chosen.
    fn rows(&self) -> Range<usize> {
        self.chunk.next..self.chunk.next + self.origins.len()
    }

    /// What decides when the next row comes: its time, then its partition. None: no row is left that has its time.
    fn head(&self) -> Option<(i64, usize)> {
        let next = self.rows().end;
        (next < self.chunk.timed_until()).then(|| (self.chunk.rows.timestamps[next], self.input))
    }

    /// Chooses rows before `until`, the head of another partition, at most `rows_max`; says how many. `count` are chosen.
    fn take(&mut self, until: Option<(i64, usize)>, count: usize, rows_max: usize) -> usize {
        let start = self.rows().end;
        let end = self.chunk.timed_until().min(start.saturating_add(rows_max));
        let is_next = |&at: &i64| until.is_none_or(|until| (at, self.input) < until);
        let run = self.chunk.rows.timestamps[start..end].iter().take_while(|at| is_next(at)).count();
        self.origins.extend(count as u32..(count + run) as u32);
        run
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
        let taken = Taken {
            partitions: vec![self.inputs[index].partition.clone()],
            partition: vec![0; range.len()],
            stream_times: rows.timestamps.clone(),
            offsets: chunk.offsets[range].to_vec(),
        };
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
        let draws = self.inputs.iter().enumerate().filter_map(Draw::of);
        let mut draws: Vec<Draw<'_>> = draws.filter(|draw| draw.head().is_some()).collect();
        let mut count = 0;
        // Bounded: each turn takes one row at least, and the last one takes the last of a partition's.
        while count < rows_max {
            let Some(first) = (0..draws.len()).min_by_key(|&at| draws[at].head()) else { break };
            let others = draws.iter().enumerate().filter(|(at, _)| *at != first).filter_map(|(_, draw)| draw.head());
            let until = others.min();
            let draw = &mut draws[first];
            count += draw.take(until, count, rows_max - count);
            if draw.head().is_none() {
                break;
            }
        }
        draws.retain(|draw| !draw.origins.is_empty());
        (count > 0).then(|| self.offered(draws, count))
    }

    fn offered(&self, draws: Vec<Draw<'_>>, count: usize) -> Offered {
        let mut taken = Taken {
            partitions: draws.iter().map(|draw| self.inputs[draw.input].partition.clone()).collect(),
            partition: vec![0; count],
            offsets: vec![0; count],
            stream_times: vec![0; count],
        };
        let mut without_time = BTreeMap::new();
        for (part, draw) in draws.iter().enumerate() {
            for (row, &origin) in draw.rows().zip(&draw.origins) {
                let at = origin as usize;
                taken.partition[at] = part as u32;
                taken.offsets[at] = draw.chunk.offsets[row];
                taken.stream_times[at] = draw.chunk.rows.timestamps[row];
            }
            let missing = draw.chunk.timing.iter().flat_map(|timing| timing.missing.range(draw.rows()));
            without_time.extend(missing.map(|(row, why)| (draw.origins[row - draw.chunk.next], why.clone())));
        }
        let mut highest = self.stream_time.unwrap_or(i64::MIN);
        for time in &mut taken.stream_times {
            highest = highest.max(*time);
            *time = highest;
        }
        let part = |draw: Draw<'_>| {
            let rows = draw.chunk.rows.slice(draw.rows());
            (draw.input, Rows { origins: draw.origins, ..rows })
        };
        Offered { parts: draws.into_iter().map(part).collect(), taken, without_time }
    }

    /// Takes what was offered last, as far as it is in `offered`.
    pub(crate) fn advance(&mut self, offered: &Offered) {
        let Some(stream_time) = offered.taken.stream_times.last() else { return };
        self.stream_time = self.stream_time.max(Some(*stream_time));
        for (index, rows) in &offered.parts {
            let Some(&last) = rows.origins.last() else { continue };
            let input = &mut self.inputs[*index];
            input.position = offered.taken.offsets[last as usize] + 1;
            if let Some(chunk) = input.chunks.front_mut() {
                chunk.next += rows.len();
                if chunk.next == chunk.offsets.len() {
                    input.chunks.pop_front();
                }
            }
        }
    }

    /// Whether rows wait in some partitions and in others none.
    pub(crate) fn lacks_rows(&self) -> bool {
        let with_rows = self.inputs.iter().filter(|input| !input.chunks.is_empty()).count();
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
            for row in 0..offered.len() {
                let (partition, offset) = offered.taken.coordinates(row as u32);
                all.push((partition.to_string(), offset, offered.taken.stream_times[row]));
            }
            group.advance(&offered);
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
        group.advance(&offered);
        group.clear();
        group.push(&TopicPartition::new("a", 0), batch(&[(1, 1), (4, 9)]), false);
        assert_eq!(drain(group, 10), [("a/0".to_owned(), 4, 9)]);
    }

    #[test]
    fn a_reset_goes_back_to_the_positions_and_the_stream_time_given() {
        let mut group = filled();
        let offered = group.offer(2).unwrap();
        group.advance(&offered);
        assert_eq!(group.stream_time(), Some(5));
        group.reset(&[(TopicPartition::new("a", 0), 0)], None);
        assert_eq!(group.stream_time(), None);
        assert!(group.offer(10).is_none());
        assert_eq!(group.positions().map(|(_, offset)| offset).collect::<Vec<_>>(), [0, 0]);
    }
}
