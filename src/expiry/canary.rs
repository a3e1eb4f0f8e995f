//! The canary: a key of pandad's own that expires every second and is touched like any
//! other. That it is heard of proves the whole way, and shows how late it is; that it is
//! not, though the server has deleted it, is how a deaf connection is known. Pure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long it lives.
pub(super) const LIFE: Duration = Duration::from_secs(1);
/// Between two looks whether it was heard of.
const LOOK: Duration = Duration::from_millis(250);
/// So many looks without a word are a silence. Looks and not time: we may have been
/// stopped ourselves.
const LOOKS: u32 = 6;
/// One silence may be somebody's FLUSHALL.
const SILENCES: u32 = 2;
/// One that may not be set is tried again after this.
const REFUSED: Duration = Duration::from_secs(60);
/// Between two new connections because of silence, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The listener's end.
#[derive(Clone)]
pub(super) struct Canary {
    key: Arc<[u8]>,
    heard: Arc<Mutex<Option<Instant>>>,
}

impl Canary {
    pub(super) fn new(key: &str) -> Self {
        Self { key: key.as_bytes().into(), heard: Arc::default() }
    }

    pub(super) fn is(&self, key: &[u8]) -> bool {
        *self.key == *key
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its event has come.
    pub(super) fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn take(&self) -> Option<Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The end of whoever sets and touches it.
pub(super) struct Rounds {
    canary: Canary,
    state: State,
    silences: u32,
    /// Since when nothing is heard; told already.
    silent: Option<Instant>,
    pause: Duration,
    quiet_until: Instant,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// To be set then.
    Idle(Instant),
    /// It expires then.
    Set(Instant),
    /// The server has deleted it; what was looked at, when, and how often since.
    Gone { due: Instant, announced: u64, looked: Instant, looks: u32 },
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing new.
    Nothing,
    /// It was heard of, so long after its time.
    Heard(Duration),
    /// It was heard of after a silence that was told.
    HeardAgain(Duration),
    /// Nothing is heard: to be told, and the listener is to connect anew.
    Silent,
    /// Still so: the listener is to connect anew.
    StillSilent,
}

impl Rounds {
    pub(super) fn new(canary: Canary, now: Instant) -> Self {
        Self {
            canary,
            state: State::Idle(now),
            silences: 0,
            silent: None,
            pause: FIRST_PAUSE,
            quiet_until: now,
        }
    }

    /// From the beginning: a new subscription, or a connection that was lost.
    pub(super) fn restart(&mut self, now: Instant) {
        self.canary.take();
        self.state = State::Idle(now);
        self.silences = 0;
    }

    pub(super) fn is_to_be_set(&self, now: Instant) -> bool {
        matches!(self.state, State::Idle(next) if next <= now)
    }

    /// The server has answered at that moment that it is set; gives when it is due.
    pub(super) fn was_set(&mut self, now: Instant) -> Instant {
        self.canary.take();
        let due = now + LIFE + Duration::from_millis(1);
        self.state = State::Set(due);
        due
    }

    /// It may not be set.
    pub(super) fn was_refused(&mut self, now: Instant) {
        self.state = State::Idle(now + REFUSED);
    }

    /// The server does not have it any more.
    pub(super) fn is_gone(&mut self, now: Instant, announced: u64) {
        if let State::Set(due) = self.state {
            self.state = State::Gone { due, announced, looked: now, looks: 0 };
        }
    }

    /// How late it is by now.
    pub(super) fn lateness(&self, now: Instant) -> Duration {
        match self.state {
            State::Idle(_) => Duration::ZERO,
            State::Set(due) | State::Gone { due, .. } => now.saturating_duration_since(due),
        }
    }

    /// When to look again; what is set comes by its deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.state {
            State::Idle(next) => Some(next),
            State::Set(_) => None,
            State::Gone { looked, .. } => Some(looked + LOOK),
        }
    }

