//! The topics' watcher beside a broker that a test controls.

use crossbeam_channel::{bounded, unbounded};

use super::*;
use crate::kafka::group::fake_coordinator::{FakeCoordinator, METADATA};
use crate::pattern::Pattern;

/// A watcher with the other ends of its channels.
struct WatcherBench {
    broker: FakeCoordinator,
    watcher: TopicWatcher,
    owner: Sender<()>,
    messages: Receiver<OwnerMessage>,
    orders: Receiver<MemberOrder>,
}

fn bench(topics: SubscribedTopics) -> WatcherBench {
    let broker = FakeCoordinator::with_partitions(3);
    let (owner, owned) = bounded(0);
    let (to_owner, messages) = unbounded();
    let (member, orders) = unbounded();
    let every = Duration::from_millis(40);
    let watcher = TopicWatcher::new(topics, broker.brokers(), every, owned, to_owner, member);
    WatcherBench { broker, watcher, owner, messages, orders }
}

fn named(topics: &[&str]) -> SubscribedTopics {
    SubscribedTopics::Named(topics.iter().map(|topic| (*topic).to_owned()).collect())
}

impl WatcherBench {
    /// Looks once; the pause after it belongs to the look. What the member learns, the failure if there is
    /// one, and the pause.
    #[track_caller]
    fn look(&mut self) -> (Option<BTreeMap<String, usize>>, Option<String>, Duration) {
        let began = Instant::now();
        assert!(self.watcher.look().is_ok(), "the owner is there");
        let pause = began.elapsed();
        let counts = self.orders.try_recv().ok().map(|order| match order {
            MemberOrder::Topics(seen) => seen.counts,
            _ => panic!("only topics were expected"),
        });
        let failure = match self.messages.try_recv() {
            Ok(OwnerMessage::Failed(GroupThread::Topics, why)) => Some(why),
            Ok(OwnerMessage::Recovered(GroupThread::Topics)) => None,
            _ => panic!("each look is reported"),
        };
        assert!(self.messages.is_empty() && self.orders.is_empty());
        (counts, failure, pause)
    }
}

#[test]
fn the_member_learns_the_counts_of_its_topics() {
    let mut bench = bench(named(&["t", "u"]));
    bench.broker.script().topics.insert("u".to_owned(), Ok(1));
    bench.broker.script().topics.insert("v".to_owned(), Ok(1));
    let (seen, failure, pause) = bench.look();
    assert_eq!((seen, failure), (Some(counts("t=3 u=1")), None));
    assert!(pause >= Duration::from_millis(40), "{pause:?}");
}

/// The topics that exist are read; the others are asked for again soon.
#[test]
fn missing_topics_are_named() {
    let mut bench = bench(named(&["t", "u", "v", "w"]));
    bench.broker.script().topics.insert("v".to_owned(), Err(29));
    bench.broker.script().topics.insert("w".to_owned(), Err(5));
    let (seen, failure, pause) = bench.look();
    let why = failure.unwrap();
    assert_eq!(seen, Some(counts("t=3")));
    assert!(
        why.contains("the topic u does not exist yet") && why.contains("the topic w does not exist"),
        "{why}"
    );
    assert!(why.contains("the topic v: Kafka answers TOPIC_AUTHORIZATION_FAILED"), "{why}");
    assert!(pause >= WATCHER_PAUSES.0 / 2, "{pause:?}");
    bench.broker.script().topics.insert("u".to_owned(), Ok(0));
    assert!(
        bench.look().1.unwrap().contains("the topic u does not exist yet"),
        "without partitions it does not"
    );
}

/// A pattern takes what matches, and Kafka's own topics never.
#[test]
fn a_pattern_looks_at_all_topics() {
    let like = |pattern| SubscribedTopics::Like(Pattern::new(pattern).unwrap());
    let mut none = bench(like("u.*"));
    let (seen, failure, _) = none.look();
    assert_eq!(seen, Some(BTreeMap::new()));
    assert!(failure.unwrap().contains("no topic matches"));
    let mut some = bench(like("u.*|_.*"));
    for name in ["u1", "u2", "__consumer_offsets"] {
        some.broker.script().topics.insert(name.to_owned(), Ok(1));
    }
    let (seen, failure, _) = some.look();
    assert_eq!((seen, failure), (Some(counts("u1=1 u2=1")), None));
}

/// An outage is reported, and no topic counts as gone.
#[test]
fn an_outage_changes_no_topic() {
    let mut bench = bench(named(&["t"]));
    bench.look();
    bench.broker.script().closes.insert(METADATA);
    let (seen, failure, pause) = bench.look();
    assert!(seen.is_none() && failure.is_some() && pause >= WATCHER_PAUSES.0 / 2);
    bench.broker.script().closes.clear();
    let (seen, failure, _) = bench.look();
    assert_eq!((seen, failure), (Some(counts("t=3")), None));
}

#[test]
fn the_thread_ends_with_its_owner() {
    let WatcherBench { watcher, owner, messages: _messages, orders: _orders, .. } = bench(named(&["t"]));
    drop(owner);
    watcher.run();
}

fn counts(text: &str) -> BTreeMap<String, usize> {
    let one = |one: &str| one.split_once('=').map(|(name, count)| (name.to_owned(), count.parse().unwrap()));
    text.split_whitespace().filter_map(one).collect()
}

#[test]
fn lower_counts_are_believed_late() {
    let mut known = KnownTopics::default();
    let looks = [
        ("a=2", "a=2"),
        ("a=3 b=1", "a=3 b=1"),
        ("", "a=3 b=1"),
        ("b=1", "a=3 b=1"),
        ("a=3 b=1", "a=3 b=1"),
        ("a=1", "a=3 b=1"),
        ("a=1", "a=3 b=1"),
        ("a=1", "a=1"),
        ("a=2", "a=2"),
    ];
    for (found, expected) in looks {
        assert_eq!(known.take(counts(found)).counts, counts(expected), "after {found:?}");
    }
}
