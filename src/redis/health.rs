//! What a job's log says of a Redis server: once when the server goes down, once when it is
//! back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::server::RedisServer;
use crate::report::Outage;

/// How one server is, to one job: shared by all of the job's links to it, so that the
/// log says it once.
///
/// A server can serve one kind of command and refuse another (the list is of a wrong
/// type, there is no memory for more). It is back when every kind that was refused is
/// served again, whatever the others do meanwhile.
#[derive(Clone)]
pub struct Health {
    state: Arc<Mutex<HealthState>>,
    pub(super) role: &'static str,
}

struct HealthState {
    outage: Outage,
    down: BTreeSet<&'static str>,
}

impl Health {
    /// `job` opens the log lines, the server follows.
    pub fn new(job: &str, server: &RedisServer) -> Self {
        let outage = Outage::new(format!("{job}: {server}"));
        Self { state: Arc::new(Mutex::new(HealthState { outage, down: BTreeSet::new() })), role: "" }
    }

    /// For those who use the server for this.
    #[must_use]
    pub fn role(&self, role: &'static str) -> Self {
        Self { role, ..self.clone() }
    }

    /// It does not serve, because of `why`.
    pub fn down(&self, why: &str) {
        let mut state = self.lock();
        state.down.insert(self.role);
        state.outage.down(Instant::now(), why);
    }

    /// It serves. True if it did not before.
    pub fn up(&self) -> bool {
        let mut state = self.lock();
        let was_down = state.down.remove(self.role);
        if was_down && state.down.is_empty() {
            state.outage.up(Instant::now(), "back");
        }
        was_down
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
