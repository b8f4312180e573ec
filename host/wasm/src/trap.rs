//! What a call that ended in mid-air tells: the kind, a line for people, and the guest's frames by name.

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;
use wasmtime::WasmBacktrace;
use weir_core::ports::{Trap, TrapKind};

use crate::config::Limits;
use crate::limits::LimitExceeded;

/// Frames of a backtrace; a stack overflow has thousands, all alike.
const FRAMES_MAX: usize = 40;

/// What a guest said with `logging.fault`: without WASI a panic's text would be lost.
#[derive(Clone, Debug)]
pub(crate) struct LastWords {
    pub(crate) row: Option<u32>,
    pub(crate) message: String,
    pub(crate) trace: String,
}

/// An import used against the contract.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// A call's error as the core has it.
pub(crate) fn trap(
    error: &wasmtime::Error,
    last_words: Option<LastWords>,
    limits: &Limits,
    deadline: Duration,
) -> Trap {
    let (kind, mut message) = kind(error, limits, deadline);
    let mut backtrace = String::new();
    let mut row = None;
    if let Some(words) = last_words {
        row = words.row;
        // Of a panic the guest knows more than we do; of a limit, we do.
        if kind == TrapKind::Panic && !words.message.is_empty() {
            message = words.message;
        }
        if !words.trace.is_empty() {
            backtrace = words.trace;
            backtrace.push('\n');
        }
    }
    if let Some(frames) = error.downcast_ref::<WasmBacktrace>() {
        write_frames(&mut backtrace, frames);
    }
    Trap { kind, message, backtrace: backtrace.trim_end().to_owned(), row }
}

fn kind(error: &wasmtime::Error, limits: &Limits, deadline: Duration) -> (TrapKind, String) {
    if let Some(exceeded) = error.downcast_ref::<LimitExceeded>() {
        return (exceeded.kind, exceeded.to_string());
    }
    if let Some(misuse) = error.downcast_ref::<Misuse>() {
        return (TrapKind::Panic, misuse.to_string());
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => {
            let met = "did not return in time (call_deadline, and row_deadline for each row): it had";
            return (TrapKind::Deadline, format!("{met} {deadline:?}"));
        }
        Some(wasmtime::Trap::StackOverflow) => {
            let bytes = limits.stack_bytes_max;
            return (
                TrapKind::Stack,
                format!("its stack grew beyond {bytes} bytes (stack_bytes_max): endless recursion?"),
            );
        }
        Some(other) => return (TrapKind::Panic, other.to_string()),
        None => {}
    }
    // What is left went wrong while bytes were taken out of the guest: for an import, its frames are on the stack.
    let in_import = error.downcast_ref::<WasmBacktrace>().is_some();
    let cause = error.root_cause().to_string();
    match (is_too_much(&cause), in_import) {
        (true, true) => {
            (TrapKind::HostCalls, format!("one import call carried too much (host_call_bytes_max): {cause}"))
        }
        (true, false) => (TrapKind::OutputSize, format!("more than output_bytes_max: {cause}")),
        (false, true) => (TrapKind::Panic, format!("an import was called with parts that cannot be read: {cause}")),
        (false, false) => (TrapKind::Malformed, format!("its result cannot be read: {cause}")),
    }
}

/// wasmtime bounds the bytes that it lifts by "hostcall fuel", and keeps that error's type to itself. `tests/evil.rs` fails
/// where an update changes the text.
fn is_too_much(cause: &str) -> bool {
    cause.contains("fuel allocated for hostcalls")
}

fn write_frames(out: &mut String, backtrace: &WasmBacktrace) {
    let frames = backtrace.frames();
    for (index, frame) in frames.iter().take(FRAMES_MAX).enumerate() {
        let symbols = frame.symbols();
        let raw = symbols.first().and_then(|symbol| symbol.name()).or_else(|| frame.func_name());
        match raw {
            Some(name) => _ = write!(out, "{index:>3}: {:#}", rustc_demangle::demangle(name)),
            None => _ = write!(out, "{index:>3}: function {}", frame.func_index()),
        }
        if let Some((file, line)) = symbols.first().and_then(|symbol| symbol.file().zip(symbol.line())) {
            _ = write!(out, " at {file}:{line}");
        }
        out.push('\n');
    }
    if frames.len() > FRAMES_MAX {
        _ = writeln!(out, "  … and {} frames more", frames.len() - FRAMES_MAX);
    }
}
