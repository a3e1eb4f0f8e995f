//! What is durable when a call returns, and what a sync that fails at the start takes with it. The fault
//! model is that of the disk.

use std::path::Path;
use std::sync::Arc;

use super::disk::{DiskFlaw, RunEnd, SimDisk};
use crate::logfile::journal::HALF_BYTES_MIN;
use crate::logfile::{
    Disk, Ledger, LogFileOptions, LogWriter, Piece, PositionChange, RestartMemory, Rotation, Settler,
    open_with,
};
use crate::record::{Commit, OffsetMetadata, TopicPartition};

const LOG_PATH: &str = "/log/out.log";

/// The log file on this disk, opened by another run.
fn open(disk: &SimDisk) -> (LogWriter, Settler, Ledger) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let mut memory = RestartMemory::default();
    open_with(&disk, Path::new(LOG_PATH), &options, HALF_BYTES_MIN, Some(1), &mut memory).unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Fails unless every byte of the journal survives a loss of power now.
#[track_caller]
fn assert_durable(disk: &SimDisk) {
    let journal = |disk: &SimDisk| disk.contents("/log/out.log.journal");
    for seed in 0..64 {
        let lost = disk.copy();
        lost.end(RunEnd::PowerLoss, &mut fastrand::Rng::with_seed(seed));
        assert!(journal(&lost) == journal(disk), "a loss of power takes away what the journal says");
    }
}

fn offsets(commits: &[Commit]) -> Vec<i64> {
    commits.iter().map(|one| one.offset).collect()
}

/// Writes one line.
fn write(writer: &mut LogWriter, ledger: &Ledger, from: i64) {
    let text = format!("line {from}\n");
    let mut crc = crc32fast::Hasher::new();
    crc.update(text.as_bytes());
    let (index, written) = ledger.written(&partition()).unwrap();
    assert_eq!(written, from);
    let change = PositionChange { index, position: from + 1, last: None };
    writer.append(&[Piece { bytes: text.as_bytes(), crc: &crc }], &[change]).unwrap();
}

/// A position that was set decides where the next start goes on, and an offset must be in the journal
/// before the group can get it: if a loss of power took the entry away, the next start would take the
/// group's offset for that of another program, and follow it.
#[test]
fn what_others_rely_on_is_durable_at_once() {
    let disk = SimDisk::new(DiskFlaw::None);
    let (mut writer, mut settler, ledger) = open(&disk);
    ledger.set_position(&partition(), 0).unwrap();
    assert_durable(&disk);
    write(&mut writer, &ledger, 0);
    let checkpoint = writer.checkpoint();
    assert_eq!(offsets(&settler.settle(checkpoint).unwrap().commits), [1]);
    assert_durable(&disk);
    write(&mut writer, &ledger, 1);
    let checkpoint = writer.checkpoint();
    // The first commit is not answered yet.
    assert!(settler.settle(checkpoint).unwrap().commits.is_empty());
    ledger.record_committed(&[(partition(), 1)]);
    assert_eq!(offsets(&ledger.take_commits().unwrap()), [2]);
    assert_durable(&disk);
    // Writing goes on in a new file.
    disk.rename(Path::new(LOG_PATH), Path::new("/log/out.log.1")).unwrap();
    assert!(writer.reopen().unwrap());
    assert_durable(&disk);
    ledger.close().unwrap();
    assert_durable(&disk);
}

/// The disk lost writes of the journal after the last run, and says so at the first sync of this start.
/// The kernel says it once; the handle that has seen the error never syncs again, so another one is needed.
#[test]
fn a_sync_that_fails_at_the_start_delays_nothing() {
    let disk = SimDisk::new(DiskFlaw::None);
    let (mut writer, mut settler, ledger) = open(&disk);
    ledger.set_position(&partition(), 0).unwrap();
    write(&mut writer, &ledger, 0);
    let checkpoint = writer.checkpoint();
    settler.settle(checkpoint).unwrap();
    write(&mut writer, &ledger, 1);
    drop((writer, settler, ledger));
    disk.fail_sync_after(disk.operations());
    let (mut writer, mut settler, ledger) = open(&disk);
    assert!(disk.has_failed(), "the journal had nothing to be written back");
    let resumed = ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    let position = resumed.position.unwrap();
    write(&mut writer, &ledger, position);
    let checkpoint = writer.checkpoint();
    settler.settle(checkpoint).unwrap();
    drop((writer, settler, ledger));
    disk.end(RunEnd::PowerLoss, &mut fastrand::Rng::with_seed(0));
    let (_writer, _settler, ledger) = open(&disk);
    let resumed = ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    assert_eq!(resumed.position, Some(position + 1));
}
