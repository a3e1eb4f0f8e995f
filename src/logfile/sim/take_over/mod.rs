//! Take-over: files that had a journal each get one journal together. The runs are stopped after each of
//! their file operations, by a kill or by a loss of power, once or twice. In the end each record must be in
//! its file once, in order, with nothing in between; and from the first append of the new pandad on, every
//! older pandad must refuse the old journals.
//!
//! Fault model, beside that of the disk:
//!
//! - One to three of three topics have an old journal, of any format. Its last run ended cleanly, or by a
//!   kill or a loss of power with unsettled ranges; the log file may have been renamed away since.
//! - Between two runs of the new pandad an older one may run, with each journal that it does not refuse, and
//!   end in any way.
//! - One sync fails, and what it should have made durable is lost.
//! - One byte of the new journal is flipped right after the take-over.
//! - After the take-over somebody puts the old journals back from copies; or, after a clean stop, removes
//!   them, and an older pandad goes on with the files.
//!
//! It never happens that an older pandad runs with an old journal that was put back.

mod crash;
mod damage;
mod failed_sync;
mod older;
mod people;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{DiskFlaw, RunEnd, SimDisk};
use crate::logfile::EVERY_PARTITION;
use crate::logfile::directories::make_directories;
use crate::logfile::disk::directory_of;
use crate::logfile::file_set::{
    FileSetOptions, FileWriters, LeftFiles, RoutedPieces, TakenFile, leave_later, recover, take_over,
};
use crate::logfile::journal::OlderPandad;
use crate::logfile::label::LogLabel;
use crate::logfile::opening::{begin_ledger, read_journal};
use crate::logfile::{
    Disk, Landmark, Ledger, LogFileOptions, OpenError, Piece, PositionChange, RestartMemory, Rotation,
    Settler,
};
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// The partitions, and the number of the topic of each.
const PARTITIONS: [(&str, i32, usize); 4] = [("a", 0, 0), ("b", 0, 1), ("c", 0, 2), ("a", 1, 0)];
const PATHS: [&str; 3] = ["/log/a.log", "/log/sub/b.log", "/log/c.log"];
const TOPICS: [&str; 3] = ["a", "b", "c"];
/// Records of each partition.
const RECORDS: i64 = 12;
const BASE: &str = "/log/{topic}.log";
const HALF_BYTES: u64 = 8192;

/// What a run does between two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Writes so many records of a partition.
    Append(usize, i64),
    /// The written records settle, and the group takes the commit.
    Settle,
}

#[rustfmt::skip]
const SCRIPT: &[Step] = {
    use Step::{Append, Settle};
    &[Append(0, 1), Append(1, 2), Settle, Append(2, 1), Append(3, 2), Append(0, 2), Settle, Append(1, 1)]
};

/// The mistakes that are made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Nothing,
    /// The old journals stay as they are.
    NotOverwritten,
    /// The old journal is ended before the new one has its positions.
    OverwrittenFirst,
    /// The new journal has the positions, and a loss of power may take these away.
    TakenWithoutSync,
    /// The old journal is ended, and a loss of power may take that away.
    OverwrittenWithoutSync,
    /// The half that an older pandad reads is overwritten first.
    InForceFirst,
    /// What an older pandad has written since counts for nothing.
    LaterNotLeft,
    /// The file is taken over and the positions are not.
    WithoutPositions,
    /// One mark alone says what was taken over.
    TakenOnce,
}

/// How the world is when the new pandad comes.
#[derive(Debug, Clone, Copy)]
struct Setup {
    /// How many topics have an old journal.
    old: usize,
    /// The version of the format of these.
    version: u16,
    /// Decides how each of the old runs has ended.
    variant: u64,
}

/// The part of the world that outlives the process.
#[derive(Clone)]
struct World {
    disk: SimDisk,
    /// The offset that the group holds, and the metadata beside it.
    group: [Option<(i64, String)>; PARTITIONS.len()],
    boot: u128,
    setup: Setup,
    /// The topics to whose files the new pandad has begun to append.
    has_appended: [bool; TOPICS.len()],
    /// The old journals as an older pandad has left these.
    old_journals: Vec<Vec<u8>>,
    /// Whether an older pandad may be started again.
    may_go_back: bool,
    /// What the process remembers if it is not killed.
    sync_failed: bool,
    /// How often an older pandad has gone on with an old journal.
    older_runs: u32,
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

fn journal_of(topic: usize) -> String {
    format!("{}.journal", PATHS[topic])
}

fn options() -> LogFileOptions {
    LogFileOptions { job: "test", sync: true, rotation: Rotation::off() }
}

impl World {
    fn new(setup: Setup) -> Self {
        let disk = SimDisk::new(DiskFlaw::None);
        make_directories(&disk, Path::new("/log"), Path::new("/log/sub")).unwrap();
        let group = [const { None }; PARTITIONS.len()];
        let mut world = Self {
            disk,
            group,
            boot: 1,
            setup,
            has_appended: [false; TOPICS.len()],
            old_journals: Vec::new(),
            may_go_back: true,
            sync_failed: false,
            older_runs: 0,
        };
        world.begin_old();
        world.keep_old_journals();
        world
    }

