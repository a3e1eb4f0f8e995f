//! [`OffsetManager`] over a group that a test controls, at times that the test names.

use super::*;
use crate::kafka::group::config::GroupIntervals;
use crate::kafka::group::fake_store::{FakeStore, commit, retry, t, token};
use crate::kafka::group::standalone_thread::StandaloneIntervals;
use crate::record::Token;

/// Brokers before Kafka 2.0 delete an offset this long after its last commit (`offsets.retention.minutes`);
/// later ones keep it for seven days.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
const RENEWAL: Duration = Duration::from_secs(600);
const MILLISECOND: Duration = Duration::from_millis(1);

fn member() -> Committer {
    Committer { generation: 7, id: "m".to_owned(), instance: Some("i".to_owned()) }
}

/// The identity under which the store sees this client commit.
fn seen(committer: &Committer) -> (i32, String, Option<String>) {
    (committer.generation, committer.id.clone(), committer.instance.clone())
}

/// A manager that has not begun.
fn manager(store: &FakeStore, renew: Duration, now: Instant) -> OffsetManager {
    let name = Box::new(|_: &TopicPartition, offset, generation| (offset * 100) as u64 + generation as u64);
    OffsetManager::new(Box::new(store.clone()), name, renew, now)
}

/// A manager of a member that was assigned all partitions of the group.
fn assigned(store: &FakeStore, now: Instant) -> OffsetManager {
    let mut manager = manager(store, RENEWAL, now);
    manager.begin(member());
    let partitions: Vec<TopicPartition> = store.state().topics["t"].iter().map(|one| t(*one)).collect();
    let (all, fault) = manager.assign(&partitions).unwrap();
    assert_eq!((all.len(), fault), (partitions.len(), None));
    manager
}

/// The offset of a partition without records is committed again, as the same client, before a broker of
/// any version deletes it, and a few times a day at most.
#[test]
fn quiet_offsets_outlive_the_retention() {
    let of_member = GroupIntervals::of(Duration::from_secs(10)).renew;
    let of_standalone = StandaloneIntervals::default().renew;
    for (committer, renew) in [(member(), of_member), (Committer::standalone(), of_standalone)] {
        let (store, start) = (FakeStore::with_partitions(1), Instant::now());
        store.state().offsets.insert(t(0), token(7));
        let mut manager = manager(&store, renew, start);
        manager.begin(committer.clone());
        manager.assign(&[t(0)]).unwrap();
        let (mut committed, mut calls, days) = (start, 0, 10);
        for minute in 0..days * 24 * 60 {
            let now = start + minute * Duration::from_secs(60);
            manager.renew_if_due(now).unwrap();
            if store.state().commits.len() > calls {
                (committed, calls) = (now, store.state().commits.len());
            }
            assert!(now - committed < RETENTION, "the broker has deleted the offset");
            assert_eq!(store.state().offsets[&t(0)], token(7));
        }
        assert!(calls <= days as usize * 6, "{calls} renewals in {days} days");
        assert!(store.state().senders.iter().all(|one| *one == seen(&committer)));
    }
}

#[test]
fn renewals_follow_the_clock() {
    let (store, start) = (FakeStore::with_partitions(2), Instant::now());
    store.state().offsets.insert(t(0), token(7));
    let mut manager = assigned(&store, start);
    let done = vec![(t(1), 4)];
    let committed = CommitOutcome::Committed { offsets: done, refused: Vec::new() };
    assert_eq!(manager.commit(vec![commit(1, 4)], start), committed);
    let (offset, metadata) = token(7);
    let all = [Commit { partition: t(0), offset, metadata }, commit(1, 4)];
    for round in 1..4 {
        let due = start + round * RENEWAL;
        assert_eq!(manager.renew_at(), due);
        assert_eq!(manager.renew_if_due(due - MILLISECOND), Ok(false));
        assert_eq!(store.state().commits.len() as u32, round);
        assert_eq!(manager.renew_if_due(due), Ok(true));
        assert_eq!(store.state().commits[round as usize], all);
    }
}

