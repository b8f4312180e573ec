//! A TCP proxy before the broker that can hold back the end of a transaction: the client is cut off and asks again on a new
//! connection, and the held request arrives later on the old one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Kafka's API key of EndTxn.
const END_TXN: u16 = 26;
/// Frames longer than this are no Kafka frames of these tests.
const FRAME_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
struct Held {
    armed: bool,
    request: Option<(TcpStream, Vec<u8>)>,
}

pub struct Proxy {
    pub address: String,
    held: Arc<Mutex<Held>>,
}

impl Proxy {
    /// Before `broker`; the addresses in its answers are replaced by the proxy's own.
    pub fn new(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(Mutex::new(Held::default()));
        let (broker, state) = (broker.to_owned(), held.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(&broker) else { continue };
                let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
                let broker_port: u16 = broker.rsplit(':').next().unwrap().parse().unwrap();
                let (from, to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || answers(from, to, broker_port, port));
                let state = state.clone();
                thread::spawn(move || requests(client, upstream, &state));
            }
        });
        Self { address: format!("127.0.0.1:{port}"), held }
    }

    /// The next EndTxn is held, and its connection cut towards the client.
    pub fn hold_next_end(&self) {
        self.held.lock().unwrap().armed = true;
    }

    /// Lets the held request go on to the broker; false: none was held.
    pub fn let_go(&self) -> bool {
        let held = self.held.lock().unwrap().request.take();
        held.is_some_and(|(mut upstream, frame)| upstream.write_all(&frame).is_ok())
    }
}

fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).ok()?;
    let len = u32::from_be_bytes(frame[..4].try_into().ok()?) as usize;
    if len > FRAME_BYTES_MAX {
        return None;
    }
    frame.resize(4 + len, 0);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

fn requests(mut client: TcpStream, mut upstream: TcpStream, state: &Mutex<Held>) {
    while let Some(request) = frame(&mut client) {
        let mut held = state.lock().unwrap();
        if held.armed && u16::from_be_bytes([request[4], request[5]]) == END_TXN {
            held.armed = false;
            held.request = Some((upstream, request));
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
        drop(held);
        if upstream.write_all(&request).is_err() {
            break;
        }
    }
    let _ = upstream.shutdown(Shutdown::Both);
}

fn answers(mut upstream: TcpStream, mut client: TcpStream, broker_port: u16, port: u16) {
    while let Some(mut answer) = frame(&mut upstream) {
        let address = [b"127.0.0.1".as_slice(), &u32::from(broker_port).to_be_bytes()].concat();
        let at: Vec<usize> = answer
            .windows(address.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == address)
            .map(|(at, _)| at)
            .collect();
        for at in at {
            answer[at + 9..at + 13].copy_from_slice(&u32::from(port).to_be_bytes());
        }
        // The client may be cut off; the broker's answers are then read into nothing, so that it goes on.
        let _ = client.write_all(&answer);
    }
    let _ = client.shutdown(Shutdown::Both);
}
