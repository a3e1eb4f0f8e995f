//! Which batches belong to aborted transactions (KIP-98), as Java's consumer decides it.

use std::collections::HashSet;

use super::Aborted;

/// Goes along a set's batches in order.
#[derive(Debug, Default)]
pub(super) struct AbortedFilter {
    /// Whether aborted transactions are left out at all.
    on: bool,
    /// Transactions that have not begun yet; the next one to begin stands last.
    to_come: Vec<Aborted>,
    /// Producers in the middle of an aborted transaction.
    aborting: HashSet<i64>,
}

impl AbortedFilter {
    /// At the beginning of an answer that told of these; `None`: leaves out nothing.
    pub(super) fn begin(&mut self, aborted: Option<&[Aborted]>) {
        self.on = aborted.is_some();
        self.aborting.clear();
        self.to_come.clear();
        self.to_come.extend_from_slice(aborted.unwrap_or_default());
        self.to_come.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Whether it may leave anything out.
    pub(super) fn on(&self) -> bool {
        self.on && (!self.to_come.is_empty() || !self.aborting.is_empty())
    }

    /// At a batch whose last offset is this.
    pub(super) fn reach(&mut self, last: i64) {
        while let Some(next) = self.to_come.pop_if(|next| next.first_offset <= last) {
            self.aborting.insert(next.producer);
        }
    }

    /// Whether a transactional batch of this producer is part of an aborted transaction.
    pub(super) fn aborted(&self, producer: i64) -> bool {
        self.aborting.contains(&producer)
    }

    /// At the marker that ends this producer's aborted transaction.
    pub(super) fn end(&mut self, producer: i64) {
        self.aborting.remove(&producer);
    }

    /// What of the list is still in force behind here; a transaction that has begun
    /// begins at once there.
    pub(super) fn rest(&self) -> Vec<Aborted> {
        let begun = self.aborting.iter().map(|producer| Aborted { first_offset: 0, producer: *producer });
        begun.chain(self.to_come.iter().copied()).collect()
    }
}
