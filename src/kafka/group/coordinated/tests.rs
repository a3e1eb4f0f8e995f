//! [`Coordinated`] with its threads, beside a coordinator that a test controls.

use super::*;
use crate::kafka::group::config::GroupIntervals;
use crate::kafka::group::fake_coordinator::{
    COMMIT, FakeCoordinator, HEARTBEAT, JOIN, LEAVE, LONG, METADATA, OFFSETS, wait_until,
};
use crate::kafka::group::fake_store::{commit, t};
use crate::kafka::group::topic_snapshot::SubscribedTopics;
use crate::kafka::seam::Assigned;

const SESSION: Duration = Duration::from_secs(10);

fn config(session: Duration) -> MemberConfig {
    let heartbeat = Duration::from_millis(20);
    MemberConfig {
        group: "g".to_owned(),
        topics: SubscribedTopics::Named(vec!["t".to_owned()]),
        session,
        instance: "host".to_owned(),
        id: None,
        pace: GroupIntervals { heartbeat, look: heartbeat, ..GroupIntervals::of(session) },
    }
}

fn member(coordinator: &FakeCoordinator, session: Duration) -> Coordinated {
    Coordinated::new(&coordinator.cluster(), config(session), Box::new(|_, _, _| 1)).unwrap()
}

/// Waits for an event that `wanted` accepts.
#[track_caller]
fn wait<T>(client: &mut Coordinated, wanted: impl Fn(GroupEvent) -> Option<T>) -> T {
    let mut found = None;
    wait_until("no such event came", || {
        found = wanted(client.next().unwrap());
        found.is_some()
    });
    found.unwrap()
}

#[track_caller]
fn assigned(client: &mut Coordinated) -> Vec<TopicPartition> {
    let all = wait(client, |event| if let GroupEvent::Assigned(all) = event { Some(all) } else { None });
    all.into_iter().map(|Assigned { partition, .. }| partition).collect()
}

#[track_caller]
fn failure(client: &mut Coordinated) -> String {
    wait(client, |event| if let GroupEvent::Failed(why) = event { Some(why) } else { None })
}

/// A client without threads, and the channel on which they would report.
fn without_threads() -> (Coordinated, Sender<OwnerMessage>, Receiver<KeeperOrder>) {
    let ((member, _), (offsets, keeper)) = (unbounded(), unbounded());
    let ((owner, _), (to_owner, messages)) = (bounded(0), unbounded());
    let lease = Lease::expired();
    let (failing, committing, revocation) = (BTreeSet::new(), None, 0);
    let client =
        Coordinated { failing, lease, member, offsets, _owner: owner, messages, committing, revocation };
    (client, to_owner, keeper)
}

/// From the first assignment over a commit and a rebalance to the end.
#[test]
fn a_member_comes_and_goes() {
    let coordinator = FakeCoordinator::with_partitions(2);
    let mut client = member(&coordinator, SESSION);
    assert!(!client.lease().holds());
    assert_eq!(assigned(&mut client), [t(0), t(1)]);
    assert!(client.lease().holds());
    client.commit(vec![commit(0, 4)]);
    let done =
        wait(&mut client, |event| if let GroupEvent::Committed(all) = event { Some(all) } else { None });
    assert_eq!((done, coordinator.script().offsets[&0].0), (vec![(t(0), 4)], 4));
    coordinator.answer_with(HEARTBEAT, &[27]);
    wait(&mut client, |event| matches!(event, GroupEvent::Revoked(_)).then_some(()));
    client.confirm_release();
    assert_eq!(assigned(&mut client), [t(0), t(1)]);
    let (lease, messages) = (client.lease(), client.messages.clone());
    assert!(lease.holds());
    client.leave_group(Instant::now() + LONG);
    assert_eq!((coordinator.count(LEAVE), lease.holds()), (1, false));
    drop(client);
    wait_until("a thread goes on", || messages.try_recv().err() == Some(TryRecvError::Disconnected));
}

/// A coordinator that does not answer keeps nobody.
#[test]
fn leaving_has_a_limit() {
    let coordinator = FakeCoordinator::with_partitions(1);
    let mut client = member(&coordinator, SESSION);
    assigned(&mut client);
    coordinator.script().held.extend([HEARTBEAT, LEAVE]);
    let began = Instant::now();
    client.leave_group(began + Duration::from_millis(100));
    assert!(began.elapsed() < SESSION / 3 && !client.lease().holds());
}

/// A coordinator that hangs is noticed well within the session timeout, so that there is time to find
/// another one.
#[test]
fn a_coordinator_that_hangs_is_noticed_within_the_session() {
    let coordinator = FakeCoordinator::with_partitions(1);
    let session = Duration::from_secs(3);
    let mut client = member(&coordinator, session);
    assigned(&mut client);
    coordinator.script().held.insert(HEARTBEAT);
    let began = Instant::now();
    assert!(!failure(&mut client).is_empty());
    assert!(began.elapsed() < session, "noticed after {:?}", began.elapsed());
}

/// The three threads ask on connections of their own: one that waits for its answer delays no other.
#[test]
fn no_thread_waits_for_another() {
    let coordinator = FakeCoordinator::with_partitions(1);
    let mut client = member(&coordinator, SESSION);
    assigned(&mut client);
    coordinator.script().held.extend([METADATA, COMMIT]);
    client.commit(vec![commit(0, 4)]);
    let beats = coordinator.count(HEARTBEAT);
    wait_until("no heartbeat comes", || coordinator.count(HEARTBEAT) > beats + 5);
    assert!(client.lease().holds());
}