    /// `announced`: how many expired keys the server has announced so far.
    pub(super) fn look(&mut self, now: Instant, announced: u64) -> Seen {
        let (State::Set(due) | State::Gone { due, .. }) = self.state else { return Seen::Nothing };
        if let Some(heard) = self.canary.take() {
            self.state = State::Idle(now);
            self.silences = 0;
            self.pause = FIRST_PAUSE;
            return match self.silent.take() {
                Some(since) => Seen::HeardAgain(now.saturating_duration_since(since)),
                None => Seen::Heard(heard.saturating_duration_since(due)),
            };
        }
        let State::Gone { announced: before, looked, looks, .. } = &mut self.state else {
            return Seen::Nothing;
        };
        if now < *looked + LOOK {
            return Seen::Nothing;
        }
        *looked = now;
        *looks += 1;
        if *before != announced {
            // Others come through: it waits behind them.
            (*before, *looks) = (announced, 0);
        }
        if *looks < LOOKS {
            return Seen::Nothing;
        }
        self.state = State::Idle(now);
        self.silences += 1;
        if self.silences < SILENCES { Seen::Nothing } else { self.silence(now, due) }
    }

    fn silence(&mut self, now: Instant, due: Instant) -> Seen {
        if self.silent.is_none() {
            self.silent = Some(due);
        } else if now < self.quiet_until {
            return Seen::Nothing;
        }
        let first = self.pause == FIRST_PAUSE;
        self.quiet_until = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if first { Seen::Silent } else { Seen::StillSilent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Run {
        canary: Canary,
        rounds: Rounds,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            let (canary, now) = (Canary::new("pandad:c:canary"), Instant::now());
            Self { rounds: Rounds::new(canary.clone(), now), canary, now }
        }

        /// One life, after which the server has deleted it.
        fn live(&mut self) {
            assert!(self.rounds.is_to_be_set(self.now));
            self.now = self.rounds.was_set(self.now);
            self.rounds.is_gone(self.now, 7);
        }

        /// Looks until there is something to see, or it is to be set again.
        fn looks(&mut self, announced: u64) -> Seen {
            for _ in 0..LOOKS {
                self.now += LOOK;
                match self.rounds.look(self.now, announced) {
                    Seen::Nothing => {}
                    seen => return seen,
                }
            }
            Seen::Nothing
        }
    }

    #[test]
    fn two_silences_are_told_once_and_its_voice_again() {
        let mut run = Run::new();
        run.live();
        assert_eq!(run.looks(7), Seen::Nothing);
        run.live();
        assert_eq!(run.looks(7), Seen::Silent);
        let mut told = Vec::new();
        for _ in 0..10 {
            run.live();
            told.push(run.looks(7));
        }
        assert!(!told.contains(&Seen::Silent) && told.contains(&Seen::StillSilent), "{told:?}");
        run.live();
        run.canary.heard();
        assert!(matches!(run.looks(7), Seen::HeardAgain(_)));
        run.live();
        run.canary.heard();
        assert!(matches!(run.looks(7), Seen::Heard(_)));
    }

    #[test]
    fn while_others_come_through_it_is_only_late() {
        let mut run = Run::new();
        run.live();
        for announced in 8..100 {
            run.now += LOOK;
            assert_eq!(run.rounds.look(run.now, announced), Seen::Nothing);
        }
        assert!(run.rounds.lateness(run.now) > LIFE && !run.rounds.is_to_be_set(run.now));
    }

    /// Time that passes between two looks is our own standstill.
    #[test]
    fn a_standstill_is_no_silence() {
        let mut run = Run::new();
        for _ in 0..5 {
            run.live();
            run.now += Duration::from_secs(60);
            assert_eq!(run.rounds.look(run.now, 7), Seen::Nothing);
            run.canary.heard();
            assert!(matches!(run.looks(7), Seen::Heard(_)));
        }
    }
}
