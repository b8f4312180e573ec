//! Deployments: which version of a plugin each node runs, decided by a topic that every host of the application reads.
//!
//! [`intent`] is what is written, [`fold`] decides what it means, [`artifacts`] carries the components in chunks. A PUT goes
//! through [`request`], with a [`dry_run`] on the way; [`view`] says how far a deployment has come.

pub mod artifacts;
mod dry_run;
pub mod fold;
pub mod intent;
pub mod kept;
pub mod request;
pub mod view;
