//! The journal's file: preallocated, filled with zeros, in two halves of the same size, so that a
//! full disk stops neither an entry nor a rewrite.
//!
//! ```text
//! half    magic 8 | version 2 | identity 16 | generation 8 | CRC 4 | zeros up to byte 64 | frames
//! frame   length 4 | CRC 4 | payload
//! ```
//!
//! Entries are appended to the half in force, which is the one with the higher generation. When it
//! is full, a snapshot of the whole state goes to the other half. The header of that half is
//! written only when the snapshot is durable, so a crash in between leaves the old half in force.
//! The CRC of a frame covers the generation and the payload: a frame that an earlier generation
//! left in the same half is never read as an entry.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::JournalEntry;
use crate::logfile::disk::{Disk, Handle, OpenMode, directory_of, read_all, with_suffix};

const MAGIC: &[u8; 8] = b"pandadjl";
/// The version of the format. A later version is refused.
const FORMAT_VERSION: u16 = 2;
const HALF_HEADER_BYTES: u64 = 64;
const FRAME_HEADER_BYTES: usize = 8;
/// The least size of a half, in bytes.
pub(in crate::logfile) const HALF_BYTES_MIN: u64 = 256 * 1024;
/// The largest file that is read as a journal, in bytes.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// What [`JournalFile::read`] finds.
#[derive(Debug)]
pub(in crate::logfile) enum JournalRead {
    /// There is no file.
    Missing,
    /// The file is not a journal, or both halves of it are damaged. The text says which.
    Unreadable(String),
    /// A journal of a later version of the format.
    Later(u16),
    /// A journal, and its entries up to the first that is damaged. If `whole` is false, the disk has
    /// lost some writes, so entries may be missing.
    Journal { journal: JournalFile, entries: Vec<JournalEntry>, whole: bool },
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
    identity: u128,
    /// Where the next frame goes, counted from the start of the half.
    at: u64,
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
    /// Creates the file with `snapshot` in its first half: under another name, synced, then
    /// renamed. The name is durable only when the caller has synced the directory.
    pub(in crate::logfile) fn create(
        disk: &Arc<dyn Disk>,
        path: &Path,
        identity: u128,
        least: u64,
        snapshot: &[JournalEntry],
    ) -> io::Result<Self> {
        let body = frames(snapshot, 1)?;
        let half = least.max(HALF_HEADER_BYTES + 4 * body.len() as u64).next_multiple_of(4096);
        if half * 2 > JOURNAL_BYTES_MAX {
            return Err(unreadable("a journal of this size"));
        }
        let aside = with_suffix(path, ".new");
        let file = disk.open(&aside, OpenMode::Truncate)?;
        let zeros = vec![0; 64 * 1024];
        let mut filled = 0;
        while filled < half * 2 {
            let count = zeros.len().min(usize::try_from(half * 2 - filled).unwrap_or(usize::MAX));
            file.write_at(zeros.get(..count).unwrap_or_default(), filled)?;
            filled += count as u64;
        }
        let mut journal = Self {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            file,
            half,
            active: 1,
            generation: 0,
            identity,
            at: 0,
        };
        journal.fill_other_half(&body)?;
        disk.rename(&aside, path)?;
        Ok(journal)
    }

    /// Reads the file at `path`.
    pub(in crate::logfile) fn read(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<JournalRead> {
        let mut file = match disk.open(path, OpenMode::Existing) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(JournalRead::Missing),
            Err(error) => return Err(error),
        };
        // If the kernel has failed to write pages back and has not reported that yet, this sync reports
        // it.
        let whole = file.sync().is_ok();
        if !whole {
            file = disk.open(path, OpenMode::Existing)?;
        }
        let Some(bytes) = read_all(&*file, JOURNAL_BYTES_MAX)? else {
            return Ok(JournalRead::Unreadable(format!(
                "more than {JOURNAL_BYTES_MAX} bytes are too many for a journal"
            )));
        };
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let headers = [HalfHeader::read(first), HalfHeader::read(second)];
        if let Some(version) = headers.iter().flatten().map(|h| h.version).find(|v| *v > FORMAT_VERSION) {
            return Ok(JournalRead::Later(version));
        }
        let newest = headers.iter().zip([(0, first), (1, second)]);
        let newest = newest.filter_map(|(header, half)| header.as_ref().map(|header| (header, half)));
        let Some((header, (active, half))) = newest.max_by_key(|(header, _)| header.generation) else {
            return Ok(JournalRead::Unreadable("no half of it has a valid header".to_owned()));
        };
        let (entries, end) = read_frames(half, header.generation);
        if entries.is_empty() {
            return Ok(JournalRead::Unreadable("its newest half holds no entry".to_owned()));
        }
        let journal = Self {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            file,
            half: half.len() as u64,
            active,
            generation: header.generation,
            identity: header.identity,
            at: end,
        };
        Ok(JournalRead::Journal { journal, entries, whole })
    }

    /// The random name that the journal got when it was created.
    pub(in crate::logfile) fn identity(&self) -> u128 {
        self.identity
    }

    /// The journal takes this identity with its next rewrite.
    pub(in crate::logfile) fn rename(&mut self, identity: u128) {
        self.identity = identity;
    }

    /// The file, for whoever syncs it.
    pub(in crate::logfile) fn file(&self) -> Handle {
        self.file.clone()
    }

