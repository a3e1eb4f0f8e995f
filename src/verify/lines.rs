//! Bytes become lines, and each line a hash. A line of any length takes the same memory.

use memchr::memchr;
use twox_hash::XxHash3_128;

/// How many bytes of the beginning of a line are kept to be read: enough for topic, partition and offset.
pub(super) const HEAD_BYTES_MAX: usize = 384;

/// One line, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashedLine<'a> {
    pub(super) hash: u128,
    /// Its beginning.
    pub(super) head: &'a [u8],
    /// Its length in bytes.
    pub(super) len: u64,
}

/// The hash of a line that stands whole in memory. Seeds are random: nobody can choose lines of the same
/// hash.
pub(super) fn hash_of(seed: u64, line: &[u8]) -> u128 {
    XxHash3_128::oneshot_with_seed(seed, line)
}

/// Calls `each` for every line of these bytes. A last line without a newline counts, too.
pub(super) fn each_line<'a>(mut bytes: &'a [u8], mut each: impl FnMut(&'a [u8])) {
    while !bytes.is_empty() {
        let end = memchr(b'\n', bytes).unwrap_or(bytes.len());
        let (line, rest) = bytes.split_at(end);
        each(line);
        bytes = rest.get(1..).unwrap_or_default();
    }
}

/// Takes a file in pieces.
pub(super) struct LineSplitter {
    seed: u64,
    /// The line whose newline has not come yet.
    begun: Option<BegunLine>,
}

struct BegunLine {
    hasher: XxHash3_128,
    head: Vec<u8>,
    len: u64,
}

impl BegunLine {
    fn take(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        let room = HEAD_BYTES_MAX.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.len += bytes.len() as u64;
    }

    fn line(&self) -> HashedLine<'_> {
        HashedLine { hash: self.hasher.finish_128(), head: &self.head, len: self.len }
    }
}

impl LineSplitter {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, begun: None }
    }

    /// Calls `each` for every line that ends in this piece.
    pub(super) fn take(&mut self, mut piece: &[u8], each: &mut dyn FnMut(HashedLine<'_>)) {
        while let Some(end) = memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            match self.begun.take() {
                Some(mut begun) => {
                    begun.take(line);
                    each(begun.line());
                }
                None => {
                    let head = line.get(..HEAD_BYTES_MAX).unwrap_or(line);
                    each(HashedLine { hash: hash_of(self.seed, line), head, len: line.len() as u64 });
                }
            }
            piece = rest.get(1..).unwrap_or_default();
        }
        if !piece.is_empty() {
            let new = || BegunLine { hasher: XxHash3_128::with_seed(self.seed), head: Vec::new(), len: 0 };
            self.begun.get_or_insert_with(new).take(piece);
        }
    }

    /// Ends the file. A line without a newline is not whole: its hash is none that a whole line has.
    pub(super) fn end(&mut self, each: &mut dyn FnMut(HashedLine<'_>)) {
        if let Some(begun) = self.begun.take() {
            let line = begun.line();
            each(HashedLine { hash: !line.hash, ..line });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], piece: usize) -> Vec<(u128, Vec<u8>, u64)> {
        let (mut splitter, mut found) = (LineSplitter::new(7), Vec::new());
        let mut each = |line: HashedLine<'_>| found.push((line.hash, line.head.to_vec(), line.len));
        text.chunks(piece).for_each(|bytes| splitter.take(bytes, &mut each));
        splitter.end(&mut each);
        found
    }

    #[test]
    fn pieces_of_any_size_give_the_same_lines() {
        let long = "x".repeat(5000);
        let text = format!("a\n\n{long}\nb\nc");
        let whole = split(text.as_bytes(), text.len());
        assert_eq!(whole.iter().map(|line| line.2).collect::<Vec<_>>(), [1, 0, 5000, 1, 1]);
        assert_eq!(whole[2].1.len(), HEAD_BYTES_MAX);
        for piece in [1, 2, 3, 1000] {
            assert_eq!(split(text.as_bytes(), piece), whole, "{piece}");
        }
        let mut hashes = Vec::new();
        each_line(text.as_bytes(), |line| hashes.push(hash_of(7, line)));
        assert_eq!(whole[..4].iter().map(|line| line.0).collect::<Vec<_>>(), hashes[..4]);
        assert_eq!(whole[4].0, !hashes[4], "a line without a newline is another one");
        assert_ne!(hash_of(8, b"a"), hash_of(7, b"a"));
    }
}
