//! Frames of Kafka's protocol: a length in four bytes, then a message whose first fields never change. Nothing beyond
//! those fields is looked at, and nothing is ever altered.

use std::io::{self, Read};

/// A broker refuses longer ones (socket.request.max.bytes).
const FRAME_BYTES_MAX: usize = 100 << 20;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKey(pub i16);

#[allow(missing_docs, reason = "the names are Kafka's")]
impl ApiKey {
    pub const PRODUCE: Self = Self(0);
    pub const FETCH: Self = Self(1);
    pub const METADATA: Self = Self(3);
    pub const OFFSET_FETCH: Self = Self(9);
    pub const FIND_COORDINATOR: Self = Self(10);
    pub const JOIN_GROUP: Self = Self(11);
    pub const HEARTBEAT: Self = Self(12);
    pub const LEAVE_GROUP: Self = Self(13);
    pub const SYNC_GROUP: Self = Self(14);
    pub const API_VERSIONS: Self = Self(18);
    pub const INIT_PRODUCER_ID: Self = Self(22);
    pub const ADD_PARTITIONS_TO_TXN: Self = Self(24);
    pub const ADD_OFFSETS_TO_TXN: Self = Self(25);
    pub const END_TXN: Self = Self(26);
    pub const TXN_OFFSET_COMMIT: Self = Self(28);
}

/// The fields with which every request begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// What it asks for.
    pub api: ApiKey,
    /// In which version of the request.
    pub version: i16,
    /// The answer bears the same.
    pub correlation: i32,
    /// `client.id`; empty if there is none.
    pub client: String,
}

impl RequestHeader {
    /// Reads them from a frame, length included. `None`: this is not a request.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut rest = frame.get(4..)?;
        let api = ApiKey(take_i16(&mut rest)?);
        let version = take_i16(&mut rest)?;
        let correlation = i32::from_be_bytes(take(&mut rest)?);
        let client = match usize::try_from(take_i16(&mut rest)?) {
            Ok(length) => String::from_utf8_lossy(rest.get(..length)?).into_owned(),
            Err(_) => String::new(), // -1: null
        };
        Some(Self { api, version, correlation, client })
    }
}

/// The first field of every answer. `None`: this is not one.
pub fn response_correlation(frame: &[u8]) -> Option<i32> {
    take(&mut frame.get(4..)?).map(i32::from_be_bytes)
}

/// Reads one frame, its length included. `None`: the peer closed between two frames.
pub fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..])?;
    let count = u32::from_be_bytes(length) as usize;
    if count > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {count} bytes is not Kafka's")));
    }
    let mut frame = vec![0; 4 + count];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..])?;
    Ok(Some(frame))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_i16(rest: &mut &[u8]) -> Option<i16> {
    take(rest).map(i16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EndTxn, version 3, of a client `ab`: the header of a flexible version has the same beginning.
    const END_TXN: &[u8] = &[0, 0, 0, 13, 0, 26, 0, 3, 0, 0, 1, 2, 0, 2, b'a', b'b', 0];

    #[test]
    fn the_header_of_a_request_is_read() {
        let header = RequestHeader { api: ApiKey::END_TXN, version: 3, correlation: 258, client: "ab".into() };
        assert_eq!(RequestHeader::parse(END_TXN), Some(header));
    }

    #[test]
    fn a_null_client_id_is_empty() {
        let frame = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255];
        assert_eq!(RequestHeader::parse(&frame).unwrap().client, "");
    }

    #[test]
    fn a_request_cut_anywhere_in_its_header_is_none() {
        for length in 0..16 {
            assert_eq!(RequestHeader::parse(&END_TXN[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn frames_are_read_one_by_one_until_the_peer_closes() {
        let mut bytes = &[END_TXN, &[0, 0, 0, 4, 0, 0, 1, 2]].concat()[..];
        assert_eq!(read_frame(&mut bytes).unwrap().unwrap(), END_TXN);
        let answer = read_frame(&mut bytes).unwrap().unwrap();
        assert_eq!(response_correlation(&answer), Some(258));
        assert_eq!(read_frame(&mut bytes).unwrap(), None);
    }

    #[test]
    fn a_frame_cut_in_the_middle_is_an_error() {
        for length in 1..END_TXN.len() {
            assert!(read_frame(&mut &END_TXN[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_length_beyond_all_measure_is_refused_before_memory_is_taken() {
        let error = read_frame(&mut &[0x7f, 0xff, 0xff, 0xff][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
