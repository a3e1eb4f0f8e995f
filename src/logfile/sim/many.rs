//! Crash points of a journal with several files: recorded runs are stopped after each of their file
//! operations, by a kill or by a loss of power, once or twice. In the end each record must be once in the
//! file that it belongs to, in order, with nothing in between.
//!
//! The fault model is that of the crash points of one file. Beside that, every file has names of its own in
//! directories of its own, and only few of them are open.

mod crash;
mod damage;
mod failed_sync;
mod operator;
mod shipped;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shipped::{plain, where_written};

use super::disk::{DiskFlaw, RunEnd, STOPPED, SimDisk};
use crate::logfile::directories::make_directories;
use crate::logfile::disk::OpenMode;
use crate::logfile::file_set::{CompleteBefore, FileSetOptions, FileWriters, RoutedPieces, open_with};
use crate::logfile::{
    AppendError, Disk, EVERY_PARTITION, Landmark, Ledger, LogFileOptions, Piece, PositionChange,
    RestartMemory, Rotation, Settler,
};
use crate::record::{OffsetMetadata, TopicPartition};

/// The partitions of two topics. Each topic has a lane.
const PARTITIONS: [(&str, i32); 3] = [("a", 0), ("a", 1), ("b", 0)];
/// Records of each partition.
const RECORDS: i64 = 24;
const ROOT: &str = "/log";
const HALF_BYTES: u64 = 8192;
/// How often a write is tried again that the disk refuses.
const TRIES: u32 = 6;

/// What a run does between two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Writes so many records of a partition.
    Append(usize, i64),
    /// Writes records of two partitions of a topic as one range.
    Both(i64),
    /// The written records settle, and the group takes the commit.
    Settle,
    /// Another program renames the file away that has this record, as log rotation does.
    Moved(usize, i64),
    /// The files are finished and moved whose records every partition has.
    Finish,
    /// Also those whose records are still to come for some partitions: these are late.
    FinishEarly,
    /// As [`Self::FinishEarly`], and what is to be compressed is not published yet.
    BeginToFinish,
    /// Another program takes complete files away.
    Ship,
}

#[rustfmt::skip]
const SCRIPT: &[Step] = {
    use Step::{Append, BeginToFinish, Both, Finish, FinishEarly, Moved, Settle, Ship};
    &[
        Append(0, 3), Append(2, 2), Settle, Both(2), Append(2, 3), Settle, Append(1, 4), Append(0, 1),
        Moved(0, 0), Append(0, 3), Append(2, 1), Settle, Append(1, 2), Moved(2, 5), Append(2, 4),
        Append(0, 2), Settle, FinishEarly, Both(3), Moved(1, 6), Settle, Append(1, 3), Append(2, 1),
        Append(0, 4), Settle, Finish, Append(1, 2), Ship, Append(0, 5), Settle, FinishEarly, Append(2, 1),
        Append(1, 3), Settle, BeginToFinish, Append(1, 2), Settle, Finish,
    ]
};

/// The mistakes that a run makes on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Nothing,
    CommitBeforeSync,
    NamesNotSynced,
    /// A range counts if one of its parts is whole.
    OnePartIsEnough,
    /// A file is closed while its bytes may not be durable, and no checkpoint syncs it.
    ClosedWithoutSync,
    /// A file gets lines before the journal is sure to know it.
    BegunWithoutSync,
    /// A complete file loses its old name before the new one is durable.
    MovedWithoutSync,
    /// A complete file is removed before what was made of it by compression is durable.
    CompressedWithoutSync,
    /// A complete file is removed before the compressed one has its name.
    UnlinkedBeforeLink,
    /// A compressed file gets its final name before the name is durable by which it is known again.
    PartWithoutSync,
    /// What a range that does not count has left in its other files stays there.
    PartsStay,
}

/// Which runs compress complete files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gzip {
    Never,
    Always,
    /// Every other one.
    Changing,
}

/// The part of the world that outlives the process.
#[derive(Clone)]
struct World {
    disk: SimDisk,
    /// The offset that the group holds, and the metadata beside it.
    group: [Option<(i64, String)>; PARTITIONS.len()],
    boot: u128,
    mistake: Mistake,
    gzip: Gzip,
    runs: u32,
    /// What the process remembers if it is not killed.
    sync_failed: bool,
    /// The files that another program renamed when their compressed copies were published already.
    copied: BTreeSet<Option<usize>>,
}

struct Run {
    writers: FileWriters,
    settler: Settler,
    ledger: Ledger,
    next: [i64; PARTITIONS.len()],
}

fn partition(number: usize) -> TopicPartition {
    TopicPartition::new(PARTITIONS[number].0, PARTITIONS[number].1)
}

/// Which file a record belongs to. Neighbouring records are in different files and, now and then, in
/// different directories.
fn path_of(number: usize, record: i64) -> PathBuf {
    format!("{ROOT}/{}/{}/{}.log", PARTITIONS[number].0, record / 7, record % 2).into()
}

