//! Reads the text of a part, compressed or not.

use std::io::{self, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::LogPart;
use crate::log_names::{COMPRESSED, is_compressed_to};
use crate::logfile::disk::{Disk, Handle, OpenMode, RealDisk, directory_of, with_suffix};
use crate::logfile::journal::{CHECKED_BYTES, FileHead, FilePlace};
use crate::logfile::locate::is_file_of;

/// How a file begins that gzip has made.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

impl LogPart {
    /// Opens the file where it is now: it may have been compressed since it was found.
    ///
    /// # Errors
    /// It is gone, or cannot be read.
    pub fn open(&self) -> io::Result<PartReader> {
        let (file, path) = match &self.open {
            Some(file) => (file.clone(), self.path.clone()),
            None => self.find()?,
        };
        let is_compressed = path.extension().is_some_and(|end| end == "gz")
            && (!self.is_any_name || path != self.path || begins_as_gzip(&file)?);
        let left = self.limit.unwrap_or(u64::MAX);
        let plain = PlainReader { file, at: 0 };
        let text = match is_compressed {
            true => Text::Compressed(Box::new(MultiGzDecoder::new(plain))),
            false => Text::Plain(plain),
        };
        Ok(PartReader { text, left })
    }

    /// Whether this is not another file with the number of one that was removed, as complete files are that
    /// were compressed.
    fn is_still(&self, file: &Handle) -> io::Result<bool> {
        match self.place.as_ref().filter(|_| self.doubt.is_none()) {
            Some(place) => is_file_of(file, file.stat()?.len, place),
            None => Ok(true),
        }
    }

    fn find(&self) -> io::Result<(Handle, PathBuf)> {
        match RealDisk.open(&self.path, OpenMode::Reading) {
            Ok(file) if file.stat()?.id == self.id && self.is_still(&file)? => {
                return Ok((file, self.path.clone()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = with_suffix(&self.path, COMPRESSED);
                if let Ok(file) = RealDisk.open(&path, OpenMode::Reading) {
                    return Ok((file, path));
                }
            }
            Err(error) => return Err(error),
        }
        // Other programs rename a rotated file again at the next rotation, and pandad moves a complete one.
        let moved = self.moved_to.as_deref().map(|directory| directory.join(&self.key));
        for name in std::iter::once(&self.path).chain(&moved) {
            for path in RealDisk.list(directory_of(name)).unwrap_or_default() {
                if RealDisk.stat_link(&path).is_ok_and(|stat| stat.id == self.id) {
                    let file = RealDisk.open(&path, OpenMode::Reading)?;
                    if self.is_still(&file)? {
                        return Ok((file, path));
                    }
                }
            }
        }
        // A complete file may be compressed when it is moved. There may be older ones of its name.
        if let (Some(moved), Some(place)) = (&moved, &self.place) {
            for path in RealDisk.list(directory_of(moved)).unwrap_or_default() {
                if is_compressed_to(moved, &path)
                    && let Ok(file) = RealDisk.open(&path, OpenMode::Reading)
                    && was_compressed(&file, place)?
                {
                    return Ok((file, path));
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "it was deleted or compressed meanwhile"))
    }
}

/// Whether this was made by compression of the file that was at this place.
fn was_compressed(file: &Handle, place: &FilePlace) -> io::Result<bool> {
    let mut text = MultiGzDecoder::new(PlainReader { file: file.clone(), at: 0 }).take(place.end);
    let (mut piece, mut begin, mut before, mut end) = (vec![0; CHECKED_BYTES], Vec::new(), Vec::new(), 0);
    loop {
        let read = match text.read(&mut piece) {
            Ok(count) => piece.get(..count).unwrap_or_default(),
            // Another program's, or one that it still makes.
            Err(_) => return Ok(false),
        };
        if read.is_empty() {
            break;
        }
        end += read.len() as u64;
        let room = CHECKED_BYTES - begin.len();
        begin.extend_from_slice(read.get(..read.len().min(room)).unwrap_or_default());
        before.extend_from_slice(read);
        before.drain(..before.len().saturating_sub(CHECKED_BYTES));
    }
    let is_head = |head: FileHead| {
        let begin = begin.get(..head.length as usize);
        begin.is_some_and(|begin| crc32fast::hash(begin) == head.crc)
    };
    let is_same = end == place.end && crc32fast::hash(&before) == place.before;
    Ok(is_same && place.head.is_none_or(is_head))
}

fn begins_as_gzip(file: &Handle) -> io::Result<bool> {
    let mut magic = [0; GZIP_MAGIC.len()];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(magic == GZIP_MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads the lines of a part.
pub struct PartReader {
    text: Text,
    /// How many bytes may follow.
    left: u64,
}

enum Text {
    /// From the file as it is.
    Plain(PlainReader),
    /// From a file that gzip has compressed.
    Compressed(Box<MultiGzDecoder<PlainReader>>),
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let count = match &mut self.text {
            Text::Plain(reader) => reader.read(buffer),
            Text::Compressed(reader) => reader.read(buffer),
        }?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Reads a file from its beginning.
struct PlainReader {
    file: Handle,
    at: u64,
}

impl Read for PlainReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
