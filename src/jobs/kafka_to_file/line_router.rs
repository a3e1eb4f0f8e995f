//! Collects the lines of one outcome by the files that they go to.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{LogFileConfig, PathTime};
use crate::logfile::RouteScope;
use crate::moment::now_ms;
use crate::path_template::{PathTemplate, RouteFacts, Router};
use crate::record::{Record, TopicPartition};
use crate::time_zone::NamedZone;

/// The lines of an outcome that go to one file.
#[derive(Debug, Clone)]
pub(super) struct RoutedSpan {
    pub(super) path: Arc<Path>,
    /// When the period of the file ends, if its path shows a time.
    pub(super) until: Option<i64>,
    /// Whose records can go there.
    pub(super) scope: RouteScope,
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
    /// The routing of a path of which the records decide what files there are. An outcome goes to at most so
    /// many files.
    pub(super) fn of(file: &LogFileConfig, files_max: usize) -> Self {
        Self {
            template: file.path.clone(),
            zone: file.zone.clone(),
            time: file.time,
            future: file.future,
            files_max,
        }
    }

    /// Whose records can go to the same files as those of this partition.
    pub(super) fn scope_of(&self, partition: &TopicPartition) -> RouteScope {
        RouteScope::of(partition, self.template.names_topic(), self.template.names_partition())
    }
}

/// See the module. Used for one outcome after the other.
pub(super) struct LineRouter {
    routing: Routing,
    router: Router,
    /// The file of the last record, and its lines.
    current: (Arc<Path>, Vec<u8>),
    /// The lines of the other files of the present outcome.
    others: HashMap<Arc<Path>, Vec<u8>>,
    /// All these files in the order of their first lines, the ends of their periods, and their scopes.
    order: Vec<(Arc<Path>, Option<i64>, RouteScope)>,
    /// The time of the outcome's last record that is not too far ahead.
    last_time: Option<i64>,
    now: i64,
}

impl LineRouter {
    pub(super) fn new(routing: Routing) -> Self {
        let router = Router::new(routing.template.clone(), routing.zone.zone().clone());
        let current = (Arc::from(Path::new("")), Vec::new());
        Self { routing, router, current, others: HashMap::new(), order: Vec::new(), last_time: None, now: 0 }
    }

    /// Begins an outcome. If the path shows the time of writing, all of its lines have the same.
    pub(super) fn begin(&mut self) {
        self.now = now_ms();
        self.current = (Arc::from(Path::new("")), Vec::new());
        self.last_time = None;
        self.others.clear();
        self.order.clear();
    }

    /// Whether the outcome has lines of as many files as may be open, so that it must end.
    pub(super) fn is_full(&self) -> bool {
        self.order.len() >= self.routing.files_max
    }

    /// The time of the outcome's last record that is not too far ahead.
    pub(super) fn last_time(&self) -> Option<i64> {
        self.last_time
    }

    /// The buffer for this record's line.
    pub(super) fn lines_of(&mut self, partition: &TopicPartition, record: &Record<'_>) -> &mut Vec<u8> {
        let own = record.timestamp.filter(|time| *time >= 0 && self.routing.time == PathTime::Record);
        let future = i64::try_from(self.routing.future.as_millis()).unwrap_or(i64::MAX);
        let facts = RouteFacts {
            topic: &partition.topic,
            partition: partition.partition,
            key: record.key,
            time: own.unwrap_or(self.now),
            is_future: own.is_some_and(|time| time > self.now.saturating_add(future)),
        };
        if !facts.is_future {
            self.last_time = Some(facts.time);
        }
        let route = self.router.route(&facts);
        let path = &route.path;
        // Mostly records that follow each other share even the text of their path.
        if !Arc::ptr_eq(&self.current.0, path) && self.current.0 != *path {
            let lines = self.others.remove(path).unwrap_or_else(|| {
                let until = route.period.map(|period| period.end);
                self.order.push((Arc::clone(path), until, self.routing.scope_of(partition)));
                Vec::new()
            });
            let (before, lines) = std::mem::replace(&mut self.current, (Arc::clone(path), lines));
            self.others.insert(before, lines);
        }
        &mut self.current.1
    }

    /// Puts the lines of all files into one buffer.
    pub(super) fn end(&mut self, lines: &mut Vec<u8>) -> Vec<RoutedSpan> {
        let (last, own) = std::mem::replace(&mut self.current, (Arc::from(Path::new("")), Vec::new()));
        self.others.insert(last, own);
        // Many outcomes may wait for the disk: none has room to spare.
        lines.reserve_exact(self.others.values().map(Vec::len).sum());
        let mut spans = Vec::with_capacity(self.order.len());
        for (path, until, scope) in self.order.drain(..) {
            let own = self.others.remove(&path).unwrap_or_default();
            if own.is_empty() {
                continue;
            }
            let mut crc = crc32fast::Hasher::new();
            crc.update(&own);
            let from = lines.len();
            lines.extend_from_slice(&own);
            spans.push(RoutedSpan { path, until, scope, bytes: from..lines.len(), crc });
        }
        spans
    }
}
