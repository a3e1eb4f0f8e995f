//! An outage is logged as a transition: once going down, once coming back with
//! the time it took. Between them: silence.

use std::time::{Duration, Instant};

/// Something that may be down: a server, a disk, a partition.
#[derive(Debug)]
pub struct Outage {
    subject: String,
    patience: Duration,
    since: Option<Instant>,
    told: bool,
}

impl Outage {
    /// `subject` opens both log lines, e.g. `kafka_to_file: Kafka`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), patience: Duration::ZERO, since: None, told: false }
    }

    /// Says nothing of what passes sooner than this by itself.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// It does not work, because of `why`. Logged once, when it has lasted.
    pub fn down(&mut self, why: &str) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !self.told && since.elapsed() >= self.patience {
            self.told = true;
            log::warn!("{}: {why}; waiting", self.subject);
        }
    }

    /// It works. Logged, with `what` and the time it took, if the outage was.
    pub fn up(&mut self, what: &str) {
        let since = self.since.take();
        if let Some(since) = since.filter(|_| std::mem::take(&mut self.told)) {
            log::info!("{}: {what} after {:.1} s", self.subject, since.elapsed().as_secs_f64());
        }
    }

    /// What was not told yet was another outage's.
    pub fn forgive(&mut self) {
        if !self.told {
            self.since = None;
        }
    }

    /// Whether it is down and has lasted long enough to be told.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// For how long it has been down.
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
        assert!(outage.lasts().is_some() && outage.is_told());
        outage.up("back");
        assert!(outage.lasts().is_none() && !outage.is_told());
        let mut passing = Outage::new("test").patient(Duration::from_secs(3600));
        passing.down("for a moment");
        assert!(passing.lasts().is_some() && !passing.is_told());
    }
}