/// When the period of a file ends, which only one topic's files have. The time of a record is its number.
fn until_of(path: &Path) -> Option<i64> {
    let period = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let period = period.and_then(|period| period.parse::<i64>().ok()).unwrap();
    path.starts_with("/log/a").then_some((period + 1) * 7)
}

/// Some files are there already, with a line of somebody else.
const THERE: [&str; 2] = ["/log/b/0/0.log", "/log/b/0/1.log"];
const FOREIGN: &str = "a line of somebody else\n";

fn line(number: usize, record: i64) -> Vec<u8> {
    format!("record {number}/{record}, whole\n").into_bytes()
}

impl World {
    fn new(mistake: Mistake) -> Self {
        let flaw = if mistake == Mistake::NamesNotSynced { DiskFlaw::NamesNotSynced } else { DiskFlaw::None };
        let disk = SimDisk::new(DiskFlaw::None);
        for name in THERE {
            make_directories(&disk, Path::new(ROOT), Path::new(name).parent().unwrap()).unwrap();
            let file = disk.open(Path::new(name), OpenMode::Append).unwrap();
            file.append_all(FOREIGN.as_bytes()).and_then(|()| file.sync()).unwrap();
        }
        disk.sync_names(Path::new("/log/b/0")).unwrap();
        disk.set_flaw(flaw);
        Self {
            disk,
            group: [None, None, None],
            boot: 1,
            mistake,
            gzip: Gzip::Never,
            runs: 0,
            sync_failed: false,
            copied: BTreeSet::new(),
        }
    }

    fn compressing(self, gzip: Gzip) -> Self {
        Self { gzip, ..self }
    }

    fn copy(&self) -> Self {
        Self { disk: self.disk.copy(), ..self.clone() }
    }

    /// One run of the program: first the script, then writing until every record is written. `None` if the
    /// run was stopped.
    fn run(&mut self, script: &[Step]) -> Option<()> {
        let mut run = self.open()?;
        for step in script {
            self.step(&mut run, *step)?;
        }
        for number in 0..PARTITIONS.len() {
            while run.next[number] < RECORDS {
                self.step(&mut run, Step::Append(number, 4))?;
            }
        }
        self.step(&mut run, Step::Settle)?;
        self.step(&mut run, Step::Finish)?;
        run.ledger.close().ok()
    }

    fn open(&mut self) -> Option<Run> {
        self.runs += 1;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let log_file = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
        let options = FileSetOptions {
            base: Path::new(ROOT).join("all"),
            log_file,
            complete_dir: Some("/done".into()),
            complete_gzip: match self.gzip {
                Gzip::Never => false,
                Gzip::Always => true,
                Gzip::Changing => self.runs % 2 == 1,
            },
            open_max: 8,
            new_max: 1000,
        };
        let mut memory = RestartMemory::default();
        memory.sync_failed = std::mem::take(&mut self.sync_failed);
        let (mut writers, settler, ledger) =
            open_with(&disk, &options, HALF_BYTES, Some(self.boot), &mut memory).ok()?;
        writers.compress_at_once(true);
        let mut run = Run { writers, settler, ledger, next: [0; PARTITIONS.len()] };
        for number in 0..PARTITIONS.len() {
            let (offset, beside) = self.group[number].clone().unzip();
            let beside = OffsetMetadata::Text(beside.unwrap_or_default());
            let resumed = run.ledger.resume(&partition(number), offset, &beside).ok()?;
            run.next[number] = match resumed.position {
                Some(position) => position,
                None => run.ledger.set_position(&partition(number), 0).ok().map(|()| 0)?,
            };
        }
        Some(run)
    }

    fn step(&mut self, run: &mut Run, step: Step) -> Option<()> {
        match step {
            Step::Append(number, count) => run.append(&[number], count),
            Step::Both(count) => run.append(&[0, 1], count),
            Step::Finish => run.finish(run.next.into_iter().min()?),
            Step::FinishEarly => run.finish(run.next.into_iter().max()?),
            Step::BeginToFinish => run.begin_to_finish(run.next.into_iter().max()?),
            Step::Moved(number, record) => {
                self.move_away(&path_of(number, record));
                Some(())
            }
            Step::Ship => self.ship(),
            Step::Settle => {
                let checkpoint = run.ledger.checkpoint();
                if self.mistake == Mistake::CommitBeforeSync {
                    self.group = run.next.map(|next| Some((next, String::new())));
                }
                let settled = run.settler.settle(checkpoint).ok()?;
                let mut held = Vec::new();
                for commit in settled.commits {
                    let number = (0..PARTITIONS.len()).find(|n| partition(*n) == commit.partition)?;
                    self.group[number] = Some((commit.offset, commit.metadata));
                    held.push((commit.partition, commit.offset));
                }
                run.ledger.record_committed(&held);
                Some(())
            }
        }
    }

