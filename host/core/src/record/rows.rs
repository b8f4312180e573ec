use std::ops::Range;
use std::sync::Arc;

use super::{Column, Headers, RecordBatch, TopicPartition};

/// Cells chosen of a shared column: what one node hands the next without copying bytes.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    column: Arc<Column>,
    /// Cell `i` is the column's cell `chosen[i]`; none: every cell in order.
    chosen: Option<Vec<u32>>,
}

impl Cells {
    /// Every cell of `column`.
    #[must_use]
    pub fn all(column: Arc<Column>) -> Self {
        Self { column, chosen: None }
    }

    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.column.len(), Vec::len)
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cell `index`; `None` is null.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.column.get(self.chosen.as_ref().map_or(index, |chosen| chosen[index] as usize))
    }

    /// All cells in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The cells `rows` of these, repeats allowed.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let chosen = match &self.chosen {
            None => rows.to_vec(),
            Some(chosen) => rows.iter().map(|&row| chosen[row as usize]).collect(),
        };
        Self { column: self.column.clone(), chosen: Some(chosen) }
    }

    /// The same cells as a column of their own: shared where all are chosen, else copied together.
    #[must_use]
    pub fn gather(&self) -> Arc<Column> {
        if self.chosen.is_none() {
            return self.column.clone();
        }
        let bytes = self.iter().map(|cell| cell.map_or(0, <[u8]>::len)).sum();
        let mut column = Column::with_capacity(self.len(), bytes);
        self.iter().for_each(|cell| column.push(cell));
        Arc::new(column)
    }
}

impl From<Column> for Cells {
    fn from(column: Column) -> Self {
        Self::all(Arc::new(column))
    }
}

/// Headers chosen of shared ones, like [`Cells`].
#[derive(Clone, Debug)]
pub struct HeaderCells {
    headers: Arc<Headers>,
    chosen: Option<Vec<u32>>,
}

impl HeaderCells {
    /// Every row of `headers`.
    #[must_use]
    pub fn all(headers: Arc<Headers>) -> Self {
        Self { headers, chosen: None }
    }

    /// The headers of row `row`, name and value in order.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.headers.row(self.chosen.as_ref().map_or(row, |chosen| chosen[row] as usize))
    }

    /// The rows `rows` of these.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let chosen = match &self.chosen {
            None => rows.to_vec(),
            Some(chosen) => rows.iter().map(|&row| chosen[row as usize]).collect(),
        };
        Self { headers: self.headers.clone(), chosen: Some(chosen) }
    }
}

/// Where the rows that a step took came from. Shared by every batch of the step; a row's origin is its index here.
///
/// Rows are in sequence order: the order in which the task took them.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The task's input partitions.
    pub partitions: Vec<TopicPartition>,
    /// Index into `partitions`, a cell per row.
    pub partition: Vec<u32>,
    /// Offsets, a cell per row; -1: no record caused it.
    pub offsets: Vec<i64>,
    /// Stream time in milliseconds since 1970 UTC with that row taken in.
    pub stream_times: Vec<i64>,
}

impl Taken {
    /// Partition and offset of row `origin`.
    #[must_use]
    pub fn coordinates(&self, origin: u32) -> (&TopicPartition, i64) {
        let row = origin as usize;
        (&self.partitions[self.partition[row] as usize], self.offsets[row])
    }

    /// Forgets all but the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.partition.truncate(rows);
        self.offsets.truncate(rows);
        self.stream_times.truncate(rows);
    }

    /// Rows that no record caused: what leaves at a commit, or when a timer of the host's clock is due.
    pub(crate) fn without_records(partition: TopicPartition, rows: usize, stream_time: i64) -> Self {
        Self {
            partitions: vec![partition],
            partition: vec![0; rows],
            offsets: vec![-1; rows],
            stream_times: vec![stream_time; rows],
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
}

/// Rows on their way from one node to the next. All parts have the same number of rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Keys.
    pub keys: Cells,
    /// Values.
    pub values: Cells,
    /// Milliseconds since 1970 UTC.
    pub timestamps: Vec<i64>,
    /// None: no row has any.
    pub headers: Option<HeaderCells>,
    /// The window of each row, start and end in milliseconds since 1970 UTC; none: no window was made of them.
    pub windows: Option<Vec<(i64, i64)>>,
    /// Of changes of a table: what its store held for the key before, in the store's encoding; none: nobody asks for it.
    pub olds: Option<Cells>,
    /// The row of [`Taken`] that caused each row; never decreasing.
    pub origins: Vec<u32>,
}

