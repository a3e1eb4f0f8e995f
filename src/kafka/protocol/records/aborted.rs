//! Decides which batches belong to aborted transactions (KIP-98), by the algorithm of Java's
//! consumer (`CompletedFetch`).

use std::collections::HashSet;

use super::Aborted;

/// Follows the batches of a record set in their order.
#[derive(Debug, Default)]
pub(super) struct AbortedFilter {
    /// Whether records of aborted transactions are left out.
    enabled: bool,
    /// The transactions that have not begun yet; the next one to begin is the last item.
    upcoming: Vec<Aborted>,
    /// The producers that are inside an aborted transaction.
    aborting: HashSet<i64>,
}

impl AbortedFilter {
    /// Starts with the list of an answer; `None` leaves no record out.
    pub(super) fn start(&mut self, aborted: Option<&[Aborted]>) {
        self.enabled = aborted.is_some();
        self.aborting.clear();
        self.upcoming.clear();
        self.upcoming.extend_from_slice(aborted.unwrap_or_default());
        self.upcoming.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Whether a later batch may have to be left out.
    pub(super) fn is_active(&self) -> bool {
        self.enabled && (!self.upcoming.is_empty() || !self.aborting.is_empty())
    }

    /// Begins the transactions whose first record is in the next batch or before it; `last` is the
    /// last offset of that batch.
    pub(super) fn advance_to(&mut self, last: i64) {
        while let Some(next) = self.upcoming.pop_if(|next| next.first_offset <= last) {
            self.aborting.insert(next.producer);
        }
    }

    /// Whether a transactional batch of this producer belongs to an aborted transaction.
    pub(super) fn is_aborting(&self, producer: i64) -> bool {
        self.aborting.contains(&producer)
    }

    /// Ends the aborted transaction of this producer, at its marker.
    pub(super) fn end_transaction(&mut self, producer: i64) {
        self.aborting.remove(&producer);
    }

    /// The part of the list that still counts for the following batches. A transaction that has
    /// begun gets first offset 0, so that it begins at once.
    pub(super) fn remaining(&self) -> Vec<Aborted> {
        let begun = self.aborting.iter().map(|producer| Aborted { first_offset: 0, producer: *producer });
        begun.chain(self.upcoming.iter().copied()).collect()
    }
}
