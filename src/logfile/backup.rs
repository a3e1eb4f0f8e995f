//! Copies a log file and its journal while a pandad may be writing them.
//!
//! The journal is read first, and the log file is copied up to the journal's last mark. So the copy of
//! the journal never claims a line that the copy of the log file does not have, and the copy of the log
//! file has no line that its journal does not know. What was not settled is left out: it is fetched
//! again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{
    BESIDE_MODE, Disk, FileKind, Handle, OWNER_MODE, OpenMode, RealDisk, directory_of, with_suffix,
};
use super::inspect::look;
use super::journal::{
    FilePlace, HALF_BYTES_MIN, JournalEntry, JournalFile, JournalState, Mark, ONLY_FILE, Session,
};
use super::locate::{Located, WantedFile, head, locate, tail};
use super::rotation::stamp_of;

/// How often a copy is begun: the log file may be rotated between the look at the journal and the look
/// at the file.
const ATTEMPTS_MAX: u32 = 40;
/// After so many attempts, a file that was moved away is copied under the name that it has now.
const ATTEMPTS_FOR_PATH: u32 = 20;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes that are copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// Why an attempt has made no copy.
#[derive(Debug)]
pub(super) enum CopyFailure {
    /// The files changed meanwhile.
    Changed(String),
    /// Another attempt would end the same way.
    Refused(String),
}

impl CopyFailure {
    pub(super) fn into_text(self) -> String {
        match self {
            CopyFailure::Changed(text) | CopyFailure::Refused(text) => text,
        }
    }
}

/// Copies the log file and its journal into a directory. Returns lines for whoever asked for it.
///
/// # Errors
/// The text says what stands in the way and what to do. Nothing is left in the directory then.
pub fn copy(log_file: &Path, directory: &Path) -> Result<Vec<String>, String> {
    copy_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), log_file, directory)
}

pub(super) fn copy_on(
    disk: &Arc<dyn Disk>,
    log_file: &Path,
    directory: &Path,
) -> Result<Vec<String>, String> {
    check_directory(&**disk, log_file, directory)?;
    let mut attempt = 1;
    loop {
        match attempt_copy(disk, log_file, directory, attempt > ATTEMPTS_FOR_PATH) {
            Ok(lines) => return Ok(lines),
            Err(CopyFailure::Refused(why)) => return Err(why),
            Err(CopyFailure::Changed(why)) if attempt >= ATTEMPTS_MAX => {
                return Err(format!(
                    "{why}; nothing was copied after {attempt} attempts, so try again later"
                ));
            }
            Err(CopyFailure::Changed(_)) => {}
        }
        attempt += 1;
        std::thread::sleep(ATTEMPT_PAUSE);
    }
}

/// The directory must be there, and not be the one in which the originals are.
fn check_directory(disk: &dyn Disk, log_file: &Path, directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    let refused = |why: io::Error| format!("{shown}: {why}; name a directory that is there");
    let stat = disk.stat(directory).map_err(refused)?;
    if stat.kind != FileKind::Directory {
        return Err(format!("{shown}: not a directory; name one that is there"));
    }
    for original in [log_file, &disk.target(log_file)] {
        if disk.stat(directory_of(original)).is_ok_and(|original| original.id == stat.id) {
            return Err(format!(
                "{shown}: the log file itself is in this directory, and a copy beside it could be taken for \
                 it; name another one"
            ));
        }
    }
    Ok(())
}

