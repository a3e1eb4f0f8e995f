//! Keys that expire: heard of, made to expire on time, and found when nobody heard.
//!
//! ```text
//! listener ──expired──▶ inbox ──▶ push ──▶ work list
//!     └─deadlines change─▶ touch: asks when, and again when it is due
//!                            └─▶ reconcile: remembers, and finds what was missed
//! ```

mod arena;
mod canary;
mod deadlines;
mod flags;
mod gate;
mod inbox;
mod lateness;
mod lease;
mod listener;
mod memory;
mod names;
mod news;
mod pace;
mod reconcile;
mod remembered;
mod reply;
mod rights;
mod sweep;
mod touch;
mod watch;

pub use inbox::{Inbox, Taken};
pub use listener::Filter;
pub use watch::{Push, Reconcile, Watch, Watched};
