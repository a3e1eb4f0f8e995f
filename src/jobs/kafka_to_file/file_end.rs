//! The end of the job that appends: one log file, or the files of a path with placeholders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::formatter::FormattedBatch;
use crate::logfile::{
    AppendError, CompleteBefore, FileNumber, FileSet, FileWriters, Guard, Ledger, Lock, LogFile, LogWriter,
    Piece, PositionChange, RoutedPieces, Settler,
};
use crate::report::JobHealth;

/// The journal of a run and what it is of, open and locked.
pub(super) struct OpenLog {
    pub(super) files: Vec<OpenFile>,
    pub(super) settler: Settler,
    pub(super) ledger: Ledger,
    pub(super) lock: Lock,
    /// The locks of topics' files.
    pub(super) file_locks: Vec<Lock>,
}

/// A file of the job, or all files of a path of which the records decide which files there are.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    pub(super) end: FileEnd,
    /// What only one of several files has.
    pub(super) topic: Option<TopicFile>,
}

/// The topic of a file, and what is logged of the file's disk.
#[derive(Clone)]
pub(super) struct TopicFile {
    pub(super) topic: String,
    pub(super) health: Arc<JobHealth>,
}

impl OpenLog {
    fn of_one(path: PathBuf, end: FileEnd, (settler, ledger, lock): (Settler, Ledger, Lock)) -> Self {
        let files = vec![OpenFile { path, end, topic: None }];
        Self { files, settler, ledger, lock, file_locks: Vec::new() }
    }
}

impl From<(PathBuf, LogFile)> for OpenLog {
    fn from((path, LogFile { writer, settler, ledger, lock }): (PathBuf, LogFile)) -> Self {
        Self::of_one(path, FileEnd::One(writer), (settler, ledger, lock))
    }
}

impl From<(PathBuf, FileSet)> for OpenLog {
    fn from((base, FileSet { writers, settler, ledger, lock }): (PathBuf, FileSet)) -> Self {
        Self::of_one(base, FileEnd::Many(writers), (settler, ledger, lock))
    }
}

/// See the module.
pub(super) enum FileEnd {
    One(LogWriter),
    Many(FileWriters),
}

/// All writes go through one lane: each is completed before the next begins.
const LANE: usize = 0;

impl FileEnd {
    /// The file's number in the journal, if it is one.
    pub(super) fn number(&self) -> Option<FileNumber> {
        match self {
            Self::One(writer) => Some(writer.number()),
            Self::Many(_) => None,
        }
    }

    /// As of [`LogWriter::set_guard`].
    pub(super) fn set_guard(&mut self, guard: Guard) {
        match self {
            Self::One(writer) => writer.set_guard(guard),
            Self::Many(writers) => writers.set_guard(guard),
        }
    }

    /// As of [`LogWriter::append`].
    pub(super) fn append(
        &mut self,
        batches: &[FormattedBatch],
        changes: &[PositionChange],
    ) -> Result<(), AppendError> {
        match self {
            Self::One(writer) => {
                let pieces: Vec<Piece<'_>> =
                    batches.iter().map(|batch| Piece { bytes: &batch.lines, crc: &batch.crc }).collect();
                writer.append(&pieces, changes)
            }
            Self::Many(writers) => writers.append(LANE, &routed(batches), changes),
        }
    }

    /// As of [`LogWriter::room`]. Of several files the sizes are looked at before each write.
    pub(super) fn room(&self) -> Option<(u64, u64)> {
        match self {
            Self::One(writer) => writer.room(),
            Self::Many(_) => None,
        }
    }

    /// How many files one write may go to.
    pub(super) fn files_max(&self) -> usize {
        match self {
            Self::One(_) => usize::MAX,
            Self::Many(writers) => writers.open_max(),
        }
    }

    /// As of [`LogWriter::is_pending`].
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Self::One(writer) => writer.is_pending(),
            Self::Many(writers) => writers.is_pending(LANE),
        }
    }

    /// As of [`LogWriter::tick`].
    pub(super) fn tick(&mut self) -> Result<(), AppendError> {
        match self {
            Self::One(writer) => writer.tick(),
            Self::Many(writers) => writers.tick(),
        }
    }

    /// As of [`LogWriter::reopen`].
    pub(super) fn reopen(&mut self) -> Result<bool, AppendError> {
        match self {
            Self::One(writer) => writer.reopen(),
            Self::Many(writers) => writers.reopen(),
        }
    }

    /// As of [`FileWriters::finish`].
    pub(super) fn finish(&mut self, before: &CompleteBefore) -> Result<usize, AppendError> {
        match self {
            Self::One(_) => Ok(0),
            Self::Many(writers) => writers.finish(before),
        }
    }

    /// As of [`LogWriter::end`].
    pub(super) fn end(&mut self) -> std::io::Result<()> {
        match self {
            Self::One(writer) => writer.end(),
            Self::Many(writers) => writers.end(),
        }
    }
}

/// The lines of these outcomes, by their files, each in the order of the outcomes.
fn routed(batches: &[FormattedBatch]) -> Vec<RoutedPieces<'_>> {
    let mut files: Vec<RoutedPieces<'_>> = Vec::new();
    for span in batches.iter().flat_map(|batch| batch.spans.iter().map(move |span| (batch, span))) {
        let (batch, span) = span;
        let piece = Piece { bytes: batch.lines_of(span), crc: &span.crc };
        let path: &Path = &span.path;
        match files.iter_mut().find(|file| file.path == path) {
            Some(file) => file.pieces.push(piece),
            None => {
                let (until, scope) = (span.until, &span.scope);
                files.push(RoutedPieces { path, until, scope, pieces: vec![piece] });
            }
        }
    }
    files
}
