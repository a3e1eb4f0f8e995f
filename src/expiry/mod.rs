//! Keys that expire. Their events are received and pushed to the work list; Redis announces
//! them on time because each key is probed when it is due; and keys whose events were missed
//! are found by their deadlines.
//!
//! ```text
//!             redis_kv_expire                                             redis_list
//!
//!  events          │      ▲ PTTL, SCAN                                         ▲
//!                  ▼      │                                                    │
//!              listener   expire_probe ──deadline_handoff──▶ reconciler ───▶ remembered deadlines
//!               │    └─changed_keys─▲                            └─────────▶ work list
//!               └─────inbox──▶ the job's source and workers ──list_push──────▶ work list
//! ```
//!
//! Four threads share one `context`: `listener` (expired-listen), `expire_probe`
//! (expired-touch), `reconciler` (expired-recon, only with reconcile) and `lease_keeper`
//! (expired-lease), which allows the listener to listen while no other pandad does.

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