    fn copy(&self) -> Self {
        Self { disk: self.disk.copy(), ..self.clone() }
    }

    /// A run of the new pandad that has taken these steps.
    fn run_for(&mut self, script: &[Step]) -> Option<Run> {
        let mut run = self.open()?;
        for step in script {
            self.step(&mut run, *step)?;
        }
        Some(run)
    }

    /// One run of the new pandad: first the script, then writing until every record is written. `None` if
    /// the run was stopped.
    fn run(&mut self, script: &[Step]) -> Option<()> {
        let mut run = self.run_for(script)?;
        for number in 0..PARTITIONS.len() {
            while run.next[number] < RECORDS {
                self.step(&mut run, Step::Append(number, 5))?;
            }
        }
        self.step(&mut run, Step::Settle)?;
        run.ledger.close().ok()
    }

    fn open(&mut self) -> Option<Run> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let mut memory = RestartMemory::default();
        memory.sync_failed = std::mem::take(&mut self.sync_failed);
        let (writers, settler, ledger) = open_topics(&disk, self.boot, &mut memory).ok()?;
        let next = self.resume_all(&ledger, 0..PARTITIONS.len())?;
        Some(Run { writers, settler, ledger, next })
    }

    /// Where each of these partitions goes on.
    fn resume_all(
        &self,
        ledger: &Ledger,
        numbers: impl IntoIterator<Item = usize>,
    ) -> Option<[i64; PARTITIONS.len()]> {
        let mut next = [0; PARTITIONS.len()];
        for number in numbers {
            let (offset, beside) = self.group[number].clone().unzip();
            let beside = OffsetMetadata::Text(beside.unwrap_or_default());
            let resumed = ledger.resume(&partition(number), offset, &beside).ok()?;
            next[number] = match resumed.position {
                Some(position) => position,
                None => ledger.set_position(&partition(number), 0).ok().map(|()| 0)?,
            };
        }
        Some(next)
    }

    fn step(&mut self, run: &mut Run, step: Step) -> Option<()> {
        match step {
            Step::Append(number, count) => {
                self.has_appended[PARTITIONS[number].2] = true;
                run.append(number, count)
            }
            Step::Settle => {
                let checkpoint = run.ledger.checkpoint();
                let settled = run.settler.settle(checkpoint).ok()?;
                self.commit(&run.ledger, settled.commits);
                Some(())
            }
        }
    }

    /// The group takes these commits.
    fn commit(&mut self, ledger: &Ledger, commits: Vec<Commit>) {
        let mut held = Vec::new();
        for Commit { partition: of, offset, metadata } in commits {
            let number = (0..PARTITIONS.len()).find(|number| partition(*number) == of).unwrap();
            self.group[number] = Some((offset, metadata));
            held.push((of, offset));
        }
        ledger.record_committed(&held);
    }

    /// Ways 0 and 1 are kills, the others losses of power.
    fn end(&mut self, way: u64, dice: &mut fastrand::Rng) {
        let end = if way < 2 { RunEnd::Kill } else { RunEnd::PowerLoss };
        self.boot += u128::from(end == RunEnd::PowerLoss);
        self.disk.end(end, dice);
    }

    fn keep_old_journals(&mut self) {
        self.old_journals = (0..self.setup.old).filter_map(|topic| self.old_journal(topic)).collect();
    }

    fn old_journal(&self, topic: usize) -> Option<Vec<u8>> {
        let found = self.disk.contents(&journal_of(topic)).into_iter();
        found.filter(|(name, _)| *name == journal_of(topic)).map(|(_, bytes)| bytes).next()
    }

    /// What an older pandad may do to a journal now that it must not do.
    fn opened_by_older(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for topic in 0..self.setup.old {
            let Some(journal) = self.old_journal(topic) else {
                faults.push(format!("{}: is gone", journal_of(topic)));
                continue;
            };
            for version in self.setup.version..=3 {
                let does = OlderPandad::meets(version, &journal);
                let as_before = OlderPandad::meets(version, &self.old_journals[topic]);
                let may_open = !self.has_appended[topic] && does == as_before;
                if does != OlderPandad::Refuses && !may_open {
                    faults.push(format!("{}: a pandad of version {version}: {does:?}", journal_of(topic)));
                }
            }
        }
        faults
    }

