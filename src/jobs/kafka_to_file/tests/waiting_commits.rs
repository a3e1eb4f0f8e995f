//! A commit that is not answered when the partitions are lost.

use super::*;

fn no_metadata() -> OffsetMetadata {
    OffsetMetadata::Text(String::new())
}

/// The coordinator does not answer, and the partition is lost and comes back. Until the answer comes,
/// whatever it says, nothing more is ordered, and then what was written is committed.
#[test]
fn a_commit_without_an_answer_holds_the_next_back_and_does_not_stop_it() {
    for answer in [vec![], vec![(partition(), 0)]] {
        let member = Member::new();
        let ledger = member.ledger.clone();
        let mut group = Group(Arc::clone(&member.world));
        let mut shared = SharedLedger::new(FileRouter::new(Vec::new()), ledger.clone(), vec![None]);
        ledger.resume(&partition(), None, &no_metadata()).unwrap();
        ledger.set_position(&partition(), 0).unwrap();
        shared.commit(shared.take_commits().unwrap(), &mut group);
        assert!(shared.is_committing() && member.orders() == 1);
        shared.release_all();
        ledger.resume(&partition(), None, &no_metadata()).unwrap();
        assert!(shared.take_commits().unwrap().is_empty());
        shared.commit(Vec::new(), &mut group);
        shared.record_committed(&answer);
        assert!(!shared.is_committing());
        let is_held = !answer.is_empty();
        let next = shared.take_commits().unwrap();
        assert_eq!((next.is_empty(), shared.is_behind()), (is_held, !is_held));
        if !is_held {
            shared.commit(next, &mut group);
            assert_eq!(member.orders(), 2);
            shared.record_committed(&[(partition(), 0)]);
        }
        assert!(!shared.is_behind() && !shared.is_committing());
    }
}
