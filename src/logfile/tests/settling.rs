//! What a mark says, and what the end of a run says.

use super::*;

/// The settle thread makes a checkpoint durable while the writer goes on. If the writer went on in another
/// file, or behind somebody else's bytes, the mark of the checkpoint must not lead back: the next start
/// would look for the lines since then in the wrong place.
#[test]
fn a_late_mark_does_not_lead_back() {
    for moved in [true, false] {
        let dir = Dir::new();
        let mut log = fresh(&dir);
        append(&mut log, 0, 2);
        let checkpoint = log.writer.checkpoint();
        if moved {
            fs::rename(dir.log(), dir.0.join("out.log.1")).unwrap();
        } else {
            OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"a note\n").unwrap();
        }
        append(&mut log, 2, 3);
        assert_eq!(bare(log.settler.settle(checkpoint).unwrap().commits), [(partition(), 2)]);
        append(&mut log, 3, 4);
        drop(log);
        assert_eq!(again(&dir, None).1, 4, "moved: {moved}");
        let rest = if moved { "" } else { "line 0\nline 1\na note\n" };
        assert_eq!(dir.content(), format!("{rest}line 2\nline 3\n"));
    }
}

/// A checkpoint settles its own range, too: that is what is committed.
#[test]
fn a_checkpoint_settles_all_that_it_holds() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    append(&mut log, 2, 5);
    assert!(!log.ledger.has_settled());
    assert_eq!(settle(&mut log), [(partition(), 5)]);
    assert!(log.ledger.has_settled());
}

/// The journal of a run is closed if everything had settled, and only then.
#[test]
fn a_run_with_unsettled_writes_is_not_closed() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    let is_closed = || {
        let lines = inspect::lines(&dir.log()).unwrap();
        lines.iter().rfind(|line| line.starts_with("session: boot")).unwrap().ends_with(", closed")
    };
    append(&mut log, 0, 2);
    log.ledger.close().unwrap();
    assert!(!is_closed(), "lines have not settled");
    settle(&mut log);
    log.ledger.close().unwrap();
    assert!(is_closed());
}

/// A range is announced and nothing of it is written: the disk is full, or the lease is gone. Then pandad is
/// stopped, and another program appends its lines.
#[test]
fn lines_that_others_append_after_a_stop_in_front_of_a_write_stay() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    let asked = AtomicU32::new(0);
    log.writer.set_guard(Arc::new(move || asked.fetch_add(1, Relaxed) == 0));
    let refused = try_append(&mut log, 3, 103);
    assert!(matches!(refused, Err(AppendError::Guarded)) && log.writer.is_pending());
    log.writer.end().unwrap();
    log.ledger.close().unwrap();
    drop(log);
    let theirs = "a line of another program\n".repeat(20);
    OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(theirs.as_bytes()).unwrap();
    let (_log, position) = again(&dir, None);
    assert_eq!((position, dir.content()), (3, lines(3) + &theirs));
}

/// The sink waits, and settles, by what this says.
#[test]
fn the_writer_knows_what_is_not_settled() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    let state = |log: &LogFile| (log.writer.unsettled(), log.writer.needs_checkpoint());
    assert_eq!(state(&log), (0, true), "the group does not hold the position that was set");
    settle(&mut log);
    assert_eq!(state(&log), (0, false));
    log.ledger.record_committed(&[(partition(), 0)]);
    assert_eq!(state(&log), (0, false));
    append(&mut log, 0, 3);
    assert_eq!(state(&log), (21, true));
    append(&mut log, 3, 5);
    assert_eq!(state(&log), (35, true));
    OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(b"a note\nanother\n").unwrap();
    log.writer.reopen().unwrap();
    assert_eq!(state(&log), (50, true), "bytes of others are settled, too");
    append(&mut log, 5, 6);
    assert_eq!(state(&log), (57, true));
    let checkpoint = log.writer.checkpoint();
    assert!(checkpoint.has_bytes());
    log.settler.settle(checkpoint).unwrap();
    log.ledger.record_committed(&[(partition(), 6)]);
    assert_eq!(state(&log), (0, false));
    // Records that make no lines are settled, too, but the file need not be synced for that.
    let (index, _) = log.ledger.written(&partition()).unwrap();
    log.writer.append(&[], &[PositionChange { index, position: 8, last: None }]).unwrap();
    assert_eq!(state(&log), (0, true));
    let checkpoint = log.writer.checkpoint();
    assert!(!checkpoint.has_bytes());
    assert_eq!(bare(log.settler.settle(checkpoint).unwrap().commits), [(partition(), 8)]);
}
