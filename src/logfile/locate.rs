//! Finds the file that the journal knows. The content decides: device and inode numbers change with a copy,
//! with the order of disks at a boot, and on some file systems with each mount, and another file may get
//! the old numbers. The numbers only say where to look first.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, FileKind, FileStat, Handle, OpenMode, directory_of, with_suffix};
use super::journal::{CHECKED_BYTES, FileHead, FileNumber, FilePlace, ONLY_FILE, Range, RangePart};

/// Names beside the log file with these ends are not log files.
const OTHER_SUFFIXES: [&str; 6] = [".gz", ".part", ".journal", ".journal.new", ".lock", ".probe"];

/// Bytes that are read at once while a range is checked.
const CHECKSUM_PIECE_BYTES: usize = 256 * 1024;

/// Where the file that the journal knows was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Located {
    AtPath,
    Beside(PathBuf),
    /// Two files have the content, and neither of them has the numbers.
    Several(PathBuf, PathBuf),
    /// The file has the numbers, but it is shorter than the journal says, or holds other bytes.
    Shortened(PathBuf, u64),
    Changed(PathBuf),
    Nowhere,
}

/// The file that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedFile<'a> {
    number: FileNumber,
    place: &'a FilePlace,
    /// The ranges that are not settled yet.
    ranges: &'a VecDeque<Range>,
    /// The paths of all files of the journal, if it has several.
    siblings: Option<&'a BTreeSet<PathBuf>>,
}

impl<'a> WantedFile<'a> {
    /// The file of a journal that has only one.
    pub(super) fn only(place: &'a FilePlace, ranges: &'a VecDeque<Range>) -> Self {
        Self { number: ONLY_FILE, place, ranges, siblings: None }
    }

    /// One of several files of a journal. `paths` are those of all of them.
    pub(super) fn one_of(
        paths: &'a BTreeSet<PathBuf>,
        (number, place): (FileNumber, &'a FilePlace),
        ranges: &'a VecDeque<Range>,
    ) -> Self {
        Self { number, place, ranges, siblings: Some(paths) }
    }

    /// Where the file ends, as far as it is settled.
    pub(super) fn end(&self) -> u64 {
        self.place.end
    }

    fn is_sibling(&self, other: &Path) -> bool {
        self.siblings.is_some_and(|paths| paths.contains(other))
    }

    /// Whether the file of this other name must be compared.
    fn may_be(&self, path: &Path, other: &Path, stat: FileStat) -> bool {
        is_same_file(stat, self.place) || stat.len >= self.place.end && self.may_be_named(path, other)
    }

    /// Whether the content alone may show that the file at `path` has now the name `other`. Where files of
    /// a set begin alike, because their lines say the same, only a name that was made of the file's own
    /// tells which one it is.
    fn may_be_named(&self, path: &Path, other: &Path) -> bool {
        let (Some(name), Some(other)) = (path.file_name(), other.file_name()) else { return false };
        let appended = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let extension = path.extension().map_or(&[][..], |end| end.as_encoded_bytes());
        self.siblings.is_none()
            || appended.is_some_and(|appended| {
                matches!(appended, [b'.' | b'-' | b'_' | b'~', ..])
                    && (extension.is_empty() || !appended.ends_with(extension))
            })
    }
}

/// How a file compares with the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Same,
    Shorter,
    Other,
}

