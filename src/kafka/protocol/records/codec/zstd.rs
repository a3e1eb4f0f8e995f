//! Zstandard (RFC 8878) with any number of frames, by `ruzstd`. The decoder gets a frame header that is
//! written here, so that pandad chooses the size of its buffer. The original header may ask for gigabytes
//! that the frame does not need.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Decoder, take, take_array};
use crate::kafka::protocol::records::decode_error::DecodeErrorKind;
use crate::kafka::protocol::records::window::Window;

const FRAME_MAGIC: u32 = 0xFD2F_B528;
/// This magic number and the fifteen after it begin a frame that is skipped.
const SKIPPABLE_FRAME_MAGIC: u32 = 0x184D_2A50;
/// How many bytes are decompressed at a time; no block is larger.
const PIECE_BYTES: usize = 128 << 10;
/// The least window of the decoder, as a power of two in bytes: one block.
const WINDOW_LOG_MIN: u32 = 17;
/// A frame may always have a window of this size. Compression levels up to 19 ask for no more.
const WINDOW_LOG_USUAL: u32 = 23;
/// The largest window.
const WINDOW_LOG_MAX: u32 = 26;
/// A window above the usual size may be at most so many times the compressed bytes of the frame.
const EXPANSION_MAX: usize = 32;

/// The decompressor, and its state between calls.
#[derive(Default)]
pub(super) struct Zstd {
    decoder: Option<FrameDecoder>,
    inside: bool,
    ended: bool,
    /// The largest window since the decoder was created, as a power of two.
    largest: u32,
}

fn fault(why: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::Compressed("zstd", why)
}

const TRUNCATED: DecodeErrorKind = DecodeErrorKind::Compressed("zstd", "it ends early");

impl Decoder for Zstd {
    fn reset(&mut self) {
        self.inside = false;
        self.ended = false;
    }

    fn decompress_more(&mut self, input: &mut &[u8], window: &mut Window) -> Result<bool, DecodeErrorKind> {
        let came = self.piece(input, window);
        if came.is_err() {
            // After an error the state of the decoder is not known.
            self.decoder = None;
        }
        came
    }
}

impl Zstd {
    fn piece(&mut self, input: &mut &[u8], window: &mut Window) -> Result<bool, DecodeErrorKind> {
        loop {
            if !self.inside {
                if input.is_empty() && self.ended {
                    return Ok(false);
                }
                self.ended = true;
                let Some(ZstdFrame { checksum, window }) = header(input)? else { continue };
                self.largest = self.largest.max(window);
                let [a, b, c, d] = FRAME_MAGIC.to_le_bytes();
                let header = [a, b, c, d, checksum, ((window - 10) << 3) as u8];
                let decoder = self.decoder.get_or_insert_with(FrameDecoder::new);
                decoder.reset(header.as_slice()).map_err(|_| fault("the header is not valid"))?;
                self.inside = true;
            }
            let decoder = self.decoder.get_or_insert_with(FrameDecoder::new);
            if decoder.can_collect() == 0 {
                if decoder.is_finished() {
                    self.inside = false;
                    continue;
                }
                let some = BlockDecodingStrategy::UptoBytes(PIECE_BYTES);
                decoder.decode_blocks(&mut *input, some).map_err(|_| fault("the bytes are damaged"))?;
                continue;
            }
            let room = window.reserve(PIECE_BYTES)?;
            let came = decoder.read(room).map_err(|_| fault("the bytes are damaged"))?;
            window.add_written(came);
            return Ok(true);
        }
    }

    /// Frees a decoder that only an uncommon frame needed.
    pub(super) fn shrink(&mut self) {
        if self.largest > WINDOW_LOG_USUAL {
            *self = Self::default();
        }
    }
}

/// The parts of a frame header that are kept.
struct ZstdFrame {
    /// The flag that a checksum ends the frame.
    checksum: u8,
    /// The window that the frame gets, as a power of two.
    window: u32,
}

/// Reads the header of a frame; `None` after a skippable frame.
fn header(input: &mut &[u8]) -> Result<Option<ZstdFrame>, DecodeErrorKind> {
    let number = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
    if number & 0xffff_fff0 == SKIPPABLE_FRAME_MAGIC {
        let length = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
        take(input, usize::try_from(length).unwrap_or(usize::MAX)).ok_or(TRUNCATED)?;
        return Ok(None);
    }
    let [flags] = take_array(input).ok_or(TRUNCATED)?;
    if number != FRAME_MAGIC || flags & 0x08 != 0 {
        return Err(fault("the header is not valid"));
    }
    let single = flags & 0x20 != 0;
    let window = if single { None } else { Some(take_array::<1>(input).ok_or(TRUNCATED)?) };
    let dictionary = if flags & 3 == 3 { 4 } else { usize::from(flags & 3) };
    let dictionary = take(input, dictionary).ok_or(TRUNCATED)?;
    if dictionary.iter().any(|byte| *byte != 0) {
        return Err(fault("it needs a dictionary"));
    }
    let size = match flags >> 6 {
        0 => usize::from(single),
        power => 1 << power,
    };
    let size = take(input, size).ok_or(TRUNCATED)?;
    let asked = match window {
        // The window descriptor: an exponent, and eighths of it in the three lowest bits.
        Some([window]) => 10 + u32::from(window >> 3) + u32::from(window & 7 != 0),
        // The window is the whole content.
        None => {
            let size = size.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
            u64::BITS - size.saturating_add(256).leading_zeros()
        }
    };
    let worth = usize::BITS - input.len().saturating_mul(EXPANSION_MAX).leading_zeros();
    let window = asked.clamp(WINDOW_LOG_MIN, worth.clamp(WINDOW_LOG_USUAL, WINDOW_LOG_MAX));
    Ok(Some(ZstdFrame { checksum: flags & 4, window }))
}
