//! [`OffsetKeeper`] over a group that a test controls. The tests run its rounds themselves.

use crossbeam_channel::unbounded;

use super::*;
use crate::kafka::group::fake_store::{FakeStore, commit, retry, t, token};
use crate::kafka::group::offset_manager::Committer;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::record::{OffsetMetadata, Token};

/// A keeper with the other ends of its channels.
struct Bench {
    store: FakeStore,
    keeper: OffsetKeeper,
    orders: Sender<KeeperOrder>,
    _owner: Sender<()>,
    messages: Receiver<OwnerMessage>,
    member: Receiver<MemberOrder>,
}

/// A test that waits in vain fails after this time.
const LONG_RENEWAL: Duration = Duration::from_secs(30);
/// The identity under which the member of [`assignment`] commits.
fn sender() -> (i32, String, Option<String>) {
    (7, "m".to_owned(), Some("i".to_owned()))
}

fn assignment(partitions: i32) -> MemberAssignment {
    let partitions = (0..partitions).map(t).collect();
    let (generation, id, instance) = sender();
    MemberAssignment { number: 3, committer: Committer { generation, id, instance }, partitions }
}

fn bench(partitions: i32, renew: Duration) -> Bench {
    let store = FakeStore::with_partitions(partitions);
    let (orders, order_receiver) = unbounded();
    let (_owner, owner) = unbounded();
    let (to_owner, messages) = unbounded();
    let (to_member, member) = unbounded();
    let channels = KeeperChannels { orders: order_receiver, owner, to_owner, member: to_member };
    let name = Box::new(|_: &TopicPartition, offset, generation| (offset * 100) as u64 + generation as u64);
    let manager = OffsetManager::new(Box::new(store.clone()), name, renew, Instant::now());
    let keeper = OffsetKeeper::new(manager, channels);
    Bench { store, keeper, orders, _owner, messages, member }
}

impl Bench {
    /// A keeper that has reported its first assignment.
    fn assigned(partitions: i32, renew: Duration) -> Self {
        let mut bench = bench(partitions, renew);
        bench.order(KeeperOrder::Assign(assignment(partitions)));
        assert_eq!(bench.next_assigned().len(), partitions as usize);
        bench
    }

    fn order(&mut self, order: KeeperOrder) {
        self.orders.send(order).unwrap();
        assert!(self.keeper.round().is_ok(), "the order is taken");
    }

    /// Runs rounds until there is a message for the owner.
    #[track_caller]
    fn next(&mut self) -> OwnerMessage {
        let until = Instant::now() + LONG_RENEWAL / 2;
        loop {
            assert!(Instant::now() < until, "no message came");
            if let Ok(message) = self.messages.try_recv() {
                return message;
            }
            if self.keeper.round().is_err() {
                return self.messages.try_recv().expect("the thread says why it ends");
            }
        }
    }

    #[track_caller]
    fn next_assigned(&mut self) -> Vec<Assigned> {
        match self.next() {
            OwnerMessage::Assigned(3, all) => all,
            _ => panic!("an assignment was expected"),
        }
    }

    #[track_caller]
    fn next_failure(&mut self) -> String {
        match self.next() {
            OwnerMessage::Failed(GroupThread::Offsets, why) => why,
            _ => panic!("a failure was expected"),
        }
    }

    #[track_caller]
    fn next_recovered(&mut self) {
        assert!(matches!(self.next(), OwnerMessage::Recovered(GroupThread::Offsets)));
    }

    #[track_caller]
    fn next_committed(&mut self) -> Vec<(TopicPartition, i64)> {
        match self.next() {
            OwnerMessage::Event(GroupEvent::Committed(all)) => all,
            _ => panic!("a commit was expected"),
        }
    }

    #[track_caller]
    fn next_refused(&mut self) -> Vec<TopicPartition> {
        match self.next() {
            OwnerMessage::Event(GroupEvent::Refused(all)) => all,
            _ => panic!("a refusal was expected"),
        }
    }

    /// The refusals that the member's thread learns of.
    fn refusals(&self) -> Vec<(i32, ErrorCode)> {
        let refusals = self.member.try_iter().map(|order| match order {
            MemberOrder::Refused(generation, code) => (generation, code),
            _ => panic!("only refusals were expected"),
        });
        refusals.collect()
    }
}

