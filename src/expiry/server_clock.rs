//! The clock of the server where keys expire, estimated from its replies to TIME. Deadlines are kept by this
//! clock: it may be set, and this machine may be suspended, and in both cases the server goes by its clock.
//!
//! A reply shows a time between the sending of TIME and the arrival of the reply. As long as the estimate
//! agrees with that, it stays, so that a slow reply is not taken for a clock that was set.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A correction of at least this size is a step: somebody has set the clock, or this machine was suspended.
const STEP_MIN: Duration = Duration::from_millis(100);

/// How many steps are remembered, for events that wait to be pushed.
const STEPS_MAX: usize = 64;

/// See the module.
pub(super) struct ServerClock {
    state: Mutex<ClockState>,
}

struct ClockState {
    estimate: ClockEstimate,
    /// Whether the server has shown its time.
    is_known: bool,
    /// The last steps, in order: the estimate before each, and when it was noticed.
    before: VecDeque<(ClockEstimate, Instant)>,
    steps: ClockSteps,
}

/// At that moment the server's clock shows so many microseconds since 1970.
#[derive(Clone, Copy)]
struct ClockEstimate {
    moment: Instant,
    micros: u64,
}

/// The steps of the clock so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ClockSteps {
    pub(super) count: u64,
    /// The sum of all steps backwards, in microseconds.
    pub(super) back: u64,
}

impl ClockEstimate {
    fn at(self, moment: Instant) -> u64 {
        match moment.checked_duration_since(self.moment) {
            Some(after) => self.micros.saturating_add(micros(after)),
            None => self.micros.saturating_sub(micros(self.moment.saturating_duration_since(moment))),
        }
    }
}

