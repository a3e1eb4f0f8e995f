//! Decides when the files of a period are complete: every partition whose records can go there has been
//! written up to the end of the period and some time more.

use std::time::{Duration, Instant};

use super::line_router::Routing;
use super::watermarks::Watermarks;
use crate::logfile::{CompleteBefore, Ledger};
use crate::moment::now_ms;
use crate::record::TopicPartition;

/// How often this is decided.
const INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone)]
pub(super) struct Completeness {
    watermarks: Watermarks,
    routing: Routing,
    /// How long records of a period are waited for.
    grace: i64,
    again: Instant,
}

impl Completeness {
    pub(super) fn new(watermarks: Watermarks, routing: Routing, grace: Duration) -> Self {
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        Self { watermarks, routing, grace, again: Instant::now() }
    }

    /// By when periods end whose files are complete, if it is time to look.
    pub(super) fn complete_before(&mut self, ledger: &Ledger) -> Option<CompleteBefore> {
        if Instant::now() < self.again {
            return None;
        }
        self.again = Instant::now() + INTERVAL;
        Some(self.of(&ledger.assigned(), now_ms()))
    }

    /// `positions` are the written positions of the assigned partitions.
    fn of(&self, positions: &[(TopicPartition, i64)], now: i64) -> CompleteBefore {
        let mut before = CompleteBefore::default();
        for (partition, watermark) in self.watermarks.of(positions, now) {
            before.add(self.routing.scope_of(partition), watermark.saturating_sub(self.grace));
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::logfile::RouteScope;

    /// One partition of each of two topics is stuck.
    #[test]
    fn a_path_that_shows_topic_or_partition_depends_on_these_alone() {
        let watermarks = Watermarks::default();
        let positions: Vec<_> = [("t", 0), ("t", 1), ("u", 0)]
            .into_iter()
            .map(|(topic, number)| (TopicPartition::new(topic, number), 5))
            .collect();
        for (number, (partition, _)) in (1..).zip(&positions) {
            watermarks.record_polled(partition, 9, 3);
            watermarks.record_written(partition, number * 1000);
        }
        /// Topic and partition of a scope, and by when its periods are complete.
        type Expected<'a> = (Option<&'a str>, Option<i32>, i64);
        let cases: [(&str, &[Expected<'_>]); 4] = [
            ("{%F}.log", &[(None, None, 900)]),
            ("{topic}/{%F}.log", &[(Some("t"), None, 900), (Some("u"), None, 2900)]),
            ("{partition}/{%F}.log", &[(None, Some(0), 900), (None, Some(1), 1900)]),
            (
                "{topic}/{partition}/{key}/{%F}.log",
                &[(Some("t"), Some(0), 900), (Some("t"), Some(1), 1900), (Some("u"), Some(0), 2900)],
            ),
        ];
        for (path, expected) in cases {
            let text = format!("[log_section]\nbroker_list='a'\nlog_file['path']='{path}'\n");
            let file = Config::parse(&text, Path::new("/t.inv")).unwrap().kafka_to_file.unwrap().log_file;
            let (routing, grace) = (Routing::of(&file, 1), Duration::from_millis(100));
            let completeness = Completeness::new(watermarks.clone(), routing, grace);
            let before = completeness.of(&positions, 10_000);
            let expected = expected.iter().map(|(topic, partition, before)| {
                (RouteScope { topic: topic.map(Into::into), partition: *partition }, *before)
            });
            assert_eq!((before.scopes, before.all), (expected.collect(), Some(900)));
        }
    }
}
