//! Recovery of a journal with several files: finds out which of the journalled ranges are really in their
//! files.
//!
//! A range counts if all of its parts are whole, and if every earlier range counts that has a part in one
//! of its files or moves one of its partitions. Whatever does not count is cut, and its records are
//! fetched again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use super::left_files::LeftFiles;
use crate::logfile::disk::{Disk, OpenMode};
use crate::logfile::journal::{
    FileNumber, FilePlace, JournalEntry, JournalState, Mark, MarkedFile, Range, Replayed, Session,
};
use crate::logfile::label::LogLabel;
use crate::logfile::locate::{Located, WantedFile, locate};
use crate::logfile::open_error::{OpenError, classify};
use crate::logfile::recovery::{cut_rest, end_torn_line, matches_file, open_existing, report_not_found};
use crate::logfile::restart_memory::{Finding, RestartMemory};

/// What was found of one file.
enum FoundFile {
    /// It is this file, and these of its ranges are whole, as far as they follow each other.
    Here(PathBuf, BTreeSet<u64>),
    /// Nothing is known of it any more: it is not there, or another program has changed it.
    Gone,
}

/// Compares the files with the journal, adopts ranges, and cuts what does not count. Afterwards `state`
/// holds what was written, and the caller must journal it. The boot ids are as of
/// [`crate::logfile::recovery::recover`].
///
/// # Errors
/// A file cannot be read or cut, and may not be left for later. Trying again goes on where this stopped.
pub(in crate::logfile) fn recover(
    (disk, root): (&dyn Disk, &Path),
    Replayed { state, lacks_ranges, .. }: &mut Replayed,
    (boot, this_boot): (Option<u128>, Option<u128>),
    (label, memory): (&LogLabel, &mut RestartMemory),
    left: &mut LeftFiles,
) -> Result<(), OpenError> {
    let boot = boot.filter(|_| !*lacks_ranges);
    if let Some(session) = state.session.as_mut().filter(|_| *lacks_ranges) {
        session.closed = false;
    }
    let ranges: VecDeque<Range> = std::mem::take(&mut state.recent);
    let mut reach = BTreeMap::new();
    for part in ranges.iter().flat_map(|range| &range.parts) {
        let known = reach.entry(part.number).or_insert(part.to);
        *known = part.to.max(*known);
    }
    let is_known = is_same_run(state.session, boot);
    let paths = state.files.values().filter_map(|known| known.path().map(|path| root.join(path))).collect();
    let (found, unexamined) = (BTreeMap::new(), state.unexamined.clone());
    #[cfg(test)]
    let unexamined = if UNEXAMINED_FORGOTTEN.get() { BTreeSet::new() } else { unexamined };
    let mut recovery =
        Recovery { disk, root, label, memory, ranges, paths, reach, is_known, unexamined, found };
    for (number, known) in &state.files {
        // Of a file that is about to be moved everything is durable, and it may be anywhere.
        let Some(path) = known.path().filter(|_| known.closing_to().is_none()) else { continue };
        let path = root.join(path);
        if left.is_held_back(*number, &path) {
            continue;
        }
        if left.is_allowed() || recovery.is_touched(*number, &path, &known.place) {
            match recovery.examine(*number, &path, &known.place) {
                Ok(found) => drop(recovery.found.insert(*number, found)),
                Err(error) => left.leave(*number, &path, classify(&path, &error))?,
            }
        }
    }
    loop {
        let verdict = recovery.decide(left)?;
        match recovery.trim_all(state, &verdict) {
            Ok(trimmed) => {
                recovery.finish(state, (verdict, trimmed), left, this_boot);
                return Ok(());
            }
            Err((number, path, error)) => left.leave(number, &path, classify(&path, &error))?,
        }
    }
}

/// Whether every byte of pandad's in the files has a journalled range.
fn is_same_run(session: Option<Session>, boot: Option<u128>) -> bool {
    session.is_some_and(|session| session.closed || Some(session.boot) == boot)
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    /// All files are below it.
    root: &'a Path,
    label: &'a LogLabel,
    memory: &'a mut RestartMemory,
    ranges: VecDeque<Range>,
    /// Where the journal's files are.
    paths: BTreeSet<PathBuf>,
    /// Up to which byte the ranges say that each file can hold pandad's lines.
    reach: BTreeMap<FileNumber, u64>,
    /// Whether every byte of pandad's in the files has a journalled range.
    is_known: bool,
    /// The files of which that is not so.
    unexamined: BTreeSet<FileNumber>,
    found: BTreeMap<FileNumber, FoundFile>,
}

/// Where each file ends that was examined. `None`: it is finished.
type Trimmed = Vec<(FileNumber, Option<FilePlace>)>;

/// Which ranges count.
#[derive(Default)]
struct RangeVerdict {
    counted: Vec<Range>,
    /// How many do not count.
    dropped: usize,
    /// Those of files that are left.
    kept: Vec<Range>,
}

