//! The end of a log file that appends.
//!
//! The order is the guarantee: journal the range → write the lines → (settle) sync the file →
//! journal the mark → sync the journal. Only then may anything be committed.

mod following;
mod operator;
mod own_rotation;
mod pending;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Archive;
use super::checkpoint::Checkpoint;
use super::disk::{Disk, FileId, Handle};
use super::journal::{
    CHECKED_BYTES, FileHead, FileNumber, FilePlace, MarkedFile, PositionChange, Range, RangePart,
};
use super::label::LogLabel;
use super::ledger::Ledger;
use super::options::LogFileOptions;
use super::recovery::OpenedLog;
use super::rotation::Rotation;
use operator::GivenUp;
use own_rotation::OwnRotation;
use pending::{PendingRange, rest_of, to_index};

/// Lines to be written, and their CRC, which is computed where the lines are made.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The bytes of complete lines.
    pub bytes: &'a [u8],
    /// CRC-32 of the bytes, ready to be combined with those of other pieces.
    pub crc: &'a crc32fast::Hasher,
}

/// Whether lines may be written at this very moment.
pub type Guard = Arc<dyn Fn() -> bool + Send + Sync>;

/// The end that appends. One thread owns it.
#[derive(Debug)]
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The file's number in its journal.
    number: FileNumber,
    /// If directories are made for the file: the one below which that is done.
    root: Option<PathBuf>,
    label: LogLabel,
    ledger: Ledger,
    file: Handle,
    id: FileId,
    end: u64,
    /// The last bytes before the end, at most [`CHECKED_BYTES`].
    tail: Vec<u8>,
    /// CRC-32 of the tail.
    before: u32,
    /// How the file begins.
    head: FileHead,
    /// A range that is journalled but not completely written.
    pending: Option<PendingRange>,
    /// A range was given up, and the file already has some of its lines: these are the lines to be written
    /// instead of the pieces. The caller must go on with the very same pieces.
    left: Option<Vec<u8>>,
    /// The pending range must be given up, and writing goes on elsewhere.
    given_up: Option<GivenUp>,
    /// Whether it was logged that another program appends to the file.
    is_foreign_logged: bool,
    rotation: Rotation,
    /// The time of the last write, in milliseconds since 1970.
    last_write: i64,
    /// The rotation under way, if pandad itself has moved the file away.
    rotating: Option<OwnRotation>,
    /// While the disk refuses a rotation: the time of the next attempt, in milliseconds since 1970.
    rotate_again: Option<i64>,
    /// The thread that compresses and deletes rotated files, if files are rotated.
    pub(super) archive: Option<Archive>,
    guard: WriteGuard,
    sync: bool,
}

/// A guard, if there is one.
#[derive(Clone, Default)]
pub(super) struct WriteGuard(pub(super) Option<Guard>);

impl WriteGuard {
    fn check(&self) -> Result<(), AppendError> {
        match &self.0 {
            Some(allows) if !allows() => Err(AppendError::Guarded),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for WriteGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "guarded" } else { "not guarded" })
    }
}

/// Why lines were not appended.
#[derive(Debug)]
pub enum AppendError {
    /// The guard does not allow it at present.
    Guarded,
    /// The disk does not accept them at present.
    Retry(io::Error),
    /// A sync has failed, or memory contradicts the journal. Only opening the file again shows what
    /// it really holds.
    Restart(io::Error),
}

impl AppendError {
    /// An entry can be refused because the journal had to be rewritten and a sync failed, or because the
    /// entry contradicts the journal. Then only a restart from what the disk holds can help.
    pub(super) fn of_journal(ledger: &Ledger, error: io::Error) -> Self {
        let is_contradiction = error.kind() == io::ErrorKind::InvalidData;
        let error = match ledger.journal_of_several() {
            Some(journal) if !is_contradiction => {
                io::Error::new(error.kind(), format!("{}: {error}", journal.display()))
            }
            _ => error,
        };
        if ledger.has_failed() || is_contradiction { Self::Restart(error) } else { Self::Retry(error) }
    }
}

