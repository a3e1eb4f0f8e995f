//! Where records are read from: the set itself, or the window that a codec fills.

use super::codec::Compressed;
use super::decode_error::DecodeErrorKind;
use super::window::Window;

/// See the module.
pub(super) enum Feed<'a> {
    /// In place.
    Plain(&'a [u8]),
    /// Through the window.
    Through(Compressed<'a>, &'a mut Window),
}

const TRUNCATED: DecodeErrorKind = DecodeErrorKind::Malformed("records end in the middle of one");

impl Feed<'_> {
    /// What is there without decompressing more.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Through(_, window) => window.bytes(),
        }
    }

    /// Decompresses some more; `false`: there is no more.
    pub(super) fn decompress_more(&mut self) -> Result<bool, DecodeErrorKind> {
        match self {
            Self::Plain(_) => Ok(false),
            Self::Through(compressed, window) => compressed.decompress_more(window),
        }
    }

    /// Decompresses until so much is there.
    ///
    /// # Errors
    /// There is not so much, or it cannot be decompressed.
    pub(super) fn require(&mut self, count: usize) -> Result<&[u8], DecodeErrorKind> {
        while self.bytes().len() < count {
            if !self.decompress_more()? {
                return Err(TRUNCATED);
            }
        }
        self.bytes().get(..count).ok_or(TRUNCATED)
    }

    /// Takes so many of the bytes that are there off the front.
    pub(super) fn consume(&mut self, count: usize) {
        match self {
            Self::Plain(bytes) => *bytes = bytes.get(count..).unwrap_or_default(),
            Self::Through(_, window) => window.consume(count),
        }
    }

    /// Takes so many off the front, however many that is: they are not kept.
    ///
    /// # Errors
    /// There are not so many, or they cannot be decompressed.
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

    /// Whether there is nothing left.
    pub(super) fn look_for_end(&mut self) -> Result<bool, DecodeErrorKind> {
        while self.bytes().is_empty() {
            if !self.decompress_more()? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
