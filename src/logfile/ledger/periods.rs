//! What the ledger records of complete periods.

use std::collections::BTreeSet;
use std::io;

use super::Ledger;
use crate::logfile::journal::{FileNumber, Mark, NOTHING_COMPLETE, NamedFile, RouteScope};
use crate::logfile::ledger_state::LedgerState;
use crate::record::TopicPartition;

impl Ledger {
    /// By when periods end that are complete, if records of this scope go to their files.
    pub(in crate::logfile) fn complete_before(&self, scope: &RouteScope) -> i64 {
        self.lock().complete.get(scope).copied().unwrap_or(NOTHING_COMPLETE)
    }

    /// Records that the periods of this scope are complete that end by this time. The journal takes that up
    /// when it finishes a file of the scope.
    pub(in crate::logfile) fn record_complete(&self, scope: &RouteScope, before: i64) {
        self.lock().record_complete(scope, before);
    }
}

impl LedgerState {
    fn record_complete(&mut self, scope: &RouteScope, before: i64) {
        match self.complete.get_mut(scope) {
            Some(known) => *known = before.max(*known),
            None => drop(self.complete.insert(scope.clone(), before)),
        }
    }

    /// What a mark says of complete periods that finishes these files.
    pub(super) fn complete_with(&mut self, finished: &[FileNumber]) -> Vec<(RouteScope, i64)> {
        let name_of = |number| self.state.files.get(number).and_then(|known| known.name.clone());
        let names: Vec<NamedFile> = finished.iter().filter_map(name_of).collect();
        for name in &names {
            // A file may be finished although none of its partitions is assigned.
            self.record_complete(&name.scope, name.until.unwrap_or(NOTHING_COMPLETE));
        }
        let scopes: BTreeSet<RouteScope> = names.into_iter().map(|name| name.scope).collect();
        let before = |scope: RouteScope| self.complete.get(&scope).map(|before| (scope, *before));
        scopes.into_iter().filter_map(before).collect()
    }

    /// The partition goes back to earlier records, which are expected again: their periods are not complete.
    pub(in crate::logfile) fn expect_again(&mut self, partition: &TopicPartition) -> io::Result<()> {
        self.complete.retain(|scope, _| !scope.holds(partition));
        let mut complete = self.state.all_complete();
        complete.retain(|(scope, _)| scope.holds(partition));
        if complete.is_empty() {
            return Ok(());
        }
        complete.iter_mut().for_each(|(_, before)| *before = NOTHING_COMPLETE);
        let mark = Mark { complete, ..self.same_mark(Vec::new()) };
        let settled = self.state.settled_by(mark.sequence, &mark.held);
        self.append_mark(mark, &settled)
    }
}
