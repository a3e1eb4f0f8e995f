//! Partitions that the group takes back, in order or by force.

use super::*;

fn revoked() -> GroupEvent {
    GroupEvent::Revoked(Instant::now() + Duration::from_secs(60))
}

/// The order to commit may still be on its way from the settle thread to the source.
#[test]
fn partitions_are_released_once_all_written_is_committed() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.says(revoked());
    member.poll();
    assert_eq!(member.world.unassigned.load(Relaxed), 1, "nothing more is read");
    assert_eq!(member.world.released.load(Relaxed), 0, "it is in flight");
    member.writes(vec![batch]).unwrap();
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "it is not settled");
    let before = member.orders();
    let message = member.settles();
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "it is not even ordered to be committed");
    member.source.feedback(message);
    assert_eq!(member.orders(), before + 1);
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "it is not committed");
    assert_eq!(member.is_committed().0, 3);
    assert_eq!(member.world.released.load(Relaxed), 1);
    assert_eq!(member.ledger.written(&partition()), None);
}

/// A commit that is refused while the share may still be let go in order.
#[test]
fn a_refused_commit_is_tried_again_before_the_release() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    let before = member.orders();
    member.says(revoked());
    member.says(GroupEvent::Committed(Vec::new()));
    member.poll();
    assert_eq!(member.orders(), before + 1);
    assert_eq!(member.world.released.load(Relaxed), 0);
    assert_eq!(member.is_committed().0, 3);
    assert_eq!(member.world.released.load(Relaxed), 1);
}

#[test]
fn lost_partitions_drop_unwritten_lines_and_settle_the_rest() {
    let mut member = Member::at_work();
    let (one, two) = (member.fetches(0, 2), member.fetches(2, 4));
    member.writes(vec![one]).unwrap();
    member.lease.renew(Duration::ZERO);
    member.says(GroupEvent::Lost);
    member.poll();
    member.writes(vec![two]).unwrap();
    assert!(!member.sink.holds_back(), "it is not waited with");
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "what has landed is not settled");
    let before = member.orders();
    let message = member.settles();
    member.source.feedback(message);
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 1);
    assert_eq!(member.orders(), before, "nothing is committed that is not ours");
    assert_eq!(member.content(), lines(2));
}

/// Given back and given again while the group still held the older offset: it is this
/// member's own, and nothing is written twice.
#[test]
fn a_reassigned_partition_resumes_at_the_journals_position() {
    let mut member = Member::at_work();
    let held = member.world.ordered.lock().unwrap().last().cloned().unwrap();
    let batch = member.fetches(0, 3);
    member.writes(vec![batch]).unwrap();
    member.says(GroupEvent::Lost);
    member.poll();
    member.settles();
    member.poll();
    member.is_given(Some((held[0].offset, held[0].metadata.clone())));
    assert_eq!(member.ledger.written(&partition()).map(|(_, at)| at), Some(3));
    assert!(!member.ledger.group_holds_all(), "and the group is told");
}

/// A late find of the old share must not assign it again.
#[test]
fn events_of_released_partitions_are_dropped() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 2);
    member.says(GroupEvent::Lost);
    member.poll();
    member.writes(vec![batch]).unwrap();
    for event in [Event::Resolved(partition(), 0), Event::Diverged(partition(), 0)] {
        member.world.events.lock().unwrap().push_back(event);
        member.poll();
    }
    member.poll();
    assert_eq!(member.content(), "");
    assert_eq!(member.counters.refetched.load(Relaxed), 1);
    assert!(!member.buffers.take().is_empty(), "the buffer of the dropped lines is used again");
    assert_eq!(member.ledger.written(&partition()), None);
}
