//! Decides to which log file the lines of a topic go.

use std::sync::Arc;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct FileRouter {
    /// The topics in the order of their files. Empty if one file holds all topics.
    topics: Arc<[String]>,
}

impl FileRouter {
    /// `topics` in the order of their files, or none if there is one file.
    pub(super) fn new(topics: Vec<String>) -> Self {
        Self { topics: topics.into() }
    }

    /// The index of the topic's file; `None` if that file is not open.
    pub(super) fn of(&self, topic: &str) -> Option<usize> {
        if self.topics.is_empty() {
            return Some(0);
        }
        self.topics.iter().position(|known| known == topic)
    }
}
