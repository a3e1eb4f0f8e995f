//! What the group knows of a journal that was taken over: its tokens, its claims and its member.

use super::*;
use crate::logfile::journal_view::JournalView;

#[test]
fn tokens_of_a_former_journal_are_the_journal_s_own() {
    let (dir, identity) = with_old();
    let (ledger, _) = shared(&dir);
    let epoch = ledger_epoch(&dir);
    let own = |offset, epoch| Some((offset, Token { identity, epoch, offset }.to_string()));
    let told = lines_of(|| {
        assert_eq!(resume(&ledger, &partition(), own(3, epoch)), Some(5), "committed before the last writes");
        assert_eq!(resume(&ledger, &partition(), own(5, epoch)), Some(5));
    });
    assert_eq!(told, [], "an own commit is no news");
    assert_eq!(ledger.strangers(), [], "although the journal is new");
    assert!(ledger.group_holds_all());
    let told = lines_of(|| assert_eq!(resume(&ledger, &partition(), own(7, epoch)), Some(5)));
    assert!(told.len() == 1 && told[0].1.contains("an older copy of the journal was put back"), "{told:?}");
    let told = lines_of(|| assert_eq!(resume(&ledger, &TopicPartition::new("t", 7), own(7, 3)), Some(0)));
    assert!(told.len() == 1 && told[0].1.contains("does not know the partition"), "{told:?}");
    let other = Some((8, Token { identity: identity + 1, epoch: 3, offset: 8 }.to_string()));
    assert_eq!(resume(&ledger, &partition(), other), Some(8), "another journal's token is followed");
    assert_eq!(ledger.strangers(), [identity + 1]);
}

/// The former journal may have claimed an offset, and the claim may arrive late.
#[test]
fn an_offset_is_claimed_under_the_name_that_the_former_journal_gave_it() {
    let (dir, identity) = with_old();
    let (ledger, _) = shared(&dir);
    let epoch = ledger_epoch(&dir);
    assert_eq!(ledger.claim_name(&partition(), 9, 4), resume::claim_name(identity, Some(epoch), 9, 4));
    let unknown = TopicPartition::new("u", 0);
    assert_eq!(ledger.claim_name(&unknown, 9, 4), resume::claim_name(ledger.identity(), None, 9, 4));
}

#[test]
fn the_member_of_the_first_journal_is_taken_over() {
    let dir = Dir::new();
    for name in ["out.log", "other.log"] {
        let log = open(&dir.0.join(name), &options(true), &mut RestartMemory::default()).unwrap();
        log.ledger.record_member(MemberIdentity { id: name.to_owned(), silent: true }).unwrap();
        log.ledger.set_position(&TopicPartition::new(name, 0), 4).unwrap();
    }
    let ledger = open_shared(&dir);
    assert_eq!(ledger.member(), None);
    assert!(take(&dir, &ledger) && try_take(&dir, &ledger, "other.log", "other.log").unwrap());
    drop(ledger);
    let ledger = open_shared(&dir);
    assert_eq!(ledger.member(), Some(MemberIdentity { id: "out.log".to_owned(), silent: true }));
    assert_eq!(resume(&ledger, &TopicPartition::new("other.log", 0), None), Some(4));
}

/// `pandad seek` asks what the next start would make of an offset.
#[test]
fn the_view_of_a_stopped_journal_knows_its_former_ones() {
    let (dir, identity) = with_old();
    let (ledger, _) = shared(&dir);
    let (by, epoch) = (ledger.identity(), ledger_epoch(&dir));
    drop(ledger);
    let view = JournalView::read(&base(&dir)).unwrap();
    let at = |offset, text: String| view.resumes_at(&partition(), Some(offset), &OffsetMetadata::Text(text));
    let token = |identity, epoch, offset| Token { identity, epoch, offset }.to_string();
    assert_eq!(at(7, token(identity, epoch + 1, 7)), Some(5), "its own, although the copy is older");
    assert_eq!(at(7, token(identity + 1, epoch + 1, 7)), Some(7), "another journal's");
    assert_eq!(at(7, String::new()), Some(7));
    // The claim of the former journal was followed before: the start would make the same claim, and know it.
    let claimed = resume::claim_name(identity, Some(epoch), 7, -1);
    assert_ne!(claimed, resume::claim_name(by, Some(epoch), 7, -1));
    let (ledger, _) = shared(&dir);
    assert_eq!(ledger.claim_name(&partition(), 7, -1), claimed);
    drop(ledger);
    assert_eq!(view.claim_name(&partition(), 7), claimed);
}