fn attempt_copy(
    disk: &Arc<dyn Disk>,
    log_file: &Path,
    directory: &Path,
    may_be_moved: bool,
) -> Result<Vec<String>, CopyFailure> {
    let mut rotated = rotated_files(&**disk, log_file);
    let (identity, mut state) = settled_state(disk, log_file)?;
    refuse_several(log_file, &state)?;
    let place = state.files.get(&ONLY_FILE).map(|known| known.place).ok_or_else(|| {
        CopyFailure::Changed(format!("{}: its journal does not know the file yet", log_file.display()))
    })?;
    let from = source_of(&**disk, log_file, &place, &state, may_be_moved)?;
    if rotated_files(&**disk, log_file).last() != rotated.last() {
        // Otherwise nobody could say which rotated files belong to the copy.
        return Err(CopyFailure::Changed(format!("{}: was rotated", log_file.display())));
    }
    let name = from.file_name().ok_or_else(|| unnamed(&from))?;
    let journal_name =
        with_suffix(Path::new(log_file.file_name().ok_or_else(|| unnamed(log_file))?), ".journal");
    let (log_copy, journal_copy) = (directory.join(name), directory.join(journal_name));
    let aside = with_suffix(&journal_copy, ".new");
    if let Some(taken) = [&log_copy, &journal_copy, &aside].iter().find(|name| disk.stat_link(name).is_ok()) {
        return Err(is_taken(taken));
    }
    let mut begun = Vec::new();
    let copied = copy_log(&**disk, &from, &log_copy, &place, &mut begun).and_then(|copied| {
        state.recent.clear();
        state.apply(JournalEntry::Mark(Mark::of_only_file(state.next_sequence() - 1, copied)), 0);
        // As after a clean stop: all of ours in the copy is before the mark.
        state.session = state.session.map(|session| Session { closed: true, ..session });
        // The journal is written into this file first.
        begin(&**disk, &aside, BESIDE_MODE, &mut begun)?;
        let refused = |error| cannot_write(&journal_copy, &error);
        disk.sync_names(directory).map_err(refused)?;
        JournalFile::create(disk, &journal_copy, identity, HALF_BYTES_MIN, &state.snapshot())
            .map_err(refused)?;
        begun.push(journal_copy.clone());
        disk.sync_names(directory).map_err(refused)
    });
    if let Err(failure) = copied {
        for file in begun {
            // A file that was renamed is not there under its first name.
            let _not_there = disk.remove(&file);
        }
        return Err(failure);
    }
    let mut lines = vec![format!("{}: copied {} bytes to {}", from.display(), place.end, log_copy.display())];
    rotated.retain(|file| *file != from);
    if let Some(rotated) = rotated.last() {
        lines.push(format!("{}: is the last rotated file that belongs to the copy", rotated.display()));
    }
    lines.push(format!(
        "{}: written last; put both back together, under the names that they have here",
        journal_copy.display()
    ));
    Ok(lines)
}

/// Of several files only some would be copied, and a copy with such a journal would cut the others.
fn refuse_several(base: &Path, state: &JournalState) -> Result<(), CopyFailure> {
    let is_named = state.files.values().any(|known| known.path().is_some());
    // Only the journal of a path with placeholders has a name with braces. It may know no file any more.
    let is_template = || base.to_string_lossy().contains('{') && !state.files.contains_key(&ONLY_FILE);
    if !is_named && !is_template() {
        return Ok(());
    }
    Err(CopyFailure::Refused(format!(
        "{}: this is the journal of several files, which are not copied while they may be written: stop \
         pandad, and copy the whole directory {}, as with cp -a",
        base.display(),
        directory_of(base).display()
    )))
}

fn unnamed(path: &Path) -> CopyFailure {
    CopyFailure::Refused(format!("{}: not the path of a file", path.display()))
}

/// What pandad itself has rotated, oldest first.
fn rotated_files(disk: &dyn Disk, log_file: &Path) -> Vec<PathBuf> {
    let target = disk.target(log_file);
    let all = disk.list(directory_of(&target)).unwrap_or_default();
    let mut stamped: Vec<_> =
        all.into_iter().filter_map(|file| Some((stamp_of(&target, &file)?.0, file))).collect();
    stamped.sort();
    stamped.into_iter().map(|(_, file)| file).collect()
}

/// The journal's name, and what was settled at the moment of its last mark.
pub(super) fn settled_state(
    disk: &Arc<dyn Disk>,
    log_file: &Path,
) -> Result<(u128, JournalState), CopyFailure> {
    let (journal, contents) = look(disk, log_file).map_err(CopyFailure::Refused)?;
    let identity = journal.identity();
    let replayed = contents.replay(None).map_err(|why| {
        CopyFailure::Refused(format!(
            "{}: its journal is damaged: {why}; restart pandad, which begins the journal anew, or copy both \
             when it has stopped",
            log_file.display()
        ))
    })?;
    Ok((identity, replayed.state))
}

