//! What a job logs about a Redis server: one line when the server goes down, one when it is back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::server::RedisServer;
use crate::report::{Conditions, Outage, ServerKind};

/// Whether one server serves one job. All links of the job to the server share this, so that an outage is
/// logged once.
///
/// A server can serve one kind of command and refuse another: the list has a wrong type, or the memory is
/// full. The server is back when every role that failed works again.
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
    /// Log lines begin with `job` and the server; whoever looks at the process sees the server among these
    /// conditions.
    pub fn new(job: &str, server: &RedisServer, conditions: &Conditions) -> Self {
        let shown = conditions.server(ServerKind::Redis, server.to_string());
        let outage = Outage::new(format!("{job}: {server}")).shown_as(shown);
        Self { state: Arc::new(Mutex::new(HealthState { outage, down: BTreeSet::new() })), role: "" }
    }

    /// A handle on this health for the commands of another role.
    #[must_use]
    pub fn role(&self, role: &'static str) -> Self {
        Self { role, ..self.clone() }
    }

    /// Records that the server does not serve this role, because of `why`.
    pub fn down(&self, why: &str) {
        let mut state = self.lock();
        state.down.insert(self.role);
        state.outage.down(Instant::now(), why);
    }

    /// Records that the server serves this role. True if it did not before.
    pub fn up(&self) -> bool {
        let mut state = self.lock();
        let was_down = state.down.remove(self.role);
        if state.down.is_empty() {
            state.outage.up(Instant::now(), "back");
        }
        was_down
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
