//! Where the assigned partitions are.

use super::Ledger;
use crate::record::TopicPartition;

impl Ledger {
    /// The assigned partitions and their written positions.
    pub fn assigned(&self) -> Vec<(TopicPartition, i64)> {
        let inner = self.lock();
        let name = |index| inner.state.partitions.get(index).map(|state| state.partition.clone());
        inner.written.iter().filter_map(|(index, written)| Some((name(index)?, *written))).collect()
    }

    /// The assigned partitions, their written positions, and the offsets that the group holds by a commit of
    /// this run.
    pub fn positions(&self) -> Vec<(TopicPartition, i64, Option<i64>)> {
        let inner = self.lock();
        let name = |index: &u32| inner.state.partitions.get(index).map(|state| state.partition.clone());
        let held = |index: &u32| inner.group.own_commit(*index);
        let each = inner.written.iter();
        each.filter_map(|(index, written)| Some((name(index)?, *written, held(index)))).collect()
    }
}