/// The file that the mark means: at its path or, if it was moved away and pandad has not gone on
/// elsewhere, beside it.
fn source_of(
    disk: &dyn Disk,
    log_file: &Path,
    place: &FilePlace,
    state: &JournalState,
    may_be_moved: bool,
) -> Result<PathBuf, CopyFailure> {
    let shown = log_file.display();
    let changed = |why: &str| Err(CopyFailure::Changed(format!("{shown}: {why}")));
    let file = match disk.open(log_file, OpenMode::Reading) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot_read(log_file, &error)),
    };
    match locate(disk, (log_file, file.as_ref()), WantedFile::only(place, &state.recent)) {
        Ok(Located::AtPath) => Ok(log_file.to_owned()),
        Ok(Located::Beside(moved)) if may_be_moved => Ok(moved),
        Ok(Located::Beside(moved)) => {
            changed(&format!("was moved to {}, and pandad has not gone on elsewhere yet", moved.display()))
        }
        Ok(Located::Several(first, second)) => Err(CopyFailure::Refused(format!(
            "{shown}: {} and {} both hold what the journal knows; keep copies in another directory",
            first.display(),
            second.display()
        ))),
        Ok(_) => changed("is not the file that the journal knows, and no other file in its directory is"),
        Err(error) => Err(cannot_read(log_file, &error)),
    }
}

/// Creates a file of the copy, and adds it to those that were begun. The names were free a moment ago, but
/// another copy may have begun a file meanwhile.
fn begin(disk: &dyn Disk, path: &Path, mode: u32, begun: &mut Vec<PathBuf>) -> Result<Handle, CopyFailure> {
    let file = disk.open(path, OpenMode::New(mode)).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_taken(path),
        _ => cannot_write(path, &error),
    })?;
    begun.push(path.to_owned());
    Ok(file)
}

fn is_taken(path: &Path) -> CopyFailure {
    let why = "is there already, and a copy takes the place of no file; name an empty directory";
    CopyFailure::Refused(format!("{}: {why}", path.display()))
}

/// Copies the file up to the mark, durably. Returns the place at the end of the copy.
fn copy_log(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    place: &FilePlace,
    begun: &mut Vec<PathBuf>,
) -> Result<FilePlace, CopyFailure> {
    let source = disk.open(from, OpenMode::Reading).map_err(|error| cannot_read(from, &error))?;
    let access = source.access().map_err(|error| cannot_read(from, &error))?;
    let copy = begin(disk, to, OWNER_MODE, begun)?;
    // If the owner cannot be kept, the mode is.
    let _is_ours = copy.set_access(access).map_err(|error| cannot_write(to, &error))?;
    let mut piece = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < place.end {
        let wanted = COPY_BYTES.min(usize::try_from(place.end - at).unwrap_or(COPY_BYTES));
        let piece = piece.get_mut(..wanted).unwrap_or_default();
        source.read_exact_at(piece, at).map_err(|error| cannot_read(from, &error))?;
        copy.write_at(piece, at).map_err(|error| cannot_write(to, &error))?;
        at += wanted as u64;
    }
    copy.sync().map_err(|error| cannot_write(to, &error))?;
    place_in(&copy, place).map_err(|error| cannot_read(to, &error))?.ok_or_else(|| {
        CopyFailure::Changed(format!("{}: its bytes are not those that the journal knows", from.display()))
    })
}

/// The place at the end of the copy, if the copy has the bytes that the journal's mark knows.
fn place_in(copy: &Handle, place: &FilePlace) -> io::Result<Option<FilePlace>> {
    let before = crc32fast::hash(&tail(copy, place.end)?);
    let first = match place.head {
        Some(known) => head(copy, u64::from(known.length))?,
        None => head(copy, place.end)?,
    };
    let is_same = before == place.before && place.head.is_none_or(|known| known == first);
    let file = copy.stat()?.id;
    Ok(is_same.then_some(FilePlace { file, head: Some(first), ..*place }))
}

fn cannot_read(path: &Path, error: &io::Error) -> CopyFailure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            CopyFailure::Changed(format!("{shown}: another program has shortened it"))
        }
        io::ErrorKind::NotFound => CopyFailure::Changed(format!("{shown}: is not there")),
        io::ErrorKind::PermissionDenied => {
            CopyFailure::Refused(format!("{shown}: {error}; copy as the user that pandad runs as"))
        }
        _ => CopyFailure::Refused(format!("{shown}: cannot be read: {error}; look at its disk")),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> CopyFailure {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there, or name another directory"
        }
        io::ErrorKind::PermissionDenied => "name a directory in which this user may create files",
        io::ErrorKind::ReadOnlyFilesystem => "name a directory that can be written to",
        _ => "look at its disk, or name another directory",
    };
    CopyFailure::Refused(format!("{}: cannot be written: {error}; {remedy}", path.display()))
}
