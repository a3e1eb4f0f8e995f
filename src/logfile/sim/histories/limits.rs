//! Cases in which no promise is made, and how often they happen.

use std::collections::BTreeMap;

/// A case in which a file may be wrong, or a reset may not be followed, without breaking a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// With several hosts: the group's offset expired, and a host went on from a journal that did not know
    /// the latest reset, or from no position at all. Repeats records.
    Expired,
    /// With several hosts: an older copy was put back, and a host went on at a position that another host
    /// has reached since. Loses the records that the copy lacks.
    RestoredAndPassed,
    /// With several hosts: an older copy was put back whose history is not the group's. Repeats records.
    RestoredInOtherHistory,
    /// Without tokens, or with several hosts: an older copy was put back that does not know the partition
    /// yet. Loses the records that the copy lacks.
    RestoredUnknown,
    /// A reset is not noticed if it goes exactly to an offset that the journal keeps because the
    /// group had it without a token.
    ResetToKeptValue,
    /// Without tokens: an older copy was put back, and the commits since then are taken for a reset. Loses
    /// the records that the copy lacks.
    RestoredWithoutToken,
    /// Without tokens: a commit arrived so late that the journal no longer keeps its offset. It is taken
    /// for a reset.
    LateWithoutToken,
    /// An older copy was put back that does not know a claim, another reset was honoured, and then the
    /// claim arrived late. It is taken for the claim of a new reset, and may skip records as a new reset
    /// may.
    LateClaim,
    /// Without tokens, with several hosts one after the other: records that a host had not committed when
    /// the next host took over are repeated when the first host comes back.
    SeveralWithoutToken,
}

/// How often what happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) starts: u32,
    pub(super) resets: u32,
    pub(super) honoured: u32,
    /// Resets that were replaced before any start saw them.
    pub(super) overwritten: u32,
    pub(super) limits: BTreeMap<Limit, u32>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.starts += other.starts;
        self.resets += other.resets;
        self.honoured += other.honoured;
        self.overwritten += other.overwritten;
        for (limit, times) in &other.limits {
            *self.limits.entry(*limit).or_default() += times;
        }
    }
}
