//! The text of a few lines: of records that are missing, and of lines of files that no record has. A line
//! that is a part of a missing one was torn.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::bounds::Bounds;
use super::file_side::{PartNumber, part_of};
use super::passes::TopicLineSink;

/// How many bytes of texts are kept of each side.
pub(super) const TEXT_BYTES_MAX: usize = 8 << 20;
/// A text in the middle of a line counts as a part of it only if it has so many bytes.
const MIDDLE_BYTES_MIN: usize = 16;

/// The lines of some records, by their hashes.
#[derive(Clone)]
pub(super) struct RecordTexts {
    texts: Arc<Mutex<KeptTexts>>,
    wanted: Arc<[u128]>,
}

#[derive(Default)]
struct KeptTexts {
    texts: HashMap<u128, Vec<u8>>,
    bytes: usize,
}

impl RecordTexts {
    /// `wanted` in order.
    pub(super) fn new(wanted: Vec<u128>) -> Self {
        Self { texts: Arc::default(), wanted: wanted.into() }
    }

    pub(super) fn take(self) -> HashMap<u128, Vec<u8>> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut texts.texts)
    }
}

impl TopicLineSink for RecordTexts {
    fn topic_line(&mut self, line: &[u8], hash: u128, _times: i64, _record: (usize, i64)) {
        if self.wanted.binary_search(&hash).is_err() {
            return;
        }
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let KeptTexts { texts, bytes } = &mut *texts;
        if *bytes + line.len() <= TEXT_BYTES_MAX && !texts.contains_key(&hash) {
            *bytes += line.len();
            texts.insert(hash, line.to_vec());
        }
    }
}

/// The lines of files that begin at these bytes, in the order of `places`. `None` where a line cannot be read
/// any more, or there are too many bytes of lines.
pub(super) fn of_files(
    bounds: &Bounds,
    files: &[PartNumber],
    places: &[(usize, u64)],
) -> Vec<Option<Vec<u8>>> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|at| places.get(*at).copied());
    let (mut texts, mut bytes): (Vec<Option<Vec<u8>>>, usize) = (vec![None; places.len()], 0);
    let mut reading: Option<(usize, LineAt)> = None;
    for at in order {
        let Some((file, begin)) = places.get(at).copied() else { continue };
        if reading.as_ref().is_none_or(|(open, _)| *open != file) {
            let part = files.get(file).and_then(|number| part_of(bounds, *number));
            let opened = part.and_then(|part| part.open().ok());
            reading =
                opened.map(|reader| (file, LineAt { reader: Box::new(reader), at: 0, piece: Vec::new() }));
        }
        let Some((_, lines)) = &mut reading else { continue };
        let text = lines.read(begin, TEXT_BYTES_MAX.saturating_sub(bytes)).unwrap_or_default();
        bytes += text.as_ref().map_or(0, Vec::len);
        if let Some(place) = texts.get_mut(at) {
            *place = text;
        }
    }
    texts
}

/// Reads lines at places that rise.
struct LineAt {
    reader: Box<dyn Read>,
    /// The place behind what was read, and bytes of it that were not used.
    at: u64,
    piece: Vec<u8>,
}

impl LineAt {
    fn read(&mut self, begin: u64, room: usize) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let piece_begin = self.at - self.piece.len() as u64;
            let from = usize::try_from(begin.saturating_sub(piece_begin)).unwrap_or(usize::MAX);
            if let Some(found) = self.piece.get(from..).filter(|found| !found.is_empty()) {
                let end = memchr::memchr(b'\n', found);
                let text = found.get(..end.unwrap_or(found.len())).unwrap_or_default();
                if line.len() + text.len() > room {
                    return Ok(None);
                }
                line.extend_from_slice(text);
                if end.is_some() {
                    return Ok(Some(line));
                }
            }
            self.piece.resize(64 * 1024, 0);
            let count = self.reader.read(&mut self.piece)?;
            self.piece.truncate(count);
            self.at += count as u64;
            if count == 0 {
                return Ok(Some(line));
            }
        }
    }
}

/// Whether the text is a part of the line, or the line with other bytes before or behind it: two lines that
/// lost the newline between them, for example.
pub(super) fn is_torn_from(text: &[u8], line: &[u8]) -> bool {
    let is_in = |part: &[u8], whole: &[u8]| {
        !part.is_empty()
            && (whole.starts_with(part)
                || whole.ends_with(part)
                || part.len() >= MIDDLE_BYTES_MIN && memchr::memmem::find(whole, part).is_some())
    };
    is_in(text, line) || line.len() >= MIDDLE_BYTES_MIN && is_in(line, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_lines_are_told_from_other_lines() {
        let line = b"a line of more than sixteen bytes";
        for torn in [&line[..5], &line[9..], &line[3..25], line, b"xa line of more than sixteen bytes"] {
            assert!(is_torn_from(torn, line), "{torn:?}");
        }
        for other in [&b""[..], b"another line of many bytes", &line[3..9]] {
            assert!(!is_torn_from(other, line), "{other:?}");
        }
        assert!(!is_torn_from(b"xa line", b"a line"), "too short to be sure");
    }

    #[test]
    fn lines_are_read_at_their_places() {
        let text = format!("a\n{}\nlast", "x".repeat(100_000));
        let reader = Box::new(io::Cursor::new(text.clone().into_bytes()));
        let mut lines = LineAt { reader, at: 0, piece: Vec::new() };
        assert_eq!(lines.read(0, 10).unwrap(), Some(b"a".to_vec()));
        assert_eq!(lines.read(2, 200_000).unwrap().map(|line| line.len()), Some(100_000));
        assert_eq!(lines.read(100_003, 10).unwrap(), Some(b"last".to_vec()));
        let reader = Box::new(io::Cursor::new(text.into_bytes()));
        let mut lines = LineAt { reader, at: 0, piece: Vec::new() };
        assert_eq!(lines.read(2, 1000).unwrap(), None, "no room");
    }
}
