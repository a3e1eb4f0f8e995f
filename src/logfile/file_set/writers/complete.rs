//! Complete files: nothing more goes to these, and they are moved if that is asked for.

use std::path::{Path, PathBuf};

use super::FileWriters;
use crate::logfile::file_set::CompleteBefore;
use crate::logfile::file_set::known_files::KnownFile;
use crate::logfile::file_set::publish::{free_name, publish};
use crate::logfile::journal::{ClosingFile, FileNumber};
use crate::logfile::writer::AppendError;

impl FileWriters {
    /// Finishes the files of the periods that are complete, if everything in these has settled: moves them if
    /// that is asked for. Returns how many.
    ///
    /// # Errors
    /// The disk refuses. Call again.
    pub fn finish(&mut self, before: &CompleteBefore) -> Result<usize, AppendError> {
        before.scopes.iter().for_each(|(scope, before)| self.ledger.record_complete(scope, *before));
        let complete = self.known.matching(|path, known| {
            let is_idle = self.open.get(path).is_none_or(|open| !open.writer.is_pending());
            // A run that was interrupted may have begun to move it.
            let is_complete = known.until.is_some_and(|until| before.holds(&known.scope, until));
            (is_complete || known.closing.is_some()) && is_idle
        });
        let complete = complete.into_iter().filter(|(_, known)| self.ledger.is_settled(known.number));
        let complete: Vec<(PathBuf, KnownFile)> = complete.collect();
        if complete.is_empty() {
            return Ok(0);
        }
        let done = if self.complete_dir.is_some() { self.publish(complete)? } else { complete };
        let numbers: Vec<FileNumber> = done.iter().map(|(_, known)| known.number).collect();
        let finished = self.ledger.finish_files(&numbers).map_err(|error| self.of_journal(error))?;
        for (path, _) in done.iter().filter(|(_, known)| finished.contains(&known.number)) {
            self.open.remove(path);
            self.known.remove(path);
        }
        Ok(finished.len())
    }

    /// Moves complete files. Returns those that are moved; the others are tried again.
    fn publish(
        &mut self,
        complete: Vec<(PathBuf, KnownFile)>,
    ) -> Result<Vec<(PathBuf, KnownFile)>, AppendError> {
        let Some(complete_dir) = self.complete_dir.clone() else { return Ok(complete) };
        let mut closing = Vec::new();
        for (path, known) in complete.iter().filter(|(_, known)| known.closing.is_none()) {
            // Without syncs of their own, files are at least durable before they are given away.
            self.ledger.sync_to_close(known.number).map_err(AppendError::Restart)?;
            self.open.remove(path);
            let below = path.strip_prefix(&self.root).unwrap_or(path);
            let to = free_name(&*self.disk, &complete_dir.join(below)).map_err(AppendError::Retry)?;
            self.known.close(path, to.clone());
            closing.push(closing_to(&complete_dir, known, &to));
        }
        if !closing.is_empty() {
            self.ledger.close_files(closing).map_err(AppendError::Restart)?;
        }
        let (mut done, mut taken) = (Vec::new(), Vec::new());
        for (path, known) in complete {
            let Some(to) = self.known.get(&path).and_then(|known| known.closing.clone()) else { continue };
            let place = self.ledger.place_of(known.number);
            let directories = &mut self.complete_directories;
            let moved =
                place.map_or(Ok(true), |place| publish(&*self.disk, directories, (&path, &place), &to));
            if moved.map_err(AppendError::Retry)? {
                done.push((path, known));
                continue;
            }
            let to = free_name(&*self.disk, &to).map_err(AppendError::Retry)?;
            self.known.close(&path, to.clone());
            taken.push(closing_to(&complete_dir, &known, &to));
        }
        if !taken.is_empty() {
            self.ledger.close_files(taken).map_err(AppendError::Restart)?;
        }
        Ok(done)
    }
}

fn closing_to(complete_dir: &Path, known: &KnownFile, to: &Path) -> ClosingFile {
    let to = to.strip_prefix(complete_dir).unwrap_or(to).to_owned();
    ClosingFile { number: known.number, to }
}
