//! What every log line about a log file begins with.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The job and the file, shown as `kafka_to_file: /var/log/out.log`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LogLabel {
    job: &'static str,
    path: Arc<Path>,
}

impl LogLabel {
    pub(super) fn new(job: &'static str, path: &Path) -> Self {
        Self { job, path: path.into() }
    }

    /// A label with the same job and another file.
    pub(super) fn with_path(&self, path: &Path) -> Self {
        Self::new(self.job, path)
    }
}

impl fmt::Display for LogLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.job, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_the_job_and_the_file() {
        let label = LogLabel::new("kafka_to_file", Path::new("/log/out.log"));
        assert_eq!(label.to_string(), "kafka_to_file: /log/out.log");
        assert_eq!(label.with_path(Path::new("/log/a")).to_string(), "kafka_to_file: /log/a");
    }
}
