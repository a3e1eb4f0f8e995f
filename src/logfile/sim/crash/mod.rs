//! Crash points: recorded runs are stopped after each of their file operations, by a kill or by a
//! loss of power. Then the log file is opened again and the source delivers from the position that
//! this gives. In the end each record must be in the files once, in order, with nothing in between.
//!
//! Fault model, beside that of the disk:
//!
//! | the host may | it never does |
//! |---|---|
//! | be killed or lose its power after any file operation, twice | run two processes on one file |
//! | rename the log file away between two writes | change bytes of the log file |
//! | copy the log file beside it | |
//! | give every file other numbers between two runs | give them where nothing else tells the file |
//! | lose a commit together with the run | take a commit back |

mod damage;
mod failed_sync;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::disk::{DiskFlaw, RunEnd, SimDisk};
use crate::logfile::archive::tidy;
use crate::logfile::journal::{JournalFile, JournalRead, ONLY_FILE};
use crate::logfile::{
    AppendError, Disk, Landmark, Ledger, LogFileOptions, LogWriter, Piece, PositionChange, RestartMemory,
    Rotation, Settler, open_with,
};
use crate::record::{Commit, OffsetMetadata, TopicPartition};

const PARTITIONS: usize = 2;
/// Records of each partition.
const RECORDS: i64 = 24;
const LOG_PATH: &str = "/log/out.log";
const COPY_PATH: &str = "/log/out.log.copy";
const JOURNAL_PATH: &str = "/log/out.log.journal";
/// So small that a run rewrites its journal many times.
const HALF_BYTES: u64 = 4096;

/// What a run does between two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrashStep {
    /// Writes so many records of a partition.
    Append(usize, i64),
    /// The written records settle, and the group takes the commit.
    Settle,
    /// Another program renames the file away, as log rotation does.
    Moved,
    /// Rotated files are compressed.
    Tidy,
    /// Somebody copies the file to another name in the same directory.
    Copied,
}

/// A run that takes every kind of step.
#[rustfmt::skip]
const SCRIPT: &[CrashStep] = {
    use CrashStep::{Append, Copied, Moved, Settle, Tidy};
    &[
        Append(0, 3), Append(1, 2), Settle, Copied, Append(0, 2), Settle, Append(1, 4), Append(0, 1), Moved,
        Append(0, 3), Append(1, 1), Settle, Tidy, Append(1, 2), Append(0, 2), Settle, Moved, Settle,
        Append(1, 3), Tidy, Append(0, 4), Copied, Append(0, 1), Settle, Append(1, 2), Append(0, 5), Settle,
        Append(1, 1),
    ]
};

/// The mistakes that a run makes on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Nothing,
    CommitBeforeSync,
    NamesNotSynced,
    LengthIsTrusted,
    NumbersAreTrusted,
    SyncTriedAgain,
}

/// The part of the world that outlives the process.
#[derive(Clone)]
struct CrashWorld {
    disk: SimDisk,
    /// The offset that the group holds, and the metadata beside it.
    group: [Option<(i64, String)>; PARTITIONS],
    boot: u128,
    mistake: Mistake,
    /// What the process remembers if it is not killed.
    sync_failed: bool,
}

fn partition(number: usize) -> TopicPartition {
    TopicPartition::new("t", number as i32)
}

impl CrashWorld {
    fn new(mistake: Mistake) -> Self {
        let flaw = if mistake == Mistake::NamesNotSynced { DiskFlaw::NamesNotSynced } else { DiskFlaw::None };
        Self { disk: SimDisk::new(flaw), group: [None, None], boot: 1, mistake, sync_failed: false }
    }

    fn copy(&self) -> Self {
        Self { disk: self.disk.copy(), ..self.clone() }
    }