/// Brokers that are asked for the first time, and a member that has had an id.
#[test]
fn the_id_of_the_last_run_is_used_again() {
    let coordinator = FakeCoordinator::with_partitions(1);
    coordinator.script().join_version = 4;
    let config = MemberConfig { id: Some("m".to_owned()), ..config(SESSION) };
    let mut client = Coordinated::new(&coordinator.cluster(), config, Box::new(|_, _, _| 1)).unwrap();
    let first = wait(&mut client, |event| match event {
        GroupEvent::Assigned(_) => Some(true),
        GroupEvent::Named { .. } => Some(false),
        _ => None,
    });
    assert!(first, "an id that has not changed is not reported");
    assert_eq!(coordinator.joins()[0].member_id.as_str(), "m");
}

/// What was assigned before the last revocation is not the owner's any more.
#[test]
fn a_late_assignment_is_dropped() {
    let (mut client, threads, _keeper) = without_threads();
    for number in [1, 2] {
        let message =
            if number == 1 { OwnerMessage::Revoked(1, Instant::now()) } else { OwnerMessage::Lost(2) };
        threads.send(message).unwrap();
        threads.send(OwnerMessage::Assigned(number - 1, Vec::new())).unwrap();
        threads.send(OwnerMessage::Assigned(number, Vec::new())).unwrap();
        let first = client.next().unwrap();
        assert!(matches!(first, GroupEvent::Revoked(_) | GroupEvent::Lost));
        assert_eq!(client.next(), Ok(GroupEvent::Assigned(Vec::new())));
        assert_eq!(client.next(), Ok(GroupEvent::Unchanged));
    }
}

/// The group counts as reached only when none of its threads fails.
#[test]
fn all_threads_must_reach_the_group() {
    let (mut client, threads, _keeper) = without_threads();
    for part in [GroupThread::Topics, GroupThread::Offsets] {
        threads.send(OwnerMessage::Failed(part, "down".to_owned())).unwrap();
        assert_eq!(client.next(), Ok(GroupEvent::Failed("down".to_owned())));
    }
    threads.send(OwnerMessage::Recovered(GroupThread::Topics)).unwrap();
    assert_eq!(client.next(), Ok(GroupEvent::Unchanged));
    threads.send(OwnerMessage::Recovered(GroupThread::Offsets)).unwrap();
    assert_eq!(client.next(), Ok(GroupEvent::Reached));
}

#[test]
fn what_the_threads_say_reaches_the_owner() {
    let (mut client, threads, _keeper) = without_threads();
    threads.send(OwnerMessage::Named("m".to_owned(), true)).unwrap();
    assert_eq!(client.next(), Ok(GroupEvent::Named { id: "m".to_owned(), silent: true }));
    threads.send(OwnerMessage::Fenced("twice".to_owned())).unwrap();
    assert_eq!(client.next(), Ok(GroupEvent::Fenced("twice".to_owned())));
    threads.send(OwnerMessage::Fault(Fault::Fatal("never".to_owned()))).unwrap();
    assert_eq!(client.next(), Err(Fault::Fatal("never".to_owned())));
    drop(threads);
    assert!(matches!(client.next(), Err(Fault::Retry(why)) if why.contains("internal error")));
}

/// A commit without an answer is a failure after a while, until the answer comes.
#[test]
fn a_slow_commit_is_a_failure() {
    let (mut client, threads, _keeper) = without_threads();
    client.commit(vec![commit(0, 4)]);
    assert_eq!(client.next(), Ok(GroupEvent::Unchanged));
    client.committing = Instant::now().checked_sub(SLOW_COMMIT_AFTER);
    assert!(matches!(client.next(), Ok(GroupEvent::Failed(why)) if why.contains("more than 15 s")));
    threads.send(OwnerMessage::Event(GroupEvent::Committed(vec![(t(0), 4)]))).unwrap();
    assert_eq!(client.next(), Ok(GroupEvent::Committed(vec![(t(0), 4)])));
    assert_eq!(client.next(), Ok(GroupEvent::Unchanged));
}

#[test]
fn the_last_commit_is_waited_for() {
    let (mut client, threads, keeper) = without_threads();
    let soon = || Instant::now() + Duration::from_millis(30);
    threads.send(OwnerMessage::Event(GroupEvent::Committed(vec![(t(0), 3)]))).unwrap();
    assert_eq!(client.finish_commit(soon()), None, "nothing is in flight");
    assert_eq!(client.next(), Ok(GroupEvent::Committed(vec![(t(0), 3)])));
    client.commit(vec![commit(0, 4)]);
    assert!(matches!(keeper.try_recv(), Ok(KeeperOrder::Commit(all)) if all == [commit(0, 4)]));
    assert_eq!(client.finish_commit(soon()), None, "no answer comes");
    threads.send(OwnerMessage::Recovered(GroupThread::Offsets)).unwrap();
    threads.send(OwnerMessage::Event(GroupEvent::Committed(vec![(t(0), 4)]))).unwrap();
    assert_eq!(client.finish_commit(Instant::now() + LONG), Some(vec![(t(0), 4)]));
    assert_eq!(client.finish_commit(soon()), None, "it is answered");
}

/// A member that has not joined when the offsets fail to come is assigned nothing.
#[test]
fn partitions_wait_for_their_offsets() {
    let coordinator = FakeCoordinator::with_partitions(1);
    coordinator.answer_with(OFFSETS, &[14]);
    let mut client = member(&coordinator, SESSION);
    assert!(failure(&mut client).contains("ask for the offset of t/0"));
    assert_eq!((assigned(&mut client), coordinator.count(JOIN)), (vec![t(0)], 1));
}