    /// What is wrong with the files in the end.
    fn faults(&self) -> Vec<String> {
        let (mut faults, mut seen) = (Vec::new(), BTreeMap::<(usize, i64), usize>::new());
        let mut numbers = self.copied.clone();
        for (name, bytes) in self.disk.contents("/") {
            // A file that is being moved has two names, and somebody else may rename one of these.
            if name.starts_with("/log/all.") || !numbers.insert(self.disk.number_of(&name)) {
                continue;
            }
            let name = where_written(&name);
            let Some(bytes) = plain(&name, bytes) else {
                faults.push(format!("{name}: no whole compressed file"));
                continue;
            };
            let mut last = [-1; PARTITIONS.len()];
            for line in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
                if line == FOREIGN {
                    continue;
                }
                let Some((number, record)) = read_line(line) else {
                    faults.push(format!("{name}: torn: {line:?}"));
                    continue;
                };
                *seen.entry((number, record)).or_default() += 1;
                if !name.starts_with(path_of(number, record).to_str().unwrap()) {
                    faults.push(format!("{name}: {number}/{record} belongs to another file"));
                }
                if record <= last[number] {
                    faults.push(format!("{name}: {number}/{record} behind {}", last[number]));
                }
                last[number] = record;
            }
        }
        for number in 0..PARTITIONS.len() {
            for record in 0..RECORDS {
                match seen.get(&(number, record)) {
                    Some(1) => {}
                    Some(count) => faults.push(format!("{number}/{record} is there {count} times")),
                    None => faults.push(format!("{number}/{record} is missing")),
                }
            }
        }
        faults
    }

    /// Ways 0 and 1 are kills, the others losses of power.
    fn end(&mut self, way: u64, dice: &mut fastrand::Rng) {
        let end = if way < 2 { RunEnd::Kill } else { RunEnd::PowerLoss };
        self.boot += u128::from(end == RunEnd::PowerLoss);
        self.disk.end(end, dice);
    }
}

impl Run {
    fn finish(&mut self, before: i64) -> Option<()> {
        // What is compressed is published by the next call, and once more if another file has its name.
        let mut calls = 0;
        for _ in 0..TRIES {
            match self.writers.finish(&CompleteBefore::all(before)) {
                Ok(_) if calls < 2 => calls += 1,
                Ok(_) => return Some(()),
                Err(AppendError::Retry(error)) if !error.to_string().ends_with(STOPPED) => {}
                Err(_) => return None,
            }
        }
        panic!("refused again and again")
    }

    fn begin_to_finish(&mut self, before: i64) -> Option<()> {
        match self.writers.finish(&CompleteBefore::all(before)) {
            Err(AppendError::Retry(error)) if !error.to_string().ends_with(STOPPED) => Some(()),
            done => done.ok().map(drop),
        }
    }

    /// Writes up to `count` records of each of these partitions, which have one topic. If the disk refuses
    /// and nothing is begun, other records are joined to the next write.
    fn append(&mut self, numbers: &[usize], mut count: i64) -> Option<()> {
        let lane = usize::from(numbers == [2]);
        for _ in 0..TRIES {
            match self.try_append(numbers, lane, count)? {
                Ok(()) => {
                    for number in numbers {
                        self.next[*number] = (self.next[*number] + count).min(RECORDS);
                    }
                    return Some(());
                }
                Err(AppendError::Retry(error)) if !error.to_string().ends_with(STOPPED) => {
                    if !self.writers.is_pending(lane) {
                        count = 1 + count % 4;
                    }
                }
                Err(_) => return None,
            }
        }
        panic!("refused again and again")
    }

    fn try_append(&mut self, numbers: &[usize], lane: usize, count: i64) -> Option<Result<(), AppendError>> {
        let (mut lines, mut changes) = (BTreeMap::<PathBuf, Vec<u8>>::new(), Vec::new());
        for number in numbers {
            let (from, to) = (self.next[*number], (self.next[*number] + count).min(RECORDS));
            if from >= to {
                continue;
            }
            for record in from..to {
                lines.entry(path_of(*number, record)).or_default().extend(line(*number, record));
            }
            let (index, written) = self.ledger.written(&partition(*number))?;
            assert_eq!(written, from);
            let last = Some(Landmark { offset: to - 1, fingerprint: 0 });
            changes.push(PositionChange { index, position: to, last });
        }
        let crcs: Vec<crc32fast::Hasher> = lines.values().map(|bytes| crc_of(bytes)).collect();
        let pieces = lines.iter().zip(&crcs).map(|((path, bytes), crc)| RoutedPieces {
            path,
            until: until_of(path),
            scope: &EVERY_PARTITION,
            pieces: vec![Piece { bytes, crc }],
        });
        Some(self.writers.append(lane, &pieces.collect::<Vec<_>>(), &changes))
    }
}

pub(super) fn crc_of(bytes: &[u8]) -> crc32fast::Hasher {
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes);
    crc
}

pub(super) fn read_line(line: &str) -> Option<(usize, i64)> {
    let (number, record) = line.strip_prefix("record ")?.strip_suffix(", whole\n")?.split_once('/')?;
    Some((number.parse().ok()?, record.parse().ok()?))
}
