//! Which log file a topic's lines go to.

use std::sync::Arc;

/// Which of the files a topic's lines go to.
#[derive(Debug, Clone)]
pub(super) struct FileRouter {
    /// In the order of the files; empty: there is one for everything.
    topics: Arc<[String]>,
}

impl FileRouter {
    /// `topics` in the order of their files, or none for one file.
    pub(super) fn new(topics: Vec<String>) -> Self {
        Self { topics: topics.into() }
    }

    /// The number of the file.
    pub(super) fn of(&self, topic: &str) -> usize {
        self.topics.iter().position(|known| known == topic).unwrap_or(0)
    }
}
