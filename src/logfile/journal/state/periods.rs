//! The periods that are complete, by the partitions whose records go to their files.

use super::JournalState;
use crate::logfile::journal::{NOTHING_COMPLETE, RouteScope};

impl JournalState {
    pub(super) fn apply_complete(&mut self, complete: Vec<(RouteScope, i64)>, at: u64) {
        self.complete.extend(complete.into_iter().map(|(scope, before)| (scope, (before, at))));
    }

    /// What marks have said of complete periods since this byte of the half.
    pub(in crate::logfile) fn complete_since(&self, since: u64) -> Vec<(RouteScope, i64)> {
        let recent = self.complete.iter().filter(|(_, (_, at))| *at >= since);
        recent.map(|(scope, (before, _))| (scope.clone(), *before)).collect()
    }

    /// By when periods end that are complete, of every scope that has some.
    pub(in crate::logfile) fn all_complete(&self) -> Vec<(RouteScope, i64)> {
        let mut all = self.complete_since(0);
        all.retain(|(_, before)| *before != NOTHING_COMPLETE);
        all
    }

    /// A snapshot has all of this.
    pub(super) fn forget_complete_changes(&mut self) {
        self.complete.retain(|_, (before, _)| *before != NOTHING_COMPLETE);
        self.complete.values_mut().for_each(|(_, at)| *at = 0);
    }
}
