//! Whose turn it is when a request cannot name all partitions, or an answer cannot hold what all have. A
//! broker fills its answer in the order of the request, so who was served goes to the end of the line. Pure.

/// The place of a partition in the line: who has the lowest number is next.
pub(super) type Turn = u64;

/// Gives out the places at the end of the line.
#[derive(Debug, Default)]
pub(super) struct TurnCounter(u64);

/// What an answer had for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// Records, or the news that there are none, or an error.
    Answered,
    /// Nothing, although the broker has records of it, and the answer has records of others: it was full.
    PassedOver,
}

impl TurnCounter {
    /// Puts a partition that was asked for to its new place.
    pub(super) fn take(&mut self, turn: &mut Turn, served: Served) {
        if served == Served::Answered {
            self.0 += 1;
            *turn = self.0;
        }
    }
}

/// Those whose turn it is, in the order of their turns; at most `most`.
pub(super) fn next_in_turn<T>(mut waiting: Vec<(Turn, T)>, most: usize) -> Vec<T> {
    let number = |one: &(Turn, T)| one.0;
    if waiting.len() > most {
        waiting.select_nth_unstable_by_key(most, number);
        waiting.truncate(most);
    }
    waiting.sort_by_key(number);
    waiting.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests until every partition was served. Each request names at most `most`, and the answer has room
    /// for `room` of those that have records; those in `busy` always have records.
    fn requests_until_all(
        partitions: usize,
        most: usize,
        room: usize,
        busy: impl Fn(usize) -> bool,
    ) -> usize {
        let (mut turns, mut counter) = (vec![Turn::default(); partitions], TurnCounter::default());
        let mut served = vec![false; partitions];
        let mut requests = 0;
        while served.contains(&false) {
            requests += 1;
            assert!(requests <= 10 * partitions, "{} starve", served.iter().filter(|one| !**one).count());
            let waiting = turns.iter().copied().zip(0..partitions).collect();
            let mut left = room;
            for one in next_in_turn(waiting, most) {
                let what = if busy(one) && left == 0 { Served::PassedOver } else { Served::Answered };
                left -= usize::from(busy(one) && left > 0);
                served[one] |= what == Served::Answered;
                counter.take(&mut turns[one], what);
            }
        }
        requests
    }

    #[test]
    fn each_partition_has_its_turn() {
        for partitions in [1, 999, 1000, 1001, 1500, 2000, 4500, 10_000] {
            let needed = requests_until_all(partitions, 1000, usize::MAX, |_| false);
            assert_eq!(needed, partitions.div_ceil(1000), "{partitions} partitions");
        }
    }

    /// Two partitions fill each answer, and all of them, or those that come first, always have more.
    #[test]
    fn a_partition_whose_neighbours_fill_each_answer_has_its_turn() {
        assert_eq!(requests_until_all(50, 1000, 2, |_| true), 25);
        assert!(requests_until_all(2000, 1000, 2, |one| one < 10) <= 7);
        assert!(requests_until_all(2000, 1000, 2, |_| true) <= 1100);
    }
}