    /// One run of the program: first the script, then writing until every record is written. `None` if the
    /// run was stopped.
    fn run(&mut self, script: &[CrashStep]) -> Option<()> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let options = LogFileOptions { job: "test", sync: true, rotation: rotation() };
        let mut memory = RestartMemory::default();
        memory.sync_failed = std::mem::take(&mut self.sync_failed);
        let opened =
            open_with(&disk, Path::new(LOG_PATH), &options, HALF_BYTES, Some(self.boot), &mut memory);
        let (writer, settler, ledger) = match opened {
            Ok(parts) => parts,
            Err(_) => return None,
        };
        let mut run = CrashRun { writer, settler, ledger, next: [0; PARTITIONS] };
        for number in 0..PARTITIONS {
            let (offset, beside) = self.group[number].clone().unzip();
            let beside = OffsetMetadata::Text(beside.unwrap_or_default());
            let resumed = run.ledger.resume(&partition(number), offset, &beside).ok()?;
            run.next[number] = match resumed.position {
                Some(position) => position,
                None => run.ledger.set_position(&partition(number), 0).ok().map(|()| 0)?,
            };
        }
        let ended = self.work(&mut run, script);
        if ended.is_none() {
            self.end_run(&run);
        }
        ended
    }

    fn work(&mut self, run: &mut CrashRun, script: &[CrashStep]) -> Option<()> {
        for step in script {
            self.step(run, *step)?;
        }
        for number in 0..PARTITIONS {
            self.step(run, CrashStep::Append(number, RECORDS))?;
        }
        self.step(run, CrashStep::Settle)?;
        self.step(run, CrashStep::Tidy)?;
        run.ledger.close().ok()
    }

    /// Ends a run after an error: commits the rest, and closes the journal.
    fn end_run(&mut self, run: &CrashRun) {
        if let Ok(commits) = run.ledger.take_commits() {
            self.commit(run, commits);
        }
        let _ = run.ledger.close();
    }

    /// The group takes these commits.
    fn commit(&mut self, run: &CrashRun, commits: Vec<Commit>) {
        let mut held = Vec::new();
        for Commit { partition, offset, metadata } in commits {
            self.group[partition.partition as usize] = Some((offset, metadata));
            held.push((partition, offset));
        }
        run.ledger.record_committed(&held);
    }

    fn step(&mut self, run: &mut CrashRun, step: CrashStep) -> Option<()> {
        match step {
            CrashStep::Append(number, count) => run.append(number, count),
            CrashStep::Settle => {
                let checkpoint = run.writer.checkpoint();
                if self.mistake == Mistake::CommitBeforeSync {
                    self.group = run.next.map(|next| Some((next, String::new())));
                }
                let settled = run.settler.settle(checkpoint).ok()?;
                self.commit(run, settled.commits);
                Some(())
            }
            CrashStep::Moved => {
                let others = self.disk.list(Path::new("/log")).ok()?;
                let (to, _) = crate::logfile::rotation::rotated_name(Path::new(LOG_PATH), 0, &others);
                // The other program may fail, too.
                let _ = self.disk.rename(Path::new(LOG_PATH), &to);
                Some(())
            }
            CrashStep::Copied => {
                let _ = self.disk.copy_file(Path::new(LOG_PATH), Path::new(COPY_PATH));
                Some(())
            }
            CrashStep::Tidy => tidy(&self.disk, Path::new(LOG_PATH), &rotation(), i64::MAX, &|| false).ok(),
        }
    }

    /// The files that hold lines, in the order in which they were written.
    fn texts(&self) -> Vec<(String, String)> {
        let mut files = self.disk.contents(LOG_PATH);
        let others = [".journal", ".lock", ".copy", ".part"];
        files.retain(|(name, _)| !others.iter().any(|other| name.contains(other)));
        // The file that is still written to holds the newest records.
        files.sort_by_key(|(name, _)| (name == LOG_PATH, name.clone()));
        let text = |(name, bytes): (String, Vec<u8>)| {
            let bytes = if name.ends_with(".gz") { unzip(&bytes) } else { bytes };
            (name, String::from_utf8_lossy(&bytes).into_owned())
        };
        files.into_iter().map(text).collect()
    }

    /// Whether the last mark's file can be identified by more than its numbers: it is at the path, or it
    /// was not empty and no copy holds the same bytes.
    fn may_renumber(&self) -> bool {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let Ok(JournalRead::Journal { contents, .. }) = JournalFile::read(&disk, Path::new(JOURNAL_PATH))
        else {
            return true;
        };
        let place = contents
            .replay(None)
            .ok()
            .and_then(|replayed| replayed.state.files.get(&ONLY_FILE).map(|known| known.place));
        place.is_none_or(|place| {
            let is_at_path = disk.stat(Path::new(LOG_PATH)).is_ok_and(|stat| stat.id == place.file);
            let is_copied = disk.stat(Path::new(COPY_PATH)).is_ok_and(|stat| stat.len >= place.end);
            is_at_path || place.end > 0 && !is_copied
        })
    }

    /// What is wrong with the files in the end.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut next = [0i64; PARTITIONS];
        for (name, text) in self.texts() {
            for line in text.split_inclusive('\n') {
                match read_line(line) {
                    Some((number, record)) if record == next[number] => next[number] += 1,
                    Some((number, record)) => {
                        faults.push(format!("{name}: {number}/{record} where {} was due", next[number]));
                    }
                    None => faults.push(format!("{name}: torn: {line:?}")),
                }
            }
        }
        if next != [RECORDS; PARTITIONS] {
            faults.push(format!("ends at {next:?}"));
        }
        faults
    }
}

/// Small files, each of them compressed.
fn rotation() -> Rotation {
    Rotation { size: Some(250), gzip: true, now: || 0, ..Rotation::off() }
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(error) => format!("not whole: {error}\n").into_bytes(),
    }
}

struct CrashRun {
    writer: LogWriter,
    settler: Settler,
    ledger: Ledger,
    next: [i64; PARTITIONS],
}

