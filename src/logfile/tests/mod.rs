//! The log file by its public functions: opened, appended to, killed, opened again.

mod archive;
mod backup;
mod backup_race;
mod bad_disk;
mod cache;
mod clock;
mod damage;
mod failed_sync;
mod faulty_disk;
mod file_set;
mod formats;
mod held;
mod journal;
mod located;
mod lock_request;
mod members;
mod numbers;
mod offsets;
mod partitions;
mod parts;
mod paths;
mod people;
mod positions;
mod rotation;
mod set_parts;
mod settling;
mod siblings;
mod starts;
mod take_over;
mod tokens;
mod topic_files;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::disk::{OpenMode, directory_of, with_suffix};
use super::*;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// A temporary directory for one test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pandad-logfile-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("out.log")
    }

    fn content(&self) -> String {
        fs::read_to_string(self.log()).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Appends one line for each offset in [from, next).
fn append(log: &mut LogFile, from: i64, next: i64) {
    let (_, written) = log.ledger.written(&partition()).unwrap();
    assert_eq!(written, from);
    try_append(log, from, next).unwrap();
}

/// The same, for a write that may be refused.
fn try_append(log: &mut LogFile, from: i64, next: i64) -> Result<(), AppendError> {
    let lines: String = (from..next).map(|n| format!("line {n}\n")).collect();
    let mut crc = crc32fast::Hasher::new();
    crc.update(lines.as_bytes());
    let (index, _) = log.ledger.written(&partition()).unwrap();
    let last = Some(Landmark { offset: next - 1, fingerprint: next as u32 });
    let change = PositionChange { index, position: next, last };
    log.writer.append(&[Piece { bytes: lines.as_bytes(), crc: &crc }], &[change])
}

fn settle(log: &mut LogFile) -> Vec<(TopicPartition, i64)> {
    let checkpoint = log.writer.checkpoint();
    bare(log.settler.settle(checkpoint).unwrap().commits)
}

/// The offsets of commits, none of which may carry a token.
fn bare(commits: Vec<Commit>) -> Vec<(TopicPartition, i64)> {
    assert!(commits.iter().all(|one| one.metadata.is_empty()), "{commits:?}");
    commits.into_iter().map(|one| (one.partition, one.offset)).collect()
}

fn options(sync: bool) -> LogFileOptions {
    LogFileOptions { job: "test", sync, rotation: Rotation::off() }
}

/// A log file whose journal is soon full.
fn small(dir: &Dir) -> LogFile {
    with(dir, false, 4096, None)
}

fn at_boot(dir: &Dir, boot: u128) -> LogFile {
    with(dir, true, super::journal::HALF_BYTES_MIN, Some(boot))
}

fn with(dir: &Dir, sync: bool, half: u64, boot: Option<u128>) -> LogFile {
    let lock = Lock::take(&dir.log()).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    let mut memory = RestartMemory::default();
    let (writer, settler, ledger) =
        open_with(&disk, &dir.log(), &options(sync), half, boot, &mut memory).unwrap();
    LogFile { writer, settler, ledger, lock }
}

/// Opens the log file for the first time, and sets the partition's position to 0.
fn fresh(dir: &Dir) -> LogFile {
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    assert_eq!(log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position, None);
    log.ledger.set_position(&partition(), 0).unwrap();
    log
}

/// Opens the log file again after a kill. Returns the position where reading goes on, or -1.
fn again(dir: &Dir, committed: Option<i64>) -> (LogFile, i64) {
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    let position = log.ledger.resume(&partition(), committed, &OffsetMetadata::Unsupported).unwrap().position;
    (log, position.unwrap_or(-1))
}

fn lines(count: i64) -> String {
    (0..count).map(|n| format!("line {n}\n")).collect()
}

#[test]
fn a_kill_after_a_write_repeats_no_record() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    append(&mut log, 3, 5);
    drop(log);
    let (mut log, position) = again(&dir, None);
    assert_eq!(position, 5);
    append(&mut log, 5, 6);
    drop(log);
    assert_eq!(again(&dir, None).1, 6);
    assert_eq!(dir.content(), lines(6));
}

