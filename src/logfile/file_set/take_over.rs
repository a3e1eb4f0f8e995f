//! Files that had a journal each, and that a set has now: the set's journal takes over what the old journals
//! say, and ends these.
//!
//! The order is: bring the file to what its old journal says, as every start did; one mark in the set's
//! journal, synced; overwrite the old journal's headers, synced; only then lines are appended. Whenever the
//! power fails, the next start finds either the old journal as it was, or all of it in the set's journal.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::left_files::LeftFiles;
use crate::logfile::disk::{Disk, with_suffix};
use crate::logfile::journal::{
    FileNumber, JournalFile, JournalRead, JournalState, NamedFile, RouteScope, TakenOver, TakenPartitions,
    path_from,
};
use crate::logfile::label::LogLabel;
use crate::logfile::ledger::Ledger;
use crate::logfile::open_error::{OpenError, classify};
use crate::logfile::opening::{FoundJournal, read_journal};
use crate::logfile::recovery;
use crate::logfile::restart_memory::{Finding, RestartMemory};
use crate::plural::counted;

/// The file of a topic that may have a journal of its own.
#[derive(Debug, Clone, Copy)]
pub(in crate::logfile) struct TakenFile<'a> {
    /// The directory of the set's journal.
    pub(in crate::logfile) root: &'a Path,
    pub(in crate::logfile) path: &'a Path,
    pub(in crate::logfile) topic: &'a str,
}

/// Takes over the file's own journal, if there is one, and ends it. Must be called for each file after the
/// set's journal was recovered, and before anything is appended to the file, with the file's lock held. The
/// boot is that of the file's own directory. True if positions were taken over just now.
///
/// # Errors
/// See [`OpenError`]. Nothing may be appended to the file then. Trying again goes on where this stopped.
pub(in crate::logfile) fn take_over(
    disk: &Arc<dyn Disk>,
    ledger: &Ledger,
    file: TakenFile<'_>,
    boot: Option<u128>,
    (label, memory): (&LogLabel, &mut RestartMemory),
) -> Result<bool, OpenError> {
    let at = with_suffix(file.path, ".journal");
    let label = &label.with_path(file.path);
    let by_disk = |error: io::Error| classify(&at, &error);
    let to = path_from(file.root, file.path, &ledger.journal_path());
    if let Some(taken) = TakenOver::look(&**disk, &at).map_err(by_disk)? {
        let is_ours = taken.by == ledger.identity() || ledger.number_of(&below(file)).is_some();
        if !is_ours {
            report_other(&taken, &at, (label, memory));
        } else if !taken.is_complete {
            taken.complete(&**disk, &at, ledger.identity(), &to).map_err(by_disk)?;
        }
        return Ok(false);
    }
    let mut found = read_journal(disk, file.path, label, boot, memory)?;
    let Some(journal) = found.journal.take() else { return Ok(false) };
    if found.replayed.state.has_several_files() {
        return Err(OpenError::Fatal(format!("{}: {OF_SEVERAL}", at.display())));
    }
    let is_later = ledger.lacks(&found.replayed.state, journal.identity());
    #[cfg(test)]
    if mistakes::OVERWRITTEN_FIRST.get() {
        journal.hand_over(ledger.identity(), &to).map_err(by_disk)?;
    }
    if is_later {
        take_in(disk, ledger, file, (journal.identity(), found, boot), (label, memory))?;
    }
    #[cfg(test)]
    if mistakes::NOT_OVERWRITTEN.get() {
        return Ok(is_later);
    }
    journal.hand_over(ledger.identity(), &to).map_err(by_disk)?;
    Ok(is_later)
}

/// Whether the file's own journal, if there is one, can probably be taken over. Nothing is changed.
///
/// # Errors
/// Why not.
pub(in crate::logfile) fn try_take_over(disk: &Arc<dyn Disk>, path: &Path) -> Result<(), OpenError> {
    let at = with_suffix(path, ".journal");
    let why = match JournalFile::look(disk, &at).map_err(|error| classify(&at, &error))? {
        JournalRead::Journal { contents, .. } => match contents.replay(None) {
            Ok(old) if old.state.has_several_files() => OF_SEVERAL.to_owned(),
            _ => return Ok(()),
        },
        JournalRead::Later(version) => format!("a later pandad wrote it, in version {version} of the format"),
        JournalRead::Missing | JournalRead::TakenOver(_) | JournalRead::Unreadable(_) => return Ok(()),
    };
    Err(OpenError::Fatal(format!("{}: {why}", at.display())))
}

const OF_SEVERAL: &str = "this is the journal of several files, and not of this one alone; move it away";

