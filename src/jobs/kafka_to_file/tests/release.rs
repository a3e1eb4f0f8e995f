//! Partitions that the group revokes, or that the member has lost.

use super::*;
use crate::kafka::DivergenceCause;

fn revoked() -> GroupEvent {
    GroupEvent::Revoked(Instant::now() + Duration::from_secs(60))
}

/// The release also waits for a commit that is still on its way from the settle thread to the source.
#[test]
fn partitions_are_released_once_all_written_is_committed() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 3);
    member.says(revoked());
    member.poll();
    assert_eq!(member.world.unassigned.load(Relaxed), 1, "nothing more is read");
    assert_eq!(member.world.released.load(Relaxed), 0, "records are in flight");
    member.writes(vec![batch]).unwrap();
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "records are not settled");
    let before = member.orders();
    let message = member.settles();
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "no commit is ordered yet");
    member.source.feedback(message);
    assert_eq!(member.orders(), before + 1);
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "the commit is not answered");
    assert_eq!(member.is_committed().0, 3);
    assert_eq!(member.world.released.load(Relaxed), 1);
    assert_eq!(member.ledger.written(&partition()), None);
}

/// The commit is refused while the group still waits for the release.
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
    assert!(!member.sink.holds_back(), "the lines are dropped, not held back");
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 0, "written lines are not settled yet");
    let before = member.orders();
    let message = member.settles();
    member.source.feedback(message);
    member.poll();
    assert_eq!(member.world.released.load(Relaxed), 1);
    assert_eq!(member.orders(), before, "offsets of lost partitions are not committed");
    assert_eq!(member.content(), lines(2));
}

/// The partition is lost and assigned again while the group still holds an older offset. The token
/// shows that this member committed it, so the journal decides and nothing is written twice.
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
    assert!(!member.ledger.group_holds_all(), "the newer position is still to be committed");
}

/// A late answer to an earlier assignment must not assign the partition again.
#[test]
fn events_of_released_partitions_are_dropped() {
    let mut member = Member::at_work();
    let batch = member.fetches(0, 2);
    member.says(GroupEvent::Lost);
    member.poll();
    member.writes(vec![batch]).unwrap();
    let assignment = member.assignments;
    for event in [
        Event::resolved(partition(), assignment, (0, StartBasis::Bound)),
        Event::Diverged {
            partition: partition(),
            assignment,
            next: 0,
            why: DivergenceCause::OtherRecords,
            topic: None,
        },
    ] {
        member.world.events.lock().unwrap().push_back(event);
        member.poll();
    }
    member.poll();
    assert_eq!(member.content(), "");
    assert_eq!(member.counters.refetched.load(Relaxed), 1);
    assert!(!member.buffers.take().is_empty(), "the buffer of the dropped lines goes back to the pool");
    assert_eq!(member.ledger.written(&partition()), None);
}
