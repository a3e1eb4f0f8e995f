//! A work list that loses nothing: items are moved to a list of their own, done, and
//! only then gone; what a dead pandad held is taken over.
//!
//! ```text
//! work list ──moved one by one, atomically──▶ batch list ──done──▶ deleted
//!                                                  └──its pandad died──▶ renamed to a living one's
//! ```

mod batch;
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

pub use batch::WorkBatch;
pub use heartbeat::InstanceHeartbeat;
pub use items::Items;
pub use keys::{OWN_KEY_PREFIX, QueueKeys};
pub use lease::QueueLease;
pub use slot::{BatchSlot, BatchSlots};
pub use taker::Taker;
