//! A work list that loses nothing: items are moved to a list of their own, done, and
//! only then gone; what a dead pandad held is taken over.
//!
//! ```text
//! work list ──moved one by one, atomically──▶ batch list ──done──▶ deleted
//!                                                  └──its pandad died──▶ renamed to a living one's
//! ```

mod batch;
pub mod dead;
mod hand_back;
mod items;
mod lease;
mod life;
mod moves;
mod names;
mod orphans;
mod slots;
mod taker;

pub use batch::Batch;
pub use items::Items;
pub use lease::Lease;
pub use life::Life;
pub use names::{Names, OWN};
pub use slots::{Slot, Slots};
pub use taker::Taker;
