//! Where the files of a log are: one log file with its rotated files, that of a topic, or the files of a path
//! with placeholders; here or in another directory.

use std::path::{Path, PathBuf};

use super::{LogPart, SetPath, SettledLog, TopicPath, add_archived, archived, in_order, settled};

/// See the module.
#[derive(Debug, Clone)]
pub enum LogPath {
    /// A log file, by its path, and its rotated files.
    File(PathBuf),
    /// As `File`, of one of several topics with a file each.
    Topic(TopicPath),
    /// The files of a path with placeholders.
    Set(SetPath),
}

impl LogPath {
    /// The journal's path without its suffix.
    pub fn base(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Topic(topic) => topic.base().to_owned(),
            Self::Set(set) => set.base(),
        }
    }

    /// Whether the files follow each other. The files of a set are written side by side.
    pub fn is_sequence(&self) -> bool {
        matches!(self, Self::File(_) | Self::Topic(_))
    }

    /// The same files of another host, or moved away, in this directory.
    pub fn in_directory(&self, directory: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(directory.join(path.file_name().unwrap_or_default())),
            Self::Topic(topic) => Self::Topic(topic.in_directory(directory)),
            Self::Set(set) => Self::Set(set.in_directory(directory)),
        }
    }

    /// What the journal says, and the files that belong to it.
    ///
    /// # Errors
    /// There is no journal that can be read, or no file that it knows. The text says which.
    pub fn settled(&self) -> Result<SettledLog, String> {
        match self {
            Self::File(path) => settled(path),
            Self::Topic(topic) => topic.settled(),
            Self::Set(set) => set.settled(),
        }
    }

    /// Adds the files of another place, which has no journal. Copies of files that are there are left out.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn add_archived(&self, log: &mut SettledLog, directory: &Path) -> Result<(), String> {
        match self {
            Self::File(path) => add_archived(&mut log.parts, archived(path, directory)?),
            Self::Topic(topic) => add_archived(&mut log.parts, topic.archived(directory)?),
            Self::Set(set) => set.add_archived(log, directory)?,
        }
        Ok(())
    }

    /// Puts files that were found in several places into their order. One that was found twice stays once.
    pub fn order(&self, parts: &mut Vec<LogPart>) {
        match self {
            Self::File(_) | Self::Topic(_) => in_order(parts),
            Self::Set(set) => set.order(parts),
        }
    }
}
