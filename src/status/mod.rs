//! What the running process is doing, in the forms in which people and programs ask for it: JSON, the text
//! format of Prometheus, a page, a terminal, one word for a load balancer. All of them are made of one
//! [`Snapshot`], so none of them can say something else than the others.

mod history;
mod json;
#[cfg(test)]
mod packaging_tests;
mod page;
mod prometheus;
mod readiness;
mod snapshot;
mod socket_name;
mod terminal;
#[cfg(test)]
mod tests;
mod web;

pub use history::{History, SAMPLE_INTERVAL};
pub use json::json;
pub use prometheus::{MetricsFormat, metrics};
pub use readiness::readiness;
pub use snapshot::{JobRoute, JobSnapshot, ServerSnapshot, ShownJob, Snapshot, StatusSource};
pub use socket_name::socket_names;
pub use terminal::{StatusReport, terminal};
pub use web::{Pulse, handler};
