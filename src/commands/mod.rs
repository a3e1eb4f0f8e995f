//! The commands other than running the jobs. Each prints its result and ends.

pub mod check;
pub mod dead;
pub mod journal;
pub mod reopen;
pub mod seek;
pub mod status;
pub mod verify;
