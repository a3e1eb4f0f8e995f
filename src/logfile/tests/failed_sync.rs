//! A sync of the journal that fails just when a new half has been put in force.

use std::sync::atomic::AtomicBool;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;

/// A sync can fail that follows the write of a journal's header.
#[derive(Debug, Default)]
struct FailingHeader {
    fails: AtomicBool,
    wrote_header: AtomicBool,
}

impl Faults for FailingHeader {
    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        // Only a header has this length, and only journals are written like this.
        self.wrote_header.store(bytes.len() == 128, Relaxed);
        file.inner.write_at(bytes, at)
    }

    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        if self.wrote_header.load(Relaxed) && self.fails.load(Relaxed) {
            return Err(rustix::io::Errno::IO.into());
        }
        file.inner.sync()
    }
}

fn open_small(disk: &Arc<dyn Disk>, dir: &Dir) -> LogFile {
    let lock = Lock::take(&dir.log()).unwrap();
    let mut memory = RestartMemory::default();
    let (writer, settler, ledger) =
        open_with(disk, &dir.log(), &options(true), 4096, Some(1), &mut memory).unwrap();
    LogFile { writer, settler, ledger, lock }
}

/// Writes and settles lines until a sync of the journal has failed, then tries to write one more.
fn write_until_a_sync_fails(log: &mut LogFile) {
    for next in 0.. {
        let appended = try_append(log, next, next + 1);
        if log.ledger.has_failed() {
            return;
        }
        appended.unwrap();
        let checkpoint = log.writer.checkpoint();
        if log.settler.settle(checkpoint).is_ok() {
            log.ledger.record_committed(&[]);
        }
    }
}

/// The settle thread begins the new half, and the sync of the half's header fails. The sink has one more
/// write before it learns of that; then comes a kill. The new half is in force, and must know that write.
#[test]
fn nothing_is_announced_in_a_half_that_was_left() {
    for skew in 0..40 {
        let (dir, faults) = (Dir::new(), Arc::<FailingHeader>::default());
        let mut log = open_small(&disk_with(&faults), &dir);
        // What does not fit any more is now the entry of a write, now a mark.
        log.ledger.set_position(&TopicPartition::new("x".repeat(skew * 3 + 1), 0), 0).unwrap();
        log.ledger.set_position(&partition(), 0).unwrap();
        faults.fails.store(true, Relaxed);
        write_until_a_sync_fails(&mut log);
        drop(log);
        let log = open_small(&(Arc::new(RealDisk) as Arc<dyn Disk>), &dir);
        let position = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position;
        let written = dir.content().lines().count() as i64;
        assert_eq!(position, Some(written), "skew {skew}: {}", dir.content());
    }
}

/// Writes to a journal fail for a while.
#[derive(Debug, Default)]
struct FullJournal {
    is_full: AtomicBool,
}

impl Faults for FullJournal {
    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.is_full.load(Relaxed) {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        file.inner.write_at(bytes, at)
    }
}

/// An entry that the journal does not take is offered again, unless only a restart can help.
#[test]
fn a_refused_entry_is_tried_again_or_ends_the_run() {
    let (dir, faults) = (Dir::new(), Arc::<FullJournal>::default());
    let mut log = open_small(&disk_with(&faults), &dir);
    log.ledger.set_position(&partition(), 0).unwrap();
    faults.is_full.store(true, Relaxed);
    for _ in 0..2 {
        let refused = try_append(&mut log, 0, 2);
        assert!(matches!(&refused, Err(AppendError::Retry(_))), "{refused:?}");
        assert_eq!(dir.content(), "", "nothing is written before it is announced");
    }
    faults.is_full.store(false, Relaxed);
    append(&mut log, 0, 2);
    // What the writer would announce contradicts the journal.
    let (file, sequence) = (log.writer.checkpoint().mark.file, log.ledger.next_sequence());
    let range = super::super::journal::Range {
        sequence,
        file,
        from: 14,
        to: 20,
        crc: 0,
        before: 0,
        changes: Vec::new(),
    };
    log.ledger.announce(&range).unwrap();
    let refused = try_append(&mut log, 2, 3);
    assert!(matches!(&refused, Err(AppendError::Restart(_))), "{refused:?}");
    assert_eq!(dir.content(), lines(2));
    drop(log);
    // A sync of the journal has failed.
    let (dir, faults) = (Dir::new(), Arc::<FailingHeader>::default());
    let mut log = open_small(&disk_with(&faults), &dir);
    log.ledger.set_position(&partition(), 0).unwrap();
    faults.fails.store(true, Relaxed);
    write_until_a_sync_fails(&mut log);
    let next = dir.content().lines().count() as i64;
    let refused = try_append(&mut log, next, next + 1);
    assert!(matches!(&refused, Err(AppendError::Restart(_))), "{refused:?}");
}