#[test]
fn a_journalled_range_without_lines_is_fetched_again() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    let whole = dir.content().len() as u64;
    append(&mut log, 3, 5);
    drop(log);
    // This leaves the file as a kill before the second write does.
    OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(whole).unwrap();
    let (mut log, position) = again(&dir, None);
    assert_eq!(position, 3);
    append(&mut log, 3, 5);
    assert_eq!(dir.content(), lines(5));
}

#[test]
fn a_torn_write_is_cut_and_fetched_again() {
    for cut in 1..14 {
        let dir = Dir::new();
        let mut log = fresh(&dir);
        append(&mut log, 0, 3);
        let whole = dir.content().len() as u64;
        append(&mut log, 3, 5);
        drop(log);
        OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(whole + cut).unwrap();
        let (mut log, position) = again(&dir, None);
        let first_line = 7;
        assert_eq!(position, if cut == first_line * 2 { 5 } else { 3 }, "cut after {cut}");
        append(&mut log, position, 6);
        assert_eq!(dir.content(), lines(6));
    }
}

#[test]
fn a_range_with_a_wrong_crc_is_fetched_again() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    append(&mut log, 3, 5);
    drop(log);
    // A loss of power may leave the right length with the wrong bytes.
    let mut bytes = fs::read(dir.log()).unwrap();
    let at = bytes.len() - 4;
    bytes[at] = 0;
    fs::write(dir.log(), bytes).unwrap();
    let (mut log, position) = again(&dir, None);
    assert_eq!(position, 3);
    append(&mut log, 3, 5);
    assert_eq!(dir.content(), lines(5));
}

#[test]
fn lines_of_other_programs_stay() {
    let dir = Dir::new();
    fs::write(dir.log(), "from before, without an end").unwrap();
    let mut log = fresh(&dir);
    append(&mut log, 0, 1);
    settle(&mut log);
    drop(log);
    let mut file = OpenOptions::new().append(true).open(dir.log()).unwrap();
    file.write_all(b"a note").unwrap();
    let (mut log, position) = again(&dir, None);
    assert_eq!(position, 1);
    append(&mut log, 1, 2);
    // The other program also writes while pandad runs.
    file.write_all(b"another").unwrap();
    append(&mut log, 2, 3);
    drop(log);
    assert_eq!(again(&dir, None).1, 3);
    assert_eq!(dir.content(), "from before, without an end\nline 0\na note\nline 1\nanother\nline 2\n");
}

#[test]
fn after_the_file_is_moved_away_a_new_one_begins() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    let moved = dir.0.join("out.log.1");
    fs::rename(dir.log(), &moved).unwrap();
    append(&mut log, 2, 3);
    drop(log);
    let (mut log, position) = again(&dir, None);
    assert_eq!(position, 3);
    // The file is moved after the process was killed: its ranges are adopted under the new name.
    append(&mut log, 3, 4);
    drop(log);
    fs::rename(dir.log(), dir.0.join("out.log.2")).unwrap();
    let (mut log, position) = again(&dir, None);
    assert_eq!(position, 4);
    append(&mut log, 4, 5);
    assert_eq!(dir.content(), "line 4\n");
    assert_eq!(fs::read_to_string(moved).unwrap(), lines(2));
}

#[test]
fn emptying_the_file_keeps_the_positions() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    settle(&mut log);
    fs::write(dir.log(), "").unwrap();
    append(&mut log, 2, 3);
    settle(&mut log);
    drop(log);
    fs::write(dir.log(), "").unwrap();
    assert_eq!(again(&dir, None).1, 3);
}

#[test]
fn offsets_of_unanswered_commits_are_recognized() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    assert_eq!(settle(&mut log), [(partition(), 2)]);
    append(&mut log, 2, 3);
    // No second commit is ordered before the first is answered.
    assert_eq!(settle(&mut log), []);
    assert!(!log.ledger.needs_commit());
    log.ledger.record_committed(&[(partition(), 2)]);
    assert!(log.ledger.needs_commit());
    assert_eq!(bare(log.ledger.take_commits().unwrap()), [(partition(), 3)]);
    append(&mut log, 3, 9);
    drop(log);
    // The answers to both commits may be lost, so the group may hold either offset.
    assert_eq!(again(&dir, Some(2)).1, 9);
    assert_eq!(again(&dir, Some(3)).1, 9);
    // An offset that another program set is followed, back and forward, and the position stays there.
    assert_eq!(again(&dir, Some(1)).1, 1);
    assert_eq!(again(&dir, None).1, 1);
    assert_eq!(again(&dir, Some(70)).1, 70);
}

