//! The files of several topics on one journal, of which one is in trouble now and then: its disk refuses to
//! append, to open or to sync, or a start holds it back, and a later start has it again. The runs are stopped
//! after each of their file operations, by a kill or by a loss of power, once or twice.
//!
//! In the end each record must be in its topic's files once, in order, with nothing in between. Whenever a
//! run comes to its end, that must be so of every topic whose file was not in trouble at that time, and the
//! group must have its positions.
//!
//! The fault model is that of the crash points of one file.

mod crash;
mod failed_sync;
mod run;
mod survey;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{DiskFlaw, Refused, SimDisk};
use crate::logfile::directories::make_directories;
use crate::logfile::disk::OpenMode;
use crate::logfile::topic_files::{OpeningEras, open_with};
use crate::logfile::{Disk, LogFileOptions, OpenError, RestartMemory, Rotation, TopicFilesOptions};
use crate::record::{OffsetMetadata, TopicPartition};
use run::{Ended, Run};

const TOPICS: [&str; 3] = ["a", "b", "c"];
/// The partitions by their topics' numbers.
const PARTITIONS: [(usize, i32); 4] = [(0, 0), (0, 1), (1, 0), (2, 0)];
/// The group has no room for tokens beside the offset of this partition.
const WITHOUT_TOKEN: usize = 2;
/// Records of each partition.
const RECORDS: i64 = 24;
const ROOT: &str = "/log";
const HALF_BYTES: u64 = 8192;
/// The size at which a file is rotated, which only the last topic's files reach: its lines are long.
const ROTATE_BYTES: u64 = 1000;
/// This topic's file is there already, with a line of somebody else, also after it was moved.
const THERE: usize = 1;
const FOREIGN: &str = "a line of somebody else, ";
/// How often a run begins anew before that counts as a fault.
const STARTS_MAX: u32 = 40;

/// What a run does between two writes. Topics and partitions are named by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Writes so many records of a partition.
    Append(usize, i64),
    /// Writes records of both partitions of the first topic as one range.
    Both(i64),
    /// Takes a checkpoint.
    Take,
    /// The checkpoint that was taken, or a new one, settles, and the group takes the commit.
    Settle,
    /// Another program renames the topic's file, as log rotation does.
    Moved(usize),
    /// The disk of a topic refuses this from now on.
    Refuse(usize, Refused),
    /// Every disk accepts everything again. If a file is not open, the run begins anew, with all files.
    Relent,
    /// The run begins anew, and holds back this topic's file.
    Start(Option<usize>),
    /// The machine loses its power, and the next run holds back this topic's file.
    PowerLoss(Option<usize>),
}

#[rustfmt::skip]
const SCRIPT: &[Step] = {
    use Step::{Append, Both, Moved, PowerLoss, Refuse, Relent, Settle, Start, Take};
    &[
        Append(0, 3), Append(2, 2), Settle, Both(2), Append(3, 3), Append(2, 1), Take, Append(3, 2), Settle,
        Moved(0), Append(0, 1), Append(1, 2),
        // The second topic's disk is full in the middle of a line.
        Refuse(1, Refused::Append(30)), Append(2, 2), Append(0, 2), Append(3, 1), Settle, Moved(2), Take,
        Append(3, 2), Settle, Both(1), Append(3, 3), Settle, Take, Append(0, 1), Relent, Append(2, 1), Settle,
        Settle,
        // The first topic's file has ranges that are not settled, and is left at the start.
        Both(2), Append(2, 2), Start(Some(0)), Append(2, 1), Append(3, 2), Settle, Append(3, 1), Append(2, 1),
        Start(None), Append(0, 2), Append(3, 1),
        // The last topic's file cannot be opened, and is moved meanwhile.
        Refuse(2, Refused::Open), Start(None), Append(0, 1), Append(2, 1), Settle, Append(1, 2), Moved(2),
        PowerLoss(None), Append(2, 1), Settle, Relent, Append(3, 2),
        Both(1), Append(2, 1), PowerLoss(Some(1)), Append(3, 1), Append(0, 1), Settle, Moved(1), Start(None),
        Append(2, 3),
        // A sync of the first topic's file fails.
        Append(0, 2), Refuse(0, Refused::Sync), Append(3, 1), Append(2, 1), Settle, Append(2, 1),
        Append(3, 1), Settle, Relent, Append(1, 2), Settle,
    ]
};