/// Brings the file to what its old journal says, and the state of that journal into the set's.
fn take_in(
    disk: &Arc<dyn Disk>,
    ledger: &Ledger,
    file: TakenFile<'_>,
    (identity, mut found, boot): (u128, FoundJournal, Option<u128>),
    (label, memory): (&LogLabel, &mut RestartMemory),
) -> Result<(), OpenError> {
    let boots = (found.boot, boot);
    let opened = recovery::recover(&**disk, file.path, &mut found.replayed, boots, (label, memory))
        .map_err(|error| classify(file.path, &error))?;
    let mut old = found.replayed.state;
    old.begin_held();
    let TakenPartitions { states, unclear } = ledger.choose_from(&old, (identity, file.topic));
    for (ours, theirs) in unclear {
        let partition = &ours.partition;
        let is_theirs = states.iter().any(|state| state.partition == *partition);
        log::warn!(
            "{label}: {partition} is at {} by this file's own journal and at {} by the journal that takes it \
             over, and nothing shows which is later: going on at {}",
            theirs.position,
            ours.position,
            if is_theirs { theirs.position } else { ours.position },
        );
    }
    #[cfg(test)]
    let states = if mistakes::WITHOUT_POSITIONS.get() { Vec::new() } else { states };
    let count = states.len();
    let name = NamedFile { path: below(file), until: None, scope: RouteScope::default() };
    let journal = ledger.journal_path();
    ledger.take_in((name, opened.place()), states, old.member).map_err(|error| classify(&journal, &error))?;
    log::info!(
        "{label}: {} has taken over {} from this file's own journal",
        journal.display(),
        counted(count, "position")
    );
    Ok(())
}

/// Before the set's journal is recovered: files that went on with a journal of their own, which knows more,
/// are not brought to what the set's journal says of these, or lines would be cut that were written since.
/// [`take_over`] finds these files anew.
///
/// # Errors
/// A journal cannot be read, and its file may not be left for later.
pub(in crate::logfile) fn leave_later(
    disk: &Arc<dyn Disk>,
    root: &Path,
    state: &mut JournalState,
    left: &mut LeftFiles,
) -> Result<(), OpenError> {
    #[cfg(test)]
    if mistakes::LATER_NOT_LEFT.get() {
        return Ok(());
    }
    let mut later: Vec<FileNumber> = Vec::new();
    for (number, file) in &state.files {
        let Some(path) = file.path().map(|path| root.join(path)) else { continue };
        if left.is_held_back(*number, &path) {
            continue;
        }
        let at = with_suffix(&path, ".journal");
        match is_later(disk, &at, state) {
            Ok(true) => later.push(*number),
            Ok(false) => {}
            Err(error) => left.leave(*number, &path, classify(&at, &error))?,
        }
    }
    later.into_iter().for_each(|number| state.forget_file(number));
    Ok(())
}

/// Whether there is a journal that knows more. One that cannot be read may.
fn is_later(disk: &Arc<dyn Disk>, at: &Path, state: &JournalState) -> io::Result<bool> {
    // Usually there is none, or one that was taken over, of which only the headers are read.
    if disk.stat(at).is_err() || TakenOver::look(&**disk, at)?.is_some() {
        return Ok(false);
    }
    Ok(match JournalFile::look(disk, at)? {
        JournalRead::Journal { journal, contents, .. } => match contents.replay(None) {
            Ok(old) => !old.state.has_several_files() && state.lacks(&old.state, journal.identity()),
            Err(_) => true,
        },
        JournalRead::Unreadable(_) | JournalRead::Later(_) => true,
        JournalRead::Missing | JournalRead::TakenOver(_) => false,
    })
}

/// The old journal was taken over by another one than that of this run, which does not know the file.
fn report_other(taken: &TakenOver, at: &Path, (label, memory): (&LogLabel, &mut RestartMemory)) {
    let path = taken.journal(at).map_or(String::new(), |path| format!(" in {}", path.display()));
    let text = format!(
        "its positions are in the journal {:032x}{path}, which is not the journal of this run: reading goes \
         on from the group's offsets",
        taken.by
    );
    memory.warn(label, Finding::TakenByOther, &text);
}

/// The file's path from the directory of the set's journal.
fn below(file: TakenFile<'_>) -> std::path::PathBuf {
    file.path.strip_prefix(file.root).unwrap_or(file.path).to_owned()
}

#[cfg(test)]
pub(in crate::logfile) mod mistakes {
    use std::cell::Cell;

    thread_local! {
        /// Mistakes that a test makes to show that the simulator notices them.
        pub(in crate::logfile) static OVERWRITTEN_FIRST: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static NOT_OVERWRITTEN: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static LATER_NOT_LEFT: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static WITHOUT_POSITIONS: Cell<bool> = const { Cell::new(false) };
    }
}
