//! What a member does after it has joined: heartbeats, rebalances, outages, and how it leaves.

use super::*;
use kafka_protocol::messages::{HeartbeatRequest, LeaveGroupRequest};

use crate::kafka::group::fake_coordinator::METADATA;

/// Heartbeats come at the interval: neither one right after the other, nor later.
#[test]
fn heartbeats_keep_their_interval() {
    let mut bench = Bench::joined(1);
    let (began, before) = (Instant::now(), bench.coordinator.count(HEARTBEAT));
    while bench.coordinator.count(HEARTBEAT) < before + 6 {
        assert!(began.elapsed() < LONG, "it sends no heartbeats");
        bench.round();
    }
    assert!(began.elapsed() >= BEAT * 4, "6 heartbeats within {:?}", began.elapsed());
    let beats = bench.coordinator.requests(HEARTBEAT);
    let beat: HeartbeatRequest = beats.last().unwrap().read();
    assert_eq!((beat.group_id.as_str(), beat.generation_id, beat.member_id.as_str()), ("g", 7, "m"));
    assert!(bench.messages.is_empty(), "nothing to say");
    assert_eq!(bench.coordinator.count(FIND), 1, "the connection is used again");
}

/// The join itself counts as a heartbeat.
#[test]
fn the_first_heartbeat_follows_the_interval() {
    let mut config = config(named(&["t"]));
    config.pace.heartbeat = LONG;
    let mut bench = Bench::of(FakeCoordinator::with_partitions(1), config);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    bench.next_assignment();
    assert!(bench.pause() > LONG / 2);
}

/// The owner releases by the rebalance timeout. Once it has, the member joins at once: others wait for it.
#[test]
fn a_rebalance_is_joined_after_the_release() {
    let mut bench = Bench::joined(1);
    bench.coordinator.answer_with(HEARTBEAT, &[27]);
    let OwnerMessage::Revoked(1, until) = bench.next() else { panic!("a revocation was expected") };
    let left = until.saturating_duration_since(Instant::now());
    assert!((Duration::from_secs(25)..=Duration::from_secs(30)).contains(&left), "{left:?}");
    let beats = bench.coordinator.count(HEARTBEAT);
    bench.round();
    assert!(bench.coordinator.count(HEARTBEAT) > beats, "it stays a member while it releases");
    assert!(bench.lease.holds() && bench.coordinator.count(JOIN) == 1);
    bench.coordinator.script().generation = 8;
    bench.order(MemberOrder::Released(0));
    assert_eq!(bench.coordinator.count(JOIN), 1, "another revocation's release");
    bench.order(MemberOrder::Released(1));
    assert!(!bench.lease.holds() && bench.pause() == Duration::ZERO);
    let assignment = bench.next_assignment();
    assert_eq!((assignment.number, assignment.committer.generation), (1, 8));
    assert!(bench.messages.is_empty() && bench.lease.holds());
}

/// The group went on without this member. It joins when the owner has released what is lost, and with the
/// id if the coordinator still knows it.
#[test]
fn a_lost_assignment_is_released_before_the_next() {
    for (code, id) in [(22, "m"), (25, "")] {
        let mut bench = Bench::joined(1);
        bench.coordinator.answer_with(HEARTBEAT, &[code]);
        assert!(matches!(bench.next(), OwnerMessage::Lost(1)));
        assert!(!bench.lease.holds());
        bench.round();
        assert!(bench.pause() > ORDER_WAIT_MAX / 2, "it waits for the owner");
        let beats = bench.coordinator.count(HEARTBEAT);
        bench.order(MemberOrder::Released(1));
        assert_eq!(bench.next_assignment().number, 1);
        assert_eq!(bench.coordinator.count(HEARTBEAT), beats);
        assert_eq!(bench.coordinator.joins()[1].member_id.as_str(), id);
    }
}