    /// Appends one entry. After an error, nothing has been appended.
    pub(in crate::logfile) fn append(&mut self, entry: &JournalEntry) -> Result<(), EntryRefused> {
        let frame = frames(std::slice::from_ref(entry), self.generation).map_err(EntryRefused::Io)?;
        // Reading ends at a frame of length zero, so room for one is kept.
        if self.at + (frame.len() + FRAME_HEADER_BYTES) as u64 > self.half {
            return Err(EntryRefused::Full);
        }
        self.file.write_at(&frame, self.active * self.half + self.at).map_err(EntryRefused::Io)?;
        self.at += frame.len() as u64;
        Ok(())
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
        let body = frames(snapshot, self.generation + 1)?;
        let next = frames(next.map_or(&[], std::slice::from_ref), 0)?.len();
        let needed = HALF_HEADER_BYTES + 2 * (body.len() + next + FRAME_HEADER_BYTES) as u64;
        if needed > self.half {
            // From the rename on, only the new file is the journal, even if the sync of its name
            // fails. An entry appended to the old file would not be found again.
            *self = Self::create(&self.disk, &self.path, self.identity, needed.max(self.half * 2), snapshot)?;
            return self.disk.sync_names(directory_of(&self.path));
        }
        self.fill_other_half(&body)
    }

    fn fill_other_half(&mut self, body: &[u8]) -> io::Result<()> {
        let (other, generation) = (1 - self.active, self.generation + 1);
        let header = HalfHeader { version: FORMAT_VERSION, identity: self.identity, generation };
        let header_bytes = header.bytes();
        if HalfHeader::read(&header_bytes).as_ref() != Some(&header) {
            return Err(unreadable("a header"));
        }
        let start = other * self.half;
        self.file.write_at(body, start + HALF_HEADER_BYTES)?;
        // Frames of an older generation may follow. This is where reading ends.
        self.file.write_at(&[0; FRAME_HEADER_BYTES], start + HALF_HEADER_BYTES + body.len() as u64)?;
        self.file.sync()?;
        self.file.write_at(&header_bytes, start)?;
        self.file.sync()?;
        self.active = other;
        self.generation = generation;
        self.at = HALF_HEADER_BYTES + body.len() as u64;
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
struct HalfHeader {
    version: u16,
    identity: u128,
    generation: u64,
}

impl HalfHeader {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.identity.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    fn read(half: &[u8]) -> Option<Self> {
        let (magic, rest) = half.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (identity, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (crc, _) = rest.split_first_chunk()?;
        let whole = crc32fast::hash(half.get(..8 + 2 + 16 + 8)?) == u32::from_be_bytes(*crc);
        (magic == MAGIC && whole).then(|| Self {
            version: u16::from_be_bytes(*version),
            identity: u128::from_be_bytes(*identity),
            generation: u64::from_be_bytes(*generation),
        })
    }
}

fn frame_crc(generation: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The frames of these entries. Each entry is checked before anything is written, so that the next
/// start reads exactly what is in memory now.
fn frames(entries: &[JournalEntry], generation: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut payload = Vec::new();
    for entry in entries {
        payload.clear();
        entry.encode(&mut payload);
        let Some(length) = u32::try_from(payload.len()).ok().filter(|_| entry.is_expressible()) else {
            return Err(unreadable("an entry"));
        };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&frame_crc(generation, &payload).to_be_bytes());
        out.extend_from_slice(&payload);
    }
    Ok(out)
}

/// The kind of this error says that the fault is in memory and not on the disk.
fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("internal error: {what} could not be read back"))
}

/// The entries of a half up to the first damaged frame, and where that frame begins.
fn read_frames(half: &[u8], generation: u64) -> (Vec<JournalEntry>, u64) {
    let mut entries = Vec::new();
    let mut at = HALF_HEADER_BYTES as usize;
    while let Some((entry, end)) = read_frame(half, at, generation) {
        entries.push(entry);
        at = end;
    }
    (entries, at as u64)
}

fn read_frame(half: &[u8], at: usize, generation: u64) -> Option<(JournalEntry, usize)> {
    let (length, rest) = half.get(at..)?.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    let payload = rest.get(..length)?;
    if length == 0 || frame_crc(generation, payload) != u32::from_be_bytes(*crc) {
        return None;
    }
    Some((JournalEntry::decode(payload)?, at + FRAME_HEADER_BYTES + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logfile::disk::{FileId, RealDisk};
    use crate::logfile::journal::{Mark, MarkedCommit, MemberIdentity};

    /// The format cannot express a negative offset; it would be read as no offset.
    #[test]
    fn an_entry_that_cannot_be_read_back_is_not_written() {
        let path = std::env::temp_dir().join(format!("pandad-journal-{}", std::process::id()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let member = JournalEntry::Member(MemberIdentity { id: "m".to_owned(), silent: true });
        let mut journal = JournalFile::create(&disk, &path, 7, 4096, std::slice::from_ref(&member)).unwrap();
        let commits = vec![MarkedCommit { index: 0, acknowledged: None, value: Some(-2) }];
        let file = FileId { device: 1, inode: 2 };
        let bad = JournalEntry::Mark(Mark { sequence: 1, file, end: 0, before: 0, commits });
        let before = std::fs::read(&path).unwrap();
        let refused = journal.append(&bad);
        assert!(
            matches!(refused, Err(EntryRefused::Io(error)) if error.kind() == io::ErrorKind::InvalidData)
        );
        assert!(journal.rewrite(&[bad], None).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was written");
        journal.append(&member).unwrap();
        let Ok(JournalRead::Journal { entries, .. }) = JournalFile::read(&disk, &path) else {
            panic!("unreadable")
        };
        assert_eq!(entries, [member.clone(), member]);
        std::fs::remove_file(&path).unwrap();
    }
}
