//! The journal's file: preallocated and filled, in two halves of the same size, so that a full disk stops
//! neither an entry nor a rewrite.
//!
//! Entries are appended to the half in force, which is the one with the higher generation. When that half
//! is full, a snapshot of the whole state goes to the other half. The header of the other half is written
//! only when the snapshot is durable, so a crash in between leaves the old half in force.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::frame::{FILL, encode_frame, unreadable};
use super::halves::{lacks_newest, newest_half, split};
use super::header::{FEATURE_FILES, FORMAT_VERSION, HALF_HEADER_BYTES, HalfHeader};
use super::replay::JournalContents;
use super::{JournalEntry, ONLY_FILE};
use crate::logfile::disk::{Disk, Handle, OpenMode, directory_of, read_all, with_suffix};

/// The least size of a half, in bytes.
pub(in crate::logfile) const HALF_BYTES_MIN: u64 = 256 * 1024;
/// The unused part of a half is filled from this block.
static FILL_BLOCK: [u8; 16 * 1024] = [FILL; 16 * 1024];
/// The largest piece that a disk loses as a whole.
const PAGE_BYTES: u64 = 4096;
/// The largest file that is read as a journal, in bytes.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// What [`JournalFile::read`] finds.
#[derive(Debug)]
pub(in crate::logfile) enum JournalRead {
    /// There is no file.
    Missing,
    /// The file is not a journal, or both halves of it are damaged. The text says which of the two.
    Unreadable(String),
    /// A journal of a later version of the format.
    Later(u16),
    /// A journal, and what was read of it. If `whole` is false, the disk has lost some of the written
    /// bytes, so entries may be missing.
    Journal { journal: Box<JournalFile>, contents: Box<JournalContents>, whole: bool },
}

/// The journal's file, open for appending.
#[derive(Debug)]
pub(in crate::logfile) struct JournalFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Handle,
    half: u64,
    active: u64,
    generation: u64,
    /// The header of the half in force, if there is one.
    header: Option<HalfHeader>,
    identity: u128,
    /// Where the next frame goes, counted from the start of the half.
    at: u64,
    /// Where the half's snapshot ends.
    base: u64,
    /// Where the last marks begin, oldest first: back to the last one that begins a page before the newest.
    marks: VecDeque<u64>,
    /// The byte up to which the half is durable. Each generation has a counter of its own.
    synced: Arc<AtomicU64>,
    /// The buffer in which entries are encoded.
    frame: Vec<u8>,
}

/// Makes everything durable that the journal held when this value was taken from it.
#[derive(Debug, Clone)]
pub(in crate::logfile) struct JournalSync {
    file: Handle,
    to: u64,
    synced: Arc<AtomicU64>,
}

impl JournalSync {
    /// As [`Handle::sync`].
    pub(in crate::logfile) fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.synced.fetch_max(self.to, SeqCst);
        Ok(())
    }
}

/// Why an entry was not appended.
#[derive(Debug)]
pub(in crate::logfile) enum EntryRefused {
    /// The half is full. After a rewrite there is room.
    Full,
    /// The disk refuses, or the entry itself is faulty.
    Io(io::Error),
}

impl JournalFile {
    /// Creates the file with `snapshot` in both halves: under another name, synced, then renamed.
    /// The name is durable only when the caller has synced the directory.
    pub(in crate::logfile) fn create(
        disk: &Arc<dyn Disk>,
        path: &Path,
        identity: u128,
        least: u64,
        snapshot: &[JournalEntry],
    ) -> io::Result<Self> {
        let first = EncodedSnapshot::new(snapshot, 1)?;
        let half = least.max(HALF_HEADER_BYTES + 4 * first.bytes.len() as u64).next_multiple_of(4096);
        if half * 2 > JOURNAL_BYTES_MAX {
            return Err(unreadable("a journal of this size"));
        }
        let aside = with_suffix(path, ".new");
        let file = disk.open(&aside, OpenMode::Truncate)?;
        let mut journal = Self::of_file(disk, path, file, half);
        (journal.active, journal.identity) = (1, identity);
        // The snapshot is written twice: if the second copy is ever damaged, the first replaces it.
        journal.fill_other_half(first)?;
        journal.fill_other_half(EncodedSnapshot::new(snapshot, 2)?)?;
        disk.rename(&aside, path)?;
        Ok(journal)
    }

    fn of_file(disk: &Arc<dyn Disk>, path: &Path, file: Handle, half: u64) -> Self {
        Self {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            file,
            half,
            active: 0,
            generation: 0,
            header: None,
            identity: 0,
            at: half,
            base: 0,
            marks: VecDeque::new(),
            synced: Arc::default(),
            frame: Vec::new(),
        }
    }

