//! The state of the canary: set, deleted by the server, its event received. The event proves that pandad
//! receives events of expired keys, and shows how late they are. If the server has deleted the canary and
//! no event comes, the subscription is broken. Pure: the caller has the clock.

use std::time::{Duration, Instant};

use crate::expiry::canary::Canary;

/// For how long the canary lives.
const CANARY_LIFE: Duration = Duration::from_secs(1);
/// The canary's life after a silence. It is short, so that another FLUSHALL in that time is unlikely.
const CANARY_LIFE_SHORT: Duration = Duration::from_millis(50);
/// The life of a canary after one that the server has evicted: so short that it mostly expires before memory
/// is needed again.
const CANARY_LIFE_EVICTED: Duration = Duration::from_millis(5);
/// The next canary is set so long after one that was evicted.
const EVICTED_PAUSE: Duration = Duration::from_millis(100);
/// The time between two checks whether the event was received.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// This many checks without an event are a silence. Checks are counted instead of time, because pandad
/// itself may have been halted.
const CHECKS_PER_SILENCE: u32 = 6;
/// The first silence may be a FLUSHALL, which announces nothing.
const SILENCES_BEFORE_ALARM: u32 = 2;
/// As many where the server may evict keys and cannot say so: each canary may have been evicted, but hardly
/// so many in a row.
const UNSEEN_SILENCES_BEFORE_ALARM: u32 = 20;
/// If the server refuses to set the canary, pandad tries again after this time.
const DENIED_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// The first and the longest pause between two reconnects because of silence.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_secs(5);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct CanaryProbe {
    canary: Canary,
    state: CanaryState,
    silences: u32,
    /// Whether the last canary was evicted.
    was_evicted: bool,
    /// Since when no event was received, if the silence was reported.
    silent_since: Option<Instant>,
    pause: Duration,
    no_alarm_until: Instant,
}

#[derive(Debug, Clone, Copy)]
enum CanaryState {
    /// The canary is to be set at that moment.
    Idle(Instant),
    /// The canary is set and expires at that moment.
    Set(Instant),
    /// The server has deleted the canary, and the canary's event has not been received. `announced` is the
    /// number of all events when it last changed, `checks` the number of checks since then.
    Deleted { due: Instant, announced: u64, checked: Instant, checks: u32 },
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanaryReport {
    /// Nothing new.
    Nothing,
    /// The event was received, this long after the canary was due.
    Received(Duration),
    /// The event was received after a silence of this length, which had been reported.
    ReceivedAgain(Duration),
    /// No events are received: log that, and have the listener connect again.
    Silent,
    /// Still no events are received: have the listener connect again.
    StillSilent,
}

impl CanaryProbe {
    pub(super) fn new(canary: Canary, now: Instant) -> Self {
        Self {
            canary,
            state: CanaryState::Idle(now),
            silences: 0,
            was_evicted: false,
            silent_since: None,
            pause: RECONNECT_PAUSE_MIN,
            no_alarm_until: now,
        }
    }

    /// Begins again, after a new subscription or a lost connection.
    pub(super) fn restart(&mut self, now: Instant) {
        self.canary.take_event();
        self.state = CanaryState::Idle(now);
        self.silences = 0;
    }

    /// Whether the canary is to be set now.
    pub(super) fn is_due_to_set(&self, now: Instant) -> bool {
        matches!(self.state, CanaryState::Idle(next) if next <= now)
    }

    /// For how long the canary is to live this time.
    pub(super) fn life(&self) -> Duration {
        match self.silences {
            _ if self.was_evicted => CANARY_LIFE_EVICTED,
            0 => CANARY_LIFE,
            _ => CANARY_LIFE_SHORT,
        }
    }

    /// Records that the canary is set; returns when it is due.
    pub(super) fn record_set(&mut self, now: Instant) -> Instant {
        let due = now + self.life() + Duration::from_millis(1);
        self.state = CanaryState::Set(due);
        due
    }

    /// Records that the canary may not be set.
    pub(super) fn record_denied(&mut self, now: Instant) {
        self.state = CanaryState::Idle(now + DENIED_RETRY_INTERVAL);
    }

    /// Records that the server has deleted the canary. `announced` is the number of events of
    /// expired keys so far.
    pub(super) fn record_deleted(&mut self, now: Instant, announced: u64) {
        if let CanaryState::Set(due) = self.state {
            self.state = CanaryState::Deleted { due, announced, checked: now, checks: 0 };
        }
    }

    /// How late the canary is by now.
    pub(super) fn lateness(&self, now: Instant) -> Duration {
        match self.state {
            CanaryState::Idle(_) => Duration::ZERO,
            CanaryState::Set(due) | CanaryState::Deleted { due, .. } => now.saturating_duration_since(due),
        }
    }

    /// When to check again; `None` while the canary is set, because the canary is then probed at its
    /// deadline.
    pub(super) fn next_check(&self) -> Option<Instant> {
        match self.state {
            CanaryState::Idle(next) => Some(next),
            CanaryState::Set(_) => None,
            CanaryState::Deleted { checked, .. } => Some(checked + CHECK_INTERVAL),
        }
    }

    /// Checks whether the event was received. `announced` is the number of events of expired
    /// keys so far.
    pub(super) fn check(&mut self, now: Instant, announced: u64) -> CanaryReport {
        let (CanaryState::Set(due) | CanaryState::Deleted { due, .. }) = self.state else {
            return CanaryReport::Nothing;
        };
        if let Some(received) = self.canary.take_event() {
            self.state = CanaryState::Idle(now);
            (self.silences, self.was_evicted) = (0, false);
            self.pause = RECONNECT_PAUSE_MIN;
            return match self.silent_since.take() {
                Some(since) => CanaryReport::ReceivedAgain(now.saturating_duration_since(since)),
                None => CanaryReport::Received(received.saturating_duration_since(due)),
            };
        }
        if self.canary.is_evicted() {
            // Events are received, but this canary's will not come.
            self.state = CanaryState::Idle(now + EVICTED_PAUSE);
            (self.silences, self.was_evicted) = (0, true);
            return CanaryReport::Nothing;
        }
        let CanaryState::Deleted { announced: before, checked, checks, .. } = &mut self.state else {
            return CanaryReport::Nothing;
        };
        if now < *checked + CHECK_INTERVAL {
            return CanaryReport::Nothing;
        }
        *checked = now;
        *checks += 1;
        if *before != announced {
            // Events of other keys are being received, and the canary's event will follow.
            (*before, *checks) = (announced, 0);
        }
        if *checks < CHECKS_PER_SILENCE {
            return CanaryReport::Nothing;
        }
        self.state = CanaryState::Idle(now);
        self.silences += 1;
        let enough = match self.canary.has_unseen_evictions() {
            true => UNSEEN_SILENCES_BEFORE_ALARM,
            false => SILENCES_BEFORE_ALARM,
        };
        if self.silences < enough {
            return CanaryReport::Nothing;
        }
        self.silence(now, due)
    }

    fn silence(&mut self, now: Instant, due: Instant) -> CanaryReport {
        if self.silent_since.is_none() {
            self.silent_since = Some(due);
        } else if now < self.no_alarm_until {
            return CanaryReport::Nothing;
        }
        let first = self.pause == RECONNECT_PAUSE_MIN;
        self.no_alarm_until = now + self.pause;
        self.pause = (self.pause * 2).min(RECONNECT_PAUSE_MAX);
        if first { CanaryReport::Silent } else { CanaryReport::StillSilent }
    }
}

#[cfg(test)]
mod tests;
