//! Complete files: nothing more goes to these, and they are moved if that is asked for.

use std::io;
use std::path::{Path, PathBuf};

use super::FileWriters;
use crate::log_names::is_compressed_to;
use crate::logfile::file_set::CompleteBefore;
use crate::logfile::file_set::known_files::KnownFile;
use crate::logfile::file_set::part_file::{part_of, remove_if_there};
use crate::logfile::file_set::publish::{Publication, free_name, publish, publish_compressed};
use crate::logfile::journal::{ClosingFile, FileNumber};
use crate::logfile::writer::AppendError;

impl FileWriters {
    /// Finishes the files of the periods that are complete, if everything in these has settled: moves them if
    /// that is asked for. Returns how many.
    ///
    /// # Errors
    /// The disk refuses. Call again.
    pub fn finish(&mut self, before: &CompleteBefore) -> Result<usize, AppendError> {
        self.compressor.take_answers();
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
        let done = match self.complete_dir.clone() {
            Some(complete_dir) => self.publish(&complete_dir, complete)?,
            None => self.leave(complete)?,
        };
        let numbers: Vec<FileNumber> = done.iter().map(|(_, known)| known.number).collect();
        let finished = self.ledger.finish_files(&numbers).map_err(|error| self.of_journal(error))?;
        for (path, _) in done.iter().filter(|(_, known)| finished.contains(&known.number)) {
            self.compressor.forget(path);
            self.open.remove(path);
            self.known.remove(path);
        }
        Ok(finished.len())
    }

    /// Complete files stay where they are, also those that an earlier run was about to move.
    fn leave(
        &mut self,
        complete: Vec<(PathBuf, KnownFile)>,
    ) -> Result<Vec<(PathBuf, KnownFile)>, AppendError> {
        for (path, _) in complete.iter().filter(|(_, known)| known.closing.is_some()) {
            remove_if_there(&*self.disk, &part_of(path)).map_err(AppendError::Retry)?;
        }
        Ok(complete)
    }

    /// Moves complete files. Returns those that are moved; the others are tried again.
    fn publish(
        &mut self,
        complete_dir: &Path,
        complete: Vec<(PathBuf, KnownFile)>,
    ) -> Result<Vec<(PathBuf, KnownFile)>, AppendError> {
        for (path, known) in complete.iter().filter(|(_, known)| known.closing.is_none()) {
            // Without syncs of their own, files are at least durable before they are given away.
            self.ledger.sync_to_close(known.number).map_err(AppendError::Restart)?;
            self.open.remove(path);
        }
        let new = complete.iter().filter(|(_, known)| known.closing.is_none());
        self.close(
            complete_dir,
            new.map(|(path, known)| (path, known.number, self.complete_gzip)).collect(),
        )?;
        let (mut done, mut taken, mut uncompressed) = (Vec::new(), Vec::new(), Vec::new());
        for (path, known) in complete {
            let Some(to) = self.known.get(&path).and_then(|known| known.closing.clone()) else { continue };
            let refused = |error: io::Error| {
                let text = format!("{} cannot be moved to {}: {error}", path.display(), to.display());
                AppendError::Retry(io::Error::new(error.kind(), text))
            };
            match self.publish_file(&path, known.number, &to).map_err(refused)? {
                Publication::Done => done.push((path, known)),
                Publication::Taken => taken.push((path.clone(), known.number, is_compressed_to(&path, &to))),
                Publication::Uncompressed => uncompressed.push(path),
            }
        }
        self.compressor.ask(uncompressed);
        self.close(complete_dir, taken.iter().map(|(path, number, gzip)| (path, *number, *gzip)).collect())?;
        Ok(done)
    }

    fn publish_file(&mut self, path: &Path, number: FileNumber, to: &Path) -> io::Result<Publication> {
        let Some(place) = self.ledger.place_of(number) else { return Ok(Publication::Done) };
        let (disk, directories) = (&*self.disk, &mut self.complete_directories);
        if self.compressor.is_at(path) {
            return Ok(Publication::Uncompressed);
        }
        if is_compressed_to(path, to) {
            return publish_compressed(disk, directories, (path, &place), to, self.compressor.made_of(path));
        }
        publish(disk, directories, (path, &place), to)
    }

    /// Journals that these files are about to be moved, to names that nothing has.
    fn close(
        &mut self,
        complete_dir: &Path,
        files: Vec<(&PathBuf, FileNumber, bool)>,
    ) -> Result<(), AppendError> {
        let (mut named, mut reserved) = (Vec::new(), self.known.reserved());
        for (path, number, gzip) in files {
            let to = complete_dir.join(path.strip_prefix(&self.root).unwrap_or(path));
            let to = free_name(&*self.disk, &to, gzip, &reserved).map_err(AppendError::Retry)?;
            reserved.insert(to.clone());
            named.push((path, number, to));
        }
        if named.is_empty() {
            return Ok(());
        }
        let below = |to: &Path| to.strip_prefix(complete_dir).unwrap_or(to).to_owned();
        let closing = named.iter().map(|(_, number, to)| ClosingFile { number: *number, to: below(to) });
        self.ledger.close_files(closing.collect()).map_err(AppendError::Restart)?;
        named.into_iter().for_each(|(path, _, to)| self.known.close(path, to));
        Ok(())
    }
}