/// After a renewal that failed, the next one comes in time.
#[test]
fn a_failed_renewal_is_not_the_last() {
    let (store, start) = (FakeStore::with_partitions(1), Instant::now());
    store.state().offsets.insert(t(0), token(7));
    let mut manager = assigned(&store, start);
    store.state().down = Some(retry("away"));
    assert_eq!(manager.renew_if_due(start + RENEWAL), Err(retry("away")));
    store.state().down = None;
    assert_eq!(manager.renew_if_due(start + 2 * RENEWAL), Ok(true));
    assert_eq!(store.state().commits.len(), 1);
}

/// After a release the partitions may be another member's.
#[test]
fn without_an_assignment_nothing_is_sent() {
    let (store, start) = (FakeStore::with_partitions(1), Instant::now());
    store.state().offsets.insert(t(0), token(7));
    let nothing = CommitOutcome::Committed { offsets: Vec::new(), refused: Vec::new() };
    let mut unassigned = manager(&store, RENEWAL, start);
    let mut released = assigned(&store, start);
    released.end();
    for manager in [&mut unassigned, &mut released] {
        assert_eq!(manager.commit(vec![commit(0, 9)], start), nothing);
        assert_eq!(manager.renew_if_due(start + RENEWAL), Ok(false));
        assert_eq!(manager.assign(&[t(0)]), Ok((Vec::new(), None)));
    }
    assert!(store.state().commits.is_empty());
    // The next assignment commits as the member of its own generation.
    let next = Committer { generation: 8, ..member() };
    released.begin(next.clone());
    released.commit(vec![commit(0, 9)], start);
    assert_eq!(store.state().senders, [seen(&next)]);
}

/// A partition whose claim was refused is neither assigned nor renewed.
#[test]
fn claims_come_first() {
    let (store, start) = (FakeStore::with_partitions(2), Instant::now());
    for number in [0, 1] {
        store.state().offsets.insert(t(number), (5, String::new()));
    }
    store.state().refuses_commits.insert(t(0), retry("not now"));
    let mut manager = manager(&store, RENEWAL, start);
    manager.begin(member());
    let (all, fault) = manager.assign(&[t(0), t(1)]).unwrap();
    let text = Token::claim(507, 5).to_string();
    let metadata = OffsetMetadata::Text(text.clone());
    let second = Assigned { partition: t(1), committed: Some(5), metadata, new: false };
    assert_eq!((all, fault), (vec![second], Some(retry("not now"))));
    assert_eq!(store.state().offsets[&t(1)], (5, text));
    store.state().refuses_commits.clear();
    assert_eq!(manager.renew_if_due(start + RENEWAL), Ok(true));
    assert_eq!(store.state().offsets[&t(0)], (5, String::new()), "nobody has claimed it");
}

#[test]
fn what_is_refused_is_tried_again() {
    let (store, start) = (FakeStore::with_partitions(3), Instant::now());
    let mut manager = assigned(&store, start);
    let all = || vec![commit(0, 4), commit(1, 6), commit(2, 8)];
    let failed = |fault, again| CommitOutcome::Failed { fault, again };
    store.state().down = Some(retry("away"));
    assert_eq!(manager.commit(all(), start), failed(retry("away"), all()));
    store.state().down = None;
    for number in 0..3 {
        store.state().refuses_commits.insert(t(number), retry("not allowed"));
    }
    assert_eq!(manager.commit(all(), start), failed(retry("not allowed"), all()));
    assert!(manager.refused.is_empty(), "the caller reports it");
    store.state().refuses_commits.retain(|partition, _| *partition != t(2));
    let partial = CommitOutcome::Committed { offsets: vec![(t(2), 8)], refused: vec![t(0), t(1)] };
    assert_eq!(manager.commit(all(), start), partial);
    assert_eq!(manager.refused, BTreeMap::from([(t(0), start), (t(1), start)]));
    // Whichever comes last, the fatal one counts.
    let fatal = Fault::Fatal("too long".to_owned());
    store.state().refuses_commits.insert(t(0), fatal.clone());
    assert_eq!(manager.commit(all(), start), failed(fatal, vec![commit(0, 4), commit(1, 6)]));
    store.state().refuses_commits.clear();
    let done = CommitOutcome::Committed { offsets: vec![(t(0), 4), (t(1), 6)], refused: Vec::new() };
    assert_eq!(manager.commit(vec![commit(0, 4), commit(1, 6)], start + RENEWAL), done);
    assert!(manager.refused.is_empty());
}

