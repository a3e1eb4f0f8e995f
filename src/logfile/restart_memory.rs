//! What a process remembers between two openings of a log file: which findings it has logged,
//! because each attempt on a failing disk has the same findings, and whether a sync has failed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::label::LogLabel;

/// The kinds of findings of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Finding {
    Moved,
    NotBeside,
    Shortened,
    Changed,
    Adopted,
    Cut,
    Foreign,
    NoNewline,
    DamagedJournal,
    Several,
    TakenByOther,
}

/// See the module.
#[derive(Debug, Default)]
pub struct RestartMemory {
    findings: HashSet<(LogLabel, Finding)>,
    /// Whether a sync has failed since the last opening. If so, the disk may hold any part of what was
    /// written since then, also of the journal's own entries.
    pub sync_failed: bool,
    /// The files of which the last take-over has failed: the disk may lack what their journals seem to hold.
    untaken: HashSet<PathBuf>,
}

impl RestartMemory {
    /// Makes the next opening log its findings again.
    pub fn forget_findings(&mut self) {
        self.findings.clear();
    }

    /// Whether the last take-over of this file has failed.
    pub(super) fn is_untaken(&self, path: &Path) -> bool {
        self.untaken.contains(path)
    }

    pub(super) fn record_take_over(&mut self, path: &Path, has_failed: bool) {
        match has_failed {
            true => self.untaken.insert(path.to_owned()),
            false => self.untaken.remove(path),
        };
    }

    pub(super) fn info(&mut self, label: &LogLabel, finding: Finding, text: &str) {
        self.log(log::Level::Info, label, finding, text);
    }

    pub(super) fn warn(&mut self, label: &LogLabel, finding: Finding, text: &str) {
        self.log(log::Level::Warn, label, finding, text);
    }

    pub(super) fn error(&mut self, label: &LogLabel, finding: Finding, text: &str) {
        self.log(log::Level::Error, label, finding, text);
    }

    fn log(&mut self, level: log::Level, label: &LogLabel, finding: Finding, text: &str) {
        let is_new = self.findings.insert((label.clone(), finding));
        log::log!(if is_new { level } else { log::Level::Debug }, "{label}: {text}");
    }
}
