//! What a process remembers of its earlier openings of a log file: what it said, since on a
//! disk that refuses each try comes to the same findings; and whether a sync has failed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

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
    findings: HashSet<(PathBuf, Finding)>,
    /// A sync has failed since the last opening: of what was written since, the journal's own
    /// entries included, the disk may hold any part.
    pub sync_failed: bool,
}

impl RestartMemory {
    /// What is found from now on is news.
    pub fn forget_findings(&mut self) {
        self.findings.clear();
    }

    pub(super) fn info(&mut self, path: &Path, finding: Finding, text: &str) {
        self.say(log::Level::Info, path, finding, text);
    }

    pub(super) fn warn(&mut self, path: &Path, finding: Finding, text: &str) {
        self.say(log::Level::Warn, path, finding, text);
    }

    fn say(&mut self, level: log::Level, path: &Path, finding: Finding, text: &str) {
        let new = self.findings.insert((path.to_owned(), finding));
        log::log!(if new { level } else { log::Level::Debug }, "{}: {text}", path.display());
    }
}
