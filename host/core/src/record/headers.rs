use super::{Column, MalformedColumn};

/// Headers of many rows: row `i` owns the headers `row_ends[i-1]..row_ends[i]` of `names` and `values`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    row_ends: Vec<u32>,
    names: Column,
    values: Column,
}

impl Headers {
    /// `rows` rows without a header.
    #[must_use]
    pub fn empty_rows(rows: usize) -> Self {
        Self { row_ends: vec![0; rows], ..Self::default() }
    }

    /// Headers of parts that came from elsewhere, checked. Names may not be null.
    ///
    /// # Errors
    /// [`MalformedColumn`] where the parts contradict one another.
    pub fn from_parts(row_ends: Vec<u32>, names: Column, values: Column) -> Result<Self, MalformedColumn> {
        // Rows cut the headers as ends cut the data, so the same check serves.
        let cells = names.len();
        let checked = Column::from_parts(vec![0; cells], row_ends, None)?;
        if values.len() != cells {
            return Err(MalformedColumn::Length { end: values.len() as u32, bytes: cells });
        }
        if let Some(cell) = names.iter().position(|name| name.is_none()) {
            return Err(MalformedColumn::NullWithBytes { cell, bytes: 0 });
        }
        Ok(Self { row_ends: checked.ends().to_vec(), names, values })
    }

    /// Appends a row with its headers, name and value in order.
    pub fn push_row<'a>(&mut self, headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) {
        for (name, value) in headers {
            self.names.push(Some(name));
            self.values.push(value);
        }
        self.row_ends.push(self.names.len() as u32);
    }

    /// The headers of row `row`, name and value in order.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] as usize };
        (start..self.row_ends[row] as usize)
            .map(|header| (self.names.get(header).unwrap_or_default(), self.values.get(header)))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.row_ends.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row_ends.is_empty()
    }

    /// Where each row's headers end.
    #[must_use]
    pub fn row_ends(&self) -> &[u32] {
        &self.row_ends
    }

    /// Names of all rows' headers.
    #[must_use]
    pub fn names(&self) -> &Column {
        &self.names
    }

    /// Values of all rows' headers.
    #[must_use]
    pub fn values(&self) -> &Column {
        &self.values
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.row_ends.len() * 4 + self.names.bytes() + self.values.bytes()
    }
}
