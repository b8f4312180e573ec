//! A TCP proxy between Kafka's clients and a broker, which delays, drops or cuts chosen messages.
//!
//! The broker tells clients to connect to the proxy (its listener PROXIED, see `xtask/src/kafka`), so a client that
//! bootstraps here stays here. Frames are passed as they are; [`frame`] reads no more than their first fields.

mod connection;
mod frame;
mod rules;

pub use frame::{ApiKey, RequestHeader};
pub use rules::{Action, Direction, Rule, RuleHandle};

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;
use rules::Rules;

/// Another test's proxy may still hold the port.
const PORT_WAIT: Duration = Duration::from_secs(120);
/// How often the accepting thread looks whether it shall end.
const ACCEPT_POLL: Duration = Duration::from_millis(5);
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// A proxy in front of one broker. It ends, with its connections, when it is dropped.
pub struct KafkaProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    broker: SocketAddr,
    rules: Arc<Rules>,
    /// Both ends of every connection since the last cut.
    streams: Mutex<Vec<TcpStream>>,
    is_refusing: AtomicBool,
    is_ending: AtomicBool,
}

impl KafkaProxy {
    /// Listens on `listen` and passes everything to `broker`. Waits for the port: one proxy at a time may have it.
    pub fn start(listen: SocketAddr, broker: SocketAddr) -> Result<Self> {
        let listener = wait::until("the proxy's port is free", PORT_WAIT, || Ok(TcpListener::bind(listen).ok()))
            .with_context(|| format!("cannot listen on {listen}"))?;
        listener.set_nonblocking(true).context("cannot poll the proxy's port")?;
        let shared = Arc::new(Shared {
            broker,
            rules: Arc::default(),
            streams: Mutex::default(),
            is_refusing: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        });
        let address = listener.local_addr().context("the proxy has no address")?;
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// What clients take as their bootstrap server.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Puts a rule into force, behind those that already are.
    pub fn set(&self, rule: Rule) -> RuleHandle {
        self.shared.rules.add(rule)
    }

    /// Ends every rule; what is delayed goes on.
    pub fn release_all(&self) {
        self.shared.rules.release_all();
    }

    /// Breaks every connection now.
    pub fn cut_all(&self) {
        for stream in self.shared.lock_streams().drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // one that has ended is no loss
        }
    }

    /// From now on new connections are refused, or taken again: with [`Self::cut_all`], a broker out of reach.
    pub fn refuse_connections(&self, refuse: bool) {
        self.shared.is_refusing.store(refuse, Ordering::SeqCst);
    }
}

impl Drop for KafkaProxy {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        self.release_all();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join(); // it has closed the port, or has panicked and said so
        }
        self.cut_all();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.is_ending.load(Ordering::SeqCst) {
            match listener.accept() {
                // To drop it is to close it.
                Ok((client, _)) if self.is_refusing.load(Ordering::SeqCst) => drop(client),
                // A broker that is not there is told to the client by the closed connection.
                Ok((client, _)) => drop(self.connect(client)),
                Err(_) => thread::sleep(ACCEPT_POLL),
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let broker = TcpStream::connect_timeout(&self.broker, CONNECT_WAIT)?;
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        self.lock_streams().extend([client.try_clone()?, broker.try_clone()?]);
        connection::start(client, broker, Arc::clone(&self.rules))
    }

    fn lock_streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