    /// Reads the file at `path`, in order to go on in it.
    pub(in crate::logfile) fn read(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<JournalRead> {
        let mut file = match disk.open(path, OpenMode::Existing) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(JournalRead::Missing),
            Err(error) => return Err(error),
        };
        // If the kernel failed to write pages back earlier and has not reported that yet, this sync reports
        // it.
        let whole = file.sync().is_ok();
        if !whole {
            file = disk.open(path, OpenMode::Existing)?;
        }
        Self::read_from(disk, path, file, whole)
    }

    /// Reads the file at `path`, which a running pandad may be writing at this moment. Nothing is synced,
    /// because old kernels report a failed write-back only once, and it is for that pandad.
    pub(in crate::logfile) fn look(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<JournalRead> {
        match disk.open(path, OpenMode::Reading) {
            Ok(file) => Self::read_from(disk, path, file, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(JournalRead::Missing),
            Err(error) => Err(error),
        }
    }

    fn read_from(disk: &Arc<dyn Disk>, path: &Path, file: Handle, whole: bool) -> io::Result<JournalRead> {
        let Some(bytes) = read_all(&*file, JOURNAL_BYTES_MAX)? else {
            return Ok(JournalRead::Unreadable(format!(
                "more than {JOURNAL_BYTES_MAX} bytes are too many for a journal"
            )));
        };
        let (halves, half) = split(&bytes);
        let headers = halves.map(HalfHeader::read);
        if let Some(later) = headers.iter().flatten().find(|header| header.is_later()) {
            return Ok(JournalRead::Later(later.version.max(FORMAT_VERSION + 1)));
        }
        let Some((header, active, contents)) = newest_half(halves, headers) else {
            return Ok(JournalRead::Unreadable("no half of it has a valid header".to_owned()));
        };
        if contents.newest.entries.is_empty() {
            return Ok(JournalRead::Unreadable("its newest half holds no entry".to_owned()));
        }
        if let Some(why) = lacks_newest(halves, half, &header, active) {
            return Ok(JournalRead::Unreadable(why));
        }
        // Nothing is appended to a half that was read: the start begins a new snapshot in the other half.
        let mut journal = Self::of_file(disk, path, file, half);
        (journal.active, journal.generation) = (active as u64, header.generation);
        (journal.identity, journal.header) = (header.identity, Some(header));
        Ok(JournalRead::Journal { journal: Box::new(journal), contents: Box::new(contents), whole })
    }

    /// The random name that the journal got when it was created.
    pub(in crate::logfile) fn identity(&self) -> u128 {
        self.identity
    }

    /// Gives the journal a new identity, which its next rewrite records.
    pub(in crate::logfile) fn rename(&mut self, identity: u128) {
        self.identity = identity;
    }

    /// The handle with which another thread makes durable what was appended so far.
    pub(in crate::logfile) fn to_sync(&self) -> JournalSync {
        JournalSync { file: self.file.clone(), to: self.at, synced: Arc::clone(&self.synced) }
    }

    /// Whether a sync has failed. After that no later sync succeeds.
    pub(in crate::logfile) fn has_failed(&self) -> bool {
        self.file.has_failed()
    }

    /// The byte up to which the half is durable.
    pub(in crate::logfile) fn synced_to(&self) -> u64 {
        self.synced.load(SeqCst)
    }

    /// The byte from which on the next mark repeats the changes, so that it makes up for a lost page.
    ///
    /// The last mark may be in that page, with its last byte even, and other marks before it. So the page
    /// begins less than a page before that mark, in the middle of an entry perhaps, which is lost then, too.
    /// No entry before the one in which the page begins is lost, and a mark that begins a page before the
    /// last one is at or before that entry.
    pub(in crate::logfile) fn repeated_since(&self) -> u64 {
        self.marks.front().copied().unwrap_or(0).max(self.base)
    }

    /// Whether the last mark may not be durable.
    pub(in crate::logfile) fn has_unsynced_mark(&self) -> bool {
        self.marks.back().is_some_and(|at| self.synced_to() <= *at)
    }

    fn note_mark(&mut self, at: u64) {
        self.marks.push_back(at);
        while self.marks.get(1).is_some_and(|second| second + PAGE_BYTES <= at) {
            self.marks.pop_front();
        }
    }

    /// Appends one entry, and returns the byte of the half at which the entry begins. After an error,
    /// nothing has been appended.
    pub(in crate::logfile) fn append(&mut self, entry: &JournalEntry) -> Result<u64, EntryRefused> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let appended = self.append_frame(&mut frame, entry);
        self.frame = frame;
        appended
    }

    fn append_frame(&mut self, frame: &mut Vec<u8>, entry: &JournalEntry) -> Result<u64, EntryRefused> {
        encode_frame(frame, entry, self.generation, self.at).map_err(EntryRefused::Io)?;
        // The failed sync may have been that of a header which stands in the file all the same. Then the
        // next start reads the other half, and would not find this entry.
        if self.has_failed() {
            let text = "an earlier sync of the journal has failed";
            return Err(EntryRefused::Io(io::Error::other(text)));
        }
        let at = self.at;
        if at + frame.len() as u64 > self.half {
            return Err(EntryRefused::Full);
        }
        self.file.write_at(frame, self.active * self.half + at).map_err(EntryRefused::Io)?;
        self.at += frame.len() as u64;
        if matches!(entry, JournalEntry::Mark(_)) {
            self.note_mark(at);
        }
        Ok(at)
    }

    /// Begins again with `snapshot`, durably: in the other half or, if that is too small, in a
    /// larger file.
    ///
    /// `next` is the entry that did not fit. There is room for it afterwards.
    pub(in crate::logfile) fn rewrite(
        &mut self,
        snapshot: &[JournalEntry],
        next: Option<&JournalEntry>,
    ) -> io::Result<()> {
        let encoded = EncodedSnapshot::new(snapshot, self.generation + 1)?;
        let mut room = Vec::new();
        next.map_or(Ok(()), |next| encode_frame(&mut room, next, 0, 0))?;
        let needed = HALF_HEADER_BYTES + 2 * (encoded.bytes.len() + room.len()) as u64;
        if needed > self.half {
            // From the rename on, only the new file is the journal, even if the sync of its name
            // fails. An entry appended to the old file would not be found again.
            *self = Self::create(&self.disk, &self.path, self.identity, needed.max(self.half * 2), snapshot)?;
            return self.disk.sync_names(directory_of(&self.path));
        }
        self.fill_other_half(encoded)
    }

    fn fill_other_half(
        &mut self,
        EncodedSnapshot { bytes, base, generation, features }: EncodedSnapshot,
    ) -> io::Result<()> {
        let other = 1 - self.active;
        let at = HALF_HEADER_BYTES + bytes.len() as u64;
        let identity = self.identity;
        let (version, half) = (FORMAT_VERSION, self.half);
        let header = HalfHeader { version, identity, generation, base, features, half, is_followed: false };
        let header_bytes = header.bytes();
        if HalfHeader::read(&header_bytes).as_ref() != Some(&header) {
            return Err(unreadable("a header"));
        }
        let start = other * self.half;
        self.file.write_at(&bytes, start + HALF_HEADER_BYTES)?;
        // The rest of the half is filled, so that bytes of an older generation are not taken for damage.
        let mut filled = at;
        while filled < self.half {
            let count = FILL_BLOCK.len().min(usize::try_from(self.half - filled).unwrap_or(usize::MAX));
            self.file.write_at(FILL_BLOCK.get(..count).unwrap_or_default(), start + filled)?;
            filled += count as u64;
        }
        self.file.sync()?;
        self.file.write_at(&header_bytes, start)?;
        self.file.sync()?;
        (self.active, self.generation) = (other, generation);
        (self.at, self.base, self.marks) = (at, base, VecDeque::from([base]));
        self.synced = Arc::new(AtomicU64::new(at));
        if let Some(before) = self.header.replace(header) {
            self.note_followed(HalfHeader { half, is_followed: true, ..before });
        }
        Ok(())
    }

    /// Notes in the other half that this one has followed. The half in force is durable, and the note
    /// matters only if that half is destroyed, so the note is not waited for.
    fn note_followed(&self, before: HalfHeader) {
        let start = (1 - self.active) * self.half;
        let write = |(at, note): (u64, [u8; 8])| self.file.write_at(&note, start + at);
        if let Err(error) = before.notes().into_iter().try_for_each(write) {
            log::debug!("{}: the half before is not noted as followed: {error}", self.path.display());
        }
    }
}

/// The frames of a snapshot.
struct EncodedSnapshot {
    bytes: Vec<u8>,
    /// Where the snapshot ends in its half: after its mark.
    base: u64,
    generation: u64,
    features: u32,
}

impl EncodedSnapshot {
    fn new(snapshot: &[JournalEntry], generation: u64) -> io::Result<Self> {
        let (mut bytes, mut base, mut features) = (Vec::new(), None, 0);
        for entry in snapshot {
            encode_frame(&mut bytes, entry, generation, HALF_HEADER_BYTES)?;
            if let JournalEntry::Mark(mark) = entry {
                base = Some(HALF_HEADER_BYTES + bytes.len() as u64);
                if !mark.files.iter().any(|file| file.number == ONLY_FILE) {
                    features |= FEATURE_FILES;
                }
            }
        }
        let base = base.unwrap_or(HALF_HEADER_BYTES + bytes.len() as u64);
        Ok(Self { bytes, base, generation, features })
    }
}