/// A topic may not be read any more: the commit is answered, so that others follow, also if it holds no other
/// offset.
#[test]
fn refused_topics_hold_up_no_commit() {
    let (store, start) = (FakeStore::with_partitions(2), Instant::now());
    let mut manager = assigned(&store, start);
    for number in 0..2 {
        store.state().refuses_commits.insert(t(number), retry("not allowed"));
    }
    store.state().topics_refused.insert(t(0));
    let refused = |offsets, number| CommitOutcome::Committed { offsets, refused: vec![t(number)] };
    assert_eq!(manager.commit(vec![commit(0, 4)], start), refused(Vec::new(), 0));
    let failed =
        CommitOutcome::Failed { fault: retry("not allowed"), again: vec![commit(0, 4), commit(1, 6)] };
    assert_eq!(manager.commit(vec![commit(0, 4), commit(1, 6)], start), failed, "not by the topics alone");
    store.state().refuses_commits.remove(&t(1));
    assert_eq!(manager.commit(vec![commit(0, 4), commit(1, 6)], start), refused(vec![(t(1), 6)], 0));
    assert!(manager.refused.is_empty(), "whoever reads the topic tells");
}

/// The leader still serves the topic, so that nobody who reads it can tell.
#[test]
fn a_topic_that_is_refused_for_long_is_told_once() {
    let (store, start) = (FakeStore::with_partitions(2), Instant::now());
    let mut manager = assigned(&store, start);
    store.state().refuses_commits.insert(t(0), retry("not known"));
    store.state().topics_refused.insert(t(0));
    let is_told = |manager: &OffsetManager| manager.refused_topics.get("t").map(|one| one.is_told);
    let all = || vec![commit(0, 4), commit(1, 6)];
    for (after, told) in [(Duration::ZERO, false), (TOPIC_PATIENCE - MILLISECOND, false)] {
        manager.commit(all(), start + after);
        assert_eq!(is_told(&manager), Some(told), "{after:?}");
    }
    manager.commit(all(), start + TOPIC_PATIENCE);
    assert_eq!(is_told(&manager), Some(true), "another partition's commits end nothing");
    store.state().refuses_commits.clear();
    manager.commit(all(), start + TOPIC_PATIENCE);
    assert_eq!(is_told(&manager), None);
}

/// The coordinator refuses the member: its thread is told once, and its commit is not tried again.
#[test]
fn a_refused_member_is_named_once() {
    let (store, start) = (FakeStore::with_partitions(1), Instant::now());
    store.state().offsets.insert(t(0), token(7));
    let mut manager = assigned(&store, start);
    store.state().refuses_members = Some(ErrorCode(22));
    let nothing = CommitOutcome::Committed { offsets: Vec::new(), refused: Vec::new() };
    assert_eq!(manager.commit(vec![commit(0, 9)], start), nothing);
    assert_eq!(manager.take_refused_member(), Some((7, ErrorCode(22))));
    assert_eq!(manager.take_refused_member(), None);
    assert_eq!(manager.renew_if_due(start + RENEWAL), Ok(true));
    assert_eq!(manager.take_refused_member(), Some((7, ErrorCode(22))), "also by a renewal");
}
