//! The journal's file: when it is rewritten, enlarged, unreadable or torn.

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
    use super::super::journal::{Mark, Range};
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    let sequence = log.ledger.next_sequence();
    let mark = log.writer.checkpoint().mark;
    let range = |sequence, from| Range {
        sequence,
        file: mark.file,
        from,
        to: mark.end + 9,
        crc: 0,
        before: 0,
        changes: Vec::new(),
    };
    let another = Mark { end: mark.end + 1, ..mark.clone() };
    let ahead = Mark { sequence, ..mark.clone() };
    let before = fs::read(dir.0.join("out.log.journal")).unwrap();
    let refused = [
        log.ledger.announce(&range(sequence, mark.end - 1)).map(drop),
        log.ledger.announce(&range(sequence + 1, mark.end)).map(drop),
        log.ledger.announce(&range(sequence, mark.end + 10)).map(drop),
        log.ledger.mark(another).map(drop),
        log.ledger.mark(ahead).map(drop),
    ];
    for error in refused.map(Result::unwrap_err) {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
    assert_eq!(fs::read(dir.0.join("out.log.journal")).unwrap(), before);
    log.ledger.mark(mark.clone()).unwrap();
    log.ledger.announce(&range(sequence, mark.end)).unwrap();
}
