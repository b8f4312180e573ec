//! The list of a database's files, read before RocksDB reads it: a bit that turns a record's type into that of a recycled log
//! sends RocksDB round for ever, and one that a checksum would show is better told with its place.
//!
//! The format is that of RocksDB's logs: blocks of 32 KiB of records, each a masked CRC-32C of type and data, a length, a type.

use std::fs;
use std::path::Path;

use weir_core::ports::StoreError;

use crate::error;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// Whole, first, middle and last: a manifest is never recycled, and has no other.
const TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// Looks through the manifest that the file CURRENT in `dir` names. What cannot be read is RocksDB's to judge, and so is a cut
/// at the end.
///
/// # Errors
/// [`StoreError::Corrupt`] with the first record that is not what was written.
pub(crate) fn check(dir: &Path) -> Result<(), StoreError> {
    let Ok(current) = fs::read_to_string(dir.join("CURRENT")) else { return Ok(()) };
    let name = current.trim_end();
    let Ok(bytes) = fs::read(dir.join(name)) else { return Ok(()) };
    match first_unsound(&bytes) {
        None => Ok(()),
        Some(at) => Err(error::corrupt(dir, &format!("the record at byte {at} of {name} is not what was written"))),
    }
}

/// Where the first record is that fails its checksum or has a type that no manifest has.
fn first_unsound(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let left = BLOCK_BYTES - at % BLOCK_BYTES;
        if left < HEADER_BYTES {
            at += left;
        }
        let header = bytes.get(at..at + HEADER_BYTES)?;
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let data = bytes.get(at + HEADER_BYTES..at + HEADER_BYTES + length)?;
        let checksum = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[6..7]), data);
        if !TYPES.contains(&header[6]) || masked(crc) != checksum {
            return Some(at);
        }
        at += HEADER_BYTES + length;
    }
}

/// A checksum as RocksDB writes it: one of data that holds checksums would be no good.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, data: &[u8]) -> Vec<u8> {
        let crc = masked(crc32c::crc32c_append(crc32c::crc32c(&[kind]), data));
        [&crc.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), &[kind], data].concat()
    }

    #[test]
    fn a_record_of_another_type_or_with_a_changed_byte_is_found_and_a_cut_end_is_not() {
        let sound = [record(1, b"first"), record(2, &[7; 300]), record(4, b"")].concat();
        assert_eq!(first_unsound(&sound), None);
        assert_eq!(first_unsound(&sound[..sound.len() - 3]), None);
        for (byte, at) in [(6, 0), (8, 0), (12 + 6, 12), (12 + 100, 12)] {
            let mut changed = sound.clone();
            changed[byte] ^= 4;
            assert_eq!(first_unsound(&changed), Some(at), "byte {byte}");
        }
        // What RocksDB would take for a record of a recycled log, checksum and all.
        assert_eq!(first_unsound(&[record(1, b"x"), record(5, b"x")].concat()), Some(8));
    }
}