/// An owner that does not release in time has lost its partitions.
#[test]
fn a_late_release_is_a_loss() {
    let coordinator = FakeCoordinator::with_partitions(1);
    let mut config = config(named(&["t"]));
    config.pace.rebalance = Duration::from_millis(100);
    let mut bench = Bench::of(coordinator, config);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    bench.next_assignment();
    bench.coordinator.answer_with(HEARTBEAT, &[27; 100]);
    assert!(matches!(bench.next(), OwnerMessage::Named(..)));
    assert!(matches!(bench.next(), OwnerMessage::Revoked(1, _)));
    assert!(matches!(bench.next(), OwnerMessage::Lost(2)));
    assert!(!bench.lease.holds());
}

#[test]
fn a_fenced_member_ends() {
    for fenced_at in [JOIN, SYNC, HEARTBEAT] {
        let mut bench = Bench::new(1);
        bench.coordinator.answer_with(fenced_at, &[82]);
        bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
        let mut last = bench.next();
        while let OwnerMessage::Named(..) = last {
            last = bench.next();
        }
        assert!(matches!(last, OwnerMessage::Fenced(why) if why.contains("(host)")));
        assert!(!bench.lease.holds());
        let joins = bench.coordinator.count(JOIN);
        assert!(bench.messages.is_empty() && joins == 1, "it never joins again");
    }
}

/// Other groups' coordinators move; this one's is found, and the member has lost nothing.
#[test]
fn a_moved_coordinator_is_found() {
    for code in [15, 16, 7] {
        let mut bench = Bench::joined(1);
        bench.coordinator.answer_with(HEARTBEAT, &[code]);
        assert!(bench.next_failure().contains("the coordinator of the group 'g' answers"));
        assert!(bench.pause() <= MEMBER_PAUSES.0);
        bench.next_recovered();
        assert_eq!(bench.coordinator.count(FIND), 2);
        assert_eq!((bench.coordinator.count(JOIN), bench.thread.state.phase()), (1, Phase::In));
    }
}

/// A coordinator that loads its groups is asked again, on the same connection.
#[test]
fn a_loading_coordinator_is_kept() {
    let mut bench = Bench::joined(1);
    bench.coordinator.answer_with(HEARTBEAT, &[14, 14]);
    bench.next_failure();
    bench.next_failure();
    bench.next_recovered();
    assert_eq!((bench.coordinator.count(FIND), bench.coordinator.count(JOIN)), (1, 1));
}

/// A connection that ends is opened anew; the lease holds for a session meanwhile.
#[test]
fn a_lost_connection_is_opened_anew() {
    let mut bench = Bench::joined(1);
    bench.coordinator.script().closes.insert(HEARTBEAT);
    let failures = [bench.next_failure(), bench.next_failure()];
    assert!(failures.iter().all(|why| !why.is_empty()) && bench.lease.holds());
    bench.coordinator.script().closes.clear();
    bench.next_recovered();
    assert_eq!((bench.coordinator.count(FIND), bench.coordinator.count(JOIN)), (3, 1));
}

/// Only a person can end a refusal, so it is repeated slowly.
#[test]
fn a_refusal_is_repeated_slowly() {
    for (refused_at, code) in [(JOIN, 26), (SYNC, 30), (HEARTBEAT, 30)] {
        let mut bench = Bench::new(1);
        bench.coordinator.answer_with(refused_at, &[code]);
        bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
        let mut last = bench.next();
        while let OwnerMessage::Named(..) = last {
            last = bench.next();
        }
        let OwnerMessage::Failed(GroupThread::Member, why) = last else { panic!("a failure was expected") };
        assert!(why.contains("the group 'g' refuses this member"), "{why}");
        assert!(bench.pause() > REFUSED_PAUSE / 2, "{refused_at}");
    }
}

/// A rebalance or a lost generation before the assignment came is no failure. The member joins again
/// after a short pause, and not faster.
#[test]
fn a_join_that_is_overtaken_is_repeated() {
    for (overtaken_at, code) in [(JOIN, 25), (SYNC, 27), (SYNC, 22), (SYNC, 25)] {
        let mut bench = Bench::new(1);
        bench.coordinator.answer_with(overtaken_at, &[code]);
        bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
        let began = Instant::now();
        assert_eq!(bench.next_assignment().number, 0, "nothing was there to be revoked");
        assert!(began.elapsed() >= MEMBER_PAUSES.0 / 2, "{overtaken_at} {code}");
        assert_eq!(bench.coordinator.count(JOIN), 2);
        assert!(bench.messages.try_iter().all(|one| matches!(one, OwnerMessage::Named(..))));
    }
}

