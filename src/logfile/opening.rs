//! What every start does first: reads the journal, and begins it again with what was adopted.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{self, Disk, FileKind, directory_of, with_suffix};
use super::journal::{JournalEntry, JournalFile, JournalRead, Replayed};
use super::label::LogLabel;
use super::ledger::Ledger;
use super::open_error::{OpenError, classify};
use super::recovery;
use super::restart_memory::RestartMemory;
use crate::host;

/// What was found of a journal at the start.
pub(super) struct FoundJournal {
    pub(super) replayed: Replayed,
    /// `None`: there is none that can be gone on with.
    pub(super) journal: Option<JournalFile>,
    /// The present boot, if what was written in it is in the files for certain.
    pub(super) boot: Option<u128>,
}

/// Identifies the time during which unsynced writes survive: this boot, and this mount of the file system.
/// When a file system is unmounted because it failed, its cached pages are lost, as after a loss of power.
pub(super) fn era(path: &Path) -> Option<u128> {
    host::boot_id().map(|boot| boot ^ u128::from(disk::mount_id(directory_of(path))))
}

/// Reads the journal beside `path`. One that cannot be read is moved away.
pub(super) fn read_journal(
    disk: &Arc<dyn Disk>,
    path: &Path,
    label: &LogLabel,
    mut boot: Option<u128>,
    memory: &mut RestartMemory,
) -> Result<FoundJournal, OpenError> {
    let at = with_suffix(path, ".journal");
    let unreadable = |why: String| set_aside(&**disk, label, &at, &why).map(|()| (Replayed::default(), None));
    let (replayed, journal) = match JournalFile::read(disk, &at).map_err(|error| classify(&at, &error))? {
        JournalRead::Journal { journal, contents, whole } => {
            // After a failed sync the disk may lack writes of this boot, too. `None` never equals the boot
            // of a session, so everything is compared.
            boot = boot.filter(|_| whole && !memory.sync_failed);
            match contents.replay(boot) {
                Ok(replayed) => (replayed, Some(*journal)),
                Err(why) => unreadable(why)?,
            }
        }
        JournalRead::Missing => (Replayed::default(), None),
        JournalRead::Unreadable(why) => unreadable(why)?,
        JournalRead::Later(version) => {
            return Err(OpenError::Fatal(format!(
                "{}: this journal has version {version} of the format, which a later pandad wrote; run that \
                 pandad",
                at.display()
            )));
        }
    };
    recovery::report_damage(&replayed, label, memory);
    Ok(FoundJournal { replayed, journal, boot })
}

/// Begins the journal beside `path` with what was adopted.
pub(super) fn begin_ledger(
    disk: &Arc<dyn Disk>,
    path: &Path,
    FoundJournal { replayed: Replayed { mut state, has_holes, .. }, journal, .. }: FoundJournal,
    half: u64,
    label: LogLabel,
) -> Result<Ledger, OpenError> {
    let at = with_suffix(path, ".journal");
    state.begin_held();
    let begins = journal.is_none();
    let snapshot = state.snapshot();
    let journal = start_journal(disk, &at, (journal, has_holes), half, &snapshot)
        .map_err(|error| classify(&at, &error))?;
    state.forget_changes();
    Ok(Ledger::new(journal, state, label, begins))
}

/// Begins the journal again with a snapshot of what was adopted, so that no older entry is ever
/// compared with the file again. If the half that was read has holes, the snapshot goes to both
/// halves: should the new one ever be damaged, the other one makes up for it.
pub(super) fn start_journal(
    disk: &Arc<dyn Disk>,
    at: &Path,
    (journal, has_holes): (Option<JournalFile>, bool),
    half: u64,
    snapshot: &[JournalEntry],
) -> io::Result<JournalFile> {
    match journal {
        Some(mut journal) => {
            journal.rewrite(snapshot, None)?;
            if has_holes {
                journal.rewrite(snapshot, None)?;
            }
            Ok(journal)
        }
        None => {
            let journal =
                JournalFile::create(disk, at, u128::from_be_bytes(host::random()?), half, snapshot)?;
            disk.sync_names(directory_of(at))?;
            Ok(journal)
        }
    }
}

pub(super) fn check_path(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    match disk.stat(path) {
        Ok(stat) if stat.kind == FileKind::File => Ok(()),
        Ok(_) => Err(OpenError::Mend(format!("{}: not a regular file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let target = disk.target(path);
            let directory = directory_of(&target);
            // If it were no directory, the error would not be this one.
            disk.stat(directory).map(drop).map_err(|error| classify(directory, &error))
        }
        Err(error) => Err(classify(path, &error)),
    }
}

/// Keeps an unreadable journal under another name, for whoever examines it.
pub(super) fn set_aside(disk: &dyn Disk, label: &LogLabel, at: &Path, why: &str) -> Result<(), OpenError> {
    let aside = with_suffix(at, ".unreadable");
    disk.rename(at, &aside).map_err(|error| classify(at, &error))?;
    log::warn!(
        "{label}: the journal cannot be read ({why}) and was moved to {}; reading goes on from the group's \
         offsets",
        aside.display()
    );
    Ok(())
}