/// Finds the file of the mark: at the path, where `file` is open, or beside it, where log rotation
/// puts it.
pub(super) fn locate(
    disk: &dyn Disk,
    (path, file): (&Path, Option<&Handle>),
    wanted: WantedFile<'_>,
) -> io::Result<Located> {
    let place = wanted.place;
    // A start has opened or created the file before it looks; for a copy, the file may be missing.
    let at_path = file.map(|file| file.stat()).transpose()?;
    #[cfg(test)]
    if TRUST_NUMBERS.get() {
        return locate_by_numbers(disk, path, at_path, place);
    }
    if place.end == 0 {
        return locate_empty(disk, path, at_path, wanted);
    }
    let likeness = match (file, at_path) {
        (Some(file), Some(stat)) => Some((stat, compare(file, stat.len, place)?)),
        _ => None,
    };
    if let Some((stat, Likeness::Same)) = likeness
        && (place.head.is_some() || is_same_file(stat, place) || covers_all(place))
    {
        return Ok(Located::AtPath);
    }
    let mut changed = None;
    let mut note = |path: &Path, stat: FileStat, likeness| {
        if is_same_file(stat, place) {
            changed = Some(match likeness {
                Likeness::Shorter => Located::Shortened(path.to_owned(), stat.len),
                _ => Located::Changed(path.to_owned()),
            });
        }
    };
    if let Some((stat, likeness)) = likeness {
        note(path, stat, likeness);
    }
    let mut found = Vec::new();
    for (beside, stat) in files_beside(disk, path)? {
        if wanted.is_sibling(&beside) {
            continue;
        }
        if !wanted.may_be(path, &beside, stat) {
            continue;
        }
        let Some(file) = open_beside(disk, (&beside, stat), place)? else { continue };
        let likeness = match compare(&file, stat.len, place) {
            Ok(likeness) => likeness,
            Err(error) if is_same_file(stat, place) => return Err(error),
            // Not the log file, as far as its numbers tell, and it may be unreadable for ever.
            Err(error) => {
                log::debug!("{}: passed over: {error}", beside.display());
                continue;
            }
        };
        // Two names may be hard links to one file.
        let is_found = found.iter().any(|(_, id)| *id == stat.id);
        match likeness {
            Likeness::Same if is_same_file(stat, place) => return Ok(Located::Beside(beside)),
            Likeness::Same if is_found => {}
            Likeness::Same if place.head.is_some() || covers_all(place) => found.push((beside, stat.id)),
            likeness => note(&beside, stat, likeness),
        }
    }
    let mut found = found.into_iter().map(|(beside, _)| beside);
    Ok(match (found.next(), found.next()) {
        (Some(first), Some(second)) => Located::Several(first, second),
        (Some(only), None) => Located::Beside(only),
        _ => changed.unwrap_or(Located::Nowhere),
    })
}

#[cfg(test)]
thread_local! {
    /// If set, the numbers alone are believed. A test sets it to show that the simulator notices this
    /// mistake.
    pub(super) static TRUST_NUMBERS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(test)]
fn locate_by_numbers(
    disk: &dyn Disk,
    path: &Path,
    at_path: Option<FileStat>,
    place: &FilePlace,
) -> io::Result<Located> {
    if at_path.is_some_and(|stat| is_same_file(stat, place)) {
        return Ok(Located::AtPath);
    }
    let same = files_beside(disk, path)?.into_iter().find(|(_, stat)| is_same_file(*stat, place));
    Ok(same.map_or(Located::Nowhere, |(beside, _)| Located::Beside(beside)))
}

/// Finds the file if it was empty at the mark: only its numbers, and the ranges announced since, identify
/// it.
fn locate_empty(
    disk: &dyn Disk,
    path: &Path,
    at_path: Option<FileStat>,
    wanted: WantedFile<'_>,
) -> io::Result<Located> {
    let WantedFile { number, place, ranges, .. } = wanted;
    if at_path.is_some_and(|stat| is_same_file(stat, place)) {
        return Ok(Located::AtPath);
    }
    let ours =
        || ranges.iter().filter_map(|range| range.part_of(number)).filter(|part| part.file == place.file);
    // A longer file cannot be pandad's alone: while the file was empty, each range was durable in the
    // journal before it was written.
    let reach = ours().map(|part| part.to).max().unwrap_or(0);
    let begins_as_ours = |file: &Handle| ours().next().map_or(Ok(false), |first| is_part_in(file, first));
    for (beside, stat) in files_beside(disk, path)? {
        if !is_same_file(stat, place) || wanted.is_sibling(&beside) {
            continue;
        }
        let Some(file) = open_beside(disk, (&beside, stat), place)? else { continue };
        // The numbers may be another file's by now, and nothing of that one may be cut.
        if stat.len <= reach || begins_as_ours(&file)? {
            return Ok(Located::Beside(beside));
        }
    }
    let is_ours = at_path.is_some_and(|stat| stat.len <= reach);
    Ok(if is_ours { Located::AtPath } else { Located::Nowhere })
}

