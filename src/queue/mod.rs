//! A work list that loses no item: items are moved to a batch list, done, and only then deleted. If an
//! instance has no heartbeat, another instance takes over its batch lists.
//!
//! ```text
//! work list ──items moved one by one, atomically──▶ batch list ──items done──▶ list deleted
//!                                                       └──no heartbeat──▶ renamed by another instance
//! ```

mod batch;
mod beats;
pub mod dead_list;
mod hand_back;
mod heartbeat;
mod items;
mod keys;
mod lease;
mod moves;
mod orphans;
mod slot;
mod taker;
mod targets;
#[cfg(test)]
mod tests;

pub use batch::WorkBatch;
pub use heartbeat::InstanceHeartbeat;
pub use items::Items;
pub use keys::{OWN_KEY_PREFIX, QueueKeys};
pub use lease::QueueLease;
pub use slot::{BatchSlot, BatchSlots};
pub use taker::Taker;
pub use targets::Targets;