/// A broker cannot be asked for the topics that the leader assigns: that is a failure, and the join is
/// repeated.
#[test]
fn a_leader_that_cannot_ask_joins_again() {
    let mut bench = Bench::new(1);
    bench.coordinator.script().closes.insert(METADATA);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    assert!(matches!(bench.next(), OwnerMessage::Named(..)));
    bench.next_failure();
    bench.coordinator.script().closes.clear();
    bench.next_recovered();
    assert_eq!(bench.next_assignment().partitions, partitions("t", [0]));
}

/// A code with which a commit was refused concerns only the generation that sent it.
#[test]
fn a_refused_commit_counts_for_its_generation() {
    let mut bench = Bench::joined(1);
    bench.order(MemberOrder::Refused(6, ErrorCode(22)));
    assert!(bench.messages.is_empty() && bench.lease.holds());
    bench.order(MemberOrder::Refused(7, ErrorCode(22)));
    assert!(matches!(bench.messages.try_recv(), Ok(OwnerMessage::Lost(1))));
    assert!(!bench.lease.holds());
}

/// Topics that did not change are no reason to rejoin; those that did are.
#[test]
fn changed_topics_revoke() {
    let mut bench = Bench::joined(1);
    bench.order(MemberOrder::Topics(seen(&[("t", 1), ("other", 3)])));
    assert!(bench.messages.is_empty());
    let due = bench.thread.next;
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    assert_eq!(bench.thread.next, due, "the next heartbeat is not moved");
    bench.order(MemberOrder::Topics(seen(&[("t", 2)])));
    assert!(matches!(bench.messages.try_recv(), Ok(OwnerMessage::Revoked(1, _))));
    bench.order(MemberOrder::Topics(seen(&[("t", 3)])));
    assert!(bench.messages.is_empty(), "one revocation for each assignment");
}

#[test]
fn a_member_leaves_once() {
    let mut bench = Bench::joined(1);
    let (done, left) = bounded(1);
    bench.orders.send(MemberOrder::Leave(done)).unwrap();
    assert!(bench.thread.round().is_err(), "the thread ends");
    assert!(left.try_recv().is_ok(), "the owner waits for it");
    let leaves = bench.coordinator.requests(LEAVE);
    let leave: LeaveGroupRequest = leaves[0].read();
    assert_eq!((leaves.len(), leave.group_id.as_str()), (1, "g"));
    let member = &leave.members[0];
    let instance = member.group_instance_id.as_ref().map(|one| one.as_str());
    assert_eq!((member.member_id.as_str(), instance), ("m", Some("host")));
}

/// A connection that has died meanwhile does not keep the member in the group; a coordinator that is gone
/// does not keep the thread.
#[test]
fn leaving_is_tried_twice() {
    for is_gone in [false, true] {
        let mut bench = Bench::joined(1);
        bench.thread.connection = None;
        bench.coordinator.answer_with(FIND, &[15]);
        if is_gone {
            bench.coordinator.script().closes.insert(LEAVE);
        }
        let (done, left) = bounded(1);
        bench.orders.send(MemberOrder::Leave(done)).unwrap();
        assert!(bench.thread.round().is_err() && left.try_recv().is_ok());
        assert_eq!((bench.coordinator.count(FIND), bench.coordinator.count(LEAVE)), (3, 1));
    }
}

#[test]
fn nobody_leaves_without_an_id() {
    let mut bench = Bench::new(1);
    let (done, left) = bounded(1);
    bench.orders.send(MemberOrder::Leave(done)).unwrap();
    assert!(bench.thread.round().is_err() && left.try_recv().is_ok());
    assert_eq!(bench.coordinator.count(FIND), 0);
}

#[test]
fn the_thread_ends_with_its_owner() {
    let Bench { thread, owner, orders: _orders, messages: _messages, .. } = Bench::joined(1);
    drop(owner);
    thread.run();
}
