//! Commands packed one behind the other, to be sent in one piece.

use redis_crate::Cmd;

/// Packed commands and how many answers they will get.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    len: usize,
}

impl Requests {
    /// Adds a command.
    pub fn add(&mut self, command: &Cmd) -> &mut Self {
        command.write_packed_command(&mut self.bytes);
        self.len += 1;
        self
    }

    /// Adds the same command `times` times.
    pub fn repeat(&mut self, command: &Cmd, times: usize) -> &mut Self {
        let packed = command.get_packed_command();
        self.bytes.reserve(packed.len().saturating_mul(times));
        for _ in 0..times {
            self.bytes.extend_from_slice(&packed);
        }
        self.len += times;
        self
    }

    /// How many answers will come.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