/// The mistakes that a run makes on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Nothing,
    CommitBeforeSync,
    NamesNotSynced,
    /// A file gets lines before the journal is sure to know it.
    BegunWithoutSync,
    /// A mark settles the ranges that are not written, too.
    HeldNotWritten,
    /// A start forgets the ranges of the files that are left.
    KeptForgotten,
    /// A start forgets which files were left after a loss of power.
    UnexaminedForgotten,
}

/// What the group holds of a partition: the offset, and the metadata beside it.
type Committed = Option<(i64, String)>;

/// The part of the world that outlives the process.
#[derive(Clone)]
struct World {
    disk: SimDisk,
    group: [Committed; PARTITIONS.len()],
    boot: u128,
    mistake: Mistake,
    dice: fastrand::Rng,
    /// What the process remembers if it is not killed.
    sync_failed: bool,
    /// The topics whose files the next start holds back.
    held_back: BTreeSet<usize>,
    starts: u32,
    /// What went wrong on the way.
    faults: Vec<String>,
}

fn partition(number: usize) -> TopicPartition {
    let (topic, partition) = PARTITIONS[number];
    TopicPartition::new(TOPICS[topic], partition)
}

fn topic_of(number: usize) -> usize {
    PARTITIONS[number].0
}

fn directory(topic: usize) -> PathBuf {
    Path::new(ROOT).join(TOPICS[topic])
}

fn path_of(topic: usize) -> PathBuf {
    directory(topic).join("out.log")
}

/// The last topic's lines are long.
fn line(number: usize, record: i64) -> Vec<u8> {
    match topic_of(number) {
        2 => format!("record {number}/{record:0100}, whole\n").into_bytes(),
        _ => format!("record {number}/{record}, whole\n").into_bytes(),
    }
}

/// Another program puts a file at the path. No two of these are alike: which of two files that begin alike
/// is pandad's cannot be told as long as nothing in it has settled.
fn put_foreign(disk: &SimDisk) -> io::Result<()> {
    let new = directory(THERE).join("new");
    let file = disk.open(&new, OpenMode::Truncate)?;
    file.write_at(format!("{FOREIGN}{}\n", disk.operations()).as_bytes(), 0)?;
    file.sync()?;
    disk.rename(&new, &path_of(THERE))?;
    disk.sync_names(&directory(THERE))
}

impl World {
    fn new(mistake: Mistake) -> Self {
        let disk = SimDisk::new(DiskFlaw::None);
        for topic in 0..TOPICS.len() {
            make_directories(&disk, Path::new(ROOT), &directory(topic)).unwrap();
        }
        put_foreign(&disk).unwrap();
        if mistake == Mistake::NamesNotSynced {
            disk.set_flaw(DiskFlaw::NamesNotSynced);
        }
        Self {
            disk,
            group: [const { None }; PARTITIONS.len()],
            boot: 1,
            mistake,
            dice: fastrand::Rng::with_seed(1),
            sync_failed: false,
            held_back: BTreeSet::new(),
            starts: 0,
            faults: Vec::new(),
        }
    }

    fn copy(&self) -> Self {
        Self { disk: self.disk.copy(), ..self.clone() }
    }

    /// Ways 0 and 1 are kills, the others losses of power.
    fn end(&mut self, way: u64) {
        self.disk.stop_after(u64::MAX);
        if way >= 2 {
            self.boot += 1;
            self.disk.lose_power(&mut self.dice);
        }
        self.sync_failed = false;
        self.held_back.clear();
    }

    /// Whether the topic's file is held back, or its disk refuses something.
    fn is_in_trouble(&self, topic: usize) -> bool {
        self.held_back.contains(&topic) || self.disk.refuses(&directory(topic))
    }

    /// One run of the program: first the script, then writing until every record is written of the topics
    /// that can be. `None` if the run was stopped.
    fn run(&mut self, script: &[Step]) -> Option<()> {
        self.starts = 0;
        let mut run = self.start()?;
        for step in script {
            self.step(&mut run, *step)?;
        }
        if (0..TOPICS.len()).any(|topic| !run.is_open(topic) && !self.is_in_trouble(topic)) {
            run.end();
            self.start_again(&mut run)?;
        }
        while let Some(number) = (0..PARTITIONS.len()).find(|number| run.can_go_on(self, *number)) {
            self.step(&mut run, Step::Append(number, 4))?;
        }
        self.step(&mut run, Step::Settle)?;
        self.step(&mut run, Step::Settle)?;
        self.check_others(&run);
        run.end();
        (!self.disk.is_stopped()).then_some(())
    }

