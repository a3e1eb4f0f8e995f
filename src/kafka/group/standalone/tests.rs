//! [`Standalone`] over a group that a test controls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;
use crate::kafka::Assigned;
use crate::kafka::group::fake_store::{FakeStore, commit, retry, t, token};
use crate::record::{OffsetMetadata, Token};

const QUICK: Duration = Duration::from_millis(20);

fn pace() -> StandaloneIntervals {
    StandaloneIntervals { look: QUICK, renew: Duration::from_secs(3600), pauses: (QUICK, QUICK * 2) }
}

fn over(store: &FakeStore, pace: StandaloneIntervals) -> Standalone {
    let name = Box::new(|_: &TopicPartition, offset, _| offset as u64 + 1);
    Standalone::new(Box::new(store.clone()), &["t".to_owned()], name, pace).unwrap()
}

/// Waits for an event that `wanted` accepts.
#[track_caller]
fn wait<T>(client: &mut Standalone, wanted: impl Fn(Result<GroupEvent, Fault>) -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        match client.next() {
            Ok(GroupEvent::Unchanged) => sleep(Duration::from_millis(1)),
            event => {
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        }
    }
    panic!("no such event came");
}

#[track_caller]
fn assigned(client: &mut Standalone) -> Vec<Assigned> {
    wait(client, |event| if let Ok(GroupEvent::Assigned(all)) = event { Some(all) } else { None })
}

#[track_caller]
fn committed(client: &mut Standalone) -> Vec<(TopicPartition, i64)> {
    wait(client, |event| if let Ok(GroupEvent::Committed(all)) = event { Some(all) } else { None })
}

#[track_caller]
fn failure(client: &mut Standalone) -> String {
    wait(client, |event| if let Ok(GroupEvent::Failed(why)) = event { Some(why) } else { None })
}

#[test]
fn assigned_with_metadata() {
    let store = FakeStore::with_partitions(2);
    store.state().offsets.insert(t(1), token(7));
    let mut client = over(&store, pace());
    let none = OffsetMetadata::Text(String::new());
    let first = Assigned { partition: t(0), committed: None, metadata: none.clone(), new: false };
    let text = OffsetMetadata::Text(token(7).1);
    let second = Assigned { partition: t(1), committed: Some(7), metadata: text, new: false };
    assert_eq!(assigned(&mut client), [first, second]);
    store.state().topics.insert("t".to_owned(), vec![0, 1, 2]);
    let third = Assigned { partition: t(2), committed: None, metadata: none, new: true };
    assert_eq!(assigned(&mut client), [third], "only the added partition, as a new one");
}

#[test]
fn an_offset_without_a_token_is_claimed() {
    let store = FakeStore::with_partitions(3);
    store.state().offsets.insert(t(0), (7, String::new()));
    store.state().offsets.insert(t(1), (8, token(7).1));
    store.state().offsets.insert(t(2), token(9));
    let mut client = over(&store, pace());
    let assigned = assigned(&mut client);
    for (one, offset) in assigned.iter().zip([7, 8, 9]) {
        let OffsetMetadata::Text(text) = &one.metadata else { panic!("there is metadata") };
        let named = Token::naming(offset, text).unwrap();
        assert_eq!((one.committed, named.is_claim()), (Some(offset), offset != 9));
        assert_eq!(store.state().offsets[&one.partition], (offset, text.clone()));
    }
    let claims: Vec<_> = store.state().commits.concat().into_iter().map(|one| one.partition).collect();
    assert_eq!(claims, [t(0), t(1)], "each offset without a token is claimed once, no other");
    assert_ne!(assigned[0].metadata, assigned[1].metadata);
}

/// As in a group with members, the partition is not read before its offset is claimed.
#[test]
fn an_unclaimed_offset_is_not_assigned() {
    let store = FakeStore::with_partitions(2);
    store.state().offsets.insert(t(0), (7, String::new()));
    store.state().refuses_commits.insert(t(0), retry("live members"));
    let mut client = over(&store, pace());
    let partitions = |all: Vec<Assigned>| all.into_iter().map(|one| one.partition).collect::<Vec<_>>();
    assert_eq!(partitions(assigned(&mut client)), [t(1)]);
    assert_eq!(failure(&mut client), "live members");
    store.state().refuses_commits.clear();
    assert_eq!(partitions(assigned(&mut client)), [t(0)]);
}

