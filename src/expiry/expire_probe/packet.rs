//! One packet of the expire probe: commands that are sent in one piece (a Redis pipeline).

use std::time::{Duration, Instant};

use super::sweep::{self, SCAN_COUNT};
use crate::expiry::context::ExpiryContext;
use crate::expiry::server_clock::millis;
use crate::redis::{Requests, cmd};

/// A key that is asked by PTTL.
pub(super) struct ProbedKey {
    pub(super) key: Vec<u8>,
    /// Since when the key is due; `None` if the packet only asks for the key's deadline.
    pub(super) due: Option<Instant>,
}

/// See the module. The commands are sent in the order of the fields.
#[derive(Default)]
pub(super) struct ProbePacket {
    /// For how long the canary is to live, if it is to be set.
    pub(super) canary_life: Option<Duration>,
    pub(super) keys: Vec<ProbedKey>,
    /// The cursor of a sweep's next step, if one is to be made.
    pub(super) scan: Option<Vec<u8>>,
}

impl ProbePacket {
    pub(super) fn is_empty(&self) -> bool {
        self.canary_life.is_none() && self.keys.is_empty() && self.scan.is_none()
    }

    /// How much work the packet makes for the server, in keys.
    pub(super) fn cost(&self) -> usize {
        let scanned = if self.scan.is_some() { SCAN_COUNT } else { 0 };
        self.keys.len() + usize::from(self.canary_life.is_some()) + scanned
    }

    /// The commands. TIME comes first: its reply sets the clock by which deadlines are remembered.
    pub(super) fn requests(&self, context: &ExpiryContext) -> Requests {
        let mut requests = Requests::default();
        requests.add(&cmd("TIME"));
        if let Some(life) = self.canary_life {
            let mut set = cmd("SET");
            requests.add(set.arg(context.canary.key()).arg("").arg("PX").arg(millis(life)));
        }
        for probed in &self.keys {
            requests.add(cmd("PTTL").arg(&probed.key));
        }
        if let Some(cursor) = &self.scan {
            requests.add(&sweep::command(cursor, &context.filter.prefix));
        }
        requests
    }
}