/// The lines of a range reached the disk, but its journal entry did not. Such lines count as pandad's own
/// only after a loss of power, which shows as another boot without a clean end before it.
#[test]
fn after_a_power_loss_lines_unknown_to_the_journal_are_cut() {
    for (boot, closed, expected) in [(2, false, ""), (1, false, "line 2\n"), (2, true, "line 2\n")] {
        let dir = Dir::new();
        let start = |boot| at_boot(&dir, boot);
        let mut log = start(1);
        log.ledger.set_position(&partition(), 0).unwrap();
        append(&mut log, 0, 2);
        settle(&mut log);
        if closed {
            log.ledger.close().unwrap();
        }
        let journal = fs::read(dir.0.join("out.log.journal")).unwrap();
        append(&mut log, 2, 3);
        drop(log);
        fs::write(dir.0.join("out.log.journal"), journal).unwrap();
        let log = start(boot);
        assert_eq!(
            log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
            Some(2)
        );
        assert_eq!(dir.content(), lines(2) + expected, "boot {boot}, closed {closed}");
    }
}

#[test]
fn an_offset_is_forgotten_once_a_later_commit_is_acknowledged() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    for next in 1..=3 {
        append(&mut log, next - 1, next);
        assert_eq!(settle(&mut log), [(partition(), next)]);
        log.ledger.record_committed(&[(partition(), next)]);
    }
    append(&mut log, 3, 9);
    drop(log);
    assert_eq!(again(&dir, Some(3)).1, 9);
    // The commit of 3 began after 2 was acknowledged. So the group can hold 1 only by a reset.
    assert_eq!(again(&dir, Some(2)).1, 9);
    assert_eq!(again(&dir, Some(1)).1, 1);
}

#[test]
fn a_second_pandad_cannot_open_the_log_file() {
    let dir = Dir::new();
    let log = fresh(&dir);
    let second = open(&dir.log(), &options(true), &mut RestartMemory::default());
    assert!(matches!(second, Err(OpenError::Fatal(why)) if why.contains("another pandad")));
    drop(log);
    assert!(open(&dir.log(), &options(true), &mut RestartMemory::default()).is_ok());
}

#[test]
fn a_directory_or_a_missing_one_must_be_mended() {
    let dir = Dir::new();
    fs::create_dir(dir.log()).unwrap();
    let directory = open(&dir.log(), &options(true), &mut RestartMemory::default());
    assert!(matches!(directory, Err(OpenError::Mend(why)) if why.contains("not a regular")));
    let missing = dir.0.join("no/such/out.log");
    assert!(matches!(open(&missing, &options(true), &mut RestartMemory::default()), Err(OpenError::Mend(_))));
}

/// The group had an offset before the journal was created. Each start must recognize that offset, although
/// no commit of this journal was ever acknowledged.
#[test]
fn the_offset_found_in_the_group_is_recognized_at_each_start() {
    let dir = Dir::new();
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    assert_eq!(
        log.ledger.resume(&partition(), Some(100), &OffsetMetadata::Unsupported).unwrap().position,
        Some(100)
    );
    drop(log);
    for start in 0..20 {
        let (mut log, position) = again(&dir, Some(100));
        assert_eq!(position, 100 + start);
        append(&mut log, position, position + 1);
        // The commit is ordered, and the group does not take it.
        assert_eq!(settle(&mut log), [(partition(), position + 1)]);
    }
}

/// The position is set while ranges are unsettled. Settling them later must not move it.
#[test]
fn set_position_overrules_unsettled_ranges() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 900);
    log.ledger.set_position(&partition(), 0).unwrap();
    assert!(log.ledger.landmarks(&partition()).is_empty());
    settle(&mut log);
    drop(log);
    assert_eq!(again(&dir, None).1, 0);
}
