//! The end of a journal that another one has taken over: its headers are overwritten so that every older
//! pandad refuses the file as of a later version, and this one says where the positions are now.
//!
//! ```text
//! half    header, twice, 128 | length 4 | path | CRC 4
//! ```
//!
//! The header has the identity of the other journal. The path is that of the other journal, from the
//! directory of this one, and stands in one half only; the CRC covers the identity, too. The half that was
//! not in force is overwritten first, and is durable before the other one is touched. So whenever the power
//! fails, an older pandad either finds the journal as it was, or refuses it.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::entry_reader::EntryReader;
use super::header::{HALF_HEADER_BYTES, HalfHeader};
use crate::logfile::disk::{Disk, DiskFile, Handle, OpenMode, directory_of};

/// What is read of each half to see whether the journal was taken over: the header and the longest path.
const READ_BYTES: usize = 8 * 1024;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::logfile) struct TakenOver {
    /// The identity of the journal that has the positions now.
    pub(in crate::logfile) by: u128,
    /// The path of that journal, from the directory of the old one. Empty if it is not known.
    to: PathBuf,
    half: u64,
    /// Which half is overwritten first, and has the path.
    first: u64,
    /// Whether both halves are overwritten.
    pub(in crate::logfile) is_complete: bool,
}

impl TakenOver {
    pub(super) fn of(half: u64, first: u64, by: u128, to: &Path) -> Self {
        Self { by, to: to.to_owned(), half, first, is_complete: false }
    }

    /// What the file at the path says. `None`: there is no journal, or it was not taken over.
    ///
    /// If a sync has failed while it was overwritten, the disk may hold less than the cache. Then either the
    /// other half is not overwritten in the cache either, and all is written again, or the half that was
    /// overwritten first is durable, and is enough for every pandad.
    pub(in crate::logfile) fn look(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(path, OpenMode::Reading) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let first = start_of_half(&*file, 0)?;
        let known = HalfHeader::read(&first).map(|header| header.half).filter(|half| *half > 0);
        let half = known.map_or_else(|| file.stat().map(|stat| stat.len / 2), Ok)?;
        let second = start_of_half(&*file, half)?;
        Ok(Self::find([&first, &second], half))
    }

    /// What the halves say, of which at least the beginnings are given.
    pub(super) fn find(halves: [&[u8]; 2], half: u64) -> Option<Self> {
        let is_over = |header: &HalfHeader| header.is_taken_over();
        let [one, other] = halves.map(|half| HalfHeader::read(half).filter(is_over));
        let by = one.or(other)?.identity;
        let [path, second] = halves.map(|half| path_in(half, by));
        let first = u64::from(one.is_none() || path.is_none() && second.is_some());
        // An older pandad looks at the first copy alone.
        let is_complete = halves.iter().all(|half| HalfHeader::read_copy(half).as_ref().is_some_and(is_over));
        Some(Self { by, to: path.or(second).unwrap_or_default(), half, first, is_complete })
    }

    /// Overwrites what is not overwritten yet, durably. `by` and `to` are the journal that has the positions.
    ///
    /// # Errors
    /// The disk refuses.
    pub(in crate::logfile) fn complete(
        self,
        disk: &dyn Disk,
        path: &Path,
        by: u128,
        to: &Path,
    ) -> io::Result<()> {
        let file = disk.open(path, OpenMode::Existing)?;
        Self { by, to: to.to_owned(), ..self }.write(&file)
    }

    pub(super) fn write(&self, file: &Handle) -> io::Result<()> {
        let header = HalfHeader::taken_over(self.by, self.half).bytes();
        let mut begins = header.clone();
        let path = self.to.as_os_str().as_bytes();
        let length = u32::try_from(path.len()).map_err(io::Error::other)?;
        begins.extend_from_slice(&length.to_be_bytes());
        begins.extend_from_slice(path);
        begins.extend_from_slice(&crc_of(self.by, path).to_be_bytes());
        // Of a journal this small only the identity is said.
        let first = if begins.len() as u64 <= self.half { &begins } else { &header };
        let halves = [(self.first, first), (1 - self.first, &header)];
        #[cfg(test)]
        let halves = if IN_FORCE_FIRST.get() { [halves[1], halves[0]] } else { halves };
        for (half, bytes) in halves {
            file.write_at(bytes, half * self.half)?;
            #[cfg(test)]
            if OVERWRITTEN_WITHOUT_SYNC.get() {
                continue;
            }
            file.sync()?;
        }
        Ok(())
    }

    /// The path of the journal that has the positions now, if the old one is at `at`.
    pub(in crate::logfile) fn journal(&self, at: &Path) -> Option<PathBuf> {
        Some(plain(&directory_of(at).join(&self.to))).filter(|_| !self.to.as_os_str().is_empty())
    }

    /// Why the journal at `at` cannot be gone on with.
    pub(in crate::logfile) fn refusal(&self, at: &Path) -> String {
        let (shown, by) = (at.display(), self.by);
        let journal = self.journal(at).map_or(String::new(), |path| format!("{}, ", path.display()));
        format!(
            "{shown}: another journal ({journal}{by:032x}) has taken over the positions of this file, when \
             files of several topics began to share one; set log_file['path'] as it was then; or, once \
             pandad was stopped cleanly with that path, move this journal away: the group's offsets decide"
        )
    }
}

/// The path from the directory of the one to the other, if both are below `root`.
pub(in crate::logfile) fn path_from(root: &Path, from: &Path, to: &Path) -> PathBuf {
    let below = |path: &Path| path.strip_prefix(root).map(Path::to_owned).ok();
    match (below(directory_of(from)), below(to)) {
        (Some(from), Some(to)) => {
            from.components().map(|_| Component::ParentDir).collect::<PathBuf>().join(to)
        }
        _ => to.to_owned(),
    }
}

/// The path without `..`, for people.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn start_of_half(file: &dyn DiskFile, at: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; READ_BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The path behind the header, if there is one.
fn path_in(half: &[u8], by: u128) -> Option<PathBuf> {
    let mut reader = EntryReader(half.get(HALF_HEADER_BYTES as usize..)?);
    let length = reader.u32()? as usize;
    let path = reader.bytes(length)?;
    (reader.u32()? == crc_of(by, path)).then(|| PathBuf::from(OsStr::from_bytes(path)))
}

fn crc_of(by: u128, path: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&by.to_be_bytes());
    hasher.update(path);
    hasher.finalize()
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(in crate::logfile) static IN_FORCE_FIRST: Mistake = const { Mistake::new(false) };
    pub(in crate::logfile) static OVERWRITTEN_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}
