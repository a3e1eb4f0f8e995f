//! The files that hold the lines of a log, for whoever reads them again: the log file up to its last mark,
//! and the rotated files, also compressed ones and those of other programs, in the order of rotation. Or the
//! files of a path with placeholders, see `of_set`.

mod copies;
mod log_path;
mod of_set;
mod of_topic;
mod reader;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use log_path::LogPath;
pub use of_set::SetPath;
pub use of_topic::TopicPath;
pub use reader::PartReader;

use super::backup::{CopyFailure, settled_state};
use super::disk::{Disk, FileId, FileKind, FileStat, Handle, OpenMode, RealDisk, directory_of, with_suffix};
use super::journal::{FilePlace, HeldOffsets, JournalState, ONLY_FILE};
use super::locate::{Located, WantedFile, locate};
use super::rotation::stamp_of;
use crate::log_names;
use crate::record::TopicPartition;

/// How often the files are looked at again that are rotated meanwhile.
const LOOKS_MAX: u32 = 40;
/// After so many looks, what is there counts: a file that was moved away under the name that it has now.
const LOOKS_FOR_PATH: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What a journal says of a partition, as of its last mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The position up to which it was settled.
    pub position: i64,
    /// The offsets whose lines were written. `None`: an older pandad writes the file.
    pub held: Option<HeldOffsets>,
}

/// A log at the moment of its last mark.
#[derive(Debug, Default)]
pub struct SettledLog {
    /// The name of its journal, which copies have, too.
    pub identity: Option<u128>,
    /// Every partition that its journal knows.
    pub partitions: Vec<SettledPartition>,
    /// Its files. Those of a path without placeholders are in order, oldest first.
    pub parts: Vec<LogPart>,
    /// What is wrong with the files.
    pub doubts: Vec<String>,
}

/// One file of a log.
#[derive(Debug, Clone)]
pub struct LogPart {
    /// Its name when it was found.
    pub path: PathBuf,
    /// How many bytes of it are read, compressed ones as they are.
    pub bytes: u64,
    pub(in crate::logfile) id: FileId,
    /// Sorts the files of a log: milliseconds since 1970.
    time: i64,
    /// Whether the time is that of the rotation, as pandad's names say it, or that of the log file itself.
    pub has_stamp: bool,
    /// The log file itself stays open, since it may be rotated while it is read.
    open: Option<Handle>,
    /// How many bytes of text are read at most.
    limit: Option<u64>,
    /// Whether the content says if the file is compressed, because its name may be that of a log file.
    is_any_name: bool,
    /// Whether it is one of several files that the journal knows.
    is_known: bool,
    /// Its name below the directory of the set, without that of the compression.
    key: PathBuf,
    /// The directory to which it may be moved while it is read, under this name.
    moved_to: Option<Arc<Path>>,
    /// What tells it from others when it is compressed on the way.
    place: Option<FilePlace>,
    /// Set if the log file is not as the journal says: what is wrong with it. Then it is read to its end.
    pub doubt: Option<&'static str>,
}

/// What the journal of a log file says, and which files belong to it.
///
/// # Errors
/// There is no journal that can be read, or no file that it knows. The text says which.
pub fn settled(log_file: &Path) -> Result<SettledLog, String> {
    looked_at(&|disk, looks| look(disk, log_file, looks))
}

/// One look at the files; the number of the look is given.
type Look<'a> = dyn Fn(&Arc<dyn Disk>, u32) -> Result<SettledLog, CopyFailure> + 'a;

/// Looks until nothing changes meanwhile.
fn looked_at(look: &Look<'_>) -> Result<SettledLog, String> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut looks = 1;
    loop {
        match look(&disk, looks) {
            Ok(log) => return Ok(log),
            Err(CopyFailure::Refused(why)) => return Err(why),
            Err(CopyFailure::Changed(why)) if looks >= LOOKS_MAX => return Err(why),
            Err(CopyFailure::Changed(_)) => {}
        }
        looks += 1;
        std::thread::sleep(LOOK_PAUSE);
    }
}

pub(super) fn look(disk: &Arc<dyn Disk>, log_file: &Path, looks: u32) -> Result<SettledLog, CopyFailure> {
    let before = rotated(&**disk, log_file, &[])?;
    let (journal, state) = settled_state(disk, log_file)?;
    let place = state.files.get(&ONLY_FILE).map(|known| known.place).ok_or_else(|| {
        CopyFailure::Changed(format!("{}: its journal does not know the file yet", log_file.display()))
    })?;
    let wanted = WantedFile::only(&place, &state.recent);
    let (parts, doubt) = file_of(disk, log_file, Some(wanted), (before, &[]), looks)?;
    Ok(SettledLog {
        identity: Some(journal),
        partitions: settled_partitions(&state),
        parts,
        doubts: doubt.into_iter().collect(),
    })
}

