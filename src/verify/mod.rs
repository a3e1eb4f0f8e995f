//! `pandad verify`: reads the topics again, reads the files, and says what is missing, doubled, torn and out
//! of order. It joins no group and changes nothing.
//!
//! Both sides are compared by sums of hashes in bounded memory (`buckets`). Where the sums differ, further
//! passes look at the lines of these buckets one by one (`exact`), and `verdict` says what they mean.

mod bounds;
mod buckets;
mod comparison;
mod exact;
mod file_side;
mod first_lines;
mod lines;
mod order;
mod passes;
mod place;
mod progress;
mod report;
#[cfg(test)]
mod tests;
mod texts;
mod topic_side;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

pub use bounds::PartitionChoice;
pub use place::LinePlaces;
pub use progress::ShowProgress;
pub use report::{FilesVerdict, Report};
pub use topic_side::ReadLimits;

use crate::kafka::Fetcher;
use crate::logfile::line::LineFormatter;
use crate::logfile::parts::LogPath;
use bounds::Bounds;
use exact::LINES_MAX;

/// What is to be compared.
pub struct VerifyRequest {
    /// The log files.
    pub logs: Vec<LogPath>,
    /// Other directories with rotated files, or with the files and journals of other hosts.
    pub directories: Vec<PathBuf>,
    /// Only this partition.
    pub choice: Option<PartitionChoice>,
    /// Only from the first record of each partition on whose timestamp is this one or later, in milliseconds
    /// since 1970.
    pub since: Option<i64>,
    /// How the job makes lines.
    pub formatter: LineFormatter,
    /// What lines say of their records.
    pub places: LinePlaces,
    /// Whether keep rules can have deleted rotated files, of which there are so many.
    pub may_be_deleted: Box<dyn Fn(usize) -> bool>,
    /// Connects to the brokers, once for each pass.
    pub make_fetcher: Box<dyn Fn() -> Box<dyn Fetcher>>,
    /// How the topics are read.
    pub limits: ReadLimits,
    /// How many lines are looked at one by one at once.
    pub exact_lines: usize,
    /// Gets the progress in words, and how often.
    pub progress: (ShowProgress, Duration),
}

impl VerifyRequest {
    /// How many lines are usually looked at one by one at once.
    pub const EXACT_LINES: usize = LINES_MAX;
}

/// Compares.
///
/// # Errors
/// Why nothing can be said: a journal or a directory that cannot be read, or a cluster that cannot be read
/// as configured.
pub fn run(request: VerifyRequest) -> Result<Report, String> {
    let bounds = Bounds::read(&request.logs, &request.directories, request.choice.as_ref())?;
    comparison::compare(request, bounds)
}
