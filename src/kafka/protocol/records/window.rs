//! Where decompressed bytes come and records are read: a buffer whose unread rest moves
//! to the front when room is short, and which grows only once it is full of bytes that
//! one record needs.

use super::RECORD_BYTES_MAX;
use super::decode_error::DecodeErrorKind;

/// Its size at first: some records deep, and well inside a processor's cache.
const WINDOW_BYTES_FIRST: usize = 256 << 10;
/// Its largest size: a record, and a block of a codec behind it.
const WINDOW_BYTES_MAX: usize = RECORD_BYTES_MAX + (8 << 20);
/// A larger one is given back at the end of a set.
const WINDOW_BYTES_KEPT_MAX: usize = 4 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Window {
    buffer: Vec<u8>,
    /// What is unread begins here,
    start: usize,
    /// and ends here.
    end: usize,
}

impl Window {
    /// What has come and was not taken.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes this many off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Room for at least so many bytes behind what has come; all the room there is.
    ///
    /// # Errors
    /// That would be more than may be in memory at once.
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
                let size = (self.buffer.len() * 2).clamp(WINDOW_BYTES_FIRST, WINDOW_BYTES_MAX).max(needed);
                self.buffer.reserve_exact(size - self.buffer.len());
                self.buffer.resize(size, 0);
            }
        }
        Ok(self.buffer.get_mut(self.end..).unwrap_or_default())
    }

    /// The first bytes of the room were written.
    pub(super) fn add_written(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// Forgets its content.
    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Gives back what only an uncommon record needed.
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
    fn it_grows_for_what_is_unread_and_no_further() {
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
}
