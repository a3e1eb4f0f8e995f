//! Collects the lines of one outcome by the files that they go to.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{LogFileConfig, PathTime};
use crate::moment::now_ms;
use crate::path_template::{PathTemplate, RouteFacts, Router};
use crate::record::{Record, TopicPartition};
use crate::time_zone::NamedZone;

/// The lines of an outcome that go to one file.
#[derive(Debug, Clone)]
pub(super) struct RoutedSpan {
    pub(super) path: Arc<Path>,
    /// Where these lines are among all lines of the outcome.
    pub(super) bytes: Range<usize>,
    /// CRC-32 of these lines.
    pub(super) crc: crc32fast::Hasher,
}

/// How the records of a job are routed.
#[derive(Debug, Clone)]
pub(super) struct Routing {
    template: PathTemplate,
    zone: NamedZone,
    time: PathTime,
    future: Duration,
    files_max: usize,
}

impl Routing {
    /// `None` if the path has no placeholders, or if each topic has one file and one journal.
    pub(super) fn of(file: &LogFileConfig, files_max: usize) -> Self {
        Self {
            template: file.path.clone(),
            zone: file.zone.clone(),
            time: file.time,
            future: file.future,
            files_max,
        }
    }
}

/// See the module. Used for one outcome after the other.
pub(super) struct LineRouter {
    routing: Routing,
    router: Router,
    /// The lines of each file of the present outcome.
    files: Vec<(Arc<Path>, Vec<u8>)>,
    numbers: HashMap<Arc<Path>, usize>,
    now: i64,
}

impl LineRouter {
    pub(super) fn new(routing: Routing) -> Self {
        let router = Router::new(routing.template.clone(), routing.zone.zone().clone());
        Self { routing, router, files: Vec::new(), numbers: HashMap::new(), now: 0 }
    }

    /// Begins an outcome. If the path shows the time of writing, all of its lines have the same.
    pub(super) fn begin(&mut self) {
        self.now = now_ms();
        self.files.clear();
        self.numbers.clear();
    }

    /// The buffer for this record's line. `None` if the outcome has lines of as many files as may be open:
    /// it must end before this record.
    pub(super) fn lines_of(
        &mut self,
        partition: &TopicPartition,
        record: &Record<'_>,
    ) -> Option<&mut Vec<u8>> {
        let own = record.timestamp.filter(|time| *time >= 0 && self.routing.time == PathTime::Record);
        let future = i64::try_from(self.routing.future.as_millis()).unwrap_or(i64::MAX);
        let facts = RouteFacts {
            topic: &partition.topic,
            partition: partition.partition,
            key: record.key,
            time: own.unwrap_or(self.now),
            is_future: own.is_some_and(|time| time > self.now.saturating_add(future)),
        };
        let path = &self.router.route(&facts).path;
        let number = match self.numbers.get(path) {
            Some(number) => *number,
            None if self.files.len() >= self.routing.files_max => return None,
            None => {
                self.files.push((Arc::clone(path), Vec::new()));
                self.numbers.insert(Arc::clone(path), self.files.len() - 1);
                self.files.len() - 1
            }
        };
        self.files.get_mut(number).map(|(_, lines)| lines)
    }

    /// Puts the lines of all files into one buffer.
    pub(super) fn end(&mut self, lines: &mut Vec<u8>) -> Vec<RoutedSpan> {
        let mut spans = Vec::with_capacity(self.files.len());
        for (path, own) in self.files.drain(..).filter(|(_, own)| !own.is_empty()) {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&own);
            let from = lines.len();
            lines.extend_from_slice(&own);
            spans.push(RoutedSpan { path, bytes: from..lines.len(), crc });
        }
        spans
    }
}
