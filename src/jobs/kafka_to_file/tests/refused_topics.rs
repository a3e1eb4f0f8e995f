//! The group refuses the offsets of one topic, which may not be read any more, and takes those of others.

use super::*;

/// A member that reads two partitions from offset 0, which the group holds.
fn with_two(other: &TopicPartition) -> Member {
    let mut member = Member::at_work();
    member.is_given_one(other, None);
    member.ledger.set_position(other, 0).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    member.is_committed();
    member
}

/// Nothing more of the refused topic is written, because another member would write these lines again. Others
/// are written and committed meanwhile, and once the group takes the offset, the refused one goes on.
#[test]
fn a_refused_topic_waits_and_holds_up_no_other() {
    let other = TopicPartition::new("u", 0);
    let mut member = with_two(&other);
    let batch = member.fetches_of(&partition(), 1, 0, 3);
    member.writes(vec![batch]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    assert_eq!(member.world.ordered.lock().unwrap().last().unwrap().len(), 1);
    member.says(GroupEvent::Refused(vec![partition()]));
    member.says(GroupEvent::Committed(Vec::new()));
    member.poll();
    let (more, others) = (member.fetches_of(&partition(), 1, 3, 6), member.fetches_of(&other, 2, 0, 2));
    let mut messages = Vec::new();
    [more, others].into_iter().for_each(|one| member.sink.take(one));
    member.sink.write(&mut messages).unwrap();
    assert_eq!(member.content(), lines(3) + &lines(2));
    assert!(matches!(&messages[..], [Feedback::Refused { position: 3, .. }]), "it is fetched again");
    let message = member.settles();
    member.source.feedback(message);
    let ordered = member.world.ordered.lock().unwrap().last().cloned().unwrap();
    assert_eq!(ordered.iter().map(|one| (&one.partition, one.offset)).collect::<Vec<_>>(), [(&other, 2)]);
    assert_eq!(member.is_committed().0, 2);
    // Some seconds later it was committed again, and the group has taken it.
    member.ledger.record_committed(&[(partition(), 3)]);
    let more = member.fetches_of(&partition(), 1, 3, 6);
    member.writes(vec![more]).unwrap();
    let again: String = (3..6).map(|one| format!("line {one}\n")).collect();
    assert_eq!(member.content(), lines(3) + &lines(2) + &again);
}

/// The member stops right after a refusal: the next member would write the lines again.
#[test]
fn a_refused_offset_is_committed_again_at_a_stop() {
    let mut member = with_two(&TopicPartition::new("u", 0));
    let batch = member.fetches_of(&partition(), 1, 0, 3);
    member.writes(vec![batch]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    member.says(GroupEvent::Refused(vec![partition()]));
    member.says(GroupEvent::Committed(Vec::new()));
    member.poll();
    let before = member.orders();
    // The first one answers an order of before; the second one says that it is refused again.
    member.world.finished.lock().unwrap().extend([vec![], vec![], vec![(partition(), 3)]]);
    member.source.finish(Instant::now() + Duration::from_secs(60));
    assert_eq!(member.orders(), before + 2);
    assert!(!member.ledger.group_lacks_any());
}

/// What is refused for good holds up no stop.
#[test]
fn a_stop_does_not_wait_for_an_offset_that_is_refused_for_good() {
    let mut member = with_two(&TopicPartition::new("u", 0));
    let batch = member.fetches_of(&partition(), 1, 0, 3);
    member.writes(vec![batch]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    member.world.finished.lock().unwrap().extend(std::iter::repeat_n(Vec::new(), 10_000));
    let began = Instant::now();
    member.source.finish(began + Duration::from_secs(60));
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// Another member would write the lines again from the offset that the group holds.
#[test]
fn a_release_waits_for_an_offset_that_is_refused() {
    let mut member = with_two(&TopicPartition::new("u", 0));
    let batch = member.fetches_of(&partition(), 1, 0, 3);
    member.writes(vec![batch]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    member.says(GroupEvent::Refused(vec![partition()]));
    member.says(GroupEvent::Committed(Vec::new()));
    member.says(GroupEvent::Revoked(Instant::now() + Duration::from_secs(60)));
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0);
    member.ledger.record_committed(&[(partition(), 3)]);
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 1);
}

/// The answer to a commit of an earlier assignment comes when the partitions are released already.
#[test]
fn a_late_refusal_holds_nothing_back() {
    let mut member = Member::at_work();
    let held = member.world.ordered.lock().unwrap().last().cloned().unwrap();
    member.ledger.release_all();
    member.ledger.record_refused(&[partition()]);
    member.is_given(Some((0, held[0].metadata.clone())));
    assert!(!member.ledger.is_refused(&partition()));
}
