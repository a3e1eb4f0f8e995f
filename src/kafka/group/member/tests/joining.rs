//! How a member joins, and what assignment it makes and takes.

use std::thread::spawn;

use super::*;
use crate::kafka::group::fake_coordinator::wait_until;
use crate::kafka::group::protocol::{Assignment, Subscription};
use crate::kafka::group::topic_snapshot::is_digest;
use crate::pattern::Pattern;

fn subscription(topics: &[&str]) -> Vec<u8> {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Subscription { topics, user_data: Vec::new() }.encode().unwrap()
}

/// Which topics exist decides what is subscribed to, so nothing is asked before that is known.
#[test]
fn it_joins_once_the_topics_are_known() {
    let mut bench = Bench::new(3);
    bench.round();
    assert_eq!((bench.coordinator.count(FIND), bench.coordinator.count(JOIN)), (0, 0));
    bench.order(MemberOrder::Topics(seen(&[("t", 3)])));
    let assignment = bench.next_assignment();
    assert_eq!((assignment.number, assignment.partitions), (0, partitions("t", 0..3)));
    let committer = assignment.committer;
    assert_eq!(
        (committer.generation, committer.id.as_str(), committer.instance.as_deref()),
        (7, "m", Some("host"))
    );
    assert!(matches!(bench.next(), OwnerMessage::Named(id, false) if id == "m"));
    assert!(bench.messages.is_empty() && bench.lease.holds());
    let [join] = bench.coordinator.joins().try_into().unwrap();
    assert_eq!(
        (join.group_id.as_str(), join.member_id.as_str(), join.protocol_type.as_str()),
        ("g", "", "consumer")
    );
    assert_eq!((join.session_timeout_ms, join.rebalance_timeout_ms), (10_000, 30_000));
    assert_eq!(join.group_instance_id.unwrap().as_str(), "host");
    let [range] = join.protocols.try_into().unwrap();
    let wanted = Subscription::decode(&range.metadata).unwrap();
    assert_eq!((range.name.as_str(), wanted.topics), ("range", vec!["t".to_owned()]));
    assert!(is_digest(&wanted.user_data), "other members compare it");
}

/// The coordinator gives an id and wants another join with it (KIP-394).
#[test]
fn a_given_id_is_taken_at_once() {
    let mut bench = Bench::new(1);
    bench.coordinator.script().join_version = 4;
    bench.coordinator.answer_with(JOIN, &[79]);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    bench.round();
    assert_eq!((bench.coordinator.count(JOIN), bench.pause()), (1, Duration::ZERO), "it is no failure");
    bench.next_assignment();
    let joins = bench.coordinator.joins();
    let ids: Vec<&str> = joins.iter().map(|join| join.member_id.as_str()).collect();
    assert_eq!(ids, ["", "m"]);
    assert!(joins.iter().all(|join| join.group_instance_id.is_none()));
    assert!(matches!(bench.next(), OwnerMessage::Named(id, false) if id == "m"));
    assert!(bench.messages.is_empty(), "the id is reported once");
}

/// An id that the coordinator no longer knows is not reported as empty; the next one is.
#[test]
fn a_forgotten_id_is_given_anew() {
    let mut bench = Bench::joined(1);
    bench.coordinator.answer_with(HEARTBEAT, &[27]);
    assert!(matches!(bench.next(), OwnerMessage::Revoked(1, _)));
    bench.coordinator.answer_with(JOIN, &[25]);
    bench.order(MemberOrder::Released(1));
    bench.next_assignment();
    assert!(matches!(bench.next(), OwnerMessage::Named(id, false) if id == "m"));
    let ids: Vec<String> = bench.coordinator.joins().iter().map(|join| join.member_id.to_string()).collect();
    assert_eq!(ids, ["", "m", ""]);
}

