//! The file of one topic with its rotated files, when each of several topics has a file and all have one
//! journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    LogPart, SettledLog, archived_beside, file_of, in_order, looked_at, rotated, settled_partitions,
};
use crate::logfile::backup::{CopyFailure, settled_state};
use crate::logfile::disk::{Disk, directory_of};
use crate::logfile::locate::WantedFile;

/// Where the file of one of several topics is, and their journal.
#[derive(Debug, Clone)]
pub struct TopicPath {
    topic: String,
    path: PathBuf,
    /// The journal's path without its suffix, in a directory below which all files are.
    base: PathBuf,
    /// The files of all topics: those that one name as rotated files of another are not.
    files: Arc<[PathBuf]>,
}

impl TopicPath {
    /// Those of these topics, whose files are these, in the same order. `base` is the journal's path without
    /// its suffix.
    pub fn all(base: &Path, topics: &[String], files: Vec<PathBuf>) -> impl Iterator<Item = Self> {
        let files: Arc<[PathBuf]> = files.into();
        topics.iter().zip(Arc::clone(&files).to_vec()).map(move |(topic, path)| Self {
            topic: topic.clone(),
            path,
            base: base.to_owned(),
            files: Arc::clone(&files),
        })
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    fn root(&self) -> &Path {
        directory_of(&self.base)
    }

    pub(super) fn in_directory(&self, directory: &Path) -> Self {
        let there = |path: &PathBuf| directory.join(path.strip_prefix(self.root()).unwrap_or(path));
        Self {
            topic: self.topic.clone(),
            path: there(&self.path),
            base: there(&self.base),
            files: self.files.iter().map(there).collect(),
        }
    }

    pub(super) fn settled(&self) -> Result<SettledLog, String> {
        looked_at(&|disk, looks| self.look(disk, looks))
    }

    /// One look, see [`super::settled`].
    pub(in crate::logfile) fn look(
        &self,
        disk: &Arc<dyn Disk>,
        looks: u32,
    ) -> Result<SettledLog, CopyFailure> {
        let before = rotated(&**disk, &self.path, &self.files)?;
        let (journal, state) = settled_state(disk, &self.base)?;
        let root = self.root();
        let mut paths =
            state.files.iter().filter_map(|(number, known)| Some((*number, root.join(known.path()?))));
        let number = paths.find(|(_, path)| *path == self.path).map(|(number, _)| number);
        let known = number.and_then(|number| Some((number, &state.files.get(&number)?.place)));
        let all = state.files.values().filter_map(|known| Some(root.join(known.path()?))).collect();
        let wanted = known.map(|known| WantedFile::one_of(&all, known, &state.recent));
        let (parts, doubt) = file_of(disk, &self.path, wanted, (before, &self.files), looks)?;
        let mut partitions = settled_partitions(&state);
        partitions.retain(|one| *one.partition.topic == *self.topic);
        Ok(SettledLog { identity: Some(journal), partitions, parts, doubts: doubt.into_iter().collect() })
    }

    /// The rotated files in another directory, which has no journal.
    pub(super) fn archived(&self, directory: &Path) -> Result<Vec<LogPart>, String> {
        let there = self.in_directory(directory);
        let mut parts = archived_beside(&there.path, &there.files)?;
        in_order(&mut parts);
        Ok(parts)
    }
}
