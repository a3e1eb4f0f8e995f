//! What pandad reports about itself: counters of a job's stages, the state line made of them, and outages,
//! which are logged once when something goes down and once when it is back.

mod counters;
mod job_health;
mod outage;

pub use counters::{CountedUnit, Counters};
pub use job_health::{JobHealth, Stage};
pub use outage::Outage;
