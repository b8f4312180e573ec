//! What the engine asks of the world, each behind a trait: where records come from ([`Transport`], [`Client`]), who maps them
//! ([`Processor`], [`Aggregator`]), who finds their time ([`Extractor`]) and where committed state lies ([`StateStore`]). Only a call of a plugin and a read of a
//! store are answered in mid-step; all else leaves as effects.

mod aggregator;
mod client;
mod extractor;
mod layer;
mod processor;
mod state_access;
mod store;
mod transport;

pub use aggregator::{Aggregator, Folded, Groups};
pub use client::{Client, Connector, NewTopic, TopicFacts};
pub use extractor::{Extracted, Extractor};
pub use layer::TransportLayer;
pub use processor::{Call, CreateFault, Digest, Output, Processor, ProcessorSupplier, Reject, Trap, TrapKind};
pub use state_access::{AccessError, StateAccess, StateCell, StoreHandle};
pub use store::{Changes, Checkpoint, Entries, KeyRange, Replayed, StateStore, StateSupplier, StoreError};
pub use transport::{CommitError, Committed, Incoming, Outgoing, Position, Replay, Transport, TransportError};
