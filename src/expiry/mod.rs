//! Keys that expire: a thread that hears of them and does nothing else, and what it has
//! heard and nobody has taken yet.

mod flags;
mod inbox;
mod listener;

pub use inbox::Inbox;
pub use listener::{Filter, Listener};
