//! The compression codecs, all in pure Rust, each of which decompresses piece by piece into the window.
//! Their contexts are kept: creating one costs more than a small batch.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;

use super::decode_error::DecodeErrorKind;
use super::set_entry::SetEntry;
use super::window::Window;

/// A decompressor that works piece by piece.
trait Decoder {
    /// Prepares for new input.
    fn reset(&mut self);

    /// Decompresses some more of the rest of the input; `false` at its end.
    fn decompress_more(&mut self, input: &mut &[u8], window: &mut Window) -> Result<bool, DecodeErrorKind>;
}

/// All codecs.
#[derive(Default)]
pub(super) struct Codecs {
    gzip: gzip::Gzip,
    snappy: snappy::Snappy,
    lz4: lz4::Lz4,
    zstd: zstd::Zstd,
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codecs")
    }
}

impl Codecs {
    /// Decompresses `input`, a part of the entry, by the codec with this number. Messages and
    /// batches have the number in the three lowest bits of their attributes.
    ///
    /// # Errors
    /// The codec is not supported.
    pub(super) fn open<'a>(
        &'a mut self,
        codec: u8,
        entry: &SetEntry<'_>,
        input: &'a [u8],
    ) -> Result<Compressed<'a>, DecodeErrorKind> {
        let decoder: &mut dyn Decoder = match codec {
            1 => &mut self.gzip,
            2 => &mut self.snappy,
            3 => {
                self.lz4.set_message_format(entry.magic);
                &mut self.lz4
            }
            4 => &mut self.zstd,
            codec => return Err(DecodeErrorKind::Codec { codec, last: entry.last }),
        };
        decoder.reset();
        Ok(Compressed { decoder, rest: input })
    }

    /// Frees memory that only an uncommon batch needed.
    pub(super) fn shrink(&mut self) {
        self.zstd.shrink();
    }
}

/// Input that is being decompressed.
pub(super) struct Compressed<'a> {
    decoder: &'a mut dyn Decoder,
    rest: &'a [u8],
}

impl Compressed<'_> {
    /// Decompresses some more bytes into the window; `false` at the end.
    ///
    /// # Errors
    /// The input is damaged, or too large for memory.
    pub(super) fn decompress_more(&mut self, window: &mut Window) -> Result<bool, DecodeErrorKind> {
        self.decoder.decompress_more(&mut self.rest, window)
    }
}

/// Removes `count` bytes from the front.
fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

/// Removes `N` bytes from the front.
fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*taken)
}