impl Rows {
    /// The rows of a fetched batch, each its own origin.
    #[must_use]
    pub fn from_batch(batch: RecordBatch) -> Self {
        let origins = (0..batch.len() as u32).collect();
        Self {
            keys: batch.keys.into(),
            values: batch.values.into(),
            timestamps: batch.timestamps,
            headers: batch.headers.map(|headers| HeaderCells::all(Arc::new(headers))),
            windows: None,
            olds: None,
            origins,
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// The rows `rows` of these, repeats allowed.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        Self {
            keys: self.keys.select(rows),
            values: self.values.select(rows),
            timestamps: rows.iter().map(|&row| self.timestamps[row as usize]).collect(),
            headers: self.headers.as_ref().map(|headers| headers.select(rows)),
            windows: self.windows.as_ref().map(|windows| rows.iter().map(|&row| windows[row as usize]).collect()),
            olds: self.olds.as_ref().map(|olds| olds.select(rows)),
            origins: rows.iter().map(|&row| self.origins[row as usize]).collect(),
        }
    }

    /// The rows `range` of these.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        if range == (0..self.len()) {
            return self.clone();
        }
        self.select(&range.map(|row| row as u32).collect::<Vec<_>>())
    }

    /// Rows of `parts` in the order given, each as part and row, copied together.
    #[must_use]
    pub fn gather(parts: &[Self], order: &[(usize, usize)]) -> Self {
        let at = order.iter().map(|&(part, row)| (&parts[part], row));
        let column =
            |cells: fn(&Self) -> &Cells| -> Column { at.clone().map(|(rows, row)| cells(rows).get(row)).collect() };
        let headers = parts.iter().any(|rows| rows.headers.is_some()).then(|| {
            let mut headers = Headers::default();
            for (rows, row) in at.clone() {
                headers.push_row(rows.headers.iter().flat_map(|headers| headers.row(row)));
            }
            HeaderCells::all(Arc::new(headers))
        });
        Self {
            keys: column(|rows| &rows.keys).into(),
            values: column(|rows| &rows.values).into(),
            timestamps: at.clone().map(|(rows, row)| rows.timestamps[row]).collect(),
            headers,
            // Rows of a node all have a window, or none has.
            windows: at.clone().map(|(rows, row)| rows.windows.as_ref().map(|windows| windows[row])).collect(),
            olds: parts.iter().all(|rows| rows.olds.is_some()).then(|| {
                let olds = at.clone().map(|(rows, row)| rows.olds.as_ref().and_then(|olds| olds.get(row)));
                olds.collect::<Column>().into()
            }),
            origins: at.map(|(rows, row)| rows.origins[row]).collect(),
        }
    }

    /// The rows of `parts` by origin, those of one origin part by part.
    #[must_use]
    pub fn interleave(mut parts: Vec<Self>) -> Self {
        parts.retain(|rows| !rows.is_empty());
        match parts.len() {
            0 => return Self::default(),
            1 => return parts.swap_remove(0),
            _ => {}
        }
        let mut order: Vec<(u32, usize, usize)> = Vec::new();
        for (part, rows) in parts.iter().enumerate() {
            order.extend(rows.origins.iter().enumerate().map(|(row, &origin)| (origin, part, row)));
        }
        order.sort_unstable();
        let order: Vec<(usize, usize)> = order.into_iter().map(|(_, part, row)| (part, row)).collect();
        Self::gather(&parts, &order)
    }

    /// The rows of `parts`, one part after the other.
    #[must_use]
    pub fn concat(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.swap_remove(0);
        }
        let order: Vec<(usize, usize)> =
            parts.iter().enumerate().flat_map(|(part, rows)| (0..rows.len()).map(move |row| (part, row))).collect();
        Self::gather(&parts, &order)
    }
}