impl LogWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        (path, number): (&Path, FileNumber),
        ledger: Ledger,
        opened: OpenedLog,
        options: &LogFileOptions,
    ) -> Self {
        Self {
            disk,
            path: path.to_owned(),
            number,
            root: None,
            label: LogLabel::new(options.job, path),
            ledger,
            file: opened.file,
            id: opened.id,
            end: opened.end,
            before: crc32fast::hash(&opened.tail),
            tail: opened.tail,
            head: opened.head,
            pending: None,
            left: None,
            given_up: None,
            is_foreign_logged: false,
            rotation: options.rotation.clone(),
            rotating: None,
            rotate_again: None,
            last_write: opened.modified * 1000,
            archive: None,
            guard: WriteGuard::default(),
            sync: options.sync,
        }
    }

    /// Sets the guard. From now on, nothing is announced or written unless the guard allows it.
    pub fn set_guard(&mut self, guard: Guard) {
        self.guard = WriteGuard(Some(guard));
    }

    /// Directories are made for the file, below this one.
    pub(super) fn below(self, root: &Path) -> Self {
        Self { root: Some(root.to_owned()), ..self }
    }

    /// Sets the guard, if there is one.
    pub(super) fn guarded(self, guard: WriteGuard) -> Self {
        Self { guard, ..self }
    }

    /// Whether a range is announced but not completely written. Only the very same pieces can complete it;
    /// otherwise the next start cuts it.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some() || self.left.is_some()
    }

    /// Appends the pieces as one range. `changes` are the positions after it.
    ///
    /// # Errors
    /// After `Retry` or `Guarded`, call again with the very same pieces: writing goes on at the
    /// byte where it stopped.
    pub fn append(&mut self, pieces: &[Piece<'_>], changes: &[PositionChange]) -> Result<(), AppendError> {
        loop {
            if self.pending.is_some() {
                self.look_before_rest(pieces)?;
            } else {
                self.prepare(pieces)?;
                let (sequence, parts) = (self.ledger.next_sequence(), vec![self.next_part(pieces)]);
                let range = Range { sequence, parts, changes: changes.to_vec() };
                self.announce_range(&range).map_err(|error| self.of_journal(error))?;
                self.begin(range);
            }
            self.write_rest(pieces)?;
            if let Some(GivenUp { opened, .. }) = &self.given_up {
                let files = vec![self.moved_to(opened)];
                let range = self.pending.as_ref().map(|pending| &pending.range);
                range
                    .map_or(Ok(()), |range| self.ledger.give_up(range, files))
                    .map_err(AppendError::Restart)?;
                self.go_on_elsewhere();
                continue;
            }
            if let Some(PendingRange { range, .. }) = self.pending.take() {
                self.extend_by(pieces);
                self.ledger.record_range(&range, &[self.written_part()]);
            }
            self.ledger.record_written(changes);
            return Ok(());
        }
    }

    /// Makes sure that a range can be announced: it may be written, and the file is the one at the path.
    pub(super) fn prepare(&mut self, pieces: &[Piece<'_>]) -> Result<(), AppendError> {
        self.guard.check()?;
        let bytes = pieces.iter().map(|piece| piece.bytes.len() as u64).sum();
        // If a range was given up, the rest of its lines must follow the lines that the file has already.
        let may_rotate = self.left.is_none();
        if may_rotate {
            self.rotate_if_due(bytes);
        }
        self.follow_path()?;
        // Another program may have appended before pandad looked at the path.
        if may_rotate && self.rotate_if_due(bytes) {
            self.follow_path()?;
        }
        Ok(())
    }

    /// A range with a part in this file is announced.
    pub(super) fn begin(&mut self, range: Range) {
        let part = range.part_of(self.number).copied();
        self.pending = part.map(|part| PendingRange::new(range, part));
    }

    /// The file's number in its journal.
    pub fn number(&self) -> FileNumber {
        self.number
    }

    /// Whether a range is announced of which the file has nothing.
    pub(super) fn is_untouched(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.written() == 0)
    }

    /// Whether the pending range must be given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Ends the part of a range that is completely in the file.
    pub(super) fn complete(&mut self, pieces: &[Piece<'_>]) {
        self.pending = None;
        self.extend_by(pieces);
    }

    /// The file, and where it ends.
    pub(super) fn written_part(&self) -> (FileNumber, &Handle, FilePlace) {
        (self.number, &self.file, self.place())
    }

    /// Records that the lines are in the file.
    fn extend_by(&mut self, pieces: &[Piece<'_>]) {
        self.last_write = (self.rotation.now)();
        match self.left.take() {
            Some(left) => self.extend(&left),
            None => pieces.iter().for_each(|piece| self.extend(piece.bytes)),
        }
        self.before = crc32fast::hash(&self.tail);
    }

    /// Records that the file has grown by these bytes.
    fn extend(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        extend_tail(&mut self.tail, bytes);
        self.head.extend(bytes);
    }

    /// Bytes written since the last checkpoint.
    pub fn unsettled(&self) -> u64 {
        self.ledger.unsettled()
    }

    /// Whether a checkpoint would make anything durable, or commit anything.
    pub fn needs_checkpoint(&self) -> bool {
        self.ledger.needs_checkpoint()
    }

    /// All that was appended so far.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.ledger.checkpoint()
    }

    /// Where the file ends.
    fn place(&self) -> FilePlace {
        FilePlace { file: self.id, end: self.end, before: crc32fast::hash(&self.tail), head: Some(self.head) }
    }

    fn moved_to(&self, opened: &OpenedLog) -> MarkedFile {
        MarkedFile { number: self.number, name: None, place: opened.place() }
    }

    /// The part that these lines are of the next range.
    pub(super) fn next_part(&self, pieces: &[Piece<'_>]) -> RangePart {
        let mut crc = crc32fast::Hasher::new();
        let mut length = 0;
        if let Some(left) = &self.left {
            crc.update(left);
            length = left.len() as u64;
        } else {
            for piece in pieces {
                crc.combine(piece.crc);
                length += piece.bytes.len() as u64;
            }
        }
        RangePart {
            number: self.number,
            file: self.id,
            from: self.end,
            to: self.end + length,
            crc: crc.finalize(),
            before: self.before,
        }
    }

    fn announce_range(&self, range: &Range) -> io::Result<()> {
        match self.ledger.announce(range)?.filter(|_| self.sync) {
            Some(journal) => journal.sync(),
            None => Ok(()),
        }
    }

    fn of_journal(&self, error: io::Error) -> AppendError {
        AppendError::of_journal(&self.ledger, error)
    }

    /// Writes the rest of the pending range, unless the range must be given up. After each write this looks
    /// at the file.
    pub(super) fn write_rest(&mut self, pieces: &[Piece<'_>]) -> Result<(), AppendError> {
        while let Some(pending) = &mut self.pending {
            if pending.is_complete() || self.given_up.is_some() {
                break;
            }
            // The guard is asked before each write, because the journal entry or the write before
            // may have taken long.
            self.guard.check()?;
            let rest = match &self.left {
                Some(left) => vec![IoSlice::new(left.get(to_index(pending.written())..).unwrap_or_default())],
                None => rest_of(pieces, pending.written()),
            };
            match self.file.append(&rest) {
                Ok(0) => return Err(AppendError::Retry(io::ErrorKind::WriteZero.into())),
                Ok(count) => pending.record_write(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AppendError::Retry(error)),
            }
            self.look(pieces)?;
        }
        Ok(())
    }
}

/// Appends to the kept last bytes, of which at most [`CHECKED_BYTES`] stay.
fn extend_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    let last = bytes.get(bytes.len().saturating_sub(CHECKED_BYTES)..).unwrap_or_default();
    let drop = (tail.len() + last.len()).saturating_sub(CHECKED_BYTES);
    tail.drain(..drop);
    tail.extend_from_slice(last);
}
