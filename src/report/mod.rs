//! What pandad reports about itself: counters of a job's stages, the state line made of them, and outages,
//! which are logged once when something goes down and once when it is back. Whoever looks at the running
//! process sees the same: the state of each job, its figures, its servers and partitions.

mod conditions;
mod counters;
mod figures;
mod job_health;
mod job_view;
mod outage;
mod partitions;
mod phase;

pub use conditions::{Condition, ConditionState, ConditionView, Conditions, ServerKind};
pub use counters::{CountedUnit, Counters, LAG_UNKNOWN};
pub use figures::{Figure, FigureValue};
pub use job_health::{DiskState, JobHealth, Stage};
pub use job_view::{JobState, JobView, Reason};
pub use outage::Outage;
pub use partitions::{Glass, PartitionView};
pub use phase::{JobPhase, PhaseCell};
