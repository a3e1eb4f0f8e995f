//! What is not promised, and how often it happens.

use std::collections::BTreeMap;

/// What is not promised: where a file may be wrong, or a reset is not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// With several hosts: a position expired, and a host went on from a journal that did not know
    /// the latest reset, or from nothing. Repeats records.
    Expired,
    /// With several hosts: an older copy was put back, and a host went on where another one had
    /// come to since. Loses what the copy lacks.
    RestoredAndPassed,
    /// With several hosts: an older copy was put back whose history is not the group's. Repeats
    /// records.
    RestoredInOtherHistory,
    /// Without tokens, or with several hosts: an older copy was put back that does not know the
    /// partition yet. Loses what the copy lacks.
    RestoredUnknown,
    /// A reset is not noticed if it goes exactly to an offset that the journal keeps because the
    /// group had it without a token.
    ResetToKeptValue,
    /// Without tokens: an older copy was put back, and the commits since then are taken for a
    /// reset. Loses what the copy lacks.
    RestoredWithoutToken,
    /// Without tokens: a commit arrived so late that the journal does not keep its offset any more.
    /// It is taken for a reset.
    LateWithoutToken,
    /// A claim arrived late, after an older copy was put back that does not know it and another
    /// reset was honoured. It is taken for the claim of a new reset, and may skip records like that
    /// one.
    LateClaim,
    /// Without tokens, several hosts one after the other: what a host had not committed when the
    /// next one took over is repeated when the host comes back.
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