/// The log file, which the journal knows, and its rotated files, which must be those from before the journal
/// was read; and what is wrong with the log file. `others` are log files beside it.
fn file_of(
    disk: &Arc<dyn Disk>,
    log_file: &Path,
    wanted: Option<WantedFile<'_>>,
    (before, others): (Vec<LogPart>, &[PathBuf]),
    looks: u32,
) -> Result<(Vec<LogPart>, Option<String>), CopyFailure> {
    let is_known = wanted.is_some();
    let newest = match wanted {
        Some(wanted) => find_known(&**disk, log_file, wanted, looks)?,
        // The journal may have known it once, and does again after the next start.
        None => at_path(&**disk, log_file),
    };
    let mut parts = rotated(&**disk, log_file, others)?;
    if names(&parts) != names(&before) {
        return Err(CopyFailure::Changed(format!("{}: was rotated", log_file.display())));
    }
    parts.retain(|part| newest.as_ref().is_none_or(|newest| part.id != newest.id));
    let doubt = (is_known && newest.is_none()).then(|| not_there(log_file));
    parts.extend(newest);
    Ok((parts, doubt))
}

fn settled_partitions(state: &JournalState) -> Vec<SettledPartition> {
    let partitions = state.partitions.values().map(|known| SettledPartition {
        partition: known.partition.clone(),
        position: known.position,
        held: known.held.clone(),
    });
    partitions.collect()
}

fn not_there(log_file: &Path) -> String {
    format!("{}: is not there", log_file.display())
}

/// The file of this place. If somebody has changed it or put another one in its place, what is there.
fn find_known(
    disk: &dyn Disk,
    log_file: &Path,
    wanted: WantedFile<'_>,
    looks: u32,
) -> Result<Option<LogPart>, CopyFailure> {
    let refused = |error: io::Error| {
        let why = format!("{}: cannot be read: {error}", log_file.display());
        match error.kind() {
            // It was moved or removed between two calls.
            io::ErrorKind::NotFound => CopyFailure::Changed(why),
            _ => CopyFailure::Refused(why),
        }
    };
    let changed = |why: &str| Err(CopyFailure::Changed(format!("{}: {why}", log_file.display())));
    let at_path = match disk.open(log_file, OpenMode::Reading) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused(error)),
    };
    let located = locate(disk, (log_file, at_path.as_ref()), wanted).map_err(refused)?;
    let (path, doubt) = match located {
        Located::AtPath => (log_file.to_owned(), None),
        Located::Beside(_) if looks < LOOKS_FOR_PATH => return changed("was moved"),
        Located::Beside(moved) => (moved, None),
        Located::Several(first, second) => {
            return Err(CopyFailure::Refused(format!(
                "{}: {} and {} both hold what the journal knows; keep copies in another directory",
                log_file.display(),
                first.display(),
                second.display()
            )));
        }
        _ if looks < LOOKS_FOR_PATH => return changed("is not the file that the journal knows"),
        Located::Shortened(path, _) => (path, Some("somebody has shortened it")),
        Located::Changed(path) => (path, Some("somebody has changed it")),
        Located::Nowhere if at_path.is_none() => return Ok(None),
        Located::Nowhere => (log_file.to_owned(), Some("it is not the file that pandad has written")),
    };
    let file = disk.open(&path, OpenMode::Reading).map_err(refused)?;
    let stat = file.stat().map_err(refused)?;
    let bytes = if doubt.is_some() { stat.len } else { wanted.end() };
    let part = LogPart { bytes, limit: Some(bytes), has_stamp: true, doubt, ..LogPart::new(path, stat) };
    Ok(Some(LogPart { open: Some(file), ..part }))
}

fn names(parts: &[LogPart]) -> Vec<&PathBuf> {
    parts.iter().map(|part| &part.path).collect()
}

/// The rotated files of this log in another directory, in which it has no journal.
///
/// # Errors
/// The directory cannot be read.
pub fn archived(log_file: &Path, directory: &Path) -> Result<Vec<LogPart>, String> {
    archived_beside(&directory.join(log_file.file_name().unwrap_or_default()), &[])
}

/// The rotated files beside this path, and the file at the path. `others` are log files beside it.
fn archived_beside(log_file: &Path, others: &[PathBuf]) -> Result<Vec<LogPart>, String> {
    let moved = log_file.to_owned();
    let mut parts = rotated(&RealDisk, &moved, others).map_err(CopyFailure::into_text)?;
    // A copy of the log file itself, without its journal.
    parts.extend(at_path(&RealDisk, &moved));
    Ok(parts)
}

/// What is at the path, if it is a file.
fn at_path(disk: &dyn Disk, path: &Path) -> Option<LogPart> {
    let stat = disk.stat(path).ok().filter(|stat| stat.kind == FileKind::File)?;
    Some(LogPart::new(path.to_owned(), stat))
}

