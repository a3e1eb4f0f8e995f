//! The paced SCAN: finds keys whose deadlines nobody announced, and, where more keys have
//! deadlines than may be remembered, makes the server notice those that are due. Pure:
//! whoever calls has the clock and the server.

use std::time::{Duration, Instant};

use crate::redis::{Cmd, cmd};

/// Keys that one step looks at.
pub(super) const STEP: usize = 500;
/// Between two sweeps.
const SELDOM: Duration = Duration::from_secs(300);
/// Between two sweeps that stand in for deadlines.
const NUDGE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Sweep {
    /// Where the one under way goes on; `None` when none is.
    cursor: Option<Vec<u8>>,
    began: Instant,
    next: Instant,
    /// Deadlines had no room since the last sweep began.
    spilled: bool,
    nudging: bool,
    /// Again, as soon as the one under way has ended.
    again: bool,
    /// How long the last one took.
    took: Duration,
}

impl Sweep {
    pub(super) fn new(now: Instant) -> Self {
        let none = Duration::ZERO;
        Self { cursor: None, began: now, next: now, spilled: false, nudging: false, again: false, took: none }
    }

    /// From the beginning: a new subscription.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.cursor, self.next) = (None, now);
    }

    /// Keys were missed, wherever they are.
    pub(super) fn missed(&mut self) {
        self.again = true;
    }

    /// A deadline had no room.
    pub(super) fn spill(&mut self) {
        self.spilled = true;
    }

    /// Whether sweeps stand in for deadlines.
    pub(super) fn is_nudging(&self) -> bool {
        self.nudging || self.spilled
    }

    /// How late a key may be that is found by sweeps alone.
    pub(super) fn lateness(&self) -> Duration {
        if self.is_nudging() { self.took.max(NUDGE) } else { Duration::ZERO }
    }

    /// When the next step is due; no sooner than this.
    pub(super) fn due(&self) -> Option<Instant> {
        let wants_soon = self.again || self.is_nudging();
        let next = if wants_soon { self.next.min(self.began + NUDGE) } else { self.next };
        if self.cursor.is_some() { None } else { Some(next) }
    }

    /// The cursor of the step to make now, if one is due.
    pub(super) fn step(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due().is_some_and(|due| due > now) {
            return None;
        }
        if self.cursor.is_none() {
            self.began = now;
            self.again = false;
            self.nudging = std::mem::take(&mut self.spilled);
            self.next = now + SELDOM;
        }
        Some(self.cursor.get_or_insert_with(|| b"0".to_vec()).clone())
    }

    /// The server has answered a step. True at the end of a sweep.
    pub(super) fn stepped(&mut self, cursor: &[u8], now: Instant) -> bool {
        let over = cursor == b"0";
        self.cursor = (!over).then(|| cursor.to_vec());
        if over {
            self.took = now.saturating_duration_since(self.began);
            self.next = now + SELDOM;
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
    scan.arg("COUNT").arg(STEP);
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
        assert_eq!(sweep.step(now), Some(b"0".to_vec()));
        assert!(!sweep.stepped(b"17", now));
        assert_eq!(sweep.step(now), Some(b"17".to_vec()));
        assert!(sweep.stepped(b"0", now));
        let soon = now + Duration::from_secs(2);
        assert_eq!(sweep.step(soon), None);
        sweep.spill();
        assert_eq!(sweep.step(soon), Some(b"0".to_vec()));
        assert!(sweep.stepped(b"0", soon) && sweep.is_nudging());
        // Nothing was spilled during that one, and so it was the last of its kind.
        let later = soon + NUDGE;
        assert_eq!(sweep.step(later), Some(b"0".to_vec()));
        assert!(sweep.stepped(b"0", later) && !sweep.is_nudging());
        assert_eq!(sweep.step(later + NUDGE), None);
        assert_eq!(sweep.step(later + SELDOM), Some(b"0".to_vec()));
    }

    #[test]
    fn a_prefix_stands_for_itself() {
        assert_eq!(pattern(b"a*[b]?\\c^-"), b"a\\*\\[b\\]\\?\\\\c\\^\\-*");
    }
}