/// The offset is claimed, as this member of this generation, before the partition is read.
#[test]
fn claims_come_before_the_assignment() {
    let mut bench = bench(2, LONG_RENEWAL);
    bench.store.state().offsets.insert(t(0), (5, String::new()));
    bench.store.state().offsets.insert(t(1), token(9));
    bench.store.state().refuses_commits.insert(t(0), retry("not now"));
    bench.order(KeeperOrder::Assign(assignment(2)));
    let first = bench.next_assigned();
    assert_eq!((first.len(), &first[0].partition, first[0].committed), (1, &t(1), Some(9)));
    assert_eq!(bench.next_failure(), "not now");
    bench.store.state().refuses_commits.clear();
    bench.next_recovered();
    let second = bench.next_assigned();
    let OffsetMetadata::Text(text) = &second[0].metadata else { panic!("there is metadata") };
    let claim = Token::claim(507, 5);
    assert_eq!((second.len(), Token::naming(5, text)), (1, Some(claim)));
    let state = bench.store.state();
    assert_eq!(state.offsets[&t(0)], (5, claim.to_string()), "the group holds what is assigned");
    assert!(state.commits.iter().all(|call| call.len() == 1 && call[0].partition == t(0)));
    assert!(state.senders.len() >= 2 && state.senders.iter().all(|one| *one == sender()));
}

#[test]
fn an_unknown_offset_is_asked_for_again() {
    let mut bench = bench(2, LONG_RENEWAL);
    bench.store.state().refused.insert(t(1), retry("loading"));
    bench.order(KeeperOrder::Assign(assignment(2)));
    assert_eq!(bench.next_assigned()[0].partition, t(0));
    assert_eq!(bench.next_failure(), "loading");
    bench.store.state().refused.clear();
    bench.next_recovered();
    let last = bench.next_assigned();
    assert_eq!((last.len(), &last[0].partition), (1, &t(1)), "the other one is not assigned twice");
}

#[test]
fn commits_are_the_members() {
    let mut bench = Bench::assigned(2, LONG_RENEWAL);
    bench.store.state().down = Some(retry("away"));
    bench.order(KeeperOrder::Commit(vec![commit(0, 4), commit(1, 6)]));
    assert_eq!(bench.next_failure(), "away");
    bench.store.state().down = None;
    bench.next_recovered();
    assert_eq!(bench.next_committed(), [(t(0), 4), (t(1), 6)]);
    assert_eq!(bench.store.state().senders, [sender()]);
}

/// A coordinator that is down is not asked all the time, and an order is not kept waiting by an earlier
/// failure.
#[test]
fn failures_are_repeated_after_a_pause() {
    let mut bench = Bench::assigned(1, LONG_RENEWAL);
    bench.store.state().down = Some(retry("away"));
    for _ in 0..3 {
        let began = Instant::now();
        bench.order(KeeperOrder::Commit(vec![commit(0, 4)]));
        bench.next_failure();
        assert!(bench.keeper.next >= began + KEEPER_PAUSES.0 / 2);
        assert!(bench.keeper.next <= Instant::now() + KEEPER_PAUSES.0);
    }
    let began = Instant::now();
    bench.next_failure();
    assert!(began.elapsed() >= KEEPER_PAUSES.0 / 4, "after {:?}", began.elapsed());
}

/// A code that concerns the member ends its assignment. The same commit is not sent again.
#[test]
fn a_refused_member_commits_no_more() {
    let mut bench = Bench::assigned(1, LONG_RENEWAL);
    bench.store.state().refuses_members = Some(ErrorCode(22));
    bench.order(KeeperOrder::Commit(vec![commit(0, 4)]));
    assert_eq!(bench.next_committed(), []);
    assert_eq!(bench.refusals(), [(7, ErrorCode(22))]);
    assert!(bench.keeper.ordered.is_none(), "nothing is left to be tried again");
    assert_eq!(bench.store.state().commits.len(), 1);
}

#[test]
fn a_refused_member_claims_nothing() {
    let mut bench = bench(1, LONG_RENEWAL);
    bench.store.state().offsets.insert(t(0), (5, String::new()));
    bench.store.state().refuses_members = Some(ErrorCode(25));
    bench.order(KeeperOrder::Assign(assignment(1)));
    assert!(bench.next_failure().contains("UNKNOWN_MEMBER_ID"));
    assert_eq!(bench.refusals(), [(7, ErrorCode(25))]);
    bench.order(KeeperOrder::Released);
    assert!(bench.messages.try_recv().is_err(), "nothing was assigned");
}

/// Offsets that are not committed when the assignment is released are dropped: the partitions may be
/// another member's by then.
#[test]
fn a_released_assignment_is_not_committed() {
    let mut bench = Bench::assigned(1, Duration::ZERO);
    bench.order(KeeperOrder::Commit(vec![commit(0, 4)]));
    assert_eq!(bench.next_committed(), [(t(0), 4)]);
    bench.store.state().down = Some(retry("away"));
    bench.order(KeeperOrder::Commit(vec![commit(0, 8)]));
    bench.next_failure();
    bench.order(KeeperOrder::Released);
    bench.store.state().down = None;
    let before = bench.store.state().commits.len();
    while !matches!(bench.next(), OwnerMessage::Event(GroupEvent::Committed(none)) if none.is_empty()) {}
    bench.order(KeeperOrder::Commit(vec![commit(0, 9)]));
    assert_eq!(bench.next_committed(), [], "an order without an assignment is answered");
    for _ in 0..3 {
        assert!(bench.keeper.round().is_ok());
    }
    assert_eq!(bench.store.state().commits.len(), before, "neither committed nor renewed");
}

