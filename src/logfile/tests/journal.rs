//! The journal's file: when it is rewritten, enlarged, unreadable or torn.

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;

#[test]
fn a_full_journal_is_rewritten_and_keeps_its_state() {
    let dir = Dir::new();
    let mut log = small(&dir);
    log.ledger.set_position(&partition(), 0).unwrap();
    for n in 0..1000 {
        append(&mut log, n, n + 1);
        if n % 7 == 0 {
            settle(&mut log);
            log.ledger.record_committed(&[]);
        }
        if n % 100 == 99 {
            drop(log);
            log = small(&dir);
            assert_eq!(
                log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
                Some(n + 1)
            );
        }
    }
    assert_eq!(dir.content(), lines(1000));
}

#[test]
fn a_snapshot_that_outgrows_its_half_gets_a_larger_file() {
    let dir = Dir::new();
    let mut log = small(&dir);
    for n in 0..500 {
        log.ledger.set_position(&TopicPartition::new("a-topic-with-a-long-name", n), i64::from(n)).unwrap();
    }
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 1);
    drop(log);
    let (log, position) = again(&dir, None);
    assert_eq!(position, 1);
    let far = log
        .ledger
        .resume(&TopicPartition::new("a-topic-with-a-long-name", 499), None, &OffsetMetadata::Unsupported)
        .unwrap();
    assert_eq!(far.position, Some(499));
}

#[test]
fn an_unreadable_journal_is_set_aside_and_nothing_is_cut() {
    for garbage in [b"not a journal".to_vec(), vec![0; 8192], Vec::new()] {
        let dir = Dir::new();
        let mut log = fresh(&dir);
        append(&mut log, 0, 2);
        drop(log);
        let journal = dir.0.join("out.log.journal");
        fs::write(&journal, &garbage).unwrap();
        let (log, position) = again(&dir, None);
        assert_eq!(position, -1);
        drop(log);
        assert_eq!(dir.content(), lines(2));
        assert_eq!(fs::read(dir.0.join("out.log.journal.unreadable")).unwrap(), garbage);
    }
}

#[test]
fn a_torn_journal_is_read_up_to_the_torn_entry() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    settle(&mut log);
    append(&mut log, 2, 4);
    drop(log);
    let journal = dir.0.join("out.log.journal");
    let whole = fs::read(&journal).unwrap();
    let text = dir.content();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (64..=end).rev().step_by(3).take(60) {
        let mut torn = whole.clone();
        torn[at] ^= 0x55;
        fs::write(&journal, torn).unwrap();
        fs::write(dir.log(), &text).unwrap();
        // The file keeps its inode when it is written in place, and the journal knows the file by its
        // inode.
        let (log, position) = again(&dir, None);
        assert!([-1, 0, 2, 4].contains(&position), "at {at}: {position}");
        drop(log);
        let _ = fs::remove_file(dir.0.join("out.log.journal.unreadable"));
    }
}

