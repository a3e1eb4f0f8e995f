//! Which batches belong to aborted transactions (KIP-98), as Java's consumer decides it.

use std::collections::HashSet;

use super::Aborted;

/// Goes along a set's batches in order.
#[derive(Debug, Default)]
pub(super) struct AbortedFilter {
    /// Whether aborted transactions are left out at all.
    enabled: bool,
    /// Transactions that have not begun yet; the next one to begin stands last.
    upcoming: Vec<Aborted>,
    /// Producers in the middle of an aborted transaction.
    aborting: HashSet<i64>,
}

impl AbortedFilter {
    /// At the beginning of an answer that told of these; `None`: leaves out nothing.
    pub(super) fn start(&mut self, aborted: Option<&[Aborted]>) {
        self.enabled = aborted.is_some();
        self.aborting.clear();
        self.upcoming.clear();
        self.upcoming.extend_from_slice(aborted.unwrap_or_default());
        self.upcoming.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Whether it may leave anything out.
    pub(super) fn is_active(&self) -> bool {
        self.enabled && (!self.upcoming.is_empty() || !self.aborting.is_empty())
    }

    /// At a batch whose last offset is this.
    pub(super) fn advance_to(&mut self, last: i64) {
        while let Some(next) = self.upcoming.pop_if(|next| next.first_offset <= last) {
            self.aborting.insert(next.producer);
        }
    }

    /// Whether a transactional batch of this producer is part of an aborted transaction.
    pub(super) fn is_aborting(&self, producer: i64) -> bool {
        self.aborting.contains(&producer)
    }

    /// At the marker that ends this producer's aborted transaction.
    pub(super) fn end_transaction(&mut self, producer: i64) {
        self.aborting.remove(&producer);
    }

    /// What of the list is still in force behind here; a transaction that has begun
    /// begins at once there.
    pub(super) fn remaining(&self) -> Vec<Aborted> {
        let begun = self.aborting.iter().map(|producer| Aborted { first_offset: 0, producer: *producer });
        begun.chain(self.upcoming.iter().copied()).collect()
    }
}
