//! What the log says of items that go to the dead list: at once of the first, and then one line a minute,
//! however many there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::NAME;
use crate::plural::counted;

/// The time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// How many bytes of an item the log shows.
const LOGGED_ITEM_BYTES_MAX: usize = 100;

/// See the module. Clones are the same report.
#[derive(Clone, Default)]
pub(super) struct DeadReport {
    state: Arc<Mutex<ReportState>>,
}

#[derive(Default)]
struct ReportState {
    pending: DeadItems,
    /// When the next report may be made; `None` before the first.
    next: Option<Instant>,
}

/// Items that were put on the dead list since the last report.
#[derive(Debug, Default, PartialEq, Eq)]
struct DeadItems {
    count: u64,
    reason: &'static str,
    first: Vec<u8>,
    /// How many others were dropped, because the dead list was full.
    dropped: u64,
}

impl DeadReport {
    /// Records that `count` items were put on the dead list, of which `first` is one, and that `dropped`
    /// others had to go for these. Logs it, unless that was done less than a minute ago.
    pub(super) fn record(&self, count: usize, first: &[u8], reason: &'static str, dropped: u64) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let pending = &mut state.pending;
            if pending.count == 0 {
                (pending.first, pending.reason) = (first.to_vec(), reason);
            }
            pending.count += count as u64;
            pending.dropped += dropped;
        }
        self.log_if_due(Instant::now());
    }

    /// Logs what was not logged yet, if a minute has passed since the last time.
    pub(super) fn log_if_due(&self, now: Instant) {
        if let Some(items) = self.take_due(now) {
            log(&items);
        }
    }

    /// Logs what was not logged yet.
    pub(super) fn log_rest(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).next = None;
        self.log_if_due(Instant::now());
    }

    fn take_due(&self, now: Instant) -> Option<DeadItems> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.pending.count == 0 || state.next.is_some_and(|next| now < next) {
            return None;
        }
        state.next = Some(now + REPORT_INTERVAL);
        Some(std::mem::take(&mut state.pending))
    }
}

fn log(items: &DeadItems) {
    let DeadItems { count, reason, first, dropped } = items;
    let shown = first.get(..LOGGED_ITEM_BYTES_MAX).unwrap_or(first).escape_ascii();
    log::warn!(
        "{NAME}: put {} on the dead list, {reason}; the first is \"{shown}\"; 'pandad dead FILE list' shows \
         the dead list",
        counted(*count, "item")
    );
    if *dropped > 0 {
        log::error!(
            "{NAME}: the dead list is full: {} dropped, the oldest first; 'pandad dead FILE retry' or 'drop' \
             makes room",
            counted(*dropped, "item")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A producer that pushes nothing but items without a field must not fill the log.
    #[test]
    fn a_flood_is_one_line_a_minute() {
        let (report, began) = (DeadReport::default(), Instant::now());
        report.record(1, b"first:", "why", 0);
        assert_eq!(report.take_due(began), None, "it is logged already");
        for n in 0..5000 {
            report.record(2, format!("{n}:").as_bytes(), "why", 1);
        }
        let soon = began + REPORT_INTERVAL / 2;
        assert_eq!(report.take_due(soon), None);
        let later = Instant::now() + REPORT_INTERVAL;
        let expected = DeadItems { count: 10_000, reason: "why", first: b"0:".to_vec(), dropped: 5000 };
        assert_eq!((report.take_due(later), report.take_due(later)), (Some(expected), None));
        report.record(1, b"last:", "why", 0);
        assert_eq!(report.take_due(later), None);
        report.log_rest();
        assert_eq!(report.take_due(later + REPORT_INTERVAL), None, "a stop logs the rest");
    }
}
