//! Snappy: in the framing of snappy-java ("xerial"), which Java producers write, and bare, which other
//! producers write. A block can only be decompressed whole. Each block begins with its decompressed size; a
//! size that the block's bytes cannot expand to is refused.

use snap::raw::{Decoder as Raw, decompress_len};

use super::{Decoder, take, take_array};
use crate::kafka::protocol::records::RECORD_BYTES_MAX;
use crate::kafka::protocol::records::decode_error::DecodeErrorKind;
use crate::kafka::protocol::records::window::Window;

/// Begins a snappy-java stream. Its version and the oldest compatible version follow.
const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// How far the format can expand: a copy of 64 bytes takes 3 bytes.
const EXPANSION_MAX: usize = 22;

/// The state of the decompressor between calls.
#[derive(Default)]
pub(super) struct Snappy {
    raw: Raw,
    begun: bool,
    framed: bool,
}

fn fault(why: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::Compressed("snappy", why)
}

impl Decoder for Snappy {
    fn reset(&mut self) {
        self.begun = false;
    }

    fn decompress_more(&mut self, input: &mut &[u8], window: &mut Window) -> Result<bool, DecodeErrorKind> {
        // Several streams may follow each other, and blocks may be empty.
        while !input.is_empty() || !self.begun {
            if input.starts_with(&XERIAL_MAGIC) && (self.framed || !self.begun) {
                (self.begun, self.framed) = (true, true);
                take(input, 16).ok_or(fault("it ends early"))?;
                continue;
            }
            if !self.begun {
                (self.begun, self.framed) = (true, false);
            }
            let block = if self.framed {
                let length = take_array(input).map(i32::from_be_bytes).ok_or(fault("it ends early"))?;
                let length = usize::try_from(length).map_err(|_| fault("a block's size is negative"))?;
                take(input, length).ok_or(fault("it ends early"))?
            } else {
                std::mem::take(input)
            };
            let came = self.block(block, window)?;
            if came > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Snappy {
    fn block(&mut self, block: &[u8], window: &mut Window) -> Result<usize, DecodeErrorKind> {
        let length = decompress_len(block).map_err(|_| fault("the bytes are damaged"))?;
        if length > block.len().saturating_mul(EXPANSION_MAX) {
            return Err(fault("a block's size is impossible"));
        }
        if length > RECORD_BYTES_MAX {
            return Err(DecodeErrorKind::TooLarge);
        }
        let room = window.reserve(length)?.get_mut(..length).ok_or(DecodeErrorKind::TooLarge)?;
        let came = self.raw.decompress(block, room).map_err(|_| fault("the bytes are damaged"))?;
        window.add_written(came);
        Ok(came)
    }
}
