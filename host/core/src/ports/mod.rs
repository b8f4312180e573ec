//! What the engine asks of the world, each behind a trait: where records come from ([`Transport`], [`Client`]) and who maps
//! them ([`Processor`]). Only a call of a processor is answered in mid-step; all else leaves as effects.

mod client;
mod processor;
mod transport;

pub use client::{Client, Connector, NewTopic};
pub use processor::{Call, CreateFault, Digest, Output, Processor, ProcessorSupplier, Reject, Trap, TrapKind};
pub use transport::{CommitError, Incoming, Outgoing, Position, Transport, TransportError};
