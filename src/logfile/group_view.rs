//! Which offset the group is known to hold of each partition, and which commits are on their way to the
//! group. Pure; the ledger keeps one view beside the journal's state.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use crate::record::TopicPartition;

/// An offset that the group has refused is committed again after this time.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// A map with the numbers of partitions as keys. This journal itself gave the numbers.
pub(super) type NumberMap<V> = HashMap<u32, V, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers by a multiplication. Nobody outside chooses these numbers, so a simple hash is enough.
#[derive(Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Partitions are named by their number in the journal.
#[derive(Debug, Default)]
pub(super) struct GroupView {
    /// The offset that the group is known to hold in the partition's present history.
    acknowledged: NumberMap<i64>,
    /// As `acknowledged`, but only offsets for which this run's own commit was acknowledged.
    own: NumberMap<i64>,
    /// Partitions for which the group is known to hold a token of the present history. The token may be
    /// another journal's, or a claim.
    tokens: HashSet<u32, BuildHasherDefault<NumberHasher>>,
    /// The latest commit handed out: its offset and its history.
    ordered: NumberMap<(i64, u64)>,
    /// Whether the commits handed out last are still unanswered.
    pub(super) is_unanswered: bool,
    /// Partitions whose commits carry a token, because the group's storage has room for one.
    token_room: HashSet<TopicPartition>,
    /// Partitions whose offsets the group refuses, and when it last did; `None` if the next commit need not
    /// wait.
    refused: NumberMap<Option<Instant>>,
}

impl GroupView {
    /// Records whether the group's storage has room for a token beside this partition's offset.
    pub(super) fn set_token_room(&mut self, partition: &TopicPartition, room: bool) {
        if room {
            self.token_room.insert(partition.clone());
        } else {
            self.token_room.remove(partition);
        }
    }

    /// Whether this partition's commits carry a token.
    pub(super) fn carries_token(&self, partition: &TopicPartition) -> bool {
        self.token_room.contains(partition)
    }

    /// Records that the group holds this offset in the partition's present history.
    pub(super) fn record_held(&mut self, index: u32, value: i64) {
        self.acknowledged.insert(index, value);
    }

    /// Records that the group holds a token of the partition's present history.
    pub(super) fn record_token(&mut self, index: u32) {
        self.tokens.insert(index);
    }

    /// Whether the group is known to hold a token of the partition's present history.
    pub(super) fn has_token(&self, index: u32) -> bool {
        self.tokens.contains(&index)
    }

    /// Whether the group is not known to hold this offset.
    pub(super) fn lacks(&self, index: u32, value: i64) -> bool {
        self.acknowledged.get(&index) != Some(&value)
    }

    /// The offset for which this run's own commit was acknowledged last, in the present history.
    pub(super) fn own_commit(&self, index: u32) -> Option<i64> {
        self.own.get(&index).copied()
    }

    /// Records that this offset of this history was handed out to be committed.
    pub(super) fn record_ordered(&mut self, index: u32, value: i64, epoch: u64) {
        self.ordered.insert(index, (value, epoch));
        self.is_unanswered = true;
    }

    /// Records that the group holds this offset. `epoch` is the partition's present history.
    pub(super) fn record_answer(&mut self, index: u32, value: i64, epoch: u64) {
        // The partition may have left the history of the commit while the commit was under way.
        if !matches!(self.ordered.get(&index), Some((ordered, of)) if *ordered == value && *of != epoch) {
            self.acknowledged.insert(index, value);
            self.own.insert(index, value);
            self.tokens.insert(index);
        }
        self.refused.remove(&index);
    }

    /// Records that the group refuses the offset of this partition, and may take those of others.
    pub(super) fn record_refused(&mut self, index: u32, now: Instant) {
        self.refused.insert(index, Some(now));
    }

    /// Lets the offsets that were refused be committed again at once.
    pub(super) fn end_refusal_pauses(&mut self) {
        self.refused.values_mut().for_each(|at| *at = None);
    }

    /// Whether the group refuses the offsets of this partition.
    pub(super) fn refuses(&self, index: u32) -> bool {
        self.refused.contains_key(&index)
    }

    /// Whether an offset of this partition is to be committed now, as far as refusals matter.
    pub(super) fn is_due(&self, index: u32, now: Instant) -> bool {
        let refused = self.refused.get(&index).copied().flatten();
        refused.is_none_or(|at| now.saturating_duration_since(at) >= REFUSED_PAUSE)
    }

    /// Forgets which offsets the group holds. Other members have the partitions now and may commit other
    /// offsets.
    pub(super) fn release_all(&mut self) {
        self.acknowledged.clear();
        self.own.clear();
        self.tokens.clear();
        self.refused.clear();
    }

    /// Records that the partition goes on in another history. Returns the offsets of the old history that
    /// the group may hold, oldest first.
    pub(super) fn leave_history(&mut self, index: u32) -> Vec<i64> {
        self.own.remove(&index);
        let under_way = self.ordered.get(&index).map(|(value, _)| *value);
        self.tokens.remove(&index);
        let held = self.acknowledged.remove(&index);
        held.into_iter().chain(under_way).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_knows_what_was_recorded_of_a_partition_and_of_no_other() {
        let mut view = GroupView::default();
        view.record_held(1, 9);
        assert_eq!((view.lacks(1, 9), view.lacks(1, 8), view.lacks(2, 9)), (false, true, true));
        assert_eq!((view.has_token(1), view.own_commit(1)), (false, None));
        view.record_token(1);
        assert_eq!((view.has_token(1), view.has_token(2)), (true, false));
        let partition = TopicPartition::new("t", 0);
        for room in [true, false] {
            view.set_token_room(&partition, room);
            assert_eq!(
                (view.carries_token(&partition), view.carries_token(&TopicPartition::new("t", 1))),
                (room, false)
            );
        }
    }

    #[test]
    fn a_commit_counts_in_its_own_history() {
        let mut view = GroupView::default();
        view.record_ordered(1, 20, 5);
        assert!(view.is_unanswered);
        view.record_answer(1, 20, 6);
        assert_eq!((view.lacks(1, 20), view.has_token(1), view.own_commit(1)), (true, false, None));
        view.record_answer(1, 20, 5);
        assert_eq!((view.lacks(1, 20), view.has_token(1), view.own_commit(1)), (false, true, Some(20)));
        view.record_ordered(1, 30, 5);
        // The group may hold either, the older one first.
        assert_eq!(view.leave_history(1), [20, 30]);
        assert_eq!((view.lacks(1, 20), view.has_token(1), view.own_commit(1)), (true, false, None));
        assert!(view.leave_history(2).is_empty());
    }

    /// Another member may commit other offsets from then on.
    #[test]
    fn nothing_is_known_of_released_partitions() {
        let mut view = GroupView::default();
        view.record_ordered(1, 20, 5);
        view.record_answer(1, 20, 5);
        view.release_all();
        assert_eq!((view.lacks(1, 20), view.has_token(1), view.own_commit(1)), (true, false, None));
    }
}
