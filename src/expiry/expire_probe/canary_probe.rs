//! What becomes of the canary. Pure.

use std::time::{Duration, Instant};

use crate::expiry::canary::Canary;

/// For how long it lives.
const CANARY_LIFE: Duration = Duration::from_secs(1);
/// The same after a silence, so that the next FLUSHALL hardly meets it.
const CANARY_LIFE_SHORT: Duration = Duration::from_millis(50);
/// Between two looks whether it was heard of.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// So many looks without a word are a silence. Looks and not time: we may have been
/// stopped ourselves.
const CHECKS_PER_SILENCE: u32 = 6;
/// One silence may be somebody's FLUSHALL.
const SILENCES_BEFORE_ALARM: u32 = 2;
/// One that may not be set is tried again after this.
const DENIED_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// Between two new connections because of silence, at first and at most.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_secs(5);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(60);

/// The end of whoever sets and touches it.
pub(super) struct CanaryProbe {
    canary: Canary,
    state: CanaryState,
    silences: u32,
    /// Since when nothing is heard; told already.
    silent: Option<Instant>,
    pause: Duration,
    quiet_until: Instant,
}

#[derive(Debug, Clone, Copy)]
enum CanaryState {
    /// To be set then.
    Idle(Instant),
    /// It expires then.
    Set(Instant),
    /// The server has deleted it; what was looked at, when, and how often since.
    Gone { due: Instant, announced: u64, looked: Instant, looks: u32 },
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanaryReport {
    /// Nothing new.
    Nothing,
    /// It was heard of, so long after its time.
    Received(Duration),
    /// It was heard of after a silence that was told.
    ReceivedAgain(Duration),
    /// Nothing is heard: to be told, and the listener is to connect anew.
    Silent,
    /// Still so: the listener is to connect anew.
    StillSilent,
}

impl CanaryProbe {
    pub(super) fn new(canary: Canary, now: Instant) -> Self {
        Self {
            canary,
            state: CanaryState::Idle(now),
            silences: 0,
            silent: None,
            pause: RECONNECT_PAUSE_MIN,
            quiet_until: now,
        }
    }

    /// From the beginning: a new subscription, or a connection that was lost.
    pub(super) fn restart(&mut self, now: Instant) {
        self.canary.take_event();
        self.state = CanaryState::Idle(now);
        self.silences = 0;
    }

    pub(super) fn is_due_to_set(&self, now: Instant) -> bool {
        matches!(self.state, CanaryState::Idle(next) if next <= now)
    }

    /// For how long it is to live this time.
    pub(super) fn life(&self) -> Duration {
        if self.silences == 0 { CANARY_LIFE } else { CANARY_LIFE_SHORT }
    }

    /// The server has answered at that moment that it is set; gives when it is due.
    pub(super) fn record_set(&mut self, now: Instant) -> Instant {
        self.canary.take_event();
        let due = now + self.life() + Duration::from_millis(1);
        self.state = CanaryState::Set(due);
        due
    }

    /// It may not be set.
    pub(super) fn record_denied(&mut self, now: Instant) {
        self.state = CanaryState::Idle(now + DENIED_RETRY_INTERVAL);
    }

    /// The server does not have it any more.
    pub(super) fn record_deleted(&mut self, now: Instant, announced: u64) {
        if let CanaryState::Set(due) = self.state {
            self.state = CanaryState::Gone { due, announced, looked: now, looks: 0 };
        }
    }

    /// How late it is by now.
    pub(super) fn lateness(&self, now: Instant) -> Duration {
        match self.state {
            CanaryState::Idle(_) => Duration::ZERO,
            CanaryState::Set(due) | CanaryState::Gone { due, .. } => now.saturating_duration_since(due),
        }
    }

