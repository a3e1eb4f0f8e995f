//! What the group is known to hold of each partition, and what is on its way there.
//! Pure; the ledger keeps one beside the journal's state.

use std::collections::{HashMap, HashSet};

use crate::record::TopicPartition;

/// By the partitions' numbers in the journal.
#[derive(Debug, Default)]
pub(super) struct GroupView {
    /// What the group is known to hold of the present history.
    acknowledged: HashMap<u32, i64>,
    /// The same, as far as this run's own commits were acknowledged with it.
    own: HashMap<u32, i64>,
    /// Partitions of which the group is known to hold a token of the present history, be it
    /// another journal's or a claim.
    tokens: HashSet<u32>,
    /// Handed out last: the value and its history.
    ordered: HashMap<u32, (i64, u64)>,
    /// Whether what was handed out is still unanswered.
    pub(super) is_unanswered: bool,
    /// Partitions whose commits carry a token: there is room for one.
    token_room: HashSet<TopicPartition>,
}

impl GroupView {
    /// Whether there is room for a token beside this partition's offset.
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

    /// The group holds this value in the present history.
    pub(super) fn record_held(&mut self, index: u32, value: i64) {
        self.acknowledged.insert(index, value);
    }

    /// The group holds a token of the present history.
    pub(super) fn record_token(&mut self, index: u32) {
        self.tokens.insert(index);
    }

    /// Whether it is known to.
    pub(super) fn has_token(&self, index: u32) -> bool {
        self.tokens.contains(&index)
    }

    /// Whether the group is not known to hold this value.
    pub(super) fn lacks(&self, index: u32, value: i64) -> bool {
        self.acknowledged.get(&index) != Some(&value)
    }

    /// What this run's own commits were last acknowledged with, in the present history.
    pub(super) fn own_commit(&self, index: u32) -> Option<i64> {
        self.own.get(&index).copied()
    }

    /// This value of this history is handed out to be committed.
    pub(super) fn record_ordered(&mut self, index: u32, value: i64, epoch: u64) {
        self.ordered.insert(index, (value, epoch));
        self.is_unanswered = true;
    }

    /// The group holds what was handed out, while this is the partition's history.
    pub(super) fn record_answer(&mut self, index: u32, value: i64, epoch: u64) {
        // It may have been left while the commit was under way.
        if !matches!(self.ordered.get(&index), Some((ordered, of)) if *ordered == value && *of != epoch) {
            self.acknowledged.insert(index, value);
            self.own.insert(index, value);
            self.tokens.insert(index);
        }
    }

    /// The partitions are others' from now on, who commit what they like.
    pub(super) fn release_all(&mut self) {
        self.acknowledged.clear();
        self.own.clear();
        self.tokens.clear();
    }

    /// The partition goes on in another history. Gives what the group may hold of the
    /// one that is left, oldest first.
    pub(super) fn leave_history(&mut self, index: u32) -> Vec<i64> {
        self.own.remove(&index);
        let under_way = self.ordered.get(&index).map(|(value, _)| *value);
        self.tokens.remove(&index);
        let held = self.acknowledged.remove(&index);
        held.into_iter().chain(under_way).collect()
    }
}
