//! One log file for each topic, and one journal for all of these. A file that cannot be opened does not hold
//! up the others: its ranges stay in the journal until a later opening.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Archive;
use super::disk::{Disk, OpenMode, RealDisk, directory_of, mount_id, with_suffix};
use super::file_set::{LeftFiles, TakenFile, leave_later, recover, take_over, try_take_over};
use super::journal::{FileNumber, FilePlace, HALF_BYTES_MIN, MarkedFile, NamedFile, RouteScope};
use super::label::LogLabel;
use super::lock::is_unlocked;
use super::open_error::classify;
use super::opening::{begin_ledger, check_names, check_path, era, read_journal, try_disk};
use super::recovery::{self, OpenedLog, end_torn_line};
use super::{Ledger, Lock, LogFileOptions, LogWriter, OpenError, RestartMemory, Settler, rotation};

/// Where the files of the topics are, and how they are written.
#[derive(Debug, Clone)]
pub struct TopicFilesOptions {
    /// The journal's path without its suffix, in a directory below which all files are.
    pub base: PathBuf,
    /// The files, one for each topic.
    pub paths: Vec<PathBuf>,
    /// The topics of the files, in the same order.
    pub topics: Vec<String>,
    /// How each file is written.
    pub log_file: LogFileOptions,
}

/// The files of several topics and their journal, open and locked.
#[derive(Debug)]
pub struct TopicFiles {
    /// The ends that append, in the order of the paths.
    pub files: Vec<(PathBuf, LogWriter)>,
    /// The files that are not open, and why.
    pub refused: Vec<(PathBuf, OpenError)>,
    /// The end that syncs.
    pub settler: Settler,
    /// The positions.
    pub ledger: Ledger,
    /// The lock of the journal. It is released when its last clone is dropped.
    pub lock: Lock,
    /// The locks of the files that are open: a pandad that writes one of these alone looks at it, and so does
    /// an older one.
    pub file_locks: Vec<Lock>,
}

/// Locks the journal, reads it, adopts what the files hold of the journalled ranges, and opens every file
/// that can be opened. `held_back` are files that are not tried, and why.
///
/// # Errors
/// The journal cannot be used, see [`OpenError`].
pub fn open_topics(
    options: &TopicFilesOptions,
    held_back: Vec<(PathBuf, OpenError)>,
    memory: &mut RestartMemory,
) -> Result<TopicFiles, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    check_path(&*disk, &options.base)?;
    let lock = Lock::take_of_several(&options.base)?;
    let (mut refused, mut file_locks) = (held_back, Vec::new());
    for path in &options.paths {
        if refused.iter().any(|(other, _)| other == path) {
            continue;
        }
        match check(&*disk, path, &options.log_file).and_then(|()| Lock::take(path)) {
            Ok(lock) => file_locks.push((path, lock)),
            Err(error) => refused.push((path.clone(), error)),
        }
    }
    let eras = OpeningEras { set: era_of(&options.base, &options.paths), file: &era };
    let mut opened = open_with(&disk, options, refused, HALF_BYTES_MIN, &eras, memory)?;
    if options.log_file.rotation.is_on() {
        // The journal does not need the rotated files of these any more.
        opened.start_archives(&disk, &options.log_file);
    }
    let OpenTopics { files, refused, settler, ledger } = opened;
    // Whoever tries a refused file must not take this process for another one.
    file_locks.retain(|(path, _)| !refused.iter().any(|(other, _)| other == *path));
    let file_locks = file_locks.into_iter().map(|(_, lock)| lock).collect();
    Ok(TopicFiles { files, refused, settler, ledger, lock, file_locks })
}

/// Whether the file can probably be opened: its disk is usable, and no other pandad has it. Nothing of it is
/// changed.
///
/// # Errors
/// Why not.
pub fn try_topic_file(path: &Path, options: &LogFileOptions, sync_failed: bool) -> Result<(), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    check_path(&*disk, path)?;
    check_names(&*disk, path, &options.rotation)?;
    try_take_over(&disk, path)?;
    if !is_unlocked(path) {
        return Err(OpenError::Retry(format!("{}: locked", with_suffix(path, ".lock").display())));
    }
    let refused = |error| classify(path, &error);
    if sync_failed || disk.stat(path).is_err() {
        try_disk(path).map_err(refused)?;
    }
    match disk.open(path, OpenMode::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file.and_then(|file| file.sync()).map_err(refused),
    }
}

