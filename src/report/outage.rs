//! An outage is logged as two lines: one when something goes down, one when it is back, with
//! the time it took. Nothing is logged between them.

use std::time::{Duration, Instant};

/// Something that may be down: a server, a disk, a partition.
#[derive(Debug)]
pub struct Outage {
    subject: String,
    log_after: Duration,
    since: Option<Instant>,
    logged: bool,
}

impl Outage {
    /// `subject` opens both log lines, e.g. `kafka_to_file: Kafka`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), log_after: Duration::ZERO, since: None, logged: false }
    }

    /// Logs nothing of an outage that ends sooner than this.
    #[must_use]
    pub fn log_after(self, log_after: Duration) -> Self {
        Self { log_after, ..self }
    }

    /// Records that the subject does not work, because of `why`. Logged once, when the outage
    /// has lasted long enough.
    pub fn down(&mut self, why: &str) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !self.logged && since.elapsed() >= self.log_after {
            self.logged = true;
            log::warn!("{}: {why}; waiting", self.subject);
        }
    }

    /// Records that the subject works. Logged, with `what` and the time it took, if the outage
    /// was logged.
    pub fn up(&mut self, what: &str) {
        let since = self.since.take();
        if let Some(since) = since.filter(|_| std::mem::take(&mut self.logged)) {
            log::info!("{}: {what} after {:.1} s", self.subject, since.elapsed().as_secs_f64());
        }
    }

    /// Forgets an outage that was not logged yet: it was part of another one.
    pub fn forget_unlogged(&mut self) {
        if !self.logged {
            self.since = None;
        }
    }

    /// Whether the subject is down, and was so for long enough to be logged.
    pub fn is_logged(&self) -> bool {
        self.logged
    }

    /// For how long the subject has been down.
    pub fn lasts(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lasts_from_down_to_up() {
        let mut outage = Outage::new("test");
        assert!(outage.lasts().is_none());
        outage.down("gone");
        outage.down("still gone");
        assert!(outage.lasts().is_some() && outage.is_logged());
        outage.up("back");
        assert!(outage.lasts().is_none() && !outage.is_logged());
        let mut passing = Outage::new("test").log_after(Duration::from_secs(3600));
        passing.down("for a moment");
        assert!(passing.lasts().is_some() && !passing.is_logged());
    }
}
