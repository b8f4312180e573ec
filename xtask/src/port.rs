//! TCP ports of this machine: which are free, and who has the others.

use std::fs;
use std::net::TcpListener;

use anyhow::{Result, bail};

/// Fails if somebody listens on `127.0.0.1:port`, and says who.
pub fn require_free(port: u16) -> Result<()> {
    if TcpListener::bind(("127.0.0.1", port)).is_ok() {
        return Ok(());
    }
    let owner = owner(port).unwrap_or_else(|| "a process of another user".to_owned());
    bail!("port {port} is taken by {owner}: stop it, or choose another with --port");
}

/// The first of `count` free ports in a row.
pub fn find_free(count: u16) -> Result<u16> {
    // Below the range from which the kernel hands out ports to outgoing connections.
    (21_000..30_000u16)
        .step_by(10)
        .find(|base| (0..count).all(|i| TcpListener::bind(("127.0.0.1", base + i)).is_ok()))
        .map_or_else(|| bail!("no {count} free ports in a row between 21000 and 30000"), Ok)
}

/// `pid 4711 (java kafka.Kafka ...)`, from /proc; `None` where /proc does not say.
fn owner(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        if process.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue; // not a process: /proc/self would name us
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds =
            |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str());
        if files.flatten().any(holds) {
            let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            return Some(format!("pid {} ({})", process.file_name().to_string_lossy(), short(&command)));
        }
    }
    None
}

/// A command line of /proc: the program and its last words, which tell one java from another.
fn short(command: &str) -> String {
    const WORDS_MAX: usize = 5;
    let words: Vec<&str> = command.split('\0').filter(|word| !word.is_empty()).collect();
    match words.len() {
        0..=WORDS_MAX => words.join(" "),
        count => format!("{} ... {}", words[0], words[count - 2..].join(" ")),
    }
}

/// The socket's inode in a table of /proc/net/tcp, by its local port and the state LISTEN (0A).
fn listening_inode(table: &str, port: u16) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let listens = fields.get(3) == Some(&"0A") && u16::from_str_radix(local, 16) == Ok(port);
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = require_free(port).unwrap_err().to_string();
        assert!(message.contains(&format!("port {port} is taken by pid {}", std::process::id())), "{message}");
    }

    #[test]
    fn a_port_given_back_is_free() {
        let base = find_free(4).unwrap();
        require_free(base).unwrap();
    }
}