fn check(disk: &dyn Disk, path: &Path, options: &LogFileOptions) -> Result<(), OpenError> {
    check_path(disk, path)?;
    check_names(disk, path, &options.rotation)?;
    rotation::begin_as_before(disk, path, &options.rotation).map_err(|error| classify(path, &error))
}

/// The boots and mounts of this opening, see [`era`]: of the set, and of each file by itself.
pub(super) struct OpeningEras<'a> {
    pub(super) set: Option<u128>,
    pub(super) file: &'a dyn Fn(&Path) -> Option<u128>,
}

/// As [`era`], of all file systems with files.
fn era_of(base: &Path, paths: &[PathBuf]) -> Option<u128> {
    let mounts = paths.iter().map(|path| mount_id(directory_of(path))).collect();
    era(base).map(|era| with_mounts(era, mount_id(directory_of(base)), mounts))
}

/// Differs for each set of mounts. The journal's own counts already.
pub(super) fn with_mounts(era: u128, own: u64, mounts: BTreeSet<u64>) -> u128 {
    let others = mounts.into_iter().filter(|mount| *mount != own);
    others.fold(era, |era, mount| era.rotate_left(7) ^ u128::from(mount))
}

/// What is open of the files, without a lock.
pub(super) struct OpenTopics {
    pub(super) files: Vec<(PathBuf, LogWriter)>,
    pub(super) refused: Vec<(PathBuf, OpenError)>,
    pub(super) settler: Settler,
    pub(super) ledger: Ledger,
}

/// Opens the journal and the files, except for those that are refused.
pub(super) fn open_with(
    disk: &Arc<dyn Disk>,
    options: &TopicFilesOptions,
    mut refused: Vec<(PathBuf, OpenError)>,
    half: u64,
    eras: &OpeningEras<'_>,
    memory: &mut RestartMemory,
) -> Result<OpenTopics, OpenError> {
    let (base, log_file) = (options.base.as_path(), &options.log_file);
    let (label, root) = (LogLabel::new(log_file.job, base), directory_of(base));
    let mut found = read_journal(disk, base, &label, eras.set, memory)?;
    let boots = (found.boot, eras.set);
    let mut left = LeftFiles::allowed(refused.iter().map(|(path, _)| path.clone()).collect());
    leave_later(disk, root, &mut found.replayed.state, &mut left)?;
    recover((&**disk, root), &mut found.replayed, boots, (&label, memory), &mut left)?;
    let ledger = begin_ledger(disk, base, found, half, label.clone())?.leaving(left.numbers());
    // A start that was killed may have created the journal, and the files can be in other directories.
    disk.sync_names(root).map_err(|error| classify(root, &error))?;
    refused.extend(std::mem::take(&mut left.refused));
    let sync_failed = memory.sync_failed;
    for (path, topic) in options.paths.iter().zip(&options.topics) {
        if refused.iter().any(|(other, _)| other == path) {
            continue;
        }
        let file = TakenFile { root, path, topic };
        memory.sync_failed = sync_failed || memory.is_untaken(path);
        let taken = take_over(disk, &ledger, file, (eras.file)(path), (&label, memory));
        memory.record_take_over(path, taken.is_err());
        refused.extend(taken.err().map(|error| (path.clone(), error)));
    }
    memory.sync_failed = false;
    finish_removed(&ledger, options, left.numbers())
        .map_err(|error| classify(&with_suffix(base, ".journal"), &error))?;
    let opening = Opening { disk, base, root, label: &label, ledger: &ledger, options: log_file };
    let paths = options.paths.iter().filter(|path| !refused.iter().any(|(other, _)| other == *path));
    let paths: Vec<&Path> = paths.map(PathBuf::as_path).collect();
    let (files, more) = opening.open_all(&paths, memory)?;
    refused.extend(more);
    refused.retain(|(path, _)| options.paths.contains(path));
    let settler = Settler { ledger: ledger.clone(), sync: log_file.sync };
    Ok(OpenTopics { files, refused, settler, ledger })
}