    /// What is wrong with the files in the end.
    fn faults(&self) -> Vec<String> {
        let mut faults = self.opened_by_older();
        for (topic, path) in PATHS.iter().enumerate() {
            let mut next = [0i64; PARTITIONS.len()];
            let mut files = self.disk.contents(path);
            files.retain(|(name, _)| !name.contains(".journal"));
            // The file at the path holds the newest records.
            files.sort_by_key(|(name, _)| (name == path, name.clone()));
            for (name, bytes) in files {
                for line in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
                    match read_line(line) {
                        Some((number, record)) if record == next[number] && PARTITIONS[number].2 == topic => {
                            next[number] += 1;
                        }
                        Some((number, record)) => {
                            faults.push(format!("{name}: {number}/{record} where {} was due", next[number]));
                        }
                        None => faults.push(format!("{name}: torn: {line:?}")),
                    }
                }
            }
            for (number, next) in next.iter().enumerate().filter(|(number, _)| PARTITIONS[*number].2 == topic)
            {
                if *next != RECORDS {
                    faults.push(format!("{path}: {number} ends at {next}"));
                }
            }
        }
        faults
    }
}

/// As the pandad opens the files of topics: the journal is recovered, then each file is taken over, and only
/// then the files are written.
fn open_topics(
    disk: &Arc<dyn Disk>,
    boot: u128,
    memory: &mut RestartMemory,
) -> Result<(FileWriters, Settler, Ledger), OpenError> {
    let (base, boot) = (Path::new(BASE), Some(boot));
    let root = directory_of(base);
    let label = LogLabel::new("test", base);
    let mut found = read_journal(disk, base, &label, boot, memory)?;
    let mut left = LeftFiles::default();
    leave_later(disk, root, &mut found.replayed.state, &mut left)?;
    let boots = (found.boot, boot);
    recover((&**disk, root), &mut found.replayed, boots, (&label, memory), &mut left)?;
    let ledger = begin_ledger(disk, base, found, HALF_BYTES, label.clone())?;
    for (path, topic) in PATHS.iter().zip(TOPICS) {
        let file = TakenFile { root, path: Path::new(path), topic };
        take_over(disk, &ledger, file, boot, (&label, memory))?;
    }
    memory.sync_failed = false;
    let options = FileSetOptions {
        base: base.to_owned(),
        log_file: options(),
        complete_dir: None,
        complete_gzip: false,
        open_max: 100,
        new_max: 1000,
    };
    let writers = FileWriters::new(Arc::clone(disk), root, ledger.clone(), &options);
    Ok((writers, Settler { ledger: ledger.clone(), sync: true }, ledger))
}

impl Run {
    fn append(&mut self, number: usize, count: i64) -> Option<()> {
        let (from, to) = (self.next[number], (self.next[number] + count).min(RECORDS));
        if from >= to {
            return Some(());
        }
        let (bytes, change) = write_of(&self.ledger, number, from..to)?;
        let crc = crc_of(&bytes);
        let path = PathBuf::from(PATHS[PARTITIONS[number].2]);
        let pieces = vec![Piece { bytes: &bytes, crc: &crc }];
        let routed = RoutedPieces { path: &path, until: None, scope: &EVERY_PARTITION, pieces };
        self.writers.append(number, &[routed], &[change]).ok()?;
        self.next[number] = to;
        Some(())
    }
}

/// The lines of these records, and the position after them.
fn write_of(
    ledger: &Ledger,
    number: usize,
    records: std::ops::Range<i64>,
) -> Option<(Vec<u8>, PositionChange)> {
    let (index, written) = ledger.written(&partition(number))?;
    assert_eq!(written, records.start);
    let last = Some(Landmark { offset: records.end - 1, fingerprint: 0 });
    let change = PositionChange { index, position: records.end, last };
    let line = |record| format!("record {number}/{record}, whole\n").into_bytes();
    Some((records.flat_map(line).collect(), change))
}

fn crc_of(bytes: &[u8]) -> crc32fast::Hasher {
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes);
    crc
}

fn read_line(line: &str) -> Option<(usize, i64)> {
    let (number, record) = line.strip_prefix("record ")?.strip_suffix(", whole\n")?.split_once('/')?;
    let number: usize = number.parse().ok()?;
    (number < PARTITIONS.len()).then_some((number, record.parse().ok()?))
}
