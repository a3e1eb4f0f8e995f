//! The buffer between a codec and the decoder. When room is short the unread bytes move to the
//! front, and the buffer grows only if it is full of bytes that one record needs.

use super::RECORD_BYTES_MAX;
use super::decode_error::DecodeErrorKind;

/// The first size: some records, and well inside the cache of a processor.
const WINDOW_BYTES_FIRST: usize = 256 << 10;
/// The largest size: one record, and one block of a codec after it.
const WINDOW_BYTES_MAX: usize = RECORD_BYTES_MAX + (8 << 20);
/// A larger buffer is freed at the end of a set.
const WINDOW_BYTES_KEPT_MAX: usize = 4 << 20;

/// A buffer with a range of unread bytes.
#[derive(Debug, Default)]
pub(super) struct Window {
    buffer: Vec<u8>,
    /// The index of the first unread byte.
    start: usize,
    /// The index after the last unread byte.
    end: usize,
    /// The length of the piece that is read next, if it is known.
    piece: Option<usize>,
}

impl Window {
    /// The unread bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Removes `count` bytes from the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Sets the length of the piece that is read next. The buffer grows no further than this piece and
    /// one block of a codec behind it need.
    pub(super) fn set_piece(&mut self, count: usize) {
        self.piece = Some(count);
    }

    /// Makes room for at least `least` bytes after the unread ones. Returns all the room that the buffer
    /// has.
    ///
    /// # Errors
    /// The buffer would exceed its largest size.
    pub(super) fn reserve(&mut self, least: usize) -> Result<&mut [u8], DecodeErrorKind> {
        if self.buffer.len() - self.end < least {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let needed = self.end.saturating_add(least);
            if needed > WINDOW_BYTES_MAX {
                return Err(DecodeErrorKind::TooLarge);
            }
            if needed > self.buffer.len() {
                let enough = self.piece.map_or(WINDOW_BYTES_MAX, |piece| piece.saturating_add(least));
                // The length of the piece comes from outside, so the buffer is only doubled for it.
                let size = (self.buffer.len() * 2).min(enough);
                let size = size.clamp(WINDOW_BYTES_FIRST, WINDOW_BYTES_MAX).max(needed);
                self.buffer.reserve_exact(size - self.buffer.len());
                self.buffer.resize(size, 0);
            }
        }
        Ok(self.buffer.get_mut(self.end..).unwrap_or_default())
    }

    /// Adds the first `count` bytes of the room to the unread ones.
    pub(super) fn add_written(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// Removes all bytes.
    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.piece = None;
    }

    /// Frees a buffer that only an uncommon record needed.
    pub(super) fn shrink(&mut self) {
        self.clear();
        if self.buffer.len() > WINDOW_BYTES_KEPT_MAX {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_only_for_unread_bytes() {
        let mut window = Window::default();
        for turn in 0..64 {
            window.reserve(64 << 10).unwrap()[..64 << 10].fill(turn);
            window.add_written(64 << 10);
            window.consume(60 << 10);
        }
        assert_eq!(window.buffer.len(), 2 * WINDOW_BYTES_FIRST, "64 times 4 KiB are unread");
        let expected: Vec<u8> = (60..64).flat_map(|turn| vec![turn; 64 << 10]).collect();
        assert!(window.bytes() == expected);
        assert_eq!(window.reserve(WINDOW_BYTES_MAX).err(), Some(DecodeErrorKind::TooLarge));
        window.reserve(WINDOW_BYTES_KEPT_MAX).unwrap();
        window.shrink();
        assert_eq!(window.buffer.len(), 0);
    }

    #[test]
    fn the_window_grows_no_further_than_a_record_needs() {
        let mut window = Window::default();
        window.set_piece(5 << 20);
        while window.bytes().len() < 5 << 20 {
            window.reserve(64 << 10).unwrap();
            window.add_written(64 << 10);
            assert!(window.buffer.len() <= (window.bytes().len() * 2).max(WINDOW_BYTES_FIRST));
        }
        assert_eq!(window.buffer.len(), (5 << 20) + (64 << 10));
    }
}
