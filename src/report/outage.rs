//! An outage is logged as a transition: once going down, once coming back with
//! the time it took. Between them: silence.

use std::time::{Duration, Instant};

/// Something that may be down: a server, a disk, a partition.
#[derive(Debug)]
pub struct Outage {
    subject: String,
    since: Option<Instant>,
}

impl Outage {
    /// `subject` opens both log lines, e.g. `kafka_to_file: Kafka`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), since: None }
    }

    /// It does not work, because of `why`. Logged if it worked before.
    pub fn down(&mut self, why: &str) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            log::warn!("{}: {why}; waiting", self.subject);
        }
    }

    /// It works. Logged, with `what` and the time it took, if it did not before.
    pub fn up(&mut self, what: &str) {
        if let Some(since) = self.since.take() {
            log::info!("{}: {what} after {:.1} s", self.subject, since.elapsed().as_secs_f64());
        }
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
        assert!(outage.lasts().is_some());
        outage.up("back");
        assert!(outage.lasts().is_none());
    }
}