    fn start(&mut self) -> Option<Run> {
        while self.starts < STARTS_MAX {
            self.starts += 1;
            let opened = self.open();
            if self.disk.is_stopped() {
                return None;
            }
            match opened {
                Ok(run) => return Some(run),
                Err(why) if !self.disk.has_failed_as_planned() => self.faults.push(format!("a start: {why}")),
                Err(_) => {}
            }
        }
        self.faults.push("the run begins anew again and again".to_owned());
        None
    }

    fn open(&mut self) -> Result<Run, String> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let rotation = Rotation { size: Some(ROTATE_BYTES), now: || 1_795_534_200_123, ..Rotation::off() };
        let options = TopicFilesOptions {
            base: Path::new(ROOT).join("topics"),
            paths: (0..TOPICS.len()).map(path_of).collect(),
            topics: TOPICS.map(str::to_owned).to_vec(),
            log_file: LogFileOptions { job: "test", sync: true, rotation },
        };
        let held_back = |topic: &usize| (path_of(*topic), OpenError::Retry("held back".to_owned()));
        let held_back = self.held_back.iter().map(held_back).collect();
        let mut memory = RestartMemory::default();
        memory.sync_failed = self.sync_failed;
        let eras = OpeningEras { set: Some(self.boot), file: &|_| Some(self.boot) };
        let opened = open_with(&disk, &options, held_back, HALF_BYTES, &eras, &mut memory);
        let opened = opened.map_err(OpenError::into_text)?;
        self.sync_failed = memory.sync_failed;
        for (path, why) in &opened.refused {
            let topic = (0..TOPICS.len()).find(|topic| path_of(*topic) == *path).unwrap();
            if !self.is_in_trouble(topic) && !self.disk.is_stopped() && !self.disk.has_failed_as_planned() {
                self.faults.push(format!("{} is refused: {why:?}", path.display()));
            }
        }
        let mut run = Run::new(opened);
        for number in
            (0..PARTITIONS.len()).filter(|number| run.is_open(topic_of(*number))).collect::<Vec<_>>()
        {
            let (offset, beside) = self.group[number].clone().unzip();
            let beside = match number {
                WITHOUT_TOKEN => OffsetMetadata::Unsupported,
                _ => OffsetMetadata::Text(beside.unwrap_or_default()),
            };
            run.resume(number, offset, &beside).map_err(|error| error.to_string())?;
        }
        Ok(run)
    }

    /// One step. If the run must begin anew, it does. `None` if it was stopped.
    fn step(&mut self, run: &mut Run, step: Step) -> Option<()> {
        let done = match step {
            Step::Append(number, count) => run.append(self, topic_of(number), &[number], count),
            Step::Both(count) => run.append(self, 0, &[0, 1], count),
            Step::Take => run.take(),
            Step::Settle => run.settle(self),
            Step::Moved(topic) => {
                // The other program may fail, too.
                let _ = self.move_away(topic);
                Ok(())
            }
            Step::Refuse(topic, refused) => {
                self.disk.refuse(&directory(topic), refused);
                Ok(())
            }
            Step::Relent => {
                self.disk.relent();
                self.held_back.clear();
                if (0..TOPICS.len()).all(|topic| run.is_open(topic)) { Ok(()) } else { Err(Ended::Again) }
            }
            Step::Start(held_back) => {
                self.held_back = held_back.into_iter().collect();
                Err(Ended::Again)
            }
            Step::PowerLoss(held_back) => {
                if self.disk.is_stopped() {
                    return None;
                }
                self.boot += 1;
                self.disk.lose_power(&mut self.dice);
                self.sync_failed = false;
                self.held_back = held_back.into_iter().collect();
                *run = self.start()?;
                return Some(());
            }
        };
        match done {
            Ok(()) => Some(()),
            Err(Ended::Stopped) => None,
            Err(Ended::Again) => {
                run.end();
                self.start_again(run)
            }
            // The file whose sync has failed is held back.
            Err(Ended::Failed(topics)) => {
                run.end();
                self.sync_failed = true;
                self.held_back.extend(topics);
                self.start_again(run)
            }
        }
    }

    fn move_away(&self, topic: usize) -> io::Result<()> {
        let path = path_of(topic);
        let to = PathBuf::from(format!("{}.{}", path.display(), self.disk.operations()));
        self.disk.rename(&path, &to)?;
        if topic == THERE { put_foreign(&self.disk) } else { Ok(()) }
    }

    fn start_again(&mut self, run: &mut Run) -> Option<()> {
        if self.disk.is_stopped() {
            return None;
        }
        *run = self.start()?;
        Some(())
    }
}
