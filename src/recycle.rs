//! Byte buffers that are used again: allocating and freeing a megabyte for each reply is slow
//! with musl's allocator.

use crossbeam_channel::{Receiver, Sender, bounded};

/// A buffer that has grown beyond this size, in bytes, is freed.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Buffers that nobody uses at present. Clones share the same pool.
#[derive(Debug, Clone)]
pub struct BufferPool {
    give: Sender<Vec<u8>>,
    take: Receiver<Vec<u8>>,
}

impl BufferPool {
    /// Keeps this many buffers at most.
    pub fn new(kept_max: usize) -> Self {
        let (give, take) = bounded(kept_max);
        Self { give, take }
    }

    /// A buffer that still has the bytes of its last user, or a new one.
    pub fn take(&self) -> Vec<u8> {
        self.take.try_recv().unwrap_or_default()
    }

    /// Keeps the buffer for another user, unless it has no memory, too much of it, or the pool
    /// is full.
    pub fn give_back(&self, buffer: Vec<u8>) {
        if (1..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
            let _full = self.give.try_send(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_memory_and_its_bytes() {
        let pool = BufferPool::new(1);
        assert_eq!(pool.take().capacity(), 0, "a new one");
        pool.give_back(b"left".to_vec());
        assert_eq!(pool.take(), b"left");
    }

    #[test]
    fn what_is_not_worth_keeping_is_freed() {
        let pool = BufferPool::new(1);
        pool.give_back(Vec::new());
        pool.give_back(Vec::with_capacity(KEPT_BYTES_MAX + 1));
        pool.give_back(b"first".to_vec());
        pool.give_back(b"one too many".to_vec());
        assert_eq!(pool.take(), b"first");
        assert_eq!(pool.take().capacity(), 0);
    }
}