impl CrashRun {
    /// Writes up to `count` records, in two pieces.
    fn append(&mut self, number: usize, count: i64) -> Option<()> {
        let (from, to) = (self.next[number], (self.next[number] + count).min(RECORDS));
        if from >= to {
            return Some(());
        }
        let middle = i64::midpoint(from, to);
        let lines = [lines(number, from, middle), lines(number, middle, to)];
        let crcs = lines.each_ref().map(|lines| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(lines);
            crc
        });
        let pieces: Vec<Piece<'_>> =
            lines.iter().zip(&crcs).map(|(bytes, crc)| Piece { bytes, crc }).collect();
        let (index, written) = self.ledger.written(&partition(number))?;
        assert_eq!(written, from);
        let last = Some(Landmark { offset: to - 1, fingerprint: 0 });
        let change = PositionChange { index, position: to, last };
        match self.writer.append(&pieces, &[change]) {
            Ok(()) => self.next[number] = to,
            Err(AppendError::Guarded | AppendError::Retry(_) | AppendError::Restart(_)) => return None,
        }
        Some(())
    }
}

fn lines(number: usize, from: i64, to: i64) -> Vec<u8> {
    (from..to).flat_map(|record| format!("record {number}/{record}, whole\n").into_bytes()).collect()
}

fn read_line(line: &str) -> Option<(usize, i64)> {
    let (number, record) = line.strip_prefix("record ")?.strip_suffix(", whole\n")?.split_once('/')?;
    let number: usize = number.parse().ok()?;
    (number < PARTITIONS).then_some((number, record.parse().ok()?))
}

/// Stops the scripted run after each operation, in several ways, then lets a second run finish, or stops
/// that run, too. Returns how many states were examined, and the bad ones.
fn every_crash_point(mistake: Mistake, ways: u64) -> (u64, Vec<String>) {
    crate::logfile::recovery::TRUST_LENGTH.set(mistake == Mistake::LengthIsTrusted);
    crate::logfile::locate::TRUST_NUMBERS.set(mistake == Mistake::NumbersAreTrusted);
    let mut whole = CrashWorld::new(mistake);
    whole.run(SCRIPT).expect("nothing stops it");
    assert_eq!(whole.faults(), Vec::<String>::new(), "without a crash");
    let operations = whole.disk.operations();
    let (mut states, mut bad) = (0, Vec::new());
    for at in 0..operations {
        let mut stopped = CrashWorld::new(mistake);
        stopped.disk.stop_after(at);
        assert!(stopped.run(SCRIPT).is_none(), "not stopped after {at} of {operations}");
        for way in 0..ways {
            states += 1;
            let mut world = stopped.copy();
            if let Some(fault) = finish(&mut world, at, way) {
                bad.push(format!("stopped after {at}, way {way}: {fault}"));
            }
        }
    }
    crate::logfile::recovery::TRUST_LENGTH.set(false);
    crate::logfile::locate::TRUST_NUMBERS.set(false);
    (states, bad)
}

/// Ways 0 and 1 are kills, the others losses of power. Odd ways are stopped once more.
fn finish(world: &mut CrashWorld, at: u64, way: u64) -> Option<String> {
    let mut dice = fastrand::Rng::with_seed(at * 1_000_003 + way);
    world.end(way, &mut dice);
    if way % 2 == 1 {
        world.disk.stop_after(dice.u64(0..40));
        let script = &SCRIPT[dice.usize(0..SCRIPT.len())..];
        if world.run(script).is_none() {
            let second = dice.u64(0..4);
            world.end(second, &mut dice);
        }
        world.disk.stop_after(u64::MAX);
    }
    if world.run(&[]).is_none() {
        return Some("the last run did not end".to_owned());
    }
    let faults = world.faults();
    (!faults.is_empty()).then(|| faults.join("; "))
}

impl CrashWorld {
    fn end(&mut self, way: u64, dice: &mut fastrand::Rng) {
        let end = if way < 2 { RunEnd::Kill } else { RunEnd::PowerLoss };
        self.boot += u128::from(end == RunEnd::PowerLoss);
        self.disk.end(end, dice);
        if dice.bool() && self.may_renumber() {
            self.disk.renumber();
        }
    }
}

#[test]
fn after_any_crash_each_record_is_in_the_files_once() {
    let ways = if std::env::var_os("PANDAD_TEST_ALL").is_some() { 400 } else { 30 };
    let (states, bad) = every_crash_point(Mistake::Nothing, ways);
    println!("{states} states after a crash, {} bad", bad.len());
    assert!(states > 5000, "{states} are not every crash point");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(8)].join("\n"));
}

#[test]
fn deliberate_mistakes_are_detected() {
    use Mistake::{CommitBeforeSync, LengthIsTrusted, NamesNotSynced, NumbersAreTrusted};
    for mistake in [CommitBeforeSync, NamesNotSynced, LengthIsTrusted, NumbersAreTrusted] {
        let (states, bad) = every_crash_point(mistake, 10);
        println!("{mistake:?}: {} of {states} states are bad", bad.len());
        assert!(bad.len() > 10, "{mistake:?}: only {} of {states} are bad", bad.len());
    }
}
