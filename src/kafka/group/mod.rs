//! Which partitions are ours, and what the group has committed of them: as a member of
//! the group, or without being one.

mod claims;
mod config;
mod coordinated;
mod error_handling;
mod foreign_members;
pub(super) mod kafka_offsets;
mod member;
mod messages;
mod offset_keeper;
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
