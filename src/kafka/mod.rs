//! Kafka, behind two seams: [`Fetcher`] brings records of wanted partitions, [`GroupClient`]
//! knows which partitions are ours and what the group has committed.
//!
//! The floors, each of which knows only those before it: `protocol`, `client`, `seam`,
//! then `fetch` and `group`, then `legacy`; who chooses stands on top.

mod auto;
pub mod client;
mod cluster;
mod fetch;
pub mod group;
mod lease;
mod legacy;
pub mod protocol;
mod seam;

pub use auto::{AutoFetcher, FetcherKind};
pub use cluster::Cluster;
pub use group::standalone::{ClaimNamer, OffsetStorage, Standalone};
pub use lease::Lease;
pub use protocol::records::{DecodeError, Decoded, Scratch};
pub use seam::{
    Assigned, DecodedRecords, Event, Fetched, Fetcher, GroupClient, GroupEvent, Payload, StartOffset, Wire,
    records,
};