/// An order of an earlier assignment is never committed as the member of a later one.
#[test]
fn orders_end_with_their_assignment() {
    let mut bench = Bench::assigned(1, LONG_RENEWAL);
    bench.order(KeeperOrder::Commit(vec![commit(0, 4)]));
    bench.order(KeeperOrder::Released);
    bench.order(KeeperOrder::Assign(assignment(1)));
    assert_eq!(bench.next_committed(), []);
    bench.next_assigned();
    assert!(bench.store.state().commits.is_empty());
}

/// The group refuses one offset: the others are committed, and the owner is told which.
#[test]
fn a_refused_offset_delays_no_other() {
    let mut bench = Bench::assigned(2, LONG_RENEWAL);
    bench.store.state().refuses_commits.insert(t(0), retry("not allowed"));
    bench.order(KeeperOrder::Commit(vec![commit(0, 4), commit(1, 6)]));
    assert_eq!(bench.next_refused(), [t(0)]);
    assert_eq!(bench.next_committed(), [(t(1), 6)]);
    bench.store.state().topics_refused.insert(t(0));
    bench.order(KeeperOrder::Commit(vec![commit(0, 4)]));
    assert_eq!(bench.next_refused(), [t(0)]);
    assert_eq!(bench.next_committed(), [], "the owner may order other offsets");
    bench.store.state().topics_refused.clear();
    bench.order(KeeperOrder::Commit(vec![commit(0, 4)]));
    assert_eq!(bench.next_failure(), "not allowed");
    bench.store.state().refuses_commits.clear();
    bench.next_recovered();
    assert_eq!(bench.next_committed(), [(t(0), 4)]);
}

/// A fatal refusal ends the thread, whatever the reasons of the other refusals are.
#[test]
fn a_fatal_refusal_is_not_hidden() {
    let mut bench = Bench::assigned(3, LONG_RENEWAL);
    bench.store.state().refuses_commits.insert(t(0), Fault::Fatal("too long".to_owned()));
    bench.store.state().refuses_commits.insert(t(1), retry("not allowed"));
    bench.order(KeeperOrder::Commit(vec![commit(0, 4), commit(1, 6), commit(2, 8)]));
    assert!(matches!(bench.next(), OwnerMessage::Fault(Fault::Fatal(why)) if why == "too long"));
}

/// A member whose partitions are quiet sends only renewals, so only a refused renewal can show that its
/// assignment has ended.
#[test]
fn a_refused_renewal_is_passed_on() {
    let mut bench = bench(1, Duration::from_millis(5));
    bench.store.state().offsets.insert(t(0), token(7));
    bench.store.state().refuses_members = Some(ErrorCode(25));
    bench.order(KeeperOrder::Assign(assignment(1)));
    bench.next_assigned();
    let until = Instant::now() + LONG_RENEWAL / 2;
    while bench.store.state().commits.is_empty() {
        assert!(Instant::now() < until, "a member never renews its offsets");
        assert!(bench.keeper.round().is_ok());
    }
    assert_eq!(bench.refusals()[0], (7, ErrorCode(25)));
}

/// A member whose partitions are quiet sends only renewals, so only a successful renewal can end the
/// outage.
#[test]
fn a_renewal_ends_an_outage() {
    let mut bench = bench(1, Duration::from_millis(5));
    bench.store.state().offsets.insert(t(0), token(7));
    bench.order(KeeperOrder::Assign(assignment(1)));
    bench.next_assigned();
    bench.store.state().down = Some(retry("away"));
    assert_eq!(bench.next_failure(), "away");
    bench.store.state().down = None;
    bench.next_recovered();
}

/// Brokers delete offsets that are not committed for long, so a member whose partitions are quiet
/// commits them again, as itself.
#[test]
fn a_quiet_member_commits_again() {
    let mut bench = bench(2, Duration::from_millis(5));
    bench.store.state().offsets.insert(t(0), token(7));
    bench.order(KeeperOrder::Assign(assignment(2)));
    let until = Instant::now() + LONG_RENEWAL / 2;
    while bench.store.state().commits.len() < 3 {
        assert!(Instant::now() < until, "a member never renews its offsets");
        assert!(bench.keeper.round().is_ok());
    }
    let state = bench.store.state();
    let (offset, metadata) = token(7);
    let again = Commit { partition: t(0), offset, metadata };
    assert!(state.commits.iter().all(|call| *call == [again.clone()]));
    assert!(state.senders.iter().all(|one| *one == sender()));
}

#[test]
fn the_keeper_ends_with_its_owner() {
    let Bench { keeper, _owner, .. } = bench(1, LONG_RENEWAL);
    drop(_owner);
    keeper.run();
}
