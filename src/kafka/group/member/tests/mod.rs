//! [`MemberThread`] beside a coordinator that a test controls. The tests run its rounds themselves.

mod joining;
mod membership;

use crossbeam_channel::{bounded, unbounded};

use super::*;
use crate::kafka::group::config::GroupIntervals;
use crate::kafka::group::fake_coordinator::{FIND, FakeCoordinator, HEARTBEAT, JOIN, LEAVE, LONG, SYNC};
use crate::kafka::group::messages::MemberAssignment;
use crate::kafka::group::state::MemberTimeouts;
use crate::kafka::group::topic_snapshot::SubscribedTopics;
use crate::kafka::lease::Lease;
use crate::record::TopicPartition;

const SESSION: Duration = Duration::from_secs(10);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_millis(20);

/// A member's thread with the other ends of its channels.
struct Bench {
    coordinator: FakeCoordinator,
    thread: MemberThread,
    orders: Sender<MemberOrder>,
    owner: Sender<()>,
    messages: Receiver<OwnerMessage>,
    keeper: Receiver<KeeperOrder>,
    lease: Lease,
}

fn config(topics: SubscribedTopics) -> MemberConfig {
    let pace = GroupIntervals { heartbeat: BEAT, ..GroupIntervals::of(SESSION) };
    MemberConfig {
        group: "g".to_owned(),
        topics,
        session: SESSION,
        instance: "host".to_owned(),
        id: None,
        pace,
    }
}

/// The partition counts of these topics.
fn seen(counts: &[(&str, usize)]) -> TopicSnapshot {
    TopicSnapshot { counts: counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect() }
}

fn partitions(topic: &str, numbers: impl IntoIterator<Item = i32>) -> Vec<TopicPartition> {
    numbers.into_iter().map(|number| TopicPartition::new(topic, number)).collect()
}

impl Bench {
    fn new(partitions: i32) -> Self {
        Self::of(FakeCoordinator::with_partitions(partitions), config(named(&["t"])))
    }

    fn of(coordinator: FakeCoordinator, config: MemberConfig) -> Self {
        let (orders, order_receiver) = unbounded();
        let (owner, owned) = bounded(0);
        let (to_owner, messages) = unbounded();
        let (to_keeper, keeper) = unbounded();
        let lease = Lease::expired();
        let times = MemberTimeouts { session: config.session, rebalance: config.pace.rebalance };
        let state = MemberState::new(
            times,
            lease.clone(),
            config.instance.clone(),
            config.id.clone().unwrap_or_default(),
        );
        let brokers = coordinator.brokers();
        let thread = MemberThread::new(config, brokers, state, order_receiver, owned, to_owner, to_keeper);
        Self { coordinator, thread, orders, owner, messages, keeper, lease }
    }

    /// A member with an assignment, which the owner and the keeper know.
    fn joined(partitions: i32) -> Self {
        let mut bench = Self::new(partitions);
        bench.order(MemberOrder::Topics(seen(&[("t", usize::try_from(partitions).unwrap())])));
        bench.next_assignment();
        assert!(matches!(bench.messages.try_recv(), Ok(OwnerMessage::Named(..))));
        bench
    }

    /// Runs a round, which must not end the thread.
    #[track_caller]
    fn round(&mut self) {
        assert!(self.runs(), "the thread ends");
    }

    /// Runs a round. False if it ends the thread.
    #[track_caller]
    fn runs(&mut self) -> bool {
        assert!(self.pause() < LONG || !self.thread.orders.is_empty(), "it waits for an order");
        self.thread.round().is_ok()
    }

    #[track_caller]
    fn order(&mut self, order: MemberOrder) {
        self.orders.send(order).unwrap();
        self.round();
    }

    /// Runs rounds until there is a message for the owner.
    #[track_caller]
    fn next(&mut self) -> OwnerMessage {
        let until = Instant::now() + LONG;
        while self.messages.is_empty() && self.runs() {
            assert!(Instant::now() < until, "no message came");
        }
        self.messages.try_recv().expect("the thread says why it ends")
    }

    #[track_caller]
    fn next_failure(&mut self) -> String {
        match self.next() {
            OwnerMessage::Failed(GroupThread::Member, why) => why,
            _ => panic!("a failure was expected"),
        }
    }

    #[track_caller]
    fn next_recovered(&mut self) {
        assert!(matches!(self.next(), OwnerMessage::Recovered(GroupThread::Member)));
    }

    /// Runs rounds until the keeper gets an assignment.
    #[track_caller]
    fn next_assignment(&mut self) -> MemberAssignment {
        let until = Instant::now() + LONG;
        while self.keeper.is_empty() {
            assert!(Instant::now() < until, "no assignment came");
            self.round();
        }
        match self.keeper.try_recv() {
            Ok(KeeperOrder::Assign(assignment)) => assignment,
            _ => panic!("an assignment was expected"),
        }
    }

    /// How long the thread waits before its next request.
    fn pause(&self) -> Duration {
        self.thread.next.saturating_duration_since(Instant::now())
    }
}

fn named(topics: &[&str]) -> SubscribedTopics {
    SubscribedTopics::Named(topics.iter().map(|topic| (*topic).to_owned()).collect())
}
