//! The bytes of one answer, in memory that is used again.

use std::io;

use crate::recycle::BufferPool;

/// The size of a new buffer, in bytes. It grows as bytes arrive.
const FIRST_FRAME_BYTES: usize = 64 * 1024;

/// Gives out empty frames, and takes their memory back when they are dropped.
#[derive(Debug, Clone)]
pub struct FramePool {
    pool: BufferPool,
}

impl FramePool {
    /// Keeps at most this many unused buffers.
    pub fn new(kept: usize) -> Self {
        Self { pool: BufferPool::new(kept) }
    }

    /// An empty frame.
    pub fn take(&self) -> Frame {
        Frame { bytes: self.pool.take(), used: 0, home: Some(self.pool.clone()) }
    }
}

/// The bytes of one answer, without the length in front of them.
#[derive(Debug, Default)]
pub struct Frame {
    /// This buffer is never shortened: the bytes after `used` are left over from an earlier answer.
    bytes: Vec<u8>,
    used: usize,
    home: Option<BufferPool>,
}

impl Frame {
    /// The answer.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Replaces the content by exactly `wanted` bytes from `read`, which gets a slice to fill and
    /// returns how many bytes it wrote. The buffer grows as bytes arrive, so that a wrong length
    /// cannot make it allocate much.
    ///
    /// # Errors
    /// Those of `read`; `UnexpectedEof` if it returns 0 too early.
    pub fn fill(
        &mut self,
        wanted: usize,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.used = 0;
        while self.used < wanted {
            if self.used == self.bytes.len() {
                let more = (self.used * 2).max(FIRST_FRAME_BYTES).min(wanted);
                self.bytes.resize(more, 0);
            }
            let end = self.bytes.len().min(wanted);
            match read(self.bytes.get_mut(self.used..end).unwrap_or_default())? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                some => self.used = (self.used + some).min(end),
            }
        }
        Ok(())
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_frame_shows_only_its_latest_bytes() {
        let frames = FramePool::new(1);
        let mut frame = frames.take();
        frame.fill(5, |room| Ok(std::io::Write::write(&mut &mut *room, b"abcde").unwrap())).unwrap();
        assert_eq!(frame.bytes(), b"abcde");
        drop(frame);
        let mut again = frames.take();
        assert_eq!(again.bytes(), b"");
        assert_eq!(again.bytes.len(), 5, "its memory is that of the first");
        again.fill(2, |room| Ok(std::io::Write::write(&mut &mut *room, b"xyz").unwrap())).unwrap();
        assert_eq!(again.bytes(), b"xy");
    }

    #[test]
    fn memory_is_allocated_for_received_not_announced_bytes() {
        let mut frame = Frame::default();
        let mut calls = 0;
        let cut = frame.fill(1 << 30, |room| {
            calls += 1;
            Ok(if calls < 3 { room.len() } else { 0 })
        });
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(frame.bytes.len() <= FIRST_FRAME_BYTES * 4, "{}", frame.bytes.len());
    }
}
