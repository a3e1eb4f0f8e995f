//! A work list that loses nothing: items are moved to a list of their own, done, and
//! only then gone; what a dead pandad held is taken over.
//!
//! ```text
//! work list ──moved one by one, atomically──▶ batch list ──done──▶ deleted
//!                                                  └──its pandad died──▶ renamed to a living one's
//! ```

pub mod dead;
mod life;
mod names;
mod orphans;
mod slots;
mod taker;

pub use life::Life;
pub use names::{Names, OWN};
pub use slots::{Slot, Slots};
pub use taker::{Batch, Taker};
