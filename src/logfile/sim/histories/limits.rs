//! What is not promised, and how often it happened.

use std::collections::BTreeMap;

/// What is not promised: where the files may be wrong, or a reset is not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// Several hosts: a position expired, and a host went on from a journal that had not
    /// heard of the latest reset, or from nothing. Doubles.
    Expired,
    /// Several hosts: an older copy was put back, and a host went on where another had
    /// come to since. Loses what the copy lacks.
    RestoredAndPassed,
    /// Several hosts: an older copy was put back that is in another history than the group.
    /// Doubles.
    RestoredInOtherHistory,
    /// Without tokens, or with several hosts: an older copy was put back that does not know the
    /// partition yet. Loses what it lacks.
    RestoredUnknown,
    /// A reset to exactly a value that the journal keeps, because the group had it without
    /// a token, is not seen.
    ResetToKeptValue,
    /// Without tokens: an older copy was put back, and what had been committed since is taken
    /// for a reset. Loses what the copy lacks.
    RestoredWithoutToken,
    /// Without tokens: a commit came so late that the journal keeps its value no more, and is
    /// taken for a reset.
    LateWithoutToken,
    /// A claim came late, after an older copy was put back that does not know it and another
    /// reset was honoured: it is taken for that of a new one. Like that reset, it may skip.
    LateClaim,
    /// Without tokens, several hosts one after the other: what a host had not committed
    /// when the next one took over is doubled when it comes back.
    SeveralWithoutToken,
}

/// How often what happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) starts: u32,
    pub(super) resets: u32,
    pub(super) honoured: u32,
    /// Resets that were gone before any start saw them.
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
