//! An outage is logged as two lines: one when something goes down, one when it is back, with
//! the time it took. Nothing is logged between them.

use std::time::{Duration, Instant};

use super::conditions::Condition;

/// Something that may be down: a server, a disk, a partition.
#[derive(Debug)]
pub struct Outage {
    subject: String,
    log_after: Duration,
    since: Option<Instant>,
    logged: bool,
    /// Where the outage is shown from its first moment, logged or not.
    shown: Option<Condition>,
}

impl Outage {
    /// `subject` is the beginning of both log lines, e.g. `kafka_to_file: Kafka`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), log_after: Duration::ZERO, since: None, logged: false, shown: None }
    }

    /// Changes the outage so that it is logged only if it lasts at least this long.
    #[must_use]
    pub fn log_after(self, log_after: Duration) -> Self {
        Self { log_after, ..self }
    }

    /// Changes the outage so that whoever looks at the process sees it as `condition`.
    #[must_use]
    pub fn shown_as(self, condition: Condition) -> Self {
        Self { shown: Some(condition), ..self }
    }

    /// Records that the subject does not work, because of `why`. Logged once, when the outage
    /// has lasted long enough.
    pub fn down(&mut self, now: Instant, why: &str) {
        let since = *self.since.get_or_insert(now);
        if let Some(shown) = &mut self.shown {
            shown.down(since, why);
        }
        if !self.logged && now.saturating_duration_since(since) >= self.log_after {
            self.logged = true;
            log::warn!("{}: {why}; waiting", self.subject);
        }
    }

    /// Records that the subject works. Logged, with `what` and the time it took, if the outage
    /// was logged.
    pub fn up(&mut self, now: Instant, what: &str) {
        if let Some(shown) = &mut self.shown {
            shown.up(now);
        }
        let since = self.since.take();
        if let Some(since) = since.filter(|_| std::mem::take(&mut self.logged)) {
            let took = now.saturating_duration_since(since).as_secs_f64();
            log::info!("{}: {what} after {took:.1} s", self.subject);
        }
    }

    /// Forgets an outage that was not logged yet, because a larger outage includes it.
    pub fn forget_unlogged(&mut self) {
        if !self.logged && self.since.take().is_some() {
            self.shown.iter_mut().for_each(Condition::forget);
        }
    }

    /// Whether the subject is down, and has been for long enough to be logged.
    pub fn is_logged(&self) -> bool {
        self.logged
    }

    /// Whether the subject is down, logged or not.
    pub fn is_down(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lasts_from_down_to_up() {
        let (mut outage, now) = (Outage::new("test"), Instant::now());
        assert!(!outage.is_down());
        outage.down(now, "gone");
        outage.down(now, "still gone");
        assert!(outage.is_down() && outage.is_logged());
        outage.up(now, "back");
        assert!(!outage.is_down() && !outage.is_logged());
    }

    #[test]
    fn is_logged_when_it_has_lasted() {
        let (log_after, now) = (Duration::from_secs(3600), Instant::now());
        let mut outage = Outage::new("test").log_after(log_after);
        outage.down(now, "for a moment");
        outage.down(now + log_after - Duration::from_millis(1), "for longer");
        assert!(outage.is_down() && !outage.is_logged());
        outage.down(now + log_after, "for too long");
        assert!(outage.is_logged());
        outage.forget_unlogged();
        assert!(outage.is_down(), "what was logged is not forgotten");
    }
}
