//! The figures of a job under fixed names, with the unit in the name. State lines and the status in JSON
//! show the same ones.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::counters::{CountedUnit, Counters, LAG_UNKNOWN};
use super::job_health::DiskState;
use super::job_view::JobView;

/// How many things that a job waits for the state line names.
const WAITS_FOR_MAX: usize = 3;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name, the same for ever.
    pub key: &'static str,
    /// Its value now.
    pub value: FigureValue,
}

/// The value of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum FigureValue {
    /// A number of things, bytes or milliseconds.
    Count(u64),
    /// A number that is measured.
    Measured(f64),
    /// Nobody has said it yet.
    Unknown,
    /// One of a few words.
    Word(&'static str),
    /// Any text.
    Text(String),
}

impl fmt::Display for FigureValue {
    /// Without blanks, so that a line of figures can be split at them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FigureValue::Count(count) => write!(f, "{count}"),
            FigureValue::Measured(number) => write!(f, "{number:.1}"),
            FigureValue::Unknown => f.write_str("unknown"),
            FigureValue::Word(word) => f.write_str(word),
            FigureValue::Text(text) => {
                f.write_str("\"")?;
                for character in text.chars() {
                    match character {
                        '"' | '\\' => write!(f, "\\{character}")?,
                        other if other.is_control() => f.write_str(" ")?,
                        other => write!(f, "{other}")?,
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

impl Counters {
    /// Every figure of the job, always the same ones in the same order.
    pub fn figures(&self) -> Vec<Figure> {
        self.figures_with(&self.view())
    }

    /// As [`Counters::figures`], for whoever has looked at the job's state already.
    pub fn figures_with(&self, view: &JobView) -> Vec<Figure> {
        let count = |counter: &AtomicU64| FigureValue::Count(counter.load(Relaxed));
        let mut figures = vec![("state", FigureValue::Word(view.state.word()))];
        match self.unit() {
            CountedUnit::Records => figures.extend([
                ("records", count(&self.done)),
                ("bytes", count(&self.bytes)),
                ("lag", self.lag_figure()),
                ("lag_unknown_partitions", count(&self.lag_unknown)),
                ("oldest_unsettled_ms", FigureValue::Count(self.oldest_unsettled_ms())),
                ("disk", FigureValue::Word(self.disk().word())),
                ("blocked_partitions", count(&self.blocked)),
                ("lost", count(&self.lost)),
                ("skipped", count(&self.skipped)),
                ("filtered", count(&self.filtered)),
                ("fetched_again", count(&self.refetched)),
            ]),
            CountedUnit::Keys => figures.extend([
                ("keys", count(&self.done)),
                ("waiting", count(&self.lag)),
                ("late_ms", FigureValue::Measured(self.late_us.load(Relaxed) as f64 / 1000.0)),
                ("lost", count(&self.lost)),
                ("overflowed", count(&self.overflowed)),
                ("unsettled", count(&self.unsettled)),
                ("found", count(&self.found)),
            ]),
            CountedUnit::Items => figures.extend([
                ("items", count(&self.done)),
                ("fields", count(&self.fields)),
                ("waiting", count(&self.lag)),
                ("dead", count(&self.dead)),
                ("came_back", count(&self.came_back)),
                ("taken_over", count(&self.taken_over)),
            ]),
        }
        figures.push(("panics", count(&self.panics)));
        let (waits_for, waits_s) = match view.reasons.first() {
            Some(_) => {
                let named = view.reasons.iter().take(WAITS_FOR_MAX).map(|reason| reason.subject.as_str());
                let more = match view.reasons.len().saturating_sub(WAITS_FOR_MAX) {
                    0 => String::new(),
                    more => format!("; {more} more"),
                };
                let subjects = named.collect::<Vec<_>>().join("; ") + &more;
                let lasts = Instant::now().saturating_duration_since(view.since);
                (FigureValue::Text(subjects), lasts.as_secs())
            }
            None => (FigureValue::Word("nothing"), 0),
        };
        figures.extend([("waits_for", waits_for), ("waits_s", FigureValue::Count(waits_s))]);
        figures.into_iter().map(|(key, value)| Figure { key, value }).collect()
    }

    /// How far behind the job is: unknown until a broker has said so for each partition.
    fn lag_figure(&self) -> FigureValue {
        match self.lag.load(Relaxed) {
            LAG_UNKNOWN => FigureValue::Unknown,
            lag => FigureValue::Count(lag),
        }
    }

    /// What the disk does.
    pub fn disk(&self) -> DiskState {
        match self.disk_refuses.load(Relaxed) {
            true => DiskState::RefusesWrites,
            false => self.health.disk(),
        }
    }
}

impl fmt::Display for Counters {
    /// The state line: `key=value`, separated by blanks. A text stands between double quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Figure { key, value }) in self.figures().iter().enumerate() {
            let blank = if number == 0 { "" } else { " " };
            write!(f, "{blank}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{JobPhase, ServerKind, Stage};

    #[test]
    fn the_state_line_has_the_same_keys_whatever_happens() {
        let counters = Counters::shared("test", CountedUnit::Records);
        let keys = |line: &str| {
            let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, _)| key.to_owned()).collect::<Vec<_>>()
        };
        counters.phase.begin_run();
        let before = counters.to_string();
        assert_eq!(
            before,
            "state=running records=0 bytes=0 lag=unknown lag_unknown_partitions=0 oldest_unsettled_ms=0 \
             disk=ok blocked_partitions=0 lost=0 skipped=0 filtered=0 fetched_again=0 panics=0 \
             waits_for=nothing waits_s=0"
        );
        counters.lag.store(12, Relaxed);
        let mut kafka = counters.conditions.server(ServerKind::Kafka, "a:9092,\"b\"");
        kafka.down(Instant::now(), "refused");
        counters.health.down(Stage::Opening, "cannot be opened");
        let after = counters.to_string();
        assert!(
            after.starts_with("state=waiting records=0 bytes=0 lag=12 lag_unknown_partitions=0 "),
            "{after}"
        );
        assert!(after.contains(" disk=not_opened "), "{after}");
        assert!(after.ends_with(r#" waits_for="a:9092,\"b\"; the job" waits_s=0"#), "{after}");
        assert_eq!(keys(&before), keys(&after));
    }

    #[test]
    fn every_unit_has_its_line() {
        let items = Counters::shared("test", CountedUnit::Items);
        items.dead.store(3, Relaxed);
        items.phase.set(JobPhase::Failed { why: "no".to_owned() });
        assert_eq!(
            items.to_string(),
            "state=failed items=0 fields=0 waiting=0 dead=3 came_back=0 taken_over=0 panics=0 \
             waits_for=\"the job\" waits_s=0"
        );
        let keys = Counters::shared("test", CountedUnit::Keys);
        keys.late_us.store(2_140, Relaxed);
        assert!(keys.to_string().starts_with("state=starting keys=0 waiting=0 late_ms=2.1 lost=0 "));
    }
}
