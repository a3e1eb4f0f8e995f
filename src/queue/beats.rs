//! The beats of other instances. A server that evicts keys may delete the heartbeat of an instance that
//! lives, but not a key without a time to live: a *beat* that changes shows that its instance lives. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::host::Process;

/// See the module.
pub(super) struct SeenBeats {
    /// For how long a beat counts.
    ttl: Duration,
    /// The beat of each instance without a heartbeat, and since when it has not changed.
    seen: HashMap<String, (String, Instant)>,
}

impl SeenBeats {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, seen: HashMap::new() }
    }

    /// The beat of this process with this number.
    pub(super) fn text(process: Process, number: u64) -> String {
        format!("{process} {number}")
    }

    /// Records the beat that was read of an instance, empty if there is none. True if the instance lives, as
    /// far as that shows.
    pub(super) fn record(&mut self, instance: &str, beat: &str, now: Instant) -> bool {
        let known = self.seen.remove(instance).filter(|(before, _)| before == beat);
        let since = known.map_or(now, |(_, since)| since);
        self.seen.insert(instance.to_owned(), (beat.to_owned(), since));
        let process = beat.rsplit_once(' ').and_then(|(process, _)| process.parse::<Process>().ok());
        let has_ended = process.is_none_or(|process| process.has_ended());
        !has_ended && now.saturating_duration_since(since) < self.ttl
    }

    /// The beat of an instance that was recorded last.
    pub(super) fn last(&self, instance: &str) -> Option<&str> {
        self.seen.get(instance).map(|(beat, _)| beat.as_str())
    }

    /// Forgets all instances but these.
    pub(super) fn keep_only(&mut self, instances: &[&str]) {
        self.seen.retain(|instance, _| instances.contains(&instance.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_changes_shows_that_its_instance_lives() {
        let (ttl, mut now) = (Duration::from_secs(10), Instant::now());
        let mut beats = SeenBeats::new(ttl);
        assert!(!beats.record("a", "", now), "there is none");
        for number in 0..5 {
            now += ttl;
            assert!(beats.record("a", &SeenBeats::text(Process::this(), number), now));
        }
        let last = SeenBeats::text(Process::this(), 4);
        assert!(beats.record("a", &last, now + ttl / 2));
        assert!(!beats.record("a", &last, now + ttl));
        beats.keep_only(&[]);
        assert!(beats.record("a", &last, now + ttl), "it is seen for the first time");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let this = Process::this().to_string();
        let (place, _) = this.rsplit_once(' ').unwrap();
        let gone = format!("{place} {} 7", child.id());
        child.wait().unwrap();
        assert!(!beats.record("b", &gone, now));
    }
}
