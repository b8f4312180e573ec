//! Cells of bytes as the contract carries them; see `wit/types.wit`.

use crate::abi::weir::plugin::types::Column;

impl Column {
    /// An empty column with room for `cells` cells of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(cells: usize, bytes: usize) -> Self {
        Self { data: Vec::with_capacity(bytes), ends: Vec::with_capacity(cells * 4), validity: None }
    }

    /// The number of cells.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Cell `index`; `None` is null.
    ///
    /// # Panics
    /// Where there is no such cell.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if let Some(bitmap) = &self.validity
            && bitmap[index / 8] & (1 << (index % 8)) == 0
        {
            return None;
        }
        Some(&self.data[self.start(index)..u32_at(&self.ends, index) as usize])
    }

    /// Appends a cell; `None` is null.
    pub fn push(&mut self, cell: Option<&[u8]>) {
        self.data.extend_from_slice(cell.unwrap_or_default());
        self.close_cell(cell.is_some());
    }

    /// What was appended to `data` since the last cell becomes the next one; a null has no bytes.
    #[inline]
    pub(crate) fn close_cell(&mut self, present: bool) {
        let index = self.len();
        if !present && self.validity.is_none() {
            self.validity = Some(all_present(index));
        }
        if let Some(bitmap) = &mut self.validity {
            if index.is_multiple_of(8) {
                bitmap.push(0);
            }
            bitmap[index / 8] |= u8::from(present) << (index % 8);
        }
        // A guest's memory is 4 GiB at most, so an end always fits.
        self.ends.extend_from_slice(&(self.data.len() as u32).to_le_bytes());
    }

    /// Keeps the first `cells` cells, and drops bytes that belong to none.
    pub(crate) fn truncate(&mut self, cells: usize) {
        self.data.truncate(self.start(cells));
        self.ends.truncate(cells * 4);
        if let Some(bitmap) = &mut self.validity {
            bitmap.truncate(cells.div_ceil(8));
            if let Some(last) = bitmap.last_mut()
                && !cells.is_multiple_of(8)
            {
                *last &= (1 << (cells % 8)) - 1;
            }
        }
    }

    /// Where cell `index` starts; for the one after the last, where it would.
    #[inline]
    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { u32_at(&self.ends, index - 1) as usize }
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Column {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(cells: I) -> Self {
        let mut column = Self::with_capacity(0, 0);
        cells.into_iter().for_each(|cell| column.push(cell));
        column
    }
}

/// A bitmap of `cells` present cells; bits past the last stay 0.
fn all_present(cells: usize) -> Vec<u8> {
    let mut bitmap = vec![0xff; cells.div_ceil(8)];
    if let Some(last) = bitmap.last_mut()
        && !cells.is_multiple_of(8)
    {
        *last = (1 << (cells % 8)) - 1;
    }
    bitmap
}

/// Cell `index` of a column of u32s.
#[inline]
pub(crate) fn u32_at(cells: &[u8], index: usize) -> u32 {
    let bytes = &cells[index * 4..index * 4 + 4];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Cell `index` of a column of s64s.
#[inline]
pub(crate) fn i64_at(cells: &[u8], index: usize) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&cells[index * 8..index * 8 + 8]);
    i64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_empty_and_present_cells_stay_apart_and_a_cut_leaves_what_was_before_it() {
        let cells = [Some(&b"a"[..]), None, Some(b""), Some(b"bc"), None, None, None, None, None, Some(b"d"), None];
        let whole: Column = cells.iter().copied().collect();
        assert_eq!((0..cells.len()).map(|i| whole.get(i)).collect::<Vec<_>>(), cells);
        for kept in 0..=cells.len() {
            let mut cut: Column = cells.iter().copied().collect();
            cut.truncate(kept);
            cells[kept..].iter().for_each(|cell| cut.push(*cell));
            assert_eq!((&cut.data, &cut.ends, &cut.validity), (&whole.data, &whole.ends, &whole.validity));
        }
    }

    #[test]
    fn a_first_null_after_present_cells_marks_only_those_present() {
        for present in 0..20 {
            let column: Column = (0..present).map(|_| Some(&b"x"[..])).chain([None]).collect();
            assert_eq!((0..=present).filter(|&i| column.get(i).is_some()).count(), present);
        }
    }
}