/// The files of topics that are not read any more are as the journal says. From now on they are not this
/// journal's: after a loss of power, a later start would cut what others have written there meanwhile. Not
/// durable on return: if that is lost, this is done again.
fn finish_removed(
    ledger: &Ledger,
    options: &TopicFilesOptions,
    left: &BTreeSet<FileNumber>,
) -> io::Result<()> {
    let root = directory_of(&options.base);
    let known = ledger.numbered_files().into_iter();
    let removed = known.filter(|(name, number, closing)| {
        // A path with other placeholders has ended, or will end, the files of periods.
        let is_of_period = name.until.is_some() || closing.is_some();
        !is_of_period && !left.contains(number) && !options.paths.contains(&root.join(&name.path))
    });
    let removed: Vec<FileNumber> = removed.map(|(_, number, _)| number).collect();
    ledger.finish_files(&removed).map(drop)
}

impl OpenTopics {
    fn start_archives(&mut self, disk: &Arc<dyn Disk>, options: &LogFileOptions) {
        for (path, mut writer) in std::mem::take(&mut self.files) {
            match Archive::start(Arc::clone(disk), &path, options) {
                Ok(archive) => {
                    writer.archive = Some(archive);
                    self.files.push((path, writer));
                }
                Err(error) => {
                    let why = classify(&path, &error);
                    self.refused.push((path, why));
                }
            }
        }
    }
}

/// Opens the files once the journal is open.
struct Opening<'a> {
    disk: &'a Arc<dyn Disk>,
    base: &'a Path,
    root: &'a Path,
    label: &'a LogLabel,
    ledger: &'a Ledger,
    options: &'a LogFileOptions,
}

/// Files with what goes with each.
type Files<T> = Vec<(PathBuf, T)>;

impl Opening<'_> {
    /// Opens these files. Those that the journal does not know yet are named in one mark.
    fn open_all(
        &self,
        paths: &[&Path],
        memory: &mut RestartMemory,
    ) -> Result<(Files<LogWriter>, Files<OpenError>), OpenError> {
        let numbered = self.ledger.numbered_files().into_iter();
        let known: BTreeMap<PathBuf, FileNumber> =
            numbered.map(|(name, number, _)| (self.root.join(name.path), number)).collect();
        let (mut opened, mut refused) = (Vec::new(), Vec::new());
        for path in paths {
            let number = known.get(*path).copied();
            match self.open(path, number, memory) {
                Ok(log) => opened.push((path.to_path_buf(), number, log)),
                Err(error) => refused.push((path.to_path_buf(), classify(path, &error))),
            }
        }
        let journal = |error| classify(&with_suffix(self.base, ".journal"), &error);
        let new = opened.iter().filter(|(_, number, _)| number.is_none());
        let new: Vec<(NamedFile, FilePlace)> =
            new.map(|(path, _, log)| (self.named(path), log.place())).collect();
        let mut numbers = Vec::new();
        if !new.is_empty() {
            numbers = self.ledger.begin_files(new).map_err(journal)?;
            self.ledger.repeat_mark().map_err(journal)?;
        }
        self.ledger.sync_journal().map_err(journal)?;
        let mut numbers = numbers.into_iter();
        let attach = |(path, number, log): (PathBuf, Option<FileNumber>, OpenedLog)| {
            let number = number.or_else(|| numbers.next())?;
            let (disk, ledger) = (Arc::clone(self.disk), self.ledger.clone());
            let writer = LogWriter::new(disk, (&path, number), ledger, log, self.options);
            Some((path, writer))
        };
        Ok((opened.into_iter().filter_map(attach).collect(), refused))
    }

    fn named(&self, path: &Path) -> NamedFile {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        NamedFile { path, until: None, scope: RouteScope::default() }
    }

    /// Opens one file at its end, and creates it if need be. What the file holds and its name are durable.
    fn open(
        &self,
        path: &Path,
        number: Option<FileNumber>,
        memory: &mut RestartMemory,
    ) -> io::Result<OpenedLog> {
        let mut opened = recovery::open(&**self.disk, path)?;
        self.disk.sync_names(directory_of(&self.disk.target(path)))?;
        let known = number.and_then(|number| Some((number, self.ledger.place_of(number)?)));
        if let Some((_, place)) = &known
            && opened.goes_on_at(place)?
        {
            return Ok(opened);
        }
        end_torn_line(&mut opened, &self.label.with_path(path), memory)?;
        opened.file.sync()?;
        if let Some((number, _)) = known {
            self.ledger.move_file(MarkedFile { number, name: None, place: opened.place() })?;
        }
        Ok(opened)
    }
}
