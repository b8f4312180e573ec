//! Asks a broker, in Kafka's protocol, whether it takes part in its cluster: an open port is not yet an answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

const ANSWER_WAIT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 1 << 20;
const METADATA: u16 = 3;
/// The first version whose answer names the controller.
const METADATA_VERSION: u16 = 1;

/// A Metadata request for no topic. The brokers in its answer are those that are registered and unfenced.
pub fn require_answer(port: u16) -> Result<()> {
    let mut connection = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER_WAIT)?;
    connection.set_read_timeout(Some(ANSWER_WAIT))?;
    connection.set_write_timeout(Some(ANSWER_WAIT))?;
    connection.write_all(&metadata_request())?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    ensure!((8..=ANSWER_BYTES_MAX).contains(&length), "an answer of {length} bytes is not Kafka's");
    let mut answer = vec![0; length];
    connection.read_exact(&mut answer)?;
    let brokers = i32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]);
    ensure!(brokers >= 1, "the broker answers, and is still fenced");
    Ok(())
}

fn metadata_request() -> Vec<u8> {
    let client = b"xtask";
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(METADATA_VERSION.to_be_bytes());
    body.extend(1u32.to_be_bytes()); // correlation id
    body.extend((client.len() as u16).to_be_bytes());
    body.extend(client);
    body.extend(0u32.to_be_bytes()); // no topics
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}
