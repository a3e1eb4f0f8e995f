//! A template, parsed: a fixed directory, and the components below it with their placeholders.

use std::fmt;
use std::path::{Path, PathBuf};

use super::period::{TimeField, TimeUnit};

/// The directory, beside the first placeholder's component, of files whose time is too far ahead.
pub const FUTURE: &str = "future";

/// A template of paths.
#[derive(Debug, Clone, PartialEq)]
pub struct PathTemplate {
    /// The whole path as a person could write it.
    pub(super) text: String,
    /// The directory above the first placeholder's component.
    pub(super) fixed: PathBuf,
    /// The text of the components below that directory, as written.
    pub(super) rest: String,
    /// These components; at least one.
    pub(super) components: Vec<PathComponent>,
    /// The smallest unit of time that the path names.
    pub(super) unit: Option<TimeUnit>,
    /// What else it names. Asked for each record.
    pub(super) names: NamedValues,
}

/// Which values are somewhere in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedValues {
    topic: bool,
    partition: bool,
    key: bool,
}

impl NamedValues {
    pub fn of(components: &[PathComponent]) -> Self {
        let holds = |part| components.iter().any(|component| component.parts.contains(&part));
        Self {
            topic: holds(PathPart::Topic),
            partition: holds(PathPart::Partition),
            key: holds(PathPart::Key),
        }
    }
}

/// A directory or the file of a template.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PathComponent {
    pub parts: Vec<PathPart>,
    /// The longest name in bytes. A longer one is shortened.
    pub bytes_max: usize,
}

/// A piece of a component. There are never two texts one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathPart {
    Literal(String),
    Topic,
    Partition,
    Key,
    Time(TimeField),
}

impl PathPart {
    /// Whether the part may have any length: a partition has up to ten digits, a time a fixed number.
    pub fn is_unbounded(&self) -> bool {
        matches!(self, Self::Topic | Self::Key)
    }
}

impl PathTemplate {
    /// The directory that must exist already. What is below it is made when a file is opened.
    pub fn fixed_directory(&self) -> &Path {
        &self.fixed
    }

    /// The same files in another directory, which takes the place of the fixed one.
    pub fn in_directory(&self, directory: &Path) -> Self {
        Self { fixed: directory.to_owned(), ..self.clone() }
    }

    /// The place of a file below this directory, whose path may begin with the fixed directory of another
    /// host.
    pub fn located_in(&self, directory: &Path, file: &Path) -> PathBuf {
        if file.starts_with(directory) {
            return file.to_owned();
        }
        let names: Vec<_> = file.iter().collect();
        let at = names.len().saturating_sub(self.components.len());
        let is_future = |at: &usize| self.names_time() && names.get(*at).is_some_and(|name| *name == FUTURE);
        let at = at.checked_sub(1).filter(is_future).unwrap_or(at);
        names.get(at..).unwrap_or_default().iter().fold(directory.to_owned(), |path, name| path.join(name))
    }

    /// The name in the fixed directory to which `.journal` and `.lock` are appended. A path without
    /// placeholders has the name of its file. Otherwise it is the template's own text below the fixed
    /// directory, so that two templates never share a journal, nor does any record route to it: the text has
    /// more braces than any path that is made of it.
    pub fn journal_name(&self) -> String {
        if let [PathComponent { parts, .. }] = self.components.as_slice()
            && let [PathPart::Literal(name)] = parts.as_slice()
        {
            return name.clone();
        }
        self.rest.replace('%', "%25").replace('/', "%2F")
    }

    /// Whether there is more than one file.
    pub fn has_placeholders(&self) -> bool {
        let NamedValues { topic, partition, key } = self.names;
        topic || partition || key || self.names_time()
    }

    /// Whether each topic has files of its own.
    pub fn names_topic(&self) -> bool {
        self.names.topic
    }

    /// Whether each partition has files of its own.
    pub fn names_partition(&self) -> bool {
        self.names.partition
    }

    /// Whether each key has files of its own.
    pub fn names_key(&self) -> bool {
        self.names.key
    }

    /// Whether each period of time has files of its own.
    pub fn names_time(&self) -> bool {
        self.unit.is_some()
    }
}

/// The whole path, as it is written in an .inv.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
