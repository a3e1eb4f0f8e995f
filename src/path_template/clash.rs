//! Whether a file of a template could have the name of another file that pandad makes.

use std::path::Path;

use super::escape;
use super::limits::PARTITION_DIGITS_MAX;
use super::template::{FUTURE, PathComponent, PathPart, PathTemplate};
use crate::log_names;

/// What [`PathTemplate::clash`] calls a file that records go to.
pub const LOG_FILE: &str = "a log file";

impl PathTemplate {
    /// If a file beside one of the files could have the name of another of the files, because of what
    /// producers choose: the form of what is appended to the former's name, with `0` for any digit. With
    /// named topics, and no other placeholder, the names themselves say more.
    pub fn own_clash(&self) -> Option<String> {
        let file = self.components.last()?;
        let value = file.parts.iter().rposition(PathPart::is_unbounded);
        let end = file.parts.get(value.map_or(0, |at| at + 1)..).unwrap_or_default();
        let widths = if end.contains(&PathPart::Partition) { 1..=PARTITION_DIGITS_MAX } else { 1..=1 };
        let ends: Vec<Vec<NameChar>> = widths.map(|width| form_of(end, width)).collect();
        log_names::forms(self.names_time()).into_iter().find(|form| {
            let appended = form.bytes().map(|byte| match byte {
                b'0' => NameChar::Digit,
                byte => NameChar::Is(byte),
            });
            ends.iter().any(|end| {
                let beside: Vec<_> = end.iter().copied().chain(appended.clone()).collect();
                ends.iter().any(|other| match value {
                    // What stands before the end may be anything.
                    Some(_) => alike(beside.iter().rev(), other.iter().rev()),
                    None => beside.len() == other.len() && alike(beside.iter(), other.iter()),
                })
            })
        })
    }

    /// If the file `other` could be one of the files, or one beside these: what it would be. With `topics`
    /// only these are read, otherwise topics of any name.
    pub fn clash(&self, other: &Path, topics: &[String]) -> Option<&'static str> {
        let journal = self.has_placeholders().then(|| self.fixed.join(self.journal_name()));
        if let Some(what) = journal.and_then(|journal| log_names::clash(&journal, other)) {
            return Some(what);
        }
        let (file, name) = self.last_of(other, topics)?;
        if fits(&file.parts, name, topics) {
            return Some(LOG_FILE);
        }
        let beside = if self.names_time() { log_names::beside_period } else { log_names::beside };
        let mut splits = name.char_indices().filter_map(|(at, _)| name.split_at_checked(at));
        splits.find_map(|(name, suffix)| beside(suffix).filter(|_| fits(&file.parts, name, topics)))
    }

    /// Whether the path is that of a file that records go to. `topics` are as of [`Self::clash`].
    pub fn is_log_file(&self, path: &Path, topics: &[String]) -> bool {
        self.last_of(path, topics).is_some_and(|(file, name)| fits(&file.parts, name, topics))
    }

    /// The component of the files, and the name of this one, if it is in a directory of the files.
    fn last_of<'a>(&self, path: &'a Path, topics: &[String]) -> Option<(&PathComponent, &'a str)> {
        let names = self.names_below(path)?;
        let names = match names.as_slice() {
            [FUTURE, rest @ ..] if self.names_time() && rest.len() == self.components.len() => rest,
            names => names,
        };
        let ((file, above), (name, directories)) = (self.components.split_last()?, names.split_last()?);
        let is_there = above.len() == directories.len()
            && above.iter().zip(directories).all(|(component, name)| fits(&component.parts, name, topics));
        is_there.then_some((file, *name))
    }

    /// Whether files may be in the directory, or below it. `topics` are as of [`Self::clash`].
    pub fn leads_to(&self, directory: &Path, topics: &[String]) -> bool {
        let Some(names) = self.names_below(directory) else { return false };
        let is_above = |names: &[&str]| {
            let above = self.components.iter().zip(names);
            names.len() < self.components.len()
                && above.into_iter().all(|(component, name)| fits(&component.parts, name, topics))
        };
        let is_future = |names: &[&str]| match names {
            [FUTURE, rest @ ..] => self.names_time() && is_above(rest),
            _ => false,
        };
        is_above(&names) || is_future(&names)
    }

    /// The names of a path below the fixed directory. All names that are made are text.
    fn names_below<'a>(&self, path: &'a Path) -> Option<Vec<&'a str>> {
        path.strip_prefix(&self.fixed).ok()?.iter().map(|name| name.to_str()).collect()
    }
}

/// A byte of a name that is not known yet.
#[derive(Debug, Clone, Copy)]
enum NameChar {
    Digit,
    Is(u8),
}

/// Two names of which one may be the end, or the beginning, of the other.
fn alike<'a>(one: impl Iterator<Item = &'a NameChar>, other: impl Iterator<Item = &'a NameChar>) -> bool {
    one.zip(other).all(|pair| match pair {
        (NameChar::Digit, NameChar::Digit) => true,
        (NameChar::Digit, NameChar::Is(byte)) | (NameChar::Is(byte), NameChar::Digit) => {
            byte.is_ascii_digit()
        }
        (NameChar::Is(one), NameChar::Is(other)) => one == other,
    })
}

/// The name of parts whose length is bounded, with so many digits of a partition.
fn form_of(parts: &[PathPart], partition_digits: usize) -> Vec<NameChar> {
    let mut form = Vec::new();
    for part in parts {
        match part {
            PathPart::Literal(text) => form.extend(text.bytes().map(NameChar::Is)),
            PathPart::Time(field) => form.extend((0..field.digits()).map(|_| NameChar::Digit)),
            PathPart::Partition => form.extend((0..partition_digits).map(|_| NameChar::Digit)),
            PathPart::Topic | PathPart::Key => {}
        }
    }
    form
}

/// Whether the name could be made of these parts, with one of these topics, or any if there are none.
fn fits(parts: &[PathPart], name: &str, topics: &[String]) -> bool {
    let Some((first, rest)) = parts.split_first() else { return name.is_empty() };
    let digits = |count: usize| {
        name.split_at_checked(count).is_some_and(|(number, behind)| {
            number.bytes().all(|byte| byte.is_ascii_digit()) && fits(rest, behind, topics)
        })
    };
    let begins = |text: &str| name.strip_prefix(text).is_some_and(|behind| fits(rest, behind, topics));
    match first {
        PathPart::Literal(text) => begins(text),
        PathPart::Time(field) => digits(field.digits()),
        PathPart::Partition => (1..=PARTITION_DIGITS_MAX).any(digits),
        PathPart::Topic if !topics.is_empty() => topics.iter().any(|topic| {
            let mut text = Vec::new();
            escape::escape(Some(topic.as_bytes()), &mut |bytes| text.extend_from_slice(bytes));
            begins(&String::from_utf8_lossy(&text))
        }),
        PathPart::Topic | PathPart::Key => {
            let mut splits = (1..=name.len()).filter_map(|at| name.get(at..));
            splits.any(|behind| fits(rest, behind, topics))
        }
    }
}