/// The leader subscribes for others, too: it assigns topics that only another member has.
#[test]
fn the_leader_assigns_to_all() {
    let mut bench = Bench::new(4);
    bench.coordinator.script().topics.insert("u".to_owned(), Ok(2));
    let others = [("a", subscription(&["t", "u"])), ("z", vec![0])];
    bench.coordinator.script().others = others.map(|(id, wanted)| (id.to_owned(), wanted)).to_vec();
    bench.order(MemberOrder::Topics(seen(&[("t", 4)])));
    assert_eq!(bench.next_assignment().partitions, partitions("t", 2..4));
    let given = bench.coordinator.assigned();
    let both = [partitions("t", 0..2), partitions("u", 0..2)].concat();
    assert_eq!((&given["a"], &given["m"], &given["z"]), (&both, &partitions("t", 2..4), &Vec::new()));
}

/// A broker that has just started knows fewer partitions; those that were seen are assigned all the same.
#[test]
fn the_leader_believes_the_higher_count() {
    for (known, answered, expected) in [(4, 1, 4), (2, 3, 3)] {
        let mut bench = Bench::new(answered);
        bench.order(MemberOrder::Topics(seen(&[("t", known)])));
        assert_eq!(bench.next_assignment().partitions, partitions("t", 0..expected));
    }
}

#[test]
fn others_lead() {
    let mut bench = Bench::new(4);
    let user_data = b"of another program".to_vec();
    let both = [partitions("t", [1, 3]), partitions("u", [0])].concat();
    let assignment = Assignment { partitions: both, user_data }.encode().unwrap();
    bench.coordinator.script().assignment = assignment;
    "a".clone_into(&mut bench.coordinator.script().leader);
    bench.order(MemberOrder::Topics(seen(&[("t", 4)])));
    assert_eq!(bench.next_assignment().partitions, partitions("t", [1, 3]), "nobody asked for the topic u");
    assert!(bench.coordinator.assigned().is_empty());
    // What another program's leader looked at is not known: only news of the topics is a reason to rejoin.
    bench.order(MemberOrder::Topics(seen(&[("t", 4)])));
    assert_eq!(bench.thread.state.phase(), Phase::In);
    bench.order(MemberOrder::Topics(seen(&[("t", 5)])));
    assert_eq!(bench.thread.state.phase(), Phase::Releasing { lost: false });
}

/// A leader that is a pandad says from which counts it has made the assignment. Who sees others has it made
/// anew.
#[test]
fn the_leader_may_have_seen_other_topics() {
    for (leader_saw, phase) in [(4, Phase::In), (5, Phase::Releasing { lost: false })] {
        let mut bench = Bench::new(4);
        let user_data = seen(&[("t", leader_saw)]).digest(&["t".to_owned()]);
        let assignment = Assignment { partitions: partitions("t", [1]), user_data };
        bench.coordinator.script().assignment = assignment.encode().unwrap();
        "a".clone_into(&mut bench.coordinator.script().leader);
        bench.order(MemberOrder::Topics(seen(&[("t", 4)])));
        bench.next_assignment();
        bench.order(MemberOrder::Topics(seen(&[("t", 4)])));
        assert_eq!(bench.thread.state.phase(), phase, "the leader saw {leader_saw}");
    }
}

#[test]
fn an_assignment_that_cannot_be_read_is_asked_for_later() {
    let mut bench = Bench::new(1);
    bench.coordinator.script().assignment = vec![0];
    "a".clone_into(&mut bench.coordinator.script().leader);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    assert!(matches!(bench.next(), OwnerMessage::Named(..)));
    assert!(bench.next_failure().contains("cannot be read"));
    assert!(bench.keeper.is_empty() && bench.pause() > REFUSED_PAUSE / 2);
}

