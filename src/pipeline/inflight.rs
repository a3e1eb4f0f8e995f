//! The tasks in flight: each gets a ticket on its way to the workers, and the tickets give the order on the
//! way back. Pure.
//!
//! Workers finish in any order. The sink gets each lane's outcomes in the order in which its tasks were
//! polled.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// The place of a task in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) lane: u32,
    number: u64,
}

/// Gives out tickets, for the source.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    next: HashMap<u32, u64>,
}

impl Tickets {
    pub(super) fn take(&mut self, lane: u32) -> Ticket {
        let next = self.next.entry(lane).or_default();
        let ticket = Ticket { lane, number: *next };
        *next += 1;
        ticket
    }
}

/// Puts outcomes back in lane order, for the sink.
#[derive(Debug)]
pub(super) struct Inflight<O> {
    lanes: HashMap<u32, Lane<O>>,
}

#[derive(Debug)]
struct Lane<O> {
    next: u64,
    early: BTreeMap<u64, O>,
}

impl<O> Inflight<O> {
    pub(super) fn new() -> Self {
        Self { lanes: HashMap::new() }
    }

    /// Takes a finished outcome. Appends the outcomes whose turn it is now to `ready`.
    pub(super) fn finished(&mut self, ticket: Ticket, outcome: O, ready: &mut VecDeque<O>) {
        let lane = self.lanes.entry(ticket.lane).or_insert_with(|| Lane { next: 0, early: BTreeMap::new() });
        if ticket.number != lane.next {
            lane.early.insert(ticket.number, outcome);
            return;
        }
        ready.push_back(outcome);
        lane.next += 1;
        if lane.early.is_empty() {
            return;
        }
        while let Some(outcome) = lane.early.remove(&lane.next) {
            ready.push_back(outcome);
            lane.next += 1;
        }
        if lane.early.is_empty() {
            // An empty map keeps memory for eleven outcomes, and there are as many lanes as partitions.
            lane.early = BTreeMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Each lane comes out complete and in order, in whatever order the tasks are finished.
        #[test]
        fn outcomes_leave_each_lane_in_order(
            lanes in proptest::collection::vec(0u32..4, 0..200),
            keys in proptest::collection::vec(any::<u32>(), 200),
        ) {
            let mut tickets = Tickets::default();
            let mut finishing: Vec<_> =
                lanes.iter().enumerate().map(|(i, lane)| (keys[i], tickets.take(*lane), i)).collect();
            finishing.sort_by_key(|(key, _, _)| *key);
            let mut inflight = Inflight::new();
            let mut ready = VecDeque::new();
            for (_, ticket, i) in finishing {
                inflight.finished(ticket, (ticket.lane, i), &mut ready);
            }
            prop_assert_eq!(ready.len(), lanes.len());
            for lane in 0..4 {
                let order: Vec<usize> =
                    ready.iter().filter(|(l, _)| *l == lane).map(|(_, i)| *i).collect();
                prop_assert!(order.is_sorted());
            }
        }
    }

    #[test]
    fn a_slow_task_delays_only_its_own_lane() {
        let mut tickets = Tickets::default();
        let (first, second, other) = (tickets.take(0), tickets.take(0), tickets.take(1));
        let mut inflight = Inflight::new();
        let mut ready = VecDeque::new();
        inflight.finished(second, "second", &mut ready);
        inflight.finished(other, "other", &mut ready);
        assert_eq!(ready, ["other"]);
        inflight.finished(first, "first", &mut ready);
        assert_eq!(ready, ["other", "first", "second"]);
    }
}