impl ServerClock {
    /// A clock that shows this machine's time until the server's time is known.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let estimate = ClockEstimate { moment: Instant::now(), micros: micros(since) };
        let steps = ClockSteps::default();
        Self { state: Mutex::new(ClockState { estimate, is_known: false, before: VecDeque::new(), steps }) }
    }

    /// What the server's clock shows at that moment, in microseconds since 1970.
    pub(super) fn at(&self, moment: Instant) -> u64 {
        self.lock().estimate.at(moment)
    }

    /// The same in milliseconds.
    pub(super) fn at_ms(&self, moment: Instant) -> u64 {
        self.at(moment) / 1000
    }

    /// The latest time that the server's clock can have shown at that moment, in milliseconds: if the clock
    /// was set since, or shortly before, it is not known which of two times that was.
    pub(super) fn latest_ms(&self, moment: Instant) -> u64 {
        let state = self.lock();
        // From the step that was noticed next after that moment.
        let next = state.before.iter().position(|(_, noticed)| moment <= *noticed);
        let Some(next) = next else { return state.estimate.at(moment) / 1000 };
        let estimates = state.before.iter().map(|(estimate, _)| *estimate).chain([state.estimate]);
        estimates.skip(next).take(2).map(|estimate| estimate.at(moment)).max().unwrap_or(0) / 1000
    }

    /// The moment at which the server's clock shows this time.
    pub(super) fn moment_of(&self, shown: u64) -> Instant {
        let estimate = self.lock().estimate;
        match shown.checked_sub(estimate.micros) {
            Some(after) => estimate.moment + Duration::from_micros(after),
            None => {
                let ago = Duration::from_micros(estimate.micros - shown);
                estimate.moment.checked_sub(ago).unwrap_or(estimate.moment)
            }
        }
    }

    /// Records that the server showed `shown` microseconds, in a reply that was asked for at `sent` and came
    /// at `received`.
    pub(super) fn record(&self, sent: Instant, received: Instant, shown: u64) {
        let mut state = self.lock();
        let before = state.estimate;
        state.estimate = if before.at(received) < shown {
            ClockEstimate { moment: received, micros: shown }
        } else if before.at(sent) > shown {
            ClockEstimate { moment: sent, micros: shown }
        } else {
            before
        };
        let is_first = !std::mem::replace(&mut state.is_known, true);
        let (old, new) = (before.at(received), state.estimate.at(received));
        if !is_first && old.abs_diff(new) >= micros(STEP_MIN) {
            state.before.push_back((before, received));
            if state.before.len() > STEPS_MAX {
                state.before.pop_front();
            }
            state.steps.count += 1;
            state.steps.back = state.steps.back.saturating_add(old.saturating_sub(new));
        }
    }

    /// The steps so far.
    pub(super) fn steps(&self) -> ClockSteps {
        self.lock().steps
    }

    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time in whole milliseconds, as Redis counts.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time in whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn moments_before_and_after_the_reply() {
        let (clock, now) = (ServerClock::new(), Instant::now() + SECOND * 9);
        clock.record(now, now, 5_000_000);
        assert_eq!(clock.at(now + SECOND), 6_000_000);
        assert_eq!(clock.at_ms(now - SECOND), 4000);
        assert_eq!(clock.moment_of(6_000_000), now + SECOND);
        assert_eq!(clock.moment_of(4_000_000), now - SECOND);
    }

    /// A server that hangs, or holds its replies back, shows a time that is old when it arrives.
    #[test]
    fn a_slow_reply_is_no_step() {
        let (clock, now) = (ServerClock::new(), Instant::now() + SECOND * 9);
        clock.record(now, now, 5_000_000);
        clock.record(now, now + SECOND * 6, 5_000_000);
        clock.record(now + SECOND * 6, now + SECOND * 9, 14_000_000);
        assert_eq!((clock.at(now), clock.steps()), (5_000_000, ClockSteps::default()));
        // It is corrected by no more than the reply proves.
        clock.record(now + SECOND, now + SECOND * 2, 7_050_000);
        assert_eq!((clock.at(now), clock.steps()), (5_050_000, ClockSteps::default()));
    }

    #[test]
    fn events_are_dated_by_the_later_clock() {
        let (clock, now) = (ServerClock::new(), Instant::now() + SECOND * 9);
        clock.record(now, now, 50_000_000);
        assert_eq!(clock.latest_ms(now), 50_000);
        let (event, noticed) = (now + SECOND, now + SECOND * 2);
        clock.record(noticed, noticed, 72_000_000);
        assert_eq!((clock.at_ms(event), clock.latest_ms(event)), (71_000, 71_000));
        assert_eq!(clock.steps(), ClockSteps { count: 1, back: 0 });
        clock.record(noticed, noticed, 42_000_000);
        assert_eq!(clock.steps(), ClockSteps { count: 2, back: 30_000_000 });
        assert_eq!((clock.at_ms(event), clock.latest_ms(event)), (41_000, 71_000));
        let later = noticed + SECOND;
        assert_eq!((clock.at_ms(later), clock.latest_ms(later)), (43_000, 43_000));
    }

    /// Events wait to be pushed while the clock is set twice. Each is dated by the clock before and after the
    /// step that was noticed next, and not by one that came later.
    #[test]
    fn events_before_two_steps_keep_their_clock() {
        let (clock, now) = (ServerClock::new(), Instant::now() + SECOND * 9);
        clock.record(now, now, 90_000_000);
        clock.record(now + SECOND * 2, now + SECOND * 2, 42_000_000);
        clock.record(now + SECOND * 4, now + SECOND * 4, 14_000_000);
        clock.record(now + SECOND * 6, now + SECOND * 6, 616_000_000);
        let shown = [1, 3, 5, 7].map(|seconds| clock.latest_ms(now + SECOND * seconds));
        assert_eq!(shown, [91_000, 43_000, 615_000, 617_000]);
        for n in 1..=STEPS_MAX as u32 {
            let (at, micros) = (now + SECOND * (6 + n), u64::from(n) * 1_000_000_000);
            clock.record(at, at, micros);
        }
        assert_eq!(clock.lock().before.len(), STEPS_MAX);
    }
}
