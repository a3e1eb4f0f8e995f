//! What happens to a range when another program or a person handles the file while the range is being
//! written, and to bytes that another program appends between two ranges.

use std::io;

use super::pending::Found;
use super::{AppendError, LogWriter, Piece, extend_tail};
use crate::logfile::disk::Handle;
use crate::logfile::journal::{CHECKED_BYTES, FileHead, MarkedFile, Range, RangePart};
use crate::logfile::locate::tail;
use crate::logfile::recovery::OpenedLog;

/// Bytes that another program appends are journalled as a range only up to this size, because their CRC
/// must be computed.
const FOREIGN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How often the file is looked at again after an end of line was appended for another program.
const LOOKS_MAX: u32 = 16;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// Where writing goes on after a range was given up.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) opened: OpenedLog,
    /// The lines that are not in the file.
    left: Vec<u8>,
}

impl LogWriter {
    /// Looks at the path and at the file before a pending range is continued.
    ///
    /// The bytes of a range that was begun stay together: they are completed under whatever name the
    /// file has now, as long as it has one.
    pub(in crate::logfile) fn look_before_rest(&mut self, pieces: &[Piece<'_>]) -> Result<(), AppendError> {
        let is_moved = match self.disk.stat(&self.path) {
            Ok(stat) => stat.id != self.id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_moved && let Some(pending) = &mut self.pending {
            let stat = self.file.stat().map_err(AppendError::Retry)?;
            if stat.links > 0 && pending.written() == 0 {
                let bytes = self.bytes_of(pieces);
                self.give_up(bytes)?;
                log::info!(
                    "{}: was moved away before a write; going on in the file that is at this \
                     path now",
                    self.label
                );
                return Ok(());
            }
            if stat.links > 0 && !std::mem::replace(&mut pending.is_move_logged, true) {
                log::info!(
                    "{}: was moved away in the middle of a write; the moved file gets the rest of the write",
                    self.label
                );
            }
        }
        self.look(pieces)
    }

    /// Compares the file with what was written of the pending range. If they differ, the range is given up,
    /// and the lines that are not in the file are kept to be announced again.
    pub(super) fn look(&mut self, pieces: &[Piece<'_>]) -> Result<(), AppendError> {
        for _ in 0..LOOKS_MAX {
            if self.look_once(pieces)? {
                return Ok(());
            }
        }
        let why = "another program appends to it again and again without ending a line";
        Err(AppendError::Retry(io::Error::other(why)))
    }

    /// False if a line that nobody will complete had to be ended, so that the file is to be looked at again.
    fn look_once(&mut self, pieces: &[Piece<'_>]) -> Result<bool, AppendError> {
        let Some(pending) = &mut self.pending else { return Ok(true) };
        let stat = self.file.stat().map_err(AppendError::Retry)?;
        let order = stat.len.cmp(&pending.expected_len());
        if stat.links == 0 {
            let bytes = self.bytes_of(pieces);
            self.give_up(bytes)?;
            log::warn!(
                "{}: was removed in the middle of a write; the write is repeated in a new file",
                self.label
            );
            return Ok(true);
        }
        if order.is_eq() {
            pending.record_seen(pending.written());
            return Ok(true);
        }
        let bytes = self.bytes_of(pieces);
        self.find_rest(stat.len, order.is_lt(), &bytes)
    }

    /// As [`Self::look_once`], for a file that is there and has another length than expected.
    fn find_rest(&mut self, len: u64, is_shorter: bool, bytes: &[u8]) -> Result<bool, AppendError> {
        let Some(pending) = &mut self.pending else { return Ok(true) };
        match pending.find(&self.file, len, bytes).map_err(AppendError::Retry)? {
            Found::Prefix(seen) => {
                pending.record_seen(seen);
                log::info!(
                    "{}: another program changed this file in the middle of a write; the write goes on",
                    self.label
                );
                Ok(true)
            }
            Found::Parts { .. } if !ends_with_newline(&self.file, len).map_err(AppendError::Retry)? => {
                // Nobody will complete the last line. The newline may make it whole after all.
                self.file.append_all(b"\n").map_err(AppendError::Retry)?;
                Ok(false)
            }
            Found::Parts { left, torn } => {
                self.give_up(left)?;
                self.log_given_up(is_shorter, torn);
                Ok(true)
            }
        }
    }

    fn log_given_up(&self, is_shorter: bool, torn: Option<u64>) {
        let label = &self.label;
        if is_shorter {
            log::warn!(
                "{label}: another program shortened this file in the middle of a write; the missing part of \
                 the write is repeated"
            );
        } else {
            log::warn!(
                "{label}: another program appended to this file in the middle of a write; the missing part \
                 of the write is repeated"
            );
        }
        if let Some(at) = torn {
            log::error!(
                "{label}: the line at byte {at} stays torn, because another program changed this file in \
                 the middle of the write; the line is written again, whole"
            );
        }
    }

    /// The pending range cannot be completed: writing is to go on with `left` at the end of the file that is
    /// at the path now, once the journal says so. After an error nothing has changed.
    fn give_up(&mut self, left: Vec<u8>) -> Result<(), AppendError> {
        // The journal will say that earlier ranges are durable.
        self.file.sync().map_err(AppendError::Restart)?;
        let opened = self.open_anew().map_err(AppendError::Retry)?;
        self.given_up = Some(GivenUp { opened, left });
        Ok(())
    }

    /// The journal has given up the pending range.
    pub(in crate::logfile) fn go_on_elsewhere(&mut self) {
        self.pending = None;
        if let Some(GivenUp { opened, left }) = self.given_up.take() {
            self.left = Some(left);
            self.go_to(opened);
        }
    }

    /// Takes the lines of a pending range out of the file again, because the range must be given up in
    /// another one of its files. If others have handled this file, too, only some of the lines are left to be
    /// written. Returns where writing goes on, unless that is where the range began.
    pub(in crate::logfile) fn take_back(
        &mut self,
        pieces: &[Piece<'_>],
    ) -> Result<Option<MarkedFile>, AppendError> {
        if self.given_up.is_none() {
            self.look(pieces)?;
        }
        if let Some(GivenUp { opened, .. }) = &self.given_up {
            return Ok(Some(self.moved_to(opened)));
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.written() > 0) {
            self.file.set_len(pending.part.from).map_err(AppendError::Retry)?;
            pending.record_seen(0);
        }
        Ok(None)
    }

    /// Takes back a range of which nothing is written, as on a full disk or without the lease. Otherwise the
    /// next start would take what another program appends meanwhile for a part of the range, and cut it.
    ///
    /// # Errors
    /// The disk refuses. Then the range stays.
    pub fn end(&mut self) -> io::Result<()> {
        let Some(pending) = self.pending.as_ref().filter(|pending| pending.written() == 0) else {
            return Ok(());
        };
        let range = pending.range.clone();
        if self.file.stat()?.links == 0 {
            return Ok(());
        }
        // The mark says that earlier ranges are durable.
        self.file.sync()?;
        let opened = self.open_anew()?;
        self.ledger.give_up(&range, vec![self.moved_to(&opened)])?;
        (self.pending, self.left) = (None, None);
        self.go_to(opened);
        Ok(())
    }

    /// The bytes of the pending range.
    fn bytes_of(&self, pieces: &[Piece<'_>]) -> Vec<u8> {
        match &self.left {
            Some(left) => left.clone(),
            None => pieces.iter().flat_map(|piece| piece.bytes).copied().collect(),
        }
    }

    /// Journals bytes that another program has appended as a range without positions. So the ranges still
    /// follow each other, and neither the file nor the journal need be synced. False if there are too many
    /// bytes for that, or if the file does not come to rest at the end of a line.
    pub(super) fn skip_foreign(&mut self, mut len: u64) -> Result<bool, AppendError> {
        for _ in 0..LOOKS_MAX {
            if !(self.end..=self.end + FOREIGN_BYTES_MAX).contains(&len) {
                return Ok(false);
            }
            let (crc, tail, head) = self.read_foreign(len).map_err(AppendError::Retry)?;
            if tail.last() == Some(&b'\n') {
                self.announce_foreign(len, (crc, tail, head))?;
                return Ok(true);
            }
            // Lines must not run together. The newline belongs to the bytes that are skipped next.
            self.file.append_all(b"\n").map_err(AppendError::Retry)?;
            len = self.file.stat().map_err(AppendError::Retry)?.len;
        }
        Ok(false)
    }

    fn announce_foreign(
        &mut self,
        len: u64,
        (crc, tail, head): (u32, Vec<u8>, FileHead),
    ) -> Result<(), AppendError> {
        let (from, before) = (self.end, self.before);
        let sequence = self.ledger.next_sequence();
        let part = RangePart { number: self.number, file: self.id, from, to: len, crc, before };
        let range = Range { sequence, parts: vec![part], changes: Vec::new() };
        self.announce_range(&range).map_err(|error| self.of_journal(error))?;
        self.end = len;
        self.before = crc32fast::hash(&tail);
        (self.tail, self.head) = (tail, head);
        self.ledger.record_range(&range, &[self.written_part()]);
        if !std::mem::replace(&mut self.is_foreign_logged, true) {
            log::info!(
                "{}: another program also appends to this file; the lines of both are kept",
                self.label
            );
        }
        Ok(())
    }

    /// Whether it was logged that another program appends.
    #[cfg(test)]
    pub(in crate::logfile) fn is_foreign_logged(&self) -> bool {
        self.is_foreign_logged
    }

    /// The CRC of the bytes that another program appended, the last bytes before `len`, and how the file
    /// begins.
    fn read_foreign(&self, len: u64) -> io::Result<(u32, Vec<u8>, FileHead)> {
        let (mut crc, mut tail, mut head) = (crc32fast::Hasher::new(), self.tail.clone(), self.head);
        let mut buffer = vec![0; READ_BYTES.max(CHECKED_BYTES)];
        let mut at = self.end;
        while at < len {
            let wanted = usize::try_from(len - at).unwrap_or(READ_BYTES).min(buffer.len());
            let piece = buffer.get_mut(..wanted).unwrap_or_default();
            self.file.read_exact_at(piece, at)?;
            crc.update(piece);
            extend_tail(&mut tail, piece);
            head.extend(piece);
            at += wanted as u64;
        }
        Ok((crc.finalize(), tail, head))
    }
}

fn ends_with_newline(file: &Handle, len: u64) -> io::Result<bool> {
    Ok(matches!(tail(file, len)?.last(), None | Some(b'\n')))
}
