//! LZ4 frames ("LZ4 Frame Format Description" 1.6). The frame is read here, so that blocks go
//! straight into the window, and so that frames of Kafka before 0.10 can be read: their header
//! checksum was computed over too many bytes (KAFKA-3160).

use std::hash::Hasher as _;

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use twox_hash::XxHash32;

use super::{Decoder, take, take_array};
use crate::kafka::protocol::records::decode_error::DecodeErrorKind;
use crate::kafka::protocol::records::window::Window;

const FRAME_MAGIC: u32 = 0x184D_2204;
/// This magic number and the fifteen after it begin a frame that is skipped.
const SKIPPABLE_FRAME_MAGIC: u32 = 0x184D_2A50;
/// How many earlier bytes a linked block can refer to.
const LINKED_BLOCK_BYTES: usize = 64 << 10;
/// The most bytes that one byte of a match's length stands for.
const EXPANSION_MAX: usize = 255;

/// The state of the decompressor between calls.
#[derive(Default)]
pub(super) struct Lz4 {
    magic: u8,
    frame: Option<Lz4Frame>,
    ended: bool,
    /// The last decompressed bytes, for linked blocks.
    before: Vec<u8>,
}

/// The header of a frame.
struct Lz4Frame {
    largest: usize,
    linked: bool,
    block_checksums: bool,
    /// The checksum so far, if the frame ends with one.
    checksum: Option<XxHash32>,
}

fn fault(why: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::Compressed("lz4", why)
}

const TRUNCATED: DecodeErrorKind = DecodeErrorKind::Compressed("lz4", "it ends early");

impl Decoder for Lz4 {
    fn reset(&mut self) {
        self.frame = None;
        self.ended = false;
    }

    fn decompress_more(&mut self, input: &mut &[u8], window: &mut Window) -> Result<bool, DecodeErrorKind> {
        loop {
            let Some(frame) = &mut self.frame else {
                if input.is_empty() && self.ended {
                    return Ok(false);
                }
                self.frame = header(input, self.magic)?;
                self.before.clear();
                self.ended |= self.frame.is_none();
                continue;
            };
            let size = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
            if size == 0 {
                if let Some(checksum) = &frame.checksum {
                    let stored = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
                    if stored != checksum.finish_32() {
                        return Err(DecodeErrorKind::Checksum);
                    }
                }
                self.frame = None;
                self.ended = true;
                continue;
            }
            if frame.block(size, input, &mut self.before, window)? > 0 {
                return Ok(true);
            }
        }
    }
}

impl Lz4 {
    /// The following frames are in messages of this format.
    pub(super) fn set_message_format(&mut self, magic: u8) {
        self.magic = magic;
    }
}

impl Lz4Frame {
    /// Decompresses one block into the window, and returns its length.
    fn block(
        &mut self,
        size: u32,
        input: &mut &[u8],
        before: &mut Vec<u8>,
        window: &mut Window,
    ) -> Result<usize, DecodeErrorKind> {
        let plain = size & 0x8000_0000 != 0;
        let size = usize::try_from(size & 0x7fff_ffff).unwrap_or(usize::MAX);
        if size > self.largest {
            return Err(fault("a block is larger than its frame says"));
        }
        let block = take(input, size).ok_or(TRUNCATED)?;
        if self.block_checksums {
            let stored = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
            if stored != XxHash32::oneshot(0, block) {
                return Err(DecodeErrorKind::Checksum);
            }
        }
        let most = if plain { size } else { self.largest.min(size.saturating_mul(EXPANSION_MAX)) };
        let room = window.reserve(most)?.get_mut(..most).ok_or(DecodeErrorKind::TooLarge)?;
        let came = if plain {
            room.copy_from_slice(block);
            size
        } else if self.linked {
            decompress_into_with_dict(block, room, before).map_err(|_| fault("the bytes are damaged"))?
        } else {
            decompress_into(block, room).map_err(|_| fault("the bytes are damaged"))?
        };
        let came_bytes = room.get(..came).unwrap_or_default();
        if let Some(checksum) = &mut self.checksum {
            checksum.write(came_bytes);
        }
        if self.linked {
            remember(before, came_bytes);
        }
        window.add_written(came);
        Ok(came)
    }
}

/// Keeps the last bytes, to which a later block can refer.
fn remember(before: &mut Vec<u8>, came: &[u8]) {
    let kept = LINKED_BLOCK_BYTES.saturating_sub(came.len());
    before.drain(..before.len().saturating_sub(kept));
    before.extend_from_slice(came.get(came.len().saturating_sub(LINKED_BLOCK_BYTES)..).unwrap_or_default());
}

/// Reads the header of a frame; `None` after a skippable frame.
fn header(input: &mut &[u8], magic: u8) -> Result<Option<Lz4Frame>, DecodeErrorKind> {
    let number = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
    if number & 0xffff_fff0 == SKIPPABLE_FRAME_MAGIC {
        let length = take_array(input).map(u32::from_le_bytes).ok_or(TRUNCATED)?;
        take(input, usize::try_from(length).unwrap_or(usize::MAX)).ok_or(TRUNCATED)?;
        return Ok(None);
    }
    if number != FRAME_MAGIC {
        return Err(fault("the header is not valid"));
    }
    let descriptor = *input;
    let [flags, sizes] = take_array(input).ok_or(TRUNCATED)?;
    let largest = match sizes >> 4 {
        size @ 4..=7 if sizes & 0x8f == 0 => 64 << 10 << (2 * (size - 4)),
        _ => return Err(fault("the header is not valid")),
    };
    // Version 1, no dictionary.
    if flags & 0xc3 != 0x40 {
        return Err(fault("the header is not valid"));
    }
    if flags & 8 != 0 {
        take(input, 8).ok_or(TRUNCATED)?;
    }
    let described = descriptor.get(..descriptor.len() - input.len()).ok_or(TRUNCATED)?;
    let [checksum] = take_array(input).ok_or(TRUNCATED)?;
    // In message format 0 the checksum of the header may be right or wrong, depending on the
    // producer.
    if magic > 0 && checksum != (XxHash32::oneshot(0, described) >> 8) as u8 {
        return Err(fault("the checksum of the header does not match"));
    }
    Ok(Some(Lz4Frame {
        largest,
        linked: flags & 0x20 == 0,
        block_checksums: flags & 0x10 != 0,
        checksum: (flags & 4 != 0).then(|| XxHash32::with_seed(0)),
    }))
}
