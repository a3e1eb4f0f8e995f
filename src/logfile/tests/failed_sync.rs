//! A sync of the journal that fails just when a new half has been put in force.

use std::sync::atomic::AtomicBool;

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::journal::{ONLY_FILE, Range, RangePart};

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
    let (number, file) = (ONLY_FILE, log.writer.checkpoint().0.mark.files[0].place.file);
    let parts = vec![RangePart { number, file, from: 14, to: 20, crc: 0, before: 0 }];
    let range = Range { sequence: log.ledger.next_sequence(), parts, changes: Vec::new() };
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

/// The journal cannot be opened, or its first sync fails.
#[derive(Debug, Default)]
struct BadJournal {
    is_refused: AtomicBool,
    sync_fails: AtomicBool,
}

impl Faults for BadJournal {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<disk::Handle> {
        if path.extension().is_some_and(|end| end == "journal") && self.is_refused.load(Relaxed) {
            return Err(rustix::io::Errno::IO.into());
        }
        RealDisk.open(path, how)
    }

    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        if file.path.extension().is_some_and(|end| end == "journal") && self.sync_fails.swap(false, Relaxed) {
            return Err(rustix::io::Errno::IO.into());
        }
        file.inner.sync()
    }
}

/// A journal that is there and cannot be read must not be taken for one that is missing: everything would
/// come twice.
#[test]
fn a_journal_that_cannot_be_opened_is_waited_for() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 5);
    drop(log);
    let faults = Arc::<BadJournal>::default();
    let disk = disk_with(&faults);
    faults.is_refused.store(true, Relaxed);
    let (half, mut memory) = (super::super::journal::HALF_BYTES_MIN, RestartMemory::default());
    let refused = open_with(&disk, &dir.log(), &options(true), half, Some(1), &mut memory);
    assert!(
        matches!(&refused, Err(OpenError::Retry(why)) if why.contains("out.log.journal: ")),
        "{refused:?}"
    );
    let copied = crate::logfile::backup::copy_on(&disk, &dir.log(), &Dir::new().0).unwrap_err();
    assert!(copied.contains("out.log.journal: Input/output error"), "{copied}");
    faults.is_refused.store(false, Relaxed);
    assert_eq!(again(&dir, None).1, 5);
}

/// The kernel reports an earlier failure of its own at the first sync of a start. The run goes on in a
/// journal that it has opened anew, and counts as one after a loss of power.
#[test]
fn a_journal_whose_first_sync_fails_is_opened_anew() {
    for sync_fails in [false, true] {
        let dir = Dir::new();
        let mut log = at_boot(&dir, 1);
        log.ledger.set_position(&partition(), 0).unwrap();
        append(&mut log, 0, 5);
        settle(&mut log);
        drop(log);
        // Lines whose range may be one of the lost ones.
        OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"line 5\nline 6\n").unwrap();
        let faults = Arc::<BadJournal>::default();
        faults.sync_fails.store(sync_fails, Relaxed);
        let lock = Lock::take(&dir.log()).unwrap();
        let (half, mut memory) = (super::super::journal::HALF_BYTES_MIN, RestartMemory::default());
        let (writer, settler, ledger) =
            open_with(&disk_with(&faults), &dir.log(), &options(true), half, Some(1), &mut memory).unwrap();
        let mut log = LogFile { writer, settler, ledger, lock };
        let position = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position;
        assert_eq!(position, Some(5));
        append(&mut log, 5, 6);
        settle(&mut log);
        assert!(!log.ledger.has_failed());
        assert_eq!(dir.content(), if sync_fails { lines(6) } else { lines(7) + "line 5\n" });
    }
}