/// Adds the files of another directory. One that is there by the name that pandad gave it, compressed or
/// not, is a copy.
pub fn add_archived(parts: &mut Vec<LogPart>, archived: Vec<LogPart>) {
    let name = |part: &LogPart| {
        let name = part.path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.strip_suffix(".gz").unwrap_or(name).to_owned()
    };
    let known: BTreeSet<String> = parts.iter().filter(|part| part.has_stamp).map(name).collect();
    parts.extend(archived.into_iter().filter(|part| !part.has_stamp || !known.contains(&name(part))));
}

/// Puts parts that were found in several places into the order of rotation. A file that was found twice,
/// as by a link, stays once.
pub fn in_order(parts: &mut Vec<LogPart>) {
    parts.sort_by(|a, b| (a.time, &a.path).cmp(&(b.time, &b.path)));
    let mut seen: Vec<FileId> = Vec::new();
    parts.retain(|part| {
        !seen.contains(&part.id) && {
            seen.push(part.id);
            true
        }
    });
}

/// The rotated files, oldest first. `others` are log files beside it that have no journal of their own.
fn rotated(disk: &dyn Disk, log_file: &Path, others: &[PathBuf]) -> Result<Vec<LogPart>, CopyFailure> {
    let target = disk.target(log_file);
    let directory = directory_of(&target);
    let refused =
        |error: io::Error| CopyFailure::Refused(format!("{}: cannot be read: {error}", directory.display()));
    let mut parts: Vec<LogPart> = Vec::new();
    let listed = disk.list(directory).map_err(refused)?;
    let beside = others.iter().filter(|other| *other != log_file && is_rotated(&target, other)).cloned();
    let others: Vec<PathBuf> = other_logs(&target, &listed).into_iter().chain(beside).collect();
    for path in listed {
        if !is_rotated(&target, &path) || others.iter().any(|other| is_of(other, &path)) {
            continue;
        }
        // A file that is gone by now was compressed or deleted.
        let Ok(stat) = disk.stat_link(&path) else { continue };
        if stat.kind != FileKind::File {
            continue;
        }
        let stamp = stamp_of(&target, &path).map(|(time, _)| time);
        let time = stamp.unwrap_or(stat.modified.saturating_mul(1000));
        parts.push(LogPart { time, has_stamp: stamp.is_some(), ..LogPart::new(path, stat) });
    }
    // While pandad compresses a file, both are there for a moment.
    let compressed: Vec<PathBuf> = parts.iter().map(|part| with_suffix(&part.path, ".gz")).collect();
    parts.retain(|part| !compressed.contains(&part.path));
    in_order(&mut parts);
    Ok(parts)
}

/// The log files beside this one whose rotated files could be taken for its own, as those of `log-2` for
/// those of `log`: each has a journal.
fn other_logs(log_file: &Path, listed: &[PathBuf]) -> Vec<PathBuf> {
    let log_of = |path: &PathBuf| path.to_str()?.strip_suffix(".journal").map(PathBuf::from);
    listed.iter().filter_map(log_of).filter(|other| is_rotated(log_file, other)).collect()
}

fn is_of(log_file: &Path, path: &Path) -> bool {
    log_file == path || is_rotated(log_file, path)
}

/// Whether a name is that of the log file with a date or a number: behind it, as pandad and most programs
/// name rotated files, or before its extension.
fn is_rotated(log_file: &Path, other: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
    let (Some(base), Some(name)) = (name(log_file), name(other)) else { return false };
    if log_names::clash(log_file, other).is_some_and(|what| what != "a rotated file") {
        return false;
    }
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let (stem, extension) = base.rsplit_once('.').map_or((base.as_str(), ""), |(stem, end)| (stem, end));
    let behind = plain.strip_prefix(&base);
    let inside = || plain.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.');
    behind.is_some_and(is_date) || inside().is_some_and(is_date)
}

/// Whether programs that rotate files put such a text behind a name, or before its extension.
fn is_date(text: &str) -> bool {
    text.starts_with(['.', '-', '_'])
        && text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || ".-_TZ".contains(c))
}

impl LogPart {
    /// A file that is read to its end, and whose time nobody knows.
    fn new(path: PathBuf, stat: FileStat) -> Self {
        Self {
            path,
            bytes: stat.len,
            id: stat.id,
            time: i64::MAX,
            has_stamp: false,
            open: None,
            limit: None,
            is_any_name: false,
            is_known: false,
            key: PathBuf::new(),
            moved_to: None,
            place: None,
            doubt: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_of_others_are_known_by_their_names() {
        let is = |name: &str| is_rotated(Path::new("/log/out.log"), &Path::new("/log").join(name));
        for name in [
            "out.log-20261124T153000.123Z",
            "out.log-20261124T153000.123Z.gz",
            "out.log.1",
            "out.log.12.gz",
            "out.log-20261124",
            "out-20261124.log.gz",
            "out.2.log",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "out.log",
            "out.log.gz",
            "out.log.journal",
            "out.log.lock",
            "out.log-20261124T153000.123Z.gz.part",
            "out.log.bak1",
            "out2.log",
            "other.log.1",
            "out.log.",
        ] {
            assert!(!is(name), "{name}");
        }
    }
}
