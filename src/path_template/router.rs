//! Which file a record goes to: a function of the record alone. The last answer is kept, since a record
//! mostly goes where the one before it went.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::escape::{self, NameBuffer};
use super::period::{Calendar, Period, ShownTime, in_range};
use super::template::{FUTURE, PathComponent, PathPart, PathTemplate};

/// A longer key is not remembered.
const KEPT_KEY_BYTES_MAX: usize = 4096;

/// The name of a topic's or key's directory that would be [`FUTURE`].
const NAMED_FUTURE: &[u8] = b"%66uture";

/// What a record has that decides on its file.
#[derive(Debug, Clone, Copy)]
pub struct RouteFacts<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number, which is not negative.
    pub partition: i32,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The time that the path shows, in milliseconds since 1970. A time that has no year of four digits is
    /// taken for the nearest one that has.
    pub time: i64,
    /// Whether that time is too far ahead. Matters only to paths with a time.
    pub is_future: bool,
}

/// Where a record goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The log file. Records that follow each other share the text.
    pub path: Arc<Path>,
    /// From the first to the last time whose records go there, if the path shows a time.
    pub period: Option<Period>,
}

/// Finds the routes of records.
pub struct Router {
    template: PathTemplate,
    calendar: Option<Calendar>,
    last: Option<LastRoute>,
    shown: Option<ShownTime>,
    name: NameBuffer,
    /// The end of a name, and a path in the making.
    end: Vec<u8>,
    path: Vec<u8>,
    formatted: u64,
}

/// The last answer, and what it was an answer to, as far as it mattered.
#[derive(Debug)]
struct LastRoute {
    topic: String,
    partition: i32,
    key: KeptKey,
    is_future: bool,
    span: Option<Period>,
    route: Route,
}

/// The key of the last record.
#[derive(Debug)]
enum KeptKey {
    Unused,
    Is(Option<Vec<u8>>),
    TooLong,
}

impl Router {
    /// A router for a template, with times in a zone.
    pub fn new(template: PathTemplate, zone: TimeZone) -> Self {
        Self {
            calendar: template.unit.map(|unit| Calendar { unit, zone }),
            template,
            last: None,
            shown: None,
            name: NameBuffer::default(),
            end: Vec::new(),
            path: Vec::new(),
            formatted: 0,
        }
    }

    /// The periods of the paths, if they show a time.
    pub fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }

    /// How many paths were formatted. An answer that was kept costs comparisons alone.
    pub fn formatted(&self) -> u64 {
        self.formatted
    }

    /// Where a record goes.
    pub fn route(&mut self, facts: &RouteFacts<'_>) -> &Route {
        let last = match self.last.take().filter(|last| last.fits(&self.template, facts)) {
            Some(last) => last,
            None => self.format(facts),
        };
        &self.last.insert(last).route
    }

    fn format(&mut self, facts: &RouteFacts<'_>) -> LastRoute {
        self.formatted += 1;
        if let Some(calendar) = &self.calendar {
            let time = in_range(facts.time);
            let shown = self.shown.filter(|shown| shown.span.holds(time));
            self.shown = Some(shown.unwrap_or_else(|| calendar.shown(time)));
        }
        let Self { template, shown, name, end, path, .. } = self;
        path.clear();
        path.extend_from_slice(template.fixed.as_os_str().as_bytes());
        if facts.is_future && shown.is_some() {
            slash(path);
            path.extend_from_slice(FUTURE.as_bytes());
        }
        for (at, component) in template.components.iter().enumerate() {
            slash(path);
            let from = path.len();
            write_name(component, facts, *shown, (&mut *name, &mut *end), path);
            // Only files whose time is too far ahead are in the directory of this name.
            if at == 0 && shown.is_some() && path.get(from..) == Some(FUTURE.as_bytes()) {
                path.truncate(from);
                path.extend_from_slice(NAMED_FUTURE);
            }
        }
        let path = Arc::from(Path::new(OsStr::from_bytes(path)));
        let key = match facts.key {
            _ if !template.names_key() => KeptKey::Unused,
            Some(key) if key.len() > KEPT_KEY_BYTES_MAX => KeptKey::TooLong,
            key => KeptKey::Is(key.map(<[u8]>::to_vec)),
        };
        LastRoute {
            topic: facts.topic.to_owned(),
            partition: facts.partition,
            key,
            is_future: facts.is_future,
            span: shown.map(|shown| shown.span),
            route: Route { path, period: shown.map(|shown| shown.period) },
        }
    }
}

impl PathTemplate {
    /// All the files, one for each of `topics` if the path names the topic. `None` if records decide which
    /// files there are.
    pub fn known_paths(&self, topics: &[String]) -> Option<Vec<PathBuf>> {
        let is_open = self.names_topic() && topics.is_empty();
        if is_open || self.names_partition() || self.names_key() || self.names_time() {
            return None;
        }
        let topics = if self.names_topic() { topics } else { &[String::new()] };
        let mut router = Router::new(self.clone(), TimeZone::UTC);
        let facts = |topic| RouteFacts { topic, partition: 0, key: None, time: 0, is_future: false };
        Some(topics.iter().map(|topic| router.route(&facts(topic)).path.to_path_buf()).collect())
    }
}

impl LastRoute {
    /// Whether a record goes where the last one went.
    fn fits(&self, template: &PathTemplate, facts: &RouteFacts<'_>) -> bool {
        let same_key = match &self.key {
            KeptKey::Unused => true,
            KeptKey::Is(key) => key.as_deref() == facts.key,
            KeptKey::TooLong => false,
        };
        let same_time = |span: Period| span.holds(in_range(facts.time)) && self.is_future == facts.is_future;
        same_key
            && self.span.is_none_or(same_time)
            && (!template.names_partition() || self.partition == facts.partition)
            && (!template.names_topic() || self.topic == facts.topic)
    }
}

fn slash(path: &mut Vec<u8>) {
    if path.last().is_some_and(|last| *last != b'/') {
        path.push(b'/');
    }
}

/// Appends the name of a component, in the making of which `name` and `end` are used.
fn write_name(
    component: &PathComponent,
    facts: &RouteFacts<'_>,
    shown: Option<ShownTime>,
    (name, end): (&mut NameBuffer, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    // What comes after the last value is kept whole, such as the .log that a person looks for.
    let value = component.parts.iter().rposition(PathPart::is_unbounded);
    let (beginning, rest) = component.parts.split_at(value.map_or(0, |at| at + 1));
    name.begin(component.bytes_max);
    beginning.iter().for_each(|part| write_part(part, facts, shown, &mut |bytes| name.push(bytes)));
    end.clear();
    rest.iter().for_each(|part| write_part(part, facts, shown, &mut |bytes| end.extend_from_slice(bytes)));
    name.finish(end, out);
}

fn write_part(
    part: &PathPart,
    facts: &RouteFacts<'_>,
    shown: Option<ShownTime>,
    out: &mut impl FnMut(&[u8]),
) {
    match part {
        PathPart::Literal(text) => out(text.as_bytes()),
        PathPart::Topic => escape::escape(Some(facts.topic.as_bytes()), out),
        PathPart::Partition => out(itoa::Buffer::new().format(facts.partition).as_bytes()),
        PathPart::Key => escape::escape(facts.key, out),
        PathPart::Time(field) => {
            if let Some(shown) = shown {
                field.write(shown.begin, out);
            }
        }
    }
}
