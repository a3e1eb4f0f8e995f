//! Where a start goes on that finds another offset in the group, and what a command says of it before.

use super::*;
use crate::logfile::journal_view::JournalView;
use crate::record::Token;

/// What the next start finds in the group: an offset that another program has set.
fn set(offset: i64) -> (Option<i64>, OffsetMetadata) {
    (Some(offset), OffsetMetadata::Text(String::new()))
}

#[test]
fn offsets_that_are_passed_over_are_named() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 5);
    settle(&mut log);
    let resume = |offset, metadata: &str| {
        let metadata = OffsetMetadata::Text(metadata.to_owned());
        log.ledger.resume(&partition(), Some(offset), &metadata).unwrap()
    };
    let claim = |epoch, offset| Token::claim(epoch, offset).to_string();
    let forward = resume(9, &claim(77, 9));
    assert_eq!((forward.position, forward.skipped), (Some(9), 5..9));
    let again = resume(9, &claim(77, 9));
    assert_eq!((again.position, again.skipped.is_empty()), (Some(9), true), "named once");
    let back = resume(2, &claim(78, 2));
    assert_eq!((back.position, back.skipped.is_empty()), (Some(2), true));
    // What another journal has committed, it has read.
    let other = Token { identity: 9, epoch: 79, offset: 20 }.to_string();
    let follow = resume(20, &other);
    assert_eq!((follow.position, follow.skipped.is_empty()), (Some(20), true));
}

#[test]
fn a_journal_tells_where_the_next_start_goes_on() {
    let dir = Dir::new();
    let view = || JournalView::read(&dir.log()).unwrap();
    let nothing = (None, OffsetMetadata::Text(String::new()));
    assert_eq!(view().position(&partition()), None, "there is no journal yet");
    assert_eq!(view().resumes_at(&partition(), nothing.0, &nothing.1), None);
    assert_eq!(view().resumes_at(&partition(), set(7).0, &set(7).1), Some(7));
    let mut log = fresh(&dir);
    append(&mut log, 0, 5);
    settle(&mut log);
    append(&mut log, 5, 6);
    drop(log);
    let view = view();
    assert_eq!(view.position(&partition()), Some(6), "with what is not settled yet");
    assert_eq!(view.resumes_at(&partition(), nothing.0, &nothing.1), Some(6));
    for offset in [0, 4, 6, 9] {
        assert_eq!(view.resumes_at(&partition(), set(offset).0, &set(offset).1), Some(offset));
        // What was set and not followed yet changes nothing of what was written.
        assert_eq!(view.written_up_to(&partition(), set(offset).0, &set(offset).1), Some(6));
    }
    assert_eq!(view.written_up_to(&partition(), nothing.0, &nothing.1), Some(6));
    let other = Token { identity: 9, epoch: 79, offset: 20 }.to_string();
    assert_eq!(view.written_up_to(&partition(), Some(20), &OffsetMetadata::Text(other)), Some(20));
    // In ZooKeeper no token shows the difference to what this journal has committed.
    let bare = |offset| view.resumes_at(&partition(), Some(offset), &OffsetMetadata::Unsupported);
    assert_eq!((bare(5), bare(4)), (Some(6), Some(4)));
}

#[test]
fn a_journal_that_cannot_be_read_is_no_journal_without_positions() {
    let dir = Dir::new();
    fs::write(dir.0.join("out.log.journal"), "not a journal").unwrap();
    assert!(JournalView::read(&dir.log()).unwrap_err().contains("not a journal"));
}
