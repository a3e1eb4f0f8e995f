//! The leader epochs of what was read of a partition, and where each begins (KIP-101). Two logs of one topic
//! are the same up to where an epoch ends first. Pure.

/// How many epochs are kept: those that began last.
const KEPT_MAX: usize = 8;

/// A leader epoch, and the first offset that was read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The leader epoch; -1 if the broker does not know it.
    pub epoch: i32,
    /// The first offset.
    pub from: i64,
}

/// See the module. Epochs and offsets ascend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderEpochs(Vec<EpochStart>);

impl LeaderEpochs {
    /// All of them, oldest first.
    pub fn starts(&self) -> &[EpochStart] {
        &self.0
    }

    /// The epoch of what is read from here on. What was known of the offsets from here on, or of this epoch
    /// and later ones, does not hold any more. True if that is news.
    pub fn record(&mut self, start: EpochStart) -> bool {
        if self.at(start.from.saturating_add(1)).is_some_and(|known| known.epoch == start.epoch) {
            return false;
        }
        self.0.retain(|known| known.epoch < start.epoch && known.from < start.from);
        self.0.push(start);
        if self.0.len() > KEPT_MAX {
            self.0.remove(0);
        }
        true
    }

    /// Forgets what begins at this offset or later.
    pub fn cut(&mut self, position: i64) {
        self.0.retain(|known| known.from < position);
    }

    /// The epoch of the last record before this offset.
    pub fn at(&self, position: i64) -> Option<EpochStart> {
        self.0.iter().rev().find(|known| known.from < position).copied()
    }

    /// Where the records end that were read of this epoch and of earlier ones, if others follow.
    pub fn end_of(&self, epoch: i32) -> Option<i64> {
        self.0.iter().find(|known| known.epoch > epoch).map(|known| known.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(starts: &[(i32, i64)]) -> LeaderEpochs {
        let mut all = LeaderEpochs::default();
        for (epoch, from) in starts {
            all.record(EpochStart { epoch: *epoch, from: *from });
        }
        all
    }

    fn pairs(all: &LeaderEpochs) -> Vec<(i32, i64)> {
        all.starts().iter().map(|one| (one.epoch, one.from)).collect()
    }

    #[test]
    fn epochs_ascend_with_their_offsets() {
        let mut all = of(&[(0, 0), (0, 5), (2, 10), (3, 20)]);
        assert_eq!(pairs(&all), [(0, 0), (2, 10), (3, 20)]);
        assert!(!all.record(EpochStart { epoch: 2, from: 15 }), "it is known");
        assert_eq!(all.at(10).map(|one| one.epoch), Some(0));
        assert_eq!(all.at(11).map(|one| one.epoch), Some(2));
        assert_eq!(
            (all.at(0), all.end_of(0), all.end_of(1), all.end_of(3)),
            (None, Some(10), Some(10), None)
        );
        // The records from 15 on were cut off, and others came.
        assert!(all.record(EpochStart { epoch: 5, from: 15 }));
        assert_eq!(pairs(&all), [(0, 0), (2, 10), (5, 15)]);
        all.cut(15);
        assert_eq!(pairs(&all), [(0, 0), (2, 10)]);
        // Unknown epochs say nothing, and nothing of what was before.
        assert!(all.record(EpochStart { epoch: -1, from: 30 }));
        assert_eq!(pairs(&all), [(-1, 30)]);
    }

    #[test]
    fn the_last_epochs_are_kept() {
        let all: Vec<(i32, i64)> = (0..20).map(|one| (one, i64::from(one) * 10)).collect();
        assert_eq!(pairs(&of(&all)), all[12..]);
    }
}
