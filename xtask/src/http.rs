//! As much HTTP as demo and benchmarks need of a host on this machine: one request, one answer, one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const WAIT: Duration = Duration::from_secs(60);

/// Where the host listens.
#[derive(Clone)]
pub struct Http(String);

impl Http {
    pub fn new(address: &str) -> Self {
        Self(address.to_owned())
    }

    /// `GET path`: the status and the body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        self.request("GET", path, &[])
    }

    /// `PUT path`: the status and the answer's body.
    pub fn put(&self, path: &str, body: &[u8]) -> Result<(u16, String)> {
        self.request("PUT", path, body)
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.0).with_context(|| format!("nobody listens on {}", self.0))?;
        stream.set_read_timeout(Some(WAIT))?;
        // 1.0: the answer is not chunked, and ends with the connection.
        write!(stream, "{method} {path} HTTP/1.0\r\nhost: {}\r\ncontent-length: {}\r\n\r\n", self.0, body.len())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("the answer has no status")?;
        Ok((status, body.to_owned()))
    }
}