#[test]
fn a_missing_topic_is_asked_for_again() {
    let store = FakeStore::default();
    let mut client = over(&store, pace());
    assert!(failure(&mut client).contains("the topic t does not exist yet"));
    store.state().topics.insert("t".to_owned(), vec![0]);
    assert_eq!(assigned(&mut client).len(), 1);
    wait(&mut client, |event| (event == Ok(GroupEvent::Reached)).then_some(()));
}

/// An offset that cannot be fetched now is not a missing offset. Other partitions do not wait for it, and
/// its partition does not count as new when the offset comes.
#[test]
fn an_unknown_offset_delays_no_other() {
    let store = FakeStore::with_partitions(3);
    store.state().refused.insert(t(1), retry("loading"));
    store.state().offsets.insert(t(1), token(5));
    let mut client = over(&store, pace());
    let names = |all: Vec<Assigned>| all.into_iter().map(|one| one.partition).collect::<BTreeSet<_>>();
    assert_eq!(names(assigned(&mut client)), BTreeSet::from([t(0), t(2)]));
    assert_eq!(failure(&mut client), "loading");
    store.state().refused.clear();
    let last = assigned(&mut client);
    assert_eq!((last[0].committed, last[0].new, last.len()), (Some(5), false, 1));
}

#[test]
fn a_commit_is_tried_until_it_succeeds() {
    let store = FakeStore::with_partitions(1);
    let mut client = over(&store, pace());
    assigned(&mut client);
    store.state().down = Some(retry("the coordinator is away"));
    client.commit(vec![commit(0, 9)]);
    assert_eq!(failure(&mut client), "the coordinator is away");
    store.state().down = None;
    store.state().refused.insert(t(0), retry("not now"));
    wait(&mut client, |event| (event == Ok(GroupEvent::Failed("not now".to_owned()))).then_some(()));
    store.state().refused.clear();
    assert_eq!(committed(&mut client), [(t(0), 9)]);
    assert_eq!(store.state().offsets[&t(0)], (9, "token 9".to_owned()));
}

#[test]
fn a_refused_commit_delays_no_other() {
    let store = FakeStore::with_partitions(2);
    let mut client = over(&store, pace());
    assigned(&mut client);
    store.state().refused.insert(t(0), retry("not allowed"));
    for offset in 1..4 {
        client.commit(vec![commit(0, offset), commit(1, offset)]);
        assert_eq!(committed(&mut client), [(t(1), offset)]);
    }
    store.state().refused.clear();
    client.commit(vec![commit(0, 5)]);
    assert_eq!(committed(&mut client), [(t(0), 5)]);
}

/// Neither topics nor commits are asked for all the time.
#[test]
fn requests_keep_their_intervals() {
    let store = FakeStore::with_partitions(1);
    let mut client = over(&store, pace());
    assigned(&mut client);
    let reached = |event| (event == Ok(GroupEvent::Reached)).then_some(());
    wait(&mut client, reached);
    let began = Instant::now();
    for _ in 0..5 {
        wait(&mut client, reached);
    }
    assert!(began.elapsed() >= QUICK * 4, "5 looks within {:?}", began.elapsed());
    store.state().refuses_commits.insert(t(0), retry("not now"));
    client.commit(vec![commit(0, 9)]);
    failure(&mut client);
    let began = Instant::now();
    for _ in 0..5 {
        failure(&mut client);
    }
    assert!(began.elapsed() >= QUICK * 3, "5 commits within {:?}", began.elapsed());
}

/// Looks go on while a commit pauses, and do not cut its pause short.
#[test]
fn looks_do_not_hasten_commits() {
    for (partitions, is_partial) in [(1, false), (2, true)] {
        let store = FakeStore::with_partitions(partitions);
        let hour = Duration::from_secs(3600);
        let mut client = over(&store, StandaloneIntervals { pauses: (hour, hour), ..pace() });
        assigned(&mut client);
        store.state().refuses_commits.insert(t(0), retry("not now"));
        client.commit((0..partitions).map(|number| commit(number, 9)).collect());
        for _ in 0..5 {
            wait(&mut client, |event| match event {
                Ok(GroupEvent::Committed(_)) => panic!("its owner would order the refused one at once"),
                Ok(GroupEvent::Reached) => (!store.state().commits.is_empty()).then_some(()),
                _ => None,
            });
        }
        assert_eq!(store.state().commits.len(), 1, "partial: {is_partial}");
    }
}

