//! Where records are read from: the record set itself, or the window that a codec fills.

use super::codec::Compressed;
use super::decode_error::DecodeErrorKind;
use super::window::Window;

/// The source of the next record's bytes.
pub(super) enum Feed<'a> {
    /// The record set itself.
    Plain(&'a [u8]),
    /// The window.
    Through(Compressed<'a>, &'a mut Window),
}

const TRUNCATED: DecodeErrorKind = DecodeErrorKind::Malformed("the bytes end in the middle of a record");

impl Feed<'_> {
    /// The bytes that are decompressed already.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Through(_, window) => window.bytes(),
        }
    }

    /// Decompresses some more bytes; `false` at the end.
    pub(super) fn decompress_more(&mut self) -> Result<bool, DecodeErrorKind> {
        match self {
            Self::Plain(_) => Ok(false),
            Self::Through(compressed, window) => compressed.decompress_more(window),
        }
    }

    /// The next `count` bytes, which stay where they are. Decompresses as much as is necessary.
    ///
    /// # Errors
    /// There are fewer bytes, or they cannot be decompressed.
    pub(super) fn require(&mut self, count: usize) -> Result<&[u8], DecodeErrorKind> {
        if let Self::Through(_, window) = self {
            window.set_piece(count);
        }
        while self.bytes().len() < count {
            if !self.decompress_more()? {
                return Err(TRUNCATED);
            }
        }
        self.bytes().get(..count).ok_or(TRUNCATED)
    }

    /// Removes the first `count` decompressed bytes.
    pub(super) fn consume(&mut self, count: usize) {
        match self {
            Self::Plain(bytes) => *bytes = bytes.get(count..).unwrap_or_default(),
            Self::Through(_, window) => window.consume(count),
        }
    }

    /// Removes `count` bytes from the front. They need not be in memory all at once.
    ///
    /// # Errors
    /// There are fewer bytes, or they cannot be decompressed.
    pub(super) fn skip(&mut self, mut count: usize) -> Result<(), DecodeErrorKind> {
        loop {
            let now = self.bytes().len().min(count);
            self.consume(now);
            count -= now;
            if count == 0 {
                return Ok(());
            }
            if !self.decompress_more()? {
                return Err(TRUNCATED);
            }
        }
    }

    /// Decompresses until there is an unread byte; `true` if the records end before one.
    pub(super) fn look_for_end(&mut self) -> Result<bool, DecodeErrorKind> {
        while self.bytes().is_empty() {
            if !self.decompress_more()? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
