//! Components in a compacted topic: chunks under `sha256:<hex>/00000`, and last `sha256:<hex>` with how many there are, so
//! that half an upload is not seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::intent::artifact_digest;

/// Bytes of a chunk: below every broker's default cap of 1 MB for a record.
pub const CHUNK_BYTES: usize = 512 << 10;

/// What stands under the digest itself, written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Bytes of the component.
    pub size: usize,
    /// Its chunks.
    pub chunks: usize,
}

/// The rows of a component, in the order in which they are to be written: key and value.
pub fn rows<'a>(digest: &'a str, bytes: &'a [u8]) -> impl Iterator<Item = (String, Vec<u8>)> + 'a {
    let head = Head { size: bytes.len(), chunks: bytes.chunks(CHUNK_BYTES).len() };
    let head = format!(r#"{{"size":{},"chunks":{}}}"#, head.size, head.chunks).into_bytes();
    let chunks = bytes.chunks(CHUNK_BYTES).enumerate();
    chunks
        .map(move |(index, chunk)| (format!("{digest}/{index:05}"), chunk.to_vec()))
        .chain(std::iter::once((digest.to_owned(), head)))
}

/// Puts the rows of one component together again.
#[derive(Debug)]
pub struct Assembly<'a> {
    digest: &'a str,
    chunks: BTreeMap<usize, Vec<u8>>,
    head: Option<Head>,
}

impl<'a> Assembly<'a> {
    /// Of the component `digest`.
    #[must_use]
    pub fn new(digest: &'a str) -> Self {
        Self { digest, chunks: BTreeMap::new(), head: None }
    }

    /// Takes a row of the topic in; rows of other components are passed over.
    pub fn row(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let key = key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        let (Some(rest), Some(value)) = (key.strip_prefix(self.digest), value) else { return };
        if rest.is_empty() {
            self.head = serde_json::from_slice(value).ok();
        } else if let Some(index) = rest.strip_prefix('/').and_then(|index| index.parse().ok()) {
            self.chunks.insert(index, value.to_vec());
        }
    }

    /// The component, once all of it is there.
    ///
    /// # Errors
    /// What is there is not what the digest names.
    pub fn finish(self) -> Result<Option<Vec<u8>>, String> {
        let Some(head) = self.head else { return Ok(None) };
        let mut bytes = Vec::with_capacity(head.size.min(64 << 20));
        for index in 0..head.chunks {
            let Some(chunk) = self.chunks.get(&index) else {
                return Err(format!("chunk {index} of {} of {} is missing: upload it again", head.chunks, self.digest));
            };
            bytes.extend_from_slice(chunk);
        }
        if artifact_digest(&bytes) != self.digest {
            return Err(format!("the chunks of {} do not add up to it: upload it again", self.digest));
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(bytes: usize) -> (String, Vec<u8>) {
        let bytes: Vec<u8> = (0..bytes).map(|byte| (byte * 31 % 251) as u8).collect();
        (artifact_digest(&bytes), bytes)
    }

    #[test]
    fn a_component_comes_back_from_its_chunks() {
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 1] {
            let (digest, bytes) = component(size);
            let mut assembly = Assembly::new(&digest);
            rows(&digest, &bytes).for_each(|(key, value)| assembly.row(Some(key.as_bytes()), Some(&value)));
            assert_eq!(assembly.finish(), Ok(Some(bytes)), "{size} bytes");
        }
    }

    #[test]
    fn half_an_upload_is_not_seen() {
        let (digest, bytes) = component(2 * CHUNK_BYTES);
        let mut assembly = Assembly::new(&digest);
        rows(&digest, &bytes).take(2).for_each(|(key, value)| assembly.row(Some(key.as_bytes()), Some(&value)));
        assert_eq!(assembly.finish(), Ok(None));
    }

    #[test]
    fn a_lost_or_changed_chunk_is_an_error_and_never_a_component() {
        let (digest, bytes) = component(2 * CHUNK_BYTES);
        let (mut without, mut changed) = (Assembly::new(&digest), Assembly::new(&digest));
        for (index, (key, mut value)) in rows(&digest, &bytes).enumerate() {
            if index != 1 {
                without.row(Some(key.as_bytes()), Some(&value));
            } else {
                value[7] ^= 1;
            }
            changed.row(Some(key.as_bytes()), Some(&value));
        }
        assert!(without.finish().unwrap_err().contains("chunk 1 of 2"));
        assert!(changed.finish().unwrap_err().contains("do not add up"));
    }
}
