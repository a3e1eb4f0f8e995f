//! [`GroupClient`](super::seam::GroupClient) in two ways: [`Coordinated`] as a member of a consumer
//! group, `standalone` without membership.

mod claims;
mod config;
mod coordinated;
mod error_handling;
#[cfg(test)]
mod fake_coordinator;
#[cfg(test)]
mod fake_store;
mod foreign_members;
pub(super) mod kafka_offsets;
mod member;
mod messages;
mod offset_keeper;
mod offset_manager;
pub(super) mod offset_store;
mod protocol;
mod range;
pub(super) mod standalone;
pub(super) mod standalone_thread;
mod state;
mod topic_snapshot;
mod topic_watcher;

pub use config::{GroupIntervals, MemberConfig};
pub use coordinated::Coordinated;
pub use foreign_members::ForeignMembers;
pub use topic_snapshot::SubscribedTopics;