/// Recovery would stop at a range that does not fit, and would compare the wrong bytes because of a mark
/// that does not fit. So the journal refuses both, and its bytes stay as they were.
#[test]
fn a_range_or_a_mark_that_does_not_fit_is_refused() {
    use super::super::journal::{FilePlace, Mark, ONLY_FILE, Range, RangePart};
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    let sequence = log.ledger.next_sequence();
    let mark = log.writer.checkpoint().0.mark;
    let place = mark.files[0].place;
    let range = |sequence, from| Range {
        sequence,
        parts: vec![RangePart {
            number: ONLY_FILE,
            file: place.file,
            from,
            to: place.end + 9,
            crc: 0,
            before: 0,
        }],
        changes: Vec::new(),
    };
    let another = Mark::of_only_file(mark.sequence, FilePlace { end: place.end + 1, ..place });
    let ahead = Mark { sequence, ..mark.clone() };
    let before = fs::read(dir.0.join("out.log.journal")).unwrap();
    let refused = [
        log.ledger.announce(&range(sequence, place.end - 1)).map(drop),
        log.ledger.announce(&range(sequence + 1, place.end)).map(drop),
        log.ledger.announce(&range(sequence, place.end + 10)).map(drop),
        log.ledger.mark(another).map(drop),
        log.ledger.mark(ahead).map(drop),
    ];
    for error in refused.map(Result::unwrap_err) {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
    assert_eq!(fs::read(dir.0.join("out.log.journal")).unwrap(), before);
    log.ledger.mark(mark.clone()).unwrap();
    log.ledger.announce(&range(sequence, place.end)).unwrap();
}

/// A directory whose journal was begun anew `starts` times, each time behind five more records.
fn after_starts(starts: i64) -> Dir {
    let dir = Dir::new();
    for start in 0..=starts {
        let mut log = small(&dir);
        if start == 0 {
            log.ledger.set_position(&partition(), 0).unwrap();
        }
        log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        append(&mut log, start * 5, start * 5 + 5);
        settle(&mut log);
    }
    dir
}

/// Where the next start goes on if the journal is changed like this; -1: the journal was put aside.
fn position_with(dir: &Dir, change: impl FnOnce(&mut Vec<u8>)) -> i64 {
    let journal = dir.0.join("out.log.journal");
    let (whole, text) = (fs::read(&journal).unwrap(), dir.content());
    let mut changed = whole.clone();
    change(&mut changed);
    fs::write(&journal, changed).unwrap();
    let (log, position) = again(dir, None);
    drop(log);
    let aside = dir.0.join("out.log.journal.unreadable");
    assert_eq!(position == -1, aside.exists(), "{position}");
    let _ = fs::remove_file(aside);
    fs::write(&journal, whole).unwrap();
    fs::write(dir.log(), text).unwrap();
    position
}

/// Going on where an older half ends would double all that was written since.
#[test]
fn a_journal_that_was_cut_off_never_goes_back() {
    for starts in [1, 2] {
        let (dir, end) = (after_starts(starts), starts * 5 + 5);
        let length = fs::metadata(dir.0.join("out.log.journal")).unwrap().len() as usize;
        let mut whole = 0;
        for at in (0..length).step_by(61).chain([length / 2, length - 1]) {
            let position = position_with(&dir, |journal| journal.truncate(at));
            assert!([-1, end].contains(&position), "cut off at {at} of {length}: {position} of {end}");
            whole += usize::from(position == end);
        }
        // What was cut off was mostly unused, or the half before.
        assert!(whole * 61 > length / if starts == 1 { 2 } else { 4 }, "{whole} after {starts} starts");
    }
}

#[test]
fn a_journal_with_bytes_behind_its_end_is_read() {
    for more in [1, 4096, 8191] {
        let dir = after_starts(2);
        assert_eq!(position_with(&dir, |journal| journal.resize(journal.len() + more, 0)), 15);
    }
}

/// The half that is left says that another one followed.
#[test]
fn a_journal_without_its_newest_half_is_put_aside() {
    for starts in [1, 2, 3] {
        let dir = after_starts(starts);
        let active = 1 - starts as usize % 2;
        for fill in [0, 0xff, 0x5a] {
            let destroy = |journal: &mut Vec<u8>| {
                let half = journal.len() / 2;
                journal[active * half..(active + 1) * half].fill(fill);
            };
            assert_eq!(position_with(&dir, destroy), -1, "{starts} starts, {fill:#x}");
        }
        let older_twice = |journal: &mut Vec<u8>| {
            let half = journal.len() / 2;
            let older = (1 - active) * half;
            journal.copy_within(older..older + half, active * half);
        };
        assert_eq!(position_with(&dir, older_twice), -1, "{starts} starts");
        let without_older = |journal: &mut Vec<u8>| {
            let half = journal.len() / 2;
            journal[(1 - active) * half..(2 - active) * half].fill(0);
        };
        assert_eq!(position_with(&dir, without_older), starts * 5 + 5);
    }
}

/// Entries are appended one behind the other, so none was written behind unused bytes.
#[test]
fn damage_of_unused_bytes_changes_nothing() {
    let dir = Dir::new();
    let mut log = at_boot(&dir, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 5);
    settle(&mut log);
    append(&mut log, 5, 7);
    drop(log);
    let journal = dir.0.join("out.log.journal");
    let mut bytes = fs::read(&journal).unwrap();
    *bytes.last_mut().unwrap() ^= 0x10;
    fs::write(&journal, bytes).unwrap();
    let log = at_boot(&dir, 1);
    let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    assert_eq!(resumed.position, Some(7));
    assert!(!dir.0.join("out.log.journal.unreadable").exists());
}

/// Damage that was made up for must not be what the next snapshot leans on.
#[test]
fn a_second_damage_in_a_later_run_loses_nothing() {
    let dir = Dir::new();
    let mut log = at_boot(&dir, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 5);
    settle(&mut log);
    append(&mut log, 5, 7);
    settle(&mut log);
    drop(log);
    let journal = dir.0.join("out.log.journal");
    let flip = |at: usize| {
        let mut bytes = fs::read(&journal).unwrap();
        bytes[at] ^= 0x10;
        fs::write(&journal, bytes).unwrap();
    };
    let half = super::super::journal::HALF_BYTES_MIN as usize;
    // In the half in force, behind its snapshot.
    flip(half + 300);
    let mut log = at_boot(&dir, 1);
    assert_eq!(
        log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
        Some(7)
    );
    append(&mut log, 7, 9);
    drop(log);
    let bytes = fs::read(&journal).unwrap();
    let generation = |at: usize| u64::from_be_bytes(bytes[at + 26..at + 34].try_into().unwrap());
    // The first entry of its snapshot.
    flip(if generation(half) > generation(0) { half + 150 } else { 150 });
    let log = at_boot(&dir, 1);
    assert_eq!(
        log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position,
        Some(9)
    );
    assert!(!dir.0.join("out.log.journal.unreadable").exists());
}

/// A disk on which nothing is really written.
#[derive(Debug)]
struct NoBytes;

impl Faults for NoBytes {
    fn write_at(&self, _: &FaultyFile<Self>, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A larger journal would be taken for an unreadable one by the next start.
#[test]
fn no_journal_is_larger_than_what_is_read() {
    use super::super::journal::JournalFile;
    let dir = Dir::new();
    let disk = disk_with(&Arc::new(NoBytes));
    for (half, is_made) in [(1 << 29, true), ((1 << 29) + 1, false), (1 << 31, false)] {
        let made = JournalFile::create(&disk, &dir.0.join("out.log.journal"), 7, half, &[]);
        assert_eq!(made.is_ok(), is_made, "{half}");
    }
}
