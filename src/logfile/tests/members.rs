//! What a member of a group may write, and the member id that it finds after a kill.

use super::*;

/// If the guard refuses a write in either place, the write can be finished later, with the same lines.
#[test]
fn a_guard_is_asked_before_the_entry_and_before_the_lines() {
    use std::sync::atomic::AtomicU32;
    let dir = Dir::new();
    let mut log = fresh(&dir);
    let allowed = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&allowed);
    log.writer.set_guard(Arc::new(move || {
        asked.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }));
    let lines = b"line 0\n";
    let mut crc = crc32fast::Hasher::new();
    crc.update(lines);
    let (index, _) = log.ledger.written(&partition()).unwrap();
    let change = PositionChange { index, position: 1, last: None };
    let piece = Piece { bytes: lines, crc: &crc };
    assert!(matches!(log.writer.append(&[piece], std::slice::from_ref(&change)), Err(AppendError::Guarded)));
    assert!(!log.writer.is_pending() && log.ledger.has_settled(), "nothing is announced");
    allowed.store(1, Relaxed);
    assert!(matches!(log.writer.append(&[piece], std::slice::from_ref(&change)), Err(AppendError::Guarded)));
    assert!(log.writer.is_pending() && dir.content().is_empty(), "announced, and not written");
    allowed.store(9, Relaxed);
    log.writer.append(&[piece], &[change]).unwrap();
    assert_eq!(dir.content(), "line 0\n");
    assert!(!log.writer.is_pending());
}

/// The member id is kept by a kill, and when the journal is rewritten.
#[test]
fn the_member_id_survives_a_kill() {
    let dir = Dir::new();
    let log = fresh(&dir);
    assert_eq!(log.ledger.member(), None);
    let member = MemberIdentity { id: "m-1".to_owned(), silent: true };
    log.ledger.record_member(member.clone()).unwrap();
    drop(log);
    for _ in 0..2 {
        let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        assert_eq!(log.ledger.member(), Some(member.clone()));
    }
    assert!(
        inspect::lines(&dir.log()).unwrap().iter().any(|line| line.contains("known to the group as m-1"))
    );
}

/// Another member may read the partition once it is released. A write that ends only after the release must
/// not move this member's position.
#[test]
fn a_range_released_during_its_write_does_not_count() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    assert!(!log.ledger.group_holds_all() && !log.ledger.has_settled());
    log.ledger.release_all();
    log.ledger.record_written(&[PositionChange { index: 0, position: 9, last: None }]);
    assert_eq!(log.ledger.written(&partition()), None);
    assert!(log.ledger.group_holds_all(), "of what is assigned");
    assert_eq!(settle(&mut log), []);
    assert!(log.ledger.has_settled());
    let position = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position;
    assert_eq!(position, Some(2), "the lines are in the file all the same");
}
