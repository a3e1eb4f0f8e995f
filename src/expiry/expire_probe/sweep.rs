//! The sweep, a SCAN over all keys step by step. It finds keys whose deadlines were not announced. If
//! deadlines find no room in memory, a sweep follows every second and finds their keys instead. Pure: the
//! caller has the clock and the server.

use std::time::{Duration, Instant};

use crate::redis::{Cmd, cmd};

/// How many keys the server looks at in one step.
pub(super) const SCAN_COUNT: usize = 500;
/// The time from the end of one sweep to the beginning of the next.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);
/// The least time from the beginning of one sweep to that of the next while deadlines find no room.
const OVERFLOW_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Sweep {
    /// Where the sweep under way goes on; `None` between two sweeps.
    cursor: Option<Vec<u8>>,
    /// When the last sweep began.
    began: Instant,
    /// When the next sweep is due, unless an earlier one is asked for.
    next: Instant,
    /// Whether a deadline has found no room since the last sweep began.
    overflowed: bool,
    /// Whether a deadline had found no room when the last sweep began.
    overflowing: bool,
    /// Whether another sweep must follow soon.
    requested: bool,
    /// How long the last sweep took.
    took: Duration,
}

impl Sweep {
    pub(super) fn new(now: Instant) -> Self {
        let none = Duration::ZERO;
        Self {
            cursor: None,
            began: now,
            next: now,
            overflowed: false,
            overflowing: false,
            requested: false,
            took: none,
        }
    }

    /// Begins a sweep at once, after a new subscription.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.cursor, self.next) = (None, now);
    }

    /// Asks for another sweep soon, because events of keys were missed.
    pub(super) fn request(&mut self) {
        self.requested = true;
    }

    /// Whether a sweep has begun and not ended.
    pub(super) fn is_under_way(&self) -> bool {
        self.cursor.is_some()
    }

    /// Records that a deadline found no room.
    pub(super) fn record_overflow(&mut self) {
        self.overflowed = true;
    }

    /// Whether sweeps find the keys whose deadlines find no room.
    pub(super) fn is_overflowing(&self) -> bool {
        self.overflowing || self.overflowed
    }

    /// The largest lateness of keys that only sweeps find.
    pub(super) fn lateness(&self) -> Duration {
        if self.is_overflowing() { self.took.max(OVERFLOW_SWEEP_INTERVAL) } else { Duration::ZERO }
    }

    /// When the next sweep is due. `None` while a sweep is under way: its next step is due now.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let is_soon = self.requested || self.is_overflowing();
        let next = if is_soon { self.next.min(self.began + OVERFLOW_SWEEP_INTERVAL) } else { self.next };
        if self.cursor.is_some() { None } else { Some(next) }
    }

    /// The cursor of the step to make now, if one is due. Begins a sweep if none is under way.
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_due().is_some_and(|due| due > now) {
            return None;
        }
        if self.cursor.is_none() {
            self.began = now;
            self.requested = false;
            self.overflowing = std::mem::take(&mut self.overflowed);
        }
        Some(self.cursor.get_or_insert_with(|| b"0".to_vec()).clone())
    }

    /// Whether the step under way is that of this cursor.
    pub(super) fn is_at(&self, cursor: &[u8]) -> bool {
        self.cursor.as_deref() == Some(cursor)
    }

    /// Records the reply to a step. True at the end of a sweep.
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

/// The command of one step.
pub(super) fn command(cursor: &[u8], prefix: &[u8]) -> Cmd {
    let mut scan = cmd("SCAN");
    scan.arg(cursor);
    if !prefix.is_empty() {
        scan.arg("MATCH").arg(pattern(prefix));
    }
    scan.arg("COUNT").arg(SCAN_COUNT);
    scan
}

/// The pattern for MATCH that matches keys with this prefix, whatever characters the prefix contains.
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
    fn sweeps_are_rare_while_deadlines_fit() {
        let now = Instant::now();
        let mut sweep = Sweep::new(now);
        assert_eq!(sweep.next_step(now), Some(b"0".to_vec()));
        assert!(!sweep.record_step(b"17", now));
        assert_eq!(sweep.next_step(now), Some(b"17".to_vec()));
        assert!(sweep.record_step(b"0", now));
        let soon = now + Duration::from_secs(2);
        assert_eq!(sweep.next_step(soon), None);
        sweep.record_overflow();
        assert_eq!(sweep.next_step(soon), Some(b"0".to_vec()));
        assert!(sweep.record_step(b"0", soon) && sweep.is_overflowing());
        // Every deadline found room during that sweep, so no other sweep follows it soon.
        let later = soon + OVERFLOW_SWEEP_INTERVAL;
        assert_eq!(sweep.next_step(later), Some(b"0".to_vec()));
        assert!(sweep.record_step(b"0", later) && !sweep.is_overflowing());
        assert_eq!(sweep.next_step(later + OVERFLOW_SWEEP_INTERVAL), None);
        assert_eq!(sweep.next_step(later + SWEEP_INTERVAL), Some(b"0".to_vec()));
    }

    /// A new subscription has missed what changed before, so the cursor of an old sweep is of no use.
    #[test]
    fn a_sweep_begins_anew_after_a_new_subscription() {
        let now = Instant::now();
        let mut sweep = Sweep::new(now);
        assert_eq!(sweep.next_step(now), Some(b"0".to_vec()));
        assert!(!sweep.record_step(b"17", now));
        sweep.restart(now);
        assert_eq!(sweep.next_step(now), Some(b"0".to_vec()));
        assert!(sweep.record_step(b"0", now) && sweep.next_step(now).is_none());
        sweep.restart(now);
        assert_eq!(sweep.next_step(now), Some(b"0".to_vec()));
    }

    #[test]
    fn a_prefix_is_escaped() {
        assert_eq!(pattern(b"a*[b]?\\c^-"), b"a\\*\\[b\\]\\?\\\\c\\^\\-*");
    }
}