/// The owner learns which offsets are committed after half of the longest pause.
#[test]
fn a_partial_commit_is_reported_in_time() {
    let store = FakeStore::with_partitions(2);
    let longest = Duration::from_secs(1);
    let mut client = over(&store, StandaloneIntervals { pauses: (QUICK, longest), ..pace() });
    assigned(&mut client);
    store.state().refuses_commits.insert(t(0), retry("not now"));
    let began = Instant::now();
    client.commit(vec![commit(0, 9), commit(1, 9)]);
    assert_eq!(committed(&mut client), [(t(1), 9)]);
    let took = began.elapsed();
    assert!(took >= longest / 2 && took < longest * 3 / 2, "after {took:?}");
}

/// A commit without an answer is a failure after a while, until the answer comes.
#[test]
fn a_slow_commit_is_a_failure() {
    let ((orders, _taken), (events, received)) = (unbounded(), unbounded());
    let mut client = Standalone { orders, events: received, committing: None };
    client.commit(vec![commit(0, 4)]);
    assert_eq!(client.next(), Ok(GroupEvent::Unchanged));
    client.committing = Instant::now().checked_sub(SLOW_COMMIT_AFTER);
    assert!(matches!(client.next(), Ok(GroupEvent::Failed(why)) if why.contains("more than 15 s")));
    events.send(Ok(GroupEvent::Committed(vec![(t(0), 4)]))).unwrap();
    assert_eq!(client.next(), Ok(GroupEvent::Committed(vec![(t(0), 4)])));
    assert_eq!(client.next(), Ok(GroupEvent::Unchanged));
    drop(events);
    assert!(matches!(client.next(), Err(Fault::Retry(why)) if why.contains("internal error")));
}

#[test]
fn a_fatal_refusal_ends_the_thread() {
    let store = FakeStore::with_partitions(2);
    let mut client = over(&store, pace());
    assigned(&mut client);
    store.state().refused.insert(t(1), Fault::Fatal("the string is too long".to_owned()));
    client.commit(vec![commit(0, 1), commit(1, 1)]);
    let fault = wait(&mut client, Result::err);
    assert_eq!(fault, Fault::Fatal("the string is too long".to_owned()));
}

#[test]
fn finish_commit_waits() {
    let store = FakeStore::with_partitions(1);
    let mut client = over(&store, pace());
    assigned(&mut client);
    assert_eq!(client.finish_commit(Instant::now() + Duration::from_secs(5)), None, "nothing is in flight");
    client.commit(vec![commit(0, 3)]);
    assert_eq!(client.finish_commit(Instant::now() + Duration::from_secs(5)), Some(vec![(t(0), 3)]));
    store.state().down = Some(retry("away"));
    client.commit(vec![commit(0, 4)]);
    assert_eq!(client.finish_commit(Instant::now() + QUICK * 3), None, "it does not wait longer");
}

/// Brokers delete offsets that are not committed again. An offset that somebody else has set is not
/// overwritten.
#[test]
fn idle_offsets_are_committed_again() {
    let store = FakeStore::with_partitions(3);
    store.state().offsets.insert(t(0), token(7));
    store.state().offsets.insert(t(2), token(8));
    let mut client = over(&store, StandaloneIntervals { renew: QUICK * 2, ..pace() });
    assigned(&mut client);
    client.commit(vec![commit(1, 4)]);
    committed(&mut client);
    // An operator's reset, and an offset that the brokers deleted.
    store.state().offsets.insert(t(2), (2, String::new()));
    store.state().offsets.remove(&t(0));
    let from = store.state().commits.len() + 1;
    let until = Instant::now() + Duration::from_secs(30);
    while store.state().commits.len() < from + 2 {
        assert!(Instant::now() < until, "the thread never renews offsets");
        sleep(QUICK);
    }
    let again = store.state().commits[from].clone();
    let seven = Commit { partition: t(0), offset: 7, metadata: token(7).1 };
    assert_eq!(again, [seven, commit(1, 4)]);
    assert_eq!(store.state().offsets[&t(2)], (2, String::new()));
    assert_eq!(store.state().offsets[&t(0)], token(7));
}

#[test]
fn the_thread_ends_with_its_owner() {
    let store = FakeStore::with_partitions(1);
    let mut client = over(&store, pace());
    assigned(&mut client);
    drop(client);
    let until = Instant::now() + Duration::from_secs(5);
    while Arc::strong_count(&store.0) > 1 {
        assert!(Instant::now() < until, "the thread goes on");
        sleep(QUICK);
    }
}