/// A pattern subscribes to the topics that exist and match, and the number of each topic's partitions
/// counts.
#[test]
fn a_pattern_follows_the_topics() {
    let like = SubscribedTopics::Like(Pattern::new("t.*").unwrap());
    let mut bench = Bench::of(FakeCoordinator::with_partitions(1), config(like));
    bench.order(MemberOrder::Topics(seen(&[("t", 1), ("other", 1)])));
    bench.next_assignment();
    let wanted = |bench: &Bench| {
        let joins = bench.coordinator.joins();
        Subscription::decode(&joins.last().unwrap().protocols[0].metadata).unwrap().topics
    };
    assert_eq!(wanted(&bench), ["t"]);
    bench.coordinator.script().topics.insert("t2".to_owned(), Ok(2));
    bench.order(MemberOrder::Topics(seen(&[("t", 1), ("other", 2)])));
    assert_eq!(bench.thread.state.phase(), Phase::In, "another topic's partitions do not matter");
    bench.order(MemberOrder::Topics(seen(&[("t", 1), ("t2", 2)])));
    assert_eq!(bench.thread.state.phase(), Phase::Releasing { lost: false });
    bench.order(MemberOrder::Released(1));
    let both = [partitions("t", [0]), partitions("t2", 0..2)].concat();
    assert_eq!(bench.next_assignment().partitions, both);
    assert_eq!(wanted(&bench), ["t", "t2"]);
}

#[test]
fn a_name_too_long_for_the_protocol_ends_it() {
    let long = "t".repeat(40_000);
    let mut bench = Bench::of(FakeCoordinator::with_partitions(1), config(named(&[&long])));
    bench.orders.send(MemberOrder::Topics(seen(&[]))).unwrap();
    assert!(
        matches!(bench.next(), OwnerMessage::Fault(Fault::Fatal(why)) if why.contains("kafka['topics']"))
    );
}

/// While the coordinator waits for other members, an order to leave ends the wait.
#[test]
fn a_member_that_waits_for_others_can_leave() {
    for (waits_for, leaves) in [(JOIN, 0), (SYNC, 1)] {
        let mut bench = Bench::new(1);
        bench.coordinator.script().held.insert(waits_for);
        bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
        let Bench { coordinator, thread, orders, messages, owner: _owner, .. } = bench;
        let running = spawn(move || thread.run());
        wait_until("it asks", || coordinator.count(waits_for) > 0);
        let (done, left) = bounded(1);
        orders.send(MemberOrder::Leave(done)).unwrap();
        assert_eq!(left.recv_timeout(SESSION / 2), Ok(()), "it waits for the others");
        running.join().unwrap();
        assert!(messages.try_iter().all(|one| matches!(one, OwnerMessage::Named(..))), "that is no failure");
        assert_eq!(coordinator.count(LEAVE), leaves, "whoever has an id takes it back");
    }
}

/// The wait also ends with the owner.
#[test]
fn a_member_that_waits_for_others_ends_with_its_owner() {
    let mut bench = Bench::new(1);
    bench.coordinator.script().held.insert(JOIN);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    let Bench { coordinator, thread, orders: _orders, owner, messages: _messages, .. } = bench;
    let running = spawn(move || thread.run());
    wait_until("it asks", || coordinator.count(JOIN) > 0);
    drop(owner);
    wait_until("the thread ends", || running.is_finished());
}

/// Topics that change while the coordinator waits for others are looked at after the answer.
#[test]
fn orders_that_come_during_the_wait_are_kept() {
    let mut bench = Bench::new(1);
    bench.coordinator.script().held.insert(JOIN);
    bench.order(MemberOrder::Topics(seen(&[("t", 1)])));
    let Bench { coordinator, thread, orders, owner: _owner, messages, keeper, .. } = bench;
    spawn(move || thread.run());
    wait_until("it asks", || coordinator.count(JOIN) > 0);
    orders.send(MemberOrder::Topics(seen(&[("t", 2)]))).unwrap();
    wait_until("it takes the order", || orders.is_empty());
    coordinator.script().held.clear();
    assert!(matches!(messages.recv_timeout(LONG), Ok(OwnerMessage::Named(..))));
    assert!(matches!(keeper.recv_timeout(LONG), Ok(KeeperOrder::Assign(_))));
    assert!(matches!(messages.recv_timeout(LONG), Ok(OwnerMessage::Revoked(1, _))));
}
