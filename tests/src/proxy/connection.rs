//! One connection: a thread for each direction.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::frame::{RequestHeader, read_frame, response_correlation};
use super::rules::{Action, Direction, Rules};

/// Requests under way, by correlation id: an answer does not say what it answers.
type Pending = Arc<Mutex<HashMap<i32, RequestHeader>>>;

/// What becomes of the connection after a message.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Break,
}

/// Passes messages both ways until either peer closes.
pub(super) fn start(client: TcpStream, broker: TcpStream, rules: Arc<Rules>) -> io::Result<()> {
    let pending = Pending::default();
    let (from_client, to_broker) = (client.try_clone()?, broker.try_clone()?);
    thread::spawn({
        let (rules, pending) = (Arc::clone(&rules), Arc::clone(&pending));
        move || pass_requests(from_client, to_broker, &rules, &pending)
    });
    thread::spawn(move || pass_responses(broker, client, &rules, &pending));
    Ok(())
}

fn pass_requests(mut client: TcpStream, mut broker: TcpStream, rules: &Rules, pending: &Pending) {
    while let Ok(Some(frame)) = read_frame(&mut client) {
        let Some(header) = RequestHeader::parse(&frame) else { break };
        pending.lock().unwrap_or_else(PoisonError::into_inner).insert(header.correlation, header.clone());
        match pass(&frame, &header, Direction::Request, &mut broker, rules) {
            Ok(Next::GoOn) => {}
            Ok(Next::Break) => {
                let _ = client.shutdown(Shutdown::Both); // the client shall notice now
                break;
            }
            Err(_) => break,
        }
    }
    // Only this direction: what was delayed has reached the broker, and its answers may still be on their way.
    let _ = broker.shutdown(Shutdown::Write);
}

fn pass_responses(mut broker: TcpStream, mut client: TcpStream, rules: &Rules, pending: &Pending) {
    let mut is_client_there = true;
    while let Ok(Some(frame)) = read_frame(&mut broker) {
        // A client that has gone may have a request under way: its connection to the broker stays open.
        if !is_client_there {
            continue;
        }
        let header = response_correlation(&frame)
            .and_then(|id| pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
        let Some(header) = header else { break };
        match pass(&frame, &header, Direction::Response, &mut client, rules) {
            Ok(Next::GoOn) => {}
            Ok(Next::Break) => break,
            Err(_) => is_client_there = false,
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn pass(
    frame: &[u8],
    header: &RequestHeader,
    direction: Direction,
    to: &mut TcpStream,
    rules: &Rules,
) -> io::Result<Next> {
    match rules.decide(header, direction) {
        Some((_, Action::Drop)) => return Ok(Next::GoOn),
        Some((_, Action::Cut)) => return Ok(Next::Break),
        Some((id, Action::Delay(delay))) => rules.hold(id, delay),
        None => {}
    }
    to.write_all(frame)?;
    Ok(Next::GoOn)
}
