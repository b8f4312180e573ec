//! Rows of changelogs on their way to disk: gathered, sorted, and handed to RocksDB as files of its own kind, which costs a
//! third of what its buffers do. Files may hold more than the checkpoint beside them says: replayed again, rows come out the
//! same, and nobody reads before the replay is over.

use std::path::Path;

use rocksdb::{Options, SstFileWriter};
use weir_core::ports::Checkpoint;
use weir_core::topology::StoreIndex;

/// Fewer rows than this are not worth a file.
pub(crate) const FILE_ROWS_MIN: usize = 10_000;

/// What a row takes beside its bytes.
const ROW_BYTES: usize = size_of::<Row>();

/// Rows replayed that are not on disk yet, and the checkpoint that is true once they are.
#[derive(Default)]
pub(crate) struct Filling {
    data: Vec<u8>,
    rows: Vec<Row>,
    checkpoint: Option<Checkpoint>,
}

/// A row in `data`: its key, then its value.
struct Row {
    store: StoreIndex,
    /// The key's first bytes, so that most comparisons need not look further.
    prefix: u64,
    begin: usize,
    key_end: usize,
    end: usize,
    is_deletion: bool,
}

/// A key and its last value, none: deleted.
pub(crate) type Last<'a> = (StoreIndex, &'a [u8], Option<&'a [u8]>);

impl Filling {
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + self.rows.len() * ROW_BYTES
    }

    pub(crate) fn push(&mut self, store: StoreIndex, key: &[u8], value: Option<&[u8]>) {
        let begin = self.data.len();
        self.data.extend_from_slice(key);
        let key_end = self.data.len();
        self.data.extend_from_slice(value.unwrap_or_default());
        let end = self.data.len();
        self.rows.push(Row { store, prefix: prefix(key), begin, key_end, end, is_deletion: value.is_none() });
    }

    /// With all that was pushed, this is how far the stores are.
    pub(crate) fn reaches(&mut self, checkpoint: &Checkpoint) {
        self.checkpoint = Some(checkpoint.clone());
    }

    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    pub(crate) fn clear(&mut self) {
        self.data.clear();
        self.rows.clear();
        self.checkpoint = None;
    }

    /// The last of each key, in the order of stores and keys.
    pub(crate) fn sorted(&mut self) -> Vec<Last<'_>> {
        let data = &self.data;
        let key = |row: &Row| &data[row.begin..row.key_end];
        self.rows.sort_by(|a, b| (a.store, a.prefix).cmp(&(b.store, b.prefix)).then_with(|| key(a).cmp(key(b))));
        let mut last: Vec<Last<'_>> = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let value = (!row.is_deletion).then(|| &data[row.key_end..row.end]);
            match last.last_mut() {
                Some((store, before, newest)) if *store == row.store && *before == key(row) => *newest = value,
                _ => last.push((row.store, key(row), value)),
            }
        }
        last
    }
}

/// Writes rows of one store, sorted, to a file that RocksDB can take in.
pub(crate) fn write_file(path: &Path, options: &Options, rows: &[Last<'_>]) -> Result<(), rocksdb::Error> {
    let mut writer = SstFileWriter::create(options);
    writer.open(path)?;
    for (_, key, value) in rows {
        match value {
            Some(value) => writer.put(key, value)?,
            None => writer.delete(key)?,
        }
    }
    writer.finish()
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StoreIndex = StoreIndex(0);
    const B: StoreIndex = StoreIndex(1);

    #[test]
    fn the_last_of_each_key_is_left_in_the_order_of_stores_and_keys() {
        let mut filling = Filling::default();
        for (store, key, value) in [
            (B, &b"k"[..], Some(&b"1"[..])),
            (A, b"prefix of eight 2", Some(b"2")),
            (A, b"prefix of eight 1", Some(b"3")),
            (A, b"k", Some(b"4")),
            (A, b"k\0", Some(b"")),
            (A, b"k", None),
            (B, b"", Some(b"6")),
            (B, b"k", Some(b"7")),
        ] {
            filling.push(store, key, value);
        }
        let expected: [Last<'_>; 6] = [
            (A, b"k", None),
            (A, b"k\0", Some(b"")),
            (A, b"prefix of eight 1", Some(b"3")),
            (A, b"prefix of eight 2", Some(b"2")),
            (B, b"", Some(b"6")),
            (B, b"k", Some(b"7")),
        ];
        assert_eq!(filling.sorted(), expected);
    }

    #[test]
    fn of_empty_rows_the_last_counts() {
        let mut filling = Filling::default();
        filling.push(A, b"", Some(b""));
        filling.push(A, b"", None);
        filling.push(A, b"", Some(b""));
        assert_eq!(filling.sorted().len(), 1);
    }
}
