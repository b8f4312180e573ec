use thiserror::Error;

/// Cells of bytes in Arrow's variable-size layout: cell `i` is `data[ends[i-1]..ends[i]]`, with `ends[-1] = 0`.
///
/// Null is told from empty by a bitmap, lowest bit first, 1 = present; it is absent while no cell is null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    data: Vec<u8>,
    ends: Vec<u32>,
    validity: Option<Vec<u8>>,
}

/// Why parts do not make a column. What a guest returns is checked before a byte of it is used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MalformedColumn {
    /// An end lies before the end of the cell before it.
    #[error("cell {cell} ends at {end}, before its start at {start}")]
    Backwards {
        /// The cell.
        cell: usize,
        /// Where the cell before it ends.
        start: u32,
        /// Where this one claims to end.
        end: u32,
    },
    /// The last end is not the length of the data.
    #[error("the last cell ends at {end}, but there are {bytes} bytes of data")]
    Length {
        /// Where the last cell ends.
        end: u32,
        /// Bytes of data.
        bytes: usize,
    },
    /// The bitmap is not of `ceil(cells / 8)` bytes.
    #[error("the validity bitmap has {bytes} bytes, but {cells} cells need {needed}")]
    Validity {
        /// Bytes of the bitmap.
        bytes: usize,
        /// Cells of the column.
        cells: usize,
        /// Bytes that the bitmap should have.
        needed: usize,
    },
    /// A null cell holds bytes.
    #[error("cell {cell} is null but holds {bytes} bytes")]
    NullWithBytes {
        /// The cell.
        cell: usize,
        /// Its bytes.
        bytes: u32,
    },
}

impl Column {
    /// An empty column with room for `cells` cells of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(cells: usize, bytes: usize) -> Self {
        Self { data: Vec::with_capacity(bytes), ends: Vec::with_capacity(cells), validity: None }
    }

    /// A column of parts that came from elsewhere, checked.
    ///
    /// # Errors
    /// [`MalformedColumn`] where the parts contradict one another.
    pub fn from_parts(data: Vec<u8>, ends: Vec<u32>, validity: Option<Vec<u8>>) -> Result<Self, MalformedColumn> {
        let mut start = 0;
        for (cell, &end) in ends.iter().enumerate() {
            if end < start {
                return Err(MalformedColumn::Backwards { cell, start, end });
            }
            start = end;
        }
        if start as usize != data.len() {
            return Err(MalformedColumn::Length { end: start, bytes: data.len() });
        }
        let column = Self { data, ends, validity };
        column.check_validity()?;
        Ok(column)
    }

    fn check_validity(&self) -> Result<(), MalformedColumn> {
        let Some(bitmap) = &self.validity else { return Ok(()) };
        let (cells, needed) = (self.len(), self.len().div_ceil(8));
        if bitmap.len() != needed {
            return Err(MalformedColumn::Validity { bytes: bitmap.len(), cells, needed });
        }
        for cell in 0..cells {
            let bytes = self.end(cell) - self.start(cell);
            if bytes > 0 && !is_set(bitmap, cell) {
                return Err(MalformedColumn::NullWithBytes { cell, bytes: bytes as u32 });
            }
        }
        Ok(())
    }

    /// Appends a cell; `None` is null.
    pub fn push(&mut self, cell: Option<&[u8]>) {
        let index = self.len();
        if cell.is_none() && self.validity.is_none() {
            // All cells so far are present; bits past the last cell stay 0.
            let mut bitmap = vec![0xff; index.div_ceil(8)];
            if !index.is_multiple_of(8)
                && let Some(last) = bitmap.last_mut()
            {
                *last = (1 << (index % 8)) - 1;
            }
            self.validity = Some(bitmap);
        }
        if let Some(bitmap) = &mut self.validity {
            if index.is_multiple_of(8) {
                bitmap.push(0);
            }
            if cell.is_some() {
                bitmap[index / 8] |= 1 << (index % 8);
            }
        }
        self.data.extend_from_slice(cell.unwrap_or_default());
        assert!(
            self.data.len() <= u32::MAX as usize,
            "a column holds less than 4 GiB: batches are bounded long before"
        );
        self.ends.push(self.data.len() as u32);
    }

    /// Cell `index`; `None` is null.
    ///
    /// # Panics
    /// Where there is no such cell.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if let Some(bitmap) = &self.validity
            && !is_set(bitmap, index)
        {
            return None;
        }
        Some(&self.data[self.start(index)..self.end(index)])
    }

    #[inline]
    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] as usize }
    }

    #[inline]
    fn end(&self, index: usize) -> usize {
        self.ends[index] as usize
    }

    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All cells' bytes, one after the other.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Where each cell ends in [`Column::data`].
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The bitmap of present cells, lowest bit first; `None` while no cell is null.
    #[must_use]
    pub fn validity(&self) -> Option<&[u8]> {
        self.validity.as_deref()
    }

    /// Bytes held: data, ends and bitmap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.ends.len() * 4 + self.validity.as_ref().map_or(0, Vec::len)
    }

    /// All cells in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Column {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(cells: I) -> Self {
        let mut column = Self::default();
        cells.into_iter().for_each(|cell| column.push(cell));
        column
    }
}

#[inline]
fn is_set(bitmap: &[u8], index: usize) -> bool {
    bitmap[index / 8] & (1 << (index % 8)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_empty_and_present_cells_stay_apart() {
        let cells = [Some(&b"a"[..]), None, Some(b""), Some(b"bc"), None, None, None, None, None, Some(b"d"), None];
        let column: Column = cells.iter().copied().collect();
        assert_eq!(column.iter().collect::<Vec<_>>(), cells);
        assert_eq!(column.validity(), Some(&[0b0000_1101, 0b0000_0010][..]));
    }

    #[test]
    fn a_first_null_after_present_cells_marks_only_those_present() {
        for present in 0..20 {
            let column: Column = (0..present).map(|_| Some(&b"x"[..])).chain([None]).collect();
            assert_eq!(column.iter().filter(Option::is_some).count(), present);
            let parts = (column.data().to_vec(), column.ends().to_vec(), column.validity().map(<[u8]>::to_vec));
            assert_eq!(Column::from_parts(parts.0, parts.1, parts.2), Ok(column));
        }
    }

    #[test]
    fn parts_that_contradict_one_another_are_refused() {
        let new = Column::from_parts;
        assert_eq!(new(vec![0; 3], vec![2, 1], None), Err(MalformedColumn::Backwards { cell: 1, start: 2, end: 1 }));
        assert_eq!(new(vec![0; 3], vec![2], None), Err(MalformedColumn::Length { end: 2, bytes: 3 }));
        assert_eq!(new(vec![], vec![9], None), Err(MalformedColumn::Length { end: 9, bytes: 0 }));
        let validity = MalformedColumn::Validity { bytes: 2, cells: 1, needed: 1 };
        assert_eq!(new(vec![0], vec![1], Some(vec![1, 0])), Err(validity));
        let null = MalformedColumn::NullWithBytes { cell: 0, bytes: 1 };
        assert_eq!(new(vec![0], vec![1], Some(vec![0])), Err(null));
    }
}