impl Recovery<'_> {
    /// Whether every byte of pandad's in this file has a journalled range.
    fn is_all_known(&self, number: FileNumber) -> bool {
        self.is_known && !self.unexamined.contains(&number)
    }

    /// Whether the file must be looked at: it may hold more than the journal's last mark says.
    fn is_touched(&self, number: FileNumber, path: &Path, place: &FilePlace) -> bool {
        // After a loss of power, ranges may be lost whose lines the file holds. If the file is not at its
        // path, it may be beside.
        self.reach.contains_key(&number)
            || !self.is_all_known(number) && self.disk.stat(path).map_or(true, |stat| stat.len != place.end)
    }

    fn examine(&mut self, number: FileNumber, path: &Path, place: &FilePlace) -> io::Result<FoundFile> {
        let Some(found) = self.look_for(number, path, place)? else { return Ok(FoundFile::Gone) };
        if found != path {
            let text = format!("was moved to {} while pandad did not run", found.display());
            self.memory.info(&self.label.with_path(path), Finding::Moved, &text);
        }
        let whole = self.whole_ranges(number, &found, place)?;
        Ok(FoundFile::Here(found, whole))
    }

    /// Under which name the file is there.
    fn look_for(
        &mut self,
        number: FileNumber,
        path: &Path,
        place: &FilePlace,
    ) -> io::Result<Option<PathBuf>> {
        let file = match self.disk.open(path, OpenMode::Reading) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let wanted = WantedFile::one_of(&self.paths, (number, place), &self.ranges);
        match locate(self.disk, (path, file.as_ref()), wanted) {
            Ok(Located::AtPath) => Ok(Some(path.to_owned())),
            Ok(Located::Beside(moved)) => Ok(Some(moved)),
            Ok(other) => {
                // If every line of the file was settled, nothing is lost with it.
                if self.reach.contains_key(&number) || other != Located::Nowhere {
                    report_not_found(path, &other, place, (&self.label.with_path(path), self.memory));
                }
                Ok(None)
            }
            // The directory was removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The ranges that are whole in this file, each where the one before it ends.
    fn whole_ranges(&self, number: FileNumber, path: &Path, place: &FilePlace) -> io::Result<BTreeSet<u64>> {
        let file = self.disk.open(path, OpenMode::Existing)?;
        // After a failed sync the cache holds pages that seem to be written and are not on the disk. Pages
        // that cannot be synced now are dropped from the cache, so that the comparison reads the disk.
        file.sync()?;
        if let Err(error) = file.drop_cached(place.end) {
            log::debug!("{}: cached pages cannot be dropped: {error}", path.display());
        }
        let (mut end, len, mut whole) = (place.end, file.stat()?.len, BTreeSet::new());
        for range in &self.ranges {
            let Some(part) = range.part_of(number) else { continue };
            let follows = part.file == place.file && part.from == end && part.to <= len;
            if !follows || !matches_file(&file, part)? {
                break;
            }
            end = part.to;
            whole.insert(range.sequence);
        }
        Ok(whole)
    }

    fn decide(&self, left: &LeftFiles) -> Result<RangeVerdict, OpenError> {
        let mut verdict = RangeVerdict::default();
        let (mut broken_files, mut broken) = (BTreeSet::new(), BTreeSet::new());
        for range in &self.ranges {
            let files: Vec<FileNumber> = range.parts.iter().map(|part| part.number).collect();
            if files.iter().any(|number| left.numbers().contains(number)) {
                self.check_keepable(range, left)?;
                verdict.kept.push(range.clone());
                continue;
            }
            let partitions: Vec<u32> = range.changes.iter().map(|change| change.index).collect();
            let is_whole = |number: &FileNumber| match self.found.get(number) {
                Some(FoundFile::Here(_, whole)) => whole.contains(&range.sequence),
                _ => false,
            };
            let is_broken = files.iter().any(|number| broken_files.contains(number))
                || partitions.iter().any(|index| broken.contains(index));
            let is_enough = files.iter().all(is_whole);
            #[cfg(test)]
            let is_enough = is_enough || ONE_PART_IS_ENOUGH.get() && files.iter().any(is_whole);
            if !is_broken && is_enough {
                verdict.counted.push(range.clone());
            } else {
                broken_files.extend(files);
                broken.extend(partitions);
                verdict.dropped += 1;
            }
        }
        Ok(verdict)
    }

    /// A range of a file that is left can only be kept if nothing else depends on it.
    fn check_keepable(&self, range: &Range, left: &LeftFiles) -> Result<(), OpenError> {
        let is_left = |range: &Range| range.parts.iter().all(|part| left.numbers().contains(&part.number));
        let is_of = |index: u32| move |other: &&Range| other.changes.iter().any(|one| one.index == index);
        let mut same = range.changes.iter().flat_map(|change| self.ranges.iter().filter(is_of(change.index)));
        if is_left(range) && same.all(is_left) {
            return Ok(());
        }
        let why = left.refused.first().map(|(_, error)| error.clone().into_text());
        Err(OpenError::Retry(why.unwrap_or_else(|| {
            format!("{}: files with unsettled writes are held back", self.root.display())
        })))
    }

    /// Cuts what does not count.
    ///
    /// # Errors
    /// The file that cannot be cut, by the path that the journal has, and why.
    fn trim_all(
        &mut self,
        state: &JournalState,
        verdict: &RangeVerdict,
    ) -> Result<Trimmed, (FileNumber, PathBuf, io::Error)> {
        let mut ends: BTreeMap<FileNumber, u64> = BTreeMap::new();
        for range in &verdict.counted {
            ends.extend(range.parts.iter().map(|part| (part.number, part.to)));
        }
        let mut trimmed = Vec::new();
        let found = std::mem::take(&mut self.found);
        let mut failed = None;
        for (number, found) in &found {
            let Some(known) = state.files.get(number) else { continue };
            let end = ends.get(number).copied().unwrap_or(known.place.end);
            let FoundFile::Here(at, _) = found else {
                trimmed.push((*number, None));
                continue;
            };
            let path = known.path().map_or_else(|| at.clone(), |path| self.root.join(path));
            match self.trim(at, *number, end) {
                // Lines that follow do not go to a file that was moved away.
                Ok(place) => trimmed.push((*number, Some(place).filter(|_| path == *at))),
                Err(error) => {
                    failed = Some((*number, path, error));
                    break;
                }
            }
        }
        self.found = found;
        match failed {
            None => Ok(trimmed),
            Some((number, path, error)) => {
                self.found.remove(&number);
                Err((number, path, error))
            }
        }
    }

    /// Brings the state to what counts.
    fn finish(
        self,
        state: &mut JournalState,
        (RangeVerdict { counted, dropped, kept }, trimmed): (RangeVerdict, Trimmed),
        left: &LeftFiles,
        this_boot: Option<u128>,
    ) {
        #[cfg(test)]
        let kept = if KEPT_FORGOTTEN.get() { Vec::new() } else { kept };
        let all = counted.len() + dropped;
        if all > 0 {
            let text =
                format!("adopted the unsettled writes that the files hold whole: {} of {all}", counted.len());
            self.memory.info(self.label, Finding::Adopted, &text);
        }
        let last = counted.iter().chain(&kept).map(|range| range.sequence).max().unwrap_or(0);
        // The mark passes the kept ranges, between which others may be missing now.
        let sequence = last.max(state.next_sequence() - 1);
        counted.iter().for_each(|range| state.settle(&range.changes, 0));
        let (mut files, mut finished) = (Vec::new(), Vec::new());
        for (number, place) in trimmed {
            match place {
                Some(place) => files.push(MarkedFile { number, name: None, place }),
                None => finished.push(number),
            }
        }
        let is_unknown = |number: &&FileNumber| !self.is_all_known(**number);
        let unexamined = left.numbers().iter().filter(is_unknown).copied().collect();
        let held = kept.iter().map(|range| range.sequence).collect();
        let mark = Mark { sequence, held, files, finished, unexamined, ..Mark::default() };
        state.apply(JournalEntry::Mark(mark), 0);
        state.keep_ranges(kept);
        // If the boot is unknown, no later boot is taken for the same one.
        state.session = Some(Session { boot: this_boot.unwrap_or_default(), closed: false });
    }

    /// Cuts what does not count, and returns where the file ends now.
    fn trim(&mut self, path: &Path, number: FileNumber, end: u64) -> io::Result<FilePlace> {
        let label = self.label.with_path(path);
        let mut opened = open_existing(self.disk, path)?;
        let reach = if self.is_all_known(number) {
            self.reach.get(&number).copied().unwrap_or(end)
        } else {
            u64::MAX
        };
        #[cfg(test)]
        let reach = if PARTS_STAY.get() { end } else { reach };
        cut_rest(&mut opened, end, reach, (&label, self.memory))?;
        end_torn_line(&mut opened, &label, self.memory)?;
        // Adopted bytes may be only in the page cache, but the mark says that they are durable.
        opened.file.sync()?;
        Ok(opened.place())
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(in crate::logfile) static ONE_PART_IS_ENOUGH: Mistake = const { Mistake::new(false) };
    pub(in crate::logfile) static PARTS_STAY: Mistake = const { Mistake::new(false) };
    pub(in crate::logfile) static KEPT_FORGOTTEN: Mistake = const { Mistake::new(false) };
    pub(in crate::logfile) static UNEXAMINED_FORGOTTEN: Mistake = const { Mistake::new(false) };
}
