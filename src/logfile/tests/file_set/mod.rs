//! A set of files by its public functions: opened, appended to, killed, opened again.

mod bad_disk;
mod complete_dir;
mod compressed;
mod copies;
mod formats;
mod people;
mod periods;
mod writers;

use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::disk::RealDisk;
use crate::logfile::file_set::{FileSetOptions, FileWriters, RoutedPieces};
use crate::logfile::journal::{EVERY_PARTITION, HALF_BYTES_MIN};

/// The files of most tests. Record n is for the file n modulo 3.
const FILES: [&str; 3] = ["a", "b", "c"];

/// A set of files in a temporary directory.
struct Set {
    writers: FileWriters,
    settler: Settler,
    ledger: Ledger,
    /// Where the files are, one directory below the journal.
    files: PathBuf,
}

fn file(dir: &Dir, name: &str) -> PathBuf {
    dir.0.join("k").join(format!("{name}.log"))
}

/// What the file holds; nothing if it is not there.
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn texts(dir: &Dir) -> [String; 3] {
    FILES.map(|name| text(&file(dir, name)))
}

/// The lines of file `number` among the records in [from, to).
fn own_lines(number: i64, from: i64, to: i64) -> String {
    (from..to).filter(|n| n % 3 == number).map(|n| format!("line {n}\n")).collect()
}

/// The content of each file if it has the lines in [from, to).
fn all_lines(from: i64, to: i64) -> [String; 3] {
    [0, 1, 2].map(|number| own_lines(number, from, to))
}

fn set_options(dir: &Dir, open_max: usize, new_max: usize) -> FileSetOptions {
    FileSetOptions {
        base: dir.0.join("all"),
        log_file: options(true),
        complete_dir: None,
        complete_gzip: false,
        open_max,
        new_max,
    }
}

fn try_open_set(disk: &Arc<dyn Disk>, options: &FileSetOptions, half: u64) -> Result<Set, OpenError> {
    let opened =
        crate::logfile::file_set::open_with(disk, options, half, Some(1), &mut RestartMemory::default());
    let (writers, settler, ledger) = opened?;
    let files = directory_of(&options.base).join("k");
    Ok(Set { writers, settler, ledger, files })
}

/// Opens the set. Returns the offset at which the partition goes on, which is 0 at first.
fn open_set_on(disk: &Arc<dyn Disk>, dir: &Dir) -> (Set, i64) {
    open_set_with(disk, &set_options(dir, 100, 1000))
}

fn open_set_with(disk: &Arc<dyn Disk>, options: &FileSetOptions) -> (Set, i64) {
    let set = try_open_set(disk, options, HALF_BYTES_MIN).unwrap();
    let resumed = set.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    if resumed.position.is_none() {
        set.ledger.set_position(&partition(), 0).unwrap();
    }
    let position = resumed.position.unwrap_or(0);
    (set, position)
}

impl Set {
    /// Writes the records in [from, next) as one range, each to its file.
    fn append(&mut self, from: i64, next: i64) {
        self.try_append(from, next).unwrap();
    }

    fn try_append(&mut self, from: i64, next: i64) -> Result<(), AppendError> {
        self.try_append_by(from, next, |n| FILES[n as usize % 3].to_owned())
    }

    /// The same, to the files that a function names.
    fn try_append_by(
        &mut self,
        from: i64,
        next: i64,
        name: impl Fn(i64) -> String,
    ) -> Result<(), AppendError> {
        self.try_append_in(0, &partition(), from..next, name)
    }

    /// Writes records of a partition through a lane.
    fn try_append_in(
        &mut self,
        lane: usize,
        partition: &TopicPartition,
        records: std::ops::Range<i64>,
        name: impl Fn(i64) -> String,
    ) -> Result<(), AppendError> {
        let (index, written) = self.ledger.written(partition).unwrap();
        assert_eq!(written, records.start);
        let position = records.end;
        let mut lines: Vec<(PathBuf, String, crc32fast::Hasher)> = Vec::new();
        for record in records {
            let path = self.files.join(format!("{}.log", name(record)));
            let line = format!("line {record}\n");
            match lines.iter_mut().find(|(known, ..)| *known == path) {
                Some((_, lines, _)) => lines.push_str(&line),
                None => lines.push((path, line, crc32fast::Hasher::new())),
            }
        }
        lines.iter_mut().for_each(|(_, lines, crc)| crc.update(lines.as_bytes()));
        let parts = lines.iter().map(|(path, lines, crc)| RoutedPieces {
            path,
            until: None,
            scope: &EVERY_PARTITION,
            pieces: vec![Piece { bytes: lines.as_bytes(), crc }],
        });
        let last = Some(Landmark { offset: position - 1, fingerprint: 0 });
        let changes = [PositionChange { index, position, last }];
        self.writers.append(lane, &parts.collect::<Vec<_>>(), &changes)
    }

    fn settle(&mut self) {
        let checkpoint = self.ledger.checkpoint();
        let settled = self.settler.settle(checkpoint).unwrap();
        let held: Vec<_> = bare(settled.commits);
        self.ledger.record_committed(&held);
    }
}

/// A disk that takes only so many bytes more for the log files, and then is full.
#[derive(Debug)]
struct FullDisk {
    room: AtomicU64,
    /// Whether the journal is full, too.
    is_journal_full: AtomicBool,
}

impl FullDisk {
    fn new() -> Arc<Self> {
        Arc::new(Self { room: u64::MAX.into(), is_journal_full: false.into() })
    }
}

impl Faults for FullDisk {
    fn append(&self, file: &FaultyFile<Self>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let room = self.room.load(Relaxed);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.room.store(room - taken as u64, Relaxed);
        file.inner.append_all(&bytes[..taken])?;
        Ok(taken)
    }

    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.is_journal_full.load(Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.inner.write_at(bytes, at)
    }
}
