//! The paced SCAN: finds keys whose deadlines nobody announced, and, where more keys have
//! deadlines than may be remembered, makes the server notice those that are due. Pure:
//! whoever calls has the clock and the server.

use std::time::{Duration, Instant};

use crate::redis::{Cmd, cmd};

/// Keys that one step looks at.
pub(super) const SCAN_COUNT: usize = 500;
/// Between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);
/// Between two sweeps that stand in for deadlines.
const OVERFLOW_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Sweep {
    /// Where the one under way goes on; `None` when none is.
    cursor: Option<Vec<u8>>,
    began: Instant,
    next: Instant,
    /// Deadlines had no room since the last sweep began.
    spilled: bool,
    overflowing: bool,
    /// Again, as soon as the one under way has ended.
    again: bool,
    /// How long the last one took.
    took: Duration,
}

impl Sweep {
    pub(super) fn new(now: Instant) -> Self {
        let none = Duration::ZERO;
        Self {
            cursor: None,
            began: now,
            next: now,
            spilled: false,
            overflowing: false,
            again: false,
            took: none,
        }
    }

    /// From the beginning: a new subscription.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.cursor, self.next) = (None, now);
    }

    /// Keys were missed, wherever they are.
    pub(super) fn request(&mut self) {
        self.again = true;
    }

    /// A deadline had no room.
    pub(super) fn record_spill(&mut self) {
        self.spilled = true;
    }

    /// Whether sweeps stand in for deadlines.
    pub(super) fn is_overflowing(&self) -> bool {
        self.overflowing || self.spilled
    }

    /// How late a key may be that is found by sweeps alone.
    pub(super) fn lateness(&self) -> Duration {
        if self.is_overflowing() { self.took.max(OVERFLOW_SWEEP_INTERVAL) } else { Duration::ZERO }
    }

    /// When the next step is due; no sooner than this.
    pub(super) fn due(&self) -> Option<Instant> {
        let wants_soon = self.again || self.is_overflowing();
        let next = if wants_soon { self.next.min(self.began + OVERFLOW_SWEEP_INTERVAL) } else { self.next };
        if self.cursor.is_some() { None } else { Some(next) }
    }

    /// The cursor of the step to make now, if one is due.
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due().is_some_and(|due| due > now) {
            return None;
        }
        if self.cursor.is_none() {
            self.began = now;
            self.again = false;
            self.overflowing = std::mem::take(&mut self.spilled);
            self.next = now + SWEEP_INTERVAL;
        }
        Some(self.cursor.get_or_insert_with(|| b"0".to_vec()).clone())
    }

    /// The server has answered a step. True at the end of a sweep.
    pub(super) fn record_step(&mut self, cursor: &[u8], now: Instant) -> bool {
        let over = cursor == b"0";
        self.cursor = (!over).then(|| cursor.to_vec());
        if over {
            self.took = now.saturating_duration_since(self.began);
            self.next = now + SWEEP_INTERVAL;
        }
        over
    }
}

/// The command for one step.
pub(super) fn command(cursor: &[u8], prefix: &[u8]) -> Cmd {
    let mut scan = cmd("SCAN");
    scan.arg(cursor);
    if !prefix.is_empty() {
        scan.arg("MATCH").arg(pattern(prefix));
    }
    scan.arg("COUNT").arg(SCAN_COUNT);
    scan
}

/// A pattern for MATCH: keys that begin with the prefix, whatever is in it.
fn pattern(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if b"*?[]\\^-".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_seldom_unless_deadlines_have_no_room() {
        let now = Instant::now();
        let mut sweep = Sweep::new(now);
        assert_eq!(sweep.next_step(now), Some(b"0".to_vec()));
        assert!(!sweep.record_step(b"17", now));
        assert_eq!(sweep.next_step(now), Some(b"17".to_vec()));
        assert!(sweep.record_step(b"0", now));
        let soon = now + Duration::from_secs(2);
        assert_eq!(sweep.next_step(soon), None);
        sweep.record_spill();
        assert_eq!(sweep.next_step(soon), Some(b"0".to_vec()));
        assert!(sweep.record_step(b"0", soon) && sweep.is_overflowing());
        // Nothing was spilled during that one, and so it was the last of its kind.
        let later = soon + OVERFLOW_SWEEP_INTERVAL;
        assert_eq!(sweep.next_step(later), Some(b"0".to_vec()));
        assert!(sweep.record_step(b"0", later) && !sweep.is_overflowing());
        assert_eq!(sweep.next_step(later + OVERFLOW_SWEEP_INTERVAL), None);
        assert_eq!(sweep.next_step(later + SWEEP_INTERVAL), Some(b"0".to_vec()));
    }

    #[test]
    fn a_prefix_stands_for_itself() {
        assert_eq!(pattern(b"a*[b]?\\c^-"), b"a\\*\\[b\\]\\?\\\\c\\^\\-*");
    }
}
