//! One packet of the expire probe: commands that are sent in one piece (a Redis pipeline).

use std::time::Duration;

use super::sweep::{self, SCAN_COUNT};
use crate::expiry::context::ExpiryContext;
use crate::expiry::server_clock::millis;
use crate::redis::{Cmd, Requests, cmd};

/// A key that is asked by PTTL.
pub(super) struct ProbedKey {
    pub(super) key: Vec<u8>,
    /// Since when the key is due, in microseconds by the server's clock; `None` if the packet only asks for
    /// the key's deadline.
    pub(super) due: Option<u64>,
    /// Whether the key's event is awaited already.
    pub(super) is_awaited: bool,
}

/// A canary that is to be set.
pub(super) struct NewCanary {
    pub(super) name: Vec<u8>,
    /// For how long it is to live.
    pub(super) life: Duration,
}

/// See the module. The commands are sent in the order of the fields.
#[derive(Default)]
pub(super) struct ProbePacket {
    /// Whether the packet begins with TIME.
    pub(super) asks_time: bool,
    /// Whether the packet is needed for its TIME alone.
    pub(super) is_time_due: bool,
    /// The write that begins a packet with keys. A server that is paused, and so would say of expired keys
    /// that they are gone without deleting these, holds this write and the rest of the packet back.
    pub(super) leading_write: Option<Cmd>,
    pub(super) canary: Option<NewCanary>,
    pub(super) keys: Vec<ProbedKey>,
    /// The cursor of a sweep's next step, if one is to be made.
    pub(super) scan: Option<Vec<u8>>,
}

impl ProbePacket {
    pub(super) fn is_empty(&self) -> bool {
        !self.is_time_due && self.canary.is_none() && self.keys.is_empty() && self.scan.is_none()
    }

    /// How much work the packet makes for the server, in keys.
    pub(super) fn cost(&self) -> usize {
        let scanned = if self.scan.is_some() { SCAN_COUNT } else { 0 };
        self.keys.len() + usize::from(self.canary.is_some()) + scanned
    }

    /// The commands. TIME comes first: its reply corrects the clock by which deadlines are kept.
    pub(super) fn requests(&self, context: &ExpiryContext) -> Requests {
        let mut requests = Requests::default();
        if self.asks_time {
            requests.add(&cmd("TIME"));
        }
        if let Some(write) = &self.leading_write {
            requests.add(write);
        }
        if let Some(canary) = &self.canary {
            let mut set = cmd("SET");
            requests.add(set.arg(&canary.name).arg("").arg("PX").arg(millis(canary.life)));
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