/// `None`: the file cannot be opened, and is passed over. That is not done with the file that is looked for
/// while its disk fails: its lines would be written again. One that pandad may not read may stay so for ever.
fn open_beside(
    disk: &dyn Disk,
    (beside, stat): (&Path, FileStat),
    place: &FilePlace,
) -> io::Result<Option<Handle>> {
    use io::ErrorKind::{NotFound, PermissionDenied};
    match disk.open(beside, OpenMode::Reading) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => Ok(None),
        Err(error) if is_same_file(stat, place) => Err(error),
        Err(_) => Ok(None),
    }
}

fn is_same_file(stat: FileStat, place: &FilePlace) -> bool {
    stat.id == place.file
}

/// Whether the bytes before the mark are the whole file, so that a comparison of the head adds nothing.
fn covers_all(place: &FilePlace) -> bool {
    place.end <= CHECKED_BYTES as u64
}

/// Whether the file, which is so long, is the one of this place.
pub(super) fn is_file_of(file: &Handle, len: u64, place: &FilePlace) -> io::Result<bool> {
    Ok(compare(file, len, place)? == Likeness::Same)
}

fn compare(file: &Handle, len: u64, place: &FilePlace) -> io::Result<Likeness> {
    if len < place.end {
        return Ok(Likeness::Shorter);
    }
    let is_same = crc32fast::hash(&tail(file, place.end)?) == place.before
        && match place.head {
            Some(known) if u64::from(known.length) > place.end => false,
            Some(known) => head(file, u64::from(known.length))? == known,
            None => true,
        };
    Ok(if is_same { Likeness::Same } else { Likeness::Other })
}

/// Whether the bytes in the file are those of the part.
pub(super) fn is_part_in(file: &Handle, part: &RangePart) -> io::Result<bool> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; CHECKSUM_PIECE_BYTES];
    let mut at = part.from;
    while at < part.to {
        let wanted = CHECKSUM_PIECE_BYTES.min(usize::try_from(part.to - at).unwrap_or(CHECKSUM_PIECE_BYTES));
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        file.read_exact_at(piece, at)?;
        hasher.update(piece);
        at += wanted as u64;
    }
    Ok(hasher.finalize() == part.crc)
}

/// The regular files in the directory of `path` that may be the log file under another name.
fn files_beside(disk: &dyn Disk, path: &Path) -> io::Result<Vec<(PathBuf, FileStat)>> {
    let is_other = |name: &Path| {
        let name = name.as_os_str().as_encoded_bytes();
        OTHER_SUFFIXES.iter().any(|suffix| name.ends_with(suffix.as_bytes()))
    };
    // Rotation by pandad puts the file beside the target of a link; rotation by other programs often puts
    // it beside the link.
    let target = disk.target(path);
    let mut all = disk.list(directory_of(&target))?;
    if directory_of(&target) != directory_of(path) {
        all.extend(disk.list(directory_of(path))?);
    }
    let mut files = Vec::new();
    for beside in all {
        if beside == path || beside == target || is_other(&beside) {
            continue;
        }
        // A file with a journal of its own is another pandad's, or another topic's.
        if disk.stat(&with_suffix(&beside, ".journal")).is_ok() {
            continue;
        }
        // A link is no file of its own: what it leads to may be met here, too.
        match disk.stat_link(&beside) {
            Ok(stat) if stat.kind == FileKind::File => files.push((beside, stat)),
            _ => {}
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

/// The head of a file of `end` bytes.
pub(super) fn head(file: &Handle, end: u64) -> io::Result<FileHead> {
    let mut head = FileHead::default();
    head.extend(&tail(file, end.min(CHECKED_BYTES as u64))?);
    Ok(head)
}

/// The bytes before `end`, at most [`CHECKED_BYTES`].
pub(super) fn tail(file: &Handle, end: u64) -> io::Result<Vec<u8>> {
    let from = end.saturating_sub(CHECKED_BYTES as u64);
    let mut bytes = vec![0; CHECKED_BYTES.min(usize::try_from(end).unwrap_or(CHECKED_BYTES))];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}
