//! gzip (RFC 1952) with any number of members, by the raw inflate of `flate2`. Header and trailer
//! are read here, so that one context serves every batch.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Decoder, take, take_array};
use crate::kafka::protocol::records::decode_error::DecodeErrorKind;
use crate::kafka::protocol::records::window::Window;

/// How much room one call of inflate gets.
const PIECE_BYTES: usize = 64 << 10;

/// The decompressor, and its state between calls.
#[derive(Default)]
pub(super) struct Gzip {
    inflate: Option<Decompress>,
    /// Whether a member has begun and not ended.
    inside: bool,
    /// Whether a member has ended.
    ended: bool,
    crc: crc32fast::Hasher,
    length: u32,
}

fn fault(why: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::Compressed("gzip", why)
}

impl Decoder for Gzip {
    fn reset(&mut self) {
        self.inside = false;
        self.ended = false;
    }

    fn decompress_more(&mut self, input: &mut &[u8], window: &mut Window) -> Result<bool, DecodeErrorKind> {
        loop {
            if !self.inside {
                // Bytes after a member that do not begin another one are padding, as for gzip
                // itself.
                if self.ended && !input.starts_with(&[0x1f, 0x8b]) {
                    return Ok(false);
                }
                header(input).ok_or(fault("the header is not valid"))?;
                self.inside = true;
                self.crc.reset();
                self.length = 0;
                if let Some(inflate) = &mut self.inflate {
                    inflate.reset(false);
                }
            }
            let room = window.reserve(PIECE_BYTES)?;
            let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
            let (read, wrote) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(input, room, FlushDecompress::None);
            let status = status.map_err(|_| fault("the bytes are damaged"))?;
            let read = usize::try_from(inflate.total_in() - read).unwrap_or(usize::MAX);
            let wrote = usize::try_from(inflate.total_out() - wrote).unwrap_or(usize::MAX);
            let came = room.get(..wrote).ok_or(fault("the bytes are damaged"))?;
            take(input, read).ok_or(fault("the bytes are damaged"))?;
            self.crc.update(came);
            self.length = self.length.wrapping_add(wrote as u32);
            window.add_written(wrote);
            if status == Status::StreamEnd {
                self.trailer(input)?;
            } else if wrote == 0 && read == 0 {
                return Err(fault("it ends early"));
            }
            if wrote > 0 {
                return Ok(true);
            }
        }
    }
}

impl Gzip {
    fn trailer(&mut self, input: &mut &[u8]) -> Result<(), DecodeErrorKind> {
        self.inside = false;
        self.ended = true;
        let crc = take_array(input).map(u32::from_le_bytes).ok_or(fault("it ends early"))?;
        let length = take_array(input).map(u32::from_le_bytes).ok_or(fault("it ends early"))?;
        if crc != self.crc.clone().finalize() || length != self.length {
            return Err(DecodeErrorKind::Checksum);
        }
        Ok(())
    }
}

/// Reads the header of a member.
fn header(input: &mut &[u8]) -> Option<()> {
    let [0x1f, 0x8b, 8, flags, ..] = take_array::<10>(input)? else { return None };
    if flags & 4 != 0 {
        let length = take_array(input).map(u16::from_le_bytes)?;
        take(input, usize::from(length))?;
    }
    // The name and the comment each end with a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = input.iter().position(|byte| *byte == 0)?;
            take(input, end + 1)?;
        }
    }
    if flags & 2 != 0 {
        take(input, 2)?;
    }
    (flags & 0xe0 == 0).then_some(())
}