    /// When to look again; what is set comes by its deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.state {
            CanaryState::Idle(next) => Some(next),
            CanaryState::Set(_) => None,
            CanaryState::Gone { looked, .. } => Some(looked + CHECK_INTERVAL),
        }
    }

    /// `announced`: how many expired keys the server has announced so far.
    pub(super) fn check(&mut self, now: Instant, announced: u64) -> CanaryReport {
        let (CanaryState::Set(due) | CanaryState::Gone { due, .. }) = self.state else {
            return CanaryReport::Nothing;
        };
        if let Some(heard) = self.canary.take_event() {
            self.state = CanaryState::Idle(now);
            self.silences = 0;
            self.pause = RECONNECT_PAUSE_MIN;
            return match self.silent.take() {
                Some(since) => CanaryReport::ReceivedAgain(now.saturating_duration_since(since)),
                None => CanaryReport::Received(heard.saturating_duration_since(due)),
            };
        }
        let CanaryState::Gone { announced: before, looked, looks, .. } = &mut self.state else {
            return CanaryReport::Nothing;
        };
        if now < *looked + CHECK_INTERVAL {
            return CanaryReport::Nothing;
        }
        *looked = now;
        *looks += 1;
        if *before != announced {
            // Others come through: it waits behind them.
            (*before, *looks) = (announced, 0);
        }
        if *looks < CHECKS_PER_SILENCE {
            return CanaryReport::Nothing;
        }
        self.state = CanaryState::Idle(now);
        self.silences += 1;
        if self.silences < SILENCES_BEFORE_ALARM { CanaryReport::Nothing } else { self.silence(now, due) }
    }

    fn silence(&mut self, now: Instant, due: Instant) -> CanaryReport {
        if self.silent.is_none() {
            self.silent = Some(due);
        } else if now < self.quiet_until {
            return CanaryReport::Nothing;
        }
        let first = self.pause == RECONNECT_PAUSE_MIN;
        self.quiet_until = now + self.pause;
        self.pause = (self.pause * 2).min(RECONNECT_PAUSE_MAX);
        if first { CanaryReport::Silent } else { CanaryReport::StillSilent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct CanaryRun {
        canary: Canary,
        probe: CanaryProbe,
        now: Instant,
    }

    impl CanaryRun {
        fn new() -> Self {
            let (canary, now) = (Canary::new("pandad:c:canary"), Instant::now());
            Self { probe: CanaryProbe::new(canary.clone(), now), canary, now }
        }

        /// One life, after which the server has deleted it.
        fn live(&mut self) {
            assert!(self.probe.is_due_to_set(self.now));
            self.now = self.probe.record_set(self.now);
            self.probe.record_deleted(self.now, 7);
        }

        /// Looks until there is something to see, or it is to be set again.
        fn looks(&mut self, announced: u64) -> CanaryReport {
            for _ in 0..CHECKS_PER_SILENCE {
                self.now += CHECK_INTERVAL;
                match self.probe.check(self.now, announced) {
                    CanaryReport::Nothing => {}
                    seen => return seen,
                }
            }
            CanaryReport::Nothing
        }
    }

    #[test]
    fn two_silences_are_told_once_and_its_voice_again() {
        let mut run = CanaryRun::new();
        run.live();
        assert_eq!(run.looks(7), CanaryReport::Nothing);
        run.live();
        assert_eq!(run.looks(7), CanaryReport::Silent);
        let mut told = Vec::new();
        for _ in 0..10 {
            run.live();
            told.push(run.looks(7));
        }
        assert!(
            !told.contains(&CanaryReport::Silent) && told.contains(&CanaryReport::StillSilent),
            "{told:?}"
        );
        run.live();
        run.canary.record_event(run.now);
        assert!(matches!(run.looks(7), CanaryReport::ReceivedAgain(_)));
        run.live();
        run.canary.record_event(run.now);
        assert!(matches!(run.looks(7), CanaryReport::Received(_)));
    }

    #[test]
    fn while_others_come_through_it_is_only_late() {
        let mut run = CanaryRun::new();
        run.live();
        for announced in 8..100 {
            run.now += CHECK_INTERVAL;
            assert_eq!(run.probe.check(run.now, announced), CanaryReport::Nothing);
        }
        assert!(run.probe.lateness(run.now) > CANARY_LIFE && !run.probe.is_due_to_set(run.now));
    }

    /// Time that passes between two looks is our own standstill.
    #[test]
    fn a_standstill_is_no_silence() {
        let mut run = CanaryRun::new();
        for _ in 0..5 {
            run.live();
            run.now += Duration::from_secs(60);
            assert_eq!(run.probe.check(run.now, 7), CanaryReport::Nothing);
            run.canary.record_event(run.now);
            assert!(matches!(run.looks(7), CanaryReport::Received(_)));
        }
    }
}
