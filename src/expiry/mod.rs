//! Keys that expire: heard of, made to expire on time, and found when nobody heard.
//!
//! ```text
//! listener ──expired──▶ inbox ──▶ push ──▶ work list
//!     └─deadlines change─▶ touch: asks when, and again when it is due
//!                            └─▶ reconcile: remembers, and finds what was missed
//! ```

mod canary;
mod changed_keys;
mod command_reply;
mod context;
mod deadline_handoff;
mod expire_probe;
mod inbox;
mod key_filter;
mod lease_fence;
mod lease_keeper;
mod list_push;
mod listen_state;
mod listener;
mod notify_flags;
mod own_keys;
mod rate_limiter;
mod reconciler;
mod remembered_deadlines;
mod server_clock;
mod suspects;
mod watch;

pub use context::{Reconciliation, WatchConfig, WatchedServer};
pub use inbox::{Inbox, KeyBatch, ReceivedKey};
pub use key_filter::KeyFilter;
pub use list_push::ListPush;
pub use watch::ExpiryWatch;
