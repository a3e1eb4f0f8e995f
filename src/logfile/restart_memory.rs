//! What a process remembers of its earlier openings of a log file: what it said, since on a
//! disk that refuses each try comes to the same findings; and whether a sync has failed.

use std::collections::HashSet;

use super::label::LogLabel;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Finding {
    Moved,
    NotBeside,
    Shortened,
    Changed,
    Adopted,
    Cut,
    SomebodyElses,
    NoEnd,
}

/// See the module.
#[derive(Debug, Default)]
pub struct RestartMemory {
    findings: HashSet<(LogLabel, Finding)>,
    /// A sync has failed since the last opening: of what was written since, the journal's own
    /// entries included, the disk may hold any part.
    pub sync_failed: bool,
}

impl RestartMemory {
    /// What is found from now on is news.
    pub fn forget_findings(&mut self) {
        self.findings.clear();
    }

    pub(super) fn info(&mut self, label: &LogLabel, finding: Finding, text: &str) {
        self.log(log::Level::Info, label, finding, text);
    }

    pub(super) fn warn(&mut self, label: &LogLabel, finding: Finding, text: &str) {
        self.log(log::Level::Warn, label, finding, text);
    }

    fn log(&mut self, level: log::Level, label: &LogLabel, finding: Finding, text: &str) {
        let is_new = self.findings.insert((label.clone(), finding));
        log::log!(if is_new { level } else { log::Level::Debug }, "{label}: {text}");
    }
}
