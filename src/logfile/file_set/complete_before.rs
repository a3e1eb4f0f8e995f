//! By when periods end whose files are complete.

use std::collections::BTreeMap;

use crate::logfile::journal::RouteScope;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct CompleteBefore {
    /// For files of these scopes.
    pub scopes: BTreeMap<RouteScope, i64>,
    /// For files whose records no assigned partition has any more, or that another path has named: when that
    /// is so of every partition. `None`: no partition is assigned.
    pub all: Option<i64>,
}

impl CompleteBefore {
    /// All periods that end by this time.
    pub fn all(before: i64) -> Self {
        Self { scopes: BTreeMap::from([(RouteScope::default(), before)]), all: Some(before) }
    }

    /// Adds a partition, of which all records before this time are written.
    pub fn add(&mut self, scope: RouteScope, before: i64) {
        let known = self.scopes.entry(scope).or_insert(before);
        *known = before.min(*known);
        self.all = Some(self.all.map_or(before, |all| before.min(all)));
    }

    /// Whether a period that ends then is complete.
    pub(super) fn holds(&self, scope: &RouteScope, until: i64) -> bool {
        self.scopes.get(scope).copied().or(self.all).is_some_and(|before| until <= before)
    }
}
